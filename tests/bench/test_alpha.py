"""The tables of α tell what they are called."""

import math

import numpy as np
import pytest

from tests.bench import alpha, laws, ticks


def of_pareto(scale: float, number: int = 400, n: int = 500) -> alpha.Cell:
    generator = np.random.default_rng(7)
    return alpha.cell(generator, scale * laws.pareto(2)(generator, (number, n)), 2.0, 2.0)


def test_where_ticks_are_fine_old_and_new_are_hill_s_of_unrounded_moves() -> None:
    found = of_pareto(1e5)
    assert found.telling == 1
    assert found.old == pytest.approx(found.unrounded, rel=1e-3)
    assert found.new == pytest.approx(found.unrounded, rel=1e-3)
    assert max(found.old_apart, found.new_apart) < 0.01
    assert found.new_error == pytest.approx(found.unrounded_error, rel=0.01)


def test_where_ticks_are_coarse_the_new_one_is_nearer_the_truth() -> None:
    found = of_pareto(0.5)
    assert found.new_error < 0.6 * found.old_error
    assert found.covered == found.covered_index == pytest.approx(0.9, abs=0.05)
    assert found.widening == pytest.approx(1, abs=0.15)


def test_of_windows_that_do_not_tell_of_a_tail_nothing_is_said() -> None:
    found = of_pareto(0.2, n=100)
    assert found.telling == 0
    assert math.isnan(found.new_error)


def test_the_interval_of_clustered_moves_has_to_be_wider() -> None:
    generator = np.random.default_rng(9)
    x = ticks.of_path(generator, 10 * laws.garch(generator, (400, 1000)))
    needed = alpha.widening(ticks.moves_of(generator, x), 3.94)
    assert 1.3 < needed < 1.8
    found = ticks.fit(ticks.moves_of(generator, x), needed)
    assert np.mean((found.low <= 3.94) & (found.high >= 3.94)) == pytest.approx(0.9, abs=0.01)


def test_the_exponents_of_the_largest() -> None:
    generator = np.random.default_rng(3)
    assert laws.exponents_of_largest(generator, laws.pareto(1.5), (0.1, 0.05)) == pytest.approx([1.5, 1.5], rel=0.01)
    # Of t(4) the tail is a power law only farther out.
    tenth, twentieth = laws.exponents_of_largest(generator, laws.student(4), (0.1, 0.05))
    assert tenth < twentieth == pytest.approx(3.2, rel=0.01)


def test_the_index_of_each_law() -> None:
    generator = np.random.default_rng(3)
    found = {name: alpha.index_of(name, generator) for name in alpha.LAWS}
    assert (found["Pareto(1.5)"], found["t(4)"], found["stable(1.9)"]) == (1.5, 4, 1.9)
    assert found["GARCH"] == pytest.approx(5.6, abs=0.1)
    assert math.isnan(found["normal"])


def test_readings_of_a_sliding_window_are_those_of_each_window() -> None:
    generator = np.random.default_rng(5)
    x, _ = ticks.rounded(generator, laws.student(3), 2.0, (2, 330))
    x[1, :150] = 0
    read = ticks.readings(x, 200, 65)
    assert read.new.shape == (2, 3)
    # Fewer than 64 moves of the first window are not 0.
    assert (read.new[1, 0], read.old[1, 0]) == (2.5, 2.5)
    last = ticks.moves_of(generator, x[:, 130:])
    assert read.new[:, 2] == pytest.approx(ticks.fit(last).alpha, rel=1e-9)
    assert read.old[:, 2] == pytest.approx(ticks.hill_on_ticks(last).alpha, rel=1e-9)
