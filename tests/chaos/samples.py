"""How old each sample really is: since the harness saw it first, by the harness's own monotonic clock.

No step of any wall clock makes a sample younger here, so that what is called live and is old is found across steps.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from cottage.clock import AHEAD_SECONDS, from_iso

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
        self.undated_until = -math.inf
        """Of samples of before that moment nobody may know the age: who knew was not there as a clock was set. Some
        are not followed by a newer one for several faults."""

    def wrote(self, symbol: str, time: float, now: float) -> None:
        """A feed is about to write this sample, a new one, whatever had its name before a step."""
        first = self._first.setdefault(symbol, {})
        first.pop(_millis(time), None)
        self._keep(first, _millis(time), now)

    def age(self, symbol: str, time: float, now: float) -> float | None:
        """Seconds since this sample was seen first; None for one that its feed, which says so, never wrote."""
        first = self._first.setdefault(symbol, {})
        if symbol not in self._written and _millis(time) not in first:
            self._keep(first, _millis(time), now)
        seen = first.get(_millis(time))
        return None if seen is None else max(0.0, now - seen)

    def age_at(self, symbol: str, time: float, moment: float, now: float) -> float | None:
        """The same, as it was at a moment before `now`: when a question was asked that is answered now. Nobody knows
        of the sample before the answer, which a hung server gives late."""
        age = self.age(symbol, time, now)
        return None if age is None else max(0.0, age - (now - moment))

    def unseen(self, age: float, now: float) -> float:
        """By so many seconds a sample of that age may be shown younger: who was not there as a clock was set takes
        what seems to lie ahead by so little for new."""
        return AHEAD_SECONDS if now - age <= self.undated_until else 0.0

    def stepped(self) -> None:
        """The feeds' clock was set. Forgets all but each symbol's newest samples, of which one is told again, the
        last or that before it: a later one may get the name of one of the others. Not of a feed that says before it
        writes: of its newest some may never have arrived, so that an older one is told again."""
        for symbol in self._first.keys() - self._written:
            first = self._first[symbol]
            for millis in list(first)[:-2]:
                del first[millis]

    @staticmethod
    def _keep(first: dict[int, float], millis: int, now: float) -> None:
        first[millis] = now
        if len(first) > MOST_KEPT:
            del first[next(iter(first))]


def sample_time(fields: Mapping[str, Any]) -> float | None:
    """The time that names the sample of a state or an update, in seconds since 1970."""
    stamp = fields.get("feed_time") or fields.get("timestamp")
    return None if stamp is None else from_iso(stamp)


def _millis(time: float) -> int:
    """A state's timestamp has milliseconds."""
    return round(time * 1000)
