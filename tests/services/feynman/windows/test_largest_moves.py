import math

import numpy as np
import pytest

from services.feynman.tails import order_statistics
from services.feynman.windows.largest_moves import LargestMoves, moves

KINDS = ("normal", "heavy", "grid", "two sizes", "sparse", "few")


def draw(generator: np.random.Generator, kind: str, step: int) -> float:
    x = abs(generator.standard_normal()) * (1e3 if step % 250 < 200 else 10)
    if kind == "heavy":
        x /= max(abs(generator.standard_normal()), 1e-3)
    if kind == "grid":
        x = math.ceil(x / 200)
    if kind == "two sizes":
        x = 2 if generator.random() < 0.9 else 3
    if kind == "sparse":
        x *= generator.random() < 0.5
    if kind == "few":
        x = 5 * (generator.random() < 0.02)
    return x if x >= 2 else 0.0


@pytest.mark.parametrize("window", [64, 100, 321])
def test_the_largest_are_those_of_sorting_anew(window: int) -> None:
    generator = np.random.default_rng(window)
    rows = np.arange(len(KINDS))
    kept = LargestMoves(window, len(rows))
    kept.forget(rows)
    ring = np.zeros((len(rows), window))
    compared = 0
    for step in range(4 * window):
        taken = rows[generator.random(len(rows)) < 0.9]
        entering = np.array([draw(generator, KINDS[row], step) for row in taken])
        column = np.full(len(taken), step % window)
        leaving = ring[taken, column]
        ring[taken, column] = entering
        kept.replace(taken, column, leaving, entering)
        if step % 3 == 0 or step > 3 * window:
            needed = order_statistics(np.count_nonzero(ring, axis=1)) + 1
            largest, ties = kept.largest(rows, needed, ring.__getitem__)
            x = np.sort(ring, axis=1)[:, ::-1]
            for row, number in enumerate(needed):
                assert largest[row, :number].tolist() == x[row, :number].tolist()
                last = x[row, number - 1]
                assert last == 0 or ties[row] == np.count_nonzero(x[row] == last)
                compared += 1
            assert kept.number.tolist() == np.count_nonzero(ring, axis=1).tolist()
    assert compared > window


def test_the_largest_may_stand_wherever_they_like() -> None:
    # A search looks at the largest of four each first. Here few groups of four hold all that is large: much more lies
    # above a floor found so than a list has room for.
    generator = np.random.default_rng(1)
    ring = 2.0 + np.abs(generator.standard_normal((3, 400)))
    ring[1, np.arange(400) % 100 < 12] *= 100.0
    ring[2, :40] *= 100.0
    kept, rows = LargestMoves(400, 3), np.arange(3)
    kept.forget(rows)
    largest, _ = kept.largest(rows, np.full(3, 21), ring.__getitem__)
    x = np.sort(ring, axis=1)[:, ::-1]
    assert largest[:, :21].tolist() == x[:, :21].tolist()


def test_it_grows_and_forgets() -> None:
    kept = LargestMoves(80, 1)
    kept.forget(0)
    ring = np.arange(2.0, 82.0)[np.newaxis]
    kept.grow(2)
    kept.forget(1)
    ring = np.repeat(ring, 2, axis=0)
    largest, ties = kept.largest(np.array([0, 1]), np.array([11, 11]), ring.__getitem__)
    assert largest[:, :11].tolist() == [list(range(81, 70, -1))] * 2
    assert ties.tolist() == [1, 1]


def test_more_than_ever_before_may_be_asked_for() -> None:
    generator = np.random.default_rng(2)
    ring = np.concatenate([2.0 + np.abs(generator.standard_normal((2, 300))), np.full((1, 300), 2.0)])
    kept, rows = LargestMoves(300, 3), np.arange(3)
    kept.forget(rows)
    for step, number in enumerate((16, 17, 90, 300, 5)):
        entering = np.array([9.0 + step, 0.0, 2.0])
        kept.replace(rows, np.full(3, step), ring[:, step], entering)
        ring[:, step] = entering
        x = np.sort(ring, axis=1)[:, ::-1]
        largest, _ = kept.largest(rows, np.full(3, number), ring.__getitem__)
        for row, values in enumerate(largest):
            assert values[:number].tolist() == x[row, :number].tolist()


def test_a_move_is_in_ticks_and_below_two_there_is_none() -> None:
    price = np.array([10.03, 10.01, 10.0, 10.05, 10.05])
    log_return = np.log(price) - np.log([10.0, 10.0, 10.05, 10.0, np.nan])
    x = moves(price, log_return, np.array([0.01, 0.01, 0.01, 0.05, 0.01]))
    assert x.tolist() == [3.0, 0.0, 5.0, 0.0, 0.0]


def test_without_a_grid_a_move_is_its_return() -> None:
    log_return = np.array([1e-12, -1e-3, 0.0, np.nan])
    x = moves(np.ones(4), log_return, np.full(4, np.nan))
    assert x.tolist() == [1e-12 * 2**60, 1e-3 * 2**60, 0.0, 0.0]
