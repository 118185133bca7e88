"""Merges sorted runs of rows into one, with few of them in memory at a time, however many there are.

A run is a batch of a write-ahead file, or a Parquet file of a record: each is sorted by `order_of` its table. A round
takes, of all runs, the rows up to a key that is chosen so that they are some AT_ONCE.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from cottage.record.arrow_schema import pyarrow
from cottage.record.schema import TABLES

AT_ONCE = 16_384
"""Rows; some 12 MB of samples."""
_LOOKED_AT = 16
"""So many runs are looked at before `forget`."""
_ORDER = ("symbol", "epoch", "seq", "number", "recorded")


def order_of(table: str) -> list[str]:
    """The columns by which the rows of a table are sorted."""
    names = [column.name for column in TABLES[table]]
    return [name for name in _ORDER if name in names]


def in_order(rows: Any, table: str) -> Any:
    """A pyarrow.Table or RecordBatch, sorted."""
    keys = [(name, "ascending") for name in order_of(table)]
    return rows.take(pyarrow().compute.sort_indices(rows, sort_keys=keys))


class SortedRun:
    """Rows in order, taken from the beginning on, of which few are held at a time."""

    def __init__(self, batches: Iterator[Any], table: str) -> None:
        self._batches = batches
        self._names = order_of(table)
        self._held: Any = None
        self._keys: list[Any] = []
        self._start = 0

    def fill(self, rows: int) -> bool:
        """Hold so many rows, or all that are left. Returns whether there are any."""
        while self._left() < rows and (batch := next(self._batches, None)) is not None:
            if self._left():
                batch = pyarrow().concat_batches([self._held.slice(self._start), batch])
            self._held, self._start = batch, 0
            self._keys = [batch.column(name) for name in self._names]
        return self._left() > 0

    def key(self, rows: int) -> tuple[Any, ...]:
        """The key of the last of the next `rows` rows, or of the last that is held."""
        return self._key(min(self._start + rows, len(self._held)) - 1)

    def take(self, until: tuple[Any, ...]) -> Any:
        """The held rows with keys up to this one, that included."""
        end = bisect_right(range(len(self._held)), until, self._start, key=self._key)
        taken = self._held.slice(self._start, end - self._start)
        self._start = end
        return taken

    def _left(self) -> int:
        return 0 if self._held is None else len(self._held) - self._start

    def _key(self, place: int) -> tuple[Any, ...]:
        return tuple(column[place].as_py() for column in self._keys)


def merged(runs: Iterable[SortedRun], table: str, forget: Callable[[], None]) -> Iterator[Any]:
    """Yield pyarrow.Tables of all rows of the runs, in order. `forget` is called whenever a few runs were
    looked at."""
    arrow = pyarrow()
    live = list(runs)
    while live:
        quota = max(1, AT_ONCE // len(live))
        keys, parts = [], []
        live = [run for run in live if run.fill(quota)]
        for few in _groups(live):
            keys += [run.key(quota) for run in few]
            forget()
        for few in _groups(live):
            taken = [rows for run in few if len(rows := run.take(min(keys)))]
            if taken:
                parts.append(arrow.Table.from_batches(taken).combine_chunks())
            forget()
        if parts:
            yield in_order(arrow.concat_tables(parts).combine_chunks(), table)


def _groups(runs: list[SortedRun]) -> Iterator[list[SortedRun]]:
    for start in range(0, len(runs), _LOOKED_AT):
        yield runs[start : start + _LOOKED_AT]
