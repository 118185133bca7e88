import pytest

from cottage.files.cells.time_cells import (
    TimeColumn,
    as_floats,
    is_clock,
    is_digit_date,
    is_midnight,
    is_of_day,
    is_padded_clock,
    suffix,
)


@pytest.mark.parametrize(
    ("name", "cell", "role"),
    [
        ("a", "2025-01-02", "date"),
        ("a", "20250102", "date"),
        ("a", "2025-01-02 09:30", "moment"),
        ("a", "09:30", "clock"),
        ("a", "93000", "clock"),
        ("ms", "123", "fraction"),
        ("Microseconds", "123456", "fraction"),
        ("GMT Offset", "-5", "offset"),
        ("a", "-05:00", "offset"),
        ("a", "America/New_York", "offset"),
    ],
)
def test_what_a_column_is_among_several(name: str, cell: str, role: str) -> None:
    assert TimeColumn.of(name, [cell, "", cell]).role == role


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("Gmt time", "UTC"),
        ("time_utc", "UTC"),
        ("time (America/New_York)", "America/New_York"),
        ("Time[G]", "UTC"),
        ("date (local)", None),
        ("Local time", None),
        ("GMT Offset", None),
    ],
)
def test_the_zone_that_a_name_states(name: str, zone: str | None) -> None:
    found = TimeColumn.of(name, ["x"]).zone
    assert (found.name if found else None) == zone


def test_cells_that_hold_something() -> None:
    assert TimeColumn.of("a", ["", " 1 ", "null", "2"]).texts == ["1", "2"]
    assert len(TimeColumn.of("a", ["1"] * 50_000).texts) <= 1000


@pytest.mark.parametrize(
    ("name", "text", "micros"), [("ms", "250", 250_000), ("usec", "250", 250), ("ns", "2500", 2)]
)
def test_fractions_of_a_second(name: str, text: str, micros: int) -> None:
    assert TimeColumn.of(name, [text]).fraction()(text) == micros
    with pytest.raises(ValueError, match="no fraction"):
        TimeColumn.of(name, [text]).fraction()("1000000000")


def test_what_cells_may_be() -> None:
    assert all(map(is_digit_date, ("20250102", "2025010209", "20250102093000", "20250102093000123")))
    assert not any(map(is_digit_date, ("20251301", "2025-01-02", "1735689600", "20250102990000")))
    assert is_clock("0930")
    assert not is_clock("9999")
    assert is_padded_clock("093000")
    assert not is_padded_clock("193000")
    assert all(map(is_of_day, ("34200", "34200.449", "34200212", "093000", "103000289")))
    assert not is_of_day("5")
    assert is_midnight("1/2/2025 12:00:00 AM")
    assert not is_midnight("1/2/2025 9:30")
    assert [suffix(text) for text in ("-5", "5", "05:30", "UTC")] == ["-5", "+5", "+05:30", " UTC"]
    assert as_floats(["1,5", "x", "2"]) == [1.5, 2.0]
