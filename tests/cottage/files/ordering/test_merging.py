from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from cottage.errors import UnusableSource
from cottage.files.ordering.merging import Overlap, Series, merged
from cottage.files.ordering.order import ROW, TIME, Entry
from cottage.files.rows import Row
from tests.cottage.files.entries import bar, placed, trade

NAMES = ("january.csv", "day.csv", "other.csv")


class Files:
    """Files of rows, in order, and which of them were opened before each row."""

    def __init__(self, *files: list[Row]) -> None:
        self.opened: list[int] = []
        self.overlap = Overlap(NAMES.__getitem__)
        self._streams = [Series(rows[0].time, partial(self._open, number, rows)) for number, rows in enumerate(files)]

    def _open(self, number: int, rows: list[Row]) -> Iterator[Entry]:
        self.opened.append(number)
        return iter(sorted(placed(rows, number)))

    def entries(self) -> Iterator[Entry]:
        return self.overlap.once(merged(self._streams))

    def rows(self) -> list[Row]:
        return [entry[ROW] for entry in self.entries()]


def test_each_file_is_opened_when_its_first_row_is_due() -> None:
    files = Files([trade(time) for time in (20, 21)], [trade(time) for time in (1, 2, 10)], [trade(30)])
    opened = [(entry[TIME], list(files.opened)) for entry in files.entries()]
    assert opened == [
        (1, [1]),
        (2, [1]),
        (10, [1]),
        (20, [1, 0]),
        (21, [1, 0]),
        (30, [1, 0, 2]),
    ]


def test_files_of_different_symbols_are_merged() -> None:
    files = Files(
        [trade(time, symbol="A") for time in (1, 3, 5)],
        [trade(time, symbol="B") for time in (2, 3, 9)],
        [trade(time, symbol="C") for time in (3, 4)],
    )
    assert [(row.time, row.symbol) for row in files.rows()] == [
        (1, "A"),
        (2, "B"),
        (3, "A"),
        (3, "B"),
        (3, "C"),
        (4, "C"),
        (5, "A"),
        (9, "B"),
    ]


def test_rows_of_one_time_come_by_their_ids_then_by_files() -> None:
    files = Files(
        [trade(1, 1, sequence=5), trade(1, 2, "B"), trade(1, 3, sequence=8)],
        [trade(1, 4, "D", sequence=7), trade(1, 5, "C")],
    )
    assert [row.price for row in files.rows()] == [2, 5, 1, 4, 3]


def test_a_month_and_one_of_its_days_by_their_ids() -> None:
    month = [trade(time, time, sequence=time) for time in range(1, 40)]
    day = month[9:20]
    files = Files(month, day)
    assert files.rows() == month
    assert files.overlap.twice == len(day)


def test_three_that_overlap_and_one_has_a_hole() -> None:
    whole = [trade(time, time, sequence=time) for time in range(1, 60)]
    files = Files(whole[:15] + whole[18:30], whole[10:40], whole[28:])
    assert files.rows() == whole
    held = 15 + 12 + 30 + 31
    assert files.overlap.twice == held - len(whole)


def test_bars_that_two_files_hold() -> None:
    month = [bar(60 * i, 10 + i, symbol) for i in range(1, 9) for symbol in ("A", "B")]
    files = Files(month, month[4:8])
    assert files.rows() == month
    assert files.overlap.twice == 4


@pytest.mark.parametrize("other", [{"price": 11.5}, {"volume": 7.0}])
def test_two_different_rows_for_one_trade_are_refused(other: dict[str, Any]) -> None:
    month = [trade(time, time, sequence=time) for time in range(1, 40)]
    day = [month[9], month[10]._replace(**other), month[11]]
    with pytest.raises(UnusableSource, match=r"january\.csv and day\.csv hold different rows of ES .*price 11"):
        Files(month, day).rows()


def test_files_that_share_no_row_and_alternate_are_refused() -> None:
    without_ids = [trade(time) for time in range(1, 40)]
    venue = [trade(time, sequence=900 + time) for time in range(10, 20)]
    for other in (without_ids[9:20], venue):
        with pytest.raises(UnusableSource, match=r"both hold ES at .*play one of them"):
            Files(without_ids, other).rows()


def test_files_that_follow_one_another() -> None:
    first, second = [trade(time) for time in (1, 2, 3, 3)], [trade(time) for time in (3, 3, 4)]
    files = Files(first, second)
    assert files.rows() == [*first, *second]
    assert files.overlap.twice == 0
