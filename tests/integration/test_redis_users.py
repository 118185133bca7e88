"""Each user of the ACL files does its whole job, faults included, and nothing of it is refused."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from cottage import keys
from cottage.cli.retire import retire
from cottage.errors import InvalidMessage
from cottage.messages import TradeSignal
from cottage.reader.physics_reader import BlockingPhysicsReader, PhysicsReader
from cottage.redis import connect, connect_blocking, subscribe
from cottage.snapshot import MarketSnapshot
from cottage.store import (
    AgentStates,
    MarketFeeds,
    MarketSnapshots,
    PhysicsStates,
    StrategyLeaderboard,
    TaskQueue,
    publish_agent_update,
    publish_trade_signal,
)
from cottage.urls import with_login
from deploy.fresh_start import begin_fresh
from deploy.redis_server import RunningServer, Server, free_port, start
from deploy.redis_users import USERS
from deploy.runbook.commands import main
from deploy.runbook.inspection import commands
from tests.conftest import KINDS
from tests.integration.guarded import FIXTURE, Guarded, acl_path, guarded, password, refused
from tests.integration.overheard import (
    SERVICES,
    Overheard,
    declared_cells,
    door,
    is_cell_declared,
    is_used_elsewhere,
)
from tests.integration.redises import cluster, sentinels
from tests.integration.test_runbook import fill
from tests.services.physics.examples import state
from tests.support import IN_MEMORY, eventually, heard, service

SYMBOLS = ["AAA", "BBB", "CCC"]
STATE = state(1_795_000_000.0).to_bytes()
QUICK = {
    "MARKET_SYMBOLS": ",".join(SYMBOLS),
    "MARKET_INTERVAL_SECONDS": "0.1",
    "FEYNMAN_TICK_SECONDS": "0.1",
    "FEYNMAN_HEARTBEAT_SECONDS": "0.1",
    "FEYNMAN_LEASE_SECONDS": "1",
    "FEYNMAN_DISCOVERY_SECONDS": "0.5",
    "REDIS_TIMEOUT_SECONDS": "2",
}


@pytest.fixture(params=KINDS)
def redis(request: pytest.FixtureRequest, server_binaries: dict[str, Server], tmp_path: Path) -> Iterator[Guarded]:
    if request.param not in server_binaries:
        pytest.skip(f"no {request.param}-server on this machine")
    with guarded(server_binaries[request.param], tmp_path / "redis") as made:
        yield made


async def services_work(
    redis: Guarded, url: Callable[[str], str], tmp_path: Path, again: Callable[[], None] | None = None
) -> None:
    """All services do their job as their users, with faults. `url`: by which each of them reaches Redis. `again`:
    called when the server has been restarted."""
    api, bridge = free_port(), free_port()

    def own(name: str, **more: str) -> dict[str, str]:
        return {"REDIS_URL": url(name), **QUICK, **more}

    record = str(tmp_path / "record")
    async with (
        service("market", own("market")) as market,
        service("feynman", own("feynman", FEYNMAN_RECORD_DIR=record)) as feynman,
        service("physics", own("physics", PHYSICS_PORT=str(api), RECORDER_DIR=record)) as physics,
        service("bridge", own("bridge", BRIDGE_PORT=str(bridge))) as to_browsers,
        service(
            "recorder", own("recorder", RECORDER_DIR=record, RECORDER_BRIDGE_URL=f"ws://127.0.0.1:{bridge}/ws")
        ) as recorder,
    ):
        for each in (market, feynman, physics, to_browsers, recorder):
            await each.ready(60)

        async def all_written() -> bool:
            async with connect(redis.url("reader")) as client:
                return set(SYMBOLS) <= (await PhysicsStates(client).all()).keys()

        await eventually(all_written, 60)
        with redis.fixture() as fixture:
            fixture.script_flush()
            fixture.set(keys.PHYSICS_RETIRED, "of another type")
            fixture.delete(keys.physics_writer(0))
            fixture.lpush(keys.physics_writer(0), "of another type")
            fixture.set(keys.market_warm("CCC"), b"nothing that feynman takes")
            fixture.hset(keys.market_snapshot("AAA"), mapping={"price": 1, "timestamp": 1, "source": "STRANGER"})
            fixture.set(keys.physics_state("GONE"), STATE)
            fixture.rpush(keys.PHYSICS_RETIRE, "BBB", "no symbol", "GONE")
            await asyncio.sleep(2)
            for name in ("market", "feynman", "physics", "bridge", "recorder"):
                fixture.execute_command("CLIENT", "KILL", "USER", name)
            await asyncio.sleep(1)
            fixture.flushall()
        await eventually(all_written, 60)
        redis.restart()
        if again is not None:
            again()
        await eventually(all_written, 60)
        for each in (market, feynman, physics, to_browsers, recorder):
            await each.ready(60)


async def test_the_services_do_their_whole_job(redis: Guarded, tmp_path: Path) -> None:
    overheard = Overheard(redis)
    async with AsyncExitStack() as stack:
        doors = {name: await stack.enter_async_context(door(redis, name, overheard)) for name in SERVICES}
        await services_work(redis, doors.__getitem__, tmp_path, overheard.listen)
    assert redis.refused() == []
    used = overheard.used()
    assert used.keys() == set(SERVICES)
    sent = {(name, *cell) for name, cells in used.items() for cell in cells}
    assert {each for each in sent if not is_cell_declared(USERS[each[0]], each[1:])} == set()
    unused = {(name, *cell) for name, cells in used.items() for cell in declared_cells(USERS[name]) - cells}
    assert {cell for cell in unused if not is_used_elsewhere(*cell)} == set()


def snapshots_of(symbol: str, *prices: float) -> MarketSnapshot:
    """The last of these prices, with a list of those before it."""
    *before, last = [MarketSnapshot(symbol, price, 1.0 + number) for number, price in enumerate(prices)]
    return MarketSnapshot(symbol, last.price, last.timestamp, fill=tuple(before))


async def test_a_feed_does_its_whole_job(redis: Guarded) -> None:
    with redis.fixture() as fixture:
        fixture.set(keys.market_fill("AAA"), "of another type")
        async with connect(redis.url("feed")) as client, connect(redis.url("feed")) as another:
            ours, feeds = MarketSnapshots(client, "OURS"), MarketFeeds(client)
            for lost in (False, True):
                if lost:
                    fixture.script_flush()
                assert await feeds.announce("OURS", {"source": "test", "symbols": ["AAA", "BBB"]}) is None
                both = [snapshots_of("AAA", 1.0, 2.0), snapshots_of("BBB", 3.0)]
                assert await ours.write(both) == {}
                assert await ours.write(both) == {}
                assert await feeds.announce("OURS", {"source": "test", "symbols": ["AAA", "BBB"]}) is None
                assert (await MarketSnapshots(another, "THEIRS").write([snapshots_of("AAA", 9.0)])).keys() == {"AAA"}
                await ours.renew()
            fixture.hset(keys.market_snapshot("AAA"), mapping={"price": 5, "timestamp": 9, "source": "stranger"})
            assert (await ours.write([snapshots_of("AAA", 1.0)])).keys() == {"AAA"}
            async with subscribe(redis.url("feed"), keys.MARKET_MARK_TAKEN) as taken:
                await client.publish(keys.MARKET_MARK, "{}")
                assert await taken.answers(5.0)
            await client.hset(keys.market_snapshot("BY-HAND"), mapping={"price": "1", "timestamp": "1"})
            await client.expire(keys.market_snapshot("BY-HAND"), 60)
            await ours.release()
            await feeds.withdraw("OURS")
    assert redis.refused() == []


async def test_a_reader_and_an_agent_do_their_whole_job(redis: Guarded) -> None:
    with redis.fixture() as fixture:
        fixture.set(keys.physics_state("AAA"), STATE)
        fixture.lpush(keys.physics_state("BBB"), "of another type")
        fixture.hset(keys.market_snapshot("AAA"), mapping={"price": "1", "timestamp": "1", "seen": "1 2  "})
        fixture.set(keys.market_feed("OURS"), '{"source":"test"}', ex=60)
        fixture.set(keys.physics_writer(0), "{}", ex=60)
    bad: list[InvalidMessage] = []
    for user in ("reader", "agent"):
        url = redis.url(user)
        async with (
            connect(url) as client,
            PhysicsReader.connect(url) as reader,
            subscribe(url, keys.STATE_UPDATE, keys.TRADE_SIGNALS) as subscription,
        ):
            assert (await reader.get("AAA")) is not None
            await reader.all()
            await reader.many(["AAA", "GONE"])
            assert (await PhysicsStates(client).all(lambda _name, error: bad.append(error))).keys() == {"AAA"}
            assert await PhysicsStates(client).get("AAA") is not None
            snapshots = MarketSnapshots(client)
            assert await snapshots.get("AAA") is not None
            await snapshots.samples(["AAA"])
            assert await snapshots.symbols() == ["AAA"]
            assert await snapshots.fills({"AAA": 1}) == {"AAA": []}
            assert (await MarketFeeds(client).alive()).keys() == {"OURS"}
            assert await subscription.answers(5.0)

            def ask(url: str = url) -> bool:
                with BlockingPhysicsReader.connect(url) as blocking:
                    return blocking.get("AAA") is not None

            assert await asyncio.to_thread(ask)
            if user == "agent":
                await AgentStates(client).set("agent", {"mood": 1})
                assert await AgentStates(client).get("agent") == {"mood": 1}
                await TaskQueue(client).push({"do": "it"})
                assert await TaskQueue(client).pop() == {"do": "it"}
                await StrategyLeaderboard(client).score({"one": 1.0})
                assert await StrategyLeaderboard(client).top() == [("one", 1.0)]
                await publish_agent_update(client, "agent", "2026-11-26T00:00:00Z", {})
                signal = TradeSignal("AAA", "2026-11-26T00:00:00Z", "1", "BUY", 0.5, "one")
                await publish_trade_signal(client, signal)
                assert len(await heard(subscription, 2)) == 2
    assert redis.refused() == []


def test_an_operator_does_its_whole_job(
    redis: Guarded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = redis.url("operator")
    monkeypatch.setenv("REDIS_URL", url)
    with redis.fixture() as fixture:
        fill(fixture)
        fixture.set(keys.physics_state("AAA"), STATE)
    dump = str(tmp_path / "dump.resp")
    for arguments in (
        ("state", "AAA"),
        ("keys", "*"),
        ("stats",),
        ("slowlog",),
        ("export", dump),
        ("flush", "--yes"),
        ("import", dump),
        ("delete", "--yes", "physics:*"),
    ):
        assert main(list(arguments)) == 0, capsys.readouterr()
    with connect_blocking(url) as client, redis.fixture() as fixture:
        lines = commands(client)
        asyncio.run(_seen(lines, fixture))
        fixture.set(keys.physics_state("AAA"), STATE)
    asyncio.run(retire(url, ["AAA"], dry_run=True))
    with redis.fixture() as fixture:
        fixture.rpush(keys.PHYSICS_RETIRE, "AAA")
    with connect_blocking(url) as client:
        assert client.rpush(keys.PHYSICS_RETIRE, "AAA")
        assert client.execute_command("ACL WHOAMI") in (b"operator", "operator")
        assert client.execute_command("ACL LOG") is not None
        assert client.execute_command("ACL LOAD")
    asyncio.run(begin_fresh(url, tmp_path))
    assert redis.refused() == []


async def _seen(lines: Any, fixture: Any) -> None:
    """What MONITOR shows first."""
    seeing = asyncio.create_task(asyncio.to_thread(next, lines))
    while not seeing.done():
        await asyncio.to_thread(fixture.set, "agent:state:seen", "1")
        await asyncio.sleep(0.05)
    assert "SET" in seeing.result()


def test_a_health_check_and_a_replica_do_their_job(
    redis: Guarded, server_binaries: dict[str, Server], tmp_path: Path
) -> None:
    with connect_blocking(redis.url("health")) as client:
        assert client.ping()
    server = server_binaries[redis.running.server.kind]
    login = ("--masteruser", "replica", "--masterauth", password("replica"))
    options = (*IN_MEMORY, "--replicaof", f"127.0.0.1 {redis.port}", *login)
    with (
        start(server, tmp_path / "replica", free_port(), config=None, arguments=options) as replica,
        connect_blocking(replica.url) as client,
        redis.fixture() as fixture,
    ):
        fixture.set("key", "copied")

        async def copied() -> bool:
            return bool(client.get("key") == b"copied")

        asyncio.run(eventually(copied, 60))
        assert fixture.wait(1, 5000) == 1
    assert redis.refused() == []


def refused_by(server: RunningServer) -> list[dict[str, Any]]:
    return refused(connect_blocking(with_login(server.url, FIXTURE, FIXTURE)))


def with_users(server: Server, folder: Path) -> tuple[str, ...]:
    """The options of a server with the ACL file, that may follow another one."""
    login = ("--masteruser", "replica", "--masterauth", password("replica"))
    return ("--aclfile", str(acl_path(server, folder)), *login)


async def stored(url: str) -> int:
    """How many states there are, and the newest epoch."""
    async with connect(url, timeout=2) as client:
        found = await PhysicsStates(client).all()
    if not set(SYMBOLS) <= found.keys():
        return 0
    return min(each.version.epoch for each in found.values() if each.version is not None)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
async def test_all_do_their_job_through_a_failover(
    kind: str, server_binaries: dict[str, Server], tmp_path: Path
) -> None:
    if kind not in server_binaries:
        pytest.skip(f"no {kind}-server on this machine")
    server = server_binaries[kind]
    login = ("sentinel", password("sentinel"))
    async with sentinels(server, tmp_path, with_users(server, tmp_path), login) as watched:

        def own(name: str) -> dict[str, str]:
            return {"REDIS_URL": with_login(watched.url, name, password(name)), **QUICK}

        reader = with_login(watched.url, "reader", password("reader"))
        async with (
            service("market", own("market")),
            service("feynman", own("feynman")) as feynman,
            service("physics", {**own("physics"), "PHYSICS_PORT": str(free_port())}),
            service("bridge", {**own("bridge"), "BRIDGE_PORT": str(free_port())}),
        ):
            await feynman.logged("lease_acquired", 60)
            first = await eventually(lambda: stored(reader), 60)
            before = await watched.master()
            assert [line for each in watched.servers for line in refused_by(each)] == []
            assert not [line for line in feynman.logs if line["event"] == "lease_not_replicated"], "WAIT"
            before.kill()
            after = await watched.fails_over(before)

            async def anew() -> bool:
                try:
                    return await stored(reader) > first
                except Exception:  # noqa: BLE001  # there is no master for a while
                    return False

            await eventually(anew, 60)
            assert refused_by(after) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
async def test_all_do_their_job_in_a_cluster(kind: str, server_binaries: dict[str, Server], tmp_path: Path) -> None:
    if kind not in server_binaries:
        pytest.skip(f"no {kind}-server on this machine")
    server = server_binaries[kind]
    async with cluster(server, tmp_path, with_users(server, tmp_path), (FIXTURE, FIXTURE)) as six:

        def own(name: str) -> dict[str, str]:
            return {"REDIS_URL": with_login(six.url, name, password(name)), **QUICK}

        reader = with_login(six.url, "reader", password("reader"))
        record = {"RECORDER_DIR": str(tmp_path / "record")}
        link = free_port()
        async with (
            service("market", own("market")),
            service("feynman", own("feynman")) as feynman,
            service("physics", {**own("physics"), **record, "PHYSICS_PORT": str(free_port())}) as physics,
            service("bridge", {**own("bridge"), "BRIDGE_PORT": str(link)}) as bridge,
            service("recorder", {**own("recorder"), **record, "RECORDER_BRIDGE_URL": f"ws://127.0.0.1:{link}/ws"}),
        ):
            await feynman.logged("lease_acquired", 60)
            await eventually(lambda: stored(reader), 60)
            await six.on_each("SCRIPT", "FLUSH")
            async with connect(own("feed")["REDIS_URL"]) as client:
                assert await MarketSnapshots(client, "OURS").write([snapshots_of("DDD", 1.0, 2.0)]) == {}
            async with connect(with_login(six.url, FIXTURE, FIXTURE)) as client:
                await client.rpush(keys.PHYSICS_RETIRE, "DDD")
            await asyncio.sleep(3)
            for each in (physics, bridge):
                await each.ready(60)
            assert [line for node in six.nodes for line in refused_by(node)] == []
            six.nodes[0].kill()

            async def again() -> bool:
                try:
                    return await stored(reader) > 0
                except Exception:  # noqa: BLE001  # a part of the keys has no master for a while
                    return False

            await eventually(again, 60)
            assert [line for node in six.nodes if node.running for line in refused_by(node)] == []
