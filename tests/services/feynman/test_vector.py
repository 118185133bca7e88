import copy
import math
import random
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cottage import reference, state
from cottage.notes import BITS
from cottage.reference import PlainSample
from services.feynman import vector
from services.feynman.regime import REGIMES
from services.feynman.tails import order_statistics
from services.feynman.vector import Vectors, compute
from services.feynman.windows import Windows
from services.feynman.windows.bins import BINS, histogram
from services.feynman.windows.return_histogram import return_bins
from tests.services.feynman.agreement import PILLARS, assert_agree, decided, nth
from tests.services.feynman.histories import feed, histories, prices_only, walk, windows_of

VOID = frozenset(state.PILLARS)


def vector_of(history: Sequence[PlainSample], length: int = 1000) -> reference.Vector:
    """The kernel's vector of one symbol, in the reference's form."""
    return nth(compute(*windows_of(history, length=length)), 0)


# Worked by hand


def test_a_ratio_of_nothing_is_0() -> None:
    assert vector.ratio(np.array([1.0, 0.0, 3.0]), np.array([0.0, 0.0, 2.0])).tolist() == [0, 0, 1.5]


def test_four_samples_of_doubling_prices() -> None:
    # p = 1 2 4 2; V = 0 10 10 20, N = 0 1 1 4 (first sample: none); r = +ln2 +ln2 −ln2.
    # hi = 4, lo = 1, CLV = (2·2 − 4 − 1) / 3 = −1/3; V̄ = 40/4 = 10: mass = 1/3 · 20/30 = 2/9.
    # σ = sqrt(mean of ln²2) = ln2, r/σ = −1: momentum = −2/9.
    # f = 4/20 = 0.2, N̄ = 6/4, f̄ = 1.5/10 = 0.15: friction = 0.2 / 0.35 = 4/7.
    # r/σ = 1 1 −1 in bins (1+4)·4 = 20, 20 and 12: entropy = (2/3 ln(3/2) + 1/3 ln3) / ln32.
    # price bins of (p − 1)/3·32: 0 → 0, 10.67 → 10, 32 → 31 (held), 10; volume 0, 10 + 20, 10. Mode = 10.5/32,
    # p = 1/3 = 10.667/32: nash_dist = (1/6)/32 = 1/192.
    v = vector_of(
        [PlainSample(0, 1, 5, 5), PlainSample(1, 2, 15, 6), PlainSample(2, 4, 25, 7), PlainSample(3, 2, 45, 11)]
    )
    assert v.mass == pytest.approx(2 / 9, rel=1e-14)
    assert v.momentum == pytest.approx(-2 / 9, rel=1e-14)
    assert v.friction == pytest.approx(4 / 7, rel=1e-14)
    assert v.entropy == pytest.approx((2 * math.log(1.5) + math.log(3)) / 3 / math.log(32), rel=1e-14)
    assert v.nash_dist == pytest.approx(1 / 192, rel=1e-14)
    assert (v.alpha_coefficient, v.regime, v.samples, v.nonzero) == (2.5, "WAIT", 4, 3)


def test_one_sample_says_nothing() -> None:
    assert vector_of([PlainSample(0, 450, 1e6, 1e3)]) == reference.Vector(
        0, 0, 0, 0, 0, 2.5, 0.5, 10, "WAIT", 1, 0, VOID, frozenset()
    )


def test_no_sample_and_no_row_at_all() -> None:
    windows = Windows(3)
    empty = compute(windows, np.array([windows.add()]))
    assert nth(empty, 0) == reference.Vector(0, 0, 0, 0, 0, 2.5, 0.5, 10, "WAIT", 0, 0, VOID, frozenset())
    none = compute(windows, np.array([], dtype=np.intp))
    assert {getattr(none, field.name).shape for field in fields(Vectors)} == {(0,)}


def test_two_samples() -> None:
    # p = hi: CLV = 1; V = 8, V̄ = 8/2: mass = 8/12. r/σ = 1. f = 2/8 = f̄: ½. One return, one bin: entropy 0.
    # All volume in the highest bin: nash_dist = half a bin = 1/64.
    v = vector_of([PlainSample(0, 100, 0, 0), PlainSample(1, 101, 8, 2)])
    assert v.mass == v.momentum == pytest.approx(2 / 3, rel=1e-14)
    assert (v.friction, v.entropy, v.nash_dist) == (0.5, 0, 1 / 64)


def test_a_constant_price_has_friction_alone() -> None:
    # V̄ = 30/4, N̄ = 6/4, f̄ = 0.2; f = 1/10: friction = 0.1 / 0.3.
    v = vector_of(
        [PlainSample(0, 5, 0, 0), PlainSample(1, 5, 10, 2), PlainSample(2, 5, 20, 5), PlainSample(3, 5, 30, 6)]
    )
    assert v.friction == pytest.approx(1 / 3, rel=1e-14)
    assert v._replace(friction=0) == reference.Vector(
        0, 0, 0, 0, 0, 2.5, 0.5, 10, "WAIT", 4, 0, VOID - {"friction"}, frozenset()
    )


def test_a_newest_sample_without_trades_or_volume() -> None:
    before = [PlainSample(0, 5, 0, 0), PlainSample(1, 6, 10, 2)]
    assert vector_of([*before, PlainSample(2, 7, 10, 3)])[:3] == (0, 0, 0)  # volume: neither mass nor friction
    v = vector_of([*before, PlainSample(2, 7, 20, 2)])  # no trades: no friction
    assert (v.mass > 0.5, v.friction) == (True, 0)


def test_across_a_gap_there_is_neither_a_return_nor_a_flow() -> None:
    v = vector_of([PlainSample(0, 5, 0, 0), PlainSample(1, 6, 10, 2), PlainSample(100, 7, 6_000_020, 9000)])
    assert v[:3] == (0, 0, 0)
    assert v.void == {"mass", "momentum", "friction"}
    assert v.nonzero == 1
    assert v.notes == {"gap"}
    assert math.copysign(1, v.momentum) == 1
    # V̄ = (0 + 10 + 5) / 3, without what was traded in 99 seconds; p = hi: mass = 5 / (5 + 5).
    v = vector_of(
        [
            PlainSample(0, 5, 0, 0),
            PlainSample(1, 6, 10, 2),
            PlainSample(100, 7, 6_000_020, 9000),
            PlainSample(101, 8, 6_000_025, 9001),
        ]
    )
    assert v.mass == 0.5
    assert not v.void
    assert v.notes == {"gap"}


def entropy_of(returns: npt.NDArray[np.float64], sigma: float) -> float:
    counts = histogram(return_bins(returns[np.newaxis, ~np.isnan(returns)], np.array([sigma])), BINS)
    return float(vector.entropy(counts)[0])


def test_entropy_of_a_uniform_distribution_is_1() -> None:
    # One return in the middle of each of 32 bins of σ/4, σ being 1; nans are none.
    middles = (np.arange(-16, 16) + 0.5) / 4
    returns = np.array([[*middles, math.nan, math.nan]])
    assert entropy_of(returns[0], 1.0) == pytest.approx(1.0, rel=1e-14)
    assert entropy_of(returns[0], 1.0) <= 1


def test_entropy_holds_the_outermost_within_the_last_bins() -> None:
    # One 10σ up among 99 zeros: σ = sqrt(1/100), r/σ = 10, bin 56 held at 31; with one down as well
    # r/σ = ±sqrt(50), bins 44 and −13 held at 31 and 0, so that three bins share 1 + 1 + 98.
    v = vector_of(walk([0] * 60 + [1] + [0] * 39))
    assert v.entropy == pytest.approx(-(0.01 * math.log(0.01) + 0.99 * math.log(0.99)) / math.log(32), rel=1e-14)
    v = vector_of(walk([0] * 60 + [1, -1] + [0] * 38))
    assert v.entropy == pytest.approx(-(0.02 * math.log(0.01) + 0.98 * math.log(0.98)) / math.log(32), rel=1e-14)


@pytest.mark.parametrize(("below", "entropy"), [(2e-10, 0.0), (3e-10, 0.2), (1e-8, 0.2)])
def test_entropy_takes_what_is_1e_9_below_an_edge_as_on_it(below: float, entropy: float) -> None:
    # σ/4 is the edge of bins 16 and 17, a bin is σ/4 wide; 0.3 σ lies in 17. Apart they have ln2 / ln32 = 1/5.
    returns = np.array([[0.3, 0.25 - below]])
    assert entropy_of(returns[0], 1.0) == pytest.approx(entropy, rel=1e-14)


def test_entropy_parts_zeros_from_what_is_just_below() -> None:
    # σ = sqrt((3²·9 + 90·e²)/100)·ln2 with e = 2^-10: r/σ = ±3.33 and about ±0.003: −e falls into bin 15,
    # 0 and +e into bin 16.
    e = 2.0**-10
    steps = [3, -3, 3, -3, 3, -3, 3, -3, 3] + [e] * 50 + [-e] * 30 + [0] * 11
    shares = [0.05, 0.04, 0.30, 0.61]
    expected = -sum(share * math.log(share) for share in shares) / math.log(32)
    assert vector_of(walk(steps)).entropy == pytest.approx(expected, rel=1e-14)


def test_an_edge_belongs_to_the_bin_above_it() -> None:
    # lo = 32, hi = 64: bins of width 1. Volume 15 at 33.5 (bin 1), 10 at 34 (an edge: bin 2), 10 at 34.5 (bin 2):
    # the mode is 34.5; p = 64 is 29.5 away.
    volume, history = 0.0, []
    for second, (price, traded) in enumerate([(32, 0), (33.5, 15), (34, 10), (34.5, 10), (64, 1)]):
        volume += traded
        history.append(PlainSample(second, price, volume, 0))
    assert vector_of(history).nash_dist == 29.5 / 32


def test_an_edge_that_rounding_misses_is_still_one() -> None:
    # In floats (450.07 − 450) / (450.32 − 450) · 32 is 6.9999999999995, a bin too low but for the 1e-9.
    assert (450.07 - 450) / (450.32 - 450) * 32 < 7
    v = vector_of(prices_only(450, 450.07, 450.07, 450.32))
    assert v.nash_dist == pytest.approx((32 - 7.5) / 32, rel=1e-12)


def mode_history(first: float, second: float) -> list[PlainSample]:
    """Volume `first` in bin 2 and `second` in bin 28 of 32 bins of width 1 from 32; p = 50 is nearer to 28."""
    return [
        PlainSample(0, 32, 0, 0),
        PlainSample(1, 64, 0, 0),
        PlainSample(2, 34.25, first, 0),
        PlainSample(3, 60.25, first + second, 0),
        PlainSample(4, 50, first + second, 0),
    ]


@pytest.mark.parametrize(
    ("first", "second", "mode"),
    [
        (3, 2, 2.5),
        (2, 3, 28.5),
        (2, 2, 28.5),  # the nearest of equals: 10.5 away, not 15.5
        (1e9 + 0.5, 1e9, 28.5),  # within 1e-9 of the heaviest
        (1e9 + 2, 1e9, 2.5),  # not within
        (0, 0, 18.5),  # without volume every sample weighs 1: bins 0, 31, 2, 28 and 18, which is p's own
    ],
)
def test_the_mode_is_the_heaviest_bin_and_of_several_the_nearest(first: float, second: float, mode: float) -> None:
    assert vector_of(mode_history(first, second)).nash_dist == abs(18 - mode) / 32


def test_unit_weights_count_samples_and_not_empty_columns() -> None:
    # Three samples in the lowest bin, two in the highest, 995 columns not yet in use (filled with 2).
    v = vector_of(prices_only(2, 1, 1, 1, 2))
    assert v.nash_dist == pytest.approx(31.5 / 32)


def alpha_of(steps: Sequence[float]) -> reference.Vector:
    """Of returns ±ln2 · step, up and down in turn, of prices that have no grid."""
    return vector_of(walk([step * (-1) ** i for i, step in enumerate(steps)], start=math.pi))


def test_hill_on_64_returns() -> None:
    # k = max(10, ⌈64/20⌉) = 10; x_1 … x_10 = 4 ln2 and x_11 = ln2: α = 10 / (10 · ln 4) = 1 / ln 4.
    v = alpha_of([4] * 10 + [1] * 54)
    assert v.alpha_coefficient == pytest.approx(1 / math.log(4), rel=1e-9)
    assert (v.regime, v.nonzero) == ("Critical", 64)
    # x_1 … x_5 = 4 ln2, the rest ln2: α = 10 / (5 · ln 4); up to x_10 = 2 ln2: 10 / (5 ln 4 + 5 ln 2).
    assert alpha_of([4] * 5 + [1] * 59).alpha_coefficient == pytest.approx(2 / math.log(4), rel=1e-9)
    v = alpha_of([1] * 54 + [4, 2] * 5)
    assert v.alpha_coefficient == pytest.approx(2 / (math.log(4) + math.log(2)), rel=1e-9)


def test_the_tail_waits_for_64_returns_that_are_not_0() -> None:
    assert alpha_of([4] * 10 + [0] * 50 + [1] * 53)[5:11] == (2.5, 0.5, 10.0, "WAIT", 114, 63)
    v = alpha_of([4] * 10 + [0] * 50 + [1] * 54)
    assert (v.regime, v.samples, v.nonzero) == ("Critical", 115, 64)


def test_a_twentieth_rounded_up_and_ten_at_least() -> None:
    assert order_statistics(np.array([64, 200, 201, 1000, 1001])).tolist() == [10, 10, 11, 50, 51]


def test_the_tail_is_the_twentieth_part_rounded_up() -> None:
    # Eleven x of 2 ln2 above the rest. m = 200: k = 10, x_11 is one of them, the sum is 0.
    # m = 201: k = 11, x_12 = ln2, α = 11 / (11 ln2).
    assert alpha_of([2] * 11 + [1] * 189).alpha_coefficient == 10
    assert alpha_of([2] * 11 + [1] * 190).alpha_coefficient == pytest.approx(1 / math.log(2), rel=1e-9)


def test_the_tail_index_is_held_within_its_range() -> None:
    # x = 256 ln2 over 2^-20 ln2: α = 1 / (28 ln2) = 0.05; and 1.05 over 1: 1 / ln1.05 = 20.5.
    assert alpha_of([256] * 10 + [2.0**-20] * 54).alpha_coefficient == 0.5
    assert alpha_of([1.05] * 10 + [1] * 54).alpha_coefficient == 10


# Against the reference


def assert_in_range(vectors: Vectors) -> None:
    for name in PILLARS:
        values = getattr(vectors, name)
        assert np.isfinite(values).all(), name
        assert not (np.signbit(values) & (values == 0)).any(), name
    assert ((vectors.mass >= 0) & (vectors.mass < 1)).all()
    for values in (vectors.friction, vectors.entropy, vectors.nash_dist):
        assert ((values >= 0) & (values <= 1)).all()
    assert (vectors.alpha_low >= 0.5).all()
    assert (vectors.alpha_low <= vectors.alpha_coefficient).all()
    assert (vectors.alpha_coefficient <= vectors.alpha_high).all()
    assert (vectors.alpha_high <= 10).all()
    assert ((vectors.snapped >= 0) & (vectors.snapped <= vectors.samples)).all()
    assert ((vectors.regime == 0) == (vectors.nonzero < 64)).all()


def check(several: Sequence[Sequence[PlainSample]], length: int) -> None:
    """Vectors in range for all, and equal to the reference's where that is decided (for one of them at least)."""
    vectors = compute(*windows_of(*several, length=length))
    assert_in_range(vectors)
    expected = [reference.increments(history, window=length) for history in several]
    clear = [index for index, increments in enumerate(expected) if decided(increments[-length:])]
    assume(clear)
    for index in clear:
        grid = reference.grids(expected[index], length)[-1]()
        assert_agree(nth(vectors, index), reference.vector_of_increments(expected[index][-length:], grid))


@pytest.mark.parametrize("examples", [50, pytest.param(150, marks=pytest.mark.slow)])
def test_short_histories_agree_with_the_reference(examples: int) -> None:
    @settings(deadline=None, derandomize=True, max_examples=examples)
    @given(st.lists(histories(), min_size=1, max_size=3), st.sampled_from([1, 2, 3, 8, 1000]))
    def agree(several: list[list[PlainSample]], length: int) -> None:
        check(several, length)

    agree()


@pytest.mark.parametrize("examples", [10, pytest.param(60, marks=pytest.mark.slow)])
def test_histories_with_a_tail_agree_with_the_reference(examples: int) -> None:
    @settings(deadline=None, derandomize=True, max_examples=examples)
    @given(
        st.lists(histories(min_size=80, max_size=120), min_size=3, max_size=3),  # three cost the kernel what one does
        st.sampled_from([70, 100, 1000]),
    )
    def agree(several: list[list[PlainSample]], length: int) -> None:
        check(several, length)

    agree()


@pytest.mark.parametrize(("price", "turnover"), [(1e-300, 1.0), (1e300, 1.0), (450.0, 1e-300), (450.0, 1e305)])
def test_the_ends_of_the_range_agree_with_the_reference(price: float, turnover: float) -> None:
    generator = random.Random(3)
    volume = trades = 0.0
    history = []
    for second in range(100):
        volume += generator.choice([0, 1, 2, 3]) * turnover
        trades += generator.choice([0, 1, 2]) * turnover
        history.append(PlainSample(second, price * generator.uniform(1, 5), volume, trades))
    assert_agree(vector_of(history), reference.vector(history))
    # From one end to the other: returns of 1,381.
    history = [s._replace(price=generator.choice([1e-300, 1e300, 1.0, 3.0])) for s in history]
    assert_agree(vector_of(history), reference.vector(history))


NUMBERS = st.one_of(
    st.floats(min_value=0, allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, 5e-324, 1e-300, 1.0, 1e300, 1.7e308]),
)


SAID = st.fixed_dictionaries(
    {},
    optional={
        "tick": NUMBERS.filter(bool),
        "mid": st.booleans(),
        "states_break": st.booleans(),
        "session": st.integers(0, 2),
        "event_time": st.floats(0, 1e10),
        "interval": st.floats(1e-9, 1e9),
        "lost": st.booleans(),
    },
)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(
    st.lists(
        st.lists(st.tuples(NUMBERS.filter(bool), NUMBERS, NUMBERS, SAID), min_size=1, max_size=12),
        min_size=5,
        max_size=5,
    ),
    st.sampled_from([1, 2, 10]),
    st.sampled_from([2, 7, 100]),
)
def test_whatever_a_snapshot_can_hold_the_vector_is_in_range(
    numbers: list[list[tuple[float, float, float, dict[str, Any]]]], repeated: int, length: int
) -> None:
    several = [
        [PlainSample(float(i), p, v, n, **said) for i, (p, v, n, said) in enumerate(each * repeated)]
        for each in numbers
    ]
    for step in (1, 2, 3):
        assert_in_range(compute(*windows_of(*(history[:step] for history in several), length=length)))
    assert_in_range(compute(*windows_of(*several, length=length)))


@settings(deadline=None, derandomize=True, max_examples=30)
@given(
    st.lists(st.sampled_from([0, 1, 1, 2, 2, 3, 5, 40]), min_size=64, max_size=150).flatmap(
        lambda moves: st.tuples(st.just(moves), st.permutations(moves))
    )
)
def test_moves_in_another_order_have_the_same_tail_and_regime(orders: tuple[list[int], list[int]]) -> None:
    histories = []
    for moves in orders:
        turns = np.where(np.arange(len(moves)) % 2, 1, -1)
        histories.append(prices_only(*(100 + 0.01 * np.cumsum([0, *np.multiply(moves, turns)]))))
    windows, rows = windows_of(*histories)
    for kept in range(len(REGIMES)):
        windows.regime[rows] = kept
        vectors = compute(windows, rows)
        for name in ("alpha_coefficient", "alpha_low", "alpha_high", "regime", "nonzero", "snapped"):
            one, other = getattr(vectors, name)
            assert one == other, name


@pytest.mark.parametrize("steps", [2000, pytest.param(5000, marks=pytest.mark.slow)])
def test_windows_that_slide_thousands_of_times_do_not_drift(steps: int) -> None:
    length, generator = 100, random.Random(7)
    windows = Windows(length)
    rows = np.array([windows.add() for _ in range(4)])
    price, volume, trades, timestamp = [1e-8, 0.25, 450.0, 1e9], [0.0] * 4, [0.0] * 4, [1.7e9] * 4
    seen: list[list[PlainSample]] = [[] for _ in rows]
    for step in range(1, steps + 1):
        for row in range(4):
            tail = generator.gauss(0, 1) / max(abs(generator.gauss(0, 1)), 1e-3)  # Cauchy
            price[row] *= math.exp(max(-0.5, min(0.5, 1e-4 * tail)) * generator.choice([0, 1, 1]))
            # A market of 1e12 first and of single lots afterwards: running sums would keep the rounding.
            lots = generator.choice([0, 1, 5]) * (1e12 if step < steps / 2 else 1)
            volume[row], trades[row] = volume[row] + lots, trades[row] + generator.choice([0, 1, 3])
            if generator.random() < 0.002:
                volume[row], trades[row] = lots, 0.0
            timestamp[row] += generator.choice([1, 1, 1, 1, 1, 1, 1, 1, 1, 61])
            seen[row].append(PlainSample(timestamp[row], price[row], volume[row], trades[row]))
        feed(windows, rows.tolist(), [history[-1] for history in seen])
        if step % 700 == 0 or step == steps:
            vectors = compute(windows, rows)
            for row in rows.tolist():
                # More than the window holds: V, N and r of its oldest sample are against the one before it, and
                # whether its r is a jump depends on the window that it came into.
                assert_agree(nth(vectors, row), reference.vector(seen[row][-2 * length - 1 :], length))


@pytest.mark.parametrize("length", [200, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_long_window_agrees_with_the_reference(length: int) -> None:
    generator = np.random.default_rng(11)
    number = length + length // 5
    price = 450 * np.exp(np.cumsum(2e-4 * generator.standard_t(3, number)))
    volume, trades = np.cumsum(generator.integers(0, 500, number)), np.cumsum(generator.integers(0, 9, number))
    on_grid = np.round(price, 2)
    several = [
        [PlainSample(float(i), float(p), float(volume[i]), float(trades[i])) for i, p in enumerate(prices)]
        for prices in (price, on_grid)
    ]
    vectors = compute(*windows_of(*several, length=length))
    for index, history in enumerate(several):
        assert_agree(nth(vectors, index), reference.vector(history, length))
    assert vectors.samples.tolist() == [length, length]
    assert vectors.nonzero[1] < vectors.nonzero[0] == length  # ties on the grid


def test_without_a_grid_the_interval_does_not_hang_on_whether_returns_are_equal() -> None:
    # Back and forth between two prices are two returns of one size, but for their last digits.
    generator = random.Random(4)
    levels = [100 + math.pi * level for level in range(8)]
    prices = [generator.choice(levels[place % 2 :: 2]) for place in range(300)]
    by_a_hair = [price * (1 + 1e-11 * generator.random()) for price in prices]
    found = [vector_of(prices_only(*several)) for several in (prices, by_a_hair, [1 / price for price in prices])]
    for other in found[1:]:
        for name in ("alpha_coefficient", "alpha_low", "alpha_high"):
            assert getattr(other, name) == pytest.approx(getattr(found[0], name), rel=1e-7)


def test_a_row_s_vector_does_not_depend_on_the_rows_beside_it() -> None:
    # More than a chunk of them, of different ages, in another order, one by one: the same to the last bit.
    generator = np.random.default_rng(5)
    windows = Windows(400)
    rows = np.array([windows.add() for _ in range(2 * vector.CHUNK_ROWS + 3)])
    price = np.full(len(rows), 100.0)
    for step in range(420):
        taken = rows[step >= rows % 380]
        price *= np.exp(1e-3 * generator.standard_t(2, len(rows)) * (rows % 5 > 0))
        turnover = np.full(len(taken), float(step * step))
        windows.append(taken, price[taken], turnover, turnover, np.full(len(taken), float(step)))
    together = compute(windows, rows)
    order = generator.permutation(rows)
    shuffled = compute(windows, order)
    few = [nth(compute(windows, rows[i : i + 1]), 0) for i in range(0, len(rows), 3)]
    for field in fields(Vectors):
        values = getattr(together, field.name)
        np.testing.assert_array_equal(getattr(shuffled, field.name), values[order])
    assert few == [nth(together, i) for i in range(0, len(rows), 3)]


@pytest.mark.parametrize(
    "length", [2, 90, *(pytest.param(length, marks=pytest.mark.slow) for length in (1, 33, 200))]
)
def test_what_is_kept_while_windows_slide_is_what_follows_from_the_rings(length: int) -> None:
    # The same rings, and nothing kept of them: the same vectors to the last bit.
    generator = np.random.default_rng(length)
    windows = Windows(length, capacity=1)
    rows = np.array([windows.add() for _ in range(9)])
    price, volume, timestamp = np.full(9, 100.0), np.zeros(9), 1.7e9
    for step in range(900):
        burst = 1e-2 if step % 200 > 170 else 1e-3
        steps = [generator.standard_normal(), 0.0, 1.0, generator.standard_t(1.1), np.sign(generator.normal())]
        price *= np.exp(np.clip(burst * np.array([*steps, *steps[:4]]), -0.1, 0.1))
        price = np.where(rows < 5, price, np.round(price, 1) + 0.1)
        volume += generator.integers(0, 5, 9) * np.where(rows == 7, 1e12 * (step < 400) + 0.1, rows != 2)
        timestamp += generator.choice([1.0] * 30 + [61.0])
        taken = rows[generator.random(9) < 0.9]
        breaks = BITS["break"] * (generator.random(len(taken)) < 0.005)
        counters, moment = (volume[taken], volume[taken] // 3), np.full(len(taken), timestamp)
        windows.append(taken, price[taken], *counters, moment, notes=breaks)
        if step == 500:
            windows.clear(rows[3])
        if step % 7 == 0 or step > 870:
            anew = copy.deepcopy(windows)
            anew.derive(rows)
            kept, derived = compute(windows, rows), compute(anew, rows)
            for field in fields(Vectors):
                np.testing.assert_array_equal(getattr(kept, field.name), getattr(derived, field.name))


def auctions(number: int, every: int, seed: int = 3) -> tuple[Windows, list[tuple[float, float, bool]]]:
    """A window of 50 of so many samples: of each its price, its volume, and whether it is of an auction."""
    generator, windows, told, volume, price = (
        random.Random(seed),
        Windows(50),
        list[tuple[float, float, bool]](),
        0.0,
        100.0,
    )
    rows = np.array([windows.add()])
    for i in range(number):
        auction = i % every == every // 2
        traded = 5000.0 if auction else float(generator.randint(0, 9))
        price, volume = price + generator.choice((-2, -1, 0, 1, 2)), volume + traded
        notes = np.array([BITS["auction"] if auction else 0])
        p, v, n, at = (np.array([value]) for value in (price, volume, 1.0 + i, 1e9 + i))
        windows.append(rows, p, v, n, at, notes=notes)
        told.append((price, traded if i else 0.0, auction))
    return windows, told


@pytest.mark.parametrize(("number", "every"), [(30, 7), (130, 7), (131, 60), (200, 120), (58, 1)])
def test_mass_is_without_the_volume_of_auctions(number: int, every: int) -> None:
    windows, told = auctions(number, every)
    prices = [price for price, _volume, _auction in told[-50:]]
    known = [volume for _price, volume, auction in told[-50:] if not auction]
    price, volume, auction = told[-1]
    highest, lowest, mean = max(prices), min(prices), sum(known) / max(len(known), 1)
    place = abs(2 * price - highest - lowest) / (highest - lowest)
    found = compute(windows, np.array([0]))
    expected = 0.0 if auction else place * volume / (volume + mean)
    assert found.mass[0] == pytest.approx(expected, rel=1e-12)
    assert (int(found.void[0]) & 1) == auction
    again = Windows(50)
    again.restore(np.array([again.add()]), windows.saved(np.array([0])))
    for field in fields(Vectors):
        same = getattr(compute(again, np.array([0])), field.name)
        np.testing.assert_array_equal(getattr(found, field.name), same)


def test_an_auction_has_a_price_and_a_volume_all_the_same() -> None:
    windows, told = auctions(32, 31)
    found = windows.statistics(np.array([0]))
    volumes = [volume for _price, volume, _auction in told]
    assert found.mean_volume[0] * 2**20 == pytest.approx(sum(volumes) / 32)
    assert found.volume_by_price[0].sum() * 2**20 == pytest.approx(sum(volumes))
    assert found.mean_continuous_volume[0] * 2**20 == pytest.approx((sum(volumes) - 5000) / 31)
