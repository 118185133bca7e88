"""The last W samples of every symbol, in numpy arrays with one row per symbol, and their statistics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from services.feynman.windows.arrays import HEADROOM, BoolArray, FloatArray, IntArray, RowArrays, Rows, chunks
from services.feynman.windows.block_sums import BlockSums, padded
from services.feynman.windows.largest_returns import LargestReturns
from services.feynman.windows.return_histogram import ReturnHistogram
from services.feynman.windows.volume_profile import VolumeProfile

RINGS = ("price", "volume", "trades", "log_return")
NEWEST = ("samples", "newest", "last_timestamp", "last_price", "session_volume", "session_trades")
SAVED = (*RINGS, *NEWEST)
"""The attributes that a checkpoint contains; everything else is derived from them."""
EMPTY = {"log_return": np.nan, "newest": -1, "last_timestamp": -np.inf}
"""The values of an empty window that are not 0."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics of some windows: arrays with one entry per window, all of them finite.

    For a window without a sample everything is 0. Volumes and trades are in units of 2^20, so that no sum overflows.
    """

    samples: IntArray
    """How many samples the window holds, 0 … W."""
    nonzero: IntArray
    """How many of its returns are not 0."""
    price: FloatArray
    """The price of the newest sample; the next three are of that sample too."""
    volume: FloatArray
    """Volume since the sample before it."""
    trades: FloatArray
    """Number of trades since the sample before it."""
    log_return: FloatArray
    """Return since the sample before it; 0 if there is none."""
    highest: FloatArray
    """The highest price in the window."""
    lowest: FloatArray
    """The lowest price in the window."""
    mean_volume: FloatArray
    """The mean volume of all samples in the window."""
    mean_trades: FloatArray
    """The mean number of trades of all samples in the window."""
    sigma: FloatArray
    """The root mean square of the window's returns, 0 where it has none."""
    returns_by_bin: FloatArray
    """Shape (n, 32): how many returns are in each of 32 bins of σ/4 from −4σ. The outermost bins hold all that is
    beyond them. 0 where σ is 0."""
    volume_by_price: FloatArray
    """Shape (n, 32): the volume in each of 32 bins from the lowest to the highest price; the number of samples if the
    window has no volume. 0 if both prices are the same."""


class Windows(RowArrays):
    """Sliding windows over the samples of any number of symbols.

    The symbol table uses it. A row is a ring buffer: column `newest[row]` holds the newest sample, and columns
    0 … `samples[row]` − 1 are in use. V, N and r are those since the sample before, and leave together with their
    sample. So in a full window the oldest sample still has its return, against a sample that has left already.

    Unused columns are filled so that sums and extremes over a whole row need no mask: with the first sample's price,
    V = N = 0 and no return.

    What `statistics` and `largest_returns` need of a whole window is kept up to date beside the rings, so that a tick
    need not read them. `derive` computes all of it from the rings.

    The caller knows which symbol has which row. A call must not name a row twice.

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
        """`length`: samples in a window (W). `gap`: samples further apart, in seconds, give no return. `capacity`:
        for how many symbols there is room at first. Raises ValueError for a number that is not above 0."""
        if not (length > 0 and gap > 0 and capacity > 0):
            raise ValueError(f"must be above 0: {length=}, {gap=}, {capacity=}")
        self.length = length
        self.gap = gap
        # Whole blocks, so that each is contiguous in memory. The columns behind the window's last one are unused.
        shape = (capacity, padded(length))
        # The kernel allocates a zeroed page when it is first written to, so rows in reserve cost no memory.
        self._price, self._volume, self._trades, self._log_return = (np.zeros(shape) for _ in range(4))
        self.samples, self.newest, self.known, self.nonzero = (np.zeros(capacity, np.int64) for _ in range(4))
        self.last_timestamp, self.last_price = np.zeros(capacity), np.zeros(capacity)
        self.session_volume, self.session_trades = np.zeros(capacity), np.zeros(capacity)
        self._sums = BlockSums(length, capacity)
        self._returns = ReturnHistogram(length, capacity)
        self._largest = LargestReturns(length, capacity)
        self._profile = VolumeProfile(length, capacity)
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
        """How many symbols there is room for before the arrays are doubled."""
        return len(self.samples)

    def __len__(self) -> int:
        """The number of rows in use."""
        return self._used - len(self._free)

    def add(self) -> int:
        """An empty row for a new symbol, if possible one that was released."""
        if self._free:
            row = self._free.pop()
        else:
            if self._used == self.capacity:
                self.grow(2 * self.capacity)
            row = self._used
            self._used += 1
        self.clear(row)
        return row

    def release(self, row: int) -> None:
        """Release the row of a symbol that was dropped. Raises ValueError if it is not in use."""
        if not 0 <= row < self._used or row in self._free:
            raise ValueError(f"row {row} is not in use")
        self._free.add(row)

    def clear(self, rows: int | Rows) -> None:
        """Remove all samples of these rows, for instance because their source has changed."""
        for name in (*SAVED, "known", "nonzero"):
            getattr(self, name)[rows] = EMPTY.get(name, 0)
        self._sums.begin(rows, np.zeros(np.size(rows)))
        self._forget(rows)

    def derive(self, rows: Rows) -> None:
        """Compute again, for `rows`, all that is derived from their rings."""
        for part in chunks(len(rows), self.length):
            returns = self.log_return[rows[part]]
            self.known[rows[part]] = np.count_nonzero(~np.isnan(returns), axis=1)
            self.nonzero[rows[part]] = np.count_nonzero(np.nan_to_num(returns, nan=0.0), axis=1)
        self._sums.read_all(rows, *self._rings())
        self._forget(rows)

    def saved(self, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        """A copy of all that `restore` needs: the attributes in SAVED, for rings only the columns in use."""
        used = int(self.samples[rows].max(initial=0))
        return {name: getattr(self, name)[:, :used][rows] for name in RINGS} | {
            name: getattr(self, name)[rows] for name in NEWEST
        }

    def restore(self, rows: Rows, saved: Mapping[str, npt.NDArray[Any]]) -> None:
        """Set `rows` to what `saved` returned, in windows of the same length."""
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
        """Add one sample to each of `rows`; in a full window it replaces the oldest.

        All arrays have the shape of `rows`. `price` is above 0, `volume` and `trades` are at least 0 and cumulative
        over the session, `timestamp` is in seconds since 1970 and later than the row's newest. All are finite.
        """
        first = self.samples[rows] == 0
        self._price[rows[first]] = price[first, np.newaxis]
        self._sums.begin(rows[first], price[first])

        v = np.where(first, 0.0, _since(self.session_volume[rows], volume))
        n = np.where(first, 0.0, _since(self.session_trades[rows], trades))
        # A change of price over a gap, such as a night, is not a return of one tick.
        joined = ~first & (timestamp - self.last_timestamp[rows] <= self.gap)
        r = np.full(len(rows), np.nan)
        r[joined] = _log_ratio(price[joined], self.last_price[rows[joined]])
        self._replace(rows, price, v, n, r)

        self.last_timestamp[rows] = timestamp
        self.last_price[rows] = price
        self.session_volume[rows] = volume
        self.session_trades[rows] = trades

    def statistics(self, rows: Rows) -> Statistics:
        """The statistics of these windows, in the order of `rows`."""
        samples, newest, sums = self.samples[rows], self.newest[rows], self._sums
        present = np.maximum(samples, 1)  # no division by 0 in a row without a sample
        used = int(samples.max(initial=0))  # columns
        highest, lowest = sums.highest[rows].max(axis=1), sums.lowest[rows].min(axis=1)
        volume = sums.volume[rows].sum(axis=1)
        sigma = np.sqrt(sums.squares[rows].sum(axis=1) / np.maximum(self.known[rows], 1))
        rings = self.price[:, :used], self.volume[:, :used], self.samples
        return Statistics(
            samples=samples,
            nonzero=self.nonzero[rows],
            price=self.last_price[rows],
            volume=self.volume[rows, newest] * HEADROOM,
            trades=self.trades[rows, newest] * HEADROOM,
            log_return=np.nan_to_num(self.log_return[rows, newest], nan=0.0),
            highest=highest,
            lowest=lowest,
            mean_volume=volume / present,
            mean_trades=sums.trades[rows].sum(axis=1) / present,
            sigma=sigma,
            returns_by_bin=self._returns.counts(rows, sigma, self.log_return[:, :used]),
            volume_by_price=self._profile.weights(rows, lowest, highest, volume, rings),
        )

    def largest_returns(self, rows: Rows, number: IntArray) -> FloatArray:
        """The largest absolute returns of each window in descending order.

        `number` has the shape of `rows`: for each window, how many are needed. The first so many columns of the
        result are right; the caller must know that so many returns are not 0.
        """
        return self._largest.largest(rows, number, self.log_return[:, : self.samples[rows].max(initial=0)])

    def _replace(self, rows: Rows, price: FloatArray, v: FloatArray, n: FloatArray, r: FloatArray) -> None:
        """Put the newest sample into the column of the one that leaves, and update all that is derived."""
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
        self._sums.read(rows, column, *self._rings())
        self._returns.replace(rows, column, old_r, r)
        self._largest.replace(rows, column, old_x, x)
        self._profile.replace(rows, column, (old_price, old_v, full), (price, v))

    def _forget(self, rows: int | Rows) -> None:
        for kept in (self._returns, self._largest, self._profile):
            kept.forget(rows)

    def _rings(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        return self._price, self._volume, self._trades, self._log_return


def _since(previous: FloatArray, cumulative: FloatArray) -> FloatArray:
    """The increase of a cumulative field. If it fell, a new session has begun, which counts from 0."""
    return np.where(cumulative < previous, cumulative, cumulative - previous)


def _log_ratio(price: FloatArray, previous: FloatArray) -> FloatArray:
    """r = ln(p_i / p_{i-1}), also if the ratio is too large or too small for a float (1e300 after 1e-300)."""
    with np.errstate(over="ignore", under="ignore"):
        ratio = price / previous
    beyond = (ratio < 1e-300) | (ratio > 1e300)
    ratio[beyond] = 1.0
    return np.where(beyond, np.log(price) - np.log(previous), np.log(ratio))
