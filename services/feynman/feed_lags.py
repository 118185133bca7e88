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

    def observe(self, feeds: Sequence[str], lags: FloatArray) -> None:
        """A tick brought new samples of these feeds, as late as this, in seconds."""
        if not feeds:
            return
        if feeds.count(feeds[0]) == len(feeds):  # as usual: it costs a tenth of the general case
            self._add(feeds[0], float(np.median(lags)))
            return
        by_feed: dict[str, list[float]] = {}
        for feed, lag in zip(feeds, lags.tolist(), strict=True):
            by_feed.setdefault(feed, []).append(lag)
        for feed, of_feed in by_feed.items():
            self._add(feed, statistics.median(of_feed))

    def forget(self) -> None:
        """Begin anew, since the clock by which lags are measured was set."""
        self._ticks.clear()

    def usual_ms(self) -> dict[str, int]:
        """The lag in milliseconds of each feed that is late by nature."""
        lags = {feed: _usual(sorted(ticks)) for feed, ticks in self._ticks.items()}
        return {feed: round(lag * 1000) for feed, lag in lags.items() if lag >= LEAST_SECONDS}

    def _add(self, feed: str, lag: float) -> None:
        ticks = self._ticks.pop(feed, None) or deque(maxlen=TICKS)
        ticks.append(lag)
        self._ticks[feed] = ticks
        if len(self._ticks) > MOST_FEEDS:
            del self._ticks[next(iter(self._ticks))]


def _usual(ticks: list[float]) -> float:
    """The median of these sorted lags; 0.0 if they are too few or not steady."""
    number = len(ticks)
    if number < LEAST_TICKS or ticks[number * 9 // 10] - ticks[number // 10] > STEADY_SECONDS:
        return 0.0
    return statistics.median(ticks)
