"""On which marks of feeds that run in lock-step (cottage/lock_step.py) feynman ticks.

Anybody can publish a mark. One that names no symbol of ours costs next to nothing, and a tick on any other takes only
numbered samples, which are the same whenever they are taken. So all that a forged one can cost is a tick, and ticks
that bring nothing get no more than IN_VAIN_SECONDS between two ticks of feynman's own.
"""

import asyncio
from collections.abc import Sequence

from cottage.errors import InvalidMessage
from cottage.lock_step import Mark
from services.feynman import metrics

IN_VAIN_SECONDS = 0.1
"""Enough for some: a tick of our own may have taken what a feed is about to mark."""
MOST_READ = 64
"""Of the marks that came since the last tick the last so many are read. A feed marks again what was not taken."""


def named(marks: Sequence[Mark]) -> list[str]:
    """The symbols with new samples by these marks, each once."""
    return list(dict.fromkeys(symbol for mark in marks if mark.windows is None for symbol in mark.symbols))


class Marks:
    """The marks that wait for a tick, and for how long ticks on marks were in vain. Feynman has one of these."""

    def __init__(self) -> None:
        self._waiting: list[Mark] = []
        self._in_vain = 0.0
        self._may_tick = asyncio.Event()
        self._may_tick.set()

    def read(self, payloads: Sequence[bytes], database: int) -> None:
        """Have the marks wait that these messages are, as far as they are some. `database`: the number of ours."""
        for payload in payloads[-MOST_READ:]:
            try:
                self._waiting.append(Mark.from_bytes(payload, database))
            except InvalidMessage as error:
                metrics.MARKS_DROPPED.labels(error.reason).inc()

    async def may_tick(self) -> None:
        """Wait until there may be a tick on marks: where too much was in vain, for the next one of our own."""
        await self._may_tick.wait()

    def take(self) -> list[Mark]:
        """Those that wait: a tick that begins now is one on them."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def ticked(self, sampled: int, seconds: float) -> None:
        """There was a tick on marks alone, which brought so many samples and took so long."""
        metrics.MARKS_TAKEN.inc()
        if not sampled:
            self._in_vain += seconds
            if self._in_vain >= IN_VAIN_SECONDS:
                self._may_tick.clear()

    def own_tick(self) -> None:
        """There was a tick of our own."""
        self._in_vain = 0.0
        self._may_tick.set()
