from datetime import timedelta

import pytest

from cottage.files.cells.clocks import clock_of, digits_width


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("9:30", timedelta(hours=9, minutes=30)),
        ("09:30:05", timedelta(hours=9, minutes=30, seconds=5)),
        ("09:30:05.123", timedelta(hours=9, minutes=30, seconds=5, milliseconds=123)),
        ("09:30:05,1", timedelta(hours=9, minutes=30, seconds=5, milliseconds=100)),
        ("09:30:05:123", timedelta(hours=9, minutes=30, seconds=5, milliseconds=123)),
        ("09:30:05.123456789", timedelta(hours=9, minutes=30, seconds=5, microseconds=123_456)),
        ("9:30 AM", timedelta(hours=9, minutes=30)),
        ("9:30:05.5 p.m.", timedelta(hours=21, minutes=30, seconds=5, milliseconds=500)),
        ("12:00 AM", timedelta()),
        ("12:00 PM", timedelta(hours=12)),
        ("11-AM", timedelta(hours=11)),
        ("0930", timedelta(hours=9, minutes=30)),
        ("093005", timedelta(hours=9, minutes=30, seconds=5)),
        ("093005123", timedelta(hours=9, minutes=30, seconds=5, milliseconds=123)),
        ("24:00", timedelta(days=1)),
    ],
)
def test_spellings_of_times_of_day(text: str, found: timedelta) -> None:
    assert clock_of(text) == found // timedelta(microseconds=1)


@pytest.mark.parametrize(
    "text", ["", "9", "930", "25:00", "24:01", "9:60", "09:30:60", "13:00 PM", "9:30:05.", "nine", "30:00.1"]
)
def test_what_is_no_time_of_day(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no time of day|above 12"):
        clock_of(text)


def test_how_many_digits_there_were_before_zeros_were_lost() -> None:
    assert [digits_width(length) for length in (1, 3, 4, 5, 6, 8, 9, 14, 15)] == [4, 4, 4, 6, 6, 9, 9, 15, 15]
