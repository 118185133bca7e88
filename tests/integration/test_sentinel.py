"""Three real sentinels, a master and its replica: a failover under load, and a master that wakes afterwards."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from cottage import keys
from cottage.errors import RedisError, RedisUnavailable
from cottage.reader.physics_reader import PhysicsReader
from cottage.redis import connect, connect_blocking
from deploy.redis_server import Server, free_port
from services.feynman import metrics
from services.feynman.writer import Writer
from tests.integration.fanout import bridging, broadcasting, viewing
from tests.integration.redises import Sentinels, sentinels
from tests.support import eventually, service

pytestmark = pytest.mark.slow

SYMBOLS = [f"S{number}" for number in range(20)]
QUICK = {
    "MARKET_SYMBOLS": ",".join(SYMBOLS),
    "MARKET_INTERVAL_SECONDS": "0.1",
    "FEYNMAN_TICK_SECONDS": "0.1",
    "FEYNMAN_HEARTBEAT_SECONDS": "0.1",
    "FEYNMAN_LEASE_SECONDS": "1",
    "FEYNMAN_DISCOVERY_SECONDS": "0.5",
    "REDIS_TIMEOUT_SECONDS": "1",
}


@pytest.fixture
async def watched(server_binaries: dict[str, Server], tmp_path: Path) -> AsyncIterator[Sentinels]:
    if "redis" not in server_binaries:
        pytest.skip("no redis-server on this machine")
    async with sentinels(server_binaries["redis"], tmp_path) as made:
        yield made


@pytest.mark.parametrize("how", ["killed", "hung"])
async def test_a_failover_under_load(watched: Sentinels, how: str) -> None:
    link, port = free_port(), free_port()
    redis = {"REDIS_URL": watched.url, **QUICK}
    async with (
        service("market", redis),
        service("feynman", redis) as feynman,
        bridging(watched.url, link, REDIS_TIMEOUT_SECONDS=1.0),
        broadcasting(link, port),
        viewing(port) as viewer,
        PhysicsReader.connect(watched.url) as reader,
    ):
        await feynman.logged("lease_acquired")
        await eventually(lambda: set(SYMBOLS) <= viewer.held.keys(), 30)
        before = await watched.master()
        first_epoch = max(version.epoch for version in viewer.newest().values())
        before.kill() if how == "killed" else before.signal(signal.SIGSTOP)
        after = await watched.fails_over(before)
        if how == "hung":
            before.signal(signal.SIGCONT)  # as a replica of the new one, once it is told so

        def written_anew() -> bool:
            versions = viewer.newest()
            return all(versions[symbol].epoch > first_epoch for symbol in SYMBOLS)

        await eventually(written_anew, 30)
        async with connect(after.url) as client:
            lease = orjson.loads(await client.get(keys.physics_writer(0)) or b"{}")
            assert lease["epoch"] > first_epoch

        async def read() -> bool:
            found = await reader.get("S1")
            return found is not None and found.origin == "redis" and found.freshness.status == "live"

        await eventually(read, 20)
        if how == "hung":
            await _becomes_a_replica(before.url)
        viewer.newest()


async def _becomes_a_replica(url: str) -> None:
    async def is_replica() -> bool:
        async with connect(url, timeout=1) as client:
            try:
                (role,) = await client.bulk([("ROLE",)])
            except RedisError:
                return False
            return bool(role[0] == b"slave")

    await eventually(is_replica, 30)


async def test_a_lease_is_on_a_replica_before_anything_is_written_under_it(watched: Sentinels) -> None:
    async with Writer(watched.url, shard="0/1", lease_seconds=5) as writer:
        uncopied = metrics.LEASE_EVENTS["not_replicated"]._value.get()
        assert await writer.acquire()
        async with connect(watched.servers[1].url) as replica:
            lease = await replica.get(keys.physics_writer(0))
            assert lease is not None, "WAIT came back once it was there"
        assert metrics.LEASE_EVENTS["not_replicated"]._value.get() == uncopied
        watched.servers[1].signal(signal.SIGSTOP)
        try:
            await writer.acquire()
        finally:
            watched.servers[1].signal(signal.SIGCONT)
        assert metrics.LEASE_EVENTS["not_replicated"]._value.get() == uncopied + 1, "said, and a lone master must do"
        assert writer.epoch is not None


async def test_too_few_replicas_are_an_outage_and_no_fault(watched: Sentinels) -> None:
    """min-replicas-to-write: a master that nobody follows writes nothing that a failover would lose."""
    async with connect(watched.url) as client, connect(watched.servers[0].url) as master:
        await master.config_set("min-replicas-to-write", 1)
        watched.servers[1].kill()

        async def refused() -> bool:
            try:
                await client.set("a", "b")
            except RedisUnavailable as error:
                return "NOREPLICAS" in str(error)
            return False

        await eventually(refused, 20)


async def test_a_demoted_master_is_left_for_the_new_one(watched: Sentinels) -> None:
    async with connect(watched.url) as client:
        await client.bulk([("SET", "a", "1")])
        before = await watched.master()
        async with connect(watched.url.replace("redis+sentinel", "redis").split(",")[0]) as sentinel:
            await sentinel.execute_command("SENTINEL", "FAILOVER", "prices")
        after = await watched.fails_over(before)

        async def written() -> bool:
            try:
                await client.bulk([("SET", "a", "2")])
            except RedisUnavailable:
                return False
            async with connect(after.url) as master:
                return await master.get("a") == b"2"

        await eventually(written, 20)

    def blocking() -> bool:
        with connect_blocking(watched.url) as made:
            return bool(made.get("a") == b"2")

    assert await asyncio.to_thread(blocking)


async def test_no_sentinel_and_an_unknown_master_are_clear_errors(watched: Sentinels) -> None:
    async with connect(f"redis+sentinel://127.0.0.1:{free_port()}/prices", timeout=1) as client:
        with pytest.raises(RedisUnavailable, match="No master found"):
            await client.get("a")
    async with connect(watched.url.replace("/prices", "/nobody")) as client:
        with pytest.raises(RedisUnavailable, match="nobody"):
            await client.get("a")
