"""The tail index of every window as it was computed last, and whether its moves have changed since.

A tenth of the samples change the moves that a tail index is made of, so for the other rows it need not be computed.
"""

import numpy as np

from services.feynman.windows.arrays import BoolArray, FloatArray, IntArray, RowArrays, Rows


class KeptTails(RowArrays):
    """`Windows` uses it, and has it told by who computes tail indices.

    Attributes, all of shape (capacity,):
        alpha, low, high: the tail index and its interval; 0 in a row that has had none.
        widening: by how much wider that interval is to be than of independent moves; a number, for all rows.
    """

    def __init__(self, capacity: int, widening: float) -> None:
        self.widening = widening
        self.alpha, self.low, self.high = (np.zeros(capacity) for _ in range(3))
        self._changed = np.ones(capacity, np.bool_)
        self._k: IntArray = np.zeros(capacity, np.int64)
        self._middle: FloatArray = np.zeros(capacity)
        self._least: FloatArray = np.zeros(capacity)
        """The fewest ticks that a move among those of the row's tail index may have."""

    def forget(self, rows: int | Rows | BoolArray) -> None:
        """All moves of these rows may have changed."""
        self._changed[rows] = True

    def replace(self, rows: Rows, leaving: FloatArray, entering: FloatArray) -> None:
        """In each row a move leaves and another enters, in ticks; 0 means none. All of the shape of `rows`."""
        self._changed[rows] |= np.maximum(leaving, entering) >= self._least[rows]

    def stale(self, rows: Rows, k: IntArray, middle: FloatArray) -> BoolArray:
        """Of which rows the moves have changed, or their number k, or the `middle` of prices that scales them."""
        return np.asarray(self._changed[rows] | (k != self._k[rows]) | (middle != self._middle[rows]))

    def keep(
        self,
        rows: Rows,
        k: IntArray,
        middle: FloatArray,
        least: FloatArray,
        tail: tuple[FloatArray, FloatArray, FloatArray],
    ) -> None:
        """Remember these tail indices: α, low, high. `least`: the fewest ticks that a move of theirs may have."""
        self._changed[rows] = False
        self._k[rows], self._middle[rows], self._least[rows] = k, middle, least
        self.alpha[rows], self.low[rows], self.high[rows] = tail
