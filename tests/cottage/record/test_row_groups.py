from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from cottage.record import row_groups
from cottage.record.compaction import ROW_GROUP, group_size, rows_in
from cottage.record.row_groups import RowGroups
from tests.cottage.record.recorded_history import add, recorder, sample

SYMBOLS = [f"S{number}" for number in range(10)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Ten symbols, two rows each, three rows a group."""
    return write(tmp_path / "rows.parquet")


def read(groups: RowGroups, path: Path, columns: Sequence[str], symbols: Sequence[str] | None) -> Any:
    tables = list(groups.read(path, columns, symbols))
    return pyarrow.concat_tables(tables) if tables else ()


def write(path: Path) -> Path:
    symbols = [symbol for symbol in SYMBOLS for _ in range(2)]
    words = [["gap"]] * len(symbols)
    table = pyarrow.table({"symbol": symbols, "price": [float(at) for at in range(len(symbols))], "notes": words})
    parquet.write_table(table, path, row_group_size=3)
    return path


def test_only_groups_that_may_have_a_symbol_are_read(path: Path) -> None:
    groups = RowGroups()
    assert read(groups, path, ["symbol"], ["S1"])["symbol"].to_pylist() == ["S0", "S0", "S1", "S1", "S2", "S2"]
    assert read(groups, path, ["price"], ["S9", "S0"])["price"].to_pylist() == [0, 1, 2, 18, 19]
    assert len(read(groups, path, ["symbol"], ["T", "A"])) == 0
    assert len(read(groups, path, ["symbol"], [])) == 0
    assert len(read(groups, path, ["symbol"], None)) == 20


def test_much_is_read_in_parts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_groups, "MOST_ROWS", 6)
    assert [len(rows) for rows in RowGroups().read(path, ["symbol"], None)] == [6, 6, 6, 2]


def test_columns_that_a_file_lacks_are_left_out(path: Path) -> None:
    rows = read(RowGroups(), path, ["notes", "alpha", "price"], None)
    assert rows.column_names == ["notes", "price"]
    assert rows["notes"].to_pylist()[0] == ["gap"]


def test_without_statistics_all_of_a_file_is_read(tmp_path: Path) -> None:
    table = pyarrow.table({"symbol": ["A", "B"]})
    parquet.write_table(table, tmp_path / "rows.parquet", write_statistics=False)
    assert len(read(RowGroups(), tmp_path / "rows.parquet", ["symbol"], ["A"])) == 2


def test_a_file_that_is_gone_is_told_also_where_its_end_is_remembered(path: Path) -> None:
    groups = RowGroups()
    read(groups, path, ["symbol"], None)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read(groups, path, ["symbol"], None)


def test_of_many_files_only_the_ends_of_the_last_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write(tmp_path / f"{number}.parquet") for number in range(4)]
    monkeypatch.setattr(row_groups, "MOST_REMEMBERED", 2 * parquet.read_metadata(paths[0]).serialized_size)
    groups = RowGroups()
    for path in (*paths, paths[0]):
        assert len(read(groups, path, ["symbol"], None)) == 20
    assert list(groups._ends) == [paths[3], paths[0]]


@pytest.mark.parametrize(
    ("rows", "size"), [(0, 8_192), (1_800_000, 8_192), (36_000_000, 70_312), (10**9, 2 * ROW_GROUP)]
)
def test_row_groups_are_small_where_that_makes_few(rows: int, size: int) -> None:
    assert group_size(rows) == size <= 131_072


def test_how_many_rows_a_file_has(tmp_path: Path) -> None:
    with recorder(tmp_path) as writer:
        add(writer, samples=[sample(0), sample(1)])
        add(writer, samples=[sample(2)])
    [ahead] = (tmp_path / "ahead").glob("*.samples.arrow")
    assert rows_in(ahead) == 3
    assert rows_in(write(tmp_path / "rows.parquet")) == 20
