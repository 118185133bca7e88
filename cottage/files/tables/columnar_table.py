"""Parquet, by DuckDB, and Arrow files and streams, by pyarrow and DuckDB: typed columns as cells of text."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from glob import has_magic
from typing import Any

from cottage.errors import MissingExtra, UnusableSource
from cottage.files.cell_table import Guess, OnBad
from cottage.files.rows import BadRow
from cottage.files.tables.arrow_sizes import check_sizes
from cottage.files.tables.members import Member

_PARQUET = b"PAR1"
_ARROW_FILE = b"ARROW1"
_ARROW_STREAM = b"\xff\xff\xff\xff"
LONGEST_CELL = 4_096
"""Characters. One long text that stands in a file once may be the cell of a million rows."""
MOST_COLUMNS = 4_096
_FETCHED = 5_000
_FETCHED_CHARACTERS = 64 * 1024 * 1024
"""Rows are fetched some at a time, and no more of them than would have so many if each cell were that long."""
_PLACES = 24
_FEW_ROWS = 100
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,  # nothing is fetched over the network
    "autoload_known_extensions": False,
    "memory_limit": "512MB",
    "threads": 1,  # rows keep their order, and the service has its other cores
}
_NESTED = ("STRUCT", "MAP", "UNION", "VARIANT")


def is_columnar(head: bytes) -> bool:
    """Whether a file that begins so is Parquet or Arrow."""
    return head.startswith((_PARQUET, _ARROW_FILE, _ARROW_STREAM))


class ColumnarTable:
    """The cells of a Parquet or an Arrow file: times with a zone in UTC, the values of a list joined by commas.
    Columns of a nested type are left out, which `spelled` says."""

    plain_numbers = True

    def __init__(self, member: Member) -> None:
        """Read its schema. Raises UnusableSource, MissingExtra, or SourceError where a later try may help."""
        self.name = member.name
        self.guesses: list[Guess] = []
        self._member = member
        with member.open() as stream:
            self._is_parquet = stream.peek().startswith(_PARQUET)
        self._rows = 0
        """How many there are, if the file says it."""
        with self._scan() as (connection, names):
            if self._is_parquet:
                ((self._rows,),) = connection.execute("SELECT count(*) FROM cells").fetchall()
            described = connection.execute("SELECT column_name, column_type FROM (DESCRIBE cells)").fetchall()
        # DuckDB takes `t` and `T` for one name, and calls the second otherwise.
        kept = [(name, *each) for name, each in zip(names, described, strict=True) if not _is_nested(each[1])]
        if len(names) > MOST_COLUMNS:
            raise UnusableSource(f"{self.name} has more than {MOST_COLUMNS} columns")
        if not kept or (self._is_parquet and not self._rows):
            raise UnusableSource(f"{self.name} holds no rows of single values: its columns are {', '.join(names)}")
        self.names: tuple[str, ...] | None
        self.names = tuple("" if name.startswith("__index_level_") else name for name, *_ in kept)  # pandas' index
        self._cells = ", ".join(_as_text(column, kind) for _, column, kind in kept)
        self.spelled = "Parquet" if self._is_parquet else "Arrow"
        if left_out := [name for name, each in zip(names, described, strict=True) if _is_nested(each[1])]:
            self.spelled += f", left out as nested: {', '.join(left_out)}"

    def rows(self, on_bad: OnBad) -> Iterator[tuple[int, Sequence[str]]]:
        number = 0
        with self._scan() as (connection, _):
            if self._rows:
                self._member.progress(lambda: self._member.size * number // self._rows)
            result = connection.execute(f"SELECT {self._cells} FROM cells")  # noqa: S608 - quoted by _as_text
            assert self.names is not None
            at_once = max(1, min(_FETCHED, _FETCHED_CHARACTERS // (LONGEST_CELL * len(self.names))))
            while rows := result.fetchmany(at_once):
                for row in rows:
                    number += 1
                    if any(map(_is_too_long, row)):
                        on_bad(number, BadRow("fields", f"one of more than {LONGEST_CELL} letters"))
                    else:
                        yield number, row

    def places(self) -> Iterator[Sequence[Sequence[str]]]:
        if not self._is_parquet:
            return
        with self._scan() as (connection, _):
            for place in range(0, self._rows, max(_FEW_ROWS, self._rows // _PLACES)):
                where = f"file_row_number BETWEEN {place} AND {place + _FEW_ROWS - 1}"
                yield connection.execute(f"SELECT {self._cells} FROM numbered WHERE {where}").fetchall()  # noqa: S608

    @contextmanager
    def _scan(self) -> Iterator[tuple[Any, list[str]]]:
        """A connection to DuckDB in which the table is called `cells`, and the names of its columns."""
        try:
            import duckdb
            import pyarrow
        except ImportError as error:
            raise MissingExtra(
                f"{self.name}: Parquet and Arrow need pip install 'curiosity-cottage[files]'"
            ) from error
        with ExitStack() as files:
            try:
                connection = files.enter_context(duckdb.connect(":memory:", config=_CONFIG))
                connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
                yield connection, (self._parquet if self._is_parquet else self._arrow)(connection, files)
            except (duckdb.Error, pyarrow.ArrowException) as error:
                reason = str(error).partition("\n")[0]
                raise UnusableSource(f"{self.name} is broken, cut short or encrypted ({reason})") from error
            except OSError as error:
                if error.errno is not None:  # of the disk
                    raise
                raise UnusableSource(f"{self.name} is broken, cut short or encrypted ({error})") from error

    def _parquet(self, connection: Any, files: ExitStack) -> list[str]:
        path = self._on_disk(files)
        for view, is_numbered in (("cells", False), ("numbered", True)):
            connection.read_parquet(
                path, binary_as_string=True, hive_partitioning=False, file_row_number=is_numbered
            ).create_view(view)
        tree = connection.execute("SELECT name, num_children FROM parquet_schema(?)", [path]).fetchall()
        if len(tree) > 8 * MOST_COLUMNS:
            raise UnusableSource(f"{self.name} has more than {8 * MOST_COLUMNS} columns")
        return _outermost(tree)

    def _on_disk(self, files: ExitStack) -> str:
        """A path by which DuckDB reads the file: a copy of one that is compressed or has a name like a glob."""
        with self._member.open() as stream:
            if self._member.seekable and not has_magic(str(self._member.path)):
                return str(self._member.path)
            copy = files.enter_context(tempfile.NamedTemporaryFile(suffix=".parquet"))  # noqa: SIM115 - `files` does
            shutil.copyfileobj(stream, copy)
            copy.flush()
            return copy.name

    def _arrow(self, connection: Any, files: ExitStack) -> list[str]:
        import pyarrow

        stream = files.enter_context(self._member.open())
        source: Any = stream
        if not self._member.seekable:
            source = files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - `files` closes it
            shutil.copyfileobj(stream, source)
            source.seek(0)
        is_file = source.read(len(_ARROW_FILE)) == _ARROW_FILE
        source.seek(0)
        check_sizes(source, self.name)
        if is_file:
            file = pyarrow.ipc.open_file(source)
            batches = (file.get_batch(i) for i in range(file.num_record_batches))
            reader = pyarrow.RecordBatchReader.from_batches(file.schema, batches)
        else:
            reader = pyarrow.ipc.open_stream(source)
        connection.register("cells", reader)
        return list(reader.schema.names)


def _outermost(tree: Sequence[tuple[str, int | None]]) -> list[str]:
    """The names of the columns in a schema that is written depth first, behind the name of the whole."""
    names: list[str] = []
    open_below: list[int] = []
    for name, children in tree[1:]:
        if not open_below:
            names.append(name)
        else:
            open_below[-1] -= 1
        open_below.append(children or 0)
        while open_below and not open_below[-1]:
            open_below.pop()
    return names


def _is_too_long(cell: str) -> bool:
    return len(cell) > LONGEST_CELL


def _is_nested(kind: str) -> bool:
    return kind.startswith(_NESTED)


def _as_text(column: str, kind: str) -> str:
    """The SQL by which a column is text."""
    name = '"' + column.replace('"', '""') + '"'
    text = f"array_to_string({name}, ',')" if kind.endswith("]") else f"{name}::VARCHAR"
    if "WITH TIME ZONE" in kind or kind.startswith("TIMESTAMPTZ"):
        text = f"replace({text}, '+00', 'Z')"
    return f"left(coalesce({text}, ''), {LONGEST_CELL + 1})"
