"""The tail index of moves in ticks and its interval, from the definition alone: loops and 50 digits, no numpy.

It is slow, and meant to be read beside docs/estimators.md and services/feynman/tail_index.py. Everything is sought by
bisection or by golden section, over a likelihood that is written as it is defined.
"""

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache, lru_cache
from typing import NamedTuple

LEAST, MOST = Decimal("0.5"), Decimal(10)
DROP = Decimal("2.705543454095404") / 2
"""Half of the 0.9 quantile of χ² with one degree of freedom."""


class PlainTailIndex(NamedTuple):
    alpha: float
    low: float
    high: float


class Moves(NamedTuple):
    """The moves, each with its weight, and the weights of the levels that they exceed."""

    moves: Sequence[tuple[int, Fraction]]
    thresholds: Mapping[int, Fraction]
    beyond: Fraction
    """How many moves are above a threshold, by its weight."""

    @property
    def number(self) -> Fraction:
        return sum((weight for _, weight in self.moves), Fraction(0))

    @property
    def squares(self) -> Fraction:
        return sum((weight**2 for _, weight in self.moves), Fraction(0))


def tail_index(
    moves: Sequence[int], scale: Sequence[Fraction] | None = None, nonzero: int | None = None, widening: float = 1.0
) -> PlainTailIndex:
    """α, α_low and α_high of absolute moves in ticks, 0 included. `scale`: each move's price by the window's.
    `nonzero`: m, where it is not the number of moves that are not 0. `widening`: c."""
    m = sum(1 for x in moves if x) if nonzero is None else nonzero
    exceedances = at_threshold(moves, scale or [Fraction(1)] * len(moves), max(10, math.ceil(m / 20)))
    thresholds = tuple(sorted(exceedances.thresholds.items()))
    alpha, low, high = fit_of(tuple(sorted(exceedances.moves)), thresholds, exceedances.beyond, widening)
    if sum(1 for x in moves if x >= 2) < 10:
        alpha = high = MOST
    return PlainTailIndex(float(alpha), float(min(low, alpha)), float(max(high, alpha)))


@lru_cache(maxsize=4096)
def fit_of(
    moves: tuple[tuple[int, Fraction], ...],
    thresholds: tuple[tuple[int, Fraction], ...],
    beyond: Fraction,
    widening: float,
) -> tuple[Decimal, Decimal, Decimal]:
    exceedances = Moves(moves, dict(thresholds), beyond)
    # G(x−1) − 2 G(x) + G(x+1) is of the order of 1/x², and ℓ is flat where it is greatest.
    with localcontext(prec=50 + 2 * len(str(max((x for x, _ in moves), default=2)))):
        return fitted(exceedances, Decimal(widening) ** 2) if exceedances.number > 1 else (MOST, LEAST, MOST)


def at_threshold(moves: Sequence[int], scale: Sequence[Fraction], k: int) -> Moves:
    """The moves at or above their own threshold: λ times their scale, a mixture of the two levels around it."""
    large = [(x, s) for x, s in zip(moves, scale, strict=True) if x >= 2]
    common = common_threshold(large, k + 1) if len(large) > k else Fraction(2)
    weighted = []
    exceeded: defaultdict[int, Fraction] = defaultdict(Fraction)
    beyond = Fraction(0)
    for x, s in large:
        threshold = max(Fraction(2), common * s)
        level = math.floor(threshold)
        mixed = ((level, 1 - (threshold - level)), (level + 1, threshold - level))
        for one, weight in mixed:
            if x >= one and weight > 0:
                exceeded[one] += weight
                beyond += weight if x > one else 0
        if x >= level:
            weighted.append((x, sum((weight for one, weight in mixed if x >= one), Fraction(0))))
    return Moves(weighted, exceeded, beyond)


def common_threshold(large: Sequence[tuple[int, Fraction]], number: int) -> Fraction:
    """The greatest λ at which Σ held(1 + x − λ s, 0, 1) is `number`: the sum is linear between its turns."""
    alike = Counter(large).items()

    def effective(threshold: Fraction) -> Fraction:
        held = ((max(Fraction(0), min(Fraction(1), 1 + x - threshold * s)), times) for (x, s), times in alike)
        return sum((weight * times for weight, times in held), Fraction(0))

    turns = sorted({(x + more) / s for x, s in large for more in (0, 1)}, reverse=True)
    place = bisect_left(turns, Fraction(number), key=effective)  # it grows as the threshold falls
    above, below = turns[place - 1], turns[place]
    slope = (effective(below) - effective(above)) / (above - below)
    return below + (effective(below) - number) / slope


def fitted(exceedances: Moves, widening: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    """Where Λ is greatest within the bounds, and where it is c² d Σ ω² / n below that, d by the side. `widening`:
    c²."""
    n = decimal(exceedances.number)

    @cache
    def fit(a: Decimal) -> Decimal:
        return (1 - 1 / n) * log_likelihood(exceedances, a * n / (n - 1))

    alpha = greatest(fit, LEAST, MOST)
    few = (Decimal(10).ln() - DROP) * (-decimal(exceedances.beyond)).exp()
    each = widening * decimal(exceedances.squares) / n
    of_low, of_high = (fit(alpha) - drop * each for drop in (DROP + few, DROP))
    low = LEAST if fit(LEAST) >= of_low else bisected(lambda a: fit(a) < of_low, LEAST, alpha)
    high = MOST if fit(MOST) >= of_high else bisected(lambda a: fit(a) >= of_high, alpha, MOST)
    return alpha, low, high


def log_likelihood(exceedances: Moves, a: Decimal) -> Decimal:
    """Σ ln P(x | ≥ L) = Σ ln(G(x−1) − 2 G(x) + G(x+1)) − Σ ln(G(L−1) − G(L)), weighted."""

    def g(y: int) -> Decimal:
        return -logarithm(y) if a == 1 else ((1 - a) * logarithm(y)).exp() / (a - 1)

    @cache
    def of_move(x: int) -> Decimal:
        return (g(x - 1) - 2 * g(x) + g(x + 1)).ln()

    moves = (decimal(weight) * of_move(x) for x, weight in exceedances.moves)
    thresholds = (
        decimal(weight) * (g(level - 1) - g(level)).ln() for level, weight in exceedances.thresholds.items()
    )
    return sum(moves, Decimal(0)) - sum(thresholds, Decimal(0))


@cache
def logarithm(y: int) -> Decimal:
    with localcontext(prec=100):
        return Decimal(y).ln()


def decimal(fraction: Fraction) -> Decimal:
    return Decimal(fraction.numerator) / Decimal(fraction.denominator)


def greatest(function: Callable[[Decimal], Decimal], low: Decimal, high: Decimal) -> Decimal:
    """Where a concave function is greatest, by golden section, to 12 digits."""
    golden = (Decimal(5).sqrt() - 1) / 2
    left, right = high - golden * (high - low), low + golden * (high - low)
    least, most = low, high
    while high - low > Decimal("1e-12"):
        if function(left) < function(right):
            low, left, right = left, right, left + golden * (high - left)
        else:
            high, right, left = right, left, right - golden * (right - low)
    middle = (low + high) / 2
    return max((least, middle, most), key=function)


def bisected(above: Callable[[Decimal], bool], low: Decimal, high: Decimal) -> Decimal:
    """Where `above`, true at `low` and false at `high`, turns, to 12 digits."""
    while high - low > Decimal("1e-12"):
        middle = (low + high) / 2
        low, high = (middle, high) if above(middle) else (low, middle)
    return low
