import numpy as np
import pytest

from services.feynman.windows.arrays import HEADROOM
from services.feynman.windows.block_sums import BLOCK, BlockSums, padded


def test_columns_are_padded_to_whole_blocks() -> None:
    assert [padded(window) for window in (1, 31, 32, 33, 1000)] == [32, 32, 32, 64, 1024]


@pytest.mark.parametrize("window", [1, 31, 32, 33, 100])
def test_sums_and_extremes_are_those_of_the_window(window: int) -> None:
    generator = np.random.default_rng(window)
    rows = np.arange(3)
    sums = BlockSums(window, 3)
    price, volume, trades, r = (np.zeros((3, padded(window))) for _ in range(4))
    r[:] = np.nan
    first = np.array([5.0, 6.0, 7.0])
    price[:, :window] = first[:, np.newaxis]
    sums.begin(rows, first)
    for step in range(3 * window + 5):
        column = np.full(3, step % window)
        price[rows, column] = generator.uniform(1, 10, 3)
        volume[rows, column], trades[rows, column] = generator.uniform(0, 9, (2, 3))
        r[rows, column] = np.where(generator.random(3) < 0.2, np.nan, generator.standard_normal(3))
        sums.read(rows, column, price, volume, trades, r)
        assert sums.highest.max(axis=1).tolist() == price[:, :window].max(axis=1).tolist()
        assert sums.lowest.min(axis=1).tolist() == price[:, :window].min(axis=1).tolist()
        np.testing.assert_allclose(sums.volume.sum(axis=1) / HEADROOM, volume.sum(axis=1), rtol=1e-13)
        np.testing.assert_allclose(sums.trades.sum(axis=1) / HEADROOM, trades.sum(axis=1), rtol=1e-13)
        np.testing.assert_allclose(sums.squares.sum(axis=1), np.nansum(r * r, axis=1), rtol=1e-13)


def test_what_has_left_leaves_nothing_behind() -> None:
    # 1e16 first and ones afterwards: a running sum would be off by several.
    sums, rows = BlockSums(BLOCK * 2, 1), np.array([0])
    price, trades, r = np.ones((1, 64)), np.zeros((1, 64)), np.full((1, 64), np.nan)
    volume = np.full((1, 64), 1e16 / 3)
    sums.begin(rows, np.array([1.0]))
    sums.read_all(rows, price, volume, trades, r)
    for column in range(64):
        volume[0, column] = 1.0
        sums.read(rows, np.array([column]), price, volume, trades, r)
    assert sums.volume.sum() == 64 * HEADROOM


def test_it_grows() -> None:
    sums = BlockSums(4, 1)
    sums.begin(np.array([0]), np.array([3.0]))
    sums.grow(2)
    assert sums.highest.tolist() == [[3.0], [0.0]]
