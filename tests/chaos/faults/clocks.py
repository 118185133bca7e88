"""Clocks that are set, on Redis's host, on all hosts or on one, and a client that stood still meanwhile.

How old anything really is, the harness knows by its own monotonic clock (samples.py).
"""

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Collection

from cottage import keys
from tests.chaos.faults.registry import fault
from tests.chaos.samples import FOREIGN
from tests.chaos.suite import Suite

DAY = 86_400.0
STEPS = (1.04, 7.04, 50.04, 3600.04, DAY - 0.04)
"""Seconds, forward and back: what NTP does, a resumed virtual machine, an administrator. No whole ticks, or a sample
after the step would have the name of one before it."""
BEYOND_BELIEF = -7 * DAY
"""Epochs more than two days ahead of Redis's clock count for nobody: after this step, all that there are."""


def _step(suite: Suite, rng: random.Random, names: Collection[str], of: str) -> None:
    """Set these clocks, by so much that the clock `of` one of them is within a day of the true time afterwards."""
    ahead = suite.clocks[of].ahead
    seconds = rng.choice(STEPS) * rng.choice((-1, 1))
    if abs(ahead + seconds) > DAY:
        seconds = -seconds if abs(ahead - seconds) <= DAY else -ahead
    suite.step(names, seconds)


@fault(steps=True, alone=True)
async def clock_of_redis_stepped(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    _step(suite, rng, ["redis"], "redis")
    yield


@fault(steps=True, alone=True)
async def clock_of_all_stepped(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    _step(suite, rng, suite.clocks.keys(), "redis")
    yield


@fault(steps=True)
async def clock_of_one_stepped(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    """Nothing depends on any clock but Redis's."""
    name = rng.choice(sorted(suite.members))
    _step(suite, rng, [name], name)
    yield


@fault(steps=True, alone=True, lossy=True, takes_back=True)
async def clock_of_redis_back_by_a_week(suite: Suite, _rng: random.Random) -> AsyncIterator[None]:
    """All epochs that there are lie too far ahead: new ones are lower, and clients come down to them."""
    suite.step(["redis"], BEYOND_BELIEF)
    yield


@fault(steps=True, alone=True, ends_processes=True, undates=True)
async def restarted_across_a_step(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    """Who did not see the step has no clock of before to compare with."""
    members = suite.of(rng.choice(["feynman", "bridge", "physics", "market", "broadcaster"]))
    for member in members:
        await member.kill()
    _step(suite, rng, ["redis"], "redis")
    yield
    for member in members:
        await suite.restart(member, rng)


@fault(steps=True, alone=True, undates=True)
async def hung_across_a_step(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    """Nobody issues anything again while feynman hangs, and no sample gets younger; nor does it for who hung."""
    members = suite.of(rng.choice(["feynman", "bridge", "physics", "market", "broadcaster"]))
    for member in members:
        member.suspend()
    try:
        await asyncio.sleep(5 * suite.pace.tick)
        _step(suite, rng, ["redis"], "redis")
        await asyncio.sleep(rng.uniform(10, 30) * suite.pace.tick)
        yield
    finally:
        for member in members:
            member.resume()


@fault(steps=True, alone=True, lossy=True, takes_back=True)
async def data_lost_and_clock_back(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    """Redis lost everything, and its clock is behind all that clients hold."""
    await suite.insist("FLUSHALL")
    suite.step(["redis"], -rng.choice(STEPS))
    yield


# Clients


@fault(alone=True)
async def client_stood_still(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    """What lay in its queue meanwhile says nothing about now, and the server is away as it wakes."""
    onlooker, servers = suite.onlooker.member, suite.of("broadcaster")
    onlooker.suspend()
    try:
        await asyncio.sleep(rng.choice((4, rng.uniform(5, 15))) * suite.pace.tick)
        for server in servers:
            server.suspend()
        try:
            await asyncio.sleep(rng.choice((1, rng.uniform(5, 30))) * suite.pace.tick)
            suite.onlooker.alone_since = time.monotonic()
            onlooker.resume()
            await asyncio.sleep(rng.uniform(5, 30) * suite.pace.tick)
            yield
        finally:
            suite.onlooker.alone_since = math.inf
            for server in servers:
                server.resume()
    finally:
        onlooker.resume()


@fault(steps=True, alone=True)
async def clock_of_a_client_stepped(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    """A user sets his clock: it costs no connection, and nothing looks stale."""
    onlooker = suite.onlooker
    losses = onlooker.losses
    _step(suite, rng, [onlooker.name], onlooker.name)
    for _ in range(30):
        await asyncio.sleep(suite.pace.tick)
        if onlooker.losses > losses:
            suite.violations.add("reconnected", "the onlooker gave up its connection as its clock was set")
            break
    yield


# Timestamps


@fault(alone=True)
async def row_from_ahead(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    """A feed's clock was wrong once: the rows after that one count, and where none comes, it is not live for long."""
    symbol = rng.choice(FOREIGN)
    suite.quiet.add(symbol)
    try:
        await suite.write(symbol, 999.0, ahead=rng.uniform(5, 58))
        if rng.random() < 0.5:
            await asyncio.sleep(3 * suite.pace.thresholds.stale)
        else:
            for price in (100.0, 101.0, 102.0):
                await asyncio.sleep(2 * suite.pace.tick)
                await suite.write(symbol, price)
            await suite.shows(symbol, lambda state: state.price == 102.0, f"rows of {symbol} after one from ahead")
        yield
    finally:
        suite.quiet.discard(symbol)
        await suite.direct.delete(keys.market_snapshot(symbol))
