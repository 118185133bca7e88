"""How old each sample really is: since the harness saw it first, by the harness's own monotonic clock.

No step of any wall clock makes a sample younger here, so that what is called live and is old is found across steps.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from cottage.clock import from_iso

FOREIGN = tuple(f"F{number}" for number in range(6))
"""Symbols of a feed of the harness's own: now and then quiet for longer than a state is live."""
MOST_KEPT = 4000
"""Samples of a symbol: those of several minutes."""


class Samples:
    """A sample is named by its symbol and the time that its feed gave it, in seconds since 1970.

    `now` is the harness's monotonic clock.
    """

    def __init__(self, written: Iterable[str] = FOREIGN) -> None:
        """`written`: symbols of a feed that says before it writes (`wrote`). Of these there are no other samples."""
        self._first: dict[str, dict[int, float]] = {}
        self._written = frozenset(written)

    def wrote(self, symbol: str, time: float, now: float) -> None:
        """A feed is about to write this sample."""
        self._first.setdefault(symbol, {}).setdefault(_millis(time), now)

    def age(self, symbol: str, time: float, now: float) -> float | None:
        """Seconds since this sample was seen first; None for one that its feed, which says so, never wrote."""
        first = self._first.setdefault(symbol, {})
        if symbol not in self._written:
            first.setdefault(_millis(time), now)
            if len(first) > MOST_KEPT:
                del first[next(iter(first))]
        seen = first.get(_millis(time))
        return None if seen is None else max(0.0, now - seen)

    def stepped(self) -> None:
        """The feeds' clock was set. Forgets all but each symbol's newest samples, of which one is told again, the
        last or that before it: a later one may get the name of one of the others."""
        for first in self._first.values():
            for millis in list(first)[:-2]:
                del first[millis]


def sample_time(fields: Mapping[str, Any]) -> float | None:
    """The time that names the sample of a state or an update, in seconds since 1970."""
    stamp = fields.get("feed_time") or fields.get("timestamp")
    return None if stamp is None else from_iso(stamp)


def _millis(time: float) -> int:
    """A state's timestamp has milliseconds."""
    return round(time * 1000)
