"""Decides when the broadcaster runs a full garbage collection, which frees the memory of closed connections.

A closed connection is a cycle of objects, some 11 KiB, which only the garbage collector can free. By default Python
runs full collections again and again while clients connect: with 10,000 connections each one blocks the process for a
good part of a second, and accepting 10,000 clients again takes three times as long. So a full collection runs only
once enough connections have ended, or ten minutes have passed.
"""

import gc
from collections.abc import Callable

from cottage.clock import Clock

YOUNG = 10_000
"""Allocations before Python collects the youngest generation, which stays small."""
LOOK_SECONDS = 1.0
"""Seconds between two decisions."""
LEAST = 500
"""So many connections must have ended before a full collection is worth it: some 5 MiB."""
SHARE = 0.25
"""So many must have ended as a share of the open connections, as well."""
LONGEST_SECONDS = 600.0
"""A full collection runs at least this often, for other garbage."""


class GarbageCollection:
    """Runs full garbage collections at the right times. The broadcaster uses it."""

    def __init__(self, clock: Clock, opened: Callable[[], int], ended: Callable[[], int]) -> None:
        """`opened`: returns how many connections are open; `ended`: how many have ended since the start."""
        self._clock = clock
        self._opened = opened
        self._ended = ended
        self._collected_at = clock.monotonic()
        self._ended_then = 0

    async def watch(self) -> None:
        """Collect when it is due, until cancelled; then restore Python's own thresholds."""
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
