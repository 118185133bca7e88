"""The last W samples of every symbol, as numpy arrays of one row a symbol."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from services.feynman.arrays import BoolArray, FloatArray, IntArray, Rows, chunks, grown
from services.feynman.histogram import ReturnHistogram
from services.feynman.profile import VolumeProfile
from services.feynman.sums import BlockSums, padded
from services.feynman.tail import LargestReturns

RINGS = ("price", "volume", "trades", "log_return")
NEWEST = ("samples", "newest", "last_timestamp", "last_price", "session_volume", "session_trades")
SAVED = (*RINGS, *NEWEST)
"""What a window is: everything else follows from it."""


class Windows:
    """Sliding windows over the samples of any number of symbols.

    A row is a ring: column `newest[row]` holds the newest sample, and columns 0 … `samples[row]` − 1 are in
    use. V, N and r belong to the sample that they led to and leave with it, so that in a full window even the
    oldest sample keeps its return, which is against the sample that has just left.

    Columns not yet in use are filled so that sums and extremes over a whole row need no mask: with the first
    sample's price, V = N = 0 and no return.

    What the vector needs of a whole window is kept beside the rings while they slide, so that a tick need not read
    them: `sums`, `returns`, `largest` and `profile`. All follows from the rings, and `derive` makes it from them.

    Which symbol has which row is the caller's to know. Methods that take `rows` take each row once a call.

    Attributes, all with one row a symbol:
        price, volume, trades: shape (capacity, W): p, and V and N since the sample before.
        log_return: shape (capacity, W): r = ln(p_i / p_{i-1}), nan where there is none.
        samples: how many samples the window holds, 0 … W.
        newest: the newest sample's column, −1 before the first.
        last_timestamp, last_price: the newest sample's, in epoch seconds; −inf and 0 before the first.
        session_volume, session_trades: the newest sample's cumulative fields, as they came.
        known, nonzero: how many returns the window has, and how many of them are not 0.
    """

    def __init__(self, length: int = 1000, *, gap: float = 60.0, capacity: int = 64) -> None:
        """W = `length` samples; no return over more than `gap` seconds; room for `capacity` symbols at first.

        Raises ValueError where a number is not above 0.
        """
        if not (length > 0 and gap > 0 and capacity > 0):
            raise ValueError(f"must be above 0: {length=}, {gap=}, {capacity=}")
        self.length = length
        self.gap = gap
        # Of whole blocks, so that a block is a stretch of memory. The columns behind the window's last are unused.
        shape = (capacity, padded(length))
        # Zeroed pages are the kernel's until they are written to: rows kept for growth cost no memory yet.
        self._price: FloatArray = np.zeros(shape)
        self._volume: FloatArray = np.zeros(shape)
        self._trades: FloatArray = np.zeros(shape)
        self._log_return: FloatArray = np.zeros(shape)
        self.samples: IntArray = np.zeros(capacity, np.int64)
        self.newest: IntArray = np.zeros(capacity, np.int64)
        self.last_timestamp: FloatArray = np.zeros(capacity)
        self.last_price: FloatArray = np.zeros(capacity)
        self.session_volume: FloatArray = np.zeros(capacity)
        self.session_trades: FloatArray = np.zeros(capacity)
        self.known: IntArray = np.zeros(capacity, np.int64)
        self.nonzero: IntArray = np.zeros(capacity, np.int64)
        self.sums = BlockSums(length, capacity)
        self.returns = ReturnHistogram(length, capacity)
        self.largest = LargestReturns(length, capacity)
        self.profile = VolumeProfile(length, capacity)
        self._used = 0
        self._free: set[int] = set()

    @property
    def price(self) -> FloatArray:
        return self._price[:, : self.length]

    @property
    def volume(self) -> FloatArray:
        return self._volume[:, : self.length]

    @property
    def trades(self) -> FloatArray:
        return self._trades[:, : self.length]

    @property
    def log_return(self) -> FloatArray:
        return self._log_return[:, : self.length]

    @property
    def capacity(self) -> int:
        """For how many symbols there is room before the arrays double."""
        return len(self.samples)

    def __len__(self) -> int:
        """How many rows are given out."""
        return self._used - len(self._free)

    def add(self) -> int:
        """A row for a new symbol, empty; a released one where there is one."""
        if self._free:
            row = self._free.pop()
        else:
            if self._used == self.capacity:
                self._grow(2 * self.capacity)
            row = self._used
            self._used += 1
        self.clear(row)
        return row

    def release(self, row: int) -> None:
        """Give a dropped symbol's row back. Raises ValueError where it is not given out."""
        if not 0 <= row < self._used or row in self._free:
            raise ValueError(f"row {row} is not in use")
        self._free.add(row)

    def clear(self, rows: int | Rows) -> None:
        """Forget all samples: what comes next is a first sample again (another source, for instance)."""
        self._price[rows] = 0.0
        self._volume[rows] = 0.0
        self._trades[rows] = 0.0
        self._log_return[rows] = np.nan
        self.samples[rows] = 0
        self.newest[rows] = -1
        self.last_timestamp[rows] = -np.inf
        self.last_price[rows] = 0.0
        self.session_volume[rows] = 0.0
        self.session_trades[rows] = 0.0
        self.known[rows] = 0
        self.nonzero[rows] = 0
        self.sums.begin(rows, np.zeros(np.size(rows)))
        self._forget(rows)

    def derive(self, rows: Rows) -> None:
        """Make anew, for `rows`, all that follows from their rings."""
        for part in chunks(len(rows), self.length):
            returns = self.log_return[rows[part]]
            self.known[rows[part]] = np.count_nonzero(~np.isnan(returns), axis=1)
            self.nonzero[rows[part]] = np.count_nonzero(np.nan_to_num(returns, nan=0.0), axis=1)
        self.sums.read_all(rows, *self._rings())
        self._forget(rows)

    def saved(self, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        """A copy of all that `restore` needs: each of SAVED, one row a row, of rings the columns that are in use."""
        used = int(self.samples[rows].max(initial=0))
        return {name: getattr(self, name)[:, :used][rows] for name in RINGS} | {
            name: getattr(self, name)[rows] for name in NEWEST
        }

    def restore(self, rows: Rows, saved: Mapping[str, npt.NDArray[Any]]) -> None:
        """Make `rows` what they were when they were `saved`; W must be the same."""
        self.clear(rows)
        used = saved["price"].shape[1]
        self.price[rows] = saved["price"][:, :1]
        for name in RINGS:
            getattr(self, name)[rows, :used] = saved[name]
        for name in NEWEST:
            getattr(self, name)[rows] = saved[name]
        self.derive(rows)

    def advanced(self, rows: Rows, timestamp: FloatArray) -> BoolArray:
        """Which snapshots of `rows` are new samples: those later than the row's newest. Shape of `rows`."""
        return np.asarray(timestamp > self.last_timestamp[rows])

    def append(
        self, rows: Rows, price: FloatArray, volume: FloatArray, trades: FloatArray, timestamp: FloatArray
    ) -> None:
        """Take one sample for each of `rows`; the oldest leaves where the window is full.

        All arrays have the shape of `rows`. `price` is above 0, `volume` and `trades` are at least 0 and
        cumulative over the session, `timestamp` is in epoch seconds and has advanced: all finite, as in a
        checked snapshot.
        """
        first = self.samples[rows] == 0
        self._price[rows[first]] = price[first, np.newaxis]
        self.sums.begin(rows[first], price[first])

        v = np.where(first, 0.0, _since(self.session_volume[rows], volume))
        n = np.where(first, 0.0, _since(self.session_trades[rows], trades))
        # A night is not a second: what happened across a gap is no return of this window.
        joined = ~first & (timestamp - self.last_timestamp[rows] <= self.gap)
        r = np.full(len(rows), np.nan)
        r[joined] = _log_ratio(price[joined], self.last_price[rows[joined]])
        self._replace(rows, price, v, n, r)

        self.last_timestamp[rows] = timestamp
        self.last_price[rows] = price
        self.session_volume[rows] = volume
        self.session_trades[rows] = trades

    def _replace(self, rows: Rows, price: FloatArray, v: FloatArray, n: FloatArray, r: FloatArray) -> None:
        """The newest sample into the column of the one that leaves, and into all that is kept of the window."""
        full = self.samples[rows] == self.length
        column = (self.newest[rows] + 1) % self.length
        at = rows, column
        old_price, old_v, old_r = self._price[at], self._volume[at], self._log_return[at]

        self._price[at], self._volume[at], self._trades[at], self._log_return[at] = price, v, n, r
        self.newest[rows] = column
        self.samples[rows] = np.minimum(self.samples[rows] + 1, self.length)

        x, old_x = (np.nan_to_num(np.abs(each), nan=0.0) for each in (r, old_r))
        self.known[rows] += (~np.isnan(r)).astype(np.int64) - ~np.isnan(old_r)
        self.nonzero[rows] += (x > 0).astype(np.int64) - (old_x > 0)
        self.sums.read(rows, column, *self._rings())
        self.returns.replace(rows, column, old_r, r)
        self.largest.replace(rows, column, old_x, x)
        self.profile.replace(rows, column, (old_price, old_v, full), (price, v))

    def _forget(self, rows: int | Rows) -> None:
        for kept in (self.returns, self.largest, self.profile):
            kept.forget(rows)

    def _rings(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        return self._price, self._volume, self._trades, self._log_return

    def _grow(self, capacity: int) -> None:
        # One array after the other, so that only one of them is there twice at a time.
        for name in [name for name, value in vars(self).items() if isinstance(value, np.ndarray)]:
            setattr(self, name, grown(getattr(self, name), capacity))
        for kept in (self.sums, self.returns, self.largest, self.profile):
            kept.grow(capacity)


def _since(previous: FloatArray, cumulative: FloatArray) -> FloatArray:
    """The difference of a cumulative field; one that fell belongs to a new session, which counts from 0."""
    return np.where(cumulative < previous, cumulative, cumulative - previous)


def _log_ratio(price: FloatArray, previous: FloatArray) -> FloatArray:
    """r = ln(p_i / p_{i-1}), also where the ratio is beyond a float (1e300 after 1e-300)."""
    with np.errstate(over="ignore", under="ignore"):
        ratio = price / previous
    beyond = (ratio < 1e-300) | (ratio > 1e300)
    ratio[beyond] = 1.0
    return np.where(beyond, np.log(price) - np.log(previous), np.log(ratio))
