"""`python -m cottage.record.compaction`: sorts rows into Parquet files, an hour each, in a process of its own.

The recorder starts it, with a job as a line of JSON on its standard input, and gets a line of JSON for each table.
All inputs are sorted runs, which are merged: some hundred MB at most, for any number of rows. The process ends when
the recorder does: then its standard input ends.

A job: {"inputs": by table, write-ahead files or Parquet files, "folder": for what it writes}.
"""

import mmap
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from hashlib import file_digest
from pathlib import Path
from typing import Any

import orjson

from cottage.record.arrow_schema import arrow_schema, conform, pyarrow
from cottage.record.digest import as_text, digest_of, from_text, together
from cottage.record.folder_layout import HOUR
from cottage.record.hidden_pandas import hide_pandas
from cottage.record.schema import TABLES
from cottage.record.sorted_runs import SortedRun, merged
from cottage.record.write_ahead import mapped, whole_batches

NICENESS = 10
"""The services come first."""
_BUFFER = 16_384
"""Bytes of a column of a Parquet file at a time."""
ROW_GROUP = 65_536
_SMALLEST_GROUP = 8_192
_GROUPS = 512
"""A file has no more groups than about so many, since its end tells of each. The smaller they are, the fewer rows are
read in vain by a question about one symbol."""
_PAGE = 65_536
"""Bytes of a column: of each input, one page of each column is held at a time."""
_ENCODINGS = {"time": "DELTA_BINARY_PACKED", "whole": "DELTA_BINARY_PACKED", "number": "BYTE_STREAM_SPLIT"}
"""A twentieth smaller, and read in half the time."""
_READ = 2_048
"""Rows of a Parquet file at a time."""


def main() -> None:
    job = orjson.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.nice(NICENESS)
    hide_pandas()
    for table, inputs in job["inputs"].items():
        told = sort_table(table, [Path(each) for each in inputs], Path(job["folder"]))
        sys.stdout.buffer.write(orjson.dumps(told) + b"\n")


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def sort_table(table: str, inputs: Sequence[Path], folder: Path) -> dict[str, Any]:
    """Write all rows of the inputs to files in `folder`, an hour each, sorted. Returns {"table", "digest", "damaged",
    "files"}: the digest of the rows of write-ahead files as they were recorded, which of these had an end that was
    left aside, and what is to be known of each file, as RecordFile has it, by reading it again."""
    source = _Source(table, inputs)
    written = [facts_of(path, table, hour) for hour, path in source.write(folder)]
    if source.digest is not None and source.digest != together(*(from_text(file["digest"]) for file in written)):
        # Something that was whole by its length is not what was recorded: only up to there.
        source = _Source(table, inputs, check=True)
        written = [facts_of(path, table, hour) for hour, path in source.write(folder)]
    return {
        "table": table,
        "digest": None if source.digest is None else as_text(source.digest),
        "damaged": source.damaged,
        "files": written,
    }


class _Source:
    """All rows of the inputs: write-ahead files, or Parquet files."""

    def __init__(self, table: str, inputs: Sequence[Path], *, check: bool = False) -> None:
        """`check`: whether each batch of a write-ahead file is held against its digest."""
        self.digest: int | None = None
        """Of the rows of write-ahead files, by what these say; None for Parquet files."""
        self.damaged: list[dict[str, Any]] = []
        """Write-ahead files of which the end was left aside: path, from which byte on, and how many."""
        self._table = table
        self._inputs = inputs
        self._check = check
        self._maps: list[mmap.mmap] = []

    def write(self, folder: Path) -> list[tuple[int, Path]]:
        """Write the rows to a file for each hour, and return hours and paths."""
        row_group = group_size(sum(map(rows_in, self._inputs)))
        files: dict[int, _Writer] = {}
        # Pieces live for an hour, and twelve of them are read at a time: zstd would need 80 MB for that.
        compression = "lz4" if any(path.suffix == ".arrow" for path in self._inputs) else "zstd"
        for rows in merged(self._runs(), self._table, self._forget):
            for hour, part in _by_hour(rows):
                if hour not in files:
                    path = folder / f"{self._table}-{hour}.parquet"
                    files[hour] = _Writer(path, self._table, row_group, compression)
                files[hour].write(part)
        return [(hour, file.finish()) for hour, file in files.items()]

    def _runs(self) -> Iterator[SortedRun]:
        for path in self._inputs:
            if path.suffix == ".arrow":
                for batch in self._whole(path):
                    yield SortedRun(iter([batch]), self._table)
            else:
                yield SortedRun(parquet_batches(path, self._table), self._table)

    def _whole(self, path: Path) -> Iterator[Any]:
        """The batches of a write-ahead file, up to the first that is not what was recorded."""
        content = mapped(path)
        if content is None:
            return
        self._maps.append(content)
        end = 0
        for batch in whole_batches(content):
            rows = conform(batch.rows, self._table)
            if self._check and digest_of(rows, self._table) != from_text(batch.digest):
                break
            end = batch.end
            self.digest = together(self.digest or 0, from_text(batch.digest))
            yield rows
            self._forget()
        if end < len(content):
            self.damaged.append({"path": path.name, "from": end, "bytes": len(content) - end})

    def _forget(self) -> None:
        """Let go of the memory in which files are mapped: it is read again when it is looked at."""
        for content in self._maps:
            content.madvise(mmap.MADV_DONTNEED)


def _by_hour(rows: Any) -> Iterator[tuple[int, Any]]:
    arrow = pyarrow()
    hours = arrow.compute.divide(rows["recorded"], HOUR)
    found = arrow.compute.unique(hours).to_pylist()
    for hour in found:
        yield hour, rows if len(found) == 1 else rows.filter(arrow.compute.equal(hours, hour))


def rows_in(path: Path) -> int:
    """How many rows a Parquet file or the whole batches of a write-ahead file have."""
    if path.suffix == ".arrow":
        return sum(len(batch.rows) for batch in whole_batches(mapped(path), ["recorded"]))
    from pyarrow import parquet

    return int(parquet.read_metadata(path).num_rows)


def group_size(rows: int) -> int:
    """Of a file with so many rows, how many a row group has."""
    return max(_SMALLEST_GROUP, min(2 * ROW_GROUP, rows // _GROUPS))


def parquet_batches(path: Path, table: str) -> Iterator[Any]:
    from pyarrow import parquet

    with parquet.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER) as file:
        for batch in file.iter_batches(_READ):
            yield conform(batch, table)


def other_types(path: Path, table: str) -> list[str]:
    """Which columns of a Parquet file are of other types than the table's, in words: `price is string, not double`.
    A long string or list is one as any other: Parquet knows no difference."""
    from pyarrow import parquet

    held = parquet.read_schema(path)
    wanted = arrow_schema(table)
    return [
        f"{field.name} is {held.field(field.name).type}, not {field.type}"
        for field in wanted
        if held.get_field_index(field.name) >= 0 and not _same_type(held.field(field.name).type, field.type)
    ]


def _same_type(held: Any, wanted: Any) -> bool:
    types = pyarrow().types
    if types.is_list(wanted):
        return (types.is_list(held) or types.is_large_list(held)) and _same_type(held.value_type, wanted.value_type)
    return bool(held == wanted or (types.is_string(wanted) and types.is_large_string(held)))


class _Writer:
    """A Parquet file with row groups of at most so many rows."""

    def __init__(self, path: Path, table: str, row_group: int, compression: str) -> None:
        from pyarrow import parquet

        self.path = path
        self._row_group = row_group
        self._waiting: list[Any] = []
        kinds = {column.name: column.kind for column in TABLES[table]}
        self._file = path.open("wb")
        self._writer = parquet.ParquetWriter(
            self._file,
            arrow_schema(table),
            compression=compression,
            use_dictionary=[name for name, kind in kinds.items() if kind in ("text", "words")],
            column_encoding={name: _ENCODINGS[kind] for name, kind in kinds.items() if kind in _ENCODINGS},
            data_page_size=_PAGE,
            write_page_index=True,
        )

    def write(self, rows: Any) -> None:
        """Whole groups are written, and what is left waits for more."""
        self._waiting.append(rows)
        count = sum(map(len, self._waiting))
        if count >= self._row_group:
            whole = count - count % self._row_group
            rows = self._write(whole)
            self._waiting = [rows.slice(whole)]

    def _write(self, count: int) -> Any:
        """Write so many of the waiting rows. Returns all of these."""
        rows = pyarrow().concat_tables(self._waiting)
        self._writer.write_table(rows.slice(0, count), row_group_size=self._row_group)
        return rows

    def finish(self) -> Path:
        if count := sum(map(len, self._waiting)):
            self._write(count)
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self.path


def facts_of(path: Path, table: str, hour: int) -> dict[str, Any]:
    """What is to be known of a file, by reading it again."""
    rows, digest = 0, 0
    ranges: dict[str, tuple[int, int] | None] = {"recorded": None, "at": None, "written": None}
    sources: set[tuple[str, int]] = set()
    for batch in parquet_batches(path, table):
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
        "hour": hour,
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
    found: set[tuple[str, int]] = set()
    runs = batch.column("run")
    for run in runs.unique():
        of_run = batch.column("source").filter(pyarrow().compute.equal(runs, run))
        found |= {(source.as_py() or "", run.as_py()) for source in of_run.unique()}
    return found


if __name__ == "__main__":
    main()
