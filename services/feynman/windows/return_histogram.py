"""The histogram of every window's returns, over 32 bins whose width is a quarter of the window's σ.

σ changes with every sample, and with it all edges of the bins, but only by a thousandth or so: most returns stay in
their bins. So each row has a reference σ and a margin around it. Returns that are in the same bin for every σ within
the margin are counted there. The few others are kept in a list, and are put into their bins with the window's σ when
the histogram is asked for. The counts are exact: a bin is a monotonic function of σ, so a return that is in the same
bin at both ends of the margin is in it everywhere between. Where σ leaves the margin, the row is counted anew.
"""

import numpy as np
import numpy.typing as npt

from services.feynman.windows.arrays import BoolArray, FloatArray, IntArray, RowArrays, Rows, chunks
from services.feynman.windows.bins import BINS, TOLERANCE, histogram
from services.feynman.windows.shortlist import Shortlist

MARGIN = 0.01
"""The margin to either side, as a share of σ. If wider, lists are longer; if narrower, σ leaves it more often."""
LISTED = 0.25
"""The room in the lists, as a share of the window. Of normal returns 0.07 are so close to an edge; of prices on a
tick grid it may be many or none."""


def return_bins(log_return: FloatArray, sigma: FloatArray) -> npt.NDArray[np.intp]:
    """⌊(r/σ + 4) · 4 + 1e-9⌋, held within 0 … 31: 32 bins of σ/4 from −4σ. σ is above 0, r is not nan."""
    position = log_return / sigma
    position += 4.0
    position *= 4.0
    position += TOLERANCE
    return np.clip(position, 0.0, BINS - 1.0, out=position).astype(np.intp)


def settled_bins(
    log_return: FloatArray, sigma: FloatArray, margin: FloatArray
) -> tuple[npt.NDArray[np.intp], BoolArray]:
    """The bins at this σ, and which of them are settled: the same for every σ within the margin (a share of σ).

    A return that would change its bin is never settled; some that would not are not settled either. With a margin of
    0 all are.
    """
    position = log_return / sigma
    position *= 4.0
    # There is no edge beyond the middles of the outermost bins.
    np.clip(position, 0.5 - BINS / 2, BINS / 2 - 0.5, out=position)
    from_edge = np.rint(position)
    np.abs(np.subtract(position, from_edge, out=from_edge), out=from_edge)
    # r/σ changes at most by this share of itself. What is added is greater than any rounding error and TOLERANCE.
    moves = np.abs(position)
    moves *= margin / (1.0 - margin)
    moves += 1e-8
    settled = from_edge > moves
    # 0 is on an edge whatever σ is, and a price that does not move gives a window full of zeros.
    settled |= position == 0
    position += BINS / 2
    bins = position.astype(np.intp)
    if not margin.all():
        settled |= margin == 0
        bins = np.where(margin == 0, return_bins(log_return, sigma), bins)
    return bins, settled


class ReturnHistogram(RowArrays):
    """The histogram of every row's returns, updated as windows slide. `Windows` uses it."""

    def __init__(self, window: int, capacity: int) -> None:
        self._listed = Shortlist(min(window, 16 + int(LISTED * window)), capacity)
        self._counts: FloatArray = np.zeros((capacity, BINS))
        """The counts of the returns that are not listed: whole numbers, as floats for further computation."""
        self._sigma: FloatArray = np.zeros(capacity)
        """The reference σ of each row; nan for a row that must be counted again."""
        self._margin: FloatArray = np.zeros(capacity)

    def forget(self, rows: int | Rows | BoolArray) -> None:
        """Have these rows counted again when they are next asked for."""
        self._sigma[rows] = np.nan

    def replace(self, rows: Rows, column: IntArray, leaving: FloatArray, entering: FloatArray) -> None:
        """In each row, one return leaves a column and another enters; nan means none. All of the shape of `rows`."""
        counted = ~np.isnan(self._sigma[rows])
        self._update(rows, column, leaving, -1.0, counted & ~np.isnan(leaving))
        self._update(rows, column, entering, 1.0, counted & ~np.isnan(entering))

    def counts(self, rows: Rows, sigma: FloatArray, log_return: FloatArray) -> FloatArray:
        """The number of returns in each bin, shape (n, BINS); 0 in rows where σ is 0.

        `sigma`: the windows' σ, shape (n,); `log_return`: their returns, shape (capacity, W).
        """
        moving = sigma > 0
        held = np.abs(sigma - self._sigma[rows]) <= self._margin[rows] * self._sigma[rows]
        left = moving & ~held
        self._count(rows[left], sigma[left], log_return)
        return np.concatenate(
            [np.empty((0, BINS))]
            + [self._counts_of(rows[part], sigma[part]) for part in chunks(len(rows), self._listed.size)]
        )

    def _counts_of(self, rows: Rows, sigma: FloatArray) -> FloatArray:
        moving = sigma > 0
        row, value = self._listed.values(rows)
        bins = return_bins(value, np.where(moving, sigma, 1.0)[row])
        listed = np.bincount(row * BINS + bins, minlength=len(rows) * BINS).reshape(len(rows), BINS)
        return np.where(moving[:, np.newaxis], self._counts[rows] + listed, 0.0)

    def _update(self, rows: Rows, column: IntArray, log_return: FloatArray, by: float, where: BoolArray) -> None:
        rows, column, log_return = rows[where], column[where], log_return[where]
        bins, settled = settled_bins(log_return, self._sigma[rows], self._margin[rows])
        self._counts[rows[settled], bins[settled]] += by
        rows, column, log_return = rows[~settled], column[~settled], log_return[~settled]
        if by < 0:
            self._listed.remove(rows, column)
        else:
            room = self._listed.add(rows, column, log_return)
            self.forget(rows[~room])

    def _count(self, rows: Rows, sigma: FloatArray, log_return: FloatArray) -> None:
        """Count these rows again, with these σ as references."""
        self._sigma[rows] = sigma
        # If too many returns are near edges, for instance many equal ones: a smaller margin, and at last none.
        for margin in (MARGIN, MARGIN / 4, 0.0):
            self._margin[rows] = margin
            room = [self._count_chunk(rows[part], log_return) for part in chunks(len(rows), log_return.shape[1])]
            rows = rows[~np.concatenate([np.empty(0, np.bool_), *room])]

    def _count_chunk(self, rows: Rows, log_return: FloatArray) -> BoolArray:
        """Count a few rows. Returns for which of them the list had room."""
        returns = log_return[rows]
        missing = np.isnan(returns)
        np.copyto(returns, np.inf, where=missing)
        bins, settled = settled_bins(returns, self._sigma[rows, np.newaxis], self._margin[rows, np.newaxis])
        np.copyto(bins, BINS, where=~settled | missing)  # an extra bin after the last one, which is dropped
        self._counts[rows] = histogram(bins, BINS + 1)[:, :BINS]
        return self._listed.choose(rows, ~(settled | missing), returns)
