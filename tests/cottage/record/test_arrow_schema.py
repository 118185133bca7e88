import pyarrow as pa
import pytest

from cottage.record.arrow_schema import arrow_schema, conform
from cottage.record.schema import TABLES


@pytest.mark.parametrize("table", TABLES)
def test_each_table_has_its_columns_with_units(table: str) -> None:
    schema = arrow_schema(table)
    assert schema.names == [column.name for column in TABLES[table]]
    for column in TABLES[table]:
        field = schema.field(column.name)
        assert field.nullable == (not column.required)
        assert field.metadata[b"kind"] == column.kind.encode()
        assert (b"unit" in field.metadata) == (column.kind == "time")


def test_rows_of_another_version_are_made_to_fit() -> None:
    schema = arrow_schema("outages")
    rows = pa.table({"later": [1], "since": pa.array([5], pa.int32()), "recorded": [6], "hop": ["redis"]})
    found = conform(rows, "outages")
    assert found.schema.equals(schema)
    assert found.to_pylist() == [{"hop": "redis", "cause": None, "since": 5, "until": None, "recorded": 6}]
    assert conform(found, "outages") is found
