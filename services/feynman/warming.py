"""Fills windows that have just begun with older samples, in windows beside them, a little at a time.

Every sample is taken as it would have been live, one after the other: those of the record, then what the feed has
brought since the window began. Then the window takes the place of the short one, whose samples it ends with.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cottage import notes
from cottage.errors import InvalidMessage
from cottage.warm import LEAD, Runs, WarmSamples, spread
from services.feynman.own_samples import OwnSamples
from services.feynman.regime import REGIMES
from services.feynman.sample_columns import session_number
from services.feynman.vector import regimes
from services.feynman.window_inputs import WindowInputs, take
from services.feynman.windows import SPAN, BoolArray, FloatArray, IntArray, Rows, Windows

MOST_TOGETHER = 256
"""So many windows are filled together: the cost of a step is shared, and their arrays stay below 50 MB."""


@dataclass(slots=True)
class _Batch:
    """Windows that are filled together. Of their arrays the last axis has one entry for each, and those with the most
    samples come first."""

    rows: Rows
    """In the symbol table's windows; −1 for one that is none of the batch any more."""
    windows: Windows
    samples: WindowInputs
    """Shape (turns, n), right-aligned: before their first turn they are of no account."""
    first: IntArray
    """The turn in which each has its first sample."""
    remembered: "_Remembered"
    turn: int = 0
    entry: int = 0
    """The next of the own samples."""
    ready: bool = False
    """Whether they have been taken: the windows can move in at the next tick."""


@dataclass(frozen=True, slots=True)
class _Remembered:
    """What is known of the states after the newest samples, by window; nan where it is not known, as −1 of whole
    numbers."""

    step: FloatArray
    grid: FloatArray
    votes: IntArray
    regime: IntArray
    since: FloatArray

    @classmethod
    def of(cls, samples: Sequence[WarmSamples]) -> "_Remembered":
        since = np.array([each.regime_since for each in samples], np.float64) / 1e6
        return cls(
            np.array([each.step for each in samples], np.float64),  # None is nan
            np.array([each.grid for each in samples], np.float64),
            np.array([-1 if each.votes is None else each.votes for each in samples], np.int64),
            np.array([-1 if each.regime is None else REGIMES.index(each.regime) for each in samples], np.int64),
            since,
        )


class Warming:
    """The windows that are being filled, and the samples that young windows have had. The symbol table has one."""

    def __init__(self, windows: Windows, widening: float, forget_seconds: float) -> None:
        """`forget_seconds`: samples are too old that lie so much before the window's first."""
        self._windows = windows
        self._forget_seconds = forget_seconds
        self._widening = widening
        self.own = OwnSamples()
        self._batch: _Batch | None = None
        self._found_at = -np.inf
        """When there was last something to fill windows with."""

    @property
    def busy(self) -> bool:
        """Whether windows are being filled, or wait for a tick that has their snapshot."""
        return self._batch is not None

    @property
    def finished(self) -> bool:
        """Whether those that are left were ready at the last tick."""
        return self._batch is not None and self._batch.ready

    @property
    def cold(self) -> int:
        """How many windows may be filled with older samples, those that are being filled among them."""
        return int(np.count_nonzero(self.own.kept))

    def give_up(self) -> None:
        """Fill those no longer."""
        if self._batch is not None:
            self.drop(self._batch.rows[self._batch.rows >= 0])

    def begin_window(self, row: int) -> None:
        """A window begins in this row, without a sample."""
        self.own.begin(row)
        self._leave(row)

    def wanted(self, now: float) -> Rows:
        """The rows whose windows may be filled. `now` is monotonic, in seconds."""
        if self._batch is not None:
            self._found_at = now
        kept = np.flatnonzero(self.own.kept)
        rows = kept[self._windows.samples[kept] > 0]
        self.own.expire(rows, now, self._found_at)
        return rows[self.own.kept[rows] & (self._windows.samples[rows] < self._windows.length)]

    def older(self, row: int, samples: WarmSamples) -> int:
        """How many of these samples are older than all that the window of this row has had. Raises InvalidMessage
        where none is, or the window is not one that can be filled."""
        if not self.own.kept[row]:
            raise InvalidMessage("window", "the window has not begun just now")
        first = next((inputs for _place, inputs in self.own.of(np.array([row]), range(self.own.end))), None)
        if first is None:
            raise InvalidMessage("window", "the window has no sample yet")
        timestamp, event_time = float(first.timestamp[0]), float(first.event_time[0])
        sampled = np.array(samples.sampled) / 1e6 < timestamp
        if samples.event_time:
            stated = np.array(samples.event_time, np.float64) / 1e6  # None is nan
            sampled = np.where(np.isnan(stated) | np.isnan(event_time), sampled, stated < event_time)
        number = int(np.argmin(np.append(sampled, False)))
        if not number:
            raise InvalidMessage("order", "none is older than the window's oldest sample")
        age = timestamp - samples.sampled[number - 1] / 1e6
        if age > self._forget_seconds and not age < (SPAN + 0.5) * (samples.step or 0.0):
            raise InvalidMessage("age", f"the newest lies {age:.0f} s before the window's oldest sample")
        return number

    def keep(self, rows: Rows, inputs: WindowInputs) -> None:
        """The windows of these rows are given these samples."""
        self.own.keep(rows, inputs)
        if not self.own.kept.any():
            self._batch = None

    def begin(self, chosen: Sequence[tuple[int, WarmSamples, int]]) -> None:
        """Fill the windows of these rows, with the first so many of these samples each."""
        most = self._windows.length + LEAD
        lengths = [min(number, most) for _row, _samples, number in chosen]
        order = sorted(range(len(chosen)), key=lambda i: -lengths[i])
        turns = max(lengths)
        columns = [_columns(chosen[i][1], chosen[i][2], turns) for i in order]
        names = WindowInputs._fields
        stacked = WindowInputs._make(np.stack([column[name] for column in columns], axis=1) for name in names)
        windows = Windows(self._windows.length, capacity=len(chosen), widening=self._widening)
        for _each in chosen:
            windows.add()
        self._batch = _Batch(
            np.array([chosen[i][0] for i in order], np.intp),
            windows,
            stacked,
            np.array([turns - lengths[i] for i in order]),
            _Remembered.of([chosen[i][1] for i in order]),
        )

    def drop(self, rows: int | Rows) -> None:
        """The windows of these rows begin anew, or are dropped."""
        self.own.drop(rows)
        self._leave(rows)

    def forget(self) -> None:
        """No window is to be filled."""
        self.own.forget()
        self._batch = None

    def work(self, until: float, monotonic: Callable[[], float]) -> bool:
        """Go on filling until then, by the monotonic clock. Returns whether there is something left to do."""
        while (batch := self._batch) is not None and monotonic() < until:
            if batch.turn < len(batch.samples.price):
                self._turn(batch)
            elif batch.entry < self.own.end:
                self._own_turn(batch, min(batch.entry + 16, self.own.end))
            else:
                batch.ready = True
                return False
        return self._batch is not None

    def ready(self, rows: Rows) -> BoolArray:
        """Which of these rows have a filled window to take."""
        batch = self._batch
        if batch is None or not batch.ready:
            return np.zeros(len(rows), np.bool_)
        return np.isin(rows, batch.rows)

    def move_in(self, rows: Rows) -> Rows:
        """Let those of these rows that are ready go on with their filled windows. Returns them."""
        batch, moved = self._batch, rows[self.ready(rows)]
        if batch is None or not len(moved):
            return moved
        self._own_turn(batch, self.own.end)
        places = np.flatnonzero(np.isin(batch.rows, moved))
        target, feed_time = batch.rows[places], self._windows.feed_time[batch.rows[places]]
        self._windows.restore(target, batch.windows.saved(places))
        self._windows.feed_time[target] = feed_time
        self.drop(moved)
        return moved

    def _turn(self, batch: _Batch) -> None:
        """Take one sample of the record into each window that has one in this turn."""
        number = int(np.searchsorted(batch.first, batch.turn, side="right"))
        rows = np.arange(number)
        inputs = WindowInputs._make(column[batch.turn, :number] for column in batch.samples)
        take(batch.windows, rows, inputs)
        untold = np.flatnonzero(batch.remembered.regime[:number] < 0)
        _keep_regimes(batch.windows, untold, inputs.time[untold])
        batch.turn += 1
        if batch.turn == len(batch.samples.price):
            known = batch.remembered
            batch.windows.recall(np.arange(len(batch.rows)), known.step, known.grid, known.votes)
            told = np.flatnonzero(known.regime >= 0)
            batch.windows.regime[told], batch.windows.regime_since[told] = known.regime[told], known.since[told]

    def _own_turn(self, batch: _Batch, end: int) -> None:
        """Take the samples of these entries, which the feed has brought since."""
        there = np.flatnonzero(batch.rows >= 0)
        for places, inputs in self.own.of(batch.rows[there], range(batch.entry, end)):
            take(batch.windows, there[places], inputs)
            _keep_regimes(batch.windows, there[places], inputs.time)
        batch.entry = end

    def _leave(self, rows: int | Rows) -> None:
        """These rows are of the batch no more."""
        if (batch := self._batch) is not None:
            batch.rows[np.isin(batch.rows, rows)] = -1
            self._batch = batch if (batch.rows >= 0).any() else None


def _keep_regimes(windows: Windows, rows: Rows, time: FloatArray) -> None:
    if len(rows):
        windows.keep_regime(rows, regimes(windows, rows), time)


def _columns(samples: WarmSamples, number: int, turns: int) -> dict[str, Any]:
    """The newest of the first so many samples as columns of so many turns, behind what is of no account."""
    floats: dict[str, Any] = {
        "price": samples.price,
        "volume": samples.volume,
        "trades": samples.trades,
        "tick": _spread(samples.tick, samples),
        "interval": _spread(samples.interval, samples),
    }
    none = [None] * len(samples)
    columns: dict[str, Any] = {name: np.array(values or none, np.float64) for name, values in floats.items()}
    columns["timestamp"] = np.array(samples.sampled) / 1e6
    columns["event_time"] = np.array(samples.event_time or none, np.float64) / 1e6
    columns["time"] = np.where(np.isnan(columns["event_time"]), columns["timestamp"], columns["event_time"])
    columns["session"] = np.array(spread([(i, session_number(mark)) for i, mark in samples.session], len(samples), 0))
    columns["notes"] = np.array(spread([(i, notes.parse(words)[0]) for i, words in samples.notes], len(samples), 0))
    columns["lost"] = np.isin(np.arange(len(samples)), samples.lost)
    return {name: _right_aligned(column[:number], turns) for name, column in columns.items()}


def _spread(runs: Runs[float], samples: WarmSamples) -> list[float | None]:
    return spread(runs, len(samples), None)


def _right_aligned(column: Any, turns: int) -> Any:
    aligned = np.zeros(turns, column.dtype)
    newest = column[-turns:]
    aligned[turns - len(newest) :] = newest
    return aligned
