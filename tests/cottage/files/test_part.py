"""Whether a file is in order of time is found out before its first row comes."""

import gzip
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from cottage.files import part as parts
from cottage.files.options import ReadOptions
from cottage.files.recording import Recording

HEADER = "timestamp,symbol,price,size\n"
START = 1_735_689_600


def written(folder: Path, rows: Sequence[str], name: str = "trades.csv") -> Path:
    path = folder / name
    content = (HEADER + "\n".join(rows) + "\n").encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def in_order(number: int, symbol: str = "AAPL") -> list[str]:
    return [f"{START + i},{symbol},{100 + i % 50 / 100},1" for i in range(number)]


class Read:
    def __init__(self, path: Path, symbols: frozenset[str] = frozenset(), **options: str) -> None:
        doing: set[str] = set()
        with closing(
            Recording(path, symbols, options=ReadOptions(**options), on_progress=lambda what, _: doing.add(what))
        ) as recording:
            rows = list(recording)
            (self.part,) = recording.parts
            self.bad = recording.bad
        self.looked_through = any(what.startswith("looking through") for what in doing)
        self.times = [row.time // 1_000_000 - START for row in rows]
        self.prices = [row.price for row in rows]


@pytest.fixture(autouse=True)
def short_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SAMPLE_ROWS", 5000)
    monkeypatch.setattr(parts, "_PROGRESS_ROWS", 1000)


def test_a_file_in_order_is_read_as_it_is(tmp_path: Path) -> None:
    read = Read(written(tmp_path, in_order(20_000)))
    assert read.part.is_ordered
    assert read.times == list(range(20_000))


def test_newest_first_and_rows_of_one_time_are_turned_around(tmp_path: Path) -> None:
    rows = [f"{START + i // 3},ES,{100 + i},1" for i in range(9000)]
    read = Read(written(tmp_path, rows[::-1]))
    assert not read.part.is_ordered
    assert read.prices == [100 + i for i in range(9000)]


@pytest.mark.parametrize("name", ["day.csv", "day.csv.gz"])
def test_sorted_by_symbol_beyond_its_beginning(tmp_path: Path, name: str) -> None:
    """It is seen at places in the file or, where one cannot jump, by a pass over it."""
    read = Read(written(tmp_path, in_order(12_000) + in_order(12_000, "MSFT"), name))
    assert not read.part.is_ordered
    assert read.times == [i // 2 for i in range(24_000)]
    assert read.looked_through == name.endswith("gz")


@pytest.mark.parametrize(
    ("name", "wanted", "looked"),
    [("day.csv.gz", "", True), ("day.csv.gz", "AAPL", False), ("AAPL_day.csv.gz", "", False), ("day.csv", "", False)],
)
def test_all_of_a_file_is_looked_through_only_if_another_symbol_may_follow(
    tmp_path: Path, name: str, wanted: str, looked: bool
) -> None:
    read = Read(written(tmp_path, in_order(12_000), name), frozenset(filter(None, [wanted])))
    assert read.part.is_ordered
    assert read.times == list(range(12_000))
    assert read.looked_through == looked


def test_a_file_that_only_looks_sorted_is_sorted_if_that_is_stated(tmp_path: Path) -> None:
    rows = in_order(20_000)
    late = rows.pop(100)
    path = written(tmp_path, [*rows, late])
    read = Read(path)
    assert read.bad == {"order": 1}
    assert len(read.times) == 19_999
    read = Read(path, order="sort")
    assert read.times == list(range(20_000))
    assert read.bad == {}


def test_by_receive_time_where_there_are_two(tmp_path: Path) -> None:
    lines = ["timestamp,local_timestamp,symbol,price,amount"]
    lines += [f"{START + i},{START + i + (3 if i % 10 == 4 else 1)},ES,{100 + i},1" for i in range(100)]
    path = tmp_path / "trades.csv"
    path.write_text("\n".join(lines) + "\n")
    with closing(Recording(path)) as recording:
        rows = list(recording)
    assert [row.time for row in rows] == sorted(row.time for row in rows)
    assert {(row.time - (row.event_time or 0)) // 1_000_000 for row in rows} == {1, 3}
    assert recording.parts[0].understanding.median_lag == 1.0
