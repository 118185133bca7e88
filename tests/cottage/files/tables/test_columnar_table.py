import datetime as dt
import gzip
import io
import sys
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from cottage.errors import MissingExtra, UnusableSource
from cottage.files.cell_table import Table
from cottage.files.options import ReadOptions
from cottage.files.tables.members import members
from cottage.files.tables.open_table import open_table

NS = 1735810200123456789
TABLE = pa.table(
    {
        "t": pa.array(
            [dt.datetime(2025, 1, 2, 14, 30, tzinfo=dt.UTC)] * 3, pa.timestamp("us", tz="America/New_York")
        ),
        "T": pa.array(["a", None, "c"]),
        "naive": pa.array([NS] * 3, pa.timestamp("ns")),
        "ms": pa.array([1735810200123] * 3, pa.timestamp("ms", tz="UTC")),
        "price": pa.array([Decimal("580.140000000")] * 3, pa.decimal128(20, 9)),
        "sym": pa.array(["SPY"] * 3).dictionary_encode(),
        "ts": pa.array([NS] * 3, pa.int64()),
        "size": pa.array([1, None, 3], pa.uint64()),
        "nested": pa.array([{"a": 1, "b": {"c": 2}}] * 3),
        "float": pa.array([1e-9, float("nan"), 580.1]),
        "single": pa.array([580.1] * 3, pa.float32()),
        "conditions": pa.array([["@", "I"], [], None]),
        "legs": pa.array([[{"a": 1}]] * 3),
        "day": pa.array([dt.date(2025, 1, 2)] * 3),
        "clock": pa.array([dt.time(9, 30, 0, 123)] * 3),
        "binary": pa.array([b"SPY"] * 3),
        "flag": pa.array([True, False, None]),
        "__index_level_0__": pa.array([0, 1, 2]),
    }
)
FIRST = {
    "t": "2025-01-02 14:30:00Z",
    "T": "a",
    "naive": "2025-01-02 09:30:00.123456789",
    "ms": "2025-01-02 09:30:00.123Z",
    "price": "580.140000000",
    "sym": "SPY",
    "ts": "1735810200123456789",
    "size": "1",
    "float": "1e-09",
    "single": "580.1",
    "conditions": "@,I",
    "day": "2025-01-02",
    "clock": "09:30:00.000123",
    "binary": "SPY",
    "flag": "true",
    "": "0",
}


def parquet(table: pa.Table, **options: Any) -> bytes:
    into = io.BytesIO()
    pyarrow.parquet.write_table(table, into, **options)
    return into.getvalue()


def arrow_file(table: pa.Table) -> bytes:
    into = io.BytesIO()
    pyarrow.feather.write_feather(table, into, compression="zstd")
    return into.getvalue()


def arrow_stream(table: pa.Table) -> bytes:
    into = io.BytesIO()
    with pa.ipc.new_stream(into, table.schema) as writer:
        writer.write_table(table)
    return into.getvalue()


def opened(folder: Path, content: bytes, name: str = "data") -> Table:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    (member,) = members(folder)
    return open_table(member, ReadOptions())


def read(table: Table) -> list[list[str]]:
    rows = list(table.rows(lambda _line, _error: None))
    assert [number for number, _ in rows] == list(range(1, len(rows) + 1))
    return [list(cells) for _, cells in rows]


@pytest.mark.parametrize("spell", [parquet, arrow_file, arrow_stream])
def test_columns_of_every_type_as_text(tmp_path: Path, spell: Any) -> None:
    table = opened(tmp_path, spell(TABLE))
    assert table.names == tuple(FIRST)
    rows = read(table)
    assert rows[0] == list(FIRST.values())
    second = dict(zip(table.names, rows[1], strict=True))
    empty = {name for name, cell in second.items() if cell == ""}
    assert (empty, second["float"], second["flag"]) == ({"T", "size", "conditions"}, "nan", "false")
    assert table.spelled == f"{'Parquet' if spell is parquet else 'Arrow'}, left out as nested: nested, legs"
    assert table.plain_numbers


@pytest.mark.parametrize("spell", [parquet, arrow_file, arrow_stream])
def test_compressed_and_within_a_zip(tmp_path: Path, spell: Any) -> None:
    table = pa.table({"time": [1, 2], "price": [5.0, 6.5]})
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("a/b.parquet", spell(table))
    for content in (gzip.compress(spell(table)), archive.getvalue()):
        assert read(opened(tmp_path, content)) == [["1", "5.0"], ["2", "6.5"]]


def test_a_name_like_a_glob_is_that_file(tmp_path: Path) -> None:
    table = opened(tmp_path, parquet(pa.table({"time": [1], "price": [5]})), "a[1].parquet")
    (tmp_path / "a1.parquet").write_bytes(parquet(pa.table({"time": [2], "price": [6]})))
    assert read(table) == [["1", "5"]]


def test_many_rows_keep_their_order_and_tell_how_far_they_are(tmp_path: Path) -> None:
    number = 100_000
    many = pa.table({"time": range(number), "price": [5.0] * number})
    for content in (parquet(many, row_group_size=5_000), arrow_stream(many)):
        assert [int(cells[0]) for cells in read(opened(tmp_path, content))] == list(range(number))
    table = opened(tmp_path, parquet(many, row_group_size=5_000))
    (member,) = members(tmp_path)
    table = open_table(member, ReadOptions())
    rows = table.rows(lambda _line, _error: None)
    for _ in range(number // 2):
        next(rows)
    assert member.share == pytest.approx(0.5, abs=0.01)
    places = list(table.places())
    assert [int(place[0][0]) for place in places] == list(range(0, number, number // 24))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (parquet(TABLE)[:-20], "broken, cut short or encrypted"),
        (arrow_file(TABLE)[:-200], "broken, cut short or encrypted"),
        (parquet(TABLE.slice(0, 0)), "holds no rows"),
        (parquet(pa.table({"nested": [{"a": 1}]})), "holds no rows of single values: its columns are nested"),
    ],
)
def test_a_file_that_is_no_use(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(UnusableSource, match=words):
        opened(tmp_path, content)


def test_a_stream_that_is_cut_short(tmp_path: Path) -> None:
    content = arrow_stream(pa.table({"time": range(1000)}))[:-2000]
    with pytest.raises(UnusableSource, match="cut short"):
        read(opened(tmp_path, content))


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingExtra, match=r"pip install 'curiosity-cottage\[files\]'"):
        opened(tmp_path, parquet(TABLE))
