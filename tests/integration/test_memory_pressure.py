"""Redis without memory, or without disk: nothing crashes, all is said, and all comes back."""

import contextlib

import pytest

from cottage import keys
from cottage.errors import RedisFull
from cottage.redis import Client, connect
from cottage.state import PhysicsState
from deploy.redis_server import free_port
from tests.integration.fanout import bridging, broadcasting, viewing
from tests.integration.feynman import feed, process, states, states_when
from tests.support import OwnRedis, ServiceProcess, eventually, service

SYMBOLS = [f"S{number}" for number in range(40)]
SMALL = "1100kb"
"""Less than a server uses that holds nothing."""


async def metric(process: ServiceProcess, name: str) -> float:
    lines = (await process.get("/metrics")).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


async def fills(client: Client, megabytes: int) -> None:
    for number in range(megabytes):
        with contextlib.suppress(RedisFull):  # what it evicts may free no room for as long as its clients' buffers do
            await client.set(f"filler:{number}", "x" * 2**20)


def seq(state: PhysicsState) -> int:
    return 0 if state.version is None else state.version.seq


async def test_what_is_evicted_comes_back_with_the_next_tick(own_redis: OwnRedis) -> None:
    link, port = free_port(), free_port()
    async with (
        connect(own_redis.url) as client,
        feed(client, SYMBOLS),
        process(own_redis.url) as feynman,
        bridging(own_redis.url, link),
        broadcasting(link, port),
        viewing(port) as viewer,
    ):
        await states_when(client, SYMBOLS, lambda state: seq(state) > 3)
        used = int((await client.info("memory"))["used_memory"])
        await client.config_set("maxmemory-policy", "allkeys-lru")
        await client.config_set("maxmemory", used + 3 * 2**20)

        async def evicted() -> bool:
            await fills(client, 6)  # a stranger takes all the room that there is, again and again
            return await metric(feynman, "cottage_feynman_redis_evicted_keys_total") > 0

        await eventually(evicted, 30)
        unwell = await feynman.logged("redis_unhealthy")
        assert "evicts keys (allkeys-lru): raise maxmemory" in unwell["reason"]
        await client.config_set("maxmemory", 0)
        for number in range(6):
            await client.unlink(f"filler:{number}")
        newest = max(map(seq, (await states(client, SYMBOLS)).values()), default=0)
        await states_when(client, SYMBOLS, lambda state: seq(state) > newest)
        await eventually(lambda: set(SYMBOLS) <= viewer.held.keys())
        await feynman.logged("redis_healthy")


async def test_a_full_server_takes_what_overwrites_and_refuses_the_rest(own_redis: OwnRedis) -> None:
    """noeviction. Under a lease that is held states go on; without one nothing does, and that is said once."""
    async with connect(own_redis.url) as client, feed(client, SYMBOLS), process(own_redis.url) as feynman:
        before = await states_when(client, SYMBOLS, lambda state: seq(state) > 3)
        await client.config_set("maxmemory-policy", "noeviction")
        await client.config_set("maxmemory", SMALL)
        with pytest.raises(RedisFull, match="Raise its maxmemory"):
            await client.set("more", "x")
        await client.delete(keys.physics_writer(0))
        failed = await feynman.logged("redis_lost", during="tick")
        assert "OOM" in failed["error"]
        assert "Raise its maxmemory, or give it the policy allkeys-lru" in failed["error"]

        async def counted() -> bool:
            return await metric(feynman, 'cottage_feynman_redis_errors_total{kind="RedisFull"}') > 0

        await eventually(counted)
        status = (await feynman.get("/status")).json()
        assert "OOM" in status["redis"]["problem"]

        async def limited() -> bool:  # by a look at Redis's health, which is taken every few seconds
            return bool((await feynman.get("/status")).json()["redis"]["health"]["limit_bytes"] > 0)

        await eventually(limited)
        assert (await feynman.get("/readyz")).status_code == 503
        assert (await feynman.get("/healthz")).status_code == 200, "a restart would mend nothing"
        await client.config_set("maxmemory", 0)
        epoch = max(state.version.epoch for state in before.values() if state.version is not None)
        await states_when(client, SYMBOLS, lambda s: s.version is not None and s.version.epoch > epoch)
        await feynman.ready()
        assert feynman.returncode is None


async def test_a_held_lease_goes_on_where_it_only_overwrites(own_redis: OwnRedis) -> None:
    async with connect(own_redis.url) as client, feed(client, SYMBOLS), process(own_redis.url) as feynman:
        await states_when(client, SYMBOLS, lambda state: seq(state) > 3)
        await client.config_set("maxmemory", SMALL)
        written = (await feynman.get("/status")).json()["written"]

        async def more() -> bool:
            return bool((await feynman.get("/status")).json()["written"] > written + 10 * len(SYMBOLS))

        await eventually(more)
        assert (await feynman.get("/status")).json()["role"] == "writer"


async def test_the_market_keeps_the_newest_until_there_is_room(own_redis: OwnRedis) -> None:
    settings = {"REDIS_URL": own_redis.url, "MARKET_INTERVAL_SECONDS": "0.05", "MARKET_SYMBOLS": "SPY,QQQ"}
    async with connect(own_redis.url) as client, service("market", settings) as market:
        await market.ready()
        await client.config_set("maxmemory", SMALL)
        failed = await market.logged("redis_lost")
        assert "OOM" in failed["error"]
        await eventually(lambda: not_ready(market))
        assert await metric(market, 'cottage_market_redis_errors_total{kind="RedisFull"}') > 0
        await client.config_set("maxmemory", 0)
        await market.logged("redis_back")
        await market.ready()


async def not_ready(process: ServiceProcess) -> bool:
    return (await process.get("/readyz")).status_code == 503
