"""Short lists of chosen values of every window, so that a tick need not read whole windows."""

import numpy as np
import numpy.typing as npt

from services.feynman.windows.arrays import BoolArray, FloatArray, IntArray, RowArrays, Rows


class Shortlist(RowArrays):
    """For each row a list of up to `size` values, in no order, each with its column in the window.

    ReturnHistogram and LargestMoves use it. They decide what is listed, and what to do when a row's list is full.

    Attributes:
        length: shape (capacity,), how many values a row's list has.
        value: shape (capacity, size), of which the first `length` are in use.
    """

    def __init__(self, size: int, capacity: int) -> None:
        self.size = size
        self.value: FloatArray = np.zeros((capacity, size))
        self._column: npt.NDArray[np.int32] = np.zeros((capacity, size), np.int32)
        self.length: IntArray = np.zeros(capacity, np.int64)

    def add(self, rows: Rows, column: IntArray, value: FloatArray) -> BoolArray:
        """Add one value to each row's list. Returns for which rows there was room. All of the shape of `rows`."""
        place = self.length[rows]
        room = place < self.size
        rows, place = rows[room], place[room]
        self.value[rows, place] = value[room]
        self._column[rows, place] = column[room]
        self.length[rows] = place + 1
        return room

    def remove(self, rows: Rows, column: IntArray) -> None:
        """Remove the value of a column from each row's list. A list that does not have it stays as it is."""
        columns = self._column[rows]
        listed = (columns == column[:, np.newaxis]) & (np.arange(self.size) < self.length[rows, np.newaxis])
        which, place = np.nonzero(listed)
        rows = rows[which]
        last = self.length[rows] - 1
        self.value[rows, place] = self.value[rows, last]
        self._column[rows, place] = self._column[rows, last]
        self.length[rows] = last

    def columns(self, rows: Rows) -> tuple[IntArray, BoolArray]:
        """The columns of these rows' values in ascending order, shape (n, size), and which of them are in use: behind
        those there is column 0."""
        used = np.arange(self.size) < self.length[rows, np.newaxis]
        column = np.where(used, self._column[rows], np.iinfo(np.int32).max)
        column.sort(axis=1)
        return np.where(used, column, 0).astype(np.int64), used

    def values(self, rows: Rows) -> tuple[Rows, FloatArray]:
        """All values of these rows' lists, one list after the other, and the index into `rows` of each value."""
        length = self.length[rows]
        return np.repeat(np.arange(len(rows)), length), self.value.ravel()[self._places(rows, length)]

    def choose(self, rows: Rows, chosen: BoolArray, value: FloatArray) -> BoolArray:
        """Replace each row's list by the chosen columns, shape (n, W). Returns for which rows there was room."""
        length = np.count_nonzero(chosen, axis=1)
        room: BoolArray = length <= self.size
        length = np.where(room, length, 0)
        flat = np.flatnonzero(chosen if room.all() else chosen & room[:, np.newaxis])
        places = self._places(rows, length)
        self.value.ravel()[places] = value.ravel()[flat]
        self._column.ravel()[places] = flat - np.repeat(np.arange(len(rows)) * chosen.shape[1], length)
        self.length[rows] = length
        return room

    def _places(self, rows: Rows, length: IntArray) -> Rows:
        """Indices, into the flattened arrays, of the first `length` values of each row's list.

        With one index for each of two dimensions numpy takes ten times as long.
        """
        first = rows * self.size - (np.cumsum(length) - length)
        places: Rows = np.repeat(first, length)
        places += np.arange(len(places))
        return places
