"""The volume profile of every window: how much was traded in each of 32 bins between its lowest and highest price.

While a window's extremes stay, a new sample costs one subtraction and one addition. Where either changes, so do
all edges of the bins, and the row is summed anew.
"""

import numpy as np
import numpy.typing as npt

from services.feynman.windows.arrays import HEADROOM, BoolArray, FloatArray, IntArray, RowArrays, Rows, chunks
from services.feynman.windows.bins import BINS, TOLERANCE, histogram

SHRUNK = 8.0
"""A row is summed anew when its volume has fallen to an eighth: what was rounded then is large by now."""


def price_bins(price: FloatArray, lo: FloatArray, hi: FloatArray) -> npt.NDArray[np.intp]:
    """⌊(p − lo) / (hi − lo) · 32 + 1e-9⌋, held within 0 … 31; hi is above lo."""
    position = price - lo
    position /= hi - lo
    position *= BINS
    position += TOLERANCE
    return np.minimum(position, BINS - 1.0, out=position).astype(np.intp)


class VolumeProfile(RowArrays):
    """The volume profile of every row, kept while windows slide."""

    def __init__(self, window: int, capacity: int) -> None:
        self._window = window
        self._weight: FloatArray = np.zeros((capacity, BINS))
        self._alike: BoolArray = np.zeros(capacity, np.bool_)
        """Whether each sample weighs 1, in a window without volume. Else its volume."""
        self._lo: FloatArray = np.zeros(capacity)
        """Between which the bins lie; nan for a row that must be summed anew."""
        self._hi: FloatArray = np.zeros(capacity)
        self._most: FloatArray = np.zeros(capacity)
        """The largest volume that the window had since it was summed."""

    def forget(self, rows: int | Rows | BoolArray) -> None:
        """Sum these rows anew when they are asked for."""
        self._lo[rows] = np.nan

    def replace(
        self,
        rows: Rows,
        column: IntArray,
        leaving: tuple[FloatArray, FloatArray, BoolArray],
        entering: tuple[FloatArray, FloatArray],
    ) -> None:
        """A sample for another in each row's column: its price, its volume, and whether there is one at all."""
        # Sums that last for days would gather their roundings: each row has its turn once a window.
        self.forget(rows[column == rows % self._window])
        price, volume, full = leaving
        self._update(rows, price, volume, -1.0, full)
        price, volume = entering
        self._update(rows, price, volume, 1.0, np.ones(len(rows), np.bool_))

    def weights(
        self,
        rows: Rows,
        lo: FloatArray,
        hi: FloatArray,
        total: FloatArray,
        window: tuple[FloatArray, FloatArray, IntArray],
    ) -> FloatArray:
        """The weight of each bin, shape (n, BINS): volume, or samples where the window has no volume.

        0 where hi = lo. lo, hi, total: shape (n,): the extremes and the volume of each window. `window`: price and
        volume of shape (capacity, W), samples of shape (capacity,).
        """
        self._most[rows] = np.maximum(self._most[rows], total)
        moved = (self._lo[rows] != lo) | (self._hi[rows] != hi) | (total * SHRUNK < self._most[rows])
        anew = (hi > lo) & (moved | (self._alike[rows] != (total == 0)))
        self._lo[rows[anew]], self._hi[rows[anew]], self._most[rows[anew]] = lo[anew], hi[anew], total[anew]
        self._alike[rows[anew]] = total[anew] == 0
        for part in chunks(int(np.count_nonzero(anew)), self._window):
            self._sum(rows[anew][part], *window)
        return np.where((hi > lo)[:, np.newaxis], self._weight[rows], 0.0)

    def _update(self, rows: Rows, price: FloatArray, volume: FloatArray, sign: float, where: BoolArray) -> None:
        lo, hi = self._lo[rows], self._hi[rows]
        # A price beyond means that the range is another now.
        where = where & (lo < hi) & (lo <= price) & (price <= hi)
        rows = rows[where]
        bins = price_bins(price[where], lo[where], hi[where])
        self._weight[rows, bins] += sign * np.where(self._alike[rows], 1.0, volume[where] * HEADROOM)

    def _sum(self, rows: Rows, price: FloatArray, volume: FloatArray, samples: IntArray) -> None:
        bins = price_bins(price[rows], self._lo[rows, np.newaxis], self._hi[rows, np.newaxis])
        weight = volume[rows]
        weight *= HEADROOM
        alike = self._alike[rows]
        weight[alike] = np.arange(price.shape[1]) < samples[rows[alike], np.newaxis]  # columns in use
        self._weight[rows] = histogram(bins, BINS, weight)
