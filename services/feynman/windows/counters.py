"""What was traded since the sample before, from counters: a snapshot's volume and number of trades.

A counter counts from the beginning of a session. So V and N are differences, and known only where both samples have
the counter, and where it is the same one: where it began anew, jumped over a gap, fell, wrapped or is no counter at
all, what was traded is unknown, and the cause has a name. The next difference is against the newest value again.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from services.feynman.windows.arrays import BoolArray, FloatArray, IntArray

CAUSES = ("known", "missing", "session", "gap", "overflow", "correction", "rolling")
"""Why a difference is unknown: the names of the codes in `Difference.cause`, of which 0 is for one that is known."""
KNOWN, MISSING, SESSION, GAP, OVERFLOW, CORRECTION, ROLLING = range(len(CAUSES))

CauseArray = npt.NDArray[np.int8]

LIMITS = np.array([2.0**31, 2.0**32, 2.0**53, 2.0**63, 2.0**64])
"""Where counters of programs wrap."""
NEAR = 0.9
"""A counter wrapped if it fell from this share of a limit, or above, to what is left of it."""

FALL, ROLLS, ROLLED = 16, 40, 200
"""A fall adds 16 to a counter's score and a rise takes 1 away: a counter that falls more than once in 17 changes gets
to 40, for which it takes three falls at least. It is then a rolling figure; its score is 200 after each further fall,
so that it is a counter again only after 160 rises in a row."""


class Difference(NamedTuple):
    """What was traded since the sample before, in several rows."""

    increase: FloatArray
    """V or N; nan where it is unknown."""
    cause: CauseArray
    score: IntArray
    """The new scores of the counters."""


def difference(
    value: FloatArray, previous: FloatArray, score: IntArray, gap: BoolArray, session: BoolArray
) -> Difference:
    """Compare counters with those of the samples before. All of one shape; nan is a value that is missing, inf one
    that was too great. `gap`, `session`: where a gap lies between the two, and where a new session is stated."""
    cause = np.zeros(len(value), np.int8)
    with np.errstate(invalid="ignore"):  # inf - inf
        increase = value - previous
    # A sum is finite where both are. Nearly always nothing is unusual, which these two lines are to find out.
    odd = gap | session | ~np.isfinite(increase)
    moved = ~odd & (increase != 0)
    fell = moved & (increase < 0)
    if odd.any() or fell.any():
        wrapped = fell & _wrapped(value, previous)
        fell &= ~wrapped
        moved &= ~wrapped
        cause[fell] = CORRECTION
        cause[wrapped] = OVERFLOW
        cause[gap] = GAP
        cause[session | (gap & (value < previous / 2))] = SESSION
        cause[np.isinf(value) | np.isinf(previous)] = OVERFLOW
        cause[np.isnan(value) | np.isnan(previous)] = MISSING
    score = np.where(session, 0, score)
    score = np.where(moved, np.where(fell, score + FALL, np.maximum(score - 1, 0)), score)
    rolling = score >= ROLLS
    score[fell & rolling] = ROLLED
    cause[rolling & ((cause == KNOWN) | (cause == CORRECTION))] = ROLLING
    increase[cause != KNOWN] = np.nan
    return Difference(increase, cause, score)


def _wrapped(value: FloatArray, previous: FloatArray) -> BoolArray:
    near = (previous[:, np.newaxis] >= LIMITS * NEAR) & (previous[:, np.newaxis] <= LIMITS)
    return np.asarray((near & (value[:, np.newaxis] < LIMITS * (1.0 - NEAR))).any(axis=1))
