"""The lag of a feed is known only where it is steady."""

import random
from collections.abc import Iterable

import numpy as np
import pytest

from services.feynman.feed_lags import LEAST_TICKS, MOST_FEEDS, TICKS, FeedLags


def after(*feeds: tuple[str, Iterable[float]]) -> dict[str, int]:
    lags = FeedLags()
    for feed, ticks in feeds:
        for lag in ticks:
            lags.observe([feed], np.array([lag]))
    return lags.usual_ms()


def test_a_feed_that_is_a_quarter_of_an_hour_late() -> None:
    generator = random.Random(1)
    found = after(("delayed", [900 + generator.random() for _ in range(TICKS)]))
    assert found["delayed"] == pytest.approx(900_500, abs=200)


@pytest.mark.parametrize("lag", [-50.0, -1.0, 0.0, 0.3, 0.999])
def test_less_than_a_second_is_no_lag(lag: float) -> None:
    assert after(("live", [lag] * TICKS)) == {}


def test_a_second_is() -> None:
    assert after(("slow", [1.0] * TICKS)) == {"slow": 1000}


def test_it_takes_some_ticks_to_be_known() -> None:
    assert after(("delayed", [900.0] * (LEAST_TICKS - 1))) == {}
    assert after(("delayed", [900.0] * LEAST_TICKS)) == {"delayed": 900_000}


def test_a_feed_that_catches_up_or_falls_behind_is_not_late_by_nature() -> None:
    assert after(("catching up", [900.0 - 10 * i for i in range(60)])) == {}
    assert after(("falling behind", [float(i) for i in range(60)])) == {}
    assert after(("both", [900.0, 0.1] * 30)) == {}


def test_a_single_row_from_another_time_changes_nothing() -> None:
    assert after(("delayed", [*[900.0] * 20, 40.0, *[900.0] * 5])) == {"delayed": 900_000}
    assert after(("live", [*[0.2] * 20, 4000.0, *[0.2] * 5])) == {}


def test_a_feed_that_is_late_no_more_has_no_lag_any_more() -> None:
    assert after(("once", [*[900.0] * TICKS, *[0.1] * TICKS])) == {}


def test_each_tick_counts_once_with_the_median_of_each_feeds_symbols() -> None:
    lags = FeedLags()
    for _ in range(TICKS):
        lags.observe(["a", "b", "a", "a", "b"], np.array([10.0, 0.1, 11.0, 5000.0, 0.1]))
        lags.observe([], np.array([]))
    assert lags.usual_ms() == {"a": 11_000}


def test_what_was_measured_by_another_clock_is_forgotten() -> None:
    lags = FeedLags()
    for _ in range(TICKS):
        lags.observe(["a"], np.array([10.0]))
    lags.forget()
    assert lags.usual_ms() == {}


def test_no_number_of_feeds_fills_the_memory() -> None:
    lags = FeedLags()
    for i in range(10 * MOST_FEEDS):
        lags.observe(["late", f"feed {i}"], np.array([900.0, 900.0]))
    assert lags.usual_ms() == {"late": 900_000}
    assert len(lags._ticks) == MOST_FEEDS
