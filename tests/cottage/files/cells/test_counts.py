from datetime import date

import pytest

from cottage.files.cells.counts import (
    EXCEL,
    MATLAB,
    SINCE_1970,
    UNITS,
    days_of,
    excel_reader,
    is_excel,
    is_excel_column,
    is_modern,
)
from cottage.files.cells.zones import DAY

NEW_YEAR = 1_735_689_600  # 2025-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("unit", "text", "micros"),
    [
        ("seconds since 1970", "1735689600", 0),
        ("seconds since 1970", "1735689600.1797", 179_700),
        ("seconds since 1970", "1735689600,25", 250_000),
        ("seconds since 1970", "1.735689600100e9", 100_000),
        ("milliseconds since 1970", "1735689600123", 123_000),
        ("milliseconds since 1970", "1735689600123.4567", 123_456),
        ("microseconds since 1970", "1735689600123456.7", 123_456),
        ("nanoseconds since 1970", "1735689600123456789", 123_456),
    ],
)
def test_counts_are_read_to_the_microsecond(unit: str, text: str, micros: int) -> None:
    assert UNITS[unit].reader([text])(text) == NEW_YEAR * 1_000_000 + micros


@pytest.mark.parametrize("count", SINCE_1970)
def test_a_number_of_another_unit_is_none_of_this(count: object) -> None:
    read = UNITS[count.unit].reader([])  # type: ignore[attr-defined]
    texts = ["1735689600", "1735689600000", "1735689600000000", "1735689600000000000"]
    assert sum(_is_read(read, text) for text in texts) == 1
    for text in ("-1", "1e999999", "1_735_689_600", "5000000000000000000", "x", "", "١٢"):
        assert not _is_read(read, text)


def _is_read(read: object, text: str) -> bool:
    try:
        read(text)  # type: ignore[operator]
    except ValueError:
        return False
    return True


def test_scientific_notation_that_has_lost_digits_is_no_time() -> None:
    lost = UNITS["milliseconds since 1970"].reader(["1.7357E+12"])
    with pytest.raises(ValueError, match="lost its last digits"):
        lost("1.7357E+12")
    kept = UNITS["milliseconds since 1970"].reader(["1.7356896E+12", "1.735689600123E+12"])
    assert kept("1.7356896E+12") == NEW_YEAR * 1_000_000


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("45658", 0),
        ("45658.0", 0),
        ("45658.395833", 34_200_000_000),
        ("45658.39583", 34_200_000_000),
        ("45658.3958333333", 34_200_000_000),
        ("45658.3958346759", 34_200_116_000),
    ],
)
def test_days_of_a_spreadsheet(text: str, micros: int) -> None:
    assert excel_reader([text])(text) == NEW_YEAR * 1_000_000 + micros


@pytest.mark.parametrize("text", ["45658.4", "45658.40", "45658.3958", "1.5", "99999", "45658.395839"])
def test_days_that_do_not_tell_their_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"digits|between"):
        excel_reader([text])(text)


def test_which_numbers_are_modern_times() -> None:
    assert all(map(is_modern, ("1735689600", "1735689600.5", "1735689600000", "1735689600000000000")))
    assert not any(map(is_modern, ("1", "20250102", "34200", "093000289906625", "45658.5", "x")))


def test_which_columns_hold_days_of_a_spreadsheet() -> None:
    assert is_excel("45658", date(2025, 1, 2))
    assert not is_excel("34200.449", date(2025, 1, 2))
    assert is_excel_column(["45658", "45659", "45660"])
    assert is_excel_column(["45658.395833", "45658.396528"])
    assert not is_excel_column(["34200", "34260", "34320"])
    assert not is_excel_column(["34200.449096669", "34202.298599300"])
    assert DAY == 86_400_000_000


def test_days_of_matlab_are_told_from_those_of_a_spreadsheet() -> None:
    days = 719_529 + NEW_YEAR // 86_400
    assert is_excel_column([str(days), str(days + 1), str(days + 4)])
    assert days_of([str(days)]) == MATLAB
    assert excel_reader([str(days)])(str(days)) == NEW_YEAR * 1_000_000
    assert excel_reader([f"{days}.3958333333"])(f"{days}.3958333333") == (NEW_YEAR + 34_200) * 1_000_000
    assert days_of([str(days - 719_529 + 25_569)]) == EXCEL
