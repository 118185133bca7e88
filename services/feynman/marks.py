"""On which marks of feeds that run in lock-step (cottage/lock_step.py) feynman ticks.

Anybody can publish a mark. One that names no symbol of ours costs next to nothing, and a tick on any other takes only
numbered samples, which are the same whenever they are taken. So all that a forged one can cost is a tick, and of
those that bring nothing there are no more than MOST_IN_VAIN between two ticks of feynman's own.
"""

import asyncio
from collections.abc import Sequence

from cottage.errors import InvalidMessage
from cottage.lock_step import Mark
from services.feynman import metrics

MOST_IN_VAIN = 2
"""More than one, since a tick of our own may have taken what a feed is about to mark."""
MOST_READ = 64
"""Of the marks that came since the last tick the last so many are read. A feed marks again what was not taken."""


class Marks:
    """Reads marks, and counts the ticks on them that were in vain."""

    def __init__(self) -> None:
        self._in_vain = 0
        self._may_tick = asyncio.Event()
        self._may_tick.set()

    def read(self, payloads: Sequence[bytes], database: int) -> list[Mark]:
        """The marks that these messages are, as far as they are some. `database`: the number of ours."""
        marks = []
        for payload in payloads[-MOST_READ:]:
            try:
                marks.append(Mark.from_bytes(payload, database))
            except InvalidMessage as error:
                metrics.MARKS_DROPPED.labels(error.reason).inc()
        return marks

    async def may_tick(self) -> None:
        """Wait until there may be a tick on a mark: where too many were in vain, for the next one of our own."""
        await self._may_tick.wait()

    def ticked(self, sampled: int) -> None:
        """There was a tick on a mark, which brought so many samples."""
        metrics.MARKS_TAKEN.inc()
        self._in_vain += not sampled
        if self._in_vain >= MOST_IN_VAIN:
            self._may_tick.clear()

    def own_tick(self) -> None:
        """There was a tick of our own."""
        self._in_vain = 0
        self._may_tick.set()
