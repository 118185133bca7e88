import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cottage.reference import FoundGrid, Price, plain_grid
from services.feynman.windows.arrays import FloatArray, Rows
from services.feynman.windows.tick_grid import (
    COMMON,
    LIES,
    NONE,
    TICKS,
    TRIED,
    WHOLE_TICKS,
    PriceAndReturn,
    Rings,
    SaidOfPrice,
    TickGrid,
    nearest_tick,
    roundness,
    ticks_moved,
)


class Market:
    """Rows of prices whose grids are kept, and the rings beside them as `Windows` has them."""

    def __init__(self, rows: int, window: int = 80) -> None:
        self.window = window
        self.price, self.r = np.ones((rows, window)), np.full((rows, window), np.nan)
        self.taken = np.zeros(rows, np.int64)
        self.last = np.full(rows, np.nan)
        self.kept = TickGrid(window, rows)
        self.kept.clear(np.arange(rows))

    @property
    def rings(self) -> Rings:
        samples = np.minimum(self.taken, self.window)
        nonzero = np.count_nonzero(np.nan_to_num(self.r), axis=1)
        return Rings(self.price, self.r, samples, (self.taken - 1) % self.window, nonzero)

    def take(
        self, rows: Rows, price: FloatArray, *, gap: Any = False, tick: Any = math.nan, mid: Any = False
    ) -> None:
        r = np.where(gap | np.isnan(self.last[rows]), np.nan, np.log(price) - np.log(self.last[rows]))
        r[price == self.last[rows]] = 0.0
        r[np.isnan(self.last[rows]) | gap] = np.nan
        column = self.taken[rows] % self.window
        leaving = PriceAndReturn(self.price[rows, column], self.r[rows, column])
        self.price[rows, column], self.r[rows, column], self.last[rows] = price, r, price
        self.taken[rows] += 1
        said = SaidOfPrice(np.broadcast_to(tick, price.shape), np.broadcast_to(mid, price.shape), self.taken[rows])
        self.kept.replace(rows, column, leaving, PriceAndReturn(price, r), said, self.rings)

    def run(self, prices: Sequence[float], **said: Any) -> float:
        """Give one row all these prices; returns its tick after the last one, nan where there is no grid."""
        for price in prices:
            self.take(np.array([0]), np.array([float(price)]), **said)
        return self.tick()

    def tick(self, row: int = 0) -> float:
        return self.found(row)[0]

    def found(self, row: int = 0) -> tuple[float, int, bool]:
        kept = self.kept
        return float(kept.tick[row]), int(kept.snapped[row]), bool(kept.disobeyed[row])


def walk(seed: int, number: int, tick: float, sigma: float = 1.0, start: float = 450.0) -> list[float]:
    """A path of normal steps of so many ticks, rounded to the grid, as decimals."""
    path = start / tick + np.cumsum(np.random.default_rng(seed).standard_normal(number)) * sigma
    return [float(f"{round(float(each)) * tick:.10g}") for each in path]


@pytest.mark.parametrize(
    ("price", "coarsest"),
    [
        (450.32, 0.02), (450.3, 0.1), (450.35, 0.05), (450.325, 0.025), (450.31, 0.01), (1644.75, 0.25),
        (100.0, 100.0), (97123.45, 0.05), (1e-8, 1e-8), (3.7e-7, 1e-8), (1e6, 1e6), (0.1 + 0.2, 0.1),
        (123456789.012, 0.002), (1 / 3, 1e-12), (1e300, 1e11), (1e-300, 1e-20),
    ],
)  # fmt: skip
def test_a_price_lies_on_grids_as_it_is_written(price: float, coarsest: float) -> None:
    lies = np.flatnonzero(LIES[roundness(np.array([price]))[0]])
    assert TICKS[lies[-1]] == coarsest
    if price > 1e-9:
        assert all(plain_grid.read(price) % WHOLE_TICKS[i] == 0 for i in lies)
        assert len(lies) == sum(plain_grid.read(price) % whole == 0 for whole in WHOLE_TICKS)


def test_what_lies_on_a_coarser_grid_lies_on_one_of_the_next() -> None:
    for grid in range(NONE):
        following = [i for i in TRIED[grid, 1:] if i != NONE]
        assert all(i > grid for i in following)
        for coarser in range(grid + 1, NONE):
            assert any(WHOLE_TICKS[coarser] % WHOLE_TICKS[i] == 0 for i in following)


def test_a_grid_is_found_as_soon_as_there_are_64_moves() -> None:
    ticks = np.repeat([1e-8, 1e-5, 0.0025, 0.01, 0.05, 0.25, 0.5, 1.0, 2.0, 25.0], 3)
    sigmas = np.tile([0.35, 1.0, 5.0], 10)
    prices = [walk(1, 400, t, s, start=1000 * t) for t, s in zip(ticks.tolist(), sigmas.tolist(), strict=True)]
    market, rows = Market(len(ticks), window=1000), np.arange(len(ticks))
    for price in np.array(prices).T:
        market.take(rows, price)
        tick = market.kept.tick
        assert np.array_equal(tick, np.where(market.rings.nonzero >= 64, ticks, np.nan), equal_nan=True)
    assert np.array_equal(tick, ticks)


def test_a_price_that_stands_has_no_grid_yet() -> None:
    market = Market(1)
    assert math.isnan(market.run([100.0] * 200))
    assert math.isnan(market.run([100.0, 105.0] * 30))
    assert market.run([100.0, 105.0] * 5) == 5.0


def test_a_walk_by_single_ticks_around_a_round_price_is_not_of_round_ticks() -> None:
    # 100.00 for four fifths of the time, and 99.99 or 100.01 between: these 80 % lie on a grid of 100.
    market = Market(1, window=1000)
    assert market.run([100.0, 100.0, 100.0, 100.0, 100.01] * 50 + [100.0, 100.0, 100.0, 100.0, 99.99] * 50) == 0.01


def test_one_price_in_five_off_the_grid_changes_nothing_and_is_counted() -> None:
    prices = walk(2, 400, 0.01, sigma=3.0)
    prices[::5] = [price + 0.0013 for price in prices[::5]]
    market = Market(1, window=300)
    assert market.run(prices) == 0.01
    assert market.found() == (0.01, 60, False)


def test_a_finer_or_a_coarser_grid_is_adopted_when_the_vote_has_given_it_for_60_samples() -> None:
    market = Market(1, window=100)
    assert market.run(walk(3, 200, 0.01, sigma=3.0)) == 0.01
    fine = [price + 0.0001 * (1, 3, 7, 9)[i % 4] for i, price in enumerate(walk(4, 200, 0.01, sigma=3.0))]
    assert market.run(fine[:26]) == 0.01
    assert market.kept.against[0] == 1
    assert market.run(fine[26:84]) == 0.01
    assert market.kept.against[0] == 59
    assert market.run(fine[84:85]) == 0.0001
    coarse = walk(5, 300, 0.05, sigma=3.0)
    assert market.run(coarse[: 100 - 25 + 58]) == 0.0001
    assert market.run(coarse[100 - 25 + 58 :]) == 0.05


def test_a_vote_that_is_undone_in_time_changes_nothing() -> None:
    market = Market(1, window=75)
    market.run(walk(3, 200, 0.01, sigma=30.0))
    for turn in range(4):
        market.run([price + 0.0013 for price in walk(turn, 19, 0.01, sigma=30.0)])
        assert market.kept.against[0] == 1
        assert market.run(walk(turn, 100, 0.01, sigma=30.0)) == 0.01


def test_a_mid_has_half_the_tick_of_its_quotes() -> None:
    quotes = walk(6, 300, 0.25, sigma=3.0)
    mids = [(bid + bid + 0.25 * (1 + i % 2)) / 2 for i, bid in enumerate(quotes)]
    assert Market(1, window=200).run(mids, mid=True) == 0.125
    assert Market(1).run(mids[:3], mid=True, tick=0.25) == 0.125
    market = Market(1, window=200)
    assert market.run(quotes) == 0.25
    assert market.run(mids[:1], mid=True) == 0.25  # that of most prices, found among halves
    assert market.kept.grid[0] == np.flatnonzero(TICKS == 0.5)[0]
    assert market.run(quotes[:199]) == 0.25
    assert market.run(quotes[199:200]) == 0.25
    assert market.kept.grid[0] == np.flatnonzero(TICKS == 0.25)[0]  # the mid has left


def test_a_stated_tick_wins_unless_fewer_than_half_of_the_prices_obey_it() -> None:
    market = Market(1, window=100)
    assert market.run([100.0], tick=0.03125) == 0.03125
    assert market.run(walk(7, 99, 0.03125, sigma=3.0)) == 0.03125  # as long as it states no other
    assert market.found() == (0.03125, 0, False)
    off = walk(8, 51, 0.0001, sigma=200.0)
    market.run(off[:50])
    tick, snapped, disobeyed = market.found()
    assert (tick, disobeyed) == (0.03125, False)
    assert 45 <= snapped <= 50
    market.run([price for price in off if not (price / 0.03125).is_integer()][:50])
    assert market.found()[2]
    assert market.tick() != 0.03125
    market.run(walk(9, 100, 0.25, sigma=3.0), tick=0.5)
    market.run(walk(9, 100, 0.5, sigma=3.0))
    assert market.found() == (0.5, 0, False)


def test_moves_of_more_than_1000_ticks_are_on_no_grid() -> None:
    assert math.isnan(Market(1).run(walk(10, 200, 0.01, sigma=3000.0, start=45000.0)))
    assert Market(1).run(walk(10, 200, 0.01, sigma=1000.0, start=45000.0)) == 0.01
    market = Market(1)
    assert math.isnan(market.run(np.random.default_rng(11).uniform(90.0, 110.0, 200).tolist()))
    assert market.found()[1] == 0
    assert market.run(walk(12, 300, 0.01, sigma=3.0)) == 0.01


def test_moves_are_whole_ticks_and_half_a_tick_goes_up() -> None:
    price, tick = np.array([10.005, 10.015, 10.0049, 9.99, 0.07]), np.full(5, 0.01)
    assert nearest_tick(price, tick).tolist() == [1001.0, 1002.0, 1000.0, 999.0, 7.0]
    before = np.array([10.0, 10.0, 20.0, 9.99, 1e-300])
    assert ticks_moved(price, np.log(price / before), tick).tolist() == [1.0, 2.0, 1000.0, 0.0, 7.0]


_KINDS = ("walk", "still", "prints", "real", "halves", "regimes", "crossing")


def _drawn(generator: np.random.Generator, kind: str, number: int) -> list[float]:
    tick = float(generator.choice([1e-8, 0.0001, 0.01, 0.05, 0.25, 2.5]))
    sigma = float(generator.choice([0.2, 1.0, 5.0, 2000.0]))
    path = 5000 + np.cumsum(generator.standard_normal(number)) * sigma
    if kind == "still":
        path = np.where(generator.random(number) < 0.9, 5000.0, path)
    if kind == "regimes":
        path = np.where(np.arange(number) // 150 % 2 == 0, path, np.rint(path / 10) * 10)
    if kind == "crossing":
        path = np.linspace(9900.0, 10100.0, number) + path - 5000
    path = path + generator.random(number) if kind == "real" else np.rint(path)
    if kind in ("prints", "halves"):
        share = float(generator.choice([0.02, 0.2, 0.27]))
        off = 0.5 if kind == "halves" else np.rint(generator.random(number) * 10) / 10
        path = path + off * (generator.random(number) < share)
    return [float(f"{max(float(each), 1.0) * tick:.11g}") for each in path]


@settings(max_examples=12)
@given(st.integers(0, 2**32), st.integers(64, 90), st.data())
def test_any_windows_have_the_grid_of_the_definition(seed: int, window: int, data: st.DataObject) -> None:
    generator = np.random.default_rng(seed)
    kinds = data.draw(st.lists(st.sampled_from(_KINDS), min_size=1, max_size=3))
    feeds = data.draw(st.lists(st.sampled_from(["", "", "mids", "a mid", "states"]), min_size=3, max_size=3))
    number = 220
    prices = np.array([_drawn(generator, kind, number) for kind in kinds])
    market, plain = Market(len(kinds), window), [plain_grid.PlainGrid(window) for _ in kinds]
    for step in range(number):
        rows = np.flatnonzero(generator.random(len(kinds)) < 0.95)
        gap = generator.random(len(rows)) < 0.01
        mid = np.array([feeds[i] == "mids" or (feeds[i] == "a mid" and step % 150 == 70) for i in rows], np.bool_)
        states = np.array([feeds[i] == "states" and step % 100 == 3 for i in rows], np.bool_)
        tick = np.where(states, generator.choice([0.01, 0.03125, 0.25]), np.nan)
        before = market.last[rows]
        market.take(rows, prices[rows, step], gap=gap, tick=tick, mid=mid)
        found = [
            plain[row].take(
                Price(float(prices[row, step]), None if none else float(last), bool(is_mid)),
                float(said) if is_stated else None,
            )
            for row, none, last, is_mid, said, is_stated in zip(
                rows, gap | np.isnan(before), before, mid, tick, states, strict=True
            )
        ]
        if step % 9 == 0 or step > number - 3:
            for row, expected in zip(rows.tolist(), found, strict=True):
                _assert_found(market.found(row), expected)
    anew = TickGrid(window, len(kinds))
    for name in ("grid", "against", "stated", "mid_until"):
        setattr(anew, name, getattr(market.kept, name).copy())
    every, rings = np.arange(len(kinds)), market.rings
    anew.derive(every, rings, market.taken)
    for name in ("_price", "_move", "_scale", "_prices", "_moves", "_obey", "snapped", "disobeyed", "tick"):
        np.testing.assert_array_equal(getattr(anew, name), getattr(market.kept, name), name)


def _assert_found(kernel: tuple[float, int, bool], expected: FoundGrid) -> None:
    tick = math.nan if expected.tick is None else float(expected.tick)
    assert kernel == pytest.approx((tick, expected.snapped, expected.disobeyed), rel=1e-12, abs=0, nan_ok=True)


_FLOATS = st.floats(min_value=5e-324, allow_nan=False, allow_infinity=False)


@settings(max_examples=30)
@given(st.lists(_FLOATS, min_size=2, max_size=200, unique=True), _FLOATS, st.booleans())
def test_any_prices_and_any_stated_tick_are_borne(prices: list[float], tick: float, mid: bool) -> None:
    market = Market(1)
    market.run((prices * 100)[:150], mid=mid)
    market.run(prices[:1], tick=tick)
    found, snapped, _ = market.found()
    assert math.isnan(found) or found > 0
    assert 0 <= snapped <= 80
    market.kept.derive(np.array([0]), market.rings, market.taken)
    assert market.kept.grid[0] != NONE


def test_two_prices_lie_together_on_the_grids_that_both_lie_on() -> None:
    assert np.array_equal(LIES[COMMON], LIES[:, np.newaxis] & LIES[np.newaxis])


def test_rows_are_added_and_begun_anew() -> None:
    market = Market(1)
    market.run(walk(13, 200, 0.01, sigma=30.0))
    market.kept.grow(3)
    rows = np.array([1, 2])
    market.kept.clear(rows)
    empty, nothing = np.zeros((3, 80)), np.zeros(3, np.int64)
    market.kept.derive(rows, Rings(empty, empty, nothing, nothing - 1, nothing), nothing[:2])
    assert market.kept.grid[rows].tolist() == [NONE] * 2
    assert market.tick() == 0.01
    market.kept.clear(0)
    market.taken[:] = 0
    market.r[:] = np.nan
    assert math.isnan(market.tick())
    market.last[:] = np.nan
    assert market.run(walk(14, 200, 0.25, sigma=30.0)) == 0.25
