"""The tail index α of moves that are whole numbers of ticks, and its 90 % interval: by maximum likelihood.

The physics vector uses it. A move is the difference of two rounded prices, so a move of j ticks is known to within a
tick either way, with triangular weight. If moves exceed y with a probability in proportion to y^−a,

    P(j | ≥ L) = (G(j−1) − 2 G(j) + G(j+1)) / (G(L−1) − G(L)),   G(y) = y^(1−a) / (a−1)   (−ln y at a = 1),  L ≥ 2.

ℓ(a) is the sum of the logarithms over the moves at or above a threshold, which `at_threshold` and `at_own_thresholds`
choose, each with a weight ω of 1 or, where two thresholds are mixed, less. It is concave, so it has one maximum at
most. With n = Σ ω, α is the a that makes Λ(a) = (1 − 1/n) ℓ(a n/(n−1)) greatest within [0.5, 10], and the interval is
where Λ is less than d Σ ω² / n below that. Upwards d is 1.353: half the 0.9 quantile of χ² with one degree of
freedom, for moves of which there are n² / Σ ω² in effect (Kish 1965, Survey Sampling). Downwards it is more where
hardly any move lies above the threshold, y of them: 1.353 + (ln 10 − 1.353) e^−y. With none the likelihood at the
lower end is then a tenth: what leaves 5 % if half of the chance of what was seen counts as more extreme. The factors
of n make α unbiased, and the interval right, where ticks are too fine to matter: Λ is then the likelihood of the
n − 1 ratios to the threshold, and α is Hill's. Hill (1975), Ann. Statist. 3(5).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cottage.state import ALPHA_LEAST, ALPHA_MOST
from services.feynman.windows import BoolArray, FloatArray, IntArray

LEAST_MOVES = 10
"""With fewer moves of two ticks or more α is not known: it and the interval's upper end are the bound."""

DROP = 2.705543454095404 / 2
"""Half the 0.9 quantile of χ² with one degree of freedom."""

MORE_WITHOUT_MOVES_ABOVE = math.log(10.0) - DROP
"""By how much further the likelihood falls to the lower end where all moves are as large as the threshold."""

BESIDE_ONE = 2e-6
"""The likelihood is not evaluated closer to a = 1, where it is a difference of poles. Newton's step from there is as
exact as any."""

COMMON = 0.05
"""Logarithms of prices that differ by less from the middle of a window's are as good as its middle."""

COLUMNS = 64
"""Arrays of moves have a multiple of so many columns."""

LEAST_FALL, LEAST_INFORMATION = 1e-9, 1e-12
"""ℓ is not known to fall, or to be bent, where it does so by less."""

CONVERGED = 3e-6
"""A relative step so small is the last: what Newton's leaves is of the order of its square."""


@dataclass(frozen=True, slots=True)
class TailIndex:
    """Arrays of shape (n,) within [0.5, 10]: low ≤ alpha ≤ high."""

    alpha: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, slots=True)
class Exceedances:
    """The weighted moves of each row that its likelihood is made of, in ticks, and the thresholds they exceed.

    Levels are 2 or more, and whole numbers where they are ticks; where a weight is 0 they are of no account. The
    weights of a row's moves have the same sum as those of its thresholds.
    """

    moves: FloatArray  # (n, q)
    move_weights: FloatArray  # (n, q)
    thresholds: FloatArray  # (n, t)
    threshold_weights: FloatArray  # (n, t)
    squares: FloatArray  # (n,): the sum of the squares of the moves' weights
    common: FloatArray  # (n,): the threshold L, or λ, as it is for a scale of 1
    beyond: FloatArray  # (n,): how many moves are above a threshold, by its weight


def at_threshold(largest: FloatArray, k: IntArray, ties: IntArray, whole: BoolArray | bool = True) -> Exceedances:
    """The exceedances of a threshold that all moves of a row share.

    `largest` of shape (n, ≥ k + 1): each row's largest moves in descending order, of which the first k + 1 are right.
    The threshold is L, the last of them, and 2 at least. `ties`: how many moves the row has that are L.

    Where ties make the moves at or above L more than k + 1, the likelihoods of the thresholds L and L + 1 are mixed
    so that the weights add up to k + 1. Where there are fewer than k + 1 moves of 2 or more, it is made of those.
    `whole`: whose moves are whole numbers of ticks. Of others the k + 1 largest count in full, as if none were as
    large as another: whether two returns are equal hangs on their last digits, and the interval must not.
    """
    last = np.take_along_axis(largest, k[:, np.newaxis], axis=1)
    level = np.maximum(last, 2.0)
    among = (np.arange(largest.shape[1]) <= k[:, np.newaxis]) & (largest >= 2.0)
    # Of the ties as many are among the k + 1 largest as their weights add up to.
    number = np.count_nonzero(among, axis=1)
    above = np.count_nonzero(among & (largest > level), axis=1)
    tied = whole & (last[:, 0] >= 2.0)
    at_level = np.where(tied, np.maximum(ties, number - above), number - above)
    weight = np.divide(number - above, at_level, where=at_level > 0, out=np.ones(len(k)))
    farther = np.count_nonzero(among & (largest > level + 1.0), axis=1)
    return Exceedances(
        np.maximum(largest, 2.0),
        among.astype(np.float64),
        np.concatenate([level, level + 1.0], axis=1),
        np.stack([weight * (above + at_level), (1.0 - weight) * above], axis=1),
        weight * (number - above) + above,
        level[:, 0],
        np.where(whole, weight * above + (1.0 - weight) * farther, k),
    )


def own_scale(before: FloatArray, after: FloatArray, middle: FloatArray) -> FloatArray:
    """The scale of each move for `at_own_thresholds`, of shape (n, W): its price by the middle of its window's.

    `before` and `after` of that shape: the prices that it lies between; `middle` of shape (n,): √(hi · lo). The price
    of a move is the one that makes its return its size by the price. As far as it is within 5 % of the middle the
    scale is 1, and beyond that nearer to it by 5 %: so it is 1 throughout where prices differ by less than 10 %.
    """
    change = after - before
    moved = change != 0
    price = np.divide(change, np.log(after / before), where=moved, out=before.copy())
    away = np.log(price / middle[:, np.newaxis])
    scale: FloatArray = np.exp(away - np.clip(away, -COMMON, COMMON))
    return scale


def at_own_thresholds(moves: FloatArray, scale: FloatArray, k: IntArray) -> Exceedances:
    """The exceedances of a threshold in returns, which is another number of ticks for each move.

    `moves` of shape (n, W), in any order, 0 for none; `scale` of that shape, by `own_scale`. The threshold λ_i of a
    move is λ scale_i, and 2 at least, where λ is the greatest for which the sum of 1 + x_i − λ_i, each held within 0
    and 1, is k + 1. Between whole numbers a threshold is a mixture of both. With a scale of 1 it is that of
    `at_threshold`.
    """
    more = -moves.shape[1] % COLUMNS
    moves = np.pad(moves, [(0, 0), (0, more)])
    scale = np.pad(scale, [(0, 0), (0, more)], constant_values=1.0)
    large = moves >= 2.0
    common = np.zeros(len(k))
    enough = np.count_nonzero(large, axis=1) > k
    common[enough] = _common_threshold(moves[enough], scale[enough], large[enough], k[enough] + 1)
    own = np.maximum(common[:, np.newaxis] * scale, 2.0)
    exceeding = large & (moves >= np.floor(own))
    # Sums over so many columns do not depend on how many there were, or how many other rows need.
    width = -(-max(1, int(exceeding.sum(axis=1).max(initial=0))) // COLUMNS) * COLUMNS
    first = np.argsort(~exceeding, axis=1, kind="stable")[:, :width]
    moves, own, exceeding = (np.take_along_axis(array, first, axis=1) for array in (moves, own, exceeding))
    level = np.floor(own)
    at_level, share = (np.where(exceeding, part, 0.0) for part in (1.0 - (own - level), own - level))
    above = np.where(moves >= level + 1.0, share, 0.0)
    weights = at_level + above
    return Exceedances(
        np.maximum(moves, 2.0),
        weights,
        np.concatenate([level, level + 1.0], axis=1),
        np.concatenate([at_level, above], axis=1),
        np.square(weights).sum(axis=1),
        common,
        np.where(moves >= level + 1.0, at_level, 0.0).sum(axis=1)
        + np.where(moves >= level + 2.0, share, 0.0).sum(axis=1),
    )


def _common_threshold(moves: FloatArray, scale: FloatArray, large: BoolArray, number: IntArray) -> FloatArray:
    """The greatest λ at which the sum over the `large` moves of 1 + x_i − λ scale_i, each held within 0 and 1, is
    `number`; there are as many."""
    # A move's part of the sum falls from 1 at x / scale to 0 at (x + 1) / scale.
    begins, ends = (np.where(large, (moves + more) / scale, 0.0) for more in (0.0, 1.0))
    slope = np.where(large, scale, 0.0)
    turns = np.concatenate([begins, ends], axis=1)
    order = np.argsort(-turns, axis=1, kind="stable")  # so that sums do not depend on what else is there
    turns = np.take_along_axis(turns, order, axis=1)
    # From the right: the sum is 0 beyond the greatest end, and rises towards lower λ.
    steeper = np.cumsum(np.take_along_axis(np.concatenate([-slope, slope], axis=1), order, axis=1), axis=1)
    sums = np.cumsum(steeper[:, :-1] * -np.diff(turns, axis=1), axis=1)
    place = np.argmax(sums >= number[:, np.newaxis] - 1e-9, axis=1)[:, np.newaxis]
    # From the turn above it, so that moves below it are of no account.
    upper, rise, sum_there = (
        np.take_along_axis(a, place, axis=1) for a in (turns, steeper, np.pad(sums, [(0, 0), (1, 0)]))
    )
    common: FloatArray = (upper - (number[:, np.newaxis] - sum_there) / rise)[:, 0]
    return common


def estimate(exceedances: Exceedances, moves: IntArray, widening: float = 1.0) -> TailIndex:
    """α and its interval for each row.

    `moves`: how many the row has of two ticks or more. `widening`: by how much wider the interval is, for moves that
    tell less than as many independent ones. Λ falls by its square more, as if so many moves stood for one.
    """
    likelihood = _Likelihood(exceedances)
    number = np.maximum(likelihood.number, 2.0)
    # Of ℓ, of which Λ is a part.
    less = widening**2 * exceedances.squares / (number - 1.0)
    drops = (DROP + MORE_WITHOUT_MOVES_ABOVE * np.exp(-exceedances.beyond)) * less, DROP * less
    alpha, low, high = (a * (1.0 - 1.0 / number) for a in _fitted(likelihood, number / (number - 1.0), drops))
    few = moves < LEAST_MOVES
    alpha = np.where(few, ALPHA_MOST, np.clip(alpha, ALPHA_LEAST, ALPHA_MOST))
    # A single move has Λ = 0, whatever a is.
    low = np.where(likelihood.number > 1.0, np.clip(low, ALPHA_LEAST, alpha), ALPHA_LEAST)
    high = np.where(few, ALPHA_MOST, np.clip(high, alpha, ALPHA_MOST))
    return TailIndex(alpha, low, high)


def _fitted(
    likelihood: "_Likelihood", stretch: FloatArray, drops: tuple[FloatArray, FloatArray]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Where ℓ is greatest, and where it is by `drops` below that on either side, all times `stretch`: n / (n − 1)."""
    least, most = ALPHA_LEAST * stretch, ALPHA_MOST * stretch
    last = np.zeros((4, len(stretch)))

    def towards_maximum(rows: Which, a: FloatArray) -> tuple[FloatArray, BoolArray]:
        value, slope, curvature = likelihood.at(rows, a)
        last[:, rows] = a, value, slope, curvature
        # a ℓ'(a) is nearly a straight line: it is one where ticks are too fine to matter.
        return a - a * slope / np.minimum(slope + a * curvature, -LEAST_INFORMATION), slope > 0

    best = _root(towards_maximum, np.clip(likelihood.near_maximum, least, most), least, most)
    a, value, slope, curvature = last
    greatest = value + (best - a) * (slope + (best - a) * curvature / 2.0)

    def end(sign: float, drop: FloatArray, lower: FloatArray, upper: FloatArray) -> FloatArray:
        def towards_end(rows: Which, a: FloatArray) -> tuple[FloatArray, BoolArray]:
            value, slope, _ = likelihood.at(rows, a, curvature=False)
            # The root of the fall is nearly a straight line over the cube root of a: Wilson and Hilferty (1931).
            fall = np.sqrt(np.maximum(2.0 * (greatest[rows] - value), LEAST_FALL))
            missing = np.sqrt(2.0 * drop[rows]) - fall
            # Where nothing has fallen this is the maximum, from where the other bound is the way out.
            gain = np.where(fall**2 > LEAST_FALL, 3.0 * np.cbrt(a) ** 2 * np.abs(slope) / fall, LEAST_FALL)
            return np.maximum(np.cbrt(a) + sign * missing / gain, 0.0) ** 3, missing * sign > 0

        spread = np.sqrt(2.0 * drop / np.maximum(-curvature, LEAST_INFORMATION)) / (3.0 * best)
        guess = best * np.maximum(1.0 + sign * spread, 0.1) ** 3
        return _root(towards_end, np.clip(guess, lower, upper), lower, upper)

    return best, end(-1.0, drops[0], least, best), end(1.0, drops[1], best, most)


Which = IntArray | slice
"""Which rows of a likelihood: their indices, or a slice, which copies nothing, of all."""


class _Likelihood:
    """ℓ(a) of each row, with b = 1 − a. Each part is written so that nothing cancels, for moves of any size.

    Its methods give values of these `rows` at `a`, of their shape, none of which is 1.
    """

    def __init__(self, exceedances: Exceedances) -> None:
        moves, thresholds = exceedances.moves, exceedances.thresholds
        self._weights = exceedances.move_weights, exceedances.threshold_weights
        self.number: FloatArray = exceedances.threshold_weights.sum(axis=1)
        # (1 ∓ 1/j)^b = exp(b (mean ∓ half)).
        self._mean, self._half = 0.5 * np.log1p(-np.square(1.0 / moves)), np.arctanh(1.0 / moves)
        self._below = np.log1p(-1.0 / thresholds)
        self._logs: FloatArray = self._sum(slice(None), np.log(moves), np.log(thresholds))
        # Hill's, with thresholds in the middle of what rounding may have taken to them.
        logs = np.maximum(self._sum(slice(None), np.log(moves), np.log(thresholds - 0.5)), LEAST_FALL)
        self.near_maximum: FloatArray = self.number / logs

    def at(self, rows: Which, a: FloatArray, *, curvature: bool = True) -> tuple[FloatArray, FloatArray, FloatArray]:
        """ℓ, ℓ' and ℓ'' of these rows at `a`, of their shape and never 1; ℓ'' only where it is asked for."""
        b = (1.0 - a)[:, np.newaxis]
        m, first, second = self._of_moves(rows, b, curvature)
        # ((1 − 1/L)^b − 1) / 2, and its logarithm's derivatives.
        below = self._below[rows]
        power = np.expm1(b * below)
        of_threshold = below * (1.0 + power) / power
        logs = self._logs[rows]
        return (
            self._sum(rows, np.log(m / -b), np.log(power / (-2.0 * b))) + b[:, 0] * logs,
            -self._sum(rows, first, of_threshold) - logs,
            self._sum(rows, second, of_threshold * (below - of_threshold)) if curvature else second,
        )

    def _of_moves(self, rows: Which, b: FloatArray, curvature: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
        """M = ((1 − 1/j)^b + (1 + 1/j)^b − 2) / 2, (ln M)', and (ln M)'' where it is asked for, by b."""
        mean, half = self._mean[rows], self._half[rows]
        to_mean, to_half = np.expm1(b * mean), np.expm1(b * half)
        less_one = to_half * to_half / (2.0 + 2.0 * to_half)  # cosh − 1
        sinh = to_half - less_one
        cosh = less_one + 1.0
        m = to_mean * cosh + less_one
        by_m = (to_mean + 1.0) / m
        first = by_m * (mean * cosh + half * sinh)
        if not curvature:
            return m, first, first
        return m, first, by_m * ((mean * mean + half * half) * cosh + 2.0 * mean * half * sinh) - first * first

    def _sum(self, rows: Which, of_moves: FloatArray, of_thresholds: FloatArray) -> FloatArray:
        """What there is of the moves, less what there is of the thresholds, by their weights."""
        moves, thresholds = (weights[rows] for weights in self._weights)
        total: FloatArray = np.einsum("ij,ij->i", moves, of_moves) - np.einsum("ij,ij->i", thresholds, of_thresholds)
        return total


Step = Callable[[Which, FloatArray], tuple[FloatArray, BoolArray]]
"""Newton's next a for these rows, from `a`; and whether the root is above it."""


def _root(step: Step, start: FloatArray, least: FloatArray, most: FloatArray) -> FloatArray:
    """The root of each row between two bounds, or the bound it is beyond."""
    found, lower, upper = start.copy(), least.copy(), most.copy()
    rows: Which = slice(None)
    while len(found[rows]):
        a = _beside_one(found[rows])
        following, above = step(rows, a)
        lower[rows], upper[rows] = np.where(above, a, lower[rows]), np.where(above, upper[rows], a)
        low, high = lower[rows], upper[rows]
        # An end that was evaluated is not the root, unless it is as near as can be; a bound may be.
        near = np.abs(following - a) <= CONVERGED * a
        astray = ((following <= low) & (low > least[rows])) | ((following >= high) & (high < most[rows]))
        halved = ~near & astray & (high - low > CONVERGED * a)
        within = np.clip(following, np.where(near, least[rows], low), np.where(near, most[rows], high))
        found[rows] = np.where(halved, np.sqrt(low * high), within)
        rows = np.arange(len(found))[rows][np.abs(found[rows] - a) > CONVERGED * a]
    return found


def _beside_one(a: FloatArray) -> FloatArray:
    return np.where(np.abs(a - 1.0) < BESIDE_ONE, 1.0 + np.copysign(BESIDE_ONE, a - 1.0), a)
