"""The last W samples of every symbol, as numpy arrays of one row a symbol."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]


class Windows:
    """Sliding windows over the samples of any number of symbols.

    A row is a ring: column `newest[row]` holds the newest sample, and columns 0 … `samples[row]` − 1 are in
    use. V, N and r belong to the sample that they led to and leave with it, so that in a full window even the
    oldest sample keeps its return, which is against the sample that has just left.

    Columns not yet in use are filled so that sums and extremes over a whole row need no mask: with the first
    sample's price, V = N = 0 and no return.

    Which symbol has which row is the caller's to know. Methods that take `rows` take each row once a call.

    Attributes, all with one row a symbol:
        price, volume, trades: shape (capacity, W): p, and V and N since the sample before.
        log_return: shape (capacity, W): r = ln(p_i / p_{i-1}), nan where there is none.
        samples: how many samples the window holds, 0 … W.
        newest: the newest sample's column, −1 before the first.
        last_timestamp, last_price: the newest sample's, in epoch seconds; −inf and 0 before the first.
        session_volume, session_trades: the newest sample's cumulative fields, as they came.
    """

    def __init__(self, length: int = 1000, *, gap: float = 60.0, capacity: int = 64) -> None:
        """W = `length` samples; no return over more than `gap` seconds; room for `capacity` symbols at first.

        Raises ValueError where a number is not above 0.
        """
        if not (length > 0 and gap > 0 and capacity > 0):
            raise ValueError(f"must be above 0: {length=}, {gap=}, {capacity=}")
        self.length = length
        self.gap = gap
        # Zeroed pages are the kernel's until they are written to: rows kept for growth cost no memory yet.
        self.price: FloatArray = np.zeros((capacity, length))
        self.volume: FloatArray = np.zeros((capacity, length))
        self.trades: FloatArray = np.zeros((capacity, length))
        self.log_return: FloatArray = np.zeros((capacity, length))
        self.samples: IntArray = np.zeros(capacity, np.int64)
        self.newest: IntArray = np.zeros(capacity, np.int64)
        self.last_timestamp: FloatArray = np.zeros(capacity)
        self.last_price: FloatArray = np.zeros(capacity)
        self.session_volume: FloatArray = np.zeros(capacity)
        self.session_trades: FloatArray = np.zeros(capacity)
        self._used = 0
        self._free: set[int] = set()

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
                self._grow()
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
        self.price[rows] = 0.0
        self.volume[rows] = 0.0
        self.trades[rows] = 0.0
        self.log_return[rows] = np.nan
        self.samples[rows] = 0
        self.newest[rows] = -1
        self.last_timestamp[rows] = -np.inf
        self.last_price[rows] = 0.0
        self.session_volume[rows] = 0.0
        self.session_trades[rows] = 0.0

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
        self.price[rows[first]] = price[first, np.newaxis]

        column = (self.newest[rows] + 1) % self.length
        self.price[rows, column] = price
        self.volume[rows, column] = np.where(first, 0.0, _since(self.session_volume[rows], volume))
        self.trades[rows, column] = np.where(first, 0.0, _since(self.session_trades[rows], trades))
        # A night is not a second: what happened across a gap is no return of this window.
        joined = ~first & (timestamp - self.last_timestamp[rows] <= self.gap)
        self.log_return[rows, column] = np.nan
        self.log_return[rows[joined], column[joined]] = _log_ratio(price[joined], self.last_price[rows[joined]])

        self.newest[rows] = column
        self.samples[rows] = np.minimum(self.samples[rows] + 1, self.length)
        self.last_timestamp[rows] = timestamp
        self.last_price[rows] = price
        self.session_volume[rows] = volume
        self.session_trades[rows] = trades

    def _grow(self) -> None:
        # One array after the other, so that only one of them is there twice at a time.
        for name in [name for name, value in vars(self).items() if isinstance(value, np.ndarray)]:
            smaller = getattr(self, name)
            larger = np.zeros((2 * len(smaller), *smaller.shape[1:]), smaller.dtype)
            larger[: len(smaller)] = smaller
            setattr(self, name, larger)


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
