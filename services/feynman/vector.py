"""The physics vector of every symbol: five pillars and the tail index, from the windows alone.

Formulas are written for all symbols at once; n is their number, W the windows' length. Letters: p, V, N, r
are the newest sample's price, volume, trades and log return; hi, lo the window's extremes; V̄, N̄ its means; σ
the root mean square of its returns.
"""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from common.state import CRITICAL, GAUSSIAN, LEVY_STABLE, WAIT, WAIT_ALPHA, WAIT_RETURNS
from services.feynman.windows import FloatArray, IntArray, Rows, Windows

RegimeArray = npt.NDArray[np.int8]

#: By its code in `Vectors.regime`.
REGIMES = (WAIT, CRITICAL, LEVY_STABLE, GAUSSIAN)

BINS = 32
#: Of a bin's width, or of a weight: what is this close to an edge or a tie is on it, however it was rounded.
TOLERANCE = 1e-9
ALPHA_LEAST, ALPHA_MOST = 0.5, 10.0

#: Rows worked on together: some 10 MB of temporaries at W = 1000, and numpy's overhead is small by then.
CHUNK = 128


@dataclass(frozen=True, slots=True)
class Vectors:
    """One value a symbol in each array, all of shape (n,), finite, and never −0.0."""

    mass: FloatArray  # [0, 1)
    momentum: FloatArray  # any
    friction: FloatArray  # [0, 1]
    entropy: FloatArray  # [0, 1]
    nash_dist: FloatArray  # [0, 1]
    alpha_coefficient: FloatArray  # [0.5, 10]
    regime: RegimeArray  # an index into REGIMES
    samples: IntArray  # 0 … W
    nonzero: IntArray  # m, the returns that are not 0


def compute(windows: Windows, rows: Rows) -> Vectors:
    """The vectors of `rows`, in that order. A row without a sample has pillars of 0 and waits."""
    # No rows make one chunk too, an empty one.
    chunks = [_compute(windows, rows[i : i + CHUNK]) for i in range(0, max(len(rows), 1), CHUNK)]
    return Vectors(*(np.concatenate([getattr(c, field.name) for c in chunks]) for field in fields(Vectors)))


def _compute(windows: Windows, rows: Rows) -> Vectors:
    each, newest, samples = np.arange(len(rows)), windows.newest[rows], windows.samples[rows]
    price, p = windows.price[rows], windows.last_price[rows]
    hi, lo = price.max(axis=1), price.min(axis=1)

    # Shares of the window's largest: only ratios matter, and no sum of shares overflows. What is below 1e-308
    # of the largest counts as none.
    volume, trades = _share_of_largest(windows.volume[rows]), _share_of_largest(windows.trades[rows])
    present = np.maximum(samples, 1)  # no division by 0 in a row without a sample
    v, mean_v = volume[each, newest], volume.sum(axis=1) / present
    n, mean_n = trades[each, newest], trades.sum(axis=1) / present

    log_return = windows.log_return[rows]
    r = np.nan_to_num(log_return[each, newest], nan=0.0)
    sigma = root_mean_square(log_return)
    x = np.nan_to_num(np.abs(log_return), nan=0.0)
    nonzero = np.count_nonzero(x, axis=1).astype(np.int64)

    # 1 each where the window has no volume: the columns in use are the first `samples`.
    in_use = np.arange(windows.length) < samples[:, np.newaxis]
    weight = np.where(mean_v[:, np.newaxis] > 0, volume, in_use)

    m = mass(p, hi, lo, v, mean_v)
    alpha = tail_index(x, nonzero)
    return Vectors(
        mass=m,
        momentum=momentum(m, r, sigma),
        friction=friction(v, n, mean_v, mean_n),
        entropy=entropy(log_return, sigma),
        nash_dist=nash_dist(price, weight, p, hi, lo),
        alpha_coefficient=alpha,
        regime=regime(alpha, nonzero),
        samples=samples,
        nonzero=nonzero,
    )


def mass(p: FloatArray, hi: FloatArray, lo: FloatArray, v: FloatArray, mean_v: FloatArray) -> FloatArray:
    """abs(CLV) · V / (V + V̄), CLV = (2p − hi − lo) / (hi − lo); [0, 1); 0 where hi = lo or V = 0.

    How much turnover stands behind where the price is. V and V̄ in any one unit. CLV is the close location
    value, from Chaikin's accumulation/distribution line.
    """
    # 2p − hi − lo in this form neither overflows nor loses digits in a narrow range.
    clv = _ratio((p - lo) - (hi - p), hi - lo)
    return np.abs(clv) * _ratio(v, v + mean_v)


def momentum(mass: FloatArray, r: FloatArray, sigma: FloatArray) -> FloatArray:
    """mass · r / σ, the newest return in standard deviations, as far as there is mass; 0 where σ = 0."""
    return _ratio(mass * r, sigma) + 0.0  # −0.0 + 0.0 is 0.0


def friction(v: FloatArray, n: FloatArray, mean_v: FloatArray, mean_n: FloatArray) -> FloatArray:
    """f / (f + f̄), f = N / V, f̄ = N̄ / V̄; [0, 1]; 0 where V = 0 or N = 0.

    Trades per volume against what is usual (½): more means smaller trades for the same volume. V and V̄ in any
    one unit, N and N̄ too.
    """
    # Both f multiplied by V · V̄: a quotient could overflow, these products of shares cannot.
    f, usual = n * mean_v, mean_n * v
    return np.where(v > 0, _ratio(f, f + usual), 0.0)


def entropy(log_return: FloatArray, sigma: FloatArray) -> FloatArray:
    """Shannon entropy −Σ q ln q of the returns over 32 bins of σ/4 from −4σ, by ln 32; [0, 1]; 0 where σ = 0.

    `log_return` of shape (n, W), nan where there is none. The outermost bins hold all that is beyond them.
    Shannon (1948), Bell Syst. Tech. J. 27.
    """
    scale = np.where(sigma > 0, sigma, 1.0)[:, np.newaxis]
    position = np.clip((log_return / scale + 4.0) * 4.0 + TOLERANCE, 0.0, BINS - 1.0)
    # What is no return goes to a bin of its own, after the last, which is then cut off.
    bins = np.where(np.isnan(position), BINS, position).astype(np.intp)
    count = _histogram(bins, BINS + 1)[:, :BINS]
    share = count / np.maximum(count.sum(axis=1, keepdims=True), 1.0)
    nats = -np.sum(share * np.log(share, where=share > 0, out=np.zeros_like(share)), axis=1)
    # A logarithm's last digit must not lead a uniform distribution above 1; one bin alone gives −0.0.
    return np.where(sigma > 0, np.minimum(nats / np.log(BINS), 1.0) + 0.0, 0.0)


def nash_dist(price: FloatArray, weight: FloatArray, p: FloatArray, hi: FloatArray, lo: FloatArray) -> FloatArray:
    """abs(p − mode) / (hi − lo); [0, 1]; 0 where hi = lo.

    How far the price is from where most volume changed hands. `price` and `weight` of shape (n, W). The mode
    is the middle of the heaviest of 32 bins of volume by price; of several the one nearest p.
    """
    span = np.where(hi > lo, hi - lo, 1.0)
    position = (price - lo[:, np.newaxis]) / span[:, np.newaxis] * BINS
    bins = np.minimum((position + TOLERANCE).astype(np.intp), BINS - 1)
    profile = _histogram(bins, BINS, weight)
    heaviest = profile >= profile.max(axis=1, keepdims=True) * (1.0 - TOLERANCE)

    # In bin widths above lo: the middles are exact there, however narrow the range is for the price's digits.
    middle = np.arange(BINS) + 0.5
    distance = np.abs(((p - lo) / span * BINS)[:, np.newaxis] - middle)
    # Of two as near, one on either side, the lower is the mode: the distance is the same.
    distance[~heaviest] = np.inf
    return np.where(hi > lo, distance.min(axis=1) / BINS, 0.0)


def tail_index(x: FloatArray, nonzero: IntArray) -> FloatArray:
    """Hill's α = k / Σ_{i≤k} ln(x_i / x_{k+1}), x descending, k = max(10, ⌈m / 20⌉); held within [0.5, 10].

    `x` = abs(r) of shape (n, W), 0 where there is no return; `nonzero` = m. 10 where the sum is 0; 2.5 where
    m < 64. Hill (1975), Ann. Statist. 3(5).
    """
    alpha = np.full(len(x), WAIT_ALPHA)
    enough = nonzero >= WAIT_RETURNS
    if not enough.any():
        return alpha
    k = np.maximum(10, -(-nonzero[enough] // 20))
    # In descending order the k + 1 largest of a full row. Other rows need fewer, but a number that does not
    # depend on which rows are computed together keeps a row's result the same to the last bit.
    length = x.shape[1]
    first = length - (max(10, -(-length // 20)) + 1)
    largest = np.sort(np.partition(x[enough], first, axis=1)[:, first:], axis=1)[:, ::-1]
    threshold = np.take_along_axis(largest, k[:, np.newaxis], axis=1)  # x_{k+1}, counted from 1
    # Beyond a row's own k the ratios are at most 1: held there, they add nothing to its sum.
    total = np.log(np.maximum(largest / threshold, 1.0)).sum(axis=1)
    estimate = np.divide(k, total, where=total > 0, out=np.full(len(k), ALPHA_MOST))
    alpha[enough] = np.clip(estimate, ALPHA_LEAST, ALPHA_MOST)
    return alpha


def regime(alpha: FloatArray, nonzero: IntArray) -> RegimeArray:
    """Index into REGIMES: WAIT where m < 64, else by α: Critical ≤ 1.5 < Lévy Stable ≤ 2 < Gaussian.

    Above 2 the variance is finite, and sums of returns tend to a Gaussian; at 2 and below it is not.
    """
    by_alpha = np.where(alpha > 2.0, 3, np.where(alpha > 1.5, 2, 1))
    return np.where(nonzero < WAIT_RETURNS, 0, by_alpha).astype(np.int8)


def root_mean_square(log_return: FloatArray) -> FloatArray:
    """σ = sqrt(mean of r²) over the returns that there are (not nan), 0 where there are none; shape (n,)."""
    there = np.count_nonzero(~np.isnan(log_return), axis=1)
    squares = np.nan_to_num(log_return * log_return, nan=0.0).sum(axis=1)
    sigma: FloatArray = np.sqrt(squares / np.maximum(there, 1))
    return sigma


def _share_of_largest(values: FloatArray) -> FloatArray:
    """Each row divided by its largest value, which is then 1; a row of 0 stays one."""
    largest = values.max(axis=1, keepdims=True)
    return values / np.where(largest > 0, largest, 1.0)


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """The quotient, 0 where the denominator is 0."""
    quotient: FloatArray = np.zeros(numerator.shape)
    np.divide(numerator, denominator, where=denominator > 0, out=quotient)
    return quotient


def _histogram(bins: npt.NDArray[np.intp], number: int, weight: FloatArray | None = None) -> FloatArray:
    """What falls into each bin, row by row: (n, W) of bin numbers to (n, `number`) of counts or weights."""
    offset = np.arange(len(bins))[:, np.newaxis] * number
    flat = np.bincount(
        (bins + offset).ravel(), None if weight is None else weight.ravel(), minlength=len(bins) * number
    )
    return flat.reshape(len(bins), number).astype(np.float64, copy=False)
