"""The suite on a cluster of six real nodes: keys spread, one master killed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from cottage import keys
from cottage.errors import LeaseLost, RedisUnavailable
from cottage.freshness import Thresholds
from cottage.ownership import WriteRefusal
from cottage.process_name import process_name
from cottage.reader.physics_reader import BlockingPhysicsReader, PhysicsReader
from cottage.redis import Client, connect, connect_asking, subscribe
from cottage.redis.slots import slot_of
from cottage.snapshot import MarketSnapshot
from cottage.state import FAIL_SAFE, PhysicsState
from cottage.store import MarketSnapshots, PhysicsStates
from cottage.version import Version
from deploy.redis_server import RunningServer, Server, free_port
from services.feynman.symbol_table import StateWrite
from services.feynman.writer import Writer, write_in_cluster
from tests.integration.fanout import bridging, broadcasting, viewing
from tests.integration.redises import Cluster, cluster, written
from tests.services.physics.examples import state
from tests.support import eventually, heard, library_events, service

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
async def six(server_binaries: dict[str, Server], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    if "redis" not in server_binaries:
        pytest.skip("no redis-server on this machine")
    async with cluster(server_binaries["redis"], tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture
async def client(six: Cluster) -> AsyncIterator[Client]:
    async with connect(six.url) as made:
        for node in six.nodes[:3]:
            await six.on(node, "FLUSHALL")
        yield made


async def test_commands_go_where_their_keys_are(six: Cluster, client: Client) -> None:
    values = await written(client, 300)
    sizes = [int(str(await six.on(node, "DBSIZE"))) for node in six.nodes[:3]]
    assert sum(sizes) == 300
    assert min(sizes) > 50, "spread"
    assert await client.mget(list(values)) == list(values.values())
    assert await client.get("physics:state:S7") == b"7"
    assert await client.mget(["physics:state:S1", "none"]) == [b"1", None]
    found = [key async for key in client.scan_iter(match=keys.PHYSICS_STATE + "*", count=50)]
    assert sorted(found) == sorted(key.encode() for key in values)
    assert await client.now() > 1e9
    assert await client.delete("physics:state:S7") == 1


async def test_a_transaction_is_one_for_each_symbol(client: Client) -> None:
    snapshots = MarketSnapshots(client)
    now = await client.now()
    await snapshots.write([MarketSnapshot(f"S{number}", 100.0 + number, now) for number in range(100)])
    assert len(await snapshots.symbols()) == 100
    found = await snapshots.get("S42")
    assert found is not None
    assert found.price == 142.0
    (ttl,) = await client.bulk([("TTL", keys.market_snapshot("S42"))])
    assert 0 < ttl <= keys.SNAPSHOT_TTL_SECONDS


async def test_a_symbol_has_one_owner(client: Client) -> None:
    one, two = MarketSnapshots(client, "ONE"), MarketSnapshots(client, "TWO")
    now = await client.now()
    many = [MarketSnapshot(f"S{number}", 100.0, now, source="one") for number in range(100)]
    assert await one.write(many[:60]) == {}
    assert await two.write(many) == dict.fromkeys(
        (each.symbol for each in many[:60]), WriteRefusal("owned", f"ONE {process_name()}")
    )
    await client.hset(keys.market_snapshot("S7"), mapping={"price": "7", "timestamp": str(now + 1)})
    assert await one.write(many[:10]) == {"S7": WriteRefusal("stranger", "unknown")}
    assert await client.hget(keys.market_snapshot("S7"), "source") is None, "nothing of ours is left"
    await one.release()
    assert set(await two.write(many)) == {"S7"}


async def test_a_list_of_samples_need_not_be_where_its_snapshot_is(client: Client) -> None:
    symbols, snapshots = [f"S{number}" for number in range(20)], MarketSnapshots(client)
    for first in (1.0, 3.0):
        samples = [[MarketSnapshot(name, 1.0, at, event_time=at) for at in (first, first + 1)] for name in symbols]
        await snapshots.write([replace(newest, fill=(earlier,)) for earlier, newest in samples])
    found = await snapshots.fills(dict.fromkeys(symbols, 3))
    times = [[orjson.loads(element)["event_time"] for element in found[symbol]] for symbol in symbols]
    assert times == [[1.0, 2.0, 3.0, 4.0]] * 20


async def test_an_error_of_one_is_in_its_place(client: Client) -> None:
    replies = await client.bulk([("SET", "a", "1"), ("HGET", "a", "x"), ("GET", "a")], raise_on_error=False)
    assert [replies[0], replies[2]] == [b"OK", b"1"]
    assert "WRONGTYPE" in str(replies[1])


async def test_symbols_are_retired_whichever_slots_they_have(six: Cluster, client: Client) -> None:
    names = [f"S{number}" for number in range(40)]
    await written(client, 40)
    await client.rpush(keys.PHYSICS_RETIRE, *names[:30], "NEVER")
    await client.set(keys.PHYSICS_RETIRED, "no sorted set, and in nobody's way")
    async with service("feynman", {"REDIS_URL": six.url}):

        async def done() -> bool:
            return not await client.exists(keys.PHYSICS_RETIRE)

        await eventually(done, 20)
    found = [key async for key in client.scan_iter(match=keys.PHYSICS_STATE + "*")]
    assert sorted(found) == sorted(keys.physics_state(name).encode() for name in names[30:])
    assert await client.zcard(keys.PHYSICS_RETIRED) == 31


async def test_a_slot_that_moves_is_followed(six: Cluster, client: Client) -> None:
    """ASK while it moves, MOVED once it has."""
    key = "physics:state:MOVING"
    slot = slot_of(("GET", key))
    await client.set(key, b"before")
    share = 16384 // 3
    origin, target = six.nodes[min(2, slot // share)], six.nodes[(min(2, slot // share) + 1) % 3]
    names = {node.port: str(await six.on(node, "CLUSTER", "MYID"), "ascii") for node in six.nodes[:3]}
    await six.on(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", names[origin.port])
    await six.on(origin, "CLUSTER", "SETSLOT", slot, "MIGRATING", names[target.port])
    await six.on(origin, "MIGRATE", "127.0.0.1", target.port, key, 0, 1000)
    assert await client.get(key) == b"before", "ASK"
    for node in six.nodes[:3]:
        await six.on(node, "CLUSTER", "SETSLOT", slot, "NODE", names[target.port])
    assert await client.get(key) == b"before", "MOVED"
    with contextlib.closing(connect_asking(six.url)) as reader:
        pipeline = reader.pipeline(transaction=False)
        pipeline.execute_command("MGET", key)
        assert pipeline.execute() == [[b"before"]]
    # And back, for the other tests.
    await six.on(origin, "CLUSTER", "SETSLOT", slot, "IMPORTING", names[target.port])
    await six.on(target, "CLUSTER", "SETSLOT", slot, "MIGRATING", names[origin.port])
    await six.on(target, "MIGRATE", "127.0.0.1", origin.port, key, 0, 1000)
    for node in six.nodes[:3]:
        await six.on(node, "CLUSTER", "SETSLOT", slot, "NODE", names[origin.port])
    assert await client.get(key) == b"before"


async def test_readers_read_it(six: Cluster, client: Client) -> None:
    state = PhysicsState(*(0.1, 0.2, 0.3, 0.4, 0.5, "Gaussian", 2.8), version=Version(1, 1))
    for symbol in ("SPY", "QQQ", "IWM"):
        await client.set(keys.physics_state(symbol), state.to_bytes())
    async with PhysicsReader.connect(six.url) as reader:
        assert set((await reader.all()).states) == {"SPY", "QQQ", "IWM"}
        assert (await reader.many(["SPY", "NONE"])).missing == ("NONE",)

    def blocking() -> set[str]:
        with BlockingPhysicsReader.connect(six.url) as reader:
            assert reader.get("SPY") is not None
            return set(reader.all().states)

    assert await asyncio.to_thread(blocking) == {"SPY", "QQQ", "IWM"}


def write(symbol: str, epoch: int, seq: int) -> StateWrite:
    state = PhysicsState(*(0.1, 0.2, 0.3, 0.4, 0.5, "Gaussian", 2.8), version=Version(epoch, seq))
    return StateWrite(symbol, state.to_bytes()[:-1], state.update(symbol)[:-1])


async def test_a_slot_that_no_node_serves_is_missed_by_its_symbol_alone(six: Cluster, client: Client) -> None:
    lost = "S1"
    slot = slot_of(("GET", keys.physics_state(lost)))
    other = next(name for name in ("S2", "S3") if slot_of(("GET", keys.physics_state(name))) != slot)
    await six.on_each("CONFIG", "SET", "cluster-require-full-coverage", "no")
    (owner,) = [node for node in six.nodes[:3] if await serves(six, node, slot)]

    async def put(name: str) -> None:
        await client.set(keys.physics_state(name), state(await client.now()).to_bytes())

    await put(lost)
    thresholds = Thresholds(silent=0.5)
    with library_events() as lines:
        async with PhysicsReader(client, thresholds=thresholds) as reader:

            async def both() -> list[tuple[str, str]]:
                await put(other)
                await reader.check()
                readings = [await reader.get(name, fallback=FAIL_SAFE) for name in (other, lost)]
                await asyncio.sleep(0.1)  # after an error all wait a little
                return [(reading.origin, reading.freshness.status) for reading in readings]

            assert await both() == [("redis", "live"), ("redis", "live")]
            await six.on(owner, "CLUSTER", "DELSLOTS", slot)
            try:

                async def is_missed() -> bool:
                    return await both() == [("redis", "live"), ("remembered", "stale")]

                await eventually(is_missed)
                for _second in range(20):
                    assert (await both())[1] == ("remembered", "stale")
                    assert reader.problem is not None
            finally:
                await six.on(owner, "CLUSTER", "ADDSLOTS", slot)

            async def is_back() -> bool:
                origins = [origin for origin, _status in await both()]
                return origins == ["redis", "redis"] and reader.problem is None

            await put_when_served(put, lost)
            await eventually(is_back)
    said = [line["event"] for line in lines if line["event"] in ("redis_lost", "redis_back")]
    assert said == ["redis_lost", "redis_back"]


async def serves(six: Cluster, node: RunningServer, slot: int) -> bool:
    """Whether this node is the slot's master."""
    ranges = await six.on(node, "CLUSTER", "SLOTS")
    return any(first <= slot <= last and master[1] == node.port for first, last, master, *_replicas in ranges)


async def put_when_served(put: Callable[[str], Awaitable[None]], name: str) -> None:
    async def is_put() -> bool:
        with contextlib.suppress(RedisUnavailable):
            await put(name)
            return True
        return False

    await eventually(is_put)


async def test_who_lost_the_lease_writes_nothing(six: Cluster, client: Client) -> None:
    async with (
        subscribe(six.url, keys.STATE_UPDATE) as subscription,
        Writer(six.url, shard="0/1", lease_seconds=5) as first,
        Writer(six.url, shard="0/1", lease_seconds=5) as second,
    ):
        assert await first.acquire()
        assert not await second.acquire()
        old = first.epoch
        assert old is not None
        writes = [write(f"S{number}", old, 1) for number in range(50)]
        await first.write(writes)
        assert len(await heard(subscription, 50)) == 50, "on one channel, whatever node has the key"
        await client.delete(keys.physics_writer(0))
        assert await second.acquire()
        assert second.epoch is not None
        assert second.epoch > old
        with pytest.raises(LeaseLost):
            await first.write([write("S1", old, 2)])
        # Even one whose check of the lease came just in time is refused by the state itself.
        await second.write([write("S1", second.epoch, 1)])
        with pytest.raises(LeaseLost):
            await write_in_cluster(client, old, [write("S1", old, 3)])
        states = await PhysicsStates(client).all()
        assert states["S1"].version == Version(second.epoch, 1)


async def test_an_epoch_from_the_future_stops_nobody(six: Cluster, client: Client) -> None:
    await client.set(keys.physics_state("S1"), b'{"epoch":9007199254740991,"seq":1}')
    async with Writer(six.url, shard="0/1", lease_seconds=5) as writer:
        assert await writer.acquire()
        assert writer.epoch is not None
        await writer.write([write("S1", writer.epoch, 1)])
        assert (await PhysicsStates(client).all())["S1"].version == Version(writer.epoch, 1)


async def test_the_suite_outlives_a_master(server_binaries: dict[str, Server], tmp_path: Path) -> None:
    """Market, feynman, bridge and broadcaster; then one of three masters is killed under load."""
    if "redis" not in server_binaries:
        pytest.skip("no redis-server on this machine")
    symbols = [f"S{number}" for number in range(30)]
    quick = {"MARKET_SYMBOLS": ",".join(symbols), "MARKET_INTERVAL_SECONDS": "0.1", "REDIS_TIMEOUT_SECONDS": "1"}
    ticks = {"FEYNMAN_TICK_SECONDS": "0.1", "FEYNMAN_HEARTBEAT_SECONDS": "0.1", "FEYNMAN_LEASE_SECONDS": "1"}
    link, port = free_port(), free_port()
    async with cluster(server_binaries["redis"], tmp_path) as six:
        redis = {"REDIS_URL": six.url}
        async with (
            service("market", {**redis, **quick}),
            service("feynman", {**redis, **quick, **ticks, "FEYNMAN_DISCOVERY_SECONDS": "0.5"}) as feynman,
            bridging(six.url, link, REDIS_TIMEOUT_SECONDS=1.0),
            broadcasting(link, port),
            viewing(port) as viewer,
        ):
            await feynman.logged("lease_acquired")
            await eventually(lambda: set(symbols) <= viewer.held.keys(), 30)
            six.nodes[0].kill()
            killed_at = len(viewer.updates)

            async def promoted() -> bool:
                answer = await six.on(six.nodes[3], "ROLE")
                return isinstance(answer, list) and answer[0] == b"master"

            await eventually(promoted, 30)
            seen: dict[str, int] = {}

            def all_again() -> bool:
                seen.clear()
                for update in viewer.updates[killed_at:]:
                    symbol = update.split(b'"symbol":"')[1].split(b'"')[0].decode()
                    seen[symbol] = seen.get(symbol, 0) + 1
                return all(seen.get(symbol, 0) > 20 for symbol in symbols)

            await eventually(all_again, 30)
            assert set(symbols) <= viewer.newest().keys()


async def test_no_node_at_all_is_one_clear_error() -> None:
    async with connect(f"redis+cluster://127.0.0.1:{free_port()}", timeout=1) as client:
        with pytest.raises(RedisUnavailable):
            await client.get("a")
