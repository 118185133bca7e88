"""Computes the physics vector of every symbol, five pillars and the tail index, from the windows alone.

The symbol table uses it. The formulas are for all symbols at once: n is their number, W the length of the windows.
Letters: p, V, N and r are the newest sample's price, volume, trades and log return; hi and lo the window's extremes;
V̄ and N̄ its means of what is known (an unknown V, N or r is nan); σ the root mean square of its returns.
"""

from dataclasses import dataclass, fields

import numpy as np

from services.feynman.regime import RegimeArray, regime
from services.feynman.tails import middle, tails
from services.feynman.windows import BINS, TOLERANCE, FloatArray, IntArray, Rows, Statistics, Windows

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
    alpha_low: FloatArray  # [0.5, alpha_coefficient]
    alpha_high: FloatArray  # [alpha_coefficient, 10]
    regime: RegimeArray  # an index into REGIMES; the one that the windows keep is the one before
    samples: IntArray  # 0 … W
    nonzero: IntArray  # m, the returns that are not 0
    step: FloatArray  # seconds, above 0
    holes: IntArray  # the samples that have no return
    snapped: IntArray  # the prices that do not lie on the grid
    void: IntArray  # bits, in the order of PILLARS: those whose 0 is no measurement
    notes: IntArray  # bits of the words of cottage.notes


@dataclass(frozen=True, slots=True)
class _Pillars:
    """What is computed of each window by itself, in chunks: of Vectors all but the tail and the regime."""

    mass: FloatArray
    momentum: FloatArray
    friction: FloatArray
    entropy: FloatArray
    nash_dist: FloatArray
    samples: IntArray
    nonzero: IntArray
    step: FloatArray
    holes: IntArray
    snapped: IntArray
    void: IntArray
    notes: IntArray
    middle: FloatArray  # as in tails.py


def compute(windows: Windows, rows: Rows) -> Vectors:
    """The vectors of `rows`, in that order. A row without a sample has pillars of 0 and the regime WAIT."""
    starts = range(0, max(len(rows), 1), CHUNK_ROWS)  # no rows make one chunk too, an empty one
    parts = [_pillars(windows, rows[start : start + CHUNK_ROWS]) for start in starts]
    pillars = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(_Pillars)
    }
    tail, telling = tails(windows, rows, pillars["nonzero"], pillars.pop("middle"))
    return Vectors(
        **pillars,
        alpha_coefficient=tail.alpha,
        alpha_low=tail.low,
        alpha_high=tail.high,
        regime=regime(windows.regime[rows], tail, pillars["nonzero"], telling),
    )


def regimes(windows: Windows, rows: Rows) -> RegimeArray:
    """The regimes of `rows` alone, as `compute` has them: for samples of which no vector is wanted."""
    nonzero = windows.nonzero[rows]
    tail, telling = tails(windows, rows, nonzero, middle(windows.tick(rows), *windows.extremes(rows)))
    return regime(windows.regime[rows], tail, nonzero, telling)


def _pillars(windows: Windows, rows: Rows) -> _Pillars:
    w = windows.statistics(rows)
    m = mass(w.price, w.highest, w.lowest, w.continuous_volume, w.mean_continuous_volume)
    return _Pillars(
        mass=m,
        momentum=momentum(m, np.nan_to_num(w.log_return, nan=0.0), w.sigma),
        friction=friction(w.volume, w.trades, w.mean_volume, w.mean_trades),
        entropy=entropy(w.returns_by_bin),
        nash_dist=nash_dist(w.volume_by_price, w.price, w.highest, w.lowest),
        samples=w.samples,
        nonzero=w.nonzero,
        step=w.step,
        holes=w.holes,
        snapped=w.snapped,
        void=void(w),
        notes=w.notes,
        middle=middle(w.tick, w.peak, w.trough),
    )


def void(w: Statistics) -> IntArray:
    """Which pillars mean nothing, in bits in the order of PILLARS: each where its definition divides 0 by 0, or where
    V, N or r is unknown. They are 0 then."""
    flat, still = ~(w.highest > w.lowest), ~(w.sigma > 0)
    mass = flat | ~(w.continuous_volume + w.mean_continuous_volume > 0)
    momentum = mass | still | np.isnan(w.log_return)
    friction = ~(w.volume > 0) | np.isnan(w.trades) | ~(w.mean_trades > 0)
    bits = np.zeros(len(flat), np.int64)
    for place, pillar in enumerate((mass, momentum, friction, still, flat)):
        bits |= pillar.astype(np.int64) << place
    return bits


def mass(p: FloatArray, hi: FloatArray, lo: FloatArray, v: FloatArray, mean_v: FloatArray) -> FloatArray:
    """abs(CLV) · V / (V + V̄), CLV = (2p − hi − lo) / (hi − lo); [0, 1); 0 where hi = lo, V = 0 or V is unknown.

    How far the price is from the middle of its range, weighted by volume. V and V̄ in the same unit, whichever; the
    samples of auctions are in neither, since the interest of hours meets in one of them. CLV is the close location
    value of Chaikin's accumulation/distribution line.
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


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """The quotient, 0 where the denominator is 0."""
    quotient: FloatArray = np.zeros(numerator.shape)
    np.divide(numerator, denominator, where=denominator > 0, out=quotient)
    return quotient
