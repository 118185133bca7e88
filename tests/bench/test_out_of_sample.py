import numpy as np
import pytest

from tests.bench.laws import Floats
from tests.bench.out_of_sample import forecasts, skill


def test_each_forecast_is_of_the_fit_to_what_came_before() -> None:
    generator = np.random.default_rng(4)
    x = generator.normal([5.0, -3.0], size=(60, 2))
    y = x @ [2.0, -1.0] + 7.0 + generator.standard_normal(60)
    found = forecasts(y, x, 20)
    for place in range(20, 60):
        with_constant = np.column_stack([np.ones(60), x])
        fit = np.linalg.lstsq(with_constant[:place], y[:place])[0]
        assert found[place - 20] == pytest.approx(with_constant[place] @ fit, rel=1e-9)
    y[45] += 100.0
    assert forecasts(y, x, 20)[: 45 - 20 + 1] == pytest.approx(found[: 45 - 20 + 1])


def test_without_a_predictor_that_tells_it_is_the_mean_so_far() -> None:
    y = np.arange(30.0)
    for predictors in (np.empty((30, 0)), np.full((30, 1), 10.0), np.zeros((30, 3))):
        assert forecasts(y, predictors, 10) == pytest.approx([y[:place].mean() for place in range(10, 30)])


def errors(scale: float, seed: int) -> Floats:
    return np.square(scale * np.random.default_rng(seed).standard_normal(300))


def test_a_better_forecast_is_found_and_one_as_good_is_not() -> None:
    better = skill(errors(0.7, 1), errors(1.0, 2))
    assert better.low < 1 - 0.7**2 < better.high
    assert better.low < better.r2 < better.high
    assert better.found
    assert not skill(errors(1.0, 1), errors(0.7, 2)).found
    same = errors(1.0, 1)
    assert skill(same, same) == (0.0, 0.0, 0.0)
    assert not skill(same, same).found


def test_errors_that_come_together_make_the_interval_wider() -> None:
    # What is better in one long stretch alone is less certain than what is as much better here and there.
    gain = np.repeat([0.0, 0.5], 150)
    scattered = skill(1.0 - np.random.default_rng(3).permuted(gain), np.ones(300))
    at_once = skill(1.0 - gain, np.ones(300))
    assert at_once.r2 == pytest.approx(scattered.r2)
    assert at_once.high - at_once.low > 1.8 * (scattered.high - scattered.low)
