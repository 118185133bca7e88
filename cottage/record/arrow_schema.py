"""The tables of a record as Arrow has them: one type a kind, with units and meanings in the metadata."""

from functools import cache
from typing import Any

from cottage.errors import MissingExtra
from cottage.record.schema import FORMAT, TABLES, VERSION

UNITS = {"time": "microseconds since 1970-01-01, UTC"}


def pyarrow() -> Any:
    """The module pyarrow. Raises MissingExtra where it is not installed."""
    try:
        import pyarrow
        import pyarrow.compute
    except ImportError as error:
        raise MissingExtra("a record needs pip install 'curiosity-cottage[files]'") from error
    return pyarrow


@cache
def arrow_schema(table: str) -> Any:
    """The pyarrow.Schema of a table: all its columns, in the order of schema.py."""
    arrow = pyarrow()
    types = {
        "text": arrow.string(),
        "words": arrow.list_(arrow.string()),
        "whole": arrow.int64(),
        "number": arrow.float64(),
        "flag": arrow.bool_(),
        "time": arrow.int64(),
    }
    fields = []
    for column in TABLES[table]:
        metadata = {"about": column.about, "kind": column.kind}
        if column.kind in UNITS:
            metadata["unit"] = UNITS[column.kind]
        fields.append(arrow.field(column.name, types[column.kind], not column.required, metadata))
    return arrow.schema(fields, metadata={"format": FORMAT, "version": str(VERSION), "table": table})


def matching(rows: Any, mask: Any) -> Any:
    """Those rows where the mask says so; without copying them where that is all."""
    return rows if len(rows) == pyarrow().compute.sum(mask).as_py() else rows.filter(mask)


def conform(rows: Any, table: str) -> Any:
    """A pyarrow.Table or RecordBatch with exactly the columns of the table, by name: those that it has not are
    null, and those that this version does not know are left out."""
    arrow = pyarrow()
    schema = arrow_schema(table)
    if rows.schema.equals(schema):
        return rows
    columns = []
    for field in schema:
        if rows.schema.get_field_index(field.name) < 0:
            columns.append(arrow.nulls(len(rows), field.type))
        else:
            column = rows.column(field.name)
            columns.append(column if column.type == field.type else column.cast(field.type))
    return type(rows).from_arrays(columns, schema=schema)
