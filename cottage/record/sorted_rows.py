"""All rows of a table of a record in some order, batch by batch: what is more than memory holds is sorted on disk."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from types import TracebackType
from typing import Any, Self

from cottage.record.arrow_schema import arrow_schema, conform, pyarrow
from cottage.record.record import Record
from cottage.record.write_ahead import ahead_files, mapped, whole_batches

DUCKDB_OPTIONS: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,  # nothing is fetched over the network
    "autoload_known_extensions": False,
    "memory_limit": "128MB",
    "threads": 1,  # the services have the other cores
}
_AT_ONCE = 16_384


class SortedRows:
    """The rows of one table as they are when it is made, whatever the recorder does to the files meanwhile: they stay
    open until `close`."""

    def __init__(self, record: Record, table: str, columns: Sequence[str]) -> None:
        """Raises what Record.manifest does, and MissingExtra."""
        self._table = table
        self._columns = list(columns)
        self._stack = ExitStack()
        self._ahead: list[Any] = []
        self._files: list[Any] = []
        record.again(lambda: self._open(record))
        self.rows: int = sum(file.metadata.num_rows for file in self._files) + sum(
            len(rows) for rows in self._written_ahead(["recorded"])
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._stack.close()

    def sorted(self, order: Sequence[str]) -> Iterator[Any]:
        """Yield the rows as pyarrow.RecordBatches, ordered by these columns. This or `queried`, once."""
        yield from self.queried(f"SELECT * FROM source ORDER BY {quoted(order)}")  # noqa: S608 - columns of ours

    def queried(self, query: str) -> Iterator[Any]:
        """Yield the result of a query in SQL, to which the rows are the table `source`."""
        import duckdb

        arrow = pyarrow()
        schema = arrow.schema([arrow_schema(self._table).field(name) for name in self._columns])
        with tempfile.TemporaryDirectory(prefix="cottage-") as spill:
            options = DUCKDB_OPTIONS | {"temp_directory": spill}
            with closing(duckdb.connect(config=options)) as database:
                database.execute("SET enable_progress_bar = false")
                database.register("source", arrow.RecordBatchReader.from_batches(schema, self._batches()))
                batches: Any = database.sql(query).to_arrow_reader(_AT_ONCE)
                yield from batches

    def _open(self, record: Record) -> None:
        from pyarrow import parquet

        self._stack.close()
        manifest = record.manifest()
        self._files = [
            self._stack.enter_context(
                parquet.ParquetFile(self._stack.enter_context((record.folder / file.path).open("rb")))
            )
            for file in record.files(self._table, manifest)
        ]
        ahead = ahead_files(record.folder, manifest.rolled)
        self._ahead = [mapped(file.path) for file in ahead if file.table == self._table]

    def _batches(self) -> Iterator[Any]:
        for file in self._files:
            known = [name for name in self._columns if name in file.schema_arrow.names]
            for batch in file.iter_batches(_AT_ONCE, columns=known):
                yield conform(batch, self._table).select(self._columns)
        for rows in self._written_ahead(self._columns):
            yield conform(rows, self._table).select(self._columns)

    def _written_ahead(self, columns: Sequence[str]) -> Iterator[Any]:
        for file in self._ahead:
            for batch in whole_batches(file, columns):
                yield batch.rows


def quoted(names: Iterable[str]) -> str:
    """Columns as they are named in a query: `at` and `last` are words of SQL."""
    return ", ".join(f'"{name}"' for name in names)
