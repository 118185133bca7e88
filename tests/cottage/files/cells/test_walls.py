import pytest

from cottage.files.cells.dates import DateOrder
from cottage.files.cells.walls import Wall, fast
from cottage.files.cells.zones import DAY, HOUR, UTC_ZONE, ZoneClock, zone_named

NEW_YEAR = 20_089  # 2025-01-01, counted from 1970


def wall(zone: str = "UTC", stated: str = "", labels: bool = False) -> Wall:
    return Wall(DateOrder("time", []), ZoneClock(zone_named(zone)), stated, labels)


def test_a_date_and_a_time_of_day_are_a_moment_however_often_they_are_read() -> None:
    new_york = wall("America/New_York")
    for _ in range(2):
        assert new_york.at("2025-01-01", "09:30") == NEW_YEAR * DAY + 14 * HOUR + HOUR // 2
        assert new_york.at("2025-07-01", "09:30") == (NEW_YEAR + 181) * DAY + 13 * HOUR + HOUR // 2
        assert new_york.at("2025-01-01", "09:30Z") == NEW_YEAR * DAY + 9 * HOUR + HOUR // 2


def test_a_zone_in_a_cell_is_its_own_alone() -> None:
    stated = wall("UTC", "offset")
    for _ in range(2):
        assert stated.at("2025-01-01", "09:00-05:00") == NEW_YEAR * DAY + 14 * HOUR
        assert stated.at("2025-01-01", "09:00+01:00") == NEW_YEAR * DAY + 8 * HOUR
        assert stated.at("2025-01-01", "09:00 America/New_York") == NEW_YEAR * DAY + 14 * HOUR
        with pytest.raises(ValueError, match="states no zone"):
            stated.at("2025-01-01", "09:00")


def test_a_word_that_is_no_zone() -> None:
    with pytest.raises(ValueError, match="no known name"):
        wall().at("2025-01-01", "09:00 CST")
    assert wall("America/Chicago", labels=True).at("2025-01-01", "09:00 CST") == NEW_YEAR * DAY + 15 * HOUR


def test_a_date_column_may_have_midnight_behind_its_dates() -> None:
    assert wall().day_of("2025-01-01 00:00:00") == wall().day_of("2025-01-01") == NEW_YEAR
    with pytest.raises(ValueError, match="is no date"):
        wall().day_of("2025-01-01 09:30")


def test_what_does_not_lie_after_1970() -> None:
    with pytest.raises(ValueError, match="between 1970 and 2100"):
        wall().at("1970-01-01", "00:00+02:00")


@pytest.mark.parametrize(
    ("like", "clock", "micros"),
    [
        ("09:30:00.123", "00:00:01.5", 1_500_000),
        ("09:30:00.123", "00:00:01", 1_000_000),
        ("09:30:00.123Z", "00:00:01.123456789Z", 1_123_456),
        ("09:30:00.123 GMT+0100", "01:00:01.25 GMT+0100", 1_250_000),
        ("09:30:00.123Z", "01:00:01.25+01:00", 1_250_000),
        ("093000123", "000001250", 1_250_000),
        ("093000123", "000001", 1_000_000),
    ],
)
def test_fractions_are_read_quickly_and_otherwise_the_same(like: str, clock: str, micros: int) -> None:
    made = wall("UTC", "offset" if like.endswith(("Z", "GMT+0100")) else "")
    assert fast(made, [like] * 3)("2025-01-01", clock) == NEW_YEAR * DAY + micros


@pytest.mark.parametrize("clock", ["9:30.5", "00:00:01.", "00:00:01.1234567890", "00:00:01.-5", "00:00:01.1_0", "x"])
def test_what_is_no_fraction(clock: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        fast(wall(), ["09:30:00.123"] * 3)("2025-01-01", clock)


def test_a_zone_for_all_is_utc() -> None:
    assert wall().local(5) == 5
    assert zone_named("UTC") == UTC_ZONE
