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
from cottage.warm import LEAD, WarmSamples
from services.feynman.own_samples import OwnSamples
from services.feynman.regime import REGIMES
from services.feynman.sample_columns import session_number
from services.feynman.vector import regimes
from services.feynman.window_inputs import WindowInputs, take
from services.feynman.windows import SPAN, BoolArray, FloatArray, IntArray, Rows, Windows

MOST_TOGETHER = 256
"""So many windows are filled together: the cost of a step is shared, and their arrays stay below 50 MB."""
MOST_AT_A_TICK = 128
"""So many take the place of short ones in a tick: some 50 ms."""


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
    """Whether they have been taken: the windows can move in at the next ticks."""
    moved: bool = False
    """Whether some have done so since that was asked."""

    @property
    def next(self) -> Rows:
        """Those that may move in at the next tick."""
        return self.rows[self.rows >= 0][:MOST_AT_A_TICK]


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
        self._prepared: list[tuple[int, WindowInputs, WarmSamples]] = []
        """Rows that are to be filled next, with what, and what is known of the states after the last sample."""
        self._found_at = -np.inf
        """When there was last something to fill windows with."""

    @property
    def busy(self) -> bool:
        """Whether windows are being filled, or wait for a tick that has their snapshot."""
        return self._batch is not None

    @property
    def cold(self) -> int:
        """How many windows may be filled with older samples, those that are being filled among them."""
        return int(np.count_nonzero(self.own.kept))

    def give_up(self) -> None:
        """There was a tick of all symbols: of those that could move in and have not there is no snapshot any more."""
        if (batch := self._batch) is not None and batch.ready:
            if not batch.moved:
                self.drop(batch.next)
            batch.moved = False

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

    def keep(self, rows: Rows, inputs: WindowInputs) -> None:
        """The windows of these rows are given these samples."""
        self.own.keep(rows, inputs)
        if not self.own.kept.any():
            self.forget()

    def prepare(self, row: int, samples: WarmSamples) -> None:
        """Have the window of this row filled with those of these samples that are older than its own, when `begin` is
        called. Raises InvalidMessage where that cannot be done."""
        number = self._older(row, samples)
        known = samples if number == len(samples) else _WITHOUT_STATE
        newest = slice(max(0, number - self._windows.length - LEAD), number)
        self._prepared.append((row, _inputs(samples).where(newest), known))

    def begin(self) -> None:
        """Fill the windows that were prepared."""
        chosen, self._prepared = sorted(self._prepared, key=lambda each: -len(each[1].price)), []
        if not chosen:
            return
        turns, number = len(chosen[0][1].price), len(chosen)
        windows = Windows(self._windows.length, capacity=number, widening=self._widening)
        for _each in chosen:
            windows.add()
        stacked = WindowInputs._make(np.zeros((turns, number), column.dtype) for column in chosen[0][1])
        for place, (_row, inputs, _known) in enumerate(chosen):
            for aligned, column in zip(stacked, inputs, strict=True):
                aligned[turns - len(column) :, place] = column
        self._batch = _Batch(
            np.array([row for row, _inputs, _known in chosen], np.intp),
            windows,
            stacked,
            np.array([turns - len(inputs.price) for _row, inputs, _known in chosen]),
            _Remembered.of([known for _row, _inputs, known in chosen]),
        )

    def drop(self, rows: int | Rows) -> None:
        """The windows of these rows begin anew, or are dropped."""
        self.own.drop(rows)
        self._leave(rows)

    def forget(self) -> None:
        """No window is to be filled."""
        self.own.forget()
        self._batch, self._prepared = None, []

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
        return np.isin(rows, batch.next)

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
        batch.moved = True
        self.drop(moved)
        return moved

    def _older(self, row: int, samples: WarmSamples) -> int:
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
        """These rows are not to be filled any more."""
        self._prepared = [each for each in self._prepared if not np.isin(each[0], rows)] if self._prepared else []
        if (batch := self._batch) is not None:
            batch.rows[np.isin(batch.rows, rows)] = -1
            self._batch = batch if (batch.rows >= 0).any() else None


def _keep_regimes(windows: Windows, rows: Rows, time: FloatArray) -> None:
    if len(rows):
        windows.keep_regime(rows, regimes(windows, rows), time)


_WITHOUT_STATE = WarmSamples("", [], [])


def _inputs(samples: WarmSamples) -> WindowInputs:
    """All of these as columns."""
    size, timestamp = len(samples), np.array(samples.sampled) / 1e6
    event_time = _numbers(samples.event_time, size) / 1e6
    return WindowInputs(
        price=np.array(samples.price, np.float64),
        timestamp=timestamp,
        volume=_numbers(samples.volume, size),
        trades=_numbers(samples.trades, size),
        session=_spread([(place, session_number(mark)) for place, mark in samples.session], size, 0),
        notes=_spread([(place, notes.parse(words)[0]) for place, words in samples.notes], size, 0),
        tick=_spread(samples.tick, size, np.nan),
        event_time=event_time,
        interval=_spread(samples.interval, size, np.nan),
        lost=np.isin(np.arange(size), samples.lost),
        time=np.where(np.isnan(event_time), timestamp, event_time),
    )


def _numbers(values: Sequence[float | None], size: int) -> FloatArray:
    """nan for each that is not known, which are all where there are none."""
    return np.array(values, np.float64) if values else np.full(size, np.nan)


def _spread(runs: Sequence[tuple[int, float]], size: int, before: float) -> Any:
    """The value of each of so many samples; `before` that of those before the first run."""
    begins = [0, *(place for place, _value in runs), size]
    return np.repeat(np.array([before, *(value for _place, value in runs)]), np.diff(begins))
