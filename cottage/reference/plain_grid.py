"""The tick of a window in plain Python, from its definition alone: no numpy, and no rounding but what is stated.

It is slow, and meant to be read beside docs/estimators.md and services/feynman/windows/tick_grid.py.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import floor
from typing import NamedTuple

DIGITS = 12
UNIT = Fraction(1, 10**21)
GRIDS: list[int] = [multiple * 10**n for n in range(32) for multiple in (10, 20, 25, 50)][:-3]
"""{1, 2, 2.5, 5} · 10ⁿ from 10^-20 to 10^11, in UNITs, as all grids and the prices that vote are."""


HIDDEN = 0
"""Stands for a grid that was voted for and is not known; no vote elects it."""


class Price(NamedTuple):
    """A price of the window."""

    price: float
    before: float | None
    """The price of the sample before; None if there is no return from it."""
    mid: bool = False


class FoundGrid(NamedTuple):
    """What is known of a window's grid."""

    tick: Fraction | None
    snapped: int
    """How many prices do not lie on it."""
    disobeyed: bool
    """Whether a tick is stated that fewer than half of the prices obey."""


@lru_cache(maxsize=2**16)
def read(price: float) -> int:
    """A price to 12 significant digits, but no finer than 10^-20, of which it is at least one; in UNITs."""
    power = max(Decimal(price).adjusted() - DIGITS + 1, -20)
    digits = round(Fraction(price) / Fraction(10) ** power)
    unit: int = 10 ** (power + 21)
    return max(digits, 1) * unit


@lru_cache(maxsize=2**16)
def obeys(price: float, tick: Fraction) -> bool:
    """Whether a price is a multiple of any tick, to 12 digits."""
    ticks = Fraction(price) / tick
    return abs(ticks - round(ticks)) <= ticks * Fraction(1, 2 * 10 ** (DIGITS - 1))


@lru_cache(maxsize=2**16)
def nearest_tick(price: float, tick: Fraction) -> int:
    """Half a tick goes up, to 13 digits."""
    return floor(Fraction(price) / tick * (1 + Fraction(1, 10**13)) + Fraction(1, 2))


@lru_cache(maxsize=2**16)
def grids_of(*prices: int) -> frozenset[int]:
    """The grids on which all of these prices lie."""
    return frozenset(grid for grid in GRIDS if not any(price % grid for price in prices))


def on_grids(several: Iterable[Sequence[int]]) -> Counter[int]:
    """How many of these prices, or moves from one price to another, lie on each grid."""
    number: Counter[int] = Counter()
    for prices, times in Counter(map(tuple, several)).items():
        for grid in grids_of(*prices):
            number[grid] += times
    return number


def vote(prices: Sequence[int], moves: Sequence[Sequence[int]]) -> int:
    """The coarsest grid on which at least 3/4 of the prices lie, and both prices of at least 1/16 of the moves."""
    on, between = on_grids([price] for price in prices), on_grids(moves)
    return max(grid for grid in GRIDS if 4 * on[grid] >= 3 * len(prices) and 16 * between[grid] >= len(moves))


class PlainGrid:
    """The grid of one window, sample after sample."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.prices: list[Price] = []
        self.grid: int | None = None
        """That of the vote, for prices that are doubled where there is a mid."""
        self.against = 0
        self.stated: float | None = None
        self.scale = 1

    @classmethod
    def remembering(
        cls, window: int, prices: Sequence[Price], stated: float | None, grid: int | None, against: int
    ) -> "PlainGrid":
        """That of a window that has these prices, and of which this is known."""
        it = cls(window)
        it.prices, it.stated, it.grid, it.against = list(prices[-window:]), stated, grid, against
        it.scale = 2 if any(each.mid for each in it.prices) else 1
        return it

    def take(self, price: Price, stated: float | None = None) -> FoundGrid:
        self.see(price, stated)
        return self.found()

    def see(self, price: Price, stated: float | None = None) -> None:
        self.prices = [*self.prices, price][-self.window :]
        self.stated = stated or self.stated
        scale = 2 if any(each.mid for each in self.prices) else 1
        if scale != self.scale:
            self.scale, self.grid = scale, None
        elected = self.elected()
        if elected is None:
            self.against = 0
        else:
            self.against = 0 if elected == self.grid else self.against + 1
            if self.grid is None or self.against == 60:
                self.grid, self.against = elected, 0

    def elected(self) -> int | None:
        """What the window votes for; None where it has too few moves."""
        moves = self.moves()
        if len(moves) < 64:
            return None
        return vote(self.read(each.price for each in self.prices), [self.read(both) for both in moves])

    def read(self, prices: Iterable[float]) -> list[int]:
        return [read(price * self.scale) for price in prices]

    def moves(self) -> list[tuple[float, float]]:
        """Each return that is not 0: the prices from which and to which it leads."""
        pairs = [(each.before, each.price) for each in self.prices]
        return [(before, price) for before, price in pairs if before is not None and before != price]

    def found(self) -> FoundGrid:
        tick, on, obey = None, 0, 0
        if self.grid not in (None, HIDDEN):
            prices = self.read(each.price for each in self.prices)
            tick, on = self.grid * UNIT, sum(price % self.grid == 0 for price in prices)
        if self.stated is not None:
            obey = sum(obeys(each.price * self.scale, Fraction(self.stated)) for each in self.prices)
            if 2 * obey >= len(self.prices):
                tick, on = Fraction(self.stated), obey
        disobeyed = self.stated is not None and 2 * obey < len(self.prices)
        if tick is None or self.too_fine(tick / self.scale):
            return FoundGrid(None, 0, disobeyed)
        return FoundGrid(tick / self.scale, len(self.prices) - on, disobeyed)

    def too_fine(self, tick: Fraction) -> bool:
        """Whether more than half of the moves are above 1,000 ticks."""
        moves = [abs(nearest_tick(price, tick) - nearest_tick(before, tick)) for before, price in self.moves()]
        return 2 * sum(x > 1000 for x in moves) > len(moves)
