import math
import tracemalloc
from dataclasses import fields
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cottage import reference
from cottage.notes import BITS, words
from cottage.reference import PlainSample
from services.feynman.vector import Vectors, compute
from services.feynman.windows import Windows
from tests.services.feynman.histories import feed, histories, prices_only, windows_of


def in_order(windows: Windows, row: int, values: np.ndarray) -> list[float]:
    """A row's samples, oldest first."""
    samples, newest = int(windows.samples[row]), int(windows.newest[row])
    return [float(values[row, (newest - age) % windows.length]) for age in reversed(range(samples))]


def test_volume_and_trades_are_differences_of_the_session() -> None:
    windows, _ = windows_of(
        [
            PlainSample(0, 10, 500, 50),
            PlainSample(1, 10, 530, 50),
            PlainSample(2, 10, 530, 52),
            PlainSample(3, 10, 531, 53),
        ]
    )
    assert in_order(windows, 0, windows.volume) == [0, 30, 0, 1]
    assert in_order(windows, 0, windows.trades) == [0, 0, 2, 1]


def test_what_a_counter_that_fell_would_tell_is_unknown_each_field_for_itself() -> None:
    windows, _ = windows_of(
        [PlainSample(0, 10, 500, 50), PlainSample(1, 10, 20, 60), PlainSample(2, 10, 25, 4), PlainSample(3, 10, 0, 0)]
    )
    np.testing.assert_array_equal(in_order(windows, 0, windows.volume), [0, math.nan, 5, math.nan])
    np.testing.assert_array_equal(in_order(windows, 0, windows.trades), [0, 10, math.nan, math.nan])


def test_a_return_spans_three_steps_at_most_and_a_hole_is_counted() -> None:
    windows, rows = windows_of(
        [
            PlainSample(0, 100, 0, 0),
            PlainSample(3.4, 110, 0, 0),
            PlainSample(6.9, 120, 0, 0),
            PlainSample(8, 90, 0, 0),
        ]
    )
    np.testing.assert_allclose(
        in_order(windows, 0, windows.log_return), [math.nan, math.log(1.1), math.nan, math.log(0.75)]
    )
    assert (windows.statistics(rows).holes.tolist(), windows.statistics(rows).step.tolist()) == ([1], [1.0])


def test_the_volume_of_a_hole_is_known_and_that_of_a_gap_is_not() -> None:
    windows, _ = windows_of(
        [PlainSample(0, 9, 0, 0), PlainSample(5, 9, 7, 1), PlainSample(80, 9, 8, 2), PlainSample(81, 9, 10, 3)]
    )
    np.testing.assert_array_equal(in_order(windows, 0, windows.volume), [0, 7, math.nan, 2])


def test_a_counter_that_began_anew_within_a_hole_is_a_new_session() -> None:
    windows, rows = windows_of([PlainSample(0, 9, 100, 10), PlainSample(5, 9, 7, 1), PlainSample(6, 9, 8, 2)])
    np.testing.assert_array_equal(in_order(windows, 0, windows.volume), [0, math.nan, 1])
    assert words(int(windows.statistics(rows).notes[0])) == ["session"]


@pytest.mark.parametrize("interval", [0.5, 60.0, 3600.0, 86_400.0])
def test_a_feed_of_bars_states_how_long_a_step_is(interval: float) -> None:
    times = [0, 1, 2, 5, 9, 10]  # in bars: a hole is what lies more than three apart
    windows, rows = windows_of(
        [PlainSample(1e9 + interval * i, 100.0 + i, 0, 0, interval=interval) for i in times], length=10
    )
    assert np.isnan(in_order(windows, 0, windows.log_return)).tolist() == [True, False, False, False, True, False]
    statistics = windows.statistics(rows)
    assert (statistics.step.tolist(), statistics.holes.tolist()) == ([interval], [1])


def test_durations_are_those_of_the_market_s_own_time_where_it_is_stated() -> None:
    market = [0.0, 1.0, 2.0, 302.0, 303.0]  # a halt of five minutes, at sixty times the speed
    windows, _ = windows_of([PlainSample(1e9 + t / 60, 100.0 + t, 0, 0, event_time=5e8 + t) for t in market])
    assert np.isnan(in_order(windows, 0, windows.log_return)).tolist() == [True, False, False, True, False]
    windows, _ = windows_of([PlainSample(1e9 + 60 * t, 100.0 + t, 0, 0, event_time=5e8 + t) for t in (0, 1, 2)])
    assert np.isnan(in_order(windows, 0, windows.log_return)).tolist() == [True, False, False]


def test_the_next_return_spans_the_time_in_which_nothing_was_traded() -> None:
    windows, rows = windows_of([PlainSample(0, 100, 10, 5), PlainSample(1, 101, 20, 6)])
    same = np.array([101.0]), np.array([20.0]), np.array([6.0])
    mark, note = np.array([0]), np.array([0])
    for second in (2.0, 3.0):
        assert windows.nothing_traded(rows, *same, mark, note).tolist() == [True]
        windows.wait(rows, np.array([second]))
    feed(windows, [0], [PlainSample(4, 102, 30, 7)])
    assert windows.samples[0] == 3
    assert windows.log_return[0, 2] == pytest.approx(math.log(102 / 101))
    for second in (5.0, 6.0, 7.0):
        windows.wait(rows, np.array([second]))
    feed(windows, [0], [PlainSample(8, 103, 40, 8)])
    assert np.isnan(windows.log_return[0, 3])


@pytest.mark.parametrize(
    ("price", "volume", "trades", "session", "note"),
    [
        (101.0, 20.0, 7.0, 0, 0),  # a trade
        (102.0, 20.0, 6.0, 0, 0),  # the number is stuck
        (101.0, 21.0, 6.0, 0, 0),
        (101.0, math.nan, 6.0, 0, 0),
        (101.0, 20.0, math.nan, 0, 0),  # no number
        (101.0, 20.0, 6.0, 9, 0),  # a new session
        (101.0, 20.0, 6.0, 0, 1),  # something to note
    ],
)
def test_what_tells_anything_new_is_a_sample(
    price: float, volume: float, trades: float, session: int, note: int
) -> None:
    windows, rows = windows_of([PlainSample(0, 100, 10, 5), PlainSample(1, 101, 20, 6)])
    columns = (np.array([value]) for value in (price, volume, trades, session, note))
    assert windows.nothing_traded(rows, *columns).tolist() == [False]


def test_a_number_of_trades_of_0_tells_nothing() -> None:
    windows, rows = windows_of(prices_only(100, 101))
    assert windows.nothing_traded(rows, np.array([101.0]), *np.zeros((4, 1)).astype(int)).tolist() == [False]


def test_a_return_beyond_the_range_of_a_ratio() -> None:
    windows, _ = windows_of(prices_only(1e-300, 1e300, 1e-300))
    expected = 600 * math.log(10)
    np.testing.assert_allclose(windows.log_return[0, 1:3], [expected, -expected])


@pytest.mark.parametrize(("price", "before"), [(100_000.01, 100_000.0), (99_999.99, 100_000.0)])
def test_a_return_is_exact_where_the_ratio_is_nearly_1(price: float, before: float) -> None:
    # ln(p / q) is the logarithm of a ratio that was rounded to 16 digits, of which a tick of 1e-7 has 9 left.
    windows, _ = windows_of(prices_only(before, price))
    exact = (Decimal(price) / Decimal(before)).ln()
    assert windows.log_return[0, 1] == pytest.approx(float(exact), rel=1e-14, abs=0)


def test_a_full_window_lets_the_oldest_go_and_keeps_every_return() -> None:
    windows, _ = windows_of(prices_only(1, 2, 4, 8, 16), length=3)
    assert in_order(windows, 0, windows.price) == [4, 8, 16]
    # The oldest one's return is against the 2 that has left.
    np.testing.assert_allclose(windows.log_return[0], [math.log(2)] * 3)
    assert windows.samples[0] == 3
    assert windows.last_price[0] == 16
    assert windows.last_timestamp[0] == 4


def test_columns_not_yet_in_use_leave_sums_and_extremes_alone() -> None:
    windows, _ = windows_of([PlainSample(0, 7, 5, 5), PlainSample(1, 9, 6, 6)], length=5)
    assert windows.price[0].tolist() == [7, 9, 7, 7, 7]
    assert windows.volume[0].tolist() == windows.trades[0].tolist() == [0, 1, 0, 0, 0]
    assert np.isnan(windows.log_return[0]).tolist() == [True, False, True, True, True]


def test_a_cleared_row_starts_anew() -> None:
    history = [PlainSample(0, 1, 5, 5), PlainSample(1, 2, 6, 7), PlainSample(2, 3, 8, 9)]
    windows, rows = windows_of(history, history, length=2)
    windows.clear(rows[:1])
    assert windows.last_price.tolist()[:2] == [0, 3]
    assert windows.session_volume.tolist()[:2] == [0, 8]
    assert windows.session_trades.tolist()[:2] == [0, 9]
    assert windows.last_timestamp.tolist()[:2] == [-np.inf, 2.0]
    feed(windows, [0], [PlainSample(1, 50, 1000, 10)])
    assert windows.samples.tolist()[:2] == [1, 2]
    assert windows.price[0].tolist() == [50, 50]
    assert windows.volume[0].tolist() == windows.trades[0].tolist() == [0, 0]
    assert np.isnan(windows.log_return[0]).all()
    assert windows.price[1].tolist() == [3, 2]


def test_a_released_row_is_given_out_again_empty() -> None:
    windows, _ = windows_of(prices_only(1, 2), prices_only(1, 2))
    windows.release(0)
    assert len(windows) == 1
    assert windows.add() == 0
    assert len(windows) == 2
    assert windows.samples[0] == 0
    assert np.isnan(windows.log_return[0]).all()


@pytest.mark.parametrize("row", [-1, 1, 7])
def test_only_a_row_in_use_is_released(row: int) -> None:
    windows = Windows(3)
    windows.release(windows.add())
    windows.add()
    with pytest.raises(ValueError, match=f"row {row} is not in use"):
        windows.release(row)
    windows.release(0)
    with pytest.raises(ValueError, match="row 0 is not in use"):
        windows.release(0)


def test_the_arrays_double_and_keep_what_they_hold() -> None:
    windows = Windows(2, capacity=1)
    for number in range(5):
        row = windows.add()
        assert row == number
        feed(windows, [row], [PlainSample(row, 1.0 + row, row, row)])
    assert windows.capacity == 8
    assert len(windows) == 5
    assert windows.last_price[:5].tolist() == windows.price[:5, 0].tolist() == [1, 2, 3, 4, 5]
    assert windows.last_timestamp[:5].tolist() == [0, 1, 2, 3, 4]
    assert windows.session_volume[:5].tolist() == windows.session_trades[:5].tolist() == [0, 1, 2, 3, 4]


def test_only_one_array_is_there_twice_while_they_grow() -> None:
    tracemalloc.start()
    try:
        windows = Windows(1000, capacity=256)
        for _ in range(256):
            windows.add()
        before, _most = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        windows.add()
        after, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert windows.capacity == 512
    ring = windows.price.base
    assert ring is not None
    assert after > 1.9 * before
    assert most < after + ring.nbytes


@pytest.mark.parametrize("wrong", [{"length": 0}, {"capacity": 0}, {"widening": 0.0}])
def test_nonsense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        Windows(**wrong)  # type: ignore[arg-type]


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.lists(histories(), min_size=1, max_size=4), st.integers(1, 25))
def test_every_row_holds_the_last_increments_of_its_history(several: list[list[PlainSample]], length: int) -> None:
    windows, rows = windows_of(*several, length=length)
    for row, history in zip(rows, several, strict=True):
        expected = reference.increments(history, window=length)[-length:]
        assert in_order(windows, row, windows.price) == [i.price for i in expected]
        for ring, name in ((windows.volume, "volume"), (windows.trades, "trades")):
            known = np.array([getattr(i, name) for i in expected], np.float64)
            np.testing.assert_array_equal(in_order(windows, row, ring), known)
        np.testing.assert_allclose(
            in_order(windows, row, windows.log_return),
            [math.nan if i.log_return is None else i.log_return for i in expected],
            rtol=1e-12,
        )


def test_what_was_saved_is_restored() -> None:
    windows, rows = windows_of(prices_only(*range(1, 130)), prices_only(5, 6, 7), length=100)
    saved = windows.saved(rows)
    before = compute(windows, rows)
    other = Windows(100, capacity=4)
    places = np.array([other.add() for _ in range(4)])[[3, 1]]
    other.restore(places, saved)
    for field in fields(Vectors):
        np.testing.assert_array_equal(getattr(compute(other, places), field.name), getattr(before, field.name))
    for each, places_of in ((windows, rows), (other, places)):
        feed(each, places_of.tolist(), [PlainSample(130.0, 50.0, 3.0, 1.0), PlainSample(3.0, 9.0, 3.0, 1.0)])
    after, before = compute(other, places), compute(windows, rows)
    assert (after.momentum.tolist(), after.samples.tolist()) == (before.momentum.tolist(), [100, 4])


def test_the_tick_is_found_or_stated_and_what_does_not_obey_it_is_noted() -> None:
    windows = Windows(100)
    rows = np.array([windows.add() for _ in range(3)])
    path = np.cumsum(np.random.default_rng(1).integers(1, 4, (3, 200)) * [[1], [-1], [1]], axis=1)
    step = np.array([0.25, 0.01, 0.01])
    stated, said = np.array([np.nan, 0.04, 0.02]), np.array([0, 0, BITS["mid"]])
    for i, moves in enumerate(path.T):
        volume, time = np.zeros(3), np.full(3, float(i))
        windows.append(rows, (2000 + moves) * step, volume, volume, time, notes=said, tick=stated)
        if i == 20:
            assert np.isnan(windows.statistics(rows).tick[:2]).all()
    for _ in range(2):
        statistics = windows.statistics(rows)
        assert statistics.tick.tolist() == [0.25, 0.01, 0.01]
        assert statistics.snapped.tolist() == [0, 0, 0]
        assert statistics.notes.tolist() == [0, BITS["off_tick"], BITS["mid"]]
        windows.derive(rows)
    windows.clear(rows)
    assert np.isnan(windows.statistics(rows).tick).all()
