"""When the symbols' newest samples were made, and how old they are. The symbol table uses it.

Feynman sees a sample arrive, so it owns its age: that is fixed by Redis's clock when the sample is first seen, not
below 0, and carried on by the monotonic clock, which nobody sets. A feed's own time names its sample, and proves
nothing where it lies ahead.
"""

import numpy as np

from services.feynman.windows import BoolArray, FloatArray, RowArrays, Rows

SAME_SECONDS = 0.0005
"""Stored states tell times in whole milliseconds: two that differ by no more are the same."""


class SampleTimes(RowArrays):
    """The times of every symbol's newest sample, in rows as those of Windows. All are in seconds.

    Attributes, with one row a symbol:
        feed_time: the newest sample's own timestamp, nan if it is not known.
        made: when the newest sample was made, by the monotonic clock.
        after: a new sample's own timestamp is later than this.
    """

    def __init__(self, capacity: int = 64) -> None:
        self.feed_time, self.made, self.after = np.zeros(capacity), np.zeros(capacity), np.zeros(capacity)
        self._seen, self._seen_made = np.zeros(capacity), np.zeros(capacity)
        """The timestamp of the newest snapshot, which may have been refused, and when that was made."""

    def begin(self, row: int) -> None:
        """A new symbol has this row."""
        if row >= len(self.made):
            self.grow(2 * row)
        self.clear(row)
        self._seen[row] = np.nan

    def clear(self, row: int) -> None:
        """The symbol's samples are those of another source from now on."""
        self.feed_time[row], self.after[row] = np.nan, -np.inf

    def restore(self, rows: Rows, feed_time: FloatArray, timestamp: FloatArray) -> None:
        """The newest samples of `rows` are those of a checkpoint; `feed_time` is nan if its version is older."""
        self.feed_time[rows], self.after[rows] = feed_time, timestamp

    def adopt(self, row: int, feed_time: float, age: float, now: float) -> None:
        """Another process knew a sample of the symbol by this time. If it is the first that is seen, it is of this
        age at the monotonic time `now`."""
        self._seen[row], self._seen_made[row] = feed_time, now - age

    def see(self, rows: Rows, feed_time: FloatArray, age: FloatArray, now: float) -> None:
        """The snapshots of `rows` have these timestamps: those that were not seen before are of this age, or just
        made if that is below 0."""
        new = ~(np.abs(feed_time - self._seen[rows]) <= SAME_SECONDS)  # nan: none was seen
        self._seen[rows[new]] = feed_time[new]
        self._seen_made[rows[new]] = now - np.maximum(age[new], 0.0)

    def held(self, rows: Rows, feed_time: FloatArray) -> BoolArray:
        """Which snapshots with these timestamps are the newest samples again."""
        return np.asarray((feed_time == self.feed_time[rows]) | (feed_time == self.after[rows]))

    def hold(self, rows: Rows, feed_time: FloatArray, redis_now: float, now: float) -> FloatArray:
        """The snapshots that were seen last are the newest samples of `rows`. Returns their timestamps: their feeds'
        own, where Redis's clock has shown that already when they were first seen. `redis_now`: Redis's clock at the
        monotonic time `now`, here and below."""
        self.feed_time[rows], self.made[rows] = feed_time, self._seen_made[rows]
        timestamp = self.by_redis(rows, redis_now, now)
        own = feed_time <= timestamp + 2 * SAME_SECONDS
        timestamp[own] = feed_time[own]
        self.after[rows] = timestamp
        return timestamp

    def by_redis(self, rows: Rows, redis_now: float, now: float) -> FloatArray:
        """When the newest samples of `rows` were made, by Redis's clock as it is now, in whole milliseconds."""
        return np.asarray(np.rint((redis_now - (now - self.made[rows])) * 1000) / 1000)
