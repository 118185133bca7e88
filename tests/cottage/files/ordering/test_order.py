import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cottage.files.ordering.order import LINE, REORDER_ROWS, ROW, TIME, Entry, are_too_many, reordered, without_strays
from tests.cottage.files.entries import DAY, SECOND, Refused, placed, trade

LONG = 4 * REORDER_ROWS
START = int(datetime(2025, 1, 2, tzinfo=UTC).timestamp()) * SECOND


def at(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * SECOND


def seconds(number: int) -> list[int]:
    return [START + i * SECOND for i in range(number)]


def through(times: list[int]) -> tuple[list[int], Refused]:
    """The times of the rows that come out, and what is refused."""
    refused = Refused()
    rows = without_strays(reordered(placed([trade(time) for time in times]), refused), refused)
    return [entry[TIME] for entry in rows], refused


def test_rows_of_one_time_are_in_order_of_their_ids_then_of_their_places() -> None:
    rows = [trade(5, 1), trade(5, 2), trade(5, 3, sequence=8), trade(5, 4, sequence=7), trade(4, 5)]
    assert [entry[ROW].price for entry in reordered(placed(rows), Refused())] == [5, 1, 2, 4, 3]


def test_newest_first_turns_rows_of_one_time_around() -> None:
    rows = [trade(6, 1), trade(5, 2), trade(5, 3), trade(4, 4)]
    entries = placed(rows, newest_first=True)
    assert [entry[ROW].price for entry in sorted(entries)] == [4, 3, 2, 1]
    assert [entry[LINE] for entry in sorted(entries)] == [5, 4, 3, 2]


def test_rows_that_are_late_by_a_few_are_put_in_their_places() -> None:
    dice = random.Random(7)
    times = sorted(seconds(LONG), key=lambda time: time + dice.uniform(0, 500) * SECOND)
    assert times != sorted(times)
    assert through(times)[0] == sorted(times)


def test_a_row_that_is_late_by_too_many_is_refused() -> None:
    times = seconds(LONG)
    late = times.pop(10)
    came, refused = through([*times[: 3 * REORDER_ROWS], late, *times[3 * REORDER_ROWS :]])
    assert came == times
    assert refused.lines == [3 * REORDER_ROWS + 2]
    assert (refused.errors[0].reason, "ORDER=sort" in refused.errors[0].detail) == ("order", True)


@pytest.mark.parametrize(
    ("place", "year"),
    [
        *((place, year) for place in (0, 1, 3 * REORDER_ROWS) for year in (2026, 2099, 9999)),
        *((place, year) for place in (LONG - 2, LONG) for year in (2099, 9999)),  # within a year it may be true there
    ],
)
def test_one_date_far_ahead_costs_that_row_alone(place: int, year: int) -> None:
    times = seconds(LONG)
    came, refused = through([*times[:place], at(year), *times[place:]])
    assert came == times
    assert refused.lines == [place + 2]


def test_several_dates_far_ahead() -> None:
    times = seconds(LONG)
    came, refused = through([*times[:50], at(2050), at(2099), *times[50:90], at(2040), *times[90:]])
    assert came == times
    assert sorted(refused.lines) == [52, 53, 94]


@pytest.mark.parametrize("number", [3, 10, LONG])
@pytest.mark.parametrize("wild", [0, at(1971)])
def test_a_date_from_long_ago_at_the_beginning(number: int, wild: int) -> None:
    times = seconds(number)
    came, refused = through([wild, *times])
    assert came == times
    assert refused.lines == [2]
    assert "line 3" in refused.errors[0].detail


@pytest.mark.parametrize(
    "times",
    [
        [START, at(2099)],
        [START, START, at(2099)],
        [at(year) for year in range(2000, 2026)],
        [*seconds(50), *(time + 3 * 366 * DAY for time in seconds(50))],
        [START, *(START + 400 * DAY + i * 60 * DAY for i in range(20))],
    ],
    ids=["two", "no-other-gap", "yearly", "two-halves", "irregular"],
)
def test_a_long_gap_alone_shows_no_wild_date(times: list[int]) -> None:
    came, refused = through(times)
    assert came == times
    assert refused.lines == []


def test_what_is_no_order_at_all() -> None:
    refused = Refused()
    rows = list(reordered(placed([trade(time) for time in seconds(LONG // 2) * 2]), refused))
    assert are_too_many(len(refused.lines), LONG)
    assert rows == sorted(rows)
    assert not are_too_many(1, 20)
    for number in (1, LONG // 2, LONG + 7):  # newest first
        refused = Refused()
        rows = list(reordered(placed([trade(time) for time in reversed(seconds(number))]), refused))
        assert rows == sorted(rows)
        assert len(rows) + len(refused.lines) == number


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 3)), max_size=200))
def test_few_rows_come_sorted_whatever_their_order(rows: list[tuple[int, int]]) -> None:
    entries: list[Entry] = placed([trade(time, sequence=sequence) for time, sequence in rows])
    assert list(reordered(entries, Refused())) == sorted(entries)
