"""What is understood of a recording, for a person and as JSON. `cottage inspect` prints it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from cottage.clock import iso_millis
from cottage.errors import UnusableSource
from cottage.files.cell_table import Ambiguous, Guess
from cottage.files.course import Course, SymbolCourse
from cottage.files.meaning.row_reader import NO_MID
from cottage.files.meaning.understanding import Understanding, fields_known
from cottage.files.options import ReadOptions
from cottage.files.ordering.merging import newest_of_bars
from cottage.files.ordering.order import ROW, Entry, entries
from cottage.files.part import OnProgress
from cottage.files.recording import Recording
from cottage.files.rows import BadRow, Row
from cottage.files.tables.members import members
from cottage.files.tables.open_table import open_table

MOST_ROWS = 100_000
MOST_SHOWN = 8
WINDOW = 1000
TELLING = 10
"""With fewer moves of two ticks or more in a window, α is its upper bound: docs/estimators.md."""


@dataclass(slots=True)
class Inspection:
    """What is understood of the files of a recording, and figures of their rows."""

    files: list[Understanding]
    spelled: list[str]
    """How each of them is written."""
    course: Course = field(default_factory=Course)
    left_out: Counter[str] = field(default_factory=Counter)
    """How many rows were left out, by reason."""
    doubtful: Counter[str] = field(default_factory=Counter)
    """How many quotes were left out of rows that were used, `bid` or `ask`."""
    left_out_lines: Mapping[str, Sequence[int | str]] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    """Files in a folder or a zip that are no data by their names."""
    whole: bool = True
    """Whether the recording was read to its end."""

    @property
    def rows(self) -> int:
        """The rows that were understood: those that are sent, and quotes that set no price."""
        return self.course.rows + sum(number for why, number in self.left_out.items() if why.startswith(NO_MID))

    @property
    def guesses(self) -> list[Guess]:
        """What was guessed of any file, each once."""
        return list(dict.fromkeys(guess for each in self.files for guess in each.guesses))

    @property
    def first_closes(self) -> str:
        """When the first bar is published, where bars are stamped with their opens."""
        return iso(self.course.head[0].time) if self.files[0].stamped == "open" and self.course.head else ""

    @property
    def notes(self) -> list[str]:
        """What is to be said of any file, each once."""
        unread = [f"not read: {', '.join(self.unread[:MOST_SHOWN])}"] if self.unread else []
        doubtful = [f"left out of rows that are used: {_reasons(self.doubtful)}"] if self.doubtful else []
        repeated = sum(course.repeated for course in self.course.symbols.values())
        same = (
            [f"rows that are used, though the same as the row before in all that is read: {repeated:,}"]
            if repeated
            else []
        )
        return [*dict.fromkeys(note for each in self.files for note in each.notes), *doubtful, *same, *unread]

    def to_json(self) -> dict[str, Any]:
        """The object of `cottage inspect --json`. Prices are the first symbol's by name; `volume` is that of all."""
        course = self.course
        first = course.symbols[min(course.symbols)] if course.symbols else None
        return {
            "kind": self.files[0].kind,
            "symbols": sorted(course.symbols),
            "rows": self.rows,
            "first_time": iso(course.first_stamp) if first else None,
            "span_seconds": (course.last_stamp - course.first_stamp) / 1e6 if first else None,
            "first_price": first.first.price if first else None,
            "last_price": first.last.price if first else None,
            "volume": course.volume,
            "left_out": dict(self.left_out),
            "guesses": [_as_object(each) for each in self.guesses],
            "notes": self.notes,
            "whole": self.whole,
        }

    def lines(self) -> Iterator[str]:
        """The report, line by line."""
        for each, spelled in list(zip(self.files, self.spelled, strict=True))[:MOST_SHOWN]:
            yield from _file(each, spelled)
        if len(self.files) > MOST_SHOWN:
            yield f"and {len(self.files) - MOST_SHOWN} more files"
        yield from self._rows()
        yield from self._left_out()
        if self.notes:
            yield from ("", "to be known")
            yield from (f"  {note}" for note in self.notes)
        if self.guesses:
            yield from ("", "taken, though the file does not say so for certain")
            yield from (
                f"  {guess.what}: {guess.taken}; to have {guess.other}: {guess.option}" for guess in self.guesses
            )

    def _rows(self) -> Iterator[str]:
        course = self.course
        if not course.rows:
            return
        part = "all" if self.whole else "the first ones; --all reads the rest"
        yield from ("", f"rows      {self.rows:,}, {part}")
        span = duration(course.last_stamp - course.first_stamp)
        yield f"span      {iso(course.first_stamp)} to {iso(course.last_stamp)}, {span}"
        if self.first_closes:
            yield f"          the first close is published at {self.first_closes}"
        if course.gap.row is not None:
            before = f"before row {course.gap.number:,} at {iso(course.gap.row.time)}"
        yield f"gap       {duration(course.gap.value)} at most without a row, {before}"
        names = sorted(course.symbols)
        for name in names[:MOST_SHOWN]:
            yield from _symbol(course.symbols[name])
        if len(names) > MOST_SHOWN:
            others = names[MOST_SHOWN:]
            yield f"and {len(others):,} more symbols, the first of them {', '.join(others[:MOST_SHOWN])}"
        yield from ("", "first rows as they will be sent")
        yield from (f"  {_row(row)}" for row in course.head)

    def _left_out(self) -> Iterator[str]:
        if self.left_out:
            yield from ("", "left out")
        for reason, number in self.left_out.most_common():
            lines = self.left_out_lines.get(reason, ())
            where = f" (lines {', '.join(map(str, lines))}{', …' if number > len(lines) else ''})" if lines else ""
            yield f"  {number:,} {reason}{where}"


def inspect(
    path: Path, options: ReadOptions, *, whole: bool = False, on_progress: OnProgress = lambda _what, _share: None
) -> Inspection:
    """Inspect the first MOST_ROWS rows of a recording, or all. Raises UnusableSource, Ambiguous or SourceError where
    it cannot be replayed."""
    recording = Recording(path, options=options, on_progress=on_progress)
    try:
        parts = recording.parts
        found = Inspection([part.understanding for part in parts], [part.table.spelled for part in parts])
        found.unread = recording.unread
        rows = _all_rows(recording, found, on_progress) if whole else _first_rows(recording, found)
        stamp = parts[0].understanding.stamp
        for row in rows:
            found.course.take(row, stamp(row))
    finally:
        recording.close()
    if not found.course.rows:
        raise UnusableSource(f"{path} has no row that can be used: {_reasons(found.left_out) or 'it is empty'}")
    return found


def refusal(path: Path, options: ReadOptions, error: UnusableSource) -> dict[str, Any]:
    """What `cottage inspect --json` prints of a recording that cannot be replayed: why, which readings fit, and how
    its first file is written and which fields its columns are, as far as that is known."""
    told: dict[str, Any] = {"refused": str(error), "guesses": [], "fields": {}}
    if isinstance(error, Ambiguous):
        told["guesses"] = [_as_object(error.guess)]
    try:
        table = open_table(members(path)[0], options)
        told.update(
            written=table.spelled,
            columns=list(table.names or ()),
            first_rows=[list(cells) for _, cells in islice(table.rows(lambda _line, _error: None), 3)],
        )
        told["fields"] = fields_known(table, options)
    except UnusableSource:
        pass  # it cannot even be opened, which is what `error` says
    return told


def _all_rows(recording: Recording, found: Inspection, on_progress: OnProgress) -> Iterator[Row]:
    for number, row in enumerate(recording):
        if number % MOST_ROWS == 0:
            on_progress("reading", recording.share)
        yield row
    found.left_out = recording.left_out + recording.bad
    found.doubtful = recording.doubtful
    if recording.twice:
        found.left_out["two files hold them"] = recording.twice
    found.left_out_lines = recording.bad_lines


def _first_rows(recording: Recording, found: Inspection) -> Iterable[Row]:
    """The first rows of the files in their order, sorted by time."""
    lines: dict[str, list[int | str]] = {}
    bad: Counter[str] = Counter()

    def left_out(_line: int, error: BadRow) -> None:
        bad[error.reason] += 1
        lines.setdefault(error.reason, []).append(_line)

    read: list[Entry] = []
    for number, part in enumerate(recording.parts):
        rows = part.rows(left_out)
        newest_first = bool(part.understanding.newest_first)
        read += islice(entries(rows, number, newest_first=newest_first), MOST_ROWS - len(read))
        found.left_out += part.understanding.left_out
        found.doubtful += part.understanding.doubtful
        if len(read) == MOST_ROWS:
            found.whole = False
            break
    kept = [entry[ROW] for entry in newest_of_bars(sorted(read), bad)]
    found.left_out += bad
    found.left_out_lines = {reason: places[:MOST_SHOWN] for reason, places in lines.items()}
    return kept


def _reasons(left_out: Counter[str]) -> str:
    return "; ".join(f"{number:,} {reason}" for reason, number in left_out.most_common())


def _as_object(guess: Guess) -> dict[str, str]:
    return {"what": guess.what, "taken": guess.taken, "other": guess.other, "option": guess.option}


def _file(each: Understanding, spelled: str) -> Iterator[str]:
    vendor = f", as {each.vendor} writes them" if each.vendor else ""
    length = f" of {each.length_name}" if each.length_name else ""
    yield f"{each.name}: {each.kind}{length}{vendor}"
    yield f"    written as {spelled}"
    zone = f"{each.time.zone} ({each.time.zone_from or 'the file states none'})"
    yield f"    times {each.time.unit}, in steps of {duration(each.time.resolution)}, {zone}"
    if each.newest_first is not None:
        yield f"    rows come {'newest' if each.newest_first else 'oldest'} first"
    if each.stamped:
        yield f"    stamped at a bar's {each.stamped} ({each.stamp_from})"
    if each.median_lag is not None:
        yield f"    published by {each.published_by}, {each.median_lag:.6g} s after the exchange's time at the median"
    yield f"    symbols from {each.symbols_from}" + (f"; volume in {each.volume_unit}" if each.volume_unit else "")
    for name, what, remark in each.columns:
        yield f"    {name:20} {what:12} {remark}".rstrip()
    if each.by_condition:
        yield f"    rows by condition: {_reasons(each.by_condition)}"


def iso(micros: float) -> str:
    """A time in microseconds since 1970 as ISO 8601, UTC, with milliseconds."""
    return iso_millis(micros // 1000 / 1000)


def duration(micros: float) -> str:
    """A length of time in microseconds, in words: `6 h 30 min`, `2 days 1 h`, `0.25 s`."""
    seconds = micros / 1e6
    if seconds < 60:
        return f"{seconds:g} s" if seconds >= 0.001 else f"{micros:g} µs"
    for size, large, below, small in ((86_400, "days", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = int(seconds % size // below)
            name = "day" if large == "days" and seconds < 2 * size else large
            return f"{int(seconds // size)} {name}" + (f" {rest} {small}" if rest else "")
    return "0 s"


def _symbol(course: SymbolCourse) -> Iterator[str]:
    name = course.first.symbol
    native = f" ({course.first.native} in the file)" if course.first.native else ""
    prices = f"first price {course.first.price:.10g}, last {course.last.price:.10g}"
    yield f"{name}{native}: {course.rows:,} rows, {prices}"
    tick = course.tick
    yield f"    {'no tick' if tick is None else f'tick {tick:.10g}'}; {_tail(course)}"
    largest = course.largest
    if largest.row is not None:
        size = f"{largest.value:.3%}, {largest.value / course.sigma:.1f} sigma"
        row = f"row {largest.number:,} at {iso(largest.row.time)}"
        yield f"    largest |log return| {size}, to {largest.row.price:.10g} in {row}"


def _tail(course: SymbolCourse) -> str:
    """What α will be able to tell."""
    large, moves = course.large_moves, len(course.moves)
    if not moves:
        return "no return yet"
    if large is None:
        return "α takes every move as it is"
    share = large / moves
    told = f"{share:.1%} of {moves:,} moves from sample to sample are of two ticks or more"
    if share * WINDOW >= TELLING:
        return f"{told}: α can tell a tail"
    return f"{told}, fewer than {TELLING} in a window of {WINDOW:,}: α can tell little, and will be at its bound"


def _row(row: Row) -> str:
    """A row as it will be sent."""
    parts: dict[str, object] = {"time": iso(row.time), "symbol": row.symbol, "price": f"{row.price:.10g}"}
    if row.event_time is not None:
        parts["event_time"] = iso(row.event_time)
    for name in ("volume", "trades", "bid", "ask"):
        if (value := getattr(row, name)) is not None:
            parts[name] = f"{value:.10g}"
    if row.interval is not None:
        bar = {"open": row.open, "high": row.high, "low": row.low}
        parts.update({name: f"{value:.10g}" for name, value in bar.items()})
    if row.notes:
        parts["notes"] = ",".join(row.notes)
    return "  ".join(f"{name} {value}" for name, value in parts.items())
