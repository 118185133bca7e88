"""The volume profile of every window: how much was traded in each of 32 bins between its lowest and highest price.

While a window's extremes stay the same, a new sample costs one subtraction and one addition. When one of them
changes, all edges of the bins change too, and the row is summed again.
"""

import numpy as np
import numpy.typing as npt

from services.feynman.windows.arrays import (
    HEADROOM,
    BoolArray,
    FloatArray,
    IntArray,
    RowArrays,
    Rows,
    chunks,
    newest_columns,
)
from services.feynman.windows.bins import BINS, TOLERANCE, histogram

SHRUNK = 8.0
"""A row is summed again when its volume has fallen to an eighth, since old rounding errors then matter more."""


def price_bins(price: FloatArray, lo: FloatArray, hi: FloatArray) -> npt.NDArray[np.intp]:
    """⌊(p − lo) / (hi − lo) · 32 + 1e-9⌋, held within 0 … 31; hi is above lo."""
    position = price - lo
    position /= hi - lo
    position *= BINS
    position += TOLERANCE
    return np.clip(position, 0.0, BINS - 1.0, out=position).astype(np.intp)


class VolumeProfile(RowArrays):
    """The volume profile of every row, updated as windows slide. `Windows` uses it."""

    def __init__(self, window: int, capacity: int) -> None:
        self._window = window
        self._weight: FloatArray = np.zeros((capacity, BINS))
        self._alike: BoolArray = np.zeros(capacity, np.bool_)
        """Whether every sample weighs 1, since the window has no volume; otherwise a sample weighs its volume."""
        self._lo: FloatArray = np.zeros(capacity)
        """The lower end of the bins, as `_hi` is the upper; nan for a row that must be summed again."""
        self._hi: FloatArray = np.zeros(capacity)
        self._most: FloatArray = np.zeros(capacity)
        """The largest volume that the window has had since it was summed."""

    def forget(self, rows: int | Rows | BoolArray) -> None:
        """Have these rows summed again when they are next asked for."""
        self._lo[rows] = np.nan

    def replace(
        self,
        rows: Rows,
        column: IntArray,
        leaving: tuple[FloatArray, FloatArray, BoolArray],
        entering: tuple[FloatArray, FloatArray],
    ) -> None:
        """In each row, a sample leaves a column (price, volume, whether the profile has it) and another enters it."""
        # Rounding errors would accumulate over days, so each row is summed again once per window length.
        self.forget(rows[column == rows % self._window])
        price, volume, there = leaving
        self._update(rows, price, volume, -1.0, there)
        price, volume = entering
        self._update(rows, price, volume, 1.0, np.ones(len(rows), np.bool_))

    def weights(
        self,
        rows: Rows,
        lo: FloatArray,
        hi: FloatArray,
        total: FloatArray,
        number: IntArray,
        window: tuple[FloatArray, FloatArray, IntArray],
    ) -> FloatArray:
        """The weight of each bin, shape (n, BINS): volume, or samples where there is no volume.

        0 where hi = lo. The profile is that of the `number` newest samples of each window; lo, hi, total: their
        extremes and their volume. All of shape (n,). `window`: price and volume of shape (capacity, W), and the
        column of the newest sample, of shape (capacity,).
        """
        self._most[rows] = np.maximum(self._most[rows], total)
        moved = (self._lo[rows] != lo) | (self._hi[rows] != hi) | (total * SHRUNK < self._most[rows])
        anew = (hi > lo) & (moved | (self._alike[rows] != (total == 0)))
        self._lo[rows[anew]], self._hi[rows[anew]], self._most[rows[anew]] = lo[anew], hi[anew], total[anew]
        self._alike[rows[anew]] = total[anew] == 0
        for part in chunks(int(np.count_nonzero(anew)), self._window):
            self._sum(rows[anew][part], number[anew][part], *window)
        return np.where((hi > lo)[:, np.newaxis], self._weight[rows], 0.0)

    def _update(self, rows: Rows, price: FloatArray, volume: FloatArray, sign: float, where: BoolArray) -> None:
        lo, hi = self._lo[rows], self._hi[rows]
        # A price outside of the range changes the range, so the row is summed again anyway.
        where = where & (lo < hi) & (lo <= price) & (price <= hi)
        rows = rows[where]
        bins = price_bins(price[where], lo[where], hi[where])
        weight = np.fmax(volume[where] * HEADROOM, 0.0)  # an unknown volume, nan, weighs nothing
        self._weight[rows, bins] += sign * np.where(self._alike[rows], 1.0, weight)

    def _sum(self, rows: Rows, number: IntArray, price: FloatArray, volume: FloatArray, newest: IntArray) -> None:
        with np.errstate(over="ignore"):  # a price of before a break may be anywhere
            bins = price_bins(price[rows], self._lo[rows, np.newaxis], self._hi[rows, np.newaxis])
        weight = volume[rows]
        weight *= HEADROOM
        np.fmax(weight, 0.0, out=weight)
        weight[self._alike[rows]] = 1.0
        few = number < price.shape[1]
        weight[few] *= newest_columns(newest[rows[few]], number[few], self._window)[:, : price.shape[1]]
        self._weight[rows] = histogram(bins, BINS, weight)
