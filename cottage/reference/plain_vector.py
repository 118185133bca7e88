"""The physics vector in plain Python, from its definitions alone: loops, `math`, exact fractions, no numpy.

It is slow, and meant to be read beside the definitions and the kernel. Prices and volumes are computed with
as fractions, so that no overflow, cancellation or order of summation of its own stands between it and the
definition; logarithms and roots are floats, summed with `fsum`.
"""

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from cottage.reference.plain_grid import FoundGrid, PlainGrid, Price
from cottage.reference.plain_regime import Tail, regimes, tail
from cottage.reference.plain_samples import TOLERANCE, Increment, PlainSample, increments, returns, sigma


class Vector(NamedTuple):
    """The five pillars, the tail index and what they stand on."""

    mass: float
    momentum: float
    friction: float
    entropy: float
    nash_dist: float
    alpha_coefficient: float
    alpha_low: float
    alpha_high: float
    regime: str
    samples: int
    nonzero: int
    void: frozenset[str]
    """The pillars whose 0 is no measurement."""
    notes: frozenset[str]
    step: float = 1.0
    holes: int = 0
    snapped: int = 0


def vector(samples: Sequence[PlainSample], window: int = 1000) -> Vector:
    """The vector after the newest of `samples` (one at least, timestamps rising), over the last `window`."""
    every = increments(samples, window)
    return vector_of_increments(every[-window:], grids(every, window)[-1]())


def vector_of_increments(last: Sequence[Increment], grid: FoundGrid, widening: float = 1.0) -> Vector:
    """The vector over these increments of a window with this grid, one at least. `widening`: c."""
    said = tail(last, grid, widening)
    disobeyed = {"off_tick"} if grid.disobeyed else set()
    return Vector(
        mass=float(mass(last)),
        momentum=momentum(last),
        friction=float(friction(last)),
        entropy=entropy(last),
        nash_dist=float(nash_dist(last)),
        alpha_coefficient=said.alpha,
        alpha_low=said.low,
        alpha_high=said.high,
        regime=regimes([said])[0],
        samples=len(last),
        nonzero=said.nonzero,
        void=void(last),
        notes=frozenset().union(last[-1].of_the_tick, disobeyed, *(i.words for i in last)),
        step=last[-1].step,
        holes=sum(i.hole for i in last),
        snapped=grid.snapped,
    )


def grids(every: Sequence[Increment], window: int) -> list[Callable[[], FoundGrid]]:
    """For each of these increments, what finds the grid of the window that it is the newest of."""
    grid = PlainGrid(window)
    found = []
    for i in every:
        grid.see(Price(i.price, i.before, i.mid), i.stated_tick)
        found.append(copy.copy(grid).found)
    return found


def tails(samples: Sequence[PlainSample], window: int = 1000) -> list[Tail]:
    """What the last `window` of samples say of their tail, after each of them."""
    every = increments(samples, window)
    found = grids(every, window)
    return [tail(every[max(0, end - window) : end], found[end - 1]()) for end in range(1, len(every) + 1)]


def void(window: Sequence[Increment]) -> frozenset[str]:
    """The pillars whose definition divides 0 by 0, or takes what is unknown."""
    names = set()
    newest = window[-1]
    flat, still = low_and_range(window)[1] == 0, sigma(window) == 0
    volumes = continuous_volumes(window)
    if flat or volumes[-1] is None or volumes[-1] + known_mean(volumes) == 0:
        names.add("mass")
    if "mass" in names or still or newest.log_return is None:
        names.add("momentum")
    if not newest.volume or newest.trades is None or known_mean(i.trades for i in window) == 0:
        names.add("friction")
    if still:
        names.add("entropy")
    if flat:
        names.add("nash_dist")
    return frozenset(names)


def since_break(window: Sequence[Increment]) -> Sequence[Increment]:
    """Those whose prices can be compared with the newest: all, or those since the newest break."""
    return window[max((place for place, i in enumerate(window) if i.breaks), default=0) :]


def low_and_range(window: Sequence[Increment]) -> tuple[Fraction, Fraction]:
    """lo and hi − lo."""
    prices = [Fraction(i.price) for i in since_break(window)]
    return min(prices), max(prices) - min(prices)


def known_mean(values: Iterable[float | None]) -> Fraction:
    """The arithmetic mean of those that are known, 0 if none is."""
    known = [Fraction(value) for value in values if value is not None]
    return sum(known, Fraction(0)) / max(len(known), 1)


def continuous_volumes(window: Sequence[Increment]) -> list[float | None]:
    """V of each, unknown where the sample is of an auction."""
    return [None if i.auction else i.volume for i in window]


def mass(window: Sequence[Increment]) -> Fraction:
    """abs(CLV) · V / (V + V̄), CLV = (2p − hi − lo) / (hi − lo)."""
    lo, span = low_and_range(window)
    hi = lo + span
    volumes = continuous_volumes(window)
    p, volume = Fraction(window[-1].price), Fraction(volumes[-1] or 0)
    if span == 0 or volume == 0:
        return Fraction(0)
    mean_volume = known_mean(volumes)
    clv = (2 * p - hi - lo) / span
    return abs(clv) * volume / (volume + mean_volume)


def momentum(window: Sequence[Increment]) -> float:
    """mass · r / σ."""
    scale = sigma(window)
    if scale == 0:
        return 0.0
    return float(mass(window)) * (window[-1].log_return or 0.0) / scale


def friction(window: Sequence[Increment]) -> Fraction:
    """f / (f + f̄), f = N / V."""
    volume, trades = Fraction(window[-1].volume or 0), Fraction(window[-1].trades or 0)
    if volume == 0 or trades == 0:
        return Fraction(0)
    mean_volume = known_mean(i.volume for i in window)
    mean_trades = known_mean(i.trades for i in window)
    f = trades / volume
    usual = mean_trades / mean_volume
    return f / (f + usual)


def return_positions(window: Sequence[Increment]) -> list[float]:
    """Where each return lies among the 32 bins, the 1e-9 included; whole numbers are the edges."""
    scale = sigma(window)
    return [(r / scale + 4) * 4 + 1e-9 for r in returns(window)]


def entropy(window: Sequence[Increment]) -> float:
    """Shannon's, of the returns over 32 bins, as a part of the most that there can be."""
    if sigma(window) == 0:
        return 0.0
    counts = [0] * 32
    for position in return_positions(window):
        counts[held(math.floor(position))] += 1
    shares = [count / sum(counts) for count in counts if count]
    return abs(math.fsum(share * math.log(share) for share in shares)) / math.log(32)


def price_positions(window: Sequence[Increment]) -> list[Fraction]:
    """Where each price lies among the 32 bins, the 1e-9 included; whole numbers are the edges."""
    lo, span = low_and_range(window)
    return [(Fraction(i.price) - lo) / span * 32 + TOLERANCE for i in since_break(window)]


def volume_by_price(window: Sequence[Increment]) -> list[Fraction]:
    """The weight of each of the 32 bins."""
    weights = [Fraction(i.volume or 0) for i in since_break(window)]
    if sum(weights) == 0:
        weights = [Fraction(1)] * len(weights)
    profile = [Fraction(0)] * 32
    for position, weight in zip(price_positions(window), weights, strict=True):
        profile[held(math.floor(position))] += weight
    return profile


def nash_dist(window: Sequence[Increment]) -> Fraction:
    """abs(p − mode) / (hi − lo).

    Of two heaviest bins as near to p, one on either side, the lower is the mode: the distance is the same.
    """
    lo, span = low_and_range(window)
    if span == 0:
        return Fraction(0)
    p = Fraction(window[-1].price)
    profile = volume_by_price(window)
    heaviest = max(profile)
    distances = []
    for index, weight in enumerate(profile):
        if weight >= heaviest * (1 - TOLERANCE):
            middle = lo + (index + Fraction(1, 2)) / 32 * span
            distances.append(abs(p - middle) / span)
    return min(distances)


def held(index: int) -> int:
    """Within 0 … 31."""
    return min(31, max(0, index))
