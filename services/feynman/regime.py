"""The regime: what a tail index says of the variance, kept until the evidence is against it. The vectors have it.

An estimate is not the tail's index, and near a threshold it passes from one side to the other every few minutes. So
the regime is a recursion over samples, and what it begins with is the plain rule.
"""

import numpy as np
import numpy.typing as npt

from cottage.state import CRITICAL, GAUSSIAN, LEVY_STABLE, WAIT, WAIT_RETURNS
from services.feynman.tail_index import TailIndex
from services.feynman.windows import BoolArray, FloatArray, IntArray

RegimeArray = npt.NDArray[np.int8]

REGIMES = (WAIT, CRITICAL, LEVY_STABLE, GAUSSIAN)
"""The name of each code. But for WAIT, a greater code is a lighter tail."""

LEVY_STABLE_ABOVE, GAUSSIAN_ABOVE = 1.5, 2.0


def plain(alpha: FloatArray) -> RegimeArray:
    """Index into REGIMES by α alone: Critical ≤ 1.5 < Lévy Stable ≤ 2 < Gaussian.

    Above 2 the variance is finite, and sums of returns tend to a Gaussian; at 2 and below it is not.
    """
    return (1 + (alpha > LEVY_STABLE_ABOVE) + (alpha > GAUSSIAN_ABOVE)).astype(np.int8)


def regime(
    before: RegimeArray | IntArray,
    tail: TailIndex,
    nonzero: IntArray,
    telling: BoolArray,
) -> RegimeArray:
    """The regime after a sample, as an index into REGIMES. All arguments have one entry per symbol.

    `before`: the regime after the sample before, WAIT in a new window. `telling`: whether enough moves of the window
    can speak of a tail; where not, the regime is kept. It is WAIT where m < 64, and `plain` after WAIT. Else it
    becomes lighter where all of the tail index's interval lies above a threshold, and heavier where α and a fifth of
    the way to the interval's upper end do not.

    Applied to the same sample again, it gives the same.
    """
    by_alpha = plain(tail.alpha)
    kept = np.clip(before, plain(tail.low), plain(tail.alpha + (tail.high - tail.alpha) / 5))
    after = np.where(telling, np.where(before == 0, by_alpha, kept), before)
    return np.where(nonzero < WAIT_RETURNS, 0, after).astype(np.int8)
