"""Breaks: from a sample on, prices cannot be compared with those before, after a split for instance.

`Windows` finds them. A window's extremes and its volume profile are then those of the samples since its newest break.
"""

import numpy as np

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
from services.feynman.windows.bins import TOLERANCE

SPLITS = np.array([2, 3, 4, 5, 8, 10, 15, 20, 3 / 2, 4 / 3, 5 / 4])
"""How many new shares there are for an old one, or the other way round, in nearly all splits."""
NEAR_SPLIT = 0.005
"""A ratio of prices is a split's if it differs from one of them by no more than this share: what a price moves from
one session to the next comes on top."""


def is_split(price: FloatArray, before: FloatArray) -> BoolArray:
    """Where the ratio of two prices is a split's. Both above 0, of one shape, (n,)."""
    with np.errstate(over="ignore"):
        ratio = np.maximum(price, before) / np.minimum(price, before)
    return np.asarray((np.abs(ratio[:, np.newaxis] / SPLITS - 1.0) <= NEAR_SPLIT + TOLERANCE).any(axis=1))


class SinceBreak(RowArrays):
    """The extremes and the volume since the newest break of every row that has one in its window.

    None of these samples leaves the window before the break itself does, so nothing is ever taken away.

    Attributes, of shape (capacity,): highest, lowest, and volume times HEADROOM; without meaning where there is no
    break in the window.
    """

    def __init__(self, capacity: int) -> None:
        self.highest, self.lowest, self.volume = (np.zeros(capacity) for _ in range(3))

    def begin(self, rows: Rows, price: FloatArray) -> None:
        """The newest sample of each of these rows, with this price, is a break."""
        self.highest[rows] = self.lowest[rows] = price
        self.volume[rows] = 0.0

    def add(self, rows: Rows, price: FloatArray, volume: FloatArray) -> None:
        """Add one sample to each of these rows; nan is an unknown volume."""
        self.highest[rows] = np.maximum(self.highest[rows], price)
        self.lowest[rows] = np.minimum(self.lowest[rows], price)
        self.volume[rows] += np.fmax(volume * HEADROOM, 0.0)

    def derive(self, rows: Rows, newest: IntArray, number: IntArray, price: FloatArray, volume: FloatArray) -> None:
        """Compute these rows from their rings, of shape (capacity, W). `newest`: the newest sample's column, and
        `number`: how many samples there are since the break; both of shape (n,)."""
        length = price.shape[1]
        for part in chunks(len(rows), length):
            at = rows[part]
            since = newest_columns(newest[part], number[part], length)
            self.highest[at] = np.where(since, price[at], 0.0).max(axis=1)
            self.lowest[at] = np.where(since, price[at], np.inf).min(axis=1)
            self.volume[at] = np.fmax(np.where(since, volume[at] * HEADROOM, 0.0), 0.0).sum(axis=1)
