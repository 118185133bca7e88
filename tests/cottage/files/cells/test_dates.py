from datetime import date, timedelta

import pytest

from cottage.errors import UnusableSource
from cottage.files.cell_table import Ambiguous
from cottage.files.cells.dates import DateOrder, day_of


def read(text: str, order: str = "") -> date:
    return date(1970, 1, 1) + timedelta(days=day_of(text, order))


@pytest.mark.parametrize(
    "text",
    [
        *("2025-01-02", "2025/1/2", "2025.01.02", "20250102", "02-Jan-2025", "2-JAN-25", "2 January 2025"),
        *("02Jan2025", "Jan 2, 2025", "January 2nd 2025", "2. Januar 2025", "2025-Jan-02"),
    ],
)
def test_spellings_of_one_date(text: str) -> None:
    assert read(text) == date(2025, 1, 2)


def test_german_months() -> None:
    assert [read(f"1. {month} 2025").month for month in ("Mär", "Mai", "Okt", "Dezember")] == [3, 5, 10, 12]


@pytest.mark.parametrize(
    ("text", "order", "found"),
    [
        ("1/2/2025", "mdy", date(2025, 1, 2)),
        ("1/2/2025", "dmy", date(2025, 2, 1)),
        ("01.02.69", "dmy", date(1969 + 1, 2, 1)),
        ("25-01-02", "ymd", date(2025, 1, 2)),
        ("31/12/99", "dmy", date(1999, 12, 31)),
    ],
)
def test_dates_whose_order_is_told(text: str, order: str, found: date) -> None:
    if text == "01.02.69":
        with pytest.raises(ValueError, match="1970"):
            day_of(text, order)
    else:
        assert read(text, order) == found


@pytest.mark.parametrize(
    "text",
    ["", "2025-1", "2025-13-01", "2025-02-29", "1/2/2025", "2025-01.02", "2101-01-01", "1969-12-31", "32-Jan-2025"],
)
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(ValueError, match=r"no date|first|range|month|between"):
        day_of(text)


@pytest.mark.parametrize(
    ("texts", "order"),
    [
        (["1/2/2025", "1/13/2025"], "mdy"),
        (["1/2/2025", "13/1/2025"], "dmy"),
        (["1.2.2025", "3.2.2025"], "dmy"),
        (["1.13.2025", "1.2.2025"], "mdy"),
        (["99-01-31", "99-02-01"], "ymd"),
        (["2025-01-31"], ""),
        ([*[f"1/{day}/2025" for day in range(1, 29)] * 8, "13/1/2025"], "mdy"),
    ],
)
def test_the_order_is_settled_by_all_dates(texts: list[str], order: str) -> None:
    found = DateOrder("date", texts)
    assert found.order == order
    assert found.guess is None


def test_a_single_day_has_the_month_first_and_that_is_told() -> None:
    found = DateOrder("date", ["1/2/2025"])
    assert (found.order, found.word) == ("mdy", "month first")
    assert found.guess is not None
    assert (found.guess.taken, found.guess.option) == ("2025-01-02 (month-first)", "ORDER=day-first")
    with pytest.raises(Ambiguous):
        found.day_of("1/3/2025")


def test_an_order_that_is_stated() -> None:
    assert DateOrder("date", ["1/2/2025", "3/4/2025"], "dmy").order == "dmy"
    with pytest.raises(UnusableSource, match="ORDER=month-first"):
        DateOrder("date", ["13/2/2025"], "mdy")


def test_dates_of_both_orders_are_refused() -> None:
    with pytest.raises(UnusableSource, match="neither"):
        DateOrder("date", ["1/13/2025", "13/1/2025"])
