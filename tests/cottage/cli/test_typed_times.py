"""Times and lengths of time as people type them."""

import argparse

import pytest

from cottage.cli.typed_times import typed_duration, typed_moment
from cottage.clock import from_iso

NOW = from_iso("2025-12-21T14:00:00Z")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("13:59:59", "2025-12-21T13:59:59+00:00"),
        ("14:00", "2025-12-21T14:00:00+00:00"),
        ("9:30", "2025-12-21T09:30:00+00:00"),
        ("14:31:07", "2025-12-20T14:31:07+00:00"),
        ("14:31:07.250", "2025-12-20T14:31:07.250000+00:00"),
        ("2025-12-20", "2025-12-20T00:00:00+00:00"),
        ("2025-12-20T14:31:07", "2025-12-20T14:31:07+00:00"),
        ("2025-12-20 14:31", "2025-12-20T14:31:00+00:00"),
        ("2025-12-20T15:31:07+01:00", "2025-12-20T15:31:07+01:00"),
        (" 2025-12-20T14:31:07Z ", "2025-12-20T14:31:07Z"),
        ("1766318400.5", "1766318400.5"),
    ],
)
def test_times(text: str, told: str) -> None:
    assert typed_moment(text, lambda: NOW) == told


@pytest.mark.parametrize(
    "text", ["", "noon", "24:00", "14:60", "2025-13-01", "21.12.2025", "-1", "2025-12-20T14:31:07X"]
)
def test_what_is_no_time_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"such as 14:31:07, 2025-12-21T14:31:07 \(both UTC\)"):
        typed_moment(text, lambda: NOW)


@pytest.mark.parametrize("text", ["90s", "10m", "1.5h", "7d", "30"])
def test_lengths_of_time_go_as_they_are(text: str) -> None:
    assert typed_duration(text) == text


@pytest.mark.parametrize("text", ["", "soon", "1w", "-1h", "0s", "1000d"])
def test_other_lengths_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="it must be"):
        typed_duration(text)
