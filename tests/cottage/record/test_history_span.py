import re
from typing import Any

import pytest

from cottage.errors import HistoryRefusal
from cottage.record.history_span import MOST_POINTS, BucketGrid, HistorySpan, duration, moment

SECOND = 1_000_000
NOON = 1_764_158_400 * SECOND  # 2025-11-26T12:00:00Z


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("90s", 90e6),
        ("10m", 600e6),
        ("1.5h", 5400e6),
        ("7d", 604_800e6),
        ("250ms", 250e3),
        ("60", 60e6),
    ],
)
def test_a_length_of_time(text: str, micros: float) -> None:
    assert duration(text, "last") == micros


@pytest.mark.parametrize(
    "text", ["", "x", "10M", "-1s", "0", "0.1ms", "367d", "nan", "inf", "1e9", "9" * 13, "१m", "1m30s", "10 m"]
)
def test_what_is_no_length_of_time_is_refused_by_name(text: str) -> None:
    with pytest.raises(HistoryRefusal, match=r"^step must be") as refused:
        duration(text, "step")
    assert refused.value.code == "bad_parameter"


@pytest.mark.parametrize(
    "text",
    [
        "2025-11-26T12:00:00Z",
        "2025-11-26T13:00:00+01:00",
        "1764158400",
        "1764158400.0",
        "2025-11-26 12:00:00.000000Z",
    ],
)
def test_a_time(text: str) -> None:
    assert moment(text, "at") == NOON


def test_a_time_is_told_to_the_microsecond() -> None:
    assert moment("2025-11-26T12:00:00.123456Z", "at") == NOON + 123_456


@pytest.mark.parametrize(
    "text",
    [
        "",
        "noon",
        "2025-11-26T12:00:00",
        "2025-11-26T12:00:00 01:00",
        "nan",
        "inf",
        "-1",
        "1764158400000",
        "0001-01-01T00:00:00Z",
    ],
)
def test_what_is_no_time_is_refused_by_name(text: str) -> None:
    with pytest.raises(HistoryRefusal, match=r"^at must"):
        moment(text, "at")


def grid(newest: int = NOON, **asked: str | int) -> BucketGrid:
    times = {"since": None, "until": None, "last": None, **asked}
    return HistorySpan.asked(**times).grid(newest)  # type: ignore[arg-type]


def test_buckets_are_whole_steps_since_1970() -> None:
    found = grid(since="2025-11-26T11:00:30Z", until="2025-11-26T11:03:10Z", step="1m")
    assert found == BucketGrid(NOON - 3600 * SECOND, 60 * SECOND, 4)
    assert found.end == NOON - 3600 * SECOND + 240 * SECOND


def test_last_ends_with_the_running_bucket_and_has_as_many_points_as_asked_for() -> None:
    found = grid(NOON + 5 * SECOND, last="10m", points=60)
    assert (found.step, found.count, found.end) == (10 * SECOND, 60, NOON + 10 * SECOND)
    assert grid(NOON, last="10m", points=60).end == NOON + 10 * SECOND  # an event at a bucket's start is in it


def test_points_divide_a_time_whose_ends_lie_off_the_steps() -> None:
    for points in (1, 2, 7, 60, 999, MOST_POINTS):
        found = grid(since="2025-11-26T11:00:30.5Z", until="2025-11-26T11:59:59.25Z", points=points)
        assert 1 <= found.count <= max(points, 2)
        assert found.begin <= NOON - 3_569_500_000
        assert found.end >= NOON - 750_000
        assert found.begin % found.step == 0


def test_what_is_not_said() -> None:
    assert grid() == BucketGrid(NOON - 3595 * SECOND, 5 * SECOND, 720)  # the last hour
    assert grid(step="1m", points=5) == BucketGrid(NOON - 240 * SECOND, 60 * SECOND, 5)
    assert grid(since="2025-11-26T11:59:50Z", step="10s") == BucketGrid(NOON - 10 * SECOND, 10 * SECOND, 2)
    assert grid(until="2025-11-26T11:00:00Z").begin == NOON - 7200 * SECOND
    assert grid(last="366d").step == 86_400 * SECOND


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"last": "1h", "since": "2025-11-26T11:00:00Z"}, "leave out from and to"),
        ({"since": "2025-11-26T11:00:00Z", "until": "2025-11-26T11:00:00Z"}, "from must be before to"),
        ({"since": "2025-11-27T11:00:00Z", "until": "2025-11-26T11:00:00Z"}, "from must be before to"),
        ({"last": "1h", "step": "1s", "points": 60}, "one of them"),
        ({"last": "1d", "step": "1s"}, "86,400 points a symbol; at most 5,000"),
        ({"since": "0", "until": "7258118400", "step": "1ms"}, "points a symbol"),
    ],
)
def test_what_cannot_be_is_refused(asked: dict[str, Any], why: str) -> None:
    with pytest.raises(HistoryRefusal, match=re.escape(why)):
        grid(**asked)


def test_from_behind_the_newest_event_is_one_empty_bucket() -> None:
    assert grid(since="2025-11-26T13:00:00Z", step="1m").count == 1
