"""Replays the rows of a recording in real time: sampled by their own time, they become snapshots as they happen.

The source Replayed uses it. A sample of a symbol is its newest row at the end of each second of recorded time in
which it has one, whatever the speed, so that returns are the same at any. It is there as soon as the next row of the
recording lies beyond that end.

The first usable row happens at `started`. Times are whole milliseconds, rounded up, so that a message with
milliseconds says which rows a snapshot may hold: those of its symbol with

    recorded time ≤ recorded_from + (timestamp − started_at) · speed

Of these it holds those up to its `event_time`, which is its newest row's, no more and no fewer; rows that follow
within the same millisecond may belong to the next sample. A bar counts at its own timestamp, with its close. Whether
that is the bar's start or its end makes no difference: the first bar is mapped to now either way. A bar lasts as long
as the commonest time between two bars of a symbol so far.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

from cottage.files.rows import Row
from cottage.snapshot import MOST_FILL, MarketSnapshot

SOURCE = "replay"
SECOND = 1_000_000  # microseconds
MOST_LENGTHS = 1000  # so many are told apart


@dataclass(slots=True)
class _Totals:
    """The sums and extremes of a symbol's rows since the start of the replay."""

    open: float
    high: float
    low: float
    time: int
    """That of the newest row."""
    volume: float = 0.0
    trades: int | None = 0
    """None if they are bars, which do not tell it."""


class Replay:
    """One pass over `rows`, which are in order of time. The source Replayed makes one for each pass over its file.

    Counters begin at 0: a pass is a session of the market. Only one thread at a time may call what reads rows: the
    constructor and `until`.
    """

    def __init__(self, rows: Iterable[Row], speed: float) -> None:
        """Read the first row. Raises what the iterator `rows` raises."""
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
        self._sampled = 0
        """The number of the sample to which the newest rows belong."""
        self._lengths: Counter[int] = Counter()
        """How often so many microseconds lay between two bars of a symbol."""
        self._length: int | None = None
        """The commonest of them."""
        self._newest: dict[str, Row] = {}
        """The newest row of each symbol in that sample."""
        self._samples: dict[str, deque[MarketSnapshot]] = {}
        """The samples that are complete, since the last call of `until`."""

    def begin(self, started: int) -> None:
        """Start the replay: the first row happens at `started`, in milliseconds since 1970."""
        self.started = started

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
        while self._next is not None and self._at(self._next) <= now:
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
            totals = self._totals[row.symbol] = _Totals(row.open, row.high, row.low, row.time)
        elif row.trades is None and row.time > totals.time:
            self._follow(row.time - totals.time)
        totals.time = row.time
        totals.high = max(totals.high, row.high)
        totals.low = min(totals.low, row.low)
        totals.volume += row.volume
        totals.trades = None if row.trades is None or totals.trades is None else totals.trades + row.trades
        self._newest[row.symbol] = row
        self.recorded = row.time
        self.folded += 1

    def _follow(self, length: int) -> None:
        """A bar came so many microseconds after the one before."""
        if length not in self._lengths and len(self._lengths) >= MOST_LENGTHS:
            return
        self._lengths[length] += 1
        held = self._length
        if held is None or (self._lengths[length], -length) > (self._lengths[held], -held):
            self._length = length

    def _snapshot(self, row: Row) -> MarketSnapshot:
        totals = self._totals[row.symbol]
        return MarketSnapshot(
            symbol=row.symbol,
            price=row.price,
            timestamp=self._at(row) / 1000,
            volume=totals.volume,
            trades=totals.trades,
            source=SOURCE,
            session=str(self.started),
            bid=row.bid,
            ask=row.ask,
            open=totals.open,
            high=totals.high,
            low=totals.low,
            native=row.native,
            event_time=row.time / SECOND,
            interval=None if self._length is None else self._length / SECOND,
        )
