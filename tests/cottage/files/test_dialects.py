"""A table that is written in any dialect is read back equal, or refused: never different."""

import csv
import tempfile
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from cottage.errors import UnusableSource
from cottage.files.options import ReadOptions
from cottage.files.recording import Recording
from cottage.files.rows import Row
from tests.cottage.files.dialects import (
    CONTAINERS,
    DAY,
    DAY_OR_MONTH,
    FIELDS,
    IN_TWO,
    NAMES,
    SECOND,
    TIMES,
    TWO_NAMES,
    Dialect,
    NumberSpelling,
    Record,
)

START, END = 946_684_800 * SECOND, 1_767_225_600 * SECOND  # the years 2000 to 2025
BAR_LENGTHS = [60 * SECOND, 300 * SECOND, 3600 * SECOND, DAY]
NUMBERS = [
    NumberSpelling(),
    NumberSpelling(decimals=6),
    NumberSpelling(point=","),
    NumberSpelling(thousands=",", decimals=2),
    NumberSpelling(point=",", thousands=".", decimals=2),
    NumberSpelling(point=",", thousands=" ", decimals=2),
    NumberSpelling(thousands="'", decimals=2),
]
PREAMBLES = ["", "", "", "https://www.example.com/data\n", "sep={}\n", "# made for a test\n"]


@st.composite
def dialects(draw: st.DrawFn) -> Dialect:
    kind = draw(st.sampled_from(sorted(FIELDS)))
    container = draw(st.sampled_from(["csv", "csv", *CONTAINERS]))
    has_header = container in ("jsonl", "json-objects") or (container == "csv" and draw(st.integers(0, 4)) > 0)
    delimiter = draw(st.sampled_from([",", ";", "\t", "|"]))
    time = draw(st.sampled_from(sorted(TIMES)))
    spaced = draw(st.sampled_from(NUMBERS)) if container == "csv" else NumberSpelling()
    return Dialect(
        kind=kind,
        container=container,
        time=time,
        names=_names(draw) if has_header else None,
        two_names=draw(st.sampled_from(TWO_NAMES)),
        has_symbol=draw(st.booleans()),
        has_number=kind == "trades" and has_header and draw(st.booleans()),
        has_received=kind != "bars" and has_header and time not in IN_TWO and draw(st.integers(0, 3)) == 0,
        numbers=spaced,
        delimiter=delimiter,
        quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
        line_end=draw(st.sampled_from(["\n", "\r\n"])),
        encoding=draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16"])) if container == "csv" else "utf-8",
        compression=draw(st.sampled_from(["", "", ".gz", ".bz2", ".zst", ".zip"])),
        preamble=draw(st.sampled_from(PREAMBLES)).format(delimiter) if container == "csv" else "",
        newest_first=draw(st.integers(0, 3)) == 0,
        index=container == "csv" and has_header and draw(st.integers(0, 5)) == 0,
    )


def _names(draw: st.DrawFn) -> dict[str, str]:
    """A name of each column; those of bars in one style."""
    bars = draw(st.integers(0, len(NAMES["open"]) - 1))
    return {
        name: spellings[bars] if name in FIELDS["bars"] else draw(st.sampled_from(spellings))
        for name, spellings in NAMES.items()
    }


@st.composite
def tables(draw: st.DrawFn, dialect: Dialect) -> list[Record]:
    """Rows that the dialect can tell, in order of time."""
    number = draw(st.integers(3, 40))
    symbols = ["ES", "NQ"] if dialect.has_symbol and draw(st.booleans()) else ["ES"]
    step = TIMES[dialect.time].step
    digits = draw(st.integers(0, dialect.numbers.decimals or 5))
    steps = st.lists(st.integers(-9, 9), min_size=number, max_size=number)
    walk = [max(20, level) for level in accumulate(draw(steps), initial=draw(st.integers(100, 3_000_000)))]
    latency = draw(st.integers(1, 3)) * step
    records = []
    for i, time in enumerate(_times(draw, dialect.kind, number, step)):
        values = _levels(draw, dialect.kind, walk[i], walk[i + 1])
        prices = tuple(Decimal(value).scaleb(-digits) for value in values)
        size = () if dialect.kind == "quotes" else (Decimal(draw(st.integers(1, 500_000))).scaleb(-min(digits, 3)),)
        records.append(Record(time, time + latency, symbols[i % len(symbols)], 1000 + i, prices + size))
    return records


def _times(draw: st.DrawFn, kind: str, number: int, step: int) -> Sequence[int]:
    start = draw(st.integers(START // step, END // step - 1)) * step
    if kind != "bars":
        return [start + each * step for each in accumulate(draw(st.integers(0, 50)) for _ in range(number))]
    length = draw(st.sampled_from([each for each in BAR_LENGTHS if each % step == 0]))
    return range(start // length * length, start // length * length + number * length, length)


def _levels(draw: st.DrawFn, kind: str, before: int, level: int) -> tuple[int, ...]:
    """The prices of a row in ticks."""
    if kind == "trades":
        return (level,)
    if kind == "quotes":
        return level, level + draw(st.integers(1, 3))
    high, low = max(before, level) + draw(st.integers(0, 9)), min(before, level) - draw(st.integers(0, 9))
    return before, high, low, level


def expected(dialect: Dialect, records: Sequence[Record]) -> list[tuple[object, ...]]:
    """What a reader is to make of the rows."""
    rows: list[tuple[object, ...]] = []
    for record in records:
        values = tuple(map(float, record.values))
        if dialect.kind == "quotes":
            mid = (values[0] + values[1]) / 2
            values = (mid, mid, mid, mid, *values)
        elif dialect.kind == "trades":
            values = (values[0], *values[:1] * 3, values[1])
        else:
            values = (values[3], *values[:3], values[4])
        rows.append((record.received if dialect.has_received else record.time, record.symbol, *values))
    return rows


def as_read(dialect: Dialect, row: Row) -> tuple[object, ...]:
    """A row in the same form; a bar by its open."""
    time = row.time - (row.interval or 0)
    more = (row.bid, row.ask) if dialect.kind == "quotes" else (row.volume,)
    return time, row.symbol, row.price, row.open, row.high, row.low, *more


class Read:
    """What came of a file."""

    def __init__(self, path: Path, options: ReadOptions | None = None) -> None:
        with closing(Recording(path, options=options)) as recording:
            self.rows = list(recording)
            self.skipped = recording.bad.total() + recording.left_out.total()
            self.guessed = [guess for part in recording.parts for guess in part.understanding.guesses]


def _moves(records: Sequence[Record], symbol: str) -> bool:
    return len({record.time for record in records if record.symbol == symbol}) > 1


def check(dialect: Dialect, records: Sequence[Record], name: str) -> str:
    """Write it and read it back; returns what became of it."""
    if dialect.newest_first and not all(_moves(records, symbol) for symbol in {record.symbol for record in records}):
        return "no file tells that it is newest first if all its times are the same"
    with tempfile.TemporaryDirectory() as folder:
        path = dialect.written(records, Path(folder), name)
        try:
            read = Read(path)
        except UnusableSource as error:
            return f"refused: {error}"
    if read.skipped:
        return f"rows refused: {read.skipped}"
    if dialect.time in DAY_OR_MONTH and any("-first" in guess.option for guess in read.guessed):
        return "guessed, and said: day or month"
    wanted, found = expected(dialect, records), [as_read(dialect, row) for row in read.rows]
    for symbol in {record.symbol for record in records}:
        assert [row for row in found if row[1] == symbol] == [row for row in wanted if row[1] == symbol]
    assert len(found) == len(wanted)
    return "equal"


@given(st.data())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_equal_or_refused_but_never_different(data: st.DataObject) -> None:
    dialect = data.draw(dialects())
    records = data.draw(tables(dialect))
    came = check(dialect, records, "data" if dialect.has_symbol else data.draw(st.sampled_from(["ES", "ES_trades"])))
    event(came.partition(":")[0])


@pytest.mark.parametrize("kind", sorted(FIELDS))
@pytest.mark.parametrize("time", sorted(TIMES))
def test_what_is_written_plainly_is_never_refused(kind: str, time: str) -> None:
    """So that the test above cannot hold by refusing everything."""
    step = max(TIMES[time].step, 60 * SECOND)
    start = 1_740_043_800 * SECOND // step * step  # 20 February 2025
    levels = [20_000 + 7 * i % 23 for i in range(31)]
    records = []
    for i in range(30):
        prices = {
            "trades": (levels[i],),
            "quotes": (levels[i], levels[i] + 1),
            "bars": (levels[i], max(levels[i : i + 2]) + 1, min(levels[i : i + 2]) - 1, levels[i + 1]),
        }[kind]
        values = [Decimal(price).scaleb(-2) for price in prices] + [Decimal(300 + i)] * (kind != "quotes")
        records.append(Record(start + i * step, start + i * step, "ES", i, tuple(values)))
    came = check(Dialect(kind, time=time), records, "data")
    assert came == "equal"
