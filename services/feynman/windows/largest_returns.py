"""The largest absolute returns, x = abs(r), of every window.

Each row has a list of all x above a floor, which is chosen so that somewhat more of them exceed it than are needed.
As windows slide, few samples are large enough to change the list. When too few are left above the floor, the row is
searched again for a lower floor.
"""

import numpy as np

from services.feynman.windows.arrays import BoolArray, FloatArray, IntArray, RowArrays, Rows, chunks
from services.feynman.windows.shortlist import Shortlist


class LargestReturns(RowArrays):
    """The largest x of every row, updated as windows slide. `Windows` uses it."""

    def __init__(self, window: int, capacity: int) -> None:
        self._window = window
        self._list_up_to(max(10, -(-window // 20)) + 1, capacity)

    def _list_up_to(self, most: int, capacity: int) -> None:
        """Begin new lists that are long enough to ask for the `most` largest."""
        self.most = most = min(most, self._window)
        self._sought = min(self._window, most + most // 2)
        self._above = Shortlist(min(self._window, 2 * most + 16), capacity)
        self._floor: FloatArray = np.full(capacity, np.nan)
        """The floor of each row; nan for a row that must be searched again."""
        self._at_floor: IntArray = np.zeros(capacity, np.int64)
        """How many x equal the floor. On a tick grid they can be most of the window, so they are not listed."""

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

    def largest(self, rows: Rows, needed: IntArray, log_return: FloatArray) -> FloatArray:
        """Each row's largest x in descending order, shape (n, `most`), of which the first `needed` are right.

        Lists become longer when more are needed than ever before; at first `most` is a twentieth of a window.
        `log_return`: the windows' returns, shape (capacity, ≤ W), at least `needed` of which are not 0.
        """
        if len(rows) and needed.max() > self.most:
            self._list_up_to(int(needed.max()), len(self._floor))
        enough = self._above.length[rows] + self._at_floor[rows] >= needed
        anew = rows[~enough | np.isnan(self._floor[rows])]
        for part in chunks(len(anew), log_return.shape[1]):
            self._search(anew[part], log_return)
        return np.concatenate(
            [np.empty((0, self.most))] + [self._largest(rows[part]) for part in chunks(len(rows), self._above.size)]
        )

    def _largest(self, rows: Rows) -> FloatArray:
        # The values above the floor, followed by the floor itself as often as needed.
        listed = np.arange(self._above.size) < self._above.length[rows, np.newaxis]
        value = np.where(listed, self._above.value[rows], self._floor[rows, np.newaxis])
        value.sort(axis=1)
        descending: FloatArray = value[:, ::-1][:, : self.most]
        return descending

    def _search(self, rows: Rows, log_return: FloatArray) -> None:
        x = np.fmax(np.abs(log_return[rows]), 0.0)  # nan is no return
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
