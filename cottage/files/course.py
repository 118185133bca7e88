"""Figures of the rows of a recording, gathered in one pass over them in order of time. report.py shows them."""

import math
from dataclasses import dataclass, field

from cottage.files.rows import Row

SECOND = 1_000_000
MOST_PRICES = 20_000
"""So many prices of a symbol, those that differ from the one before, are looked at for its tick."""
ON_GRID = 0.75
STEPS = (5.0, 2.5, 2.0, 1.0)
FINEST, COARSEST = -10, 6
"""Powers of ten between which a tick is looked for."""
SEVERAL_TICKS = 1.5
"""A move of two ticks or more is more than so many: between one and two there is nothing but rounding."""


@dataclass(slots=True)
class Extreme:
    """The largest of something, and the row that ended it with its number, counted from 1 in order of time."""

    value: float = 0.0
    row: Row | None = None
    number: int = 0

    def offer(self, value: float, row: Row, number: int) -> None:
        if value > self.value:
            self.value, self.row, self.number = value, row, number


@dataclass(slots=True)
class SymbolCourse:
    """The rows of one symbol."""

    first: Row
    last: Row
    rows: int = 0
    returns: int = 0
    squares: float = 0.0
    """The sum of the squared returns from row to row."""
    largest: Extreme = field(default_factory=Extreme)
    """The largest |return| from row to row."""
    repeated: int = 0
    """How many rows are the same as the row before them in all that is read."""
    prices: list[float] = field(default_factory=list)
    sampled: float = 0.0
    """The price of the newest complete sample."""
    moves: list[float] = field(default_factory=list)
    """|Δp| from sample to sample, MOST_PRICES at most: samples are bars, or the last prices of seconds with a row."""

    def take(self, row: Row, number: int) -> None:
        """Take its next row, and the number of that among the rows of all symbols."""
        before = self.last
        if self.rows:
            if row.interval is not None or row.time // SECOND != before.time // SECOND:
                self._sample(before.price)
            if row.price != before.price and len(self.prices) < MOST_PRICES:
                self.prices.append(row.price)
            change = math.log(row.price / before.price)
            self.returns += 1
            self.squares += change * change
            self.largest.offer(abs(change), row, number)
            self.repeated += row == before
        else:
            self.prices.append(row.price)
        self.last = row
        self.rows += 1

    def _sample(self, price: float) -> None:
        if self.sampled and len(self.moves) < MOST_PRICES:
            self.moves.append(abs(price - self.sampled))
        self.sampled = price

    @property
    def tick(self) -> float | None:
        """The grid on which its prices lie (docs/estimators.md); None where there is none, or too little to tell."""
        return tick_of(self.prices)

    @property
    def sigma(self) -> float:
        """The root of the mean squared return from row to row."""
        return math.sqrt(self.squares / self.returns) if self.returns else 0.0

    @property
    def large_moves(self) -> int | None:
        """How many of `moves` are two ticks or more; None without a tick, where every move tells."""
        tick = self.tick
        return None if tick is None else sum(move > SEVERAL_TICKS * tick for move in self.moves)


class Course:
    """All rows of a recording, or its first ones."""

    def __init__(self) -> None:
        self.rows = 0
        self.symbols: dict[str, SymbolCourse] = {}
        self.volume = 0.0
        self.head: list[Row] = []
        """The first three rows."""
        self.gap = Extreme()
        """The longest time in microseconds without any row."""
        self.first_stamp = math.inf
        self.last_stamp = -math.inf
        """The first and the last stamp as the file has them, in microseconds since 1970: the market's own time where
        there are two, a bar's beginning where its beginning is what is stamped."""
        self._newest: Row | None = None

    def take(self, row: Row, stamp: int) -> None:
        """Take the next row in order of time, and its time as the file has it, in microseconds since 1970."""
        if len(self.head) < 3:
            self.head.append(row)
        self.first_stamp = min(self.first_stamp, stamp)
        self.last_stamp = max(self.last_stamp, stamp)
        self.rows += 1
        if self._newest is not None:
            self.gap.offer(row.time - self._newest.time, row, self.rows)
        self._newest = row
        self.volume += row.volume or 0.0
        course = self.symbols.get(row.symbol)
        if course is None:
            course = self.symbols[row.symbol] = SymbolCourse(row, row)
        course.take(row, self.rows)


def tick_of(prices: list[float]) -> float | None:
    """The coarsest of {1, 2, 2.5, 5}·10ⁿ on which at least 75 % of `prices` lie; None where there is none that is
    smaller than the prices, or where there are fewer than ten."""
    if len(prices) < 10:
        return None
    smallest = min(prices)
    # The grid of a sample is no finer than that of the whole: most candidates are settled by few prices.
    few = prices[:: max(1, len(prices) // 200)]
    for power in range(COARSEST, FINEST - 1, -1):
        for step in STEPS:
            tick = step * 10.0**power
            if tick < smallest and _share(few, tick) >= ON_GRID - 0.15 and _share(prices, tick) >= ON_GRID:
                return float(f"{tick:.2e}")
    return None


def _share(prices: list[float], tick: float) -> float:
    """The share of prices that are a whole number of ticks, to within the rounding of a float or of its text."""
    allowed = 1e-6
    on_grid = sum(abs((ticks := price / tick) - round(ticks)) <= allowed + ticks * 1e-15 for price in prices)
    return on_grid / len(prices)
