"""The rows of a record in DuckDB's own file, and its messages in streams of Redis: what others would use for it."""

import statistics
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from cottage.record.record import Record
from cottage.redis import connect
from cottage.store import batches
from deploy.redis_server import find_server, free_port, start
from tests.bench.processes import cpu_seconds
from tests.bench.record_child import Second

ONE_THREAD: dict[str, Any] = {"threads": 1, "memory_limit": "2GB"}
"""As the history engine."""
AGO = 5.0
"""By so many seconds before the newest row a past state is asked for."""
TOGETHER = 300_000_000
"""Rows of so many microseconds are copied at a time."""


class Question(NamedTuple):
    """What is asked of a record and of DuckDB."""

    about: str
    sql: str
    """With $symbols, and $newest, the time of the newest row in microseconds since 1970."""
    symbols: int = 1


def _points(last: int, step: int) -> str:
    return (
        f'SELECT symbol, "at" // {step} * {step} AS time, first(price ORDER BY "at"), max(price), min(price), '
        'last(price ORDER BY "at"), avg(price), last(alpha ORDER BY "at"), min(alpha_low), max(alpha_high), '
        'last(regime ORDER BY "at"), count(*) FROM samples WHERE symbol IN (SELECT unnest($symbols)) '
        f'AND "at" > $newest - {last} GROUP BY ALL ORDER BY ALL'
    )


QUESTIONS = {
    "hour": Question("the last hour of one symbol, 720 points", _points(3_600_000_000, 5_000_000)),
    "minutes": Question("ten minutes of one symbol, 600 points", _points(600_000_000, 1_000_000)),
    "sparklines": Question("60 points of ten minutes, 500 symbols", _points(600_000_000, 10_000_000), 500),
    "changes": Question(
        "changes of regime in ten minutes, of all",
        "SELECT * FROM regimes WHERE recorded > $newest - 600000000 ORDER BY recorded DESC LIMIT 10000",
        0,
    ),
    "as of": Question(
        "one symbol as of a time",
        "SELECT * FROM samples WHERE symbol IN (SELECT unnest($symbols)) AND last "
        f"AND written <= $newest - {AGO * 1e6:.0f} ORDER BY written DESC LIMIT 1",
    ),
}


async def milliseconds(ask: Callable[[int], Awaitable[Any]], times: int, spent: Callable[[], float]) -> float:
    """Of CPU, for one time of some, after a first that does not count: on an idle machine so long it takes. `spent`:
    seconds of CPU of whoever answers."""
    await ask(0)
    before = spent()
    for number in range(1, times + 1):
        await ask(number)
    return (spent() - before) * 1e3 / times


class Copied:
    """The rows of a record in a database of DuckDB, in the order of time in which they came."""

    def __init__(self, folder: Path, path: Path) -> None:
        self.path = path
        self._database = duckdb.connect(path, config=ONE_THREAD)
        began = time.process_time()
        self.rows = self._copy(Record(folder))
        self._database.execute("CHECKPOINT")
        self.cpu = time.process_time() - began

    def _copy(self, record: Record) -> int:
        manifest = record.manifest()
        for table in ("samples", "regimes"):
            files = record.files(table, manifest)
            paths = [str(record.folder / file.path) for file in files]
            rows = f"FROM read_parquet({paths}, hive_partitioning = false)"
            self._database.execute(f"CREATE TABLE {table} AS {rows} LIMIT 0")
            begin, end = min(file.recorded[0] for file in files), max(file.recorded[1] for file in files)
            for since in range(begin, end + 1, TOGETHER):
                part = f"recorded >= {since} AND recorded < {since + TOGETHER}"
                self._database.execute(f"INSERT INTO {table} {rows} WHERE {part} ORDER BY recorded, epoch, seq")
        ((rows_copied,),) = self._database.execute("SELECT count(*) FROM samples").fetchall()
        return int(rows_copied)

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size

    async def answered(self, chosen: Callable[[int, int], list[str]], times: int) -> dict[str, float]:
        """Milliseconds of CPU for each question, with answers as rows of Python. `chosen`: so many symbols, others
        each time."""
        ((newest,),) = self._database.execute('SELECT max("at") FROM samples').fetchall()

        async def ask(question: Question, number: int) -> None:
            known = {"newest": newest, "symbols": chosen(number, question.symbols)}
            used = {name: value for name, value in known.items() if f"${name}" in question.sql}
            self._database.execute(question.sql, used).fetchall()

        return {
            name: await milliseconds(partial(ask, question), times, time.process_time)
            for name, question in QUESTIONS.items()
        }


class Streamed(NamedTuple):
    """What a stream for each symbol costs."""

    bytes: float
    """Of memory, for a message."""
    redis_cpu: float
    """Microseconds, for a message."""
    range_ms: float
    """To read all of one symbol."""
    messages: int
    """In that."""


async def streamed(folder: Path, symbols: list[str], seconds: Iterable[Second]) -> Streamed:
    """Add the messages of some seconds to streams in a Redis of its own."""
    with start(find_server(), folder, free_port(), arguments=("--maxmemory", "0", "--save", "")) as running:
        async with connect(running.url) as client:
            before, spent, number, depth = (
                (await client.info("memory"))["used_memory"],
                cpu_seconds(running.pid),
                0,
                0,
            )
            for second in seconds:
                depth += 1
                for pairs in batches(list(zip(symbols, second.updates, strict=True))):
                    async with client.pipeline(transaction=False) as pipeline:
                        for symbol, update in pairs:
                            pipeline.xadd(f"record:{symbol}", {"u": update})
                        await pipeline.execute()
                    number += len(pairs)
            used = (await client.info("memory"))["used_memory"] - before
            spent = cpu_seconds(running.pid) - spent
            taken = []
            for place in range(20):
                began = time.perf_counter()
                await client.xrange(f"record:{symbols[place * 31 % len(symbols)]}")
                taken.append((time.perf_counter() - began) * 1e3)
    return Streamed(used / number, spent / number * 1e6, statistics.median(taken), depth)
