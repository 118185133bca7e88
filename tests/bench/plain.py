"""The vector of one symbol in plain numpy, as one would write it first: what the kernel is timed against.

It reads the whole window with every tick, one symbol after the other. Its tail index is Hill's of the returns, which
takes less time than the likelihood of moves in ticks.
"""

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


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
