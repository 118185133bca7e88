from datetime import UTC, datetime, timedelta

import pytest

from cottage.errors import UnusableSource
from cottage.files.cells.zones import HOUR, MINUTE, ZoneClock, is_zone, zone_named

NEW_YORK = zone_named("America/New_York")


def local(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )


def hours_read(texts: list[str], newest_first: bool = False, step: int = MINUTE) -> list[int | None]:
    """How many hours each local time of rows in New York is behind UTC; None where it is no moment."""
    clock = ZoneClock(NEW_YORK)
    clock.follow(newest_first, step)
    found: list[int | None] = []
    for text in texts:
        try:
            found.append((clock.utc(local(text)) - local(text)) // HOUR)
        except ValueError:
            found.append(None)
    return found


@pytest.mark.parametrize(
    ("text", "name", "hours"),
    [
        ("UTC", "UTC", 0),
        ("z", "UTC", 0),
        ("GMT", "UTC", 0),
        ("+00:00", "UTC", 0),
        ("-05:00", "-05:00", 5),
        ("GMT+0100", "+01:00", -1),
        ("UTC-5", "-05:00", 5),
        ("+00:00[UTC]", "UTC", 0),
        ("EST", "EST", 5),
        ("edt", "EDT", 4),
        ("America/New_York", "America/New_York", 5),
        ("US/Eastern", "US/Eastern", 5),
        ("ET", "America/New_York", 5),
    ],
)
def test_names_of_zones(text: str, name: str, hours: int) -> None:
    zone = zone_named(text)
    assert zone.name == name
    assert zone.offset_of_day(local("2025-01-02") // (24 * HOUR)) == -hours * HOUR


@pytest.mark.parametrize("text", ["", "CST", "IST", "Mars/Olympus", "+25:00", "09:30", "../etc/passwd", "America"])
def test_what_is_no_zone(text: str) -> None:
    assert not is_zone(text)
    with pytest.raises(UnusableSource, match=r"ZONE: .* is no zone"):
        zone_named(text)


def test_zones_of_one_rule_are_equal() -> None:
    assert zone_named("EST") == zone_named("-05:00") != zone_named("America/New_York")
    assert len({zone_named("Z"), zone_named("UTC")}) == 1


def test_summer_and_winter() -> None:
    assert hours_read(["2025-01-02T09:30", "2025-07-02T09:30"]) == [5, 4]


def test_the_hour_that_clocks_skip_in_spring_has_no_times() -> None:
    assert hours_read(["2025-03-09T01:59", "2025-03-09T02:00", "2025-03-09T02:59", "2025-03-09T03:00"]) == [
        5,
        None,
        None,
        4,
    ]


def test_the_hour_that_clocks_show_twice_is_settled_by_order() -> None:
    up = [f"2024-11-03T{hour:02}:{minute:02}" for hour in (0, 1, 1, 2) for minute in range(60)]
    hours = [4] * 120 + [5] * 120
    assert hours_read(up) == hours
    assert hours_read(up[::-1], newest_first=True) == hours[::-1]


def test_a_few_seconds_back_are_no_second_pass() -> None:
    texts = ["2024-11-03T00:59:58", "2024-11-03T01:00:02", "2024-11-03T01:00:01", "2024-11-03T01:00:03"]
    assert hours_read(texts) == [4, 4, 4, 4]


@pytest.mark.parametrize(
    "texts",
    [
        ["2024-11-03T01:00", "2024-11-03T01:01"],
        ["2024-11-03T00:30", "2024-11-03T01:00"],
        ["2024-11-02T12:00", "2024-11-03T01:00", "2024-11-03T01:01"],
    ],
)
def test_a_repeated_hour_that_nothing_settles_is_no_time(texts: list[str]) -> None:
    assert hours_read(texts)[1:] == [None] * (len(texts) - 1)


def test_hourly_bars_of_a_repeated_hour_are_no_times() -> None:
    texts = ["2024-11-03T00:00", "2024-11-03T01:00", "2024-11-03T01:00", "2024-11-03T02:00"]
    assert hours_read(texts, step=HOUR) == [4, None, None, 5]


def test_after_a_hole_in_a_repeated_hour_the_rest_of_it_is_no_time() -> None:
    texts = ["2024-11-03T00:59", "2024-11-03T01:00", "2024-11-03T01:40", "2024-11-03T01:41", "2024-11-03T02:00"]
    assert hours_read(texts) == [4, 4, None, None, 5]
