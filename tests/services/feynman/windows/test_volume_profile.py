import numpy as np
import numpy.typing as npt
import pytest

from services.feynman.windows.arrays import HEADROOM
from services.feynman.windows.bins import BINS, histogram
from services.feynman.windows.volume_profile import VolumeProfile, price_bins

Floats = npt.NDArray[np.float64]


@pytest.mark.parametrize(
    ("price", "number"), [(32.0, 0), (32.99, 0), (33.0, 1), (33.0 - 1e-10, 1), (63.5, 31), (64.0, 31)]
)
def test_bins_lie_between_the_extremes(price: float, number: int) -> None:
    assert price_bins(np.array([price]), np.array([32.0]), np.array([64.0])).tolist() == [number]


class Market:
    """Some rings, filled as windows are, and the profile that is kept of them."""

    def __init__(self, rows: int, window: int) -> None:
        self.price = np.full((rows, window), 100.0)
        self.volume = np.zeros((rows, window))
        self.samples = np.zeros(rows, np.int64)
        self.rows = np.arange(rows)
        self.profile = VolumeProfile(window, rows)
        self.profile.forget(self.rows)

    def trade(self, rows: npt.NDArray[np.intp], column: int, price: Floats, volume: Floats) -> None:
        full = self.samples[rows] == self.price.shape[1]
        leaving = self.price[rows, column].copy(), self.volume[rows, column].copy(), full
        self.profile.replace(rows, np.full(len(rows), column), leaving, (price, volume))
        self.price[rows, column], self.volume[rows, column] = price, volume
        self.samples[rows] += ~full

    def extremes(self) -> tuple[Floats, Floats]:
        return self.price.min(axis=1), self.price.max(axis=1)

    def weights(self) -> Floats:
        lo, hi = self.extremes()
        total = (self.volume * HEADROOM).sum(axis=1)
        window = self.price, self.volume, self.samples - 1
        return self.profile.weights(self.rows, lo, hi, total, self.samples, window)

    def anew(self, row: int) -> Floats:
        lo, hi = (each[row : row + 1] for each in self.extremes())
        used = slice(0, int(self.samples[row]))
        if lo == hi:
            return np.zeros(BINS)
        weight = self.volume[row, used] * HEADROOM
        if not weight.any():
            weight = np.ones(len(weight))
        profile: Floats = histogram(price_bins(self.price[row : row + 1, used], lo, hi), BINS, weight)[0]
        return profile


@pytest.mark.parametrize("window", [1, 2, 50])
def test_weights_are_those_of_summing_anew(window: int) -> None:
    generator = np.random.default_rng(window)
    market = Market(6, window)
    place = np.zeros(6)
    for step in range(600):
        place += generator.integers(-2, 3, 6) * (market.rows > 0) + (market.rows == 5)
        price = 100.0 + 0.01 * (np.abs(place + 500) % 2000)
        price[1] = 100.0 + 0.01 * (step % 7)  # a range that stays
        volume = generator.integers(0, 4, 6) * np.array([1, 1e12 if step < 300 else 0.37, 0, 0.1, 7, 1])
        taken = market.rows if step < window else market.rows[generator.random(6) < 0.9]
        market.trade(taken, step % window, price[taken], volume[taken])
        if step % 4 == 0 or step > 560:
            weights = market.weights()
            for row in range(6):
                anew = market.anew(row)
                # Far below what makes a tie, of what the heaviest bin weighs.
                np.testing.assert_allclose(weights[row], anew, rtol=0, atol=1e-11 * anew.max())


def test_volumes_at_the_end_of_the_range_do_not_overflow() -> None:
    market = Market(1, 8)
    for step in range(20):
        market.trade(market.rows, step % 8, np.array([100.0 + step % 3]), np.array([1.7e308]))
        assert np.isfinite(market.weights()).all()


def test_it_grows() -> None:
    market = Market(1, 4)
    for step in range(4):
        market.trade(market.rows, step, np.array([100.0 + step]), np.array([5.0]))
    before = market.weights()[0]
    market.profile.grow(3)
    assert market.weights()[0].tolist() == before.tolist()
