"""The largest moves, x in ticks, of every window: those of two ticks or more, which alone can speak of a tail.

Each row has a list of all x above a floor, which is chosen so that somewhat more of them exceed it than are needed.
As windows slide, few samples are large enough to change the list. When too few are left above the floor, the row is
searched again for a lower floor; where it is 0, all of two ticks or more are listed.
"""

from collections.abc import Callable

import numpy as np

from services.feynman.windows.arrays import BoolArray, FloatArray, IntArray, RowArrays, Rows, chunks
from services.feynman.windows.shortlist import Shortlist
from services.feynman.windows.tick_grid import ticks_moved

LEAST_TICKS = 2.0
NO_GRID = 2.0**60
"""Where prices have no grid, moves are abs(r) in so fine a unit that each is of many ticks."""

MovesOf = Callable[[Rows], FloatArray]
"""Returns the moves of these rows' whole windows, shape (n, W), as `moves` does."""


def moves(price: FloatArray, log_return: FloatArray, tick: FloatArray) -> FloatArray:
    """x of samples: their moves in ticks, 0 where there is none of two ticks or more. `tick`: nan without a grid."""
    return large_moves(ticks_moved(price, log_return, tick), log_return, tick)


def large_moves(x: FloatArray, log_return: FloatArray, tick: FloatArray) -> FloatArray:
    """`moves` of samples that have moved by x ticks."""
    without = np.isnan(tick)
    if without.any():
        x = np.where(without, np.abs(log_return) * NO_GRID, x)
    return np.where(x >= LEAST_TICKS, x, 0.0)  # a comparison with nan is false


class LargestMoves(RowArrays):
    """The largest x of every row, updated as windows slide. `Windows` uses it.

    Attributes, of shape (capacity,):
        number: how many moves of two ticks or more a row has, since it was last searched.
    """

    def __init__(self, window: int, capacity: int) -> None:
        self._window = window
        self.number: IntArray = np.zeros(capacity, np.int64)
        self._list_up_to(max(10, -(-window // 20)) + 1, capacity)

    def _list_up_to(self, most: int, capacity: int) -> None:
        """Begin new lists that are long enough to ask for the `most` largest."""
        self.most = most = min(most, self._window)
        self._sought = min(self._window, most + most // 2)
        self._above = Shortlist(min(self._window, 2 * most + 16), capacity)
        self._floor: FloatArray = np.full(capacity, np.nan)
        """The floor of each row; nan for a row that must be searched again."""
        self._at_floor: IntArray = np.zeros(capacity, np.int64)
        """How many x equal the floor, where it is not 0. On a tick grid they can be most of the window, so they are
        not listed."""

    def forget(self, rows: int | Rows | BoolArray) -> None:
        """Have these rows searched again when they are next asked for."""
        self._floor[rows] = np.nan

    def replace(self, rows: Rows, column: IntArray, leaving: FloatArray, entering: FloatArray) -> None:
        """In each row, one x leaves a column and another enters it; 0 means none. All of the shape of `rows`."""
        floor = self._floor[rows]
        out, into = leaving > floor, entering > floor
        self._above.remove(rows[out], column[out])
        room = self._above.add(rows[into], column[into], entering[into])
        self.forget(rows[into][~room])
        self._at_floor[rows] += (entering == floor).astype(np.int64) - (leaving == floor)
        self.number[rows] += (entering > 0).astype(np.int64) - (leaving > 0)

    def largest(self, rows: Rows, needed: IntArray, moves_of: MovesOf) -> tuple[FloatArray, IntArray]:
        """Each row's largest x in descending order, shape (n, `most`), of which the first `needed` are right: 0 where
        there are not so many. Also how many x of the row are as large as the last one needed, where that is not 0.

        Lists become longer when more are needed than ever before; at first `most` is a twentieth of a window.
        """
        if len(rows) and needed.max() > self.most:
            self._list_up_to(int(needed.max()), len(self._floor))
        floor = self._floor[rows]
        enough = (floor == 0) | (self._above.length[rows] + self._at_floor[rows] >= needed)
        anew = rows[~enough | np.isnan(floor)]
        for part in chunks(len(anew), self._window):
            self._search(anew[part], moves_of(anew[part]))
        parts = [self._largest(rows[part], needed[part]) for part in chunks(len(rows), self._above.size)]
        largest = np.concatenate([np.empty((0, self.most)), *(part for part, _ in parts)])
        return largest, np.concatenate([np.empty(0, np.int64), *(ties for _, ties in parts)])

    def listed(self, rows: Rows) -> tuple[IntArray, BoolArray, FloatArray]:
        """The columns of all moves of these rows that are above a floor, ascending, of shape (n, columns); which of
        these are in use; and the floors. `largest` must have been asked for these rows."""
        columns, used = self._above.columns(rows)
        return columns, used, self._floor[rows]

    def _largest(self, rows: Rows, needed: IntArray) -> tuple[FloatArray, IntArray]:
        # The values above the floor, followed by the floor itself as often as needed.
        listed = np.arange(self._above.size) < self._above.length[rows, np.newaxis]
        floor = self._floor[rows, np.newaxis]
        value = np.where(listed, self._above.value[rows], floor)
        value.sort(axis=1)
        descending: FloatArray = value[:, ::-1][:, : self.most]
        last = np.take_along_axis(descending, needed[:, np.newaxis] - 1, axis=1)
        listed_ties = np.count_nonzero(value == last, axis=1)
        return descending, np.where((last == floor)[:, 0], self._at_floor[rows], listed_ties)

    def _search(self, rows: Rows, x: FloatArray) -> None:
        self.number[rows] = np.count_nonzero(x, axis=1)
        quarter = x.shape[1] // 4
        room = np.zeros(len(rows), np.bool_)
        if quarter > 2 * self._sought:
            # A cheap guess: the n-th largest among maxima of four is usually close to the n-th largest of all.
            largest = x[:, : 4 * quarter].reshape(len(x), 4, quarter).max(axis=1)
            room = self._list(rows, x, _nth_largest(largest, self._sought))
        if not room.all():
            self._list(rows[~room], x[~room], _nth_largest(x[~room], self._sought))

    def _list(self, rows: Rows, x: FloatArray, floor: FloatArray) -> BoolArray:
        """List what is above these floors. Returns for which rows there was room."""
        self._floor[rows] = floor
        self._at_floor[rows] = np.count_nonzero(x == floor[:, np.newaxis], axis=1)
        return self._above.choose(rows, x > floor[:, np.newaxis], x)


def _nth_largest(x: FloatArray, n: int) -> FloatArray:
    """The n-th largest value of each row, counted from 1; its smallest if the row is shorter."""
    place = max(0, x.shape[1] - n)
    nth: FloatArray = np.partition(x, place, axis=1)[:, place]
    return nth
