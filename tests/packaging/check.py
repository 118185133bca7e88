"""`python check.py REDIS_URL WS_URL`, against running services, with whatever versions of the libraries there are.

It needs nothing but the installed library: tests/packaging/test_versions.py runs it with the oldest and the newest.
"""

import asyncio
import sys
import time
from contextlib import suppress

from cottage import (
    FAIL_SAFE,
    BlockingPhysicsReader,
    Lease,
    MarketFeeds,
    MarketSnapshot,
    MarketSnapshots,
    PhysicsReader,
    PhysicsStates,
    RedisError,
    RedisUnavailable,
    SettingsError,
    StateClient,
    StateUnavailable,
    StrategyLeaderboard,
    TaskQueue,
    connect,
    connect_blocking,
    subscribe,
)
from cottage.redis import Client


def blocking_reader(url: str) -> None:
    with BlockingPhysicsReader.connect(url) as reader:
        assert reader.get("SPY", max_age=10.0).origin == "redis"
        assert reader.get("NOBODY") is None
        assert {"SPY", "QQQ"} <= set(reader.all().states)
    with BlockingPhysicsReader.connect("redis://127.0.0.1:1", timeout=0.5) as nobody:
        assert nobody.get("SPY", fallback=FAIL_SAFE).origin == "fallback"
    with connect_blocking(url) as client:
        assert client.ping() is True


async def reader(url: str) -> None:
    async with PhysicsReader.connect(url) as reader:
        reading = await reader.get("SPY", max_age=10.0)
        assert reading.freshness.status == "live"
        many = await reader.many(["SPY", "NOBODY"])
        assert (list(many.states), many.missing, many.complete) == (["SPY"], ("NOBODY",), True)
        assert {"SPY", "QQQ"} <= set((await reader.all()).states)
        await reader.check()
        assert reader.problem is None
    async with PhysicsReader.connect("redis://127.0.0.1:1", timeout=0.5) as nobody:
        with suppress(StateUnavailable):
            raise AssertionError(await nobody.get("SPY", max_age=3.0))


async def commands(url: str, client: Client) -> None:
    assert await client.bulk([("SET", "check", 1), ("GET", "check"), ("GET", "nothing")]) == [b"OK", b"1", None]
    assert await client.bulk([("INCR", "check")] * 3, transaction=True) == [2, 3, 4]
    (error,) = await client.bulk([("LPUSH", "check", 1)], raise_on_error=False)
    assert isinstance(error, RedisError)
    for transaction in (False, True):
        with suppress(RedisError):
            raise AssertionError(await client.bulk([("LPUSH", "check", 1)], transaction=transaction))
    assert await client.register_script("return ARGV[1]")(args=["said"]) == b"said"
    assert abs(await client.now() - time.time()) < 60
    for bad in ("http://127.0.0.1", f"{url}?no_such_option=1"):
        with suppress(SettingsError):
            raise AssertionError(connect(bad))
    async with connect("redis://127.0.0.1:1") as nobody:
        with suppress(RedisUnavailable):
            raise AssertionError(await nobody.ping())


async def store(client: Client) -> None:
    assert (await PhysicsStates(client).many(["SPY"])).keys() == {"SPY"}
    snapshots = MarketSnapshots(client)
    written = MarketSnapshot("CHECK", 1.0, time.time(), source="check", bid=0.9)
    assert await snapshots.write([written]) == {}
    assert await snapshots.get("CHECK") == written
    assert "CHECK" in await snapshots.symbols()
    await snapshots.release()  # for the next version, which is another process
    await MarketFeeds(client).announce("CHECK", {"source": "check"})
    assert "CHECK" in await MarketFeeds(client).alive()
    tasks = TaskQueue(client)
    assert await tasks.push({"n": 1}) == 1
    assert await tasks.pop() == {"n": 1}
    await StrategyLeaderboard(client).score({"One": 1.5})
    assert await StrategyLeaderboard(client).top() == [("One", 1.5)]


async def subscription(url: str, client: Client) -> None:
    async with subscribe(url, "check", "check2") as channels:
        for number in range(100):
            await client.publish("check", number)
        heard: list[bytes] = []
        while len(heard) < 100:
            heard += await channels.messages(5)
        assert heard == [str(number).encode() for number in range(100)]
        assert await channels.answers(5) is True
        assert await channels.messages(0.01) == []
        assert await client.client_kill_filter(_type="pubsub")
        for _ in range(3):  # it stays lost
            with suppress(RedisUnavailable):
                raise AssertionError(await channels.messages(5))


async def lease(url: str) -> None:
    async with Lease(url, "check:lease", lifetime=5.0) as held:
        assert await held.acquire()
        await held.renew()


async def websocket(url: str) -> None:
    async with StateClient.connect(url, symbols=["SPY", "QQQ"]) as client, asyncio.timeout(30):
        await client.synced()
        async for symbol, state in client.changes():
            if state is not None and client.freshness(symbol) == "live":
                return


async def main(redis_url: str, ws_url: str) -> None:
    blocking_reader(redis_url)
    await reader(redis_url)
    async with connect(redis_url) as client:
        await commands(redis_url, client)
        await store(client)
        await lease(redis_url)
        await subscription(redis_url, client)
    await websocket(ws_url)
    print("all is well")


asyncio.run(main(*sys.argv[1:]))
