import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.feynman.windows.bins import BINS, histogram
from services.feynman.windows.return_histogram import MARGIN, ReturnHistogram, return_bins, settled_bins

Returns = npt.NDArray[np.float64]
SIGMA = np.array([0.01])


@pytest.mark.parametrize(
    ("r", "number"),
    [(0.0, 16), (-1e-6, 15), (0.0025, 17), (-0.0025, 15), (-0.04, 0), (-1.0, 0), (0.0399, 31), (0.04, 31), (1.0, 31)],
)
def test_bins_are_a_quarter_of_sigma_wide_and_the_outermost_hold_what_is_beyond(r: float, number: int) -> None:
    assert return_bins(np.array([r]), SIGMA).tolist() == [number]


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    st.one_of(st.floats(-0.2, 0.2), st.integers(-40, 40).map(lambda edge: edge * 0.0025)),
    st.floats(0.001, 0.1),
    st.floats(-1.0, 1.0),
)
def test_what_is_settled_keeps_its_bin_all_over_the_margin(r: float, reference: float, share: float) -> None:
    returns, sigma = np.array([r]), np.array([reference])
    bins, settled = settled_bins(returns, sigma, np.array([MARGIN]))
    if settled[0]:
        for moved in (1.0, 1.0 + share * MARGIN, 1.0 - MARGIN, 1.0 + MARGIN):
            assert return_bins(returns, sigma * moved) == bins


def test_without_a_margin_all_are_settled_where_they_are() -> None:
    returns = np.array([0.01, -0.01, 0.0, 0.02])  # all but 0 on edges
    bins, settled = settled_bins(returns, SIGMA, np.array([0.0]))
    assert settled.all()
    assert bins.tolist() == return_bins(returns, SIGMA).tolist()


def test_a_return_of_0_is_settled_and_one_on_any_other_edge_is_not() -> None:
    bins, settled = settled_bins(np.array([0.0, 0.0025, -0.0025, 0.0012]), SIGMA, np.array([MARGIN]))
    assert settled.tolist() == [True, False, False, True]
    assert bins[[0, 3]].tolist() == [16, 16]


def plain(log_return: Returns, sigma: float) -> list[float]:
    there = log_return[~np.isnan(log_return)]
    if sigma == 0 or not len(there):
        return [0.0] * BINS
    counts: list[float] = histogram(return_bins(there[np.newaxis], np.array([sigma])), BINS)[0].tolist()
    return counts


def sigma_of(ring: Returns) -> Returns:
    there = ~np.isnan(ring)
    squares = np.where(there, ring, 0.0) ** 2
    sigma: Returns = np.sqrt(squares.sum(axis=1) / np.maximum(there.sum(axis=1), 1))
    return sigma


KINDS = ("normal", "heavy", "grid", "alike", "zero", "gaps")


def draw(generator: np.random.Generator, kind: str, number: int, step: int) -> Returns:
    scale = 1e-3 if step % 90 < 70 else 1e-2  # a burst now and then
    normal = generator.standard_normal(number) * scale
    if kind == "heavy":
        return normal / np.maximum(np.abs(generator.standard_normal(number)), 1e-3)
    if kind == "grid":
        return np.asarray(np.rint(normal / 1e-3) * 1e-3)
    if kind == "alike":
        return np.asarray(np.sign(normal) * scale)  # every one of them on an edge
    if kind == "zero":
        return np.zeros(number)
    if kind == "gaps":
        normal[generator.random(number) < 0.3] = math.nan
    return normal


@pytest.mark.parametrize("window", [1, 2, 7, 60, 300])
def test_counts_are_those_of_counting_anew(window: int) -> None:
    generator = np.random.default_rng(window)
    rows = np.arange(2 * len(KINDS))
    kept = ReturnHistogram(window, len(rows))
    kept.forget(rows)
    ring = np.full((len(rows), window), math.nan)
    for step in range(400):
        taken = rows[generator.random(len(rows)) < 0.9]
        entering = np.concatenate([draw(generator, kind, 2, step) for kind in KINDS])[taken]
        column = np.full(len(taken), step % window)
        kept.replace(taken, column, ring[taken, column], entering)
        ring[taken, column] = entering
        if step % 3 == 0 or step > 350:
            sigma = sigma_of(ring)
            counts = kept.counts(rows, sigma, ring)
            assert counts.tolist() == [plain(ring[row], sigma[row]) for row in rows]


def test_it_grows_and_forgets() -> None:
    kept = ReturnHistogram(4, 1)
    kept.forget(0)
    ring = np.array([[0.01, -0.01, 0.02, math.nan]])
    before = kept.counts(np.array([0]), sigma_of(ring), ring)
    kept.grow(2)
    kept.forget(1)
    ring = np.repeat(ring, 2, axis=0)
    assert kept.counts(np.array([0, 1]), sigma_of(ring), ring).tolist() == [before[0].tolist()] * 2
