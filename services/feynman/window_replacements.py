"""Windows that replace those of the symbol table, as the replay of a record asks for (cottage/record/checkpoints.py).

A replay begins with the windows of a checkpoint, and where another process took over when it was recorded, it goes on
with those with which that one began. They move in just before the next sample is appended, so that the state that is
there until then stays what it is, and no sample is taken twice.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from services.feynman.checkpoint import CheckpointPart
from services.feynman.windows import IntArray, Rows, Windows


class _Saved(NamedTuple):
    """The window of a symbol in a checkpoint."""

    part: CheckpointPart
    place: int
    goes_on: bool
    """Whether it goes on with the regime of the window that it replaces, as a process does with that of the state
    that another one has written."""


class WindowReplacements:
    """Those that wait for the next sample of their symbols. The symbol table has one of these."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self._waiting: dict[str, _Saved | None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, symbols: Collection[str], parts: Sequence[CheckpointPart], *, goes_on: bool) -> None:
        """The next samples of these symbols belong into the windows that they have in `parts`, or into empty ones."""
        self._waiting.update(dict.fromkeys(symbols))
        for part in parts:
            for place, symbol in enumerate(part.symbols):
                if symbol in symbols:
                    self._waiting[symbol] = _Saved(part, place, goes_on)

    def move_in(self, symbols: Sequence[str], rows: Rows) -> IntArray:
        """Replace the windows of those of these symbols, which are in `rows`, that wait. Returns their positions."""
        positions = np.flatnonzero([symbol in self._waiting for symbol in symbols])
        saved: dict[int, list[tuple[int, _Saved]]] = {}
        empty = []
        for row, symbol in zip(rows[positions].tolist(), (symbols[i] for i in positions.tolist()), strict=True):
            if (found := self._waiting.pop(symbol)) is None:
                empty.append(row)
            else:
                saved.setdefault(id(found.part), []).append((row, found))
        self._windows.clear(np.array(empty, np.intp))
        for of_part in saved.values():
            self._restore(np.array([row for row, _found in of_part]), [found for _row, found in of_part])
        return positions

    def _restore(self, rows: Rows, saved: Sequence[_Saved]) -> None:
        """Replace these windows by those of one part."""
        windows, places = self._windows, [each.place for each in saved]
        regime, since = windows.regime[rows], windows.regime_since[rows]
        before = windows.event_time[rows]
        arrays: Mapping[str, np.ndarray] = saved[0].part.arrays
        windows.restore(rows, {name: array[places] for name, array in arrays.items()})
        # A replay states the time of each sample, also where a feed did not.
        feed_time, last = windows.feed_time[rows], windows.last_timestamp[rows]
        of_feed = np.where(np.isnan(feed_time), last, feed_time) - windows.waited[rows]
        windows.event_time[rows] = np.where(np.isnan(windows.event_time[rows]), of_feed, windows.event_time[rows])
        windows.waited[rows] = 0.0
        near = np.abs(before - windows.event_time[rows]) <= windows.step[rows] * windows.samples[rows]
        goes_on = np.array([each.goes_on for each in saved]) & near & (regime > 0)
        windows.regime[rows[goes_on]], windows.regime_since[rows[goes_on]] = regime[goes_on], since[goes_on]
