"""When memory of closed connections is collected.

A connection that has ended is a ring of objects that refer to one another, some 11 KiB, which only the garbage
collector finds. Left to itself it looks through all objects again and again while clients come: with 10,000
connections each look takes a good part of a second in which nobody is served, and letting 10,000 back in took three
times as long as without. Here the full look is taken when it pays, and never while nobody comes or goes.
"""

import gc
from collections.abc import Callable

from cottage.clock import Clock

YOUNG = 10_000
"""Objects made before the young ones are looked through; those are few, whatever there is beside them."""
LOOK_SECONDS = 1.0
LEAST = 500
"""Connections that must have ended before a full look is worth it: some 5 MiB."""
SHARE = 0.25
"""Of the open connections, likewise."""
LONGEST_SECONDS = 600.0
"""A full look is taken at least this often, for what else there may be."""


class GarbageCollection:
    def __init__(self, clock: Clock, opened: Callable[[], int], ended: Callable[[], int]) -> None:
        """`opened`: connections that are open; `ended`: how many have ended since the start."""
        self._clock = clock
        self._opened = opened
        self._ended = ended
        self._collected_at = clock.monotonic()
        self._ended_then = 0

    async def watch(self) -> None:
        """Until cancelled."""
        before = gc.get_threshold()
        gc.set_threshold(YOUNG, before[1], 2**31 - 1)
        try:
            while True:
                await self._clock.sleep(LOOK_SECONDS)
                if self.due():
                    self.collect()
        finally:
            gc.set_threshold(*before)

    def due(self) -> bool:
        waste = self._ended() - self._ended_then
        long_ago = self._clock.monotonic() - self._collected_at >= LONGEST_SECONDS
        return long_ago or waste >= max(LEAST, SHARE * self._opened())

    def collect(self) -> None:
        gc.collect()
        self._collected_at, self._ended_then = self._clock.monotonic(), self._ended()
