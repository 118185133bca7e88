"""Computes the physics vector of every symbol, five pillars and the tail index, from the windows alone.

The symbol table uses it. The formulas are for all symbols at once: n is their number, W the length of the windows.
Letters: p, V, N and r are the newest sample's price, volume, trades and log return; hi and lo the window's extremes;
V̄ and N̄ its means of what is known (an unknown V, N or r is nan); σ the root mean square of its returns.
"""

from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np

from cottage.state import WAIT_ALPHA, WAIT_RETURNS
from services.feynman.regime import RegimeArray, regime
from services.feynman.tail_index import ALPHA_LEAST, ALPHA_MOST
from services.feynman.windows import BINS, TOLERANCE, FloatArray, IntArray, Rows, Statistics, Windows

HALF_QUANTILE = 2.705543454095404 / 2
"""Half the quantile of 90 % of χ² with one degree of freedom."""

CHUNK_ROWS = 512
"""So many vectors are computed together, so that their data stay in a core's cache."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """Arrays of one value per symbol, of shape (n,), finite, and never −0.0."""

    mass: FloatArray  # [0, 1)
    momentum: FloatArray  # any
    friction: FloatArray  # [0, 1]
    entropy: FloatArray  # [0, 1]
    nash_dist: FloatArray  # [0, 1]
    alpha_coefficient: FloatArray  # [0.5, 10]
    regime: RegimeArray  # an index into REGIMES; the one that the windows keep is the one before
    samples: IntArray  # 0 … W
    nonzero: IntArray  # m, the returns that are not 0
    void: IntArray  # bits, in the order of PILLARS: those whose 0 is no measurement
    notes: IntArray  # bits of the words of cottage.notes


def compute(windows: Windows, rows: Rows) -> Vectors:
    """The vectors of `rows`, in that order. A row without a sample has pillars of 0 and the regime WAIT."""
    starts = range(0, max(len(rows), 1), CHUNK_ROWS)  # no rows make one chunk too, an empty one
    parts = [_compute(windows, rows[start : start + CHUNK_ROWS]) for start in starts]
    return Vectors(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Vectors)))


def _compute(windows: Windows, rows: Rows) -> Vectors:
    w = windows.statistics(rows)
    m = mass(w.price, w.highest, w.lowest, w.volume, w.mean_volume)
    alpha, low, high = (np.full(len(rows), WAIT_ALPHA) for _ in range(3))
    enough = w.nonzero >= WAIT_RETURNS
    if enough.any():
        k = order_statistics(w.nonzero[enough])
        alpha[enough] = tail_index(windows.largest_returns(rows[enough], k + 1), k)
        low[enough], high[enough] = interval(alpha[enough], k)
    return Vectors(
        mass=m,
        momentum=momentum(m, np.nan_to_num(w.log_return, nan=0.0), w.sigma),
        friction=friction(w.volume, w.trades, w.mean_volume, w.mean_trades),
        entropy=entropy(w.returns_by_bin),
        nash_dist=nash_dist(w.volume_by_price, w.price, w.highest, w.lowest),
        alpha_coefficient=alpha,
        regime=regime(windows.regime[rows], alpha, low, high, w.nonzero, enough),
        samples=w.samples,
        nonzero=w.nonzero,
        void=void(w),
        notes=w.notes,
    )


def void(w: Statistics) -> IntArray:
    """Which pillars mean nothing, in bits in the order of PILLARS: each where its definition divides 0 by 0, or where
    V, N or r is unknown. They are 0 then."""
    flat, still = ~(w.highest > w.lowest), ~(w.sigma > 0)
    mass = flat | ~(w.volume + w.mean_volume > 0)
    momentum = mass | still | np.isnan(w.log_return)
    friction = ~(w.volume > 0) | np.isnan(w.trades) | ~(w.mean_trades > 0)
    bits = np.zeros(len(flat), np.int64)
    for place, pillar in enumerate((mass, momentum, friction, still, flat)):
        bits |= pillar.astype(np.int64) << place
    return bits


def mass(p: FloatArray, hi: FloatArray, lo: FloatArray, v: FloatArray, mean_v: FloatArray) -> FloatArray:
    """abs(CLV) · V / (V + V̄), CLV = (2p − hi − lo) / (hi − lo); [0, 1); 0 where hi = lo, V = 0 or V is unknown.

    How far the price is from the middle of its range, weighted by volume. V and V̄ in the same unit, whichever. CLV
    is the close location value of Chaikin's accumulation/distribution line.
    """
    # 2p − hi − lo in this form neither overflows nor loses digits in a narrow range.
    clv = ratio((p - lo) - (hi - p), hi - lo)
    return np.abs(clv) * ratio(v, v + mean_v)


def momentum(mass: FloatArray, r: FloatArray, sigma: FloatArray) -> FloatArray:
    """mass · r / σ, the newest return in standard deviations, as far as there is mass; 0 where σ = 0."""
    return ratio(mass * r, sigma) + 0.0  # −0.0 + 0.0 is 0.0


def friction(v: FloatArray, n: FloatArray, mean_v: FloatArray, mean_n: FloatArray) -> FloatArray:
    """f / (f + f̄), f = N / V, f̄ = N̄ / V̄; [0, 1]; 0 where V or N is 0 or unknown.

    Trades per volume against what is usual (½): more means smaller trades for the same volume. V and V̄ in any
    one unit, N and N̄ too.
    """
    # Both f multiplied by V̄ · V / N̄: what is left are ratios of one unit, which cannot overflow.
    f, usual = ratio(n, mean_n), ratio(v, mean_v)
    return np.where(v > 0, ratio(f, f + usual), 0.0)


def entropy(count: FloatArray) -> FloatArray:
    """Shannon entropy −Σ q ln q of the returns over 32 bins of σ/4 from −4σ, by ln 32; [0, 1]; 0 without returns.

    `count` of shape (n, 32): how many returns each bin holds. The outermost bins hold all that is beyond them.
    Shannon (1948), Bell Syst. Tech. J. 27.
    """
    share = count / np.maximum(count.sum(axis=1, keepdims=True), 1.0)
    nats = -np.sum(share * np.log(np.where(share > 0, share, 1.0)), axis=1)
    # A logarithm's last digit must not lead a uniform distribution above 1; one bin alone gives −0.0.
    of_most: FloatArray = np.minimum(nats / np.log(BINS), 1.0) + 0.0
    return of_most


def nash_dist(weight: FloatArray, p: FloatArray, hi: FloatArray, lo: FloatArray) -> FloatArray:
    """abs(p − mode) / (hi − lo); [0, 1]; 0 where hi = lo.

    How far the price is from where most volume changed hands. `weight` of shape (n, 32) is the volume by price. The
    mode is the middle of the heaviest of 32 bins between lo and hi; of several the one nearest p.
    """
    heaviest = weight >= weight.max(axis=1, keepdims=True) * (1.0 - TOLERANCE)
    # In bin widths above lo: the middles are exact there, however narrow the range is for the price's digits.
    middle = np.arange(BINS) + 0.5
    distance = np.abs((ratio(p - lo, hi - lo) * BINS)[:, np.newaxis] - middle)
    # Of two as near, one on either side, the lower is the mode: the distance is the same.
    distance[~heaviest] = np.inf
    return np.where(hi > lo, distance.min(axis=1) / BINS, 0.0)


def tail_index(largest: FloatArray, k: IntArray) -> FloatArray:
    """Hill's α = k / Σ_{i≤k} ln(x_i / x_{k+1}); held within [0.5, 10]; 10 where the sum is 0.

    `largest` of shape (n, k_max + 1): the largest x = abs(r) of each window in descending order, the first k + 1 of
    them above 0. k = max(10, ⌈m / 20⌉) of shape (n,). Hill (1975), Ann. Statist. 3(5).
    """
    threshold = np.take_along_axis(largest, k[:, np.newaxis], axis=1)  # x_{k+1}, counted from 1
    # Beyond a row's own k the ratios are at most 1: held there, they add nothing to its sum.
    total = np.log(np.maximum(largest / threshold, 1.0)).sum(axis=1)
    estimate = np.divide(k, total, where=total > 0, out=np.full(len(k), ALPHA_MOST))
    alpha: FloatArray = np.clip(estimate, ALPHA_LEAST, ALPHA_MOST)
    return alpha


def order_statistics(nonzero: IntArray) -> IntArray:
    """k = max(10, ⌈m / 20⌉): of how many of the largest x = abs(r) the tail index is made."""
    return np.maximum(10, -(-nonzero // 20))


def interval(alpha: FloatArray, k: IntArray) -> tuple[FloatArray, FloatArray]:
    """The 90 % interval of Hill's α: where its likelihood is at least that of α by exp(−1.353), half the quantile of
    χ² with one degree of freedom. Its ends are α s, with k (s − 1 − ln s) = 1.353; held within [0.5, 10]."""
    low, high = _shares_of_alpha(int(k.max(initial=0)))[:, k]
    return np.clip(alpha * low, ALPHA_LEAST, ALPHA_MOST), np.clip(alpha * high, ALPHA_LEAST, ALPHA_MOST)


@lru_cache(maxsize=16)
def _shares_of_alpha(most: int) -> FloatArray:
    """Both s for each k up to `most`, of shape (2, most + 1), by halving."""
    drop = HALF_QUANTILE / np.maximum(np.arange(most + 1), 1)
    shares = []
    for far in (0.0, 8.0):
        inside, outside = np.ones(most + 1), np.full(most + 1, far)
        for _halving in range(56):
            middle = (inside + outside) / 2
            within = middle - 1 - np.log(middle) < drop
            inside, outside = np.where(within, middle, inside), np.where(within, outside, middle)
        shares.append(inside)
    return np.array(shares)


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """The quotient, 0 where the denominator is 0."""
    quotient: FloatArray = np.zeros(numerator.shape)
    np.divide(numerator, denominator, where=denominator > 0, out=quotient)
    return quotient
