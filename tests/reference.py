"""The physics vector in plain Python, from its definitions alone: loops, `math`, exact fractions, no numpy.

It is slow, and meant to be read beside the definitions and the kernel. Prices and volumes are computed with
as fractions, so that no overflow, cancellation or order of summation of its own stands between it and the
definition; logarithms and roots are floats, summed with `fsum`.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

TOLERANCE = Fraction(1, 10**9)


class Sample(NamedTuple):
    """What a snapshot says: epoch seconds, price, and volume and trades cumulative over the session."""

    timestamp: float
    price: float
    volume: float
    trades: float


class Increment(NamedTuple):
    """A sample against the one before it: V, N, and r where there is a return."""

    price: float
    volume: float
    trades: float
    log_return: float | None


class Vector(NamedTuple):
    """The five pillars, the tail index and what they stand on."""

    mass: float
    momentum: float
    friction: float
    entropy: float
    nash_dist: float
    alpha_coefficient: float
    regime: str
    samples: int
    nonzero: int


def log_ratio(price: float, previous: float) -> float:
    """ln(price / previous), also where the ratio itself is beyond a float."""
    ratio = price / previous
    if 1e-300 < ratio < 1e300:
        return math.log(ratio)
    return math.log(price) - math.log(previous)


def difference(value: float, previous: float) -> float:
    """Of a cumulative field; one that fell belongs to a new session, which counts from 0."""
    if value < previous:
        return value
    return value - previous


def increments(samples: Sequence[Sample], gap: float = 60.0) -> list[Increment]:
    """V_i, N_i and r_i of every sample."""
    result = [Increment(samples[0].price, 0.0, 0.0, None)]
    for i in range(1, len(samples)):
        now, before = samples[i], samples[i - 1]
        log_return = None
        if now.timestamp - before.timestamp <= gap:
            log_return = log_ratio(now.price, before.price)
        result.append(
            Increment(
                now.price,
                difference(now.volume, before.volume),
                difference(now.trades, before.trades),
                log_return,
            )
        )
    return result


def vector(samples: Sequence[Sample], window: int = 1000, gap: float = 60.0) -> Vector:
    """The vector after the newest of `samples` (one at least, timestamps rising), over the last `window`."""
    last = increments(samples, gap)[-window:]
    m = sum(1 for i in last if i.log_return)
    alpha = tail_index(last) if m >= 64 else 2.5
    return Vector(
        mass=float(mass(last)),
        momentum=momentum(last),
        friction=float(friction(last)),
        entropy=entropy(last),
        nash_dist=float(nash_dist(last)),
        alpha_coefficient=alpha,
        regime=regime(alpha, m),
        samples=len(last),
        nonzero=m,
    )


def returns(window: Sequence[Increment]) -> list[float]:
    """The returns that there are."""
    return [i.log_return for i in window if i.log_return is not None]


def sigma(window: Sequence[Increment]) -> float:
    """Root mean square of the returns, 0 if there are none."""
    r = returns(window)
    if not r:
        return 0.0
    return math.sqrt(math.fsum(x * x for x in r) / len(r))


def low_and_range(window: Sequence[Increment]) -> tuple[Fraction, Fraction]:
    """lo and hi − lo."""
    prices = [Fraction(i.price) for i in window]
    return min(prices), max(prices) - min(prices)


def mean(values: Sequence[Fraction]) -> Fraction:
    """Arithmetic."""
    return sum(values, Fraction(0)) / len(values)


def mass(window: Sequence[Increment]) -> Fraction:
    """abs(CLV) · V / (V + V̄), CLV = (2p − hi − lo) / (hi − lo)."""
    lo, span = low_and_range(window)
    hi = lo + span
    p, volume = Fraction(window[-1].price), Fraction(window[-1].volume)
    if span == 0 or volume == 0:
        return Fraction(0)
    mean_volume = mean([Fraction(i.volume) for i in window])
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
    volume, trades = Fraction(window[-1].volume), Fraction(window[-1].trades)
    if volume == 0 or trades == 0:
        return Fraction(0)
    mean_volume = mean([Fraction(i.volume) for i in window])
    mean_trades = mean([Fraction(i.trades) for i in window])
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
    return [(Fraction(i.price) - lo) / span * 32 + TOLERANCE for i in window]


def volume_by_price(window: Sequence[Increment]) -> list[Fraction]:
    """The weight of each of the 32 bins."""
    weights = [Fraction(i.volume) for i in window]
    if sum(weights) == 0:
        weights = [Fraction(1)] * len(window)
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


def tail_index(window: Sequence[Increment]) -> float:
    """Hill's estimator on the non-zero x = abs(r), at least 64 of them."""
    x = sorted((abs(r) for r in returns(window) if r != 0), reverse=True)
    k = max(10, math.ceil(len(x) / 20))
    total = math.fsum(math.log(x[i] / x[k]) for i in range(k))
    if total == 0:
        return 10.0
    return min(10.0, max(0.5, k / total))


def regime(alpha: float, nonzero: int) -> str:
    """What the tail index means."""
    if nonzero < 64:
        return "WAIT"
    if alpha > 2:
        return "Gaussian"
    if alpha > 1.5:
        return "Lévy Stable"
    return "Critical"


def held(index: int) -> int:
    """Within 0 … 31."""
    return min(31, max(0, index))
