"""What happened, by a record: spells of regimes of a symbol, changes of all, gaps and outages.

Changes, gaps and outages go by when they came to be known, Redis's clock: `recorded`. Spells of a regime go by the
market's time. Every method raises HistoryRefusal as those of History do.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cottage.errors import HistoryRefusal
from cottage.grant import EVERY_SYMBOL as EVERY
from cottage.grant import SymbolPatterns
from cottage.record.history import NEWEST_RUN, Chosen, History, rows_of_run
from cottage.record.history_span import HistorySpan
from cottage.record.record import Record
from cottage.record.run_index import RunExtent
from cottage.record.state_rows import version_of

MOST_ROWS = 10_000
"""The most changes or gaps in one answer."""
EVERY_SYMBOL = "*"
"""What a statement about the freshness of all symbols has for a symbol."""


@dataclass(frozen=True, slots=True)
class RecordedRows:
    """Rows that were recorded in [since, until)."""

    since: int
    until: int
    rows: list[dict[str, Any]]
    """The newest first."""
    complete: bool
    """False if there were more than MOST_ROWS: the older ones are left out."""


@dataclass(frozen=True, slots=True)
class RegimeSpells:
    """The regimes of a symbol in a time [since, until) of its source."""

    run: RunExtent
    since: int
    until: int
    spells: list[dict[str, Any]]
    """Rows of the table `regimes`, oldest first, each with `until`, when the next one began: None while it holds."""


class RecordEvents:
    """Answers questions about what happened."""

    def __init__(self, record: Record, history: History) -> None:
        self._record = record
        self._history = history

    def regimes(self, symbol: str, span: HistorySpan, chosen: Chosen = NEWEST_RUN) -> RegimeSpells:
        """The spells of regimes of a symbol, also those that began before and last into the time."""
        found = self._history.runs_of([symbol], chosen)
        if not found:
            raise HistoryRefusal("no_such_symbol", f"there is no row of {symbol} in the record")
        [(run, _)] = found
        since, until = span.between(run.extent(chosen.by)[1])
        rows = rows_of_run(self._record.scan("regimes", symbols=[symbol]), run).to_pylist()
        if all(row["before"] is not None for row in rows):
            first = self._first_of_run(symbol, run)
            if first is not None and all(version_of(first) < version_of(row) for row in rows):
                rows.append(first)
        rows = [row for row in rows if row[chosen.by] is not None]
        rows.sort(key=version_of)
        spells = []
        for row, following in zip(rows, [*rows, None][1:], strict=True):
            ended = None if following is None else following[chosen.by]
            if row[chosen.by] < until and (ended is None or ended > since):
                spells.append({**row, "until": ended})
        return RegimeSpells(run, since, until, spells)

    def _first_of_run(self, symbol: str, run: RunExtent) -> dict[str, Any] | None:
        """The symbol's first state in the run, as a row of the table `regimes`: where the run began with the regime
        of the one before, that table has no row of it."""
        assert run.recorded is not None
        columns = ["source", "run", "epoch", "seq", "at", "written", "regime", "alpha", "alpha_low", "alpha_high"]
        bounds = (run.recorded[0], run.recorded[1] + 1)
        rows = rows_of_run(self._record.scan("samples", columns, symbols=[symbol], recorded=bounds), run)
        states = rows.filter(rows["regime"].is_valid()).to_pylist()
        first = min(states, key=version_of, default=None)
        return None if first is None else {"symbol": symbol, "before": None, **first}

    def changes(
        self,
        span: HistorySpan,
        symbols: Sequence[str] | None = None,
        kind: str | None = None,
        regime: str | None = None,
        within: SymbolPatterns = EVERY,
    ) -> RecordedRows:
        """Changes of regime and of freshness, each with its `kind`; with `regime` only changes to that one. A change
        of the freshness of all symbols has `*` for a symbol, and is told whatever symbols are `within`."""
        since, until = self._between(span)
        rows: list[dict[str, Any]] = []
        if kind in (None, "regime"):
            found = self._record.scan("regimes", symbols=symbols, recorded=(since, until)).to_pylist()
            rows += (
                {"kind": "regime", **row}
                for row in found
                if row["before"] is not None and regime in (None, row["regime"])
            )
        if kind in (None, "freshness") and regime is None:
            wanted = None if symbols is None else [*symbols, EVERY_SYMBOL]
            found = self._record.scan("freshness", symbols=wanted, recorded=(since, until)).to_pylist()
            rows += ({"kind": "freshness", **row} for row in found)
        return _newest_first(since, until, [row for row in rows if _is_within(row, within)])

    def gaps(
        self, span: HistorySpan, symbols: Sequence[str] | None = None, within: SymbolPatterns = EVERY
    ) -> RecordedRows:
        """Where data or versions are missing."""
        since, until = self._between(span)
        rows = self._record.scan("gaps", symbols=symbols, recorded=(since, until)).to_pylist()
        return _newest_first(since, until, [row for row in rows if _is_within(row, within)])

    def outages(self, since: int, until: int) -> list[dict[str, Any]]:
        """The outages of the hops that touch [since, until), each once, oldest first."""
        whole: dict[tuple[str, int], dict[str, Any]] = {}
        rows = self._record.scan("outages").to_pylist()
        for row in sorted(rows, key=lambda row: row["recorded"]):
            whole[row["hop"], row["since"]] = row  # the row that tells the end comes later
        ended = (row for row in whole.values() if row["since"] < until)
        touching = [row for row in ended if row["until"] is None or row["until"] > since]
        return sorted(touching, key=lambda row: (row["since"], row["hop"]))

    def reach(self) -> int:
        """When the newest row of any table was recorded."""
        newest = self._history.runs()[0].recorded
        assert newest is not None
        tables: Iterable[str] = ("regimes", "freshness", "gaps", "outages")
        later = (self._record.scan(table, ["recorded"], recorded=(newest[1], None)) for table in tables)
        times: list[int] = [time for rows in later for time in rows["recorded"].to_pylist()]
        return max([newest[1], *times])

    def _between(self, span: HistorySpan) -> tuple[int, int]:
        return span.between(self.reach())


def _is_within(row: Mapping[str, Any], symbols: SymbolPatterns) -> bool:
    return row["symbol"] in symbols or row["symbol"] == EVERY_SYMBOL


def _newest_first(since: int, until: int, rows: list[dict[str, Any]]) -> RecordedRows:
    def order(row: Mapping[str, Any]) -> tuple[int, str]:
        return -row["recorded"], row["symbol"]

    return RecordedRows(since, until, sorted(rows, key=order)[:MOST_ROWS], len(rows) <= MOST_ROWS)
