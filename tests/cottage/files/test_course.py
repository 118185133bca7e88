"""The figures that `cottage inspect` gives of rows."""

import math

import numpy as np
import pytest

from cottage.files.course import Course, tick_of
from cottage.files.rows import Row

SECOND = 1_000_000


def course_of(prices: list[float], *, interval: int | None = None, apart: int = SECOND, symbol: str = "ES") -> Course:
    course = Course()
    for number, price in enumerate(prices):
        row = Row(number * apart, symbol, price, 2.0, 1, price, price, price, None, None, interval=interval)
        course.take(row, row.time)
    return course


@pytest.mark.parametrize(("tick", "digits"), [(0.25, 2), (0.01, 2), (5.0, 0), (0.00005, 5), (0.5, 1), (1e-8, 8)])
def test_the_tick_is_the_coarsest_grid_of_the_prices(tick: float, digits: int) -> None:
    steps = np.random.default_rng(1).integers(20_000, 20_400, 500)
    assert tick_of([round(float(step) * tick, digits) for step in steps]) == tick


def test_one_print_in_ten_off_the_grid_does_not_hide_it() -> None:
    steps = np.random.default_rng(2).integers(20_000, 20_400, 500)
    prices = [float(step) / 4 + (0.0301 if number % 10 == 0 else 0.0) for number, step in enumerate(steps)]
    assert tick_of(prices) == 0.25


def test_prices_of_any_digits_have_no_tick() -> None:
    assert tick_of([float(price) for price in 100 + np.random.default_rng(3).normal(size=500)]) is None
    assert tick_of([100.0, 101.0]) is None  # too few to tell


def test_the_largest_move_is_told_in_sigmas_with_its_row() -> None:
    prices = [100.0, 100.1, 100.0, 100.1, 90.0, 90.1]
    found = course_of(prices).symbols["ES"]
    changes = np.diff(np.log(prices))
    assert found.sigma == pytest.approx(math.sqrt(float(np.mean(changes**2))), rel=1e-12)
    assert found.largest.value == pytest.approx(math.log(100.1 / 90.0), rel=1e-12)
    assert found.largest.row is not None
    assert (found.largest.row.price, found.largest.row.time) == (90.0, 4 * SECOND)


def test_moves_are_counted_from_the_last_price_of_a_second_to_that_of_the_next() -> None:
    # Four prices a second: 10.00 10.01 10.02 10.00, then one tick higher, and so on.
    prices = [round(10 + 0.01 * (second + place), 2) for second in range(20) for place in (0, 1, 2, 0)]
    found = course_of(prices, apart=SECOND // 4).symbols["ES"]
    assert found.tick == 0.01
    assert len(found.moves) == 18  # of 20 seconds the last is not over
    assert found.large_moves == 0  # each is one tick, though prices within a second differ by two


def test_of_bars_each_is_a_sample() -> None:
    prices = [round(10 + 0.05 * number, 2) for number in range(20)]
    found = course_of(prices, interval=SECOND // 10, apart=SECOND // 10).symbols["ES"]
    assert len(found.moves) == 18
    assert found.tick == 0.05
    assert found.large_moves == 0


def test_span_gap_volume_and_first_rows() -> None:
    course = Course()
    for time in (10, 11, 40, 41):
        row = Row(time * SECOND, "A", 5.0, None if time == 11 else 2.0, 1, 5, 5, 5, None, None)
        course.take(row, row.time - 3 * SECOND)
    assert (course.first_stamp, course.last_stamp) == (7 * SECOND, 38 * SECOND)
    assert course.gap.value == 29 * SECOND
    assert course.gap.row is not None
    assert course.gap.row.time == 40 * SECOND
    assert course.volume == 6.0
    assert [row.time for row in course.head] == [10 * SECOND, 11 * SECOND, 40 * SECOND]
