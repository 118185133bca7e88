"""Reads those row groups of Parquet files that may have rows of some symbols. Files of a record are sorted by symbol,
and a file that has come to its place never changes, so what its end says of its groups is read once."""

import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_REMEMBERED = 40_000_000
"""Bytes of the ends of files, as they are in these; in memory they take nine times as much. A question about the last
hour of one of 10,000 symbols needs 25 million."""
MOST_ROWS = 131_072
"""Rows that are read before those that nobody wants are left out."""


@dataclass(frozen=True, slots=True)
class FileEnd:
    """What the end of a Parquet file says of its row groups."""

    metadata: Any
    """pyarrow.parquet.FileMetaData"""
    columns: frozenset[str]
    symbols: list[tuple[str, str] | None]
    """The first and the last symbol of each group, in their order; None where that is not told."""

    def parts(self, groups: Sequence[int]) -> Iterator[list[int]]:
        """These groups in parts of some MOST_ROWS rows."""
        part: list[int] = []
        rows = 0
        for group in groups:
            part.append(group)
            rows += self.metadata.row_group(group).num_rows
            if rows >= MOST_ROWS:
                yield part
                part, rows = [], 0
        if part:
            yield part

    def groups_with(self, symbols: Sequence[str] | None) -> list[int]:
        """The groups that may have rows of these symbols, or all."""
        if symbols is None:
            return list(range(len(self.symbols)))
        ordered = sorted(symbols)

        def may_have(extent: tuple[str, str] | None) -> bool:
            if extent is None:
                return True
            place = bisect_left(ordered, extent[0])
            return place < len(ordered) and ordered[place] <= extent[1]

        return [number for number, extent in enumerate(self.symbols) if may_have(extent)]


class RowGroups:
    """Reads rows, and remembers the ends of files. Several threads may use it at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: OrderedDict[Path, FileEnd] = OrderedDict()
        self._bytes = 0

    def read(self, path: Path, columns: Sequence[str], symbols: Sequence[str] | None) -> Iterator[Any]:
        """The rows of the groups that may have some of these symbols, with those of the columns that the file has, in
        tables of moderate size. Raises FileNotFoundError, OSError or pyarrow.ArrowException."""
        from pyarrow import parquet

        end = self._end(path)
        known = [name for name in columns if name in end.columns]
        with parquet.ParquetFile(path, metadata=end.metadata, pre_buffer=False) as file:
            for groups in end.parts(end.groups_with(symbols)):
                yield file.read_row_groups(groups, columns=known, use_threads=False)

    def _end(self, path: Path) -> FileEnd:
        with self._lock:
            if path not in self._ends:
                end = self._ends[path] = _end_of(path)
                self._bytes += end.metadata.serialized_size
            self._ends.move_to_end(path)
            while self._bytes > MOST_REMEMBERED and len(self._ends) > 1:
                _, oldest = self._ends.popitem(last=False)
                self._bytes -= oldest.metadata.serialized_size
            return self._ends[path]


def _end_of(path: Path) -> FileEnd:
    from pyarrow import parquet

    metadata = parquet.read_metadata(path)
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    return FileEnd(
        metadata, frozenset(metadata.schema.to_arrow_schema().names), [_symbols(group) for group in groups]
    )


def _symbols(group: Any) -> tuple[str, str] | None:
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema == "symbol":
            told = column.statistics
            return (told.min, told.max) if told is not None and told.has_min_max else None
    return None
