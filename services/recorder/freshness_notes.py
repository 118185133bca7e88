"""What the bridge says of freshness and of broken hops, as rows of the tables `freshness` and `outages`. Pure.

The bridge judges, and here nothing is judged anew: a row is written for what its statements change. Those of a new
connection are compared with what was written last. A row about `*` is about all symbols, and ends what was said of
single ones, as in a FRESHNESS message.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from cottage.freshness import Cause, Freshness, FreshnessStatement, milliseconds
from cottage.freshness_board import FreshnessBoard
from cottage.grant import ALL

_HOPS: Mapping[Cause, str] = {"redis_down": "redis", "writer_down": "feynman", "feed_down": "market"}


class FreshnessNotes:
    """What was written last, and the rows that wait. In all methods `recorded` is in microseconds since 1970, and
    `now` is monotonic, in seconds. `symbols`: those of which rows are written; none: all."""

    def __init__(self, symbols: Collection[str] = ()) -> None:
        self._symbols = symbols
        self._written: FreshnessBoard | None = None
        """None until the first statement: what an earlier recorder wrote does not hold any more."""
        self._board = FreshnessBoard()
        """What the bridge has stated over the present connection."""
        self._complete = False
        """Whether that is all that it has to say."""
        self._rows: dict[str, list[dict[str, Any]]] = {"freshness": [], "outages": []}
        self._outages: dict[str, tuple[int, str]] = {}
        """The hops that are broken, with since when and why."""

    def restore(self, outages: Iterable[Mapping[str, Any]]) -> None:
        """The record tells of these outages, oldest first: those without an end go on."""
        for row in outages:
            if row["until"] is None:
                self._outages[row["hop"]] = (row["since"], row["cause"])
            else:
                self._outages.pop(row["hop"], None)

    def take(self) -> dict[str, dict[str, list[Any]]]:
        """The waiting rows, as columns by table."""
        taken = {}
        for table, rows in self._rows.items():
            if rows:
                taken[table] = {name: [row[name] for row in rows] for name in rows[0]}
                rows.clear()
        return taken

    def connected(self) -> None:
        """A new connection: the bridge states everything again."""
        self._board, self._complete = FreshnessBoard(), False

    def lost(self, cause: str, recorded: int) -> None:
        """The bridge is not there."""
        self._complete = False
        self.broken("bridge", cause, recorded, recorded)

    def stated(self, statement: FreshnessStatement, now: float) -> None:
        """A FRESHNESS has come."""
        self._board.apply(statement, now)

    def removed(self, symbol: str, recorded: int) -> None:
        """A REMOVED has come."""
        self._board.forget(symbol)
        if self._written is not None:
            self._written.forget(symbol)
        self._row(symbol, "removed", None, None, recorded)

    def heartbeat(self) -> None:
        """A HEARTBEAT has come: the first of a connection comes after all that is stated of its symbols."""
        self._complete = True

    def write(self, recorded: int, now: float) -> None:
        """Write rows for what has changed."""
        if not self._complete:
            return
        self.mended("bridge", recorded)
        board = self._board
        if self._written is None:
            statements = board.all_statements(None, now)
            self._written = FreshnessBoard()
        else:
            exceptions = {symbol: board.of(symbol) for symbol in board.exceptions}
            statements = self._written.differences(board.overall, exceptions, lambda _symbol: None)
        for statement in statements:
            self._written.apply(statement, now)
            said = statement.freshness
            each = ((ALL, said.age),) if statement.symbols is None else statement.each()
            for symbol, age in each:
                self._row(symbol, said.status, said.cause, age, recorded)
        self._write_outages(recorded)

    def _write_outages(self, recorded: int) -> None:
        found: dict[str, Freshness] = {}
        for each in (self._board.overall, *map(self._board.of, self._board.exceptions)):
            if each.cause is not None and each.cause in _HOPS:
                found.setdefault(_HOPS[each.cause], each)
        for hop, each in found.items():
            age = 0.0 if hop == "market" or each.age is None else each.age
            self.broken(hop, str(each.cause), recorded - round(age * 1e6), recorded)
        for hop in _HOPS.values():
            # Nobody knows of a hop as long as one before it is broken.
            if hop not in found and (not found or hop == "redis"):
                self.mended(hop, recorded)

    def broken(self, hop: str, cause: str, since: int, recorded: int) -> None:
        """A hop is broken since then."""
        if hop not in self._outages:
            self._outages[hop] = (since, cause)
            self._outage(hop, cause, since, None, recorded)

    def mended(self, hop: str, recorded: int) -> None:
        """A hop works."""
        if hop in self._outages:
            since, cause = self._outages.pop(hop)
            self._outage(hop, cause, since, max(since, recorded), recorded)

    def _outage(self, hop: str, cause: str, since: int, until: int | None, recorded: int) -> None:
        row = {"hop": hop, "cause": cause, "since": since, "until": until, "recorded": recorded}
        self._rows["outages"].append(row)

    def _row(self, symbol: str, status: str, cause: str | None, age: float | None, recorded: int) -> None:
        if self._symbols and symbol != ALL and symbol not in self._symbols:
            return
        row = {"symbol": symbol, "status": status, "cause": cause, "age_ms": milliseconds(age), "recorded": recorded}
        self._rows["freshness"].append(row)
