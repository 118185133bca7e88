"""The vector of one symbol in plain numpy, as one would write it first: what the kernel is timed against.

It reads the whole window with every tick, one symbol after the other. `vector` has Hill's tail index of the returns,
the old definition; `tail` is today's, the likelihood of moves in ticks, on a grid that is known.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DROP = 2.705543454095404 / 2  # half the 0.9 quantile of χ² with one degree of freedom


def vector(price: Floats, volume: Floats, trades: Floats, log_return: Floats) -> tuple[float, ...]:
    """Five pillars and the tail index, from a full window in order of time, shape (W,); nan is no return."""
    p, v, n, r = price[-1], volume[-1], trades[-1], np.nan_to_num(log_return[-1])
    hi, lo = price.max(), price.min()
    mean_v, mean_n = volume.mean(), trades.mean()
    returns = log_return[~np.isnan(log_return)]
    sigma = math.sqrt(np.mean(returns**2)) if len(returns) else 0.0

    mass = abs(2 * p - hi - lo) / (hi - lo) * v / (v + mean_v) if hi > lo and v > 0 else 0.0
    momentum = mass * r / sigma if sigma > 0 else 0.0
    friction = (n / v) / (n / v + mean_n / mean_v) if v > 0 and n > 0 else 0.0

    entropy = 0.0
    if sigma > 0:
        bins = np.clip(np.floor((returns / sigma + 4) * 4 + 1e-9), 0, 31).astype(int)
        share = np.bincount(bins, minlength=32) / len(bins)
        share = share[share > 0]
        entropy = -np.sum(share * np.log(share)) / math.log(32)

    nash_dist = 0.0
    if hi > lo:
        bins = np.minimum(((price - lo) / (hi - lo) * 32 + 1e-9).astype(int), 31)
        profile = np.bincount(bins, volume if mean_v > 0 else None, minlength=32)
        modes = np.flatnonzero(profile >= profile.max() * (1 - 1e-9))
        nash_dist = np.min(np.abs((p - lo) / (hi - lo) - (modes + 0.5) / 32))

    x = np.sort(np.abs(returns[returns != 0]))[::-1]
    alpha = 2.5
    if len(x) >= 64:
        k = max(10, math.ceil(len(x) / 20))
        total = np.log(x[:k] / x[k]).sum()
        alpha = min(10.0, max(0.5, k / total)) if total > 0 else 10.0
    return mass, momentum, friction, entropy, nash_dist, alpha


def tail(price: Floats, log_return: Floats, tick: float) -> tuple[float, float, float]:
    """α and its interval, from a full window as in `vector` whose prices lie near one another, on the grid of `tick`.

    docs/estimators.md has the definition, of which the names are.
    """
    m = np.count_nonzero(np.nan_to_num(log_return))
    if m < 64:
        return 2.5, 0.5, 10.0
    before, after = (np.floor(p / tick * (1 + 1e-13) + 0.5) for p in (price * np.exp(-log_return), price))
    x = np.abs(after - before)
    x = np.sort(x[x >= 2])[::-1]
    k = max(10, math.ceil(m / 20))
    level = x[k] if len(x) > k else 2.0
    above, ties = x[x > level], np.count_nonzero(x == level)
    w = (min(k + 1, len(x)) - len(above)) / ties if ties else 1.0
    moves, weights = np.append(above, level), np.append(np.ones(len(above)), w * ties)
    n, by = weights.sum(), (w * (len(above) + ties), (1 - w) * len(above))
    if n <= 1:
        return 10.0, 0.5, 10.0

    def likelihood(a: float) -> float:
        def g(y: Floats | float) -> Floats:
            return np.asarray(y ** (1 - a) / (a - 1))

        of_moves = np.sum(weights * np.log(g(moves - 1) - 2 * g(moves) + g(moves + 1)))
        below = sum(b * np.log(g(y - 1) - g(y)) for b, y in zip(by, (level, level + 1), strict=True) if b)
        return float(of_moves - below)

    least, most = 0.5 * n / (n - 1), 10 * n / (n - 1)
    a = bisected(lambda a: likelihood(a * (1 + 1e-5)) > likelihood(a * (1 - 1e-5)), least, most)
    beyond = w * len(above) + (1 - w) * np.count_nonzero(x > level + 1)
    one = (len(above) + w * w * ties) / (n - 1)
    lower = likelihood(a) - (DROP + (math.log(10) - DROP) * math.exp(-beyond)) * one
    upper = likelihood(a) - DROP * one
    ends = bisected(lambda a: likelihood(a) < lower, least, a), bisected(lambda a: likelihood(a) > upper, a, most)
    alpha, low, high = (float(end * (1 - 1 / n)) for end in (a, *ends))
    return (10.0, low, 10.0) if len(x) < 10 else (alpha, low, high)


def bisected(above: Callable[[float], bool], low: float, high: float) -> float:
    """The number between these up to which it is so that the one sought is above it, to 7 digits."""
    for _ in range(25):
        middle = (low + high) / 2
        low, high = (middle, high) if above(middle) else (low, middle)
    return (low + high) / 2
