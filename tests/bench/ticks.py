"""Estimators of the tail index where prices move by whole ticks, side by side on the same windows.

`estimators.py` prints what they are worth. Each takes `Moves`, and tells its α and whether its 90 % interval holds a
given index.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from cottage.state import ALPHA_LEAST, ALPHA_MOST, WAIT_ALPHA, WAIT_RETURNS
from services.feynman.tail_index import DROP, Exceedances, TailIndex, at_threshold, estimate
from services.feynman.tails import order_statistics
from tests.bench.laws import Floats, Law


@dataclass(frozen=True)
class Moves:
    """The largest of each window's absolute moves, in descending order, and what an estimator needs beside them."""

    largest: Floats
    """In ticks, at least k + 1 of each row."""
    k: np.ndarray
    ties: np.ndarray
    """How many moves are of the threshold's size, which is 2 ticks at least."""
    number: np.ndarray
    """How many moves are of 2 ticks or more."""
    generator: np.random.Generator


class Estimate(NamedTuple):
    alpha: Floats
    covers: Callable[[float], np.ndarray]
    """Whether the 90 % interval holds this index, for each row."""


def rounded(generator: np.random.Generator, law: Law, sigma: float, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Absolute moves, in ticks, of paths whose moves are `sigma` times a law's; and the same without rounding."""
    exact = sigma * law(generator, shape)
    return of_path(generator, exact), np.abs(exact)


def of_path(generator: np.random.Generator, exact: Floats) -> Floats:
    """Absolute moves, in ticks, of paths that are rounded to a grid, from a price anywhere between two of its levels.
    `exact`: the moves of the paths, in ticks."""
    start = generator.random((len(exact), 1))
    path = start + np.cumsum(np.clip(exact, -1e9, 1e9), axis=1)
    return np.abs(np.diff(np.rint(path), axis=1, prepend=np.rint(start)))


def moves_of(generator: np.random.Generator, moves: Floats) -> Moves:
    k = order_statistics(np.count_nonzero(moves, axis=1))
    largest = largest_of(moves, int(k.max()) + 1)
    level = np.maximum(np.take_along_axis(largest, k[:, np.newaxis], axis=1), 2.0)
    ties, number = np.count_nonzero(moves == level, axis=1), np.count_nonzero(moves >= 2.0, axis=1)
    return Moves(largest, k, ties, number, generator)


def largest_of(x: Floats, number: int) -> Floats:
    descending: Floats = -np.sort(np.partition(-x, number - 1, axis=1)[:, :number], axis=1)
    return descending


def fit(moves: Moves, widening: float = 1.0) -> TailIndex:
    """By the production code."""
    return estimate(at_threshold(moves.largest, moves.k, moves.ties), moves.number, widening)


def whole_tick(moves: Moves) -> Estimate:
    """Ours: a move is the difference of two rounded prices."""
    found = fit(moves)
    return Estimate(found.alpha, lambda true: (found.low <= true) & (true <= found.high))


def half_tick(moves: Moves) -> Estimate:
    """A move of j ticks as if it were known to lie between j − ½ and j + ½. Thresholds are mixed as ours are."""
    exceedances = at_threshold(moves.largest, moves.k, moves.ties)
    grid = np.geomspace(ALPHA_LEAST, ALPHA_MOST, 60)
    values = np.stack([_half_tick(exceedances, np.full(len(moves.k), a)) for a in grid])
    best = grid[np.clip(np.argmax(values, axis=0), 1, len(grid) - 2)]
    low, high = best * grid[0] / grid[1], best * grid[1] / grid[0]
    for _ in range(20):
        left, right = low + 0.382 * (high - low), high - 0.382 * (high - low)
        rising = _half_tick(exceedances, left) < _half_tick(exceedances, right)
        low, high = np.where(rising, left, low), np.where(rising, high, right)
    alpha = (low + high) / 2
    greatest = _half_tick(exceedances, alpha)
    return Estimate(alpha, lambda true: greatest - _half_tick(exceedances, np.full(len(alpha), true)) <= DROP)


def _half_tick(exceedances: Exceedances, a: Floats) -> Floats:
    a = a[:, np.newaxis]
    below = exceedances.moves - 0.5
    moves = np.log(-np.expm1(-a * np.log1p(1.0 / below))) - a * np.log(below)
    thresholds = -a * np.log(exceedances.thresholds - 0.5)
    total: Floats = (exceedances.move_weights * moves).sum(axis=1) - (exceedances.threshold_weights * thresholds).sum(
        axis=1
    )
    return total


def spread_ties(moves: Moves) -> Estimate:
    """Hill's, each move spread evenly over half a tick either way."""
    spread = moves.largest + moves.generator.uniform(-0.5, 0.5, moves.largest.shape)
    return hill(-np.sort(-np.maximum(spread, 0.5), axis=1), moves.k)


def hill(largest: Floats, k: np.ndarray) -> Estimate:
    threshold = np.take_along_axis(largest, k[:, np.newaxis], axis=1)
    sums = np.log(np.maximum(largest / threshold, 1.0)).sum(axis=1)
    alpha = np.clip(k / np.maximum(sums, 1e-9), ALPHA_LEAST, ALPHA_MOST)
    # The sum is one of k exponentials.
    return Estimate(alpha, lambda true: k * (true / alpha - 1.0 - np.log(true / alpha)) <= DROP)


def hill_interval(alpha: Floats, k: np.ndarray) -> tuple[Floats, Floats]:
    """The 90 % interval of Hill's α: where its likelihood is at least that of α by exp(−1.353), half the quantile of
    χ² with one degree of freedom. Its ends are α s, with k (s − 1 − ln s) = 1.353; held within [0.5, 10]."""
    low, high = _shares_of_alpha(int(k.max(initial=0)))[:, k]
    return np.clip(alpha * low, ALPHA_LEAST, ALPHA_MOST), np.clip(alpha * high, ALPHA_LEAST, ALPHA_MOST)


@lru_cache(maxsize=16)
def _shares_of_alpha(most: int) -> Floats:
    """Both s for each k up to `most`, of shape (2, most + 1), by halving."""
    drop = DROP / np.maximum(np.arange(most + 1), 1)
    shares = []
    for far in (0.0, 8.0):
        inside, outside = np.ones(most + 1), np.full(most + 1, far)
        for _halving in range(56):
            middle = (inside + outside) / 2
            within = middle - 1 - np.log(middle) < drop
            inside, outside = np.where(within, middle, inside), np.where(within, outside, middle)
        shares.append(inside)
    return np.array(shares)


def hill_on_ticks(moves: Moves) -> Estimate:
    """Hill's, as if whole moves were exact."""
    return hill(np.maximum(moves.largest, 1.0), moves.k)


def rank_regression(moves: Moves) -> Estimate:
    """ln(rank − ½) against ln x, over the k + 1 largest: Gabaix and Ibragimov (2011), J. Bus. Econ. Stat. 29."""
    rank = np.arange(moves.largest.shape[1]) + 1.0
    used = (rank <= moves.k[:, np.newaxis] + 1) & (moves.largest > 0)
    number = np.count_nonzero(used, axis=1)
    x, y = (np.where(used, v, 0.0) for v in (np.log(np.maximum(moves.largest, 1.0)), np.log(rank - 0.5)))
    dx, dy = (np.where(used, v - (v.sum(axis=1) / number)[:, np.newaxis], 0.0) for v in (x, y))
    slope = -(dx * dy).sum(axis=1) / np.maximum((dx * dx).sum(axis=1), 1e-9)
    alpha = np.clip(np.where(slope == 0, ALPHA_MOST, slope), ALPHA_LEAST, ALPHA_MOST)
    return Estimate(alpha, lambda true: np.abs(true / alpha - 1.0) <= 1.645 * np.sqrt(2.0 / number))


ESTIMATORS: dict[str, Callable[[Moves], Estimate]] = {
    "whole tick": whole_tick,
    "half tick": half_tick,
    "spread ties": spread_ties,
    "rank − ½": rank_regression,
    "Hill": hill_on_ticks,
}


class Readings(NamedTuple):
    """What an hour of samples reads, each of shape (paths, windows)."""

    old: Floats
    new: Floats
    low: Floats
    high: Floats


def readings(moves: Floats, window: int, stride: int = 1) -> Readings:
    """α in every window along each path, a window every `stride` samples; WAIT's where fewer than 64 are not 0."""
    generator = np.random.default_rng(0)
    rows = []
    for path in moves:
        windows = np.lib.stride_tricks.sliding_window_view(path, window)[::stride]
        of_each = moves_of(generator, windows)
        waiting = np.count_nonzero(windows, axis=1) < WAIT_RETURNS
        found = fit(of_each)
        each = (hill_on_ticks(of_each).alpha, found.alpha, found.low, found.high)
        rows.append([np.where(waiting, WAIT_ALPHA, values) for values in each])
    return Readings(*np.array(rows).transpose(1, 0, 2))
