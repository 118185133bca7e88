"""How old a sample is, so that nobody who holds states shows one younger than it was once known to be. Pure.

A sample is named by its symbol, its source and the time that its feed gave it. Whoever hears of it for the first time
fixes its age by Redis's clock, and carries that on by a monotonic clock, which nobody sets. So a step of Redis's
clock makes no sample younger, and a state that is issued again after one is known to be of the same sample.
"""

import math
from typing import NamedTuple, Self

from cottage.clock import AHEAD_SECONDS, RemoteClock


class SampleAge(NamedTuple):
    """What a holder knows of the age of one symbol's newest sample. Times in seconds; `heard_at` is monotonic."""

    source: str | None
    market_time: float
    """The time that its feed gave it, seconds since 1970."""
    timestamp: float
    """The time of the state that was made from it, seconds since 1970: never ahead of Redis's clock."""
    heard_at: float
    """When the holder first heard of the sample."""
    floor: float
    """How old it was then; infinite if its timestamp lay ahead of Redis's clock, which says nothing about its age."""

    @classmethod
    def heard(
        cls,
        held: Self | None,
        source: str | None,
        timestamp: float,
        feed_time: float | None,
        clock: RemoteClock,
        now: float,
    ) -> Self:
        """The newest state was made from this sample. `held`: what was known of its symbol before. `clock`: Redis's,
        of which something must be known. `now`: monotonic, here and below."""
        market_time = timestamp if feed_time is None else feed_time
        if held is not None and held.market_time == market_time and held.source == source:
            return held if held.timestamp == timestamp else held._replace(timestamp=timestamp)
        return cls(source, market_time, timestamp, now, _floor(timestamp, clock, now))

    def age(self, clock: RemoteClock, now: float) -> float | None:
        """The seconds since the sample; None if its time lay ahead, so that nobody can say how old it is."""
        if self.floor == math.inf:
            return None
        redis_now = clock.now(now)
        assert redis_now is not None
        return max(self.floor + now - self.heard_at, redis_now - self.timestamp)

    def confirmed(self, clock: RemoteClock, since: float) -> Self:
        """The same sample after Redis's clock has been asked: what was fixed after `since`, the time of the answer
        before, is fixed again, since that clock may have been set in between."""
        if self.heard_at <= since:
            return self
        floor = _floor(self.timestamp, clock, self.heard_at)
        # What would lie ahead now was heard of before the clock went back.
        return self if floor == math.inf else self._replace(floor=floor)


def _floor(timestamp: float, clock: RemoteClock, now: float) -> float:
    redis_now = clock.now(now)
    assert redis_now is not None
    age = redis_now - timestamp
    return math.inf if age < -AHEAD_SECONDS else max(0.0, age)
