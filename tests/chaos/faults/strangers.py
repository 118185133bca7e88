"""What others write to the same Redis: a second writer, keys of a wrong type, a flood of names, forged messages."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

from cottage import keys
from cottage.clock import iso_millis
from cottage.errors import InvalidMessage, RedisError
from cottage.lease import LeaseRecord
from cottage.messages import Heartbeat, agent_update
from cottage.state import PhysicsState
from cottage.version import Version
from tests.chaos.faults.registry import fault
from tests.chaos.samples import FOREIGN
from tests.chaos.suite import Suite
from tests.chaos.watch import FORGED
from tests.support import eventually

GREATEST = 2**53 - 1
FLOOD = 400
"""Names: more than FEYNMAN_MAX_SYMBOLS of the harness."""
SYNC_SECONDS = 1.1
"""Redis has it on its disk then: else a crash would bring it back."""
TURN_SECONDS = 8.0
"""Within five seconds the bridge compares every symbol with Redis, and three later again."""


# A second writer


async def _volume_falls(suite: Suite, symbol: str, ticks: int) -> int:
    """How often a cumulative volume went back within so many ticks, which no feed does in one session."""
    falls, before = 0, 0.0
    for _ in range(4 * ticks):
        await asyncio.sleep(suite.pace.tick / 4)
        with suppress(RedisError, TypeError, ValueError):
            volume = float(await suite.direct.hget(keys.market_snapshot(symbol), "volume") or 0)
            falls += volume < before
            before = volume
    return falls


@fault(alone=True)
async def second_market(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    """Another market process on the same Redis, with the same symbols: prices of two walks in one window."""
    async with suite.another_market(seed=rng.randrange(1000)):
        falls = await _volume_falls(suite, rng.choice(suite.symbols), 15)
        if falls > 1:  # one, where the owner hung and the other took over
            suite.violations.add("two_writers", f"a volume went back {falls} times while two markets ran")
        yield


@fault(alone=True)
async def stranger_by_hset(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    """README's own HSET beside our market: whoever was here is silent, and says so."""
    symbol, sources = rng.choice(suite.symbols[1:]), []
    key = keys.market_snapshot(symbol)
    for _ in range(60):
        with suppress(RedisError):
            now = round(await suite.direct.now(), 3)
            await suite.direct.hset(key, mapping={"price": 7.0, "timestamp": now, "source": "stranger"})
            await asyncio.sleep(suite.pace.tick / 2)
            sources.append(await suite.direct.hget(key, "source"))
    changes = sum(before != after for before, after in pairwise(sources))
    if changes > 2:
        suite.violations.add("two_writers", f"{symbol} changed its source {changes} times beside a stranger")
    yield
    await suite.insist("DEL", key)


# Keys


def _foreign_key(name: str, key: Callable[[random.Random, Suite], str], *bad: str, heals: bool) -> None:
    async def foreign_key(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
        place = key(rng, suite)
        with suppress(RedisError):
            await suite.direct.delete(place)
            await suite.direct.execute_command(*(place if word == "KEY" else word for word in bad))
        others = [symbol for symbol in suite.symbols if not place.endswith(symbol)]
        await asyncio.sleep(2 * suite.pace.thresholds.stale)
        await suite.all_written(others, f"with a {bad[0]} at {place}")
        yield
        if not heals:
            await suite.insist("DEL", place)

    foreign_key.__name__ = name
    fault(alone=True, lossy=True)(foreign_key)


def _of_some_symbol(prefix: Callable[[str], str]) -> Callable[[random.Random, Suite], str]:
    return lambda rng, suite: prefix(rng.choice(suite.symbols[1:]))


def _lease(_rng: random.Random, _suite: Suite) -> str:
    return keys.physics_writer(0)


def _feed(_rng: random.Random, _suite: Suite) -> str:
    return keys.market_feed("SIMULATE")


_RECORD = LeaseRecord("nobody", 1, 1, 500).to_bytes().decode()

_foreign_key("wrong_type_of_snapshot", _of_some_symbol(keys.market_snapshot), "SET", "KEY", "x", heals=False)
_foreign_key("wrong_type_of_state", _of_some_symbol(keys.physics_state), "LPUSH", "KEY", "x", heals=False)
_foreign_key("wrong_type_of_lease", _lease, "LPUSH", "KEY", "x", heals=True)
_foreign_key("wrong_type_of_feed", _feed, "LPUSH", "KEY", "x", heals=True)
_foreign_key("lease_of_nobody", _lease, "SET", "KEY", _RECORD, heals=True)


@fault(alone=True, lossy=True, deletes=True)
async def flood_of_names(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    """Foreign snapshots by the hundred: what was known before goes on, and no more is taken in than there is room."""
    names = [f"X{number:03}" for number in range(FLOOD)]
    now = round(await suite.direct.now(), 3)
    for name in names:
        with suppress(RedisError):
            fields = ("price", rng.uniform(1, 100), "timestamp", now, "source", "flood")
            await suite.direct.execute_command("HSET", keys.market_snapshot(name), *fields)
            await suite.direct.expire(keys.market_snapshot(name), 60)
    await asyncio.sleep(15 * suite.pace.tick)
    await suite.all_written(suite.symbols, "in a flood of names")
    states = await suite.direct.exists(*(keys.physics_state(name) for name in names))
    if states + len(suite.symbols) > suite.most_symbols:
        suite.violations.add("flooded", f"{states} states of a flood; the bound is {suite.most_symbols}")
    yield
    await suite.insist("DEL", *(keys.market_snapshot(name) for name in names))
    await suite.insist("RPUSH", keys.PHYSICS_RETIRE, *names)

    async def gone() -> bool:
        with suppress(RedisError):
            return not await suite.direct.exists(*(keys.physics_state(name) for name in names))
        return False

    await eventually(gone, 30)
    await asyncio.sleep(SYNC_SECONDS)


# Messages


async def _genuine(suite: Suite, symbol: str) -> PhysicsState:
    """What Redis holds of it now."""
    payload = await suite.direct.get(keys.physics_state(symbol))
    return PhysicsState.from_bytes(payload or b"")


async def _forge(
    suite: Suite, symbol: str, version: Callable[[Version, float], Version], database: int = 0, source: str = FORGED
) -> PhysicsState:
    """Publish an update that nobody wrote, with another price, and return its state. `version`: made of the one that
    Redis holds and of Redis's clock."""
    genuine, now = await _genuine(suite, symbol), await suite.direct.now()
    assert genuine.version is not None
    forged = replace(
        genuine, price=1e6, source=source, timestamp=iso_millis(now), version=version(genuine.version, now)
    )
    await suite.direct.publish(keys.STATE_UPDATE, forged.update(symbol, database))
    return forged


def _forging(name: str, version: Callable[[Version, float], Version], *, database: int = 0) -> None:
    async def forged(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
        with suppress(RedisError, InvalidMessage):
            for symbol in (*rng.sample(suite.symbols, 3), *rng.sample(FOREIGN, 2)):
                await _forge(suite, symbol, version, database)
            if database:
                event = agent_update(FORGED, iso_millis(await suite.direct.now()), {}, database)
                await suite.direct.publish(keys.STATE_UPDATE, event.payload)
        yield

    forged.__name__ = f"forged_{name}"
    fault(alone=True)(forged)


_forging("epoch", lambda _held, now: Version(round((now + 55) * 1000), 1))
_forging("seq", lambda held, _now: Version(held.epoch, GREATEST))
_forging("database", lambda held, _now: Version(held.epoch, held.seq + 1), database=1)


@fault(alone=True, takes_back=True, healing=TURN_SECONDS)
async def forged_next_seq(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    """Of a quiet symbol, which nothing contradicts but Redis: it passes, and is taken back."""
    symbol = rng.choice(FOREIGN)
    suite.quiet.add(symbol)
    try:
        await suite.write(symbol, 100.0)
        await asyncio.sleep(5 * suite.pace.tick)
        with suppress(RedisError, InvalidMessage):
            heartbeat = await suite.newest_tick()
            await _forge(suite, symbol, lambda held, _now: Version(held.epoch, heartbeat + 1), source="chaos")
        yield
    finally:
        suite.quiet.discard(symbol)


@fault(alone=True)
async def forged_heartbeats(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    """Of other epochs, other times and ticks far ahead; and an update that such a tick would make believable."""
    with suppress(RedisError, InvalidMessage):
        held = (await _genuine(suite, suite.symbols[0])).version
        assert held is not None
        for _ in range(10):
            now = await suite.direct.now()
            epoch = rng.choice([held.epoch, held.epoch, round((now + 55) * 1000), GREATEST, 1])
            heartbeat = Heartbeat(Version(epoch, held.seq), now, "0/1", 10, 10, tick=held.seq + 10**6)
            stamp = iso_millis(now + rng.choice([0, 0, -3600, 3600, 50]))
            await suite.direct.publish(keys.STATE_UPDATE, heartbeat.to_bytes(stamp))
        await _forge(suite, rng.choice(suite.symbols), lambda held, _now: Version(held.epoch, held.seq + 10**6))
    yield


@fault(alone=True, lossy=True)
async def forged_state(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    """A SET and its PUBLISH with an epoch that no honest one would ever reach."""
    with suppress(RedisError, InvalidMessage):
        for symbol in (rng.choice(suite.symbols), rng.choice(FOREIGN)):
            forged = await _forge(suite, symbol, lambda _held, _now: Version(GREATEST, 1))
            await suite.direct.set(keys.physics_state(symbol), forged.to_bytes())
    yield
