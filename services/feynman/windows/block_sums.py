"""Extremes and sums of every window, kept as extremes and sums of blocks of 32 columns.

For a new sample only its own block is read again; the result for a window is computed from its blocks. Nothing is
ever subtracted from a sum, so rounding errors do not accumulate, and a result depends only on the window's content.
"""

import numpy as np

from services.feynman.windows.arrays import HEADROOM, FloatArray, RowArrays, Rows, chunks

BLOCK = 32


def padded(window: int) -> int:
    """The number of columns, rounded up to whole blocks."""
    return -(-window // BLOCK) * BLOCK


def known_sum(values: FloatArray) -> FloatArray:
    """The sum of each row, without what is unknown (nan)."""
    total: FloatArray = values.sum(axis=1)
    unknown = np.isnan(total)
    if unknown.any():
        total[unknown] = np.nansum(values[unknown], axis=1)
    return total


class BlockSums(RowArrays):
    """The extremes of price, the sums of volume and trades (times HEADROOM), the sum of squared returns.

    Attributes, all of shape (capacity, number of blocks): highest, lowest, volume, trades, squares.
    """

    def __init__(self, window: int, capacity: int) -> None:
        self._blocks = padded(window) // BLOCK
        self._last = window - (self._blocks - 1) * BLOCK  # columns of the last block that the window has
        shape = (capacity, self._blocks)
        self.highest, self.lowest, self.volume, self.trades, self.squares = (np.zeros(shape) for _ in range(5))

    def begin(self, rows: int | Rows, price: FloatArray) -> None:
        """Initialise `rows` for windows of one price, without volume, trades and returns."""
        self.highest[rows] = self.lowest[rows] = price[:, np.newaxis]
        self.volume[rows] = self.trades[rows] = self.squares[rows] = 0.0

    def read(
        self, rows: Rows, column: Rows, price: FloatArray, volume: FloatArray, trades: FloatArray, r: FloatArray
    ) -> None:
        """Recompute the block of each row that contains `column`. `rows` and `column`: shape (n,); the others: shape
        (capacity, padded W)."""
        block = column // BLOCK
        for part in chunks(len(rows), BLOCK):
            at = rows[part], block[part]
            prices = self._block(price, *at)
            # Columns behind the window's last one hold no price; the block's first price is used for them.
            prices[at[1] == self._blocks - 1, self._last :] = prices[at[1] == self._blocks - 1, :1]
            self.highest[at] = prices.max(axis=1)
            self.lowest[at] = prices.min(axis=1)
            self.volume[at] = known_sum(self._block(volume, *at) * HEADROOM)
            self.trades[at] = known_sum(self._block(trades, *at) * HEADROOM)
            returns = self._block(r, *at)
            self.squares[at] = np.fmax(returns * returns, 0.0).sum(axis=1)  # nan is no return

    def read_all(self, rows: Rows, price: FloatArray, volume: FloatArray, trades: FloatArray, r: FloatArray) -> None:
        """Recompute every block of `rows`."""
        for block in range(self._blocks):
            self.read(rows, np.full(len(rows), block * BLOCK), price, volume, trades, r)

    def _block(self, ring: FloatArray, rows: Rows, block: Rows) -> FloatArray:
        blocks: FloatArray = ring.reshape(-1, BLOCK)[rows * self._blocks + block]
        return blocks
