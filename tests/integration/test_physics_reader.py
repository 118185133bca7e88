"""The reader, async and blocking, on a real Redis: the same answers from both."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable

import pytest

from cottage import keys
from cottage.errors import InvalidName, StateUnavailable
from cottage.freshness import Freshness
from cottage.reader.physics_reader import BlockingPhysicsReader, PhysicsReader
from cottage.reader.reading import Reading, Readings
from cottage.redis import Client, connect_blocking
from cottage.state import FAIL_SAFE, PhysicsState
from tests.services.physics.examples import PUBLISHED, state
from tests.support import OwnRedis, eventually

pytestmark = pytest.mark.usefixtures("face")

HUNG_SECONDS = 0.3
"""Timeout of the readers here: what a hung Redis costs once."""


class Both:
    """Asks both readers, and insists that they say the same."""

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        self.reader = PhysicsReader.connect(url, timeout)
        self.blocking = BlockingPhysicsReader.connect(url, timeout)

    async def get(
        self, symbol: str, max_age: float | None = None, fallback: PhysicsState | None = None
    ) -> Reading | None:
        one = await self.reader._answer(self.reader._queries.one(symbol, max_age, fallback))
        other = await asyncio.to_thread(
            lambda: self.blocking._answer(self.blocking._queries.one(symbol, max_age, fallback))
        )
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert one.state == other.state
            assert one.origin == other.origin
            assert (one.freshness.status, one.freshness.cause) == (other.freshness.status, other.freshness.cause)
        return one

    async def many(self, symbols: Iterable[str]) -> Readings:
        return self._same(await self.reader.many(symbols), await asyncio.to_thread(self.blocking.many, symbols))

    async def all(self) -> Readings:
        return self._same(await self.reader.all(), await asyncio.to_thread(self.blocking.all))

    async def check(self) -> None:
        await self.reader.check()
        await asyncio.to_thread(self.blocking.check)
        assert (self.reader.problem is None) == (self.blocking.problem is None)
        assert self.reader.chain == self.blocking.chain

    def _same(self, one: Readings, other: Readings) -> Readings:
        assert (list(one.states), one.missing, one.complete) == (list(other.states), other.missing, other.complete)
        for symbol, reading in one.states.items():
            assert reading.state == other.states[symbol].state
            assert reading.origin == other.states[symbol].origin
        return one

    async def __aenter__(self) -> "Both":
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.reader.aclose()
        self.blocking.close()


@pytest.fixture
async def both(redis_url: str) -> AsyncIterator[Both]:
    async with Both(redis_url) as readers:
        yield readers


async def put(client: Client, symbol: str, stored: PhysicsState | bytes) -> None:
    payload = stored.to_bytes() if isinstance(stored, PhysicsState) else stored
    await client.set(keys.physics_state(symbol), payload)


async def test_the_documented_line(redis_url: str, client: Client) -> None:
    held = state(time.time())
    await put(client, "SPY", held)
    reader = PhysicsReader.connect(redis_url)
    reading = await reader.get("SPY", max_age=3.0)
    assert reading.state == held
    assert reading.origin == "redis"
    assert reading.freshness.status == "live"
    assert await reader.get("NEW") is None
    assert (await reader.get("NEW", fallback=FAIL_SAFE)).state == FAIL_SAFE
    await reader.aclose()


def test_the_documented_line_without_a_loop(redis_url: str) -> None:
    held = state(time.time())
    with connect_blocking(redis_url) as client:
        client.set(keys.physics_state("SPY"), held.to_bytes())
    with BlockingPhysicsReader.connect(redis_url) as reader:
        assert reader.get("SPY", max_age=3.0).state == held
        assert reader.get("NEW") is None
        assert reader.get("NEW", fallback=FAIL_SAFE).state == FAIL_SAFE
        with pytest.raises(StateUnavailable):
            reader.get("NEW", max_age=3.0)
        with pytest.raises(InvalidName):
            reader.get("spy")


async def test_one_many_all(both: Both, client: Client) -> None:
    assert await both.get("SPY") is None
    assert (await both.all()).states == {}
    spy, quiet = state(time.time()), state(time.time() - 20.0, regime="Lévy Stable")
    await put(client, "SPY", spy)
    await put(client, "QQQ", quiet)
    await put(client, "OLD", PUBLISHED)
    one = await both.get("SPY")
    assert one is not None
    assert one.state == spy
    many = await both.many(["SPY", "NEW"])
    assert many.states["SPY"].state == spy
    assert many.missing == ("NEW",)
    everything = await both.all()
    assert {symbol: reading.state for symbol, reading in everything.states.items()} == {
        "OLD": PUBLISHED,
        "QQQ": quiet,
        "SPY": spy,
    }
    assert {symbol: reading.freshness.status for symbol, reading in everything.states.items()} == {
        "OLD": "expired",
        "QQQ": "stale",
        "SPY": "live",
    }


async def test_all_of_many_hundreds(both: Both, client: Client) -> None:
    symbols = sorted(f"S{number}" for number in range(1234))
    held = state(time.time()).to_bytes()
    await client.mset({keys.physics_state(symbol): held for symbol in symbols})
    assert list((await both.all()).states) == symbols


async def test_age_is_by_the_clock_of_redis(both: Both, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(client, "SPY", state(await client.now() - 2.0))
    true_time = time.time
    monkeypatch.setattr(time, "time", lambda: true_time() - 3600.0)  # this machine's clock is an hour slow
    reading = await both.get("SPY")
    assert reading is not None
    assert reading.freshness.age is not None
    assert 2.0 <= reading.freshness.age < 10.0


async def test_causes(redis_url: str, client: Client) -> None:
    await put(client, "SPY", state(time.time() - 20.0))

    async def cause() -> str | None:
        async with Both(redis_url) as both:  # new ones: what a reader learned of the hops holds for 2 s
            reading = await both.get("SPY")
        assert reading is not None
        return reading.freshness.cause

    assert await cause() == "writer_down"
    await client.set(keys.physics_writer(0), b'{"holder":"a","epoch":1,"shards":1}', ex=60)
    assert await cause() == "feed_down"
    await client.set(keys.market_feed("CB"), b'{"source":"live","venue":"coinbase","symbols":["SPY"]}', ex=60)
    assert await cause() == "market_quiet"


@pytest.mark.parametrize("stored", [b"not JSON", b'{"mass":1e999}', b"{}", b"\x00\xff"])
async def test_bad_states(both: Both, client: Client, stored: bytes) -> None:
    good = state(time.time())
    await put(client, "SPY", good)
    await both.get("SPY")
    await put(client, "SPY", stored)
    await put(client, "NEW", stored)
    readings = await both.many(["SPY", "NEW"])
    assert readings.states["SPY"].state == good
    assert readings.states["SPY"].origin == "remembered"
    assert readings.states["NEW"].state == FAIL_SAFE


async def test_a_key_of_another_type_is_a_bad_state_and_not_a_missing_one(both: Both, client: Client) -> None:
    await client.lpush(keys.physics_state("SPY"), "x")
    reading = await both.get("SPY")
    assert reading is not None
    assert reading.origin == "fallback"
    assert list((await both.all()).states) == ["SPY"]
    assert both.reader.counts.bad_states["type"] > 0


async def test_a_hung_redis_costs_its_timeout_once(own_redis: OwnRedis) -> None:
    async with Both(own_redis.url, HUNG_SECONDS) as both:
        with connect_blocking(own_redis.url) as client:
            client.set(keys.physics_state("SPY"), state(time.time()).to_bytes())
        assert await both.get("SPY") is not None
        own_redis.suspend()
        readings = await asyncio.gather(*(both.reader.get("SPY", fallback=FAIL_SAFE) for _ in range(100)))
        assert {reading.origin for reading in readings} == {"remembered"}
        reading = await both.get("SPY")
        assert reading is not None
        assert reading.origin == "remembered"
        assert await both.get("NEW", fallback=PUBLISHED) is not None
        with pytest.raises(StateUnavailable, match="redis_down"):
            await both.get("NEW", max_age=3.0)
        assert both.reader.problem is not None
        own_redis.resume()

        async def back() -> bool:
            reading = await both.reader.get("SPY", fallback=FAIL_SAFE)
            return reading.origin == "redis"

        await eventually(back)
        assert both.reader.problem is None


async def test_a_restart_in_between_is_not_even_noticed(own_redis: OwnRedis) -> None:
    async with Both(own_redis.url) as both:
        assert await both.get("SPY") is None
        await asyncio.to_thread(own_redis.restart)  # our loop goes on, and sees its connection end
        assert await both.get("SPY") is None
        assert both.reader.problem is None


async def test_gone_and_back(own_redis: OwnRedis) -> None:
    held = state(time.time())
    async with Both(own_redis.url) as both:
        with connect_blocking(own_redis.url) as client:
            client.set(keys.physics_state("SPY"), held.to_bytes())
        await both.all()
        own_redis.kill()
        everything = await both.all()
        assert everything.states["SPY"].state == held
        assert everything.states["SPY"].origin == "remembered"
        assert not everything.complete
        own_redis.start()

        async def both_are_back() -> bool:
            # Each finds out for itself, so they need not agree meanwhile.
            await both.reader.check()
            await asyncio.to_thread(both.blocking.check)
            return both.reader.problem is None and both.blocking.problem is None

        await eventually(both_are_back)
        assert (await both.all()).states == {}


async def test_a_wrong_password_is_said_and_answered_from_nothing(own_redis: OwnRedis) -> None:
    own_redis.restart("--requirepass", "correct")
    url = own_redis.url.replace("redis://", "redis://:wrong@")
    async with Both(url) as both:
        await both.check()
        assert both.reader.problem is not None
        assert "WRONGPASS" in both.reader.problem or "invalid" in both.reader.problem
        reading = await both.get("SPY", fallback=FAIL_SAFE)
        assert reading is not None
        assert reading.freshness == Freshness("expired", "redis_down", None)


async def test_threads_share_a_blocking_reader(redis_url: str, client: Client) -> None:
    await put(client, "SPY", state(time.time()))
    with BlockingPhysicsReader.connect(redis_url) as reader:
        reads = [asyncio.to_thread(reader.get, "SPY") for _ in range(50)]
        reads += [asyncio.to_thread(reader.get, "NEW") for _ in range(50)]
        readings = await asyncio.gather(*reads)
    assert [reading is not None for reading in readings] == [True] * 50 + [False] * 50
