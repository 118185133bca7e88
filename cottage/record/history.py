"""The history in a record: points in buckets of time, spells of regimes, changes, and gaps.

    history = History(Record(Path("data/record")))
    answer = history.points(["SPY"], HistorySpan(last=600_000_000, points=60))["SPY"]

A point never holds two sources or two runs of one: the run that brought a symbol's newest row counts, where nobody
names another. Every method raises HistoryRefusal for what cannot be answered: `no_record`, `no_such_symbol`,
`not_recorded`, `bad_parameter`, `too_many_points`.
"""

import contextlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cottage.clock import iso_micros
from cottage.errors import HistoryRefusal
from cottage.record.arrow_schema import matching, pyarrow
from cottage.record.bucketing import USUAL_FIELDS, By, FreshnessTimeline, bucketed, columns_read
from cottage.record.history_span import BucketGrid, HistorySpan
from cottage.record.record import Record, is_record
from cottage.record.run_index import RunExtent, RunIndex
from cottage.version import Version

MOST_TOTAL = 200_000
"""The most points in one answer, of all symbols."""
_ROWS_AT_A_TIME = 400_000
_LOOK_BACK = (600_000_000, 86_400_000_000)
"""How far before the newest row a symbol's newest is looked for, before all of the record is."""
_INTERNAL = ("first_recorded", "last_recorded", "last_time")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which rows a question is about, beside its time."""

    by: By = "at"
    source: str | None = None
    run: int | None = None


NEWEST_RUN = Chosen()


@dataclass(frozen=True, slots=True)
class SymbolHistory:
    """The points of one symbol."""

    source: str | None
    run: int
    grid: BucketGrid
    until: Version | None
    """The newest version in it; None where there is no row in that time."""
    gaps: list[dict[str, Any]]
    points: Any
    """A pyarrow.Table, one row a bucket: see `bucketed`. `freshness`, where asked for, and `gaps`, the kinds of those
    within the bucket or null, come last."""


class History:
    """Answers questions to a record. Not for two threads at a time."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._index = RunIndex(record)

    def points(
        self,
        symbols: Sequence[str],
        span: HistorySpan,
        chosen: Chosen = NEWEST_RUN,
        fields: Sequence[str] = USUAL_FIELDS,
    ) -> dict[str, SymbolHistory]:
        """The points of each of these symbols that the record has."""
        answers: dict[str, SymbolHistory] = {}
        runs = self.runs()
        if symbols and chosen.source is None and chosen.run is None and _came_last(runs):
            with contextlib.suppress(HistoryRefusal):  # of another run there may be an answer
                newest = self._of_run(runs[0], symbols, span, chosen.by, fields)
                answers = {symbol: each for symbol, each in newest.items() if each.until is not None}
        left = [symbol for symbol in symbols if symbol not in answers]
        for run, names in self.runs_of(left, chosen) if left else ():
            answers |= self._of_run(run, names, span, chosen.by, fields)
        return {symbol: answers[symbol] for symbol in symbols if symbol in answers}

    def runs_of(self, symbols: Sequence[str], chosen: Chosen) -> list[tuple[RunExtent, list[str]]]:
        """The run that each symbol's answer is of, with the symbols that have the same. Without a source or a run in
        `chosen` it is that of the symbol's newest row; symbols without a row in it are left out."""
        runs = self.runs()
        if chosen.source is not None or chosen.run is not None:
            run = _named(runs, chosen)
            there = self._symbols_of(run, symbols)
            return [(run, [symbol for symbol in symbols if symbol in there])] if there else []
        newest = runs[0].recorded
        assert newest is not None
        found: dict[str, tuple[str | None, int]] = {}
        for back in (*_LOOK_BACK, None):
            left = [symbol for symbol in symbols if symbol not in found]
            if left:
                since = None if back is None else newest[1] - back
                found |= self._newest(left, since)
        known = {(run.source, run.run): run for run in runs}
        groups: dict[tuple[str | None, int], list[str]] = defaultdict(list)
        for symbol in symbols:
            if symbol in found:
                groups[found[symbol]].append(symbol)
        return [(known[key], names) for key, names in groups.items()]

    def _symbols_of(self, run: RunExtent, symbols: Sequence[str]) -> set[str]:
        """Those of these symbols that have a row in the run."""
        assert run.recorded is not None
        bounds = (run.recorded[0], run.recorded[1] + 1)
        rows = self._record.scan("samples", ["symbol", "source", "run"], symbols=symbols, recorded=bounds)
        return {*rows_of_run(rows, run)["symbol"].unique().to_pylist()}

    def _newest(self, symbols: list[str], since: int | None) -> dict[str, tuple[str | None, int]]:
        """Source and run of the newest row of each symbol that has one recorded since then."""
        columns = ["symbol", "source", "run", "recorded"]
        rows = self._record.scan("samples", columns, symbols=symbols, recorded=(since, None))
        found = rows.group_by(["symbol", "source", "run"], use_threads=False).aggregate([("recorded", "max")])
        ordered = sorted(found.to_pylist(), key=lambda each: each["recorded_max"])
        return {each["symbol"]: (each["source"], each["run"]) for each in ordered}

    def runs(self) -> list[RunExtent]:
        """All runs of the record, that with the newest row first."""
        try:
            runs = self._index.runs()
        except FileNotFoundError:
            if is_record(self._record.folder):  # a file of it has gone
                raise
            runs = []
        if not runs:
            raise HistoryRefusal(
                "no_record", f"there is no record in {self._record.folder}: the recorder writes it (RECORDER_DIR)"
            )
        return runs

    def _of_run(
        self, run: RunExtent, symbols: Sequence[str], span: HistorySpan, by: By, fields: Sequence[str]
    ) -> dict[str, SymbolHistory]:
        extent = run.extent(by)
        grid = span.grid(extent[1])
        if grid.count * len(symbols) > MOST_TOTAL:
            detail = f"{grid.count * len(symbols):,} points in all; at most {MOST_TOTAL:,}"
            raise HistoryRefusal("too_many_points", f"{detail}: ask for fewer symbols or a longer step")
        if grid.end <= extent[0]:
            raise HistoryRefusal("not_recorded", f"the record of {_run_name(run)} begins at {iso(extent[0])}")
        columns = columns_read(fields, by)
        tables, until = [], dict[str, Version]()
        for part in _parts(grid, len(symbols), extent):
            bounds: dict[str, Any] = {by: (part.begin, part.end)}
            rows = rows_of_run(self._record.scan("samples", columns, symbols=symbols, **bounds), run)
            until = _newer(until, rows)
            tables.append(bucketed(rows, symbols, part, by, fields, extent[1]))
        points = _joined(tables, len(symbols))
        if "freshness" in fields:
            points = _with_freshness(points, grid, self._statements(symbols))
        gaps = self._gaps_of(run, symbols, grid, by)
        points = _with_gaps(
            points.drop_columns([*_INTERNAL, "symbol"]), grid, [gaps[symbol] for symbol in symbols], by
        )
        return {
            symbol: SymbolHistory(
                run.source,
                run.run,
                grid,
                until.get(symbol),
                gaps[symbol],
                points.slice(place * grid.count, grid.count),
            )
            for place, symbol in enumerate(symbols)
        }

    def _statements(self, symbols: Sequence[str]) -> dict[str, FreshnessTimeline]:
        rows = self._record.scan("freshness", ["symbol", "status", "recorded"], symbols=[*symbols, "*"]).to_pylist()
        by_symbol: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            by_symbol[row["symbol"]].append(row)
        return {symbol: FreshnessTimeline([*by_symbol[symbol], *by_symbol["*"]]) for symbol in symbols}

    def _gaps_of(
        self, run: RunExtent, symbols: Sequence[str], grid: BucketGrid, by: By
    ) -> dict[str, list[dict[str, Any]]]:
        """The gaps of each symbol that touch the grid, by the market's time, or when each was recorded."""
        rows = rows_of_run(self._record.scan("gaps", symbols=symbols), run)
        gaps: dict[str, list[dict[str, Any]]] = {symbol: [] for symbol in symbols}
        for gap in sorted(rows.to_pylist(), key=lambda each: (each["until"], each["recorded"])):
            begin, end = _place(gap, by)
            if begin < grid.end and end >= grid.begin:
                gaps[gap["symbol"]].append(gap)
        return gaps


def iso(micros: int) -> str:
    """Microseconds since 1970 as RFC 3339, each of them: a time that an answer tells can be asked for."""
    return iso_micros(micros / 1e6)


def _named(runs: Iterable[RunExtent], chosen: Chosen) -> RunExtent:
    """The newest run that was asked for by source, or the one by its number."""
    for run in runs:
        if chosen.source in (None, run.source) and chosen.run in (None, run.run):
            return run
    known = ", ".join(sorted({str(run.source) for run in runs}))
    wanted = " ".join(str(each) for each in (chosen.source, chosen.run) if each is not None)
    raise HistoryRefusal("not_recorded", f"there is no run {wanted} in the record; its sources: {known}")


def _came_last(runs: Sequence[RunExtent]) -> bool:
    """Whether the first of these began when all others had ended: a row of it is the newest of its symbol."""
    first, *others = (run.recorded for run in runs)
    return first is not None and all(each is None or each[1] < first[0] for each in others)


def _run_name(run: RunExtent) -> str:
    return f"{run.source or 'the feed'} (run {run.run})"


def rows_of_run(rows: Any, run: RunExtent) -> Any:
    """Those rows that are of this run."""
    compute = pyarrow().compute
    source = compute.is_null(rows["source"]) if run.source is None else compute.equal(rows["source"], run.source)
    return matching(rows, compute.and_(source, compute.equal(rows["run"], run.run)))


def _parts(grid: BucketGrid, symbols: int, extent: tuple[int, int]) -> Iterable[BucketGrid]:
    """The grid in parts, of which each takes little memory where samples come each second. Where the run has no row,
    before and after its `extent`, it is one part."""
    first, behind = ((time - grid.begin) // grid.step for time in (extent[0], extent[1] + grid.step))
    first, behind = max(0, min(first, grid.count)), max(0, min(behind, grid.count))
    buckets = max(1, _ROWS_AT_A_TIME * 1_000_000 // symbols // grid.step)
    starts = [0, *range(first, behind, buckets), behind, grid.count]
    for start, end in itertools.pairwise(starts):
        if start < end:
            yield BucketGrid(grid.begin + start * grid.step, grid.step, end - start)


def _newer(until: Mapping[str, Version], rows: Any) -> dict[str, Version]:
    """The newest version of each symbol, of those known before and of these rows."""
    newest = dict(until)
    found = rows.group_by(["symbol", "epoch"], use_threads=False).aggregate([("seq", "max")])
    for each in found.to_pylist():
        version = Version(each["epoch"], each["seq_max"])
        newest[each["symbol"]] = max(version, newest.get(each["symbol"], version))
    return newest


def _joined(parts: Sequence[Any], symbols: int) -> Any:
    """The points of all parts of a grid in one table: those of each symbol together, in the order of time."""
    places = range(symbols)
    ordered = [part.slice(len(part) // symbols * place, len(part) // symbols) for place in places for part in parts]
    return pyarrow().concat_tables(ordered).combine_chunks()


def _with_freshness(points: Any, grid: BucketGrid, timelines: Mapping[str, FreshnessTimeline]) -> Any:
    """With the worst freshness from each bucket's first sample to its end, as far as the recorder's clock tells."""
    arrow = pyarrow()
    compute = arrow.compute
    there = points.filter(compute.is_valid(points["first_recorded"])).combine_chunks()
    names = ("symbol", "first_recorded", "last_recorded", "last_time", "time")
    symbol, begin, last, newest, bucket = (there[name].combine_chunks() for name in names)
    length = compute.subtract(compute.add(bucket.cast("int64"), grid.step), newest)
    end = compute.add(last, length)
    if len(there) > 1:  # the next bucket's first sample may have come before
        following = compute.max_element_wise(compute.add(last[:-1], 1), compute.min_element_wise(end[:-1], begin[1:]))
        is_followed = compute.equal(symbol[:-1], symbol[1:])
        end = arrow.concat_arrays([compute.if_else(is_followed, following, end[:-1]), end[-1:]])
    each = zip(symbol.to_pylist(), begin.to_pylist(), end.to_pylist(), strict=True)
    worst = arrow.array([timelines[name].worst(since, until) for name, since, until in each], arrow.string())
    column = compute.replace_with_mask(
        arrow.nulls(len(points), arrow.string()), compute.is_valid(points["first_recorded"].combine_chunks()), worst
    )
    return points.append_column("freshness", column)


def _place(gap: Mapping[str, Any], by: By) -> tuple[int, int]:
    """From when to when a gap is, both within."""
    length = gap["until"] - (gap["until"] if gap["since"] is None else gap["since"])
    end = gap["until"] if by == "at" else gap["recorded"]
    return end - max(0, length), end


def _with_gaps(points: Any, grid: BucketGrid, gaps: Iterable[Iterable[Mapping[str, Any]]], by: By) -> Any:
    """With the kinds of those gaps that touch each bucket. `gaps`: of each symbol."""
    kinds: list[list[str] | None] = [None] * len(points)
    for number, of_symbol in enumerate(gaps):
        for gap in of_symbol:
            begin, end = _place(gap, by)
            first = max(0, (begin - grid.begin) // grid.step)
            behind = min(grid.count, (end - grid.begin) // grid.step + 1)
            for place in range(number * grid.count + first, number * grid.count + behind):
                held = kinds[place] = kinds[place] or []
                if gap["kind"] not in held:
                    held.append(gap["kind"])
    return points.append_column("gaps", pyarrow().array(kinds, pyarrow().list_(pyarrow().string())))
