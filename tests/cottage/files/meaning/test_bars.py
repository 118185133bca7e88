"""How long bars last, and when they end."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from cottage.files.meaning.bars import MONTH, WEEK, BarLength, end_of, length_by_gaps
from cottage.files.meaning.file_names import DAY, MINUTE


def micros(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("stamps", "stated", "length"),
    [
        ([0, 1, 2, 5, 6], None, BarLength(MINUTE)),
        ([0, 5, 10, 25], MINUTE, BarLength(MINUTE)),
        ([0, 5, 10, 25], None, BarLength(5 * MINUTE)),
        ([0], 60 * MINUTE, BarLength(60 * MINUTE)),
        ([0], None, None),
        ([0, 7, 20, 33, 51], None, None),
        ([0, 1440, 2880, 7200], None, BarLength(DAY)),
        ([0, 10080, 20160], None, BarLength(WEEK)),
        ([0, 44640, 84960, 129600], None, BarLength(MONTH, 1)),
    ],
)
def test_lengths(stamps: list[int], stated: int | None, length: BarLength | None) -> None:
    assert length_by_gaps([[at * MINUTE for at in stamps]], stated) == length


def test_the_order_of_rows_does_not_change_a_length() -> None:
    stamps = [at * 7 % 30 * MINUTE for at in range(30)]
    assert length_by_gaps([stamps], None) == BarLength(MINUTE)


def test_a_day_ends_at_midnight_of_its_zone() -> None:
    end = end_of(BarLength(DAY), ZoneInfo("America/New_York"))
    assert end(micros("2025-03-09 05:00")) == micros("2025-03-10 04:00"), "23 hours"
    assert end_of(BarLength(DAY), UTC)(micros("2025-03-09")) == micros("2025-03-10")


def test_a_month_ends_with_the_next() -> None:
    assert end_of(BarLength(MONTH, 1), UTC)(micros("2024-12-01")) == micros("2025-01-01")
    assert end_of(BarLength(MONTH * 3, 3), UTC)(micros("2024-11-01")) == micros("2025-02-01")


def test_lengths_are_said_in_words() -> None:
    assert [str(BarLength(length)) for length in (MINUTE, 5 * MINUTE, 60 * MINUTE, DAY)] == [
        "1 minute", "5 minutes", "1 hour", "1 day"
    ]  # fmt: skip
