from itertools import pairwise

import numpy as np
import pytest

from services.feynman.windows.steps import LEAST_SPACING, LEAST_STEP, YOUNG, followed, is_hole


def after(
    apart: list[float], spacing: float = LEAST_SPACING, step: float = LEAST_STEP, taken: int = 0
) -> list[float]:
    """The steps after each of these times between two samples."""
    steps = []
    kept = np.array([LEAST_SPACING]), np.array([LEAST_STEP])
    for number, seconds in enumerate(apart):
        kept = followed(*kept, np.array([seconds]), np.array([number < YOUNG]))
        steps.append(float(kept[1][0]))
    return steps


def share_of_holes(apart: np.ndarray) -> float:
    steps = np.array(after(apart.tolist()))
    return float(is_hole(apart, steps)[len(apart) // 2 :].mean())


def test_who_trades_every_second_has_steps_of_a_second() -> None:
    assert after([1.0] * 500) == [1.0] * 500


@pytest.mark.parametrize("seconds", [2.0, 5.0, 15.0, 60.0])
def test_a_regular_feed_soon_has_returns_whatever_its_interval(seconds: float) -> None:
    apart = np.full(400, seconds)
    steps = np.array(after(apart.tolist()))
    assert not is_hole(apart, steps)[YOUNG:].any()
    assert len(set(steps[YOUNG:])) == 1


@pytest.mark.parametrize("mean", [3.0, 10.0, 60.0])
def test_at_least_half_of_the_samples_have_a_return_and_the_longest_times_have_none(mean: float) -> None:
    apart = np.maximum(np.rint(np.random.default_rng(3).exponential(mean, 4000)), 1.0)
    assert 0.1 < share_of_holes(apart) < 0.5


def test_a_night_changes_no_step() -> None:
    day = np.random.default_rng(4).exponential(10.0, 500).tolist()
    steps = after([*day, 63_000.0, *day])
    assert steps[500] == steps[499]


def test_a_step_stays_although_the_spacing_varies() -> None:
    apart = np.random.default_rng(5).exponential(10.0, 20_000)
    steps = after(apart.tolist())[YOUNG:]
    changes = sum(one != other for one, other in pairwise(steps))
    assert changes <= 5


def test_a_market_that_trades_more_often_has_shorter_steps_again() -> None:
    apart = [60.0] * 200 + [1.0] * 400
    assert after(apart)[199] > 20.0
    assert after(apart)[-1] == 1.0


def test_a_hole_is_what_spans_more_than_three_steps() -> None:
    apart, step = np.array([3.0, 3.49, 3.5, 10_800.0, 14_400.0]), np.array([1.0, 1.0, 1.0, 3600.0, 3600.0])
    assert is_hole(apart, step).tolist() == [False, False, True, False, True]
