import struct
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cottage.record.arrow_schema import arrow_schema
from cottage.record.digest import MODULUS, as_text, digest_of, from_text, together
from cottage.record.schema import TABLES
from tests.cottage.record.rows_of_samples import samples


def table_of(columns: dict[str, list[Any]], table: str = "samples") -> Any:
    schema = arrow_schema(table)
    length = len(next(iter(columns.values())))
    arrays = [pa.array(columns.get(field.name, [None] * length), field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def by_its_description(columns: dict[str, list[Any]], table: str = "samples") -> int:
    """The digest as the module's head says it, row by row and without Arrow."""
    total = 0
    for place in range(len(next(iter(columns.values())))):
        fixed, texts = b"", []
        for column in TABLES[table]:
            value = columns[column.name][place] if column.name in columns else None
            if column.kind == "text":
                texts.append(b"\x00" if value is None else value.encode())
            elif column.kind == "words":
                texts.append(b"\x00" if value is None else b"\x1f".join(word.encode() for word in value))
            elif value is None:
                fixed += b"\xff" * 7 + b"\x7f"
            else:
                fixed += struct.pack("<d" if column.kind == "number" else "<q", value)
        total += int.from_bytes(blake2b(fixed + b"\x1e".join(texts)).digest(), "little")
    return total % 2**512


def test_it_is_what_is_described() -> None:
    columns = samples(("SPY", "ÄÖ", "a b"), range(8))
    columns["notes"][0] = ["gap", "break"]
    columns["price"][1] = -0.0
    assert digest_of(table_of(columns), "samples") == by_its_description(columns)
    names = ("run", "epoch", "seq", "at", "recorded")
    regimes: dict[str, list[Any]] = {name: [place] for place, name in enumerate(names)}
    regimes |= {"symbol": ["SPY"], "regime": ["WAIT"]}
    assert digest_of(table_of(regimes, "regimes"), "regimes") == by_its_description(regimes, "regimes")


def test_order_and_files_do_not_matter_and_times_do() -> None:
    rows = table_of(samples(seqs=range(2000)))  # more than are encoded at once
    whole = digest_of(rows, "samples")
    assert digest_of(rows.take(list(reversed(range(len(rows))))), "samples") == whole
    parts = [digest_of(part, "samples") for part in (rows.slice(0, 1), rows.slice(1, 2998), rows.slice(2999))]
    assert together(*parts) == whole
    assert together(whole, whole) == 2 * whole % MODULUS != whole


@pytest.mark.parametrize("name", [column.name for column in TABLES["samples"]])
def test_each_column_counts(name: str) -> None:
    columns = samples(("SPY",), (1,))
    kind = next(column.kind for column in TABLES["samples"] if column.name == name)
    values: dict[str, list[Any]] = {
        "text": [None, "", "other"],
        "words": [None, [], ["other"], ["two", "words"]],
        "flag": [True, False],
        "number": [None, 0.0, -0.0, 1.5],
    }
    digests = {digest_of(table_of(columns | {name: [value]}), "samples") for value in values.get(kind, [None, 0, 1])}
    assert len(digests) == len(values.get(kind, [None, 0, 1]))


def test_it_can_be_computed_from_a_parquet_file_alone(tmp_path: Path) -> None:
    rows = table_of(samples(seqs=range(5)))
    pq.write_table(rows, tmp_path / "rows.parquet")
    digest = digest_of(rows, "samples")
    assert digest_of(pq.read_table(tmp_path / "rows.parquet"), "samples") == digest
    without = rows.drop_columns(["grid", "native", "void"])  # as a file of a version that had not these
    assert digest_of(without, "samples") == digest
    assert digest_of(without.select(list(reversed(without.column_names))), "samples") == digest


def test_as_text() -> None:
    assert from_text(as_text(MODULUS - 1)) == MODULUS - 1
    assert len(as_text(1)) == 128
