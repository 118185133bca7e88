"""The kernel is the definition that tests/plain_tail.py writes down, and keeps what is promised of it."""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cottage.reference import plain_tail
from services.feynman import tail_index
from services.feynman.tail_index import TailIndex, at_own_thresholds, at_threshold, estimate
from services.feynman.tails import order_statistics
from tests.bench import laws
from tests.bench.laws import Law

EXACT = 1e-9


def fitted(windows: Sequence[Sequence[int]] | np.ndarray, widening: float = 1.0) -> TailIndex:
    """Of windows of one length, each with the largest moves and ties that LargestMoves would have."""
    moves = np.array(windows, np.float64)
    k = order_statistics(np.count_nonzero(moves, axis=1))
    most = int(k.max()) + 1
    padded = np.pad(moves, [(0, 0), (0, max(0, most - moves.shape[1]))])
    largest = -np.sort(-padded, axis=1)[:, :most]
    level = np.maximum(np.take_along_axis(largest, k[:, np.newaxis], axis=1), 2.0)
    ties = np.count_nonzero(moves == level, axis=1)
    return estimate(at_threshold(largest, k, ties), np.count_nonzero(moves >= 2, axis=1), widening)


def row(found: TailIndex, place: int = 0) -> plain_tail.PlainTailIndex:
    return plain_tail.PlainTailIndex(*(float(a[place]) for a in (found.alpha, found.low, found.high)))


def ticks(law: Law, scale: float, window: int = 1000, number: int = 1, seed: int = 3) -> np.ndarray:
    """Absolute moves of rounded paths, shape (number, window)."""
    generator = np.random.default_rng(seed)
    path = np.cumsum(scale * np.clip(law(generator, (number, window)), -1e9, 1e9), axis=1)
    start = generator.random((number, 1))
    return np.abs(np.diff(np.rint(start + path), axis=1, prepend=np.rint(start)))


def whole(moves: np.ndarray) -> list[int]:
    return [int(x) for x in moves]


# Against the definition


@pytest.mark.parametrize(
    ("law", "scale", "window"),
    [
        (laws.pareto(2), 0.35, 1000),
        (laws.pareto(2), 1, 500),
        (laws.pareto(1), 0.4, 300),
        (laws.pareto(1), 8, 200),  # held at 0.5, or near 1
        (laws.student(4), 0.5, 1000),
        (laws.student(3), 30, 300),
        (laws.normal, 1, 1000),
        (laws.normal, 0.5, 1000),
    ],
)
def test_it_is_the_definition_on_rounded_paths(law: Law, scale: float, window: int) -> None:
    moves = ticks(law, scale, window)[0]
    assert row(fitted([whole(moves)])) == pytest.approx(plain_tail.tail_index(whole(moves)), rel=EXACT)


@pytest.mark.parametrize(
    "moves",
    [
        [2] * 60 + [1] * 100,  # no maximum
        [3] * 60 + [1] * 20 + [2] * 30,
        [20] * 300,
        [5] * 11,
        [2] * 10 + [3],
        [2] * 5,  # too few
        [2, 2, 2, 900],
        [2] + [1] * 90,
        [1] * 100,
        [0] * 100,
        [100] * 30 + [1] * 970,  # below the least α
        [10**6] * 12,
        [10**9 + i for i in range(40)],
        [2**40, *range(2, 60)],
    ],
)
def test_it_is_the_definition_where_a_window_is_odd(moves: list[int]) -> None:
    assert row(fitted([moves])) == pytest.approx(plain_tail.tail_index(moves), rel=EXACT)


def test_it_is_the_definition_where_a_root_is_1() -> None:
    # Evaluated at 1 itself the likelihood is 0 / 0, and nearby a difference of great numbers.
    moves = np.array([[2.0] * 11])
    likelihood = tail_index._Likelihood(at_threshold(moves, np.array([10]), np.array([11])))
    values = [float(likelihood.at(slice(None), np.array([a]))[0][0]) for a in (1 - 2e-6, 1 + 2e-6)]
    exact = 11 * math.log((math.log(2) * 2 - math.log(3)) / math.log(2))  # G = −ln y: P(2 | ≥ 2)
    assert sum(values) / 2 == pytest.approx(exact, rel=1e-9)


windows = st.lists(st.integers(0, 8) | st.integers(0, 60), min_size=64, max_size=160)


@settings(max_examples=12)
@given(windows)
def test_it_is_the_definition_in_any_window(moves: list[int]) -> None:
    assert row(fitted([moves])) == pytest.approx(plain_tail.tail_index(moves), rel=EXACT)


@settings(max_examples=8)
@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from([1, 0.75, 1.125, 2])), min_size=64, max_size=120))
def test_thresholds_of_their_own_are_the_definition(moves: list[tuple[int, float]]) -> None:
    x, scale = (np.array([row]) for row in zip(*moves, strict=True))
    k = order_statistics(np.count_nonzero(x, axis=1))
    found = estimate(at_own_thresholds(x, scale, k), np.count_nonzero(x >= 2, axis=1))
    exact = plain_tail.tail_index([m for m, _ in moves], [Fraction(s) for _, s in moves])
    assert row(found) == pytest.approx(exact, rel=EXACT)


# What is promised


@given(st.lists(st.integers(0, 3) | st.integers(0, 10**12), min_size=1, max_size=120))
def test_any_window_has_an_interval_around_its_index(moves: list[int]) -> None:
    found = row(fitted([moves]))
    assert 0.5 <= found.low <= found.alpha <= found.high <= 10
    if sum(1 for x in moves if x >= 2) < 10:
        assert (found.alpha, found.high) == (10, 10)


@given(windows, st.randoms())
def test_order_is_of_no_account(moves: list[int], random) -> None:  # type: ignore[no-untyped-def]
    shuffled = random.sample(moves, len(moves))
    assert row(fitted([shuffled])) == pytest.approx(row(fitted([moves])), rel=EXACT)


@given(windows)
def test_a_scale_of_1_is_the_common_threshold(moves: list[int]) -> None:
    x = np.array([moves], np.float64)
    k = order_statistics(np.count_nonzero(x, axis=1))
    own = estimate(at_own_thresholds(x, np.ones_like(x), k), np.count_nonzero(x >= 2, axis=1))
    assert row(own) == pytest.approx(row(fitted([moves])), rel=EXACT)


@pytest.mark.parametrize("window", [100, 1000])
def test_of_fine_ticks_it_is_hill_s(window: int) -> None:
    moves = ticks(laws.pareto(1.7), 1e6, window, number=20)
    k = max(10, window // 20)
    x = -np.sort(-moves, axis=1)[:, : k + 1]
    hill = k / np.log(x[:, :k] / x[:, k:]).sum(axis=1)
    found = fitted([whole(m) for m in moves])
    assert found.alpha == pytest.approx(hill, rel=1e-5)
    # Λ is then the likelihood of k exponentials, whose sum is k / α.
    for end in (found.low, found.high):
        held = (end > 0.5) & (end < 10)
        fall = k * (np.log(end / hill) - end / hill + 1)
        assert fall[held] == pytest.approx(-2.705543454095404 / 2, rel=1e-4)


def test_returns_without_a_grid_go_through_it_as_very_many_ticks() -> None:
    x = -np.sort(-np.abs(laws.student(3)(np.random.default_rng(2), (30, 1000))), axis=1)[:, :51]
    k = np.full(30, 50)
    found = estimate(at_threshold(x * 2.0**60, k, np.ones(30, np.int64)), np.full(30, 1000))
    assert found.alpha == pytest.approx(50 / np.log(x[:, :50] / x[:, 50:]).sum(axis=1), rel=EXACT)
    fall = 50 * (np.log(found.low / found.alpha) - found.low / found.alpha + 1)
    assert fall == pytest.approx(-2.705543454095404 / 2, rel=1e-7)


def test_a_wider_interval_is_where_the_likelihood_has_fallen_by_the_square_of_it() -> None:
    moves = ticks(laws.pareto(1.7), 1e6, number=20)
    one, wider = fitted(moves), fitted(moves, 1.5)
    assert np.array_equal(wider.alpha, one.alpha)
    for end in (wider.low, wider.high):
        fall = 50 * (np.log(end / one.alpha) - end / one.alpha + 1)
        assert fall == pytest.approx(-(1.5**2) * 2.705543454095404 / 2, rel=1e-4)
    # By as much wider, in logarithms.
    assert np.log(wider.high / wider.low) == pytest.approx(1.5 * np.log(one.high / one.low), rel=0.01)


@pytest.mark.parametrize("scale", [0.35, 0.5, 1, 3, 30])
@pytest.mark.parametrize("law", [laws.pareto(1.5), laws.student(4), laws.normal], ids=["Pareto", "t", "normal"])
def test_one_move_more_changes_it_by_less_than_its_interval(law: Law, scale: float) -> None:
    moves = ticks(law, scale)[0]
    largest = np.unique(np.sort(moves)[-80:])
    without = [whole(np.where(np.arange(len(moves)) == np.argmax(moves == x), 0.0, moves)) for x in largest]
    before, after = fitted([whole(moves)]), fitted(without)
    step = np.abs(after.alpha - before.alpha)
    assert np.all(step <= np.maximum(before.high - before.low, after.high - after.low) + 1e-9)


LAWS = {
    "Pareto": (laws.pareto, st.floats(0.7, 6)),
    "t": (laws.student, st.floats(1, 8)),
    "stable": (laws.stable, st.floats(1.05, 1.95)),
}


@given(st.sampled_from(sorted(LAWS)), st.data(), st.sampled_from([64, 100, 200, 500, 1000]), st.integers(0, 2**32))
def test_a_sample_moves_it_by_no_more_than_its_interval_and_a_quarter_where_moves_are_of_a_law(
    name: str, data: st.DataObject, window: int, seed: int
) -> None:
    family, indices = LAWS[name]
    law, scale = family(data.draw(indices)), 10 ** data.draw(st.floats(-0.8, 1.7))
    path = ticks(law, scale, window + 60, seed=seed)[0]
    found = fitted(np.lib.stride_tricks.sliding_window_view(path, window))
    known = np.array([np.count_nonzero(path[i : i + window]) >= 64 for i in range(61)])
    width = np.where(known, found.high - found.low, 9.5)
    step = np.abs(np.diff(np.where(known, found.alpha, 2.5)))
    # Of five million steps in windows of 1,000 the largest was 0.98 times the interval, in shorter ones 1.15 times.
    assert np.all(step <= 1.25 * np.maximum(width[1:], width[:-1]) + 1e-9)


@pytest.mark.parametrize(
    ("moves", "one_more", "times"),
    [
        ([2] * 200 + [1] * 799, 1507, 2.3),  # one move alone is the tail
        ([10] * 50 + [1] * 949, 10, 12.6),  # no move is between 1 and 10, and the threshold passes from 2 to 10
    ],
)
def test_a_sample_moves_it_farther_only_where_sizes_have_gaps_as_no_law_has(
    moves: list[int], one_more: int, times: float
) -> None:
    before, after = row(fitted([[*moves, 1]])), row(fitted([[*moves, one_more]]))
    widest = max(before.high - before.low, after.high - after.low)
    assert abs(after.alpha - before.alpha) / widest == pytest.approx(times, abs=0.1)


def test_a_price_of_its_own_counts_where_prices_differ_by_more_than_a_tenth() -> None:
    prices = np.array([[100.0, 104.0, 100.0, 109.0], [100.0, 100.0, 50.0, 52.0], [400.0, 300.0, 200.0, 100.0]])
    before, after = prices[:, :-1], prices[:, 1:]
    scale = tail_index.own_scale(before, after, np.sqrt(prices.min(axis=1) * prices.max(axis=1)))
    assert scale[0].tolist() == [1, 1, 1]
    # Of 100 to 50 the return is ln 2, which is 50 by 72.13; the middle of 50 and 100 is 70.71.
    expected = [
        math.exp(math.log(math.sqrt(2)) - 0.05),
        1.0,
        math.exp(math.log(2 / math.log(1.04) / 70.71067811865476) + 0.05),
    ]
    assert scale[1] == pytest.approx(expected, rel=1e-12)
    assert scale[2, 0] > 1 > scale[2, 2]


@pytest.mark.parametrize("law", [laws.pareto(2), laws.normal], ids=["Pareto", "normal"])
def test_where_a_price_halves_it_is_near_hill_s_of_the_returns(law: Law) -> None:
    generator = np.random.default_rng(8)
    log_returns = 2e-4 * np.clip(law(generator, (200, 1000)), -20, 20)
    log_returns[:, 500] = -math.log(2)
    path = 2e5 * np.exp(np.cumsum(np.pad(log_returns, [(0, 0), (1, 0)]), axis=1))
    prices = np.rint(path)
    before, after = prices[:, :-1], prices[:, 1:]
    moves, k = np.abs(after - before), np.full(200, 50)
    scale = tail_index.own_scale(before, after, np.sqrt(prices.min(axis=1) * prices.max(axis=1)))
    own = estimate(at_own_thresholds(moves, scale, k), np.count_nonzero(moves >= 2, axis=1)).alpha
    common = fitted([whole(m) for m in moves]).alpha
    x = -np.sort(-np.abs(log_returns), axis=1)[:, :51]
    hill = 50 / np.log(x[:, :50] / x[:, 50:]).sum(axis=1)
    assert np.mean(np.abs(own - hill)) < 0.6 * np.mean(np.abs(common - hill))


def test_the_likelihood_is_concave_so_there_is_one_maximum() -> None:
    # A sum of concave terms is concave: ln P(j | ≥ L) is, of each j ≥ L.
    levels = np.unique(np.rint(np.geomspace(2, 1e6, 60)))
    a = np.linspace(0.45, 24.01, 400)
    for level in levels:
        j = np.unique(np.concatenate([level + np.arange(4), np.rint(level * np.geomspace(1, 1e6, 20))]))
        moves, one = np.repeat(j, len(a))[:, np.newaxis], np.ones((len(j) * len(a), 1))
        likelihood = tail_index._Likelihood(
            tail_index.Exceedances(moves, one, level * one, one, one[:, 0], one[:, 0], one[:, 0])
        )
        _, _, curvature = likelihood.at(slice(None), np.tile(a, len(j)))
        assert curvature.max() < 0, level


# What it is worth: more of this is printed by tests/bench/estimators.py


@pytest.mark.parametrize(("scale", "mean"), [(0.35, 2.05), (1, 2.02), (30, 2.04)])
def test_its_interval_covers_pareto_s_index(scale: float, mean: float) -> None:
    found = fitted([whole(m) for m in ticks(laws.pareto(2), scale, number=400)])
    assert abs(found.alpha.mean() - mean) < 0.08
    assert abs(np.mean((found.low <= 2) & (found.high >= 2)) - 0.9) < 0.05


def test_where_all_moves_are_as_large_as_the_threshold_the_likelihood_at_the_lower_end_is_a_tenth() -> None:
    found = row(fitted([[2] * 10 + [1] * 90]))
    assert (found.alpha, found.high) == (10, 10)
    a = found.low * 10 / 9
    g1, g2, g3 = (y ** (1 - a) for y in (1, 2, 3))
    assert 9 * math.log((g1 - 2 * g2 + g3) / (g1 - g2)) == pytest.approx(-math.log(10), abs=0.01)


def covered(index: float, scale: float, window: int, number: int) -> tuple[float, float]:
    """In which share of the windows with ten moves of two ticks the interval holds Pareto's index, and 3 errors."""
    moves = ticks(laws.pareto(index), scale, window, number)
    moves = moves[np.count_nonzero(moves >= 2, axis=1) >= tail_index.LEAST_MOVES]
    found = fitted(moves)
    return float(np.mean((found.low <= index) & (found.high >= index))), 3 * math.sqrt(0.09 / len(moves))


def test_its_interval_covers_pareto_s_index_where_few_moves_are_larger_than_two_ticks() -> None:
    # In every third window there are ten of two ticks at all, and two larger.
    share, chance = covered(3, 0.35, 500, 6000)
    assert 0.88 - chance < share < 0.92 + chance


@pytest.mark.parametrize("window", [200, 1000])
def test_a_normal_law_is_not_heavy_on_any_grid_and_has_no_end_at_half_a_tick(window: int) -> None:
    for scale in (0.2, 0.35, 0.5, 0.7, 1, 3, 30):
        found = fitted(ticks(laws.normal, scale, window, 300))
        assert np.mean(found.alpha <= 2) <= 0.01
        if scale <= 0.5:
            assert np.mean(found.high == 10) > 0.85


@pytest.mark.slow
@pytest.mark.parametrize("window", [200, 500, 1000, 5000])
@pytest.mark.parametrize("index", [1.5, 2, 3])
def test_its_interval_covers_pareto_s_index_in_88_to_92_of_100_windows(index: float, window: int) -> None:
    for scale in (0.35, 0.5, 0.7, 1, 3, 30):
        if (index, scale, window) == (3, 0.35, 200):
            continue  # no window has ten moves of two ticks
        share, chance = covered(index, scale, window, 1500 if window == 5000 else 3000)
        assert 0.88 - chance < share < 0.92 + chance, scale


@pytest.mark.slow
@pytest.mark.parametrize(
    ("index", "scale", "window"), [(3.5, 0.7, 200), (4, 0.5, 1000), (5, 0.7, 1000), (4, 0.35, 5000)]
)
def test_its_interval_covers_at_least_88_of_100_where_a_window_has_one_or_two_larger_moves(
    index: float, scale: float, window: int
) -> None:
    share, chance = covered(index, scale, window, 1000 if window == 5000 else 3000)
    assert 0.88 - chance < share < 0.97
