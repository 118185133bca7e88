"""A table that the physics API answered from the record, for programs: Arrow, pandas or polars."""

import importlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, Self

import orjson

from cottage.errors import InvalidMessage, MissingExtra
from cottage.record.arrow_schema import arrow_schema, pyarrow

HEAD_KEY = b"cottage"
"""In the metadata of an Arrow answer's schema: all of the JSON answer but the points."""


class AnswerTable:
    """What the physics API answered from the record. `pyarrow.table()`, `polars.DataFrame()` and DuckDB take it as it
    is, by Arrow's PyCapsule interface.

    Times are timestamps in UTC, in microseconds, but for `run`, which is the number by which a run is asked for. What
    is not known is null, and so is all of a point without a sample but its `count`.
    """

    def __init__(self, table: Any, about: Mapping[str, Any]) -> None:
        self._table = table
        self.about = about
        """What the answer says beside its rows, such as `source`, `run`, `step` and `until`."""

    @classmethod
    def of_stream(cls, stream: bytes) -> Self:
        """The table of an Arrow stream. Raises InvalidMessage if it is none of the API's."""
        arrow = pyarrow()
        try:
            with arrow.ipc.open_stream(stream) as reader:
                table = reader.read_all()
            return cls(table, orjson.loads(table.schema.metadata[HEAD_KEY]))
        except (arrow.ArrowInvalid, TypeError, KeyError, ValueError) as error:
            raise InvalidMessage("arrow", "that is no table of the physics API's") from error

    @classmethod
    def of_rows(cls, rows: Sequence[Mapping[str, Any]], tables: Iterable[str], about: Mapping[str, Any]) -> Self:
        """A table of rows as JSON has them, with their `kind` and all columns of these tables of a record: those that
        a row has not are null."""
        arrow = pyarrow()
        fields = {"kind": arrow.field("kind", arrow.string())}
        for field in chain.from_iterable(map(arrow_schema, tables)):
            fields.setdefault(field.name, field.with_nullable(True))
        arrays = {}
        for field in fields.values():
            values, kind = [row.get(field.name) for row in rows], field.type
            if (field.metadata or {}).get(b"kind") == b"time" and field.name != "run":
                values = [None if value is None else datetime.fromisoformat(value) for value in values]
                kind = arrow.timestamp("us", "UTC")
            arrays[field.name] = arrow.array(values, kind)
        return cls(arrow.table(arrays), about)

    def to_arrow(self) -> Any:
        """The pyarrow.Table."""
        return self._table

    def to_pandas(self) -> Any:
        """A pandas.DataFrame of the same columns. Raises MissingExtra without pandas."""
        _needed("pandas")
        return self._table.to_pandas()

    def to_polars(self) -> Any:
        """A polars.DataFrame of the same columns. Raises MissingExtra without polars."""
        return _needed("polars").from_arrow(self._table)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __repr__(self) -> str:
        return f"AnswerTable({len(self)} rows: {', '.join(self._table.column_names)})"


def _needed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"to_{name}() needs {name}: pip install 'curiosity-cottage[{name}]'") from error
