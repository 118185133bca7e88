"""How long answers from a record take, beside DuckDB's own scan of the same files.

`make bench-history` makes a record of so many symbols at one sample a second: the file of an hour, six pieces of five
minutes and two minutes that are written ahead. Then the process of the physics API is asked for the last hour of one
symbol and more, of other symbols each time. DuckDB is asked for prices of the first of these over the Parquet files
alone, which lack the last two minutes, on one thread too.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb

from cottage.clock import iso_millis
from cottage.record.arrow_schema import arrow_schema, conform
from cottage.record.compaction import group_size
from cottage.record.folder_layout import AHEAD, HOUR, PIECES, hour_path, piece_path
from cottage.record.manifest import RecordChain, RecordFile
from cottage.record.schema import TABLES
from cottage.record.write_ahead import WriteAhead
from services.physics.history_process import EngineLimits, HistoryProcess
from tests.bench.tables import table

DUCKDB_OPTIONS: Any = {"threads": 1}
HEADS = ("question", "median ms", "worst ms", "KB")
SECOND = 1_000_000
FIRST_HOUR = 490_044
BEGIN = FIRST_HOUR * HOUR
PIECE, PIECES_MADE, AHEAD_SECONDS, FLUSH = 300, 6, 120, 2
_RANDOM = "(hash({0} * 31 + {1}) % 1000000) / 1e6"
_TYPES = {
    "text": "VARCHAR",
    "words": "VARCHAR[]",
    "whole": "BIGINT",
    "number": "DOUBLE",
    "flag": "BOOLEAN",
    "time": "BIGINT",
}
_MADE = {
    "symbol": "printf('S%05d', s)",
    "source": "'simulate'",
    "feed": "'SIM'",
    "run": str(BEGIN),
    "epoch": str(BEGIN // 1000),
    "seq": "t",
    "number": "0",
    "last": "true",
    "reissued": "false",
    "healed": "false",
    "prev_epoch": str(BEGIN // 1000),
    "prev_seq": "t - 1",
    "regime": "(['WAIT', 'Gaussian', 'Lévy Stable', 'Critical'])[CAST(1 + hash(s + t // 600) % 4 AS BIGINT)]",
    "notes": "[]::VARCHAR[]",
    "void": "[]::VARCHAR[]",
    "step": "1.0",
}


def rows(symbols: int, begin: int, end: int) -> str:
    """SQL for the rows of all symbols from second `begin` to `end`, sorted by symbol."""
    seconds = end - begin
    columns = []
    for number, column in enumerate(TABLES["samples"]):
        time = f"{BEGIN} + t * {SECOND} + hash(s) % 900000"
        usual = {"time": time, "number": _RANDOM.format("i", number), "whole": f"hash(i + {number}) % 1000"}
        made = _MADE.get(column.name, usual.get(column.kind, "NULL"))
        columns.append(f"CAST({made} AS {_TYPES[column.kind]}) AS {column.name}")
    inner = f"SELECT i, i // {seconds} AS s, {begin} + i % {seconds} AS t FROM range({symbols * seconds}) made(i)"
    return f"SELECT {', '.join(columns)} FROM ({inner})"


def make(folder: Path, symbols: int) -> int:
    """Write the record; returns its number of rows."""
    (folder / AHEAD).mkdir(parents=True)
    (folder / PIECES / "samples").mkdir(parents=True)
    files = [_file(folder, hour_path("samples", FIRST_HOUR, 0), FIRST_HOUR, symbols, 0, 3600)]
    for number in range(PIECES_MADE):
        begin = 3600 + number * PIECE
        path = piece_path("samples", FIRST_HOUR + 1, number + 1)
        files.append(_file(folder, path, FIRST_HOUR + 1, symbols, begin, begin + PIECE))
    chain = RecordChain(folder)
    chain.append("rolled", iso_millis(BEGIN / 1e6), added=files, rolled=0)
    chain.save()
    ahead = WriteAhead(folder, 1)
    begin = 3600 + PIECES_MADE * PIECE
    with closing(duckdb.connect(config=DUCKDB_OPTIONS)) as database:
        for second in range(begin, begin + AHEAD_SECONDS, FLUSH):
            made = database.execute(rows(symbols, second, second + FLUSH)).to_arrow_table()
            whole = conform(made, "samples").cast(arrow_schema("samples")).combine_chunks()
            ahead.write("samples", whole.to_batches()[0])
    ahead.close()
    return symbols * (begin + AHEAD_SECONDS)


def _file(folder: Path, path: str, hour: int, symbols: int, begin: int, end: int) -> dict[str, Any]:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {group_size(symbols * (end - begin))}"
    with closing(duckdb.connect(config=DUCKDB_OPTIONS)) as database:
        database.execute(f"COPY ({rows(symbols, begin, end)}) TO '{folder / path}' ({options})")
    times = (BEGIN + begin * SECOND, BEGIN + end * SECOND - 1)
    size = (folder / path).stat().st_size
    sources, count = (("simulate", BEGIN),), symbols * (end - begin)
    file = RecordFile(path, "samples", hour, count, size, times, times, times, sources, sha256="", digest="0")
    return {name: getattr(file, name) for name in RecordFile.__slots__}


async def asked(history: HistoryProcess, symbols: int, repeats: int) -> list[tuple[str, ...]]:
    def question(ask: str, number: int, many: int = 1, **more: Any) -> dict[str, Any]:
        names = [f"S{(number * 7919 + place * 31) % symbols:05}" for place in range(many)]
        return {"ask": ask, "symbols": names, "single": many == 1, **more}

    def ask(**about: Any) -> Callable[[int], Awaitable[int]]:
        async def answered(number: int) -> int:
            return len((await history.ask(question("points", number, **about))).body)

        return answered

    await ask(last="1h")(0)  # the process starts, and the files come into the machine's memory
    return [
        await _timed("the last hour of one symbol, 720 points", ask(last="1h"), repeats),
        await _timed("the same as Arrow", ask(last="1h", arrow=True), repeats),
        await _timed("the same, 60 points", ask(last="1h", points=60), repeats),
        await _timed("the last ten minutes, 60 points", ask(last="10m", points=60), repeats),
        await _timed("that of 50 symbols", ask(last="10m", points=60, many=50), max(3, repeats // 5)),
        await _timed("that of 500 symbols", ask(last="10m", points=60, many=500), 3),
    ]


async def _timed(name: str, answered: Callable[[int], Awaitable[int]], repeats: int) -> tuple[str, ...]:
    times, size = [], 0
    for number in range(1, repeats + 1):
        began = time.perf_counter()
        size = await answered(number)
        times.append((time.perf_counter() - began) * 1000)
    return name, f"{statistics.median(times):.1f}", f"{max(times):.1f}", f"{size / 1000:.0f}"


def by_duckdb(folder: Path, symbols: int, repeats: int) -> tuple[str, ...]:
    """The first question, with prices and counts alone, to DuckDB over the glob of the Parquet files."""
    begin = BEGIN + (3600 + PIECES_MADE * PIECE + AHEAD_SECONDS - 3600) * SECOND
    glob = [f"{folder}/samples/**/*.parquet", f"{folder}/{PIECES}/samples/*.parquet"]
    times = []
    with closing(duckdb.connect(config=DUCKDB_OPTIONS)) as database:
        for number in range(1, repeats + 1):
            began = time.perf_counter()
            database.execute(
                'SELECT "at" // 5000000, first(price ORDER BY "at"), max(price), min(price), '
                'last(price ORDER BY "at"), avg(price), count(*) FROM read_parquet(?) '
                'WHERE symbol = ? AND "at" >= ? GROUP BY ALL',
                [glob, f"S{number * 7919 % symbols:05}", begin],
            ).fetchall()
            times.append((time.perf_counter() - began) * 1000)
    return "DuckDB: prices of the last hour", f"{statistics.median(times):.1f}", f"{max(times):.1f}", "-"


async def measure(folder: Path, symbols: int, repeats: int) -> None:
    async with HistoryProcess(str(folder), EngineLimits(60.0, 1024)) as history:
        told = await asked(history, symbols, repeats)
        peak = _peak(history.pid)
    told.append(by_duckdb(folder, symbols, repeats))
    table(f"{symbols:,} symbols", HEADS, told)
    print(f"peak of the process: {peak:.0f} MB")


def _peak(pid: int | None) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-history", description=__doc__)
    parser.add_argument("--symbols", type=int, nargs="+", default=[500], help="symbols recorded (%(default)s)")
    parser.add_argument("--repeats", type=int, default=20, help="how often each question is asked (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where the record is made, which then stays")
    arguments = parser.parse_args()
    for symbols in arguments.symbols:
        with tempfile.TemporaryDirectory() as temporary:
            folder = (arguments.folder or Path(temporary)) / f"{symbols}"
            if not folder.exists():
                began = time.perf_counter()
                made = make(folder, symbols)
                print(
                    f"{symbols:,} symbols, {made:,} rows, made in {time.perf_counter() - began:.0f} s",
                    file=sys.stderr,
                )
            size = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
            print(f"{symbols:,} symbols, {size / 1e6:,.0f} MB of Parquet")
            asyncio.run(measure(folder, symbols, arguments.repeats))


if __name__ == "__main__":
    main()
