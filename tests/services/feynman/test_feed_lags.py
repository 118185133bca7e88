"""The lag of a feed is known only where it is steady."""

import random
from collections.abc import Iterable

import numpy as np
import pytest

from services.feynman.feed_lags import LEAST_TICKS, MOST_FEEDS, TICKS, FeedLags


def after(ticks: Iterable[float]) -> int:
    """The usual lag in ms after ticks with one sample each."""
    lags, usual = FeedLags(), [0]
    for lag in ticks:
        usual = lags.usual_ms(["feed"], np.array([lag]))
    return usual[0]


def test_a_feed_that_is_a_quarter_of_an_hour_late() -> None:
    generator = random.Random(1)
    found = after([900 + generator.random() for _ in range(TICKS)])
    assert found == pytest.approx(900_500, abs=200)


@pytest.mark.parametrize("lag", [-50.0, -1.0, 0.0, 0.3, 0.999])
def test_less_than_a_second_is_no_lag(lag: float) -> None:
    assert after([lag] * TICKS) == 0


def test_a_second_is() -> None:
    assert after([1.0] * TICKS) == 1000


def test_it_takes_some_ticks_to_be_known() -> None:
    assert after([900.0] * (LEAST_TICKS - 1)) == 0
    assert after([900.0] * LEAST_TICKS) == 900_000


def test_a_feed_that_catches_up_or_falls_behind_is_not_late_by_nature() -> None:
    assert after([900.0 - 10 * i for i in range(60)]) == 0
    assert after([float(i) for i in range(60)]) == 0
    assert after([900.0, 0.1] * 30) == 0


def test_a_single_row_from_another_time_changes_nothing() -> None:
    assert after([*[900.0] * 20, 40.0, *[900.0] * 5]) == 900_000
    assert after([*[0.2] * 20, 4000.0, *[0.2] * 5]) == 0


def test_a_feed_that_is_late_no_more_has_no_lag_any_more() -> None:
    assert after([*[900.0] * TICKS, *[0.1] * TICKS]) == 0


def test_each_tick_counts_once_with_the_median_of_each_feeds_symbols() -> None:
    lags = FeedLags()
    for _ in range(TICKS):
        assert lags.usual_ms([], np.array([])) == []
        usual = lags.usual_ms(["a", "b", "a", "a", "b"], np.array([10.0, 0.1, 11.0, 5000.0, 0.1]))
    assert usual == [11_000, 0, 11_000, 11_000, 0]


def test_by_a_clock_that_was_set_it_is_measured_anew_and_the_old_one_used_until_then() -> None:
    lags = FeedLags()
    for _ in range(TICKS):
        lags.usual_ms(["a"], np.array([10.0]))
    lags.begin_anew()
    found = [lags.usual_ms(["a"], np.array([60.0]))[0] for _ in range(LEAST_TICKS + 1)]
    assert found == [*[10_000] * (LEAST_TICKS - 1), 60_000, 60_000]


def test_what_a_stored_state_says_is_used_until_it_is_measured() -> None:
    lags = FeedLags()
    lags.adopt("bars", 60_000)
    assert [lags.usual_ms(["bars"], np.array([70.0])) for _ in range(LEAST_TICKS)][-2:] == [[60_000], [70_000]]


def test_a_fresh_symbol_of_a_feed_that_is_late_is_not_late() -> None:
    lags = FeedLags()
    for _ in range(TICKS):
        usual = lags.usual_ms(["a", "a", "a", "a", "b"], np.array([900.0, 0.3, 903.0, 300.0, 900.0]))
    assert usual == [600_000, 0, 600_000, 300_000, 900_000], "of the first feed the median is that of a tick"
    for _ in range(TICKS):
        usual = lags.usual_ms(["a"] * 6, np.array([900.0, 0.3, 903.0, 300.0, 896.0, 901.0]))
    assert usual == [898_000, 0, 898_000, 300_000, 898_000, 898_000]


def test_no_number_of_feeds_fills_the_memory() -> None:
    lags = FeedLags()
    for i in range(10 * MOST_FEEDS):
        usual = lags.usual_ms(["late", f"feed {i}"], np.array([900.0, 900.0]))
        lags.adopt(f"another {i}", 1000)
    assert usual == [900_000, 0]
    assert len(lags._before) == MOST_FEEDS
    assert len(lags._ticks) == MOST_FEEDS


def test_a_second_step_of_the_clock_forgets_no_feed_that_brought_nothing_since_the_first() -> None:
    lags = FeedLags()
    lags.adopt("stored", 60_000)
    for _ in range(TICKS):
        lags.usual_ms(["slow"], np.array([900.0]))
    lags.begin_anew()
    lags.begin_anew()
    assert lags.usual_ms(["slow", "stored"], np.array([900.0, 60.0])) == [900_000, 60_000]


def test_no_number_of_steps_makes_it_remember_more_feeds() -> None:
    lags = FeedLags()
    for step in range(3):
        for _ in range(LEAST_TICKS):
            lags.usual_ms([f"{step}.{i}" for i in range(MOST_FEEDS)], np.full(MOST_FEEDS, 900.0))
        lags.begin_anew()
    assert lags.usual_ms(["2.0", "0.0"], np.array([900.0, 900.0])) == [900_000, 0]
