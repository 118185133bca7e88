"""How late each feed is by nature, such as one whose market sells its prices free of charge after 15 minutes.

The symbol table measures it and writes it into the states, so that everybody can tell a late feed from a dead one.
"""

import statistics
from collections import deque
from collections.abc import Sequence

import numpy as np

from services.feynman.windows import FloatArray

LEAST_SECONDS = 1.0
"""What is less late than this is not late."""
STEADY_SECONDS = 5.0
"""A lag is the feed's nature only if four of five ticks agree within this time, half of that after which a state is
stale: a feed that catches up, or falls behind, has none."""
TICKS = 30
"""The lag is that of so many ticks with new samples."""
LEAST_TICKS = 5
MOST_FEEDS = 256
"""So many are remembered, those that had new samples last."""


class FeedLags:
    """The lags of all feeds, from when their samples were first seen and the times that they gave them."""

    def __init__(self) -> None:
        self._ticks: dict[str, deque[float]] = {}
        """For each feed the median lag, in seconds, of each of the last ticks that brought samples of it."""
        self._before: dict[str, int] = {}
        """The lags in ms that were known before, used until there are enough ticks."""

    def adopt(self, feed: str, lag_ms: int) -> None:
        """A stored state says that this feed is so late."""
        if len(self._before) < MOST_FEEDS:
            self._before[feed] = lag_ms

    def begin_anew(self) -> None:
        """The clock by which lags are measured was set."""
        before = {**self._before, **{feed: self._of(feed) for feed in self._ticks}}
        self._before = dict(list(before.items())[-MOST_FEEDS:])
        self._ticks.clear()

    def usual_ms(self, feeds: Sequence[str], lags: FloatArray) -> list[int]:
        """A tick brought new samples of these feeds, as late as this, in seconds. Returns for each by how many ms its
        feed is late by nature, 0 if it is not; its own lag where that is clearly less, for a feed may have symbols
        that are late and others that are not."""
        if not feeds:
            return []
        if feeds.count(feeds[0]) == len(feeds):  # as usual: it costs a tenth of the general case
            usual = self._usual_ms(feeds[0], float(np.median(lags)))
            return [_at_most(usual, lag) for lag in lags.tolist()] if usual else [0] * len(feeds)
        by_feed: dict[str, list[float]] = {}
        for feed, lag in zip(feeds, lags.tolist(), strict=True):
            by_feed.setdefault(feed, []).append(lag)
        of = {feed: self._usual_ms(feed, statistics.median(of_feed)) for feed, of_feed in by_feed.items()}
        return [_at_most(of[feed], lag) for feed, lag in zip(feeds, lags.tolist(), strict=True)]

    def told_ms(self, feed: str) -> int:
        """By how many ms this feed is late by nature, by what is known already."""
        return self._of(feed) if feed in self._ticks else self._before.get(feed, 0)

    def _usual_ms(self, feed: str, lag: float) -> int:
        """The lag of one feed in ms, with that of a tick more."""
        ticks = self._ticks.pop(feed, None) or deque(maxlen=TICKS)
        ticks.append(lag)
        self._ticks[feed] = ticks
        if len(self._ticks) > MOST_FEEDS:
            del self._ticks[next(iter(self._ticks))]
        return self._of(feed)

    def _of(self, feed: str) -> int:
        in_order, number = sorted(self._ticks[feed]), len(self._ticks[feed])
        if number < LEAST_TICKS:
            return self._before.get(feed, 0)
        steady = in_order[number * 9 // 10] - in_order[number // 10] <= STEADY_SECONDS
        usual = statistics.median(in_order)
        return round(usual * 1000) if steady and usual >= LEAST_SECONDS else 0


def _at_most(usual: int, lag: float) -> int:
    """The lag in ms of a sample whose feed is usually so late, by its own in seconds."""
    if lag >= usual / 1000 - STEADY_SECONDS:
        return usual
    return round(lag * 1000) if lag >= LEAST_SECONDS else 0
