"""`python -m cottage.record.compaction`: sorts rows into Parquet files, an hour each, in a process of its own.

The recorder starts it, with a job as a line of JSON on its standard input, and gets a line of JSON for each table.
DuckDB sorts within `memory`, and keeps the rest in a folder within the record. The process ends when the recorder
does: then its standard input ends.

A job: {"inputs": by table, write-ahead files or Parquet files, "folder": for what it writes, "memory"}.
"""

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from hashlib import file_digest
from pathlib import Path
from typing import Any

import orjson

from cottage.record.arrow_schema import DUCKDB_OPTIONS, arrow_schema, conform, pyarrow
from cottage.record.digest import as_text, digest_of, from_text, together
from cottage.record.folder_layout import HOUR
from cottage.record.schema import TABLES
from cottage.record.write_ahead import whole_batches

ROW_GROUP = 65_536
NICENESS = 10
"""The services come first."""
_ORDER = ("symbol", "epoch", "seq", "number", "recorded")
_AT_ONCE = 16_384


def main() -> None:
    job = orjson.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.nice(NICENESS)
    for table, inputs in job["inputs"].items():
        told = sort_table(table, [Path(each) for each in inputs], Path(job["folder"]), job["memory"])
        sys.stdout.buffer.write(orjson.dumps(told) + b"\n")


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def sort_table(table: str, inputs: Sequence[Path], folder: Path, memory: str) -> dict[str, Any]:
    """Write all rows of the inputs to files in `folder`, an hour each, sorted. Returns {"table", "rows", "digest",
    "damaged", "files"}: rows and digest of all inputs, which write-ahead files had an end that was left aside, and
    what is to be known of each file, as RecordFile has it."""
    import duckdb

    spill = folder / "spill"
    spill.mkdir(parents=True, exist_ok=True)
    options = DUCKDB_OPTIONS | {"memory_limit": memory, "temp_directory": str(spill)}
    with closing(duckdb.connect(config=options)) as database:
        database.execute("SET enable_progress_bar = false")
        source = _Source(table, inputs)
        names = [column.name for column in TABLES[table]]
        order = ", ".join(name for name in _ORDER if name in names)
        database.register("source", source.reader())
        result = database.execute(
            f"SELECT * FROM source ORDER BY recorded // {HOUR}, {order}"  # noqa: S608 - names of columns
        )
        written = list(_write(result.to_arrow_reader(_AT_ONCE), table, folder))
    return {
        "table": table,
        "rows": source.rows,
        "digest": as_text(source.digest),
        "damaged": source.damaged,
        "files": [_facts(path, table) for path in written],
    }


class _Source:
    """All rows of the inputs, with their digest."""

    def __init__(self, table: str, inputs: Sequence[Path]) -> None:
        self.rows = 0
        self.digest = 0
        self.damaged: list[dict[str, Any]] = []
        """Inputs of which something was left aside: the path, and from which byte on."""
        self._table = table
        self._inputs = inputs

    def reader(self) -> Any:
        return pyarrow().RecordBatchReader.from_batches(arrow_schema(self._table), self._batches())

    def _batches(self) -> Iterator[Any]:
        for path in self._inputs:
            for batch in self._whole(path) if path.suffix == ".arrow" else _parquet_batches(path, self._table):
                self.rows += len(batch)
                self.digest = together(self.digest, digest_of(batch, self._table))
                yield batch

    def _whole(self, path: Path) -> Iterator[Any]:
        """The batches of a write-ahead file, up to the first that is not what was recorded."""
        end = 0
        for batch in whole_batches(path):
            rows = conform(batch.rows, self._table)
            if digest_of(rows, self._table) != from_text(batch.digest):
                break
            end = batch.end
            yield rows
        if end < path.stat().st_size:
            self.damaged.append({"path": path.name, "from": end, "bytes": path.stat().st_size - end})


def _parquet_batches(path: Path, table: str) -> Iterator[Any]:
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(_AT_ONCE):
            yield conform(batch, table)


def _write(rows: Any, table: str, folder: Path) -> Iterator[Path]:
    """Write rows that are sorted by hour to a file for each hour, and yield the paths."""
    arrow = pyarrow()
    writer = None
    for hour, group in _groups(rows, table):
        path = folder / f"{table}-{hour}.parquet"
        if writer is None or writer.path != path:
            if writer is not None:
                yield writer.finish()
            writer = _Writer(path, table)
        writer.write(arrow.Table.from_batches(group))
    if writer is not None:
        yield writer.finish()


def _groups(rows: Any, table: str) -> Iterator[tuple[int, list[Any]]]:
    """Rows of one hour, up to ROW_GROUP of them, as batches."""
    arrow = pyarrow()
    hour, held = 0, 0
    group: list[Any] = []
    for batch in rows:
        whole = conform(batch, table)
        hours = arrow.compute.divide(whole.column("recorded"), HOUR)
        for counted in arrow.compute.value_counts(hours).to_pylist():  # in order, since the rows are
            part, whole = whole.slice(0, counted["counts"]), whole.slice(counted["counts"])
            while len(part):
                if group and (counted["values"] != hour or held == ROW_GROUP):
                    yield hour, group
                    held, group = 0, []
                hour = counted["values"]
                taken = part.slice(0, ROW_GROUP - held)
                part = part.slice(len(taken))
                group.append(taken)
                held += len(taken)
    if group:
        yield hour, group


class _Writer:
    """A Parquet file with a row group a `write`."""

    def __init__(self, path: Path, table: str) -> None:
        from pyarrow import parquet

        self.path = path
        kinds = {column.name: column.kind for column in TABLES[table]}
        self._file = path.open("wb")
        self._writer = parquet.ParquetWriter(
            self._file,
            arrow_schema(table),
            compression="zstd",
            use_dictionary=[name for name, kind in kinds.items() if kind in ("text", "words")],
            write_page_index=True,
        )

    def write(self, rows: Any) -> None:
        self._writer.write_table(rows, row_group_size=ROW_GROUP)

    def finish(self) -> Path:
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self.path


def _facts(path: Path, table: str) -> dict[str, Any]:
    """What is to be known of a file, by reading it again."""
    rows, digest = 0, 0
    ranges: dict[str, tuple[int, int] | None] = {"recorded": None, "at": None, "written": None}
    sources: set[tuple[str, int]] = set()
    for batch in _parquet_batches(path, table):
        rows += len(batch)
        digest = together(digest, digest_of(batch, table))
        for name in ranges:
            ranges[name] = _wider(ranges[name], batch, name)
        sources |= _sources(batch)
    with path.open("rb") as file:
        checksum = file_digest(file, "sha256").hexdigest()
    return {
        "path": str(path),
        "table": table,
        "hour": int(path.stem.rpartition("-")[2]),
        "rows": rows,
        "bytes": path.stat().st_size,
        **ranges,
        "sources": sorted(sources),
        "sha256": checksum,
        "digest": as_text(digest),
    }


def _wider(known: tuple[int, int] | None, batch: Any, name: str) -> tuple[int, int] | None:
    if batch.schema.get_field_index(name) < 0:
        return known
    found = pyarrow().compute.min_max(batch.column(name))
    if not found["min"].is_valid:
        return known
    lowest, highest = found["min"].as_py(), found["max"].as_py()
    return (lowest, highest) if known is None else (min(known[0], lowest), max(known[1], highest))


def _sources(batch: Any) -> set[tuple[str, int]]:
    if batch.schema.get_field_index("source") < 0:
        return set()
    arrow = pyarrow()
    pairs = arrow.Table.from_batches([batch]).select(["source", "run"]).group_by(["source", "run"]).aggregate([])
    return {(pair["source"] or "", pair["run"]) for pair in pairs.to_pylist()}


if __name__ == "__main__":
    main()
