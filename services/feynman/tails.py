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
from services.feynman.windows import BoolArray, FloatArray, IntArray, PricedMoves, Rows, Windows

WIDE = np.exp(0.1)
"""Where the highest price of a window is more than so many times its lowest, a tick is not the same return for all
of its moves."""

SHARED_ROWS, WIDE_ROWS = 1000, 500
"""So many tail indices are computed together: of rows whose moves share a threshold, and of others."""


def order_statistics(nonzero: IntArray) -> IntArray:
    """k = max(10, ⌈m / 20⌉): of how many of the largest moves the tail index is made."""
    return np.maximum(10, -(-nonzero // 20))


def middle(tick: FloatArray, peak: FloatArray, trough: FloatArray) -> FloatArray:
    """√(highest · lowest price) of windows in which a tick is not the same return throughout; 0 for the others."""
    wide = ~np.isnan(tick) & (trough < peak / WIDE)
    return np.where(wide, np.sqrt(trough) * np.sqrt(peak), 0.0)


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
    exceedances = at_threshold(moves, k, ties, ~np.isnan(windows.tick(rows)))
    tail = estimate(exceedances, windows.telling_moves(rows), windows.tails.widening)
    return tail, exceedances.common


def _wide(windows: Windows, rows: Rows, k: IntArray, middle: FloatArray) -> tuple[TailIndex, FloatArray]:
    """The tail indices of windows in which each move has a threshold of its own, and the lowest that one may have."""
    windows.largest_moves(rows, k + 1)  # lists and counts them
    moves, floor = windows.large(rows)
    cheapest = windows.cheapest(rows)[:, np.newaxis]
    scale = own_scale(cheapest, cheapest, middle)[:, 0]
    tail, least = _at_own(windows, rows, moves, (k, middle, scale))
    # What is not listed may exceed its own threshold where prices differ that much.
    short = np.flatnonzero((floor > 0) & (floor + 1.0 > least))
    if len(short):
        part = rows[short]
        again, least[short] = _at_own(windows, part, windows.whole(part), (k[short], middle[short], scale[short]))
        for column, values in zip(
            (tail.alpha, tail.low, tail.high), (again.alpha, again.low, again.high), strict=True
        ):
            column[short] = values
    return tail, np.maximum(np.floor(least), 2.0)


def _at_own(
    windows: Windows, rows: Rows, moves: PricedMoves, of_rows: tuple[IntArray, FloatArray, FloatArray]
) -> tuple[TailIndex, FloatArray]:
    """The tail indices that these moves of windows have, and the threshold of the cheapest. `of_rows`: k, the middle
    of prices, and the scale of the cheapest."""
    k, middle, scale = of_rows
    exceedances = at_own_thresholds(moves.ticks, own_scale(moves.before, moves.after, middle), k)
    tail = estimate(exceedances, windows.telling_moves(rows), windows.tails.widening)
    return tail, exceedances.common * scale
