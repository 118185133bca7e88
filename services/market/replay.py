"""Replays the rows of a recording: sampled by their own time, they become snapshots as they happen.

The source Replayed uses it. A sample of a symbol is its newest row at the end of each second of recorded time in
which it has one, whatever the speed, so that returns are the same at any. It is there as soon as the next row of the
recording lies beyond that end.

In real time the first usable row happens at `started`. Times are whole milliseconds, rounded up, so that a message
with milliseconds says which rows a snapshot may hold: those of its symbol with

    recorded time ≤ recorded_from + (timestamp − started_at) · speed

Of these it holds those up to its newest row's time, no more and no fewer; rows that follow within the same
millisecond may belong to the next sample. In lock-step a sample happens when it is asked for.

Recorded time is the time of publication: a bar counts at its end. The `event_time` of a snapshot is the market's own
time of its newest row, where the recording tells it, and always later than that of the symbol's sample before.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from cottage.files.rows import Row
from cottage.snapshot import MOST_FILL, MarketSnapshot

SOURCE = "replay"
SECOND = 1_000_000  # microseconds
AUCTION = "auction"  # of a sample with a print of one, as cottage.notes has it


@dataclass(slots=True)
class _Totals:
    """The sums and extremes of a symbol's rows since the start of the replay."""

    open: float
    high: float
    low: float
    volume: float = 0.0
    trades: int = 0
    volume_told: bool = True
    """Whether all rows of the sample that is not complete yet tell their volume; `trades_told` likewise."""
    trades_told: bool = True
    auction: bool = False
    """Whether one of these is of an auction."""
    event_time: int = 0
    """That of the newest sample, in microseconds since 1970."""

    def add(self, row: Row) -> None:
        self.high = max(self.high, row.high)
        self.low = min(self.low, row.low)
        if row.volume is None:
            self.volume_told = False
        else:
            self.volume += row.volume
        if row.trades is None:
            self.trades_told = False
        else:
            self.trades += row.trades
        self.auction = self.auction or AUCTION in row.notes

    def begin_sample(self) -> None:
        """The rows from now on are of the next sample."""
        self.volume_told = self.trades_told = True
        self.auction = False


class Replay:
    """One pass over `rows`, which are in order of time. The source Replayed makes one for each pass over its file.

    Counters begin at 0: a pass is a session of the market. Only one thread at a time may call what reads rows: the
    constructor and `until`.
    """

    def __init__(self, rows: Iterable[Row], speed: float = math.inf) -> None:
        """Read the first row. Raises what the iterator `rows` raises. `speed`: infinite in lock-step."""
        self.speed = speed
        self.started = 0
        """Milliseconds since 1970; 0 before `begin`."""
        self.recorded: int | None = None
        """Recorded time of the newest row that has happened, in microseconds since 1970."""
        self.folded = 0
        """Rows that have happened."""
        self._rows = iter(rows)
        self._next = next(self._rows, None)
        self.recorded_from = None if self._next is None else self._next.time
        """Recorded time of the first row; None where there is none."""
        self._totals: dict[str, _Totals] = {}
        self._session = ""
        """The mark of this pass."""
        self._sampled = 0
        """The number of the sample to which the newest rows belong."""
        self._newest: dict[str, Row] = {}
        """The newest row of each symbol in that sample."""
        self._samples: dict[str, deque[MarketSnapshot]] = {}
        """The samples that are complete, since the last call of `until`."""

    def begin(self, started: int) -> None:
        """Start the replay, or move it: the first row happens at `started`, in milliseconds since 1970."""
        self.started = started
        self._session = self._session or str(started)

    @property
    def finished(self) -> bool:
        """Whether all rows have happened."""
        return self._next is None

    @property
    def symbols(self) -> list[str]:
        """The symbols that had a row so far."""
        return list(self._totals)

    @property
    def next_at(self) -> float:
        """When the next row happens, in milliseconds since 1970; infinite where there is none."""
        return math.inf if self._next is None else self._at(self._next)

    def until(self, now: int) -> list[MarketSnapshot]:
        """Snapshots of the symbols with a new sample since the last call and up to `now` (milliseconds), inclusive;
        each with the samples before it.

        It reads all rows up to then, however many: a part of them would not be the market of any moment.
        """
        return self._take_while(lambda row: self._at(row) <= now)

    def step(self, now: int) -> list[MarketSnapshot]:
        """In lock-step: the next second of recorded time that has rows, which happens at `now` (milliseconds), or a
        millisecond after the one before if that is later. Snapshots of the symbols that have rows in it."""
        self.begin(max(now, self.started + 1))
        number = None if self._next is None else self._number(self._next)
        return self._take_while(lambda row: self._number(row) == number)

    def _take_while(self, happens: Callable[[Row], bool]) -> list[MarketSnapshot]:
        while self._next is not None and happens(self._next):
            self._fold(self._next)
            self._next = next(self._rows, None)
        if self._next is None or self._number(self._next) != self._sampled:
            self._complete()
        samples, self._samples = self._samples, {}
        return [replace(newest, fill=tuple(fill)) for *fill, newest in samples.values()]

    def _at(self, row: Row) -> int:
        assert self.recorded_from is not None
        return self.started + math.ceil((row.time - self.recorded_from) / (1000 * self.speed))

    def _number(self, row: Row) -> int:
        """Which sample a row belongs to: a row at the very end of one belongs to that."""
        return -(-row.time // SECOND)

    def _complete(self) -> None:
        """Make samples of the newest rows."""
        for symbol, row in self._newest.items():
            samples = self._samples.setdefault(symbol, deque(maxlen=MOST_FILL + 1))
            samples.append(self._snapshot(row))
        self._newest.clear()

    def _fold(self, row: Row) -> None:
        if (number := self._number(row)) != self._sampled:
            self._complete()
            self._sampled = number
        totals = self._totals.get(row.symbol)
        if totals is None:
            totals = self._totals[row.symbol] = _Totals(row.open, row.high, row.low)
        totals.add(row)
        self._newest[row.symbol] = row
        self.recorded = row.time
        self.folded += 1

    def _snapshot(self, row: Row) -> MarketSnapshot:
        """The sample of which this is the newest row."""
        totals = self._totals[row.symbol]
        event_time = row.time if row.event_time is None else row.event_time
        totals.event_time = max(event_time, totals.event_time + 1)
        notes = dict.fromkeys((*row.notes, AUCTION) if totals.auction else row.notes)
        snapshot = MarketSnapshot(
            symbol=row.symbol,
            price=row.price,
            timestamp=self._at(row) / 1000,
            volume=totals.volume if totals.volume_told else None,
            trades=totals.trades if totals.trades_told else None,
            source=SOURCE,
            session=self._session,
            bid=row.bid,
            ask=row.ask,
            open=totals.open,
            high=totals.high,
            low=totals.low,
            notes=tuple(notes),
            native=row.native,
            event_time=totals.event_time / SECOND,
            interval=None if row.interval is None else row.interval / SECOND,
            received=None if row.event_time is None or row.interval is not None else row.time / SECOND,
        )
        totals.begin_sample()
        return snapshot
