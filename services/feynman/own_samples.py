"""The samples that young windows have had of their feeds, kept as they came as long as the windows may be warmed.

A window holds returns and differences, and these depend on what came before. So older samples can be put before it
only by taking all of them anew, in order, as if they had been seen live: warming.py does that.
"""

from collections.abc import Iterator

import numpy as np

from cottage.warm import KEPT_SECONDS
from services.feynman.window_inputs import WindowInputs
from services.feynman.windows import RowArrays, Rows

MOST_KEPT = 2_000_000
"""Samples that are kept at most over all symbols, some 140 MB. Beyond that none are: windows fill by themselves."""
MOST_ENTRIES = 5_000
"""Calls of `keep` whose samples are held at most."""


class OwnSamples(RowArrays):
    """The samples of young windows, in rows as those of Windows. Times are monotonic, in seconds."""

    def __init__(self, capacity: int = 64) -> None:
        self.kept = np.zeros(capacity, np.bool_)
        """Of which rows all samples are here."""
        self._first = np.zeros(capacity, np.int64)
        """From which entry on these are."""
        self._since = np.zeros(capacity)
        """Since when they have one; nan until that is asked for."""
        self._entries: list[tuple[Rows, WindowInputs]] = []
        self._number = 0

    @property
    def end(self) -> int:
        """The number that the next entry will have."""
        return len(self._entries)

    def begin(self, row: int) -> None:
        """A window begins in this row, without a sample."""
        if row >= len(self.kept):
            self.grow(2 * row)
        self.kept[row], self._first[row], self._since[row] = True, self.end, np.nan

    def drop(self, rows: int | Rows) -> None:
        """Keep the samples of these rows no longer."""
        self.kept[rows] = False
        if self._entries and not self.kept.any():
            self._entries, self._number = [], 0

    def forget(self) -> None:
        """Keep none any more."""
        self.drop(np.flatnonzero(self.kept))

    def expire(self, rows: Rows, now: float, found_at: float) -> None:
        """Drop those of these rows, which have samples, that have been kept long enough. `found_at`: when there was
        last something to warm with."""
        new = rows[np.isnan(self._since[rows])]
        self._since[new] = now
        self.drop(rows[np.maximum(self._since[rows], found_at) + KEPT_SECONDS < now])

    def keep(self, rows: Rows, inputs: WindowInputs) -> None:
        """These rows are given these samples."""
        which = self.kept[rows]
        if not which.any():
            return
        self._entries.append((rows[which], inputs.where(which)))
        self._number += int(np.count_nonzero(which))
        if self._number > MOST_KEPT or len(self._entries) > MOST_ENTRIES:
            self.forget()

    def of(self, rows: Rows, entries: range) -> Iterator[tuple[Rows, WindowInputs]]:
        """The samples of these entries that are of these rows, in order: places within `rows`, and the samples."""
        place = np.full(len(self.kept), -1, np.intp)
        place[rows] = np.arange(len(rows))
        for number in entries:
            held, inputs = self._entries[number]
            which = (place[held] >= 0) & (self._first[held] <= number)
            if which.any():
                yield place[held[which]], inputs.where(which)
