import numpy as np
import pytest

from services.feynman.vector import order_statistics
from services.feynman.windows.largest_returns import LargestReturns

KINDS = ("normal", "heavy", "grid", "two sizes", "sparse")


def draw(generator: np.random.Generator, kind: str, step: int) -> float:
    r = generator.standard_normal() * (1e-3 if step % 250 < 200 else 1e-5)
    if kind == "heavy":
        r /= max(abs(generator.standard_normal()), 1e-3)
    if kind == "grid":
        r = round(r, 3)
    if kind == "two sizes":
        r = float(np.sign(r)) * (1e-3 if generator.random() < 0.9 else 2e-3)
    if kind == "sparse":
        r *= generator.random() < 0.5
    return float(r)


@pytest.mark.parametrize("window", [64, 100, 321])
def test_the_largest_are_those_of_sorting_anew(window: int) -> None:
    generator = np.random.default_rng(window)
    rows = np.arange(len(KINDS))
    kept = LargestReturns(window, len(rows))
    kept.forget(rows)
    ring = np.full((len(rows), window), np.nan)
    compared = 0
    for step in range(4 * window):
        taken = rows[generator.random(len(rows)) < 0.9]
        entering = np.array([draw(generator, KINDS[row], step) for row in taken])
        if step % 17 == 0:
            entering[:1] = np.nan
        column = np.full(len(taken), step % window)
        leaving = np.nan_to_num(np.abs(ring[taken, column]))
        ring[taken, column] = entering
        kept.replace(taken, column, leaving, np.nan_to_num(np.abs(entering)))
        x = np.sort(np.nan_to_num(np.abs(ring)), axis=1)[:, ::-1]
        nonzero = np.count_nonzero(x, axis=1)
        enough = rows[nonzero >= 64]
        if step % 3 == 0 or step > 3 * window:
            needed = order_statistics(nonzero[enough]) + 1
            largest = kept.largest(enough, needed, ring)
            for row, values, number in zip(enough, largest, needed, strict=True):
                assert values[:number].tolist() == x[row, :number].tolist()
                compared += 1
    assert compared > window


def test_the_largest_may_stand_wherever_they_like() -> None:
    # A search looks at the largest of four each first. Here few groups of four hold all that is large: much more lies
    # above a floor found so than a list has room for.
    generator = np.random.default_rng(1)
    ring = generator.standard_normal((3, 400)) * 1e-3
    ring[1, np.arange(400) % 100 < 12] *= 100.0
    ring[2, :40] *= 100.0
    kept, rows = LargestReturns(400, 3), np.arange(3)
    kept.forget(rows)
    largest = kept.largest(rows, np.full(3, 21), ring)
    x = np.sort(np.abs(ring), axis=1)[:, ::-1]
    assert largest[:, :21].tolist() == x[:, :21].tolist()


def test_it_grows_and_forgets() -> None:
    kept = LargestReturns(80, 1)
    kept.forget(0)
    ring = np.arange(1.0, 81.0)[np.newaxis]
    kept.grow(2)
    kept.forget(1)
    ring = np.repeat(ring, 2, axis=0)
    largest = kept.largest(np.array([0, 1]), np.array([11, 11]), ring)
    assert largest[:, :11].tolist() == [list(range(80, 69, -1))] * 2


def test_more_than_ever_before_may_be_asked_for() -> None:
    generator = np.random.default_rng(2)
    ring = np.concatenate([generator.standard_normal((2, 300)), np.full((1, 300), 2.0)])
    kept, rows = LargestReturns(300, 3), np.arange(3)
    kept.forget(rows)
    x = np.sort(np.abs(ring), axis=1)[:, ::-1]
    for step, number in enumerate((16, 17, 90, 300, 5)):
        entering = np.array([9.0 + step, 0.0, 2.0])
        kept.replace(rows, np.full(3, step), np.abs(ring[:, step]), entering)
        ring[:, step] = entering
        x = np.sort(np.abs(ring), axis=1)[:, ::-1]
        needed = np.minimum(number, np.count_nonzero(x, axis=1))
        for row, values in enumerate(kept.largest(rows, needed, ring)):
            assert values[: needed[row]].tolist() == x[row, : needed[row]].tolist()
