"""What a window says of its tail, and the regime that follows from it, in plain Python."""

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from cottage.reference.plain_grid import FoundGrid, nearest_tick
from cottage.reference.plain_samples import Increment, returns
from cottage.reference.plain_tail import tail_index


def hill(x: Sequence[float], widening: float = 1.0) -> tuple[float, float, float]:
    """Hill's α of these absolute returns, and where f(a) = k ln a − a Σ ln(x_i / x_{k+1}) is near its greatest.

    Whether some of them are equal is of no account. `widening`: c.
    """
    k = max(10, math.ceil(len(x) / 20))
    *largest, threshold = sorted(x, reverse=True)[: k + 1]
    total = math.fsum(math.log(each / threshold) for each in largest)
    alpha = 10.0 if total == 0 else min(10.0, max(0.5, k / total))
    drop = 2.705543454095404 / 2
    few = (math.log(10) - drop) * math.exp(-k)

    def end(outside: float, drop: float) -> float:
        least, inside = k * math.log(alpha) - alpha * total - widening**2 * drop, alpha
        for _halving in range(100):
            middle = (inside + outside) / 2
            if k * math.log(middle) - middle * total >= least:
                inside = middle
            else:
                outside = middle
        return inside

    return alpha, end(0.5, drop + few), end(10.0, drop)


def moves_of(window: Sequence[Increment], tick: Fraction) -> tuple[list[int], list[Fraction] | None]:
    """The moves in ticks, and the scale of each; None where that is 1."""
    pairs = [(i.before, i.price) for i in window if i.before is not None]
    moves = [abs(nearest_tick(after, tick) - nearest_tick(before, tick)) for before, after in pairs]
    lowest, highest = min(i.price for i in window), max(i.price for i in window)
    if highest <= lowest * math.exp(0.1):
        return moves, None
    middle = math.sqrt(lowest) * math.sqrt(highest)
    return moves, [own_scale(*pair, middle) for pair in pairs]


def own_scale(before: float, after: float, middle: float) -> Fraction:
    """The price of a move by the middle of its window's; as far as it is within 5 % of it, 1."""
    price = before if after == before else (after - before) / math.log(after / before)
    away = math.log(price / middle)
    return Fraction(math.exp(away - min(0.05, max(-0.05, away))))


def plain_regime(alpha: float) -> str:
    """What a tail index means."""
    if alpha > 2:
        return "Gaussian"
    if alpha > 1.5:
        return "Lévy Stable"
    return "Critical"


class Tail(NamedTuple):
    """What a window says of its tail after a sample."""

    alpha: float
    low: float
    high: float
    nonzero: int
    telling: bool = True
    """Whether enough of its moves can speak of a tail."""


def tail(window: Sequence[Increment], grid: FoundGrid, widening: float = 1.0) -> Tail:
    """What a window with this grid says of its tail. `widening`: c of docs/estimators.md."""
    m = sum(1 for i in window if i.log_return)
    if m < 64:
        return Tail(2.5, 0.5, 10.0, m)
    if grid.tick is None:
        return Tail(*hill([abs(r) for r in returns(window) if r], widening), m)
    moves, scale = moves_of(window, grid.tick)
    found = tail_index(moves, scale, m, widening)
    return Tail(*found, m, telling=sum(1 for x in moves if x >= 2) >= 10)


def regimes(tails: Iterable[Tail], kept: str = "WAIT") -> list[str]:
    """The regime after each sample, of which the first begins a window, or follows one of the regime `kept`."""
    heaviest_first = ["Critical", "Lévy Stable", "Gaussian"]
    result = []
    for tail in tails:
        if tail.nonzero < 64:
            kept = "WAIT"
        elif tail.telling and kept == "WAIT":
            kept = plain_regime(tail.alpha)
        elif tail.telling:
            at_least = plain_regime(tail.low)
            at_most = plain_regime(tail.alpha + (tail.high - tail.alpha) / 5)
            while heaviest_first.index(kept) < heaviest_first.index(at_least):
                kept = heaviest_first[heaviest_first.index(kept) + 1]
            while heaviest_first.index(kept) > heaviest_first.index(at_most):
                kept = heaviest_first[heaviest_first.index(kept) - 1]
        result.append(kept)
    return result
