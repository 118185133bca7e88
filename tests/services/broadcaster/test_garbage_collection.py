"""When memory of closed connections is collected."""

import asyncio
import gc
import weakref

from cottage.clock import SystemClock
from services.broadcaster.garbage_collection import LEAST, LONGEST_SECONDS, GarbageCollection
from tests.integration.fanout import HurriedClock


class Counts:
    open = 0
    ended = 0


class SetClock(SystemClock):
    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_a_full_look_is_taken_when_enough_has_ended_or_after_a_long_time() -> None:
    clock, counts = SetClock(), Counts()
    garbage = GarbageCollection(clock, lambda: counts.open, lambda: counts.ended)
    counts.ended = LEAST - 1
    assert not garbage.due()
    counts.ended = LEAST
    assert garbage.due()
    counts.open = 100 * LEAST
    assert not garbage.due(), "the more there are, the more a look costs"
    counts.ended = 25 * LEAST
    assert garbage.due()
    garbage.collect()
    assert not garbage.due()
    clock.now = LONGEST_SECONDS
    assert garbage.due()


async def test_rings_of_ended_connections_are_collected_and_the_thresholds_come_back() -> None:
    class Ring:
        def __init__(self) -> None:
            self.myself = self

    counts, before = Counts(), gc.get_threshold()
    watching = asyncio.create_task(
        GarbageCollection(HurriedClock(), lambda: counts.open, lambda: counts.ended).watch()
    )
    await asyncio.sleep(0)
    assert gc.get_threshold()[2] > 1_000_000
    ring = Ring()
    gone = asyncio.Event()
    weakref.finalize(ring, gone.set)
    gc.collect(1)  # it is old now: no look at the young ones finds it
    del ring
    counts.ended = LEAST
    async with asyncio.timeout(10):
        await gone.wait()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert gc.get_threshold() == before
