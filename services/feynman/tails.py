"""The tail indices of windows: which of their moves are asked, and where these have changed, what they say.

The physics vector uses it. `tail_index.py` has the formulas, docs/estimators.md the definition.
"""

import numpy as np

from cottage.state import ALPHA_LEAST, ALPHA_MOST, WAIT_ALPHA, WAIT_RETURNS
from services.feynman.tail_index import (
    LEAST_MOVES,
    TailIndex,
    at_own_thresholds,
    at_threshold,
    estimate,
    own_scale,
)
from services.feynman.windows import BoolArray, FloatArray, IntArray, Rows, Statistics, Windows

WIDE = np.exp(0.1)
"""Where the highest price of a window is more than so many times its lowest, a tick is not the same return for all
of its moves."""

SHARED_ROWS, WIDE_ROWS = 1000, 64
"""So many tail indices are computed together: of rows whose moves share a threshold, and of others."""


def order_statistics(nonzero: IntArray) -> IntArray:
    """k = max(10, ⌈m / 20⌉): of how many of the largest moves the tail index is made."""
    return np.maximum(10, -(-nonzero // 20))


def middle(w: Statistics) -> FloatArray:
    """√(highest · lowest price) of windows in which a tick is not the same return throughout; 0 for the others."""
    wide = ~np.isnan(w.tick) & (w.trough < w.peak / WIDE)
    return np.where(wide, np.sqrt(w.trough) * np.sqrt(w.peak), 0.0)


def tails(windows: Windows, rows: Rows, nonzero: IntArray, middle: FloatArray) -> tuple[TailIndex, BoolArray]:
    """The tail index of each of `rows`, and whether enough moves tell of it. `nonzero`: m; `middle` as above.

    Where m < 64 it is not known: α is 2.5, and its interval all that α may be.
    """
    enough, k, kept = nonzero >= WAIT_RETURNS, order_statistics(nonzero), windows.tails
    stale = np.flatnonzero(enough & kept.stale(rows, k, middle))
    wide = middle[stale] > 0
    for which, at_once, compute in ((stale[~wide], SHARED_ROWS, _shared), (stale[wide], WIDE_ROWS, _wide)):
        for start in range(0, len(which), at_once):
            part = which[start : start + at_once]
            tail, least = compute(windows, rows[part], k[part], middle[part])
            kept.keep(rows[part], k[part], middle[part], least, (tail.alpha, tail.low, tail.high))
    unknown = WAIT_ALPHA, ALPHA_LEAST, ALPHA_MOST
    columns = zip((kept.alpha, kept.low, kept.high), unknown, strict=True)
    found = TailIndex(*(np.where(enough, column[rows], value) for column, value in columns))
    return found, enough & (windows.telling_moves(rows) >= LEAST_MOVES)


def _shared(windows: Windows, rows: Rows, k: IntArray, _middle: FloatArray) -> tuple[TailIndex, FloatArray]:
    """The tail indices of windows whose moves share a threshold, and that."""
    moves, ties = windows.largest_moves(rows, k + 1)
    exceedances = at_threshold(moves, k, ties)
    tail = estimate(exceedances, windows.telling_moves(rows), windows.tails.widening)
    return tail, exceedances.common


def _wide(windows: Windows, rows: Rows, k: IntArray, middle: FloatArray) -> tuple[TailIndex, FloatArray]:
    """The tail indices of windows in which each move has a threshold of its own, and the lowest that one may have."""
    windows.largest_moves(rows, k + 1)  # counts them
    after, moves = windows.price[rows], windows.moves(rows)
    before = after * np.exp(-np.nan_to_num(windows.log_return[rows], nan=0.0))
    exceedances = at_own_thresholds(moves, own_scale(before, after, middle), k)
    tail = estimate(exceedances, windows.telling_moves(rows), windows.tails.widening)
    cheapest = after.min(axis=1, keepdims=True)
    scale = own_scale(cheapest, cheapest, middle)[:, 0]
    return tail, np.maximum(np.floor(exceedances.common * scale), 2.0)
