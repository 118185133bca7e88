"""A simulated market: prices, volumes and quotes of all symbols, the same ones for the same seed.

Symbols get one of three kinds of returns in turn, so that every regime of the physics shows:

    Gaussian      normal returns
    Lévy Stable   power-law tails with index 1.75
    Critical      power-law tails with index 1.1

Heavy tails are Pareto's beyond x0 and uniform below it, P(|r| > x) = q · (x / x0)^-α with q = 1 / (1 + α), which
makes the density continuous at x0. Hill's estimator has no bias on such a tail; on a stable distribution's it
reads far above α until the sample is huge (Weron 2001, Int. J. Mod. Phys. C 12). Sums keep the index of what they
sum, so it does not matter at which of its own ticks a reader samples the price.

Log prices revert to the base price, and are held within a factor of two of it, as a venue's price limits do.
"""

import math
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cottage.snapshot import MarketSnapshot

FloatArray = npt.NDArray[np.float64]

SOURCE = "simulate"
DEFAULT_SYMBOLS = ("SPY", "QQQ", "TSLA", "DIA", "AAPL", "NVDA", "IWM", "MSFT", "GME")

TAIL_INDICES = (math.inf, 1.75, 1.1)
"""Symbol i has index i mod 3; an infinite one is Gaussian."""

TICK = 0.01
LOWEST_BASE, HIGHEST_BASE = 20_000, 50_000  # ticks: one is far less than a usual return
SCALE = 4e-4  # σ of a Gaussian's return over a second, and x0 of a heavy tail
LARGEST_RETURN = 0.03  # what is beyond is cut to it: a tail index of 2 or less knows no bound or variance
FARTHEST = math.log(2.0)  # of the log price from the base's
REVERSION = 5e-4  # of that distance, a second: far less than a usual return, and enough over an hour
SHARES_PER_TRADE = 80.0
WIDEST = 8  # ticks that a large move adds to either side of the spread


class Simulation:
    """The prices, volumes and quotes of `symbols`, one step of `interval` seconds at a time.

    The n-th step is the same for the same seed, symbols, interval and numpy, whenever it is taken. Everything
    is counted since the start, which is the session's.
    """

    def __init__(self, symbols: Sequence[str], seed: int, interval: float = 1.0) -> None:
        number = len(symbols)
        self.symbols = tuple(symbols)
        self.steps = 0
        self._random = np.random.default_rng(seed)
        tails = np.array([TAIL_INDICES[i % len(TAIL_INDICES)] for i in range(number)])
        self._gaussian = np.isinf(tails)
        self._exponent = np.where(self._gaussian, 0.5, 1.0 / tails)
        self._tail_share = np.where(self._gaussian, 0.0, 1.0 / (1.0 + tails))
        # Over other intervals returns are as wide as sums of such returns are.
        self._scale = SCALE * interval**self._exponent
        self._kept = math.exp(-REVERSION * interval)
        # A symbol's base price is its own, whatever the seed and the company it keeps.
        spread = HIGHEST_BASE - LOWEST_BASE
        self._base = np.array([LOWEST_BASE + zlib.crc32(name.encode()) % spread for name in symbols], np.float64)
        self._usual_volume = self._random.uniform(500.0, 5000.0, number) * interval
        self._distance: FloatArray = np.zeros(number)  # ln(price / base)
        self._volume: FloatArray = np.zeros(number)
        self._trades: FloatArray = np.zeros(number)
        self._session = ""  # begins with the first step, at which all counters are near 0
        self._price = self._open = self._high = self._low = self._bid = self._ask = self._ticks()

    def step(self, timestamp: float) -> list[MarketSnapshot]:
        """The next prices, as snapshots of `timestamp` in epoch seconds, in the order of the symbols."""
        self.advance()
        self._session = self._session or str(round(timestamp * 1000))
        prices = (self._price, self._bid, self._ask, self._open, self._high, self._low)
        columns = (self._volume, self._trades, *(price * TICK for price in prices))
        # Rounded again, since a number of ticks times 0.01 is not always the nearest float to its decimal.
        rows = zip(self.symbols, *(column.round(2).tolist() for column in columns), strict=True)
        return [
            MarketSnapshot(
                symbol, price, timestamp, volume, trades, SOURCE, bid, ask, opened, high, low, self._session
            )
            for symbol, volume, trades, price, bid, ask, opened, high, low in rows
        ]

    def advance(self) -> None:
        """Take a step without making snapshots of it."""
        size = self._sizes()
        sign = np.where(self._random.random(len(size)) < 0.5, -1.0, 1.0)
        self._distance = np.clip(self._distance * self._kept + sign * size, -FARTHEST, FARTHEST)
        self._price = self._ticks()
        self._high, self._low = np.maximum(self._high, self._price), np.minimum(self._low, self._price)
        relative = size / self._scale
        self._turn_over(relative)
        self._bid, self._ask = self._quotes(relative)
        self.steps += 1

    def _sizes(self) -> FloatArray:
        """The next abs(r), each from its own distribution."""
        number = len(self._scale)
        survival = 1.0 - self._random.random(number)  # P(|r| > x), in (0, 1]
        normal = np.abs(self._random.standard_normal(number))
        share = self._tail_share
        body = (1.0 - survival) / (1.0 - share)
        tail = (share / survival) ** self._exponent
        relative = np.where(self._gaussian, normal, np.where(survival >= share, body, tail))
        sizes: FloatArray = np.minimum(relative * self._scale, LARGEST_RETURN)
        return sizes

    def _turn_over(self, relative: FloatArray) -> None:
        """Volume, more of it behind a larger move (`relative` to its scale), in trades of some 80 shares."""
        noise = self._random.lognormal(0.0, 0.5, len(relative))
        volume = np.maximum(1.0, np.rint(self._usual_volume * (0.5 + np.sqrt(relative)) * noise))
        self._volume = self._volume + volume
        self._trades = self._trades + np.clip(self._random.poisson(volume / SHARES_PER_TRADE), 1, volume)

    def _quotes(self, relative: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Bid and ask around the price, in ticks: a tick or two on either side, and more after a large move."""
        wider = np.minimum(np.floor(relative), WIDEST)
        sides = self._random.integers(1, 3, (2, len(relative))) + wider
        return self._price - sides[0], self._price + sides[1]

    def _ticks(self) -> FloatArray:
        ticks: FloatArray = np.rint(self._base * np.exp(self._distance))
        return ticks
