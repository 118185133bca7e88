"""Sorts rows that come in any order: in memory where they are few, else in DuckDB, which needs MEMORY_LIMIT for any
number of them and keeps the rest in a temporary folder."""

import heapq
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, get_type_hints

from cottage.errors import MissingExtra, SourceError, UnusableSource
from cottage.files.ordering.order import MEMBER, ROW, Entry
from cottage.files.rows import Row

T = TypeVar("T")

MOST_IN_MEMORY = 250_000
"""Rows; some 120 MB."""
MEMORY_LIMIT = "256MB"
_RUN = 10_000
"""So many rows are sorted at once, in some ms: meanwhile no other thread gets the GIL."""
_FETCHED = 2000
_PLACES = ("member", "place", "line")
_NOTES = -1
"""The place of Row's `notes`, which are stored as one text."""


class Sorter:
    """Takes entries in any order, by `add`, and yields them in theirs, by `sorted`, once."""

    def __init__(self, most_in_memory: int = MOST_IN_MEMORY) -> None:
        self.rows = 0
        """How many rows were added."""
        self._most = most_in_memory
        self._runs: list[list[Entry]] = []
        self._run: list[Entry] = []
        self._store: _Store | None = None

    def add(self, entry: Entry) -> None:
        """Raises MissingExtra for more than `most_in_memory` rows where DuckDB is not installed; SourceError where
        the disk is full."""
        self._run.append(entry)
        self.rows += 1
        if len(self._run) == _RUN:
            self._end_run()

    def _end_run(self) -> None:
        if self._store is None and self.rows > self._most:
            self._store = _Store()
            for run in self._runs:
                self._store.add(run)
            self._runs.clear()
        if self._store is not None:
            self._store.add(self._run)
        else:
            self._run.sort()
            self._runs.append(self._run)
        self._run = []

    def sorted(self) -> Iterator[Entry]:
        self._end_run()
        return heapq.merge(*self._runs) if self._store is None else self._store.sorted()

    def abandon(self) -> None:
        """Let `sorted` end early. Another thread may call it."""
        if self._store is not None:
            self._store.abandon()

    def close(self) -> None:
        """Let go of all rows. Idempotent."""
        self._runs.clear()
        if self._store is not None:
            self._store.close()


class _Store:
    """Rows in a table of DuckDB."""

    def __init__(self) -> None:
        try:
            import duckdb
            import pyarrow
        except ImportError as error:
            raise MissingExtra(
                f"more than {MOST_IN_MEMORY} rows that are not in order of time are sorted by DuckDB: "
                "pip install 'curiosity-cottage[files]'"
            ) from error
        kinds = {int: pyarrow.int64(), float: pyarrow.float64(), str: pyarrow.string()}
        fields = [(name, kinds[int]) for name in _PLACES]
        for name, hint in get_type_hints(Row).items():
            kind = next((kinds[each] for each in kinds if hint == each or hint == each | None), kinds[str])
            fields.append((name, kind))
        self._schema: Any = pyarrow.schema(fields)
        self._batch = pyarrow.record_batch
        self._error = duckdb.Error
        try:
            self._folder = tempfile.TemporaryDirectory(prefix="cottage-sort-", ignore_cleanup_errors=True)
        except OSError as error:
            raise _unsortable("a temporary folder", error) from error
        self._database = duckdb.connect(
            config={
                "memory_limit": MEMORY_LIMIT,
                "temp_directory": self._folder.name,
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            }
        )
        self._filled = False
        self._abandoned = False

    def add(self, run: Sequence[Entry]) -> None:
        if not run:
            return
        columns = list(zip(*((*entry[MEMBER:ROW], *entry[ROW]) for entry in run), strict=True))
        columns[_NOTES] = tuple(" ".join(notes) for notes in columns[_NOTES])
        try:
            batch = self._batch(columns, schema=self._schema)
        except (ValueError, OverflowError) as error:
            raise UnusableSource(f"numbers beyond 64 bits cannot be sorted with so many rows: {error}") from error
        self._database.register("batch", batch)
        query = "INSERT INTO entries FROM batch" if self._filled else "CREATE TABLE entries AS FROM batch"
        self._do(lambda: self._database.execute(query))
        self._database.unregister("batch")
        self._filled = True

    def sorted(self) -> Iterator[Entry]:
        self._do(lambda: self._database.execute("FROM entries ORDER BY time, sequence, member, place"))
        while fetched := self._do(lambda: self._database.fetchmany(_FETCHED)):
            for member, place, line, *cells, notes in fetched:
                row = Row._make((*cells, tuple(notes.split())))
                yield row.time, row.sequence, member, place, line, row

    def abandon(self) -> None:
        self._abandoned = True
        self._database.interrupt()

    def close(self) -> None:
        self._database.close()
        self._folder.cleanup()

    def _do(self, work: Callable[[], T]) -> T | None:
        """What `work` returns; None once this is abandoned."""
        try:
            return work()
        except self._error as error:
            if self._abandoned:
                return None
            raise _unsortable(self._folder.name, error) from error


def _unsortable(folder: str, error: Exception) -> SourceError:
    return SourceError(f"the rows cannot be sorted in {folder} ({error}): set TMPDIR to a folder with more room")
