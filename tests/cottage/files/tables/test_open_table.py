import gzip
import io
import sqlite3
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from cottage.errors import UnusableSource
from cottage.files.cell_table import Table
from cottage.files.options import ReadOptions
from cottage.files.tables.members import members
from cottage.files.tables.open_table import open_table


def opened(path: Path, content: bytes) -> Table:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    (member,) = members(path)
    return open_table(member, ReadOptions())


def read(table: Table) -> list[list[str]]:
    return [list(cells) for _, cells in table.rows(lambda _line, _error: None)]


def parquet() -> bytes:
    into = io.BytesIO()
    pyarrow.parquet.write_table(pa.table({"time": [1735689600], "price": [5.0]}), into)
    return into.getvalue()


TEXT = b"time,price\n1735689600,5.0\n"
JSON = b'[{"time":1735689600,"price":5.0}]'


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.parquet", "a"])
@pytest.mark.parametrize("content", [TEXT, JSON, b"\xef\xbb\xbf\n " + JSON, parquet(), gzip.compress(parquet())])
def test_the_kind_is_told_by_what_is_in_it(tmp_path: Path, name: str, content: bytes) -> None:
    table = opened(tmp_path / name, content)
    assert table.names == ("time", "price")
    assert read(table) == [["1735689600", "5.0"]]


def test_a_text_that_only_begins_like_json(tmp_path: Path) -> None:
    assert opened(tmp_path / "a.csv", b"[Prices of SPY]\n" + TEXT).names == ("time", "price")


@pytest.mark.parametrize("content", [TEXT, JSON, parquet()])
def test_folders_that_say_more_of_the_rows(tmp_path: Path, content: bytes) -> None:
    table = opened(tmp_path / "date=2025-01-01" / "symbol=BTC%2FUSD" / "price=7" / "part-0", content)
    assert table.names == ("date", "symbol", "time", "price")
    assert read(table) == [["2025-01-01", "BTC/USD", "1735689600", "5.0"]]
    assert "folders by date, symbol, price" in table.spelled
    assert [list(rows[0]) for rows in table.places()] in ([], read(table), [read(table)[0]])


def test_without_names_a_folder_says_the_symbol_alone(tmp_path: Path) -> None:
    rows = "".join(f"{1735689600 + i},5.0,7\n" for i in range(3))
    table = opened(tmp_path / "date=2025-01-01" / "symbol=SPY" / "part-0.csv", rows.encode())
    assert table.names is None
    assert read(table)[0] == ["SPY", "1735689600", "5.0", "7"]
    assert opened(tmp_path / "date=2025-01-02" / "part-0.csv", rows.encode()).names is None


def database(folder: Path) -> bytes:
    connection = sqlite3.connect(folder / "database")
    connection.execute("CREATE TABLE prices (price)")
    connection.close()
    return (folder / "database").read_bytes()


def archive(folder: Path) -> bytes:
    (folder / "inner.csv").write_bytes(TEXT)
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w:gz") as tar:
        tar.add(folder / "inner.csv", "inner.csv")
    return into.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (database, "an SQLite database: write the table as CSV"),
        (archive, "a tar archive: unpack it"),
        (lambda _folder: b"\n<!DOCTYPE html>\n<html>", "a web page or XML: download the file itself"),
        (lambda _folder: gzip.compress(b"PK\x03\x04..."), "a zip within another file: unpack it"),
        (lambda _folder: b"\x89HDF\r\n\x1a\n", "HDF5: write it as Parquet or CSV"),
        (lambda _folder: b"", "is empty"),
    ],
)
def test_kinds_of_files_that_are_not_read(tmp_path: Path, content: object, words: str) -> None:
    assert callable(content)
    with pytest.raises(
        UnusableSource, match=f"prices.csv is {words}" if words != "is empty" else "prices.csv is empty"
    ):
        opened(tmp_path / "prices.csv", content(tmp_path))
