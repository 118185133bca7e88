"""Compares two recordings of the same market, such as a record and that of its replay (docs/record.md, Time travel).

A sample of the one is that of the other if it has the same symbol and the same time of the market, and is the same in
turn among those. Of both all is compared that follows from the market and the settings, in a canonical form: without
who recorded it and when, under which version and by which clock, and without what follows from that (LEFT_OUT).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cottage.clock import iso_millis
from cottage.errors import UnusableSource
from cottage.record.arrow_schema import arrow_schema, pyarrow
from cottage.record.record import Record
from cottage.record.schema import SAMPLES, RecordColumn
from cottage.record.settling import REMEMBERED, Settling
from cottage.record.sorted_rows import DUCKDB_OPTIONS, SortedRows, quoted

LEFT_OUT = frozenset(
    {
        *("symbol", "source", "run", "feed", "epoch", "seq", "number", "last", "reissued", "healed"),
        *("prev_epoch", "prev_seq", "at", "event_time", "feed_time", "received", "sampled", "written", "recorded"),
        "lag_ms",
    }
)
"""The columns that are not compared: `at` is the key, and stands for `event_time` and what is taken where a feed does
not state that."""
OF_CLOCKS = ("two_writers", "feed_late")
"""Words that tell of the recording and not of the market."""
OF_EACH = frozenset({"price", "volume", "trades", "session", "lost"})
"""What every sample has. The other columns are those of a version, and compared where both samples are the last of
theirs; those of a state where both have one."""
_COMPARED = tuple(column for column in SAMPLES if column.name not in LEFT_OUT)
_STATE = frozenset(column.name for column in _COMPARED[[each.name for each in _COMPARED].index("mass") :])
ORDER = ("symbol", "at", "epoch", "seq", "number")
AT_ONCE = 50_000
"""So many rows of each are compared at once."""
RELATIVE, LEAST = 1e-9, 1e-12
"""How far numbers may be apart where a recording does not begin with a checkpoint."""


class RecordDifference(NamedTuple):
    """Where two recordings differ."""

    at: int
    """The market's time, in microseconds since 1970."""
    symbol: str
    field: str
    """A column, or `sample` where one has it and the other has not."""
    values: tuple[Any, Any]

    def __str__(self) -> str:
        first, second = self.values
        return f"{self.symbol} at {iso_millis(self.at / 1e6)}, {self.field}: {first!r} and {second!r}"


@dataclass(slots=True)
class Comparison:
    """What came out so far."""

    samples: int = 0
    """How many samples both have, as `states`."""
    states: int = 0
    """How many states were compared: those of symbols that have settled."""
    exact: int = 0
    """How many of these must be equal in all digits."""
    unsettled: int = 0
    """How many states were not compared, since the symbol had not settled yet."""
    alone: int = 0
    """How many states only one of the two has."""
    counts: Counter[str] = field(default_factory=Counter)
    """How many differences there are, by field."""
    first: RecordDifference | None = None
    """The first by the market's time."""
    settling: dict[str, Settling] = field(default_factory=dict)

    @property
    def never(self) -> list[str]:
        """The symbols of which no state could be compared."""
        return sorted(symbol for symbol, each in self.settling.items() if each.settled is None)

    @property
    def equal(self) -> bool:
        """Whether something was compared, and all of it was equal."""
        return not self.counts and self.states > 0

    def take(self, first: Any, second: Any, missed: Mapping[str, list[int]]) -> None:
        """Compare some rows of SAMPLES: pyarrow.Tables with all columns, of which both have all rows of the same
        symbols within the same span of the market's time. `missed`: when one of the recordings lacked versions, by
        symbol, ascending."""
        rows = _joined(first, second)
        if not len(rows):
            return
        symbols = rows.column("symbol").combine_chunks()
        ends = [*np.flatnonzero(_changes(symbols)).tolist(), len(rows)]
        start = 0
        for end in ends:
            symbol = symbols[start].as_py()
            _SymbolRows(symbol, rows.slice(start, end - start)).compare(self, missed.get(symbol, []))
            start = end

    def lines(self) -> Iterator[str]:
        """The report."""
        if self.first is None:
            yield self._extent() if self.states else "nothing to compare: no state that both have has settled"
        else:
            yield f"first difference: {self.first}"
            yield from (f"  {number:>9,} × {name}" for name, number in self.counts.most_common())
        yield f"{self.samples:,} samples in both"
        yield f"{self.states:,} states compared, {self.exact:,} of them in all digits"
        if self.unsettled:
            yield f"{self.unsettled:,} states not compared: their windows began before the recordings"
        if self.alone:
            yield f"{self.alone:,} states in one of them alone: it took fewer samples at once"
        if self.never:
            yield f"{len(self.never):,} symbols never settled, the first of them {', '.join(self.never[:8])}"

    def _extent(self) -> str:
        if self.unsettled:
            return f"equal as far as compared: {self.states:,} of {self.states + self.unsettled:,} states"
        return f"equal: all {self.states:,} states"

    def differ(self, symbol: str, name: str, at: Any, values: tuple[Any, Any], number: int) -> None:
        """There are so many differences of a field, and this is the first."""
        self.counts[name] += number
        found = RecordDifference(int(at), symbol, name, values)
        if self.first is None or found[:3] < self.first[:3]:
            self.first = found


class _SymbolRows:
    """Joined rows of one symbol, in order of the market's time."""

    def __init__(self, symbol: str, rows: Any) -> None:
        self._symbol = symbol
        self._rows = rows
        self._at = self._numbers("at")
        self._in = self._flags("a_in"), self._flags("b_in")
        self._both = self._in[0] & self._in[1]
        self._last = self._flags("a_last") & self._flags("b_last") & self._both
        self._has = self._flags("a_has"), self._flags("b_has")

    def compare(self, found: Comparison, missed: list[int]) -> None:
        settling = found.settling.setdefault(self._symbol, Settling())
        fresh = settling.recorded == 0 and settling.exact is None
        self._compare_presence(found, fresh=fresh)
        both = self._has[0] & self._has[1] & self._both
        found.samples += int(self._both.sum())
        found.alone += int((self._has[0] ^ self._has[1])[self._both].sum())
        where = {name: self._differs(column) for name, column in ((each.name, each) for each in _COMPARED)}
        settled = self._settled(settling, both, where, missed)
        found.states += int(settled.sum())
        found.exact += int(settled.sum()) if settling.exact else 0
        found.unsettled += int((both & ~settled).sum())
        for name, differs in where.items():
            compared = self._both if name in OF_EACH else settled if name in _STATE or name == "notes" else self._last
            if name == "regime_since" and not settling.exact:
                compared = compared & (self._numbers("a_regime_since") > (settling.settled or 0))
            near = np.False_ if settling.exact else self._near(name)
            self._tell(found, name, compared & differs & ~near)

    def _compare_presence(self, found: Comparison, *, fresh: bool) -> None:
        """Samples that one of the two lacks, but for those that it only issued again, and those before a replay had
        begun."""
        lacking = (self._in[0] ^ self._in[1]) & ~(self._flags("a_reissued") | self._flags("b_reissued"))
        if fresh:
            begun = np.flatnonzero(self._in[1])
            lacking[: begun[0] if len(begun) else len(lacking)] = False
        places = np.flatnonzero(lacking)
        if len(places):
            place = int(places[0])
            values = ("there", "not there") if self._in[0][place] else ("not there", "there")
            found.differ(self._symbol, "sample", self._at[place], values, len(places))

    def _settled(self, settling: Settling, both: Any, where: Mapping[str, Any], missed: list[int]) -> Any:
        """Which states must be equal."""
        holds = self._numbers("a_samples"), self._numbers("b_samples")
        warmed = self._at[self._flags("a_warmed") | self._flags("b_warmed")] + 1
        filled = self._at[self._flags("a_filled") | self._flags("b_filled")]
        gone = (at for at in missed if self._at[0] <= at <= self._at[-1])
        ahead = sorted((*warmed.tolist(), *filled.tolist(), *gone))
        if settling.settled is not None and not ahead:
            settling.recorded += int(self._both.sum())
            return both
        same = ~np.logical_or.reduce([where[name] for name in REMEMBERED])
        settled = np.zeros(len(both), np.bool_)
        for place in np.flatnonzero(self._both).tolist():
            at = int(self._at[place])
            while ahead and ahead[0] <= at:
                ahead.pop(0)
                settling.begin_anew()
            samples = (int(holds[0][place]), int(holds[1][place])) if both[place] else None
            settled[place] = settling.take(at, samples, same=bool(same[place]))
        return settled

    def _tell(self, found: Comparison, name: str, which: Any) -> None:
        if which.any():
            place = int(np.flatnonzero(which)[0])
            values = tuple(self._rows.column(f"{side}_{name}")[place].as_py() for side in "ab")
            found.differ(self._symbol, name, self._at[place], (values[0], values[1]), int(which.sum()))

    def _differs(self, column: RecordColumn) -> Any:
        return self._flags(f"differs_{column.name}")

    def _near(self, name: str) -> Any:
        """Where numbers are as near as they must be."""
        if next(column for column in SAMPLES if column.name == name).kind != "number":
            return np.zeros(len(self._at), np.bool_)
        first, second = (self._numbers(f"{side}_{name}") for side in "ab")
        return np.abs(first - second) <= np.maximum(RELATIVE * np.abs(second), LEAST)  # not where one is nan

    def _numbers(self, name: str) -> Any:
        """A column of numbers, nan where there is none."""
        column = self._rows.column(name)
        if column.null_count:
            column = column.cast(pyarrow().float64())
        return column.to_numpy()

    def _flags(self, name: str) -> Any:
        return self._rows.column(name).to_numpy()


def compared(first: Path, second: Path) -> Comparison:
    """Compare two records, of which `second` may be that of a replay of `first`. Raises what Record.manifest and
    SortedRows do."""
    found = Comparison()
    records = Record(first), Record(second)
    missed = _missed(records)
    names = [column.name for column in SAMPLES]
    with ExitStack() as stack:
        streams = [
            _SampleStream(stack.enter_context(SortedRows(record, "samples", names)).sorted(ORDER))
            for record in records
        ]
        while sum(stream.fill() for stream in streams):
            bound = min(stream.whole_until for stream in streams)
            first_rows, second_rows = (stream.before(bound) for stream in streams)
            found.take(first_rows, second_rows, missed)
    return found


def _missed(records: Sequence[Record]) -> dict[str, list[int]]:
    """When either record lacks versions, by symbol, in order of the market's time."""
    missed: dict[str, list[int]] = {}
    for record in records:
        for gap in record.scan("gaps", ["symbol", "kind", "until"]).to_pylist():
            if gap["kind"] == "missed":
                missed.setdefault(gap["symbol"], []).append(gap["until"])
    return {symbol: sorted(times) for symbol, times in missed.items()}


_Place = tuple[str, float]
"""A symbol, and a time of the market."""
_END: _Place = ("\U0010ffff", inf)


class _SampleStream:
    """The samples of a record in order of symbol and time, read as they are needed."""

    def __init__(self, batches: Iterator[Any]) -> None:
        self._batches = batches
        self._rows = pyarrow().Table.from_batches([], arrow_schema("samples"))
        self.whole_until = _END
        """All rows before this place are there."""

    def fill(self) -> bool:
        """Read on until there are AT_ONCE rows; returns whether there are any."""
        arrow = pyarrow()
        parts = [self._rows]
        while sum(map(len, parts)) < AT_ONCE and (batch := next(self._batches, None)) is not None:
            parts.append(arrow.Table.from_batches([batch.cast(self._rows.schema)]))
        self._rows = arrow.concat_tables(parts)
        ended = len(self._rows) < AT_ONCE
        self.whole_until = _END if ended else self._place(len(self._rows) - 1)
        if not ended and self._place(0) == self.whole_until:
            raise UnusableSource(f"more than {AT_ONCE:,} samples of {self.whole_until[0]} at one time")
        return len(self._rows) > 0

    def before(self, bound: _Place) -> Any:
        """Take the rows before this place."""
        low, high = 0, len(self._rows)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._place(middle) < bound else (low, middle)
        taken, self._rows = self._rows.slice(0, low), self._rows.slice(low)
        return taken

    def _place(self, row: int) -> _Place:
        return self._rows["symbol"][row].as_py(), self._rows["at"][row].as_py()


def _joined(first: Any, second: Any) -> Any:
    """Each sample of either as one row: the columns of both, and for each whether it differs."""
    import duckdb

    names = [column.name for column in _COMPARED]
    sides = ", ".join(f"{side}.{name} AS {side}_{name}" for side in "ab" for name in names)
    differ = ", ".join(f"a.{name} IS DISTINCT FROM b.{name} AS differs_{name}" for name in names)
    has = ", ".join(
        f"{side}.symbol IS NOT NULL AS {side}_in, coalesce({side}.is_last, false) AS {side}_last, "
        f"coalesce({side}.reissued, false) AS {side}_reissued, coalesce({side}.warmed, false) AS {side}_warmed, "
        f"coalesce({side}.filled, false) AS {side}_filled, "
        f"{side}.mass IS NOT NULL AS {side}_has"
        for side in "ab"
    )
    key = ", ".join(f'coalesce(a."{name}", b."{name}") AS "{name}"' for name in ("symbol", "at", "turn"))
    tables = f"({_canonical('first')}) a FULL JOIN ({_canonical('second')}) b"
    on = 'a.symbol = b.symbol AND a."at" = b."at" AND a.turn = b.turn'
    query = f"SELECT {key}, {has}, {sides}, {differ} FROM {tables} ON {on} ORDER BY 1, 2, 3"  # noqa: S608 - ours
    with closing(duckdb.connect(config=DUCKDB_OPTIONS)) as database:
        database.register("first", first)
        database.register("second", second)
        return database.sql(query).to_arrow_table()


def _canonical(table: str) -> str:
    """The query of a table's samples in the canonical form, `turn` being which of those of a symbol at one time."""
    words = ", ".join(f"'{word}'" for word in OF_CLOCKS)
    columns = [
        f"coalesce(array_to_string(list_filter({column.name}, lambda word: word NOT IN ({words})), ' '), '') "
        f"AS {column.name}"
        if column.kind == "words"
        else f"coalesce({column.name}, false) AS {column.name}"
        if column.kind == "flag"
        else column.name
        for column in _COMPARED
    ]
    turn = f"row_number() OVER (PARTITION BY {quoted(ORDER[:2])} ORDER BY {quoted(ORDER)}) AS turn"
    # Under the same epoch a sample is issued again only where a warm start has filled its window meanwhile. Where it
    # did so as the next sample came, the window holds more than that one more, and goes on to.
    warmed = "reissued AND epoch = prev_epoch AS warmed"
    version = "OVER (PARTITION BY symbol, epoch ORDER BY seq, number)"
    before, then = (f"{side}(beyond IGNORE NULLS) {version}" for side in ("lag", "lead"))
    filled = f"NOT reissued AND least(beyond, {then}) > {before} AS filled"
    counted = f"SELECT *, samples - row_number() {version} AS beyond FROM {table}"  # noqa: S608 - of our own, as below
    own = f'{quoted(ORDER[:2])}, {turn}, "last" AS is_last, reissued, {warmed}, {filled}'
    return f"SELECT {own}, {', '.join(columns)} FROM ({counted})"  # noqa: S608


def _changes(symbols: Any) -> Any:
    """Where another symbol begins, but for the first."""
    codes = symbols.dictionary_encode().indices.to_numpy()
    return np.concatenate(([False], codes[1:] != codes[:-1]))
