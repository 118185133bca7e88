"""What was traded since the sample before, from counters: a snapshot's volume and number of trades.

A counter counts from the beginning of a session. So V and N are differences, and known only where both samples have
the counter, and where it is the same one: where it began anew, jumped over a gap, fell, wrapped or is no counter at
all, what was traded is unknown, and the cause has a name. The next difference is against the newest value again;
only where a value was a mistake, such as a single 0, the way back to the true ones is no trade either.
"""

from collections.abc import Callable
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


class CounterState(NamedTuple):
    """What is known of some counters beside their newest values."""

    score: IntArray
    """How much they are like rolling figures."""
    fell_from: FloatArray
    """From where they fell by more than half, as long as they have not come back; 0 if they did not."""


class Difference(NamedTuple):
    """What was traded since the sample before, in several rows."""

    increase: FloatArray
    """V or N; nan where it is unknown."""
    cause: CauseArray
    state: CounterState
    taken_back: BoolArray
    """Where the value before was a mistake, and with it the difference that was told from it."""


def difference(
    value: FloatArray,
    previous: FloatArray,
    told: Callable[[], FloatArray],
    state: CounterState,
    gap: BoolArray,
    session: BoolArray,
) -> Difference:
    """Compare counters with those of the samples before. All of one shape; nan is a value that is missing, inf one
    that was too great. `told` gives the differences of the samples before, where they are needed. `gap`, `session`:
    where a gap lies between the two, and where a new session is stated."""
    cause = np.zeros(len(value), np.int8)
    with np.errstate(invalid="ignore"):  # inf - inf
        increase = value - previous
    score, fell_from = (np.where(session, 0, kept) for kept in state)
    # A difference is finite where both are. Nearly always nothing is unusual, and most of this is not needed.
    odd = gap | session | ~np.isfinite(increase)
    moved = ~odd & (increase != 0)
    fell = moved & (increase < 0)
    taken_back = np.zeros(len(value), np.bool_)
    if odd.any() or fell.any() or fell_from.any():
        wrapped = fell & _wrapped(value, previous)
        fell &= ~wrapped
        deep = fell & (value < previous / 2)
        came_back = moved & (value >= fell_from / 2) & (value / 2 > previous) & (fell_from > 0)
        moved &= ~(wrapped | came_back)
        taken_back = deep & (value >= previous - told()) if deep.any() else taken_back
        fell_from = np.where(came_back | gap | (value >= fell_from), 0.0, fell_from)
        fell_from = np.where(deep & ~taken_back, np.maximum(previous, fell_from), fell_from)
        cause[fell | came_back] = CORRECTION
        cause[wrapped] = OVERFLOW
        cause[gap] = GAP
        cause[session | (gap & (value < previous / 2))] = SESSION
        cause[np.isinf(value) | np.isinf(previous)] = OVERFLOW
        cause[np.isnan(value) | np.isnan(previous)] = MISSING
    score = np.where(moved, np.where(fell, score + FALL, np.maximum(score - 1, 0)), score)
    rolling = score >= ROLLS
    score[fell & rolling] = ROLLED
    cause[rolling & ((cause == KNOWN) | (cause == CORRECTION))] = ROLLING
    increase[cause != KNOWN] = np.nan
    return Difference(increase, cause, CounterState(score, fell_from), taken_back)


def _wrapped(value: FloatArray, previous: FloatArray) -> BoolArray:
    near = (previous[:, np.newaxis] >= LIMITS * NEAR) & (previous[:, np.newaxis] <= LIMITS)
    return np.asarray((near & (value[:, np.newaxis] < LIMITS * (1.0 - NEAR))).any(axis=1))
