"""The tail index of moves in ticks and its interval, from the definition alone: loops and 50 digits, no numpy.

It is slow, and meant to be read beside docs/estimators.md and services/feynman/tail_index.py. Everything is sought by
bisection or by golden section, over a likelihood that is written as it is defined.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import NamedTuple

LEAST, MOST = Decimal("0.5"), Decimal(10)
DROP = Decimal("2.705543454095404") / 2
"""Half of the 0.9 quantile of χ² with one degree of freedom."""


class TailIndex(NamedTuple):
    alpha: float
    low: float
    high: float


class Exceedances(NamedTuple):
    """Weights of the levels that moves have, and of the levels that they exceed."""

    moves: Mapping[int, Fraction]
    thresholds: Mapping[int, Fraction]

    @property
    def number(self) -> Fraction:
        return sum(self.thresholds.values(), Fraction(0))


def tail_index(moves: Sequence[int], scale: Sequence[Fraction] | None = None) -> TailIndex:
    """α, α_low and α_high of absolute moves in ticks, 0 included. `scale`: each move's price by the window's."""
    large = sum(1 for x in moves if x >= 2)
    mixed, for_variance = at_threshold(moves, scale or [Fraction(1)] * len(moves))
    with localcontext() as context:
        context.prec = 50
        alpha, low, high = fitted(mixed, for_variance) if mixed.number > 1 else (MOST, LEAST, MOST)
    if large < 10:
        alpha = high = MOST
    return TailIndex(float(alpha), float(min(low, alpha)), float(max(high, alpha)))


def at_threshold(moves: Sequence[int], scale: Sequence[Fraction]) -> tuple[Exceedances, Exceedances]:
    """Of each move what is at or above its own threshold: λ times its scale, a mixture of the two levels around it.

    The second of the two is mixed by squares, for the variance of the likelihood's slope.
    """
    k = max(10, math.ceil(sum(1 for x in moves if x) / 20))
    large = [(x, s) for x, s in zip(moves, scale, strict=True) if x >= 2]
    common = common_threshold(large, k + 1) if len(large) > k else Fraction(2)
    mixed = []
    for power in (1, 2):
        at: defaultdict[int, Fraction] = defaultdict(Fraction)
        exceeded: defaultdict[int, Fraction] = defaultdict(Fraction)
        for x, s in large:
            threshold = max(Fraction(2), common * s)
            level = math.floor(threshold)
            lower = (1 - (threshold - level)) ** power
            for one, weight in ((level, lower), (level + 1, 1 - lower)):
                if x >= one and weight > 0:
                    at[x] += weight
                    exceeded[one] += weight
        mixed.append(Exceedances(at, exceeded))
    return mixed[0], mixed[1]


def common_threshold(large: Sequence[tuple[int, Fraction]], number: int) -> Fraction:
    """The greatest λ at which Σ held(1 + x − λ s, 0, 1) is `number`: the sum is linear between its turns."""

    def effective(threshold: Fraction) -> Fraction:
        return sum((max(Fraction(0), min(Fraction(1), 1 + x - threshold * s)) for x, s in large), Fraction(0))

    turns = sorted({(x + more) / s for x, s in large for more in (0, 1)}, reverse=True)
    for above, below in pairwise(turns):
        if effective(below) >= number:
            slope = (effective(below) - effective(above)) / (above - below)
            return below + (effective(below) - number) / slope
    raise ValueError(f"fewer than {number} moves")


def fitted(mixed: Exceedances, for_variance: Exceedances) -> tuple[Decimal, Decimal, Decimal]:
    """Where Λ is greatest within the bounds, and where it is DROP times J / H below that."""
    n = decimal(mixed.number)

    @cache
    def fit(a: Decimal) -> Decimal:
        return (1 - 1 / n) * log_likelihood(mixed, a * n / (n - 1))

    alpha = greatest(fit, LEAST, MOST)
    at = alpha * n / (n - 1)
    least = fit(alpha) - DROP * information(for_variance, at) / information(mixed, at)
    low = LEAST if fit(LEAST) >= least else bisected(lambda a: fit(a) < least, LEAST, alpha)
    high = MOST if fit(MOST) >= least else bisected(lambda a: fit(a) >= least, alpha, MOST)
    return alpha, low, high


def information(exceedances: Exceedances, a: Decimal) -> Decimal:
    """−ℓ''(a), as a difference of the second order, whose own error is of the order of h²."""
    h = Decimal("1e-12")
    below, here, above = (log_likelihood(exceedances, a + step) for step in (-h, Decimal(0), h))
    return (2 * here - below - above) / h**2


def log_likelihood(exceedances: Exceedances, a: Decimal) -> Decimal:
    """Σ ln P(x | ≥ L) = Σ ln(G(x−1) − 2 G(x) + G(x+1)) − Σ ln(G(L−1) − G(L)), weighted."""

    def g(y: int) -> Decimal:
        return -logarithm(y) if a == 1 else ((1 - a) * logarithm(y)).exp() / (a - 1)

    moves = (decimal(weight) * (g(x - 1) - 2 * g(x) + g(x + 1)).ln() for x, weight in exceedances.moves.items())
    thresholds = (
        decimal(weight) * (g(level - 1) - g(level)).ln() for level, weight in exceedances.thresholds.items()
    )
    return sum(moves, Decimal(0)) - sum(thresholds, Decimal(0))


@cache
def logarithm(y: int) -> Decimal:
    with localcontext() as context:
        context.prec = 60
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
