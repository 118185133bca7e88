"""Records that are made up for questions to them: rows by name, of which a test says what matters to it."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cottage.record.arrow_schema import arrow_schema, pyarrow
from cottage.record.record import Record
from cottage.record.record_writer import RecordWriter

BEGIN = 1_764_162_000_000_000
"""2025-11-26 13:00 UTC, in microseconds since 1970."""
SECOND = 1_000_000
MINUTE = 60 * SECOND
EPOCH = BEGIN // 1000
RUN = BEGIN

Row = dict[str, Any]


def sample(second: float, symbol: str = "SPY", **changes: Any) -> Row:
    """A row of `samples` so many seconds after BEGIN, by all clocks."""
    time = BEGIN + round(second * SECOND)
    row = {
        "symbol": symbol,
        "source": "simulate",
        "run": RUN,
        "epoch": EPOCH,
        "seq": round(second * 10) + 10,
        "number": 0,
        "last": True,
        "reissued": False,
        "healed": False,
        "at": time,
        "sampled": time,
        "written": time,
        "recorded": time,
        "price": 100.0,
        "mass": 0.5,
        "momentum": 0.1,
        "friction": 0.5,
        "entropy": 0.9,
        "nash_dist": 0.2,
        "regime": "Gaussian",
        "alpha": 3.0,
        "alpha_low": 2.5,
        "alpha_high": 3.5,
        "samples": 500,
        "nonzero": 400,
        "step": 1.0,
        "holes": 0,
        "void": [],
        "notes": [],
    }
    return {**row, **changes}


def regime(second: float, before: str | None, now: str, symbol: str = "SPY", **changes: Any) -> Row:
    time = BEGIN + round(second * SECOND)
    which = {"symbol": symbol, "source": "simulate", "run": RUN, "epoch": EPOCH, "seq": round(second * 10) + 10}
    told = {"at": time, "written": time, "recorded": time, "before": before, "regime": now, "alpha": 3.0}
    return {**which, **told, **changes}


def freshness(second: float, status: str, cause: str | None, symbol: str = "SPY") -> Row:
    return {
        "symbol": symbol,
        "status": status,
        "cause": cause,
        "age_ms": 10,
        "recorded": BEGIN + round(second * SECOND),
    }


def gap(start: float, end: float, kind: str, cause: str | None = None, symbol: str = "SPY", **changes: Any) -> Row:
    """One that was recorded when it ended."""
    since, until = (BEGIN + round(second * SECOND) for second in (start, end))
    which = {"symbol": symbol, "source": "simulate", "run": RUN, "kind": kind, "cause": cause}
    return {**which, "since": since, "until": until, "epoch": EPOCH, "seq": 1, "recorded": until, **changes}


def outage(hop: str, since: float, until: float | None, recorded: float) -> Row:
    begin, end, told = (None if at is None else BEGIN + round(at * SECOND) for at in (since, until, recorded))
    return {"hop": hop, "cause": "no connection", "since": begin, "until": end, "recorded": told}


def as_table(rows: Iterable[Row], table: str = "samples") -> Any:
    """Rows as a scan gives them."""
    held = list(rows)
    schema = arrow_schema(table)
    columns = [pyarrow().array([row.get(field.name) for row in held], field.type) for field in schema]
    return pyarrow().Table.from_arrays(columns, schema=schema)


def write(folder: Path, **tables: Iterable[Row]) -> Record:
    """Write rows of these tables ahead, as one flush, to a record in the folder."""
    with recorder(folder) as writer:
        add(writer, **tables)
    return Record(folder)


@contextmanager
def recorder(folder: Path) -> Iterator[RecordWriter]:
    """A writer that ends as if it were killed: what a clean stop does takes a process and seconds."""
    writer = RecordWriter(folder, clock=lambda: BEGIN / 1e6)
    try:
        yield writer
    finally:
        writer._ahead.close()
        os.close(writer._lock)


def add(writer: RecordWriter, **tables: Iterable[Row]) -> None:
    """The same for one that is open."""
    for table, rows in tables.items():
        held = list(rows)
        names = [field.name for field in arrow_schema(table)]
        writer.append(table, {name: [row.get(name) for row in held] for name in names})
    writer.flush()
