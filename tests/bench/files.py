"""How many rows of a recording are read in a second, in which memory, beside DuckDB's own scan of the same file.

`make bench-files` makes files of trades, in order of time, newest first and sorted by symbol, or takes yours. DuckDB
parses the cells of a file, with a thread for each core. A Recording checks each row besides, and yields it as an
object of Python, as a replay takes it; the rest of a replay is not in it. CPU seconds of both are of all threads.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import duckdb

from cottage.files.recording import Recording
from tests.bench.tables import table

HEADS = ("file", "MB", "rows", "first row s", "rows/s", "µs CPU a row", "peak MB", "DuckDB rows/s", "its µs CPU")
ORDERS = {
    "in order": "i",
    "newest first": "{rows} - i",
    "by symbol": "i % ({rows} // 20)",
}
MIDNIGHT = 1_735_689_600_000_000


def make(path: Path, rows: int, order: str) -> None:
    """Write a CSV file of made trades, 1.5 ms apart."""
    at = ORDERS[order].format(rows=rows)
    symbol = f"'S' || i // ({rows} // 20)" if order == "by symbol" else "'BTC-USDT'"
    duckdb.sql(
        f"COPY (SELECT {MIDNIGHT} + 1500 * ({at}) AS timestamp, {symbol} AS symbol, "
        f"printf('%.2f', 100 + hash(i // 50) % 200 / 100.0) AS price, (1 + hash(i) % 99) / 1000.0 AS size, "
        f"{at} AS trade_id FROM range({rows}) made(i)) TO '{path}' (HEADER)"
    )


def scanned(path: Path) -> list[str]:
    """Rows a second of DuckDB's scan, and µs of CPU for a row."""
    began, spent = time.perf_counter(), time.process_time()
    try:
        columns = [column for column, *_ in duckdb.execute(f"DESCRIBE FROM '{path}'").fetchall()]
        looked = ", ".join(f'max("{column}")' for column in columns)  # else it would not parse them
        ((rows, *_),) = duckdb.execute(f"SELECT count(*), {looked} FROM '{path}'").fetchall()
    except duckdb.Error:  # a file of a kind that it cannot read so
        return ["–", "–"]
    seconds = time.perf_counter() - began
    return [f"{rows / seconds:,.0f}", f"{1e6 * (time.process_time() - spent) / rows:.2f}"]


def measure(path: Path) -> None:
    """Read a recording to its end, and print rows, seconds to the first and to the last, CPU seconds and peak MB."""
    began = time.perf_counter()
    rows, first = 0, 0.0
    with closing(Recording(path)) as recording:
        for _ in recording:
            if not rows:
                first = time.perf_counter() - began
            rows += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(rows, first, time.perf_counter() - began, time.process_time(), peak)


def row_of(name: str, path: Path) -> list[object]:
    """What came of a file, read by a process of its own."""
    command = [sys.executable, "-m", "tests.bench.files", "--measure", str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    rows, (first, whole, processor, peak) = int(told[0]), map(float, told[1:])
    spent = 1e6 * processor / rows
    size = f"{path.stat().st_size / 1e6:,.0f}"
    return [name, size, f"{rows:,}", f"{first:.1f}", f"{rows / whole:,.0f}", spent, f"{peak:.0f}", *scanned(path)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000, help="of each file that is made (2,000,000)")
    parser.add_argument("--file", type=Path, nargs="*", default=[], help="files of yours, instead of made ones")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
        return
    with tempfile.TemporaryDirectory() as folder:
        found = [(path.name, path) for path in arguments.file]
        for order in () if found else ORDERS:
            path = Path(folder) / f"{order.replace(' ', '-')}.csv"
            make(path, arguments.rows, order)
            found.append((order, path))
        table("Rows of a recording", HEADS, [row_of(name, path) for name, path in found])


if __name__ == "__main__":
    main()
