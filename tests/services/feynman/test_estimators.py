"""The estimators do what docs/estimators.md says of them, within what chance allows."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from services.feynman.regime import REGIMES
from tests.bench import laws, ticks
from tests.bench.estimators import binned, normal_cdf, uniform_cdf, vectors_of
from tests.bench.laws import Law

NUMBER, WINDOW, K = 400, 1000, 50


def drawn(law: Law, number: int = NUMBER, window: int = WINDOW) -> np.ndarray:
    return law(np.random.default_rng(17), (number, window))


@pytest.mark.parametrize("alpha", [1.2, 1.7, 2.5, 4.0])
def test_hill_on_pareto_s_law(alpha: float) -> None:
    # k / α̂ · α is a sum of k exponentials, so α̂ / α is k over a Gamma(k): mean k / (k − 1), standard deviation
    # k / ((k − 1) sqrt(k − 2)).
    estimates = vectors_of(drawn(laws.pareto(alpha))).alpha_coefficient / alpha
    deviation = K / ((K - 1) * math.sqrt(K - 2))
    assert abs(estimates.mean() - K / (K - 1)) < 4 * deviation / math.sqrt(NUMBER)
    assert abs(estimates.std() / deviation - 1) < 4 / math.sqrt(2 * NUMBER) * 1.3


def regimes_of(law: Law) -> dict[str, float]:
    found = vectors_of(drawn(law)).regime
    return {name: float(np.mean(found == code)) for code, name in enumerate(REGIMES)}


def test_the_regimes_that_it_tells_apart() -> None:
    assert regimes_of(laws.normal)["Gaussian"] == 1
    assert regimes_of(laws.student(3))["Gaussian"] > 0.95
    assert regimes_of(laws.student(1))["Critical"] > 0.97


def test_the_regime_that_it_misses() -> None:
    # A stable law of 1.7 has infinite variance, and is mostly called Gaussian: its tail begins too far out.
    shares = regimes_of(laws.stable(1.7))
    assert shares["Gaussian"] > 0.6
    assert regimes_of(laws.pareto(1.75))["Lévy Stable"] > 0.6


def test_clustered_volatility_makes_the_error_wider() -> None:
    clustered = drawn(laws.garch)
    alone = np.random.default_rng(1).permuted(clustered.ravel()).reshape(clustered.shape)
    wide, usual = (vectors_of(returns).alpha_coefficient for returns in (clustered, alone))
    assert wide.std() / wide.mean() > 1.15 * usual.std() / usual.mean()


def test_on_a_coarse_grid_it_can_only_say_10() -> None:
    alphas = vectors_of(laws.on_grid(drawn(laws.normal), 0.2)).alpha_coefficient
    assert np.mean(alphas == 10) > 0.95


def test_of_a_coarse_grid_only_the_whole_tick_is_right() -> None:
    generator = np.random.default_rng(4)
    x, exact = ticks.rounded(generator, laws.pareto(2), 0.35, (NUMBER, WINDOW))
    moves = ticks.moves_of(generator, x)
    found = {name: estimator(moves) for name, estimator in ticks.ESTIMATORS.items()}
    means = {name: float(estimate.alpha.mean()) for name, estimate in found.items()}
    assert means["whole tick"] == pytest.approx(2.0, abs=0.06)
    assert means["half tick"] > 2.1
    assert means["spread ties"] < 1.7
    covered = {name: float(estimate.covers(2.0).mean()) for name, estimate in found.items()}
    assert covered["whole tick"] == pytest.approx(0.9, abs=0.05)
    assert covered["spread ties"] < 0.75
    unrounded = ticks.hill(ticks.largest_of(exact, K + 1), np.full(NUMBER, K))
    assert found["Hill"].alpha.std() > 1.4 * found["whole tick"].alpha.std() > 1.4 * unrounded.alpha.std()


def test_where_ticks_are_fine_all_estimators_are_one() -> None:
    generator = np.random.default_rng(5)
    moves = ticks.moves_of(generator, ticks.rounded(generator, laws.pareto(2), 1e4, (50, WINDOW))[0])
    hill = ticks.hill_on_ticks(moves).alpha
    for estimator in (ticks.whole_tick, ticks.half_tick, ticks.spread_ties):
        assert estimator(moves).alpha == pytest.approx(hill, rel=0.03)
    assert ticks.rank_regression(moves).alpha == pytest.approx(hill, rel=0.5)


def test_entropies_of_known_laws() -> None:
    for law, exact in ((laws.uniform, binned(uniform_cdf)), (laws.normal, binned(normal_cdf))):
        found = vectors_of(drawn(law)).entropy
        # A histogram of n reads low by about (bins − 1) / 2n nats (Miller 1955), of ln 32.
        assert -0.005 < found.mean() - exact < 0.001
    assert (vectors_of(drawn(laws.constant, 3)).entropy == 0).all()


def test_the_laws_are_what_they_are_called() -> None:
    generator = np.random.default_rng(2)
    shape = (200, 2000)
    # P(|r| > x) = x^-α; the stable law of 1 is Cauchy's, whose |r| has the median 1.
    assert np.mean(np.abs(laws.pareto(1.5)(generator, shape)) > 4) == pytest.approx(0.125, abs=0.003)
    assert np.median(np.abs(laws.stable(1.0001)(generator, shape))) == pytest.approx(1, abs=0.01)
    # The stable law's characteristic function is exp(−|t|^α).
    assert np.mean(np.cos(laws.stable(1.7)(generator, shape))) == pytest.approx(math.exp(-1), abs=0.004)
    assert laws.garch(generator, (50, 2000)).var() == pytest.approx(1, abs=0.2)
    ticks = np.exp(np.cumsum(laws.on_grid(generator.standard_normal(shape), 2.0), axis=1)) * 450 / 0.01
    assert np.abs(ticks - np.rint(ticks)).max() < 1e-6
    seen = laws.sparse(generator, np.ones(shape), 0.25)
    assert np.mean(seen != 0) == pytest.approx(0.25, abs=0.01)
    assert seen.sum(axis=1) == pytest.approx(2000, abs=80)


@pytest.mark.slow
def test_the_program_prints_its_tables_and_draws(tmp_path: Path) -> None:
    arguments = ["--replications", "20", "--plots", str(tmp_path / "plots")]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.estimators", *arguments], check=True, capture_output=True, text=True
    )
    assert done.stdout.count("| --- |") >= 40
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {
        "pareto.svg",
        "tails.svg",
        "order-statistics.svg",
        "regimes.svg",
        "grid.svg",
        "error.svg",
        "coverage.svg",
    }
