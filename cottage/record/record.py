"""The record's folder for reading: its files as one, whether a recorder writes to it meanwhile or not.

    record = Record(Path("data/record"))
    rows = record.scan("samples", ["written", "price"], symbols=["SPY"], at=(since, until))   # a pyarrow.Table

Files of hours, pieces and what is written ahead are read by one manifest, so that no row is there twice and none that
was flushed before is missing.
"""

import functools
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from cottage.record.arrow_schema import arrow_schema, matching, pyarrow
from cottage.record.manifest import CHAIN, MANIFEST, Manifest, RecordFile, read_manifest
from cottage.record.row_groups import RowGroups
from cottage.record.schema import TABLES
from cottage.record.write_ahead import ahead_files, mapped, whole_batches

T = TypeVar("T")

_TRIES = 5
_PAUSE_SECONDS = 0.05
_FEW_SYMBOLS = 50
"""So many are found in a batch one by one."""
Range = tuple[int | None, int | None]
"""Microseconds since 1970, from the first on and before the second; None is no bound."""


def is_record(path: Path) -> bool:
    """Whether this is the folder of a record."""
    return (path / MANIFEST).is_file() or (path / CHAIN).is_file()


class Record:
    """A folder that RecordWriter wrote or writes. It keeps no file open; several threads may use it at a time."""

    def __init__(self, folder: Path) -> None:
        pyarrow()
        self.folder = folder
        self._row_groups = RowGroups()

    def manifest(self) -> Manifest:
        """Which files are alive now. Raises FileNotFoundError where there is no record, RecordDamaged, or
        NewerFormat."""
        return read_manifest(self.folder)

    def scan(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        *,
        symbols: Sequence[str] | None = None,
        at: Range = (None, None),
        written: Range = (None, None),
        recorded: Range = (None, None),
    ) -> Any:
        """The rows of a table as a pyarrow.Table with these columns, or all, in no order: of these symbols, or all,
        and with times within these ranges. A row without a time is in no range of it. Columns that a file lacks are
        null.

        Raises FileNotFoundError where there is no record, KeyError for no such table or column, RecordDamaged, or
        OSError and pyarrow.ArrowException for a damaged file.
        """
        wanted = list(columns) if columns is not None else [column.name for column in TABLES[table]]
        ranges = {"at": at, "written": written, "recorded": recorded}
        bounds = {name: each for name, each in ranges.items() if each != (None, None)}
        return self.again(lambda: self._scan(table, wanted, symbols, bounds))

    def files(self, table: str, manifest: Manifest, bounds: dict[str, Range] | None = None) -> list[RecordFile]:
        """The Parquet files of a table that have rows within these ranges of `at`, `written` and `recorded`, or all
        of them."""
        return [
            file
            for file in manifest.files
            if file.table == table
            and all(_meets(getattr(file, name), bound) for name, bound in (bounds or {}).items())
        ]

    def _scan(self, table: str, columns: list[str], symbols: Sequence[str] | None, bounds: dict[str, Range]) -> Any:
        arrow = pyarrow()
        schema = arrow_schema(table)
        parts = [arrow.schema([schema.field(name) for name in columns]).empty_table()]
        needed = list(dict.fromkeys([*columns, *(["symbol"] if symbols is not None else []), *bounds]))
        manifest = self.manifest()
        for file in self.files(table, manifest, bounds):
            tables = self._row_groups.read(self.folder / file.path, needed, symbols)
            parts += [_chosen(rows, symbols, bounds) for rows in tables]
        for ahead in ahead_files(self.folder, manifest.rolled):
            if ahead.table != table:
                continue
            batches = [batch.rows for batch in whole_batches(mapped(ahead.path), needed)]
            if found := [rows for batch in batches for rows in _of_symbols(batch, symbols)]:
                rows = arrow.Table.from_batches(found)
                if symbols is not None:
                    rows = rows.combine_chunks()  # small, and a filter takes its time for each chunk
                parts.append(_chosen(rows, symbols, bounds))
        known = (part.select([name for name in columns if name in part.column_names]) for part in parts)
        return arrow.concat_tables(known, promote_options="default")

    def again(self, read: Callable[[], T]) -> T:
        """`read`, once more by a newer manifest where a file has gone meanwhile."""
        for _ in range(_TRIES):
            try:
                return read()
            except FileNotFoundError:
                time.sleep(_PAUSE_SECONDS)
        return read()


def _of_symbols(rows: Any, symbols: Sequence[str] | None) -> list[Any]:
    """The rows of few symbols in a batch, which is sorted by them: then the others are not touched."""
    if symbols is None or len(symbols) > _FEW_SYMBOLS:
        return [rows]
    column = rows.column("symbol")
    found = []
    for symbol in sorted(set(symbols)):
        start = bisect_left(range(len(rows)), symbol, key=lambda place: column[place].as_py())
        end = bisect_right(range(len(rows)), symbol, start, key=lambda place: column[place].as_py())
        if start < end:
            found.append(rows.slice(start, end - start))
    return found


def _chosen(rows: Any, symbols: Sequence[str] | None, bounds: dict[str, Range]) -> Any:
    """Those rows that are of these symbols, and within these ranges."""
    arrow = pyarrow()
    compute = arrow.compute
    masks = []
    if symbols is not None:
        masks.append(compute.is_in(rows["symbol"], arrow.array(symbols, arrow.string())))
    for name, (since, until) in bounds.items():
        if name not in rows.column_names:
            return rows.slice(0, 0)
        if since is not None:
            masks.append(compute.greater_equal(rows[name], since))
        if until is not None:
            masks.append(compute.less(rows[name], until))
    return matching(rows, functools.reduce(compute.and_, masks)) if masks else rows


def _meets(found: tuple[int, int] | None, bound: Range) -> bool:
    since, until = bound
    return found is not None and (since is None or found[1] >= since) and (until is None or found[0] < until)
