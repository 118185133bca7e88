"""A recorded market, on the wall clock: which rows have happened by now, folded into one snapshot a symbol.

The first usable row happens at `started`. Times are whole milliseconds, rounded up, so that a message that
carries milliseconds says exactly which rows a snapshot holds: those of its symbol with

    recorded time ≤ recorded_from + (timestamp − started_at) · speed

no more and no fewer. A bar counts at its own timestamp, with its close. Whether that is the bar's start or its end
makes no difference: the first bar is mapped to now either way.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from cottage.files.rows import Row
from cottage.snapshot import MarketSnapshot

SOURCE = "replay"


@dataclass(slots=True)
class _Session:
    """What is known of a symbol since the replay's start."""

    open: float
    high: float
    low: float
    volume: float = 0.0
    trades: int = 0


class Replay:
    """One pass over `rows`, which are in order of time. Counters begin at 0: a pass is a session.

    Only one thread at a time may call what reads rows: the constructor and `until`.
    """

    def __init__(self, rows: Iterable[Row], speed: float) -> None:
        """Reads the first row, and raises what the rows raise."""
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
        self._sessions: dict[str, _Session] = {}
        self._newest: dict[str, Row] = {}

    def begin(self, started: int) -> None:
        """From now on: the first row happens at `started`, in milliseconds since 1970."""
        self.started = started

    @property
    def finished(self) -> bool:
        """Whether all rows have happened."""
        return self._next is None

    @property
    def symbols(self) -> list[str]:
        """Those that had a row so far."""
        return list(self._sessions)

    @property
    def next_at(self) -> float:
        """When the next row happens, in milliseconds since 1970; infinite where there is none."""
        return math.inf if self._next is None else self._at(self._next)

    def until(self, now: int) -> list[MarketSnapshot]:
        """Snapshots of the symbols that traded since the last call and up to `now` (milliseconds), inclusive.

        It reads all rows up to then, however many, since a part of them would be no moment that there ever was.
        """
        while self._next is not None and self._at(self._next) <= now:
            self._fold(self._next)
            self._next = next(self._rows, None)
        newest, self._newest = self._newest, {}
        return [self._snapshot(row) for row in newest.values()]

    def _at(self, row: Row) -> int:
        assert self.recorded_from is not None
        return self.started + math.ceil((row.time - self.recorded_from) / (1000 * self.speed))

    def _fold(self, row: Row) -> None:
        session = self._sessions.get(row.symbol)
        if session is None:
            session = self._sessions[row.symbol] = _Session(row.open, row.high, row.low)
        session.high = max(session.high, row.high)
        session.low = min(session.low, row.low)
        session.volume += row.volume
        session.trades += row.trades
        self._newest[row.symbol] = row
        self.recorded = row.time
        self.folded += 1

    def _snapshot(self, row: Row) -> MarketSnapshot:
        session = self._sessions[row.symbol]
        return MarketSnapshot(
            symbol=row.symbol,
            price=row.price,
            timestamp=self._at(row) / 1000,
            volume=session.volume,
            trades=session.trades,
            source=SOURCE,
            bid=row.bid,
            ask=row.ask,
            open=session.open,
            high=session.high,
            low=session.low,
        )
