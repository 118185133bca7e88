"""Breaks: what is a split, and what is kept of the samples since."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cottage import reference
from cottage.notes import BITS, words
from cottage.reference import PlainSample
from services.feynman.windows import Windows
from services.feynman.windows.arrays import HEADROOM
from services.feynman.windows.breaks import SPLITS, SinceBreak, is_split
from tests.services.feynman.histories import feed, windows_of


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    ("off", "is_one"), [(-0.0051, False), (-0.005, True), (0.0, True), (0.005, True), (0.0051, False)]
)
def test_a_split_is_within_half_a_per_cent_of_a_usual_ratio_whichever_way(
    split: float, off: float, is_one: bool
) -> None:
    ratio = split * (1 + off)
    found = is_split(np.array([100.0, 100.0 * ratio]), np.array([100.0 * ratio, 100.0]))
    assert found.tolist() == [is_one] * 2


@settings(deadline=None, derandomize=True)
@given(st.floats(1e-300, 1e300), st.floats(1e-300, 1e300) | st.floats(0.01, 30.0))
def test_it_is_what_the_reference_calls_one(before: float, other: float) -> None:
    for price in (other, before * other):
        if 0 < price < math.inf:
            found = is_split(np.array([price]), np.array([before]))
            assert found.tolist() == [reference.is_split(price, before)]


def notes_of(windows: Windows) -> list[str]:
    return words(int(windows.statistics(np.array([0])).notes[0]))


@pytest.mark.parametrize(
    ("ratio", "seconds", "session", "notes"),
    [
        (0.5, 3600, 1, ["break", "gap"]),
        (0.5, 1, 2, ["break", "session"]),
        (0.5, 1, 1, ["jump"]),  # within a session it is a crash
        (0.81, 3600, 1, ["gap"]),  # a bad night
        (0.45, 3600, 1, ["jump", "gap"]),  # a very bad one
        (1.0, 1, 2, ["session"]),
    ],
)
def test_only_across_a_gap_or_another_session_is_a_ratio_a_split_s(
    ratio: float, seconds: float, session: int, notes: list[str]
) -> None:
    history = [PlainSample(float(i), 100.0 + i % 2, 10.0 * i, float(i), 1) for i in range(10)]
    windows, rows = windows_of([*history, PlainSample(9.0 + seconds, 101.0 * ratio, 100.0, 10.0, session)], length=20)
    assert notes_of(windows) == notes
    newest = windows.statistics(rows)
    assert math.isnan(newest.log_return[0]) == ("gap" in notes or "break" in notes)
    if "break" in notes:
        assert (newest.highest[0], newest.lowest[0]) == (50.5, 50.5)
        assert np.isnan([newest.volume[0], newest.trades[0]]).all()
    else:
        assert newest.highest[0] - newest.lowest[0] == pytest.approx(
            max(101.0, 101 * ratio) - min(100.0, 101 * ratio)
        )


def test_extremes_and_profile_begin_anew_and_means_and_returns_do_not() -> None:
    before = [PlainSample(float(i), 100.0 + (i + 1) % 5, 10.0 * i, float(i)) for i in range(10)]
    after = [PlainSample(5000.0 + i, 50.0 + i % 3, 1000.0 + 20 * i, 100.0 + i) for i in range(10)]
    windows, rows = windows_of([*before, *after], length=30)
    found = windows.statistics(rows)
    assert (found.highest[0], found.lowest[0]) == (52.0, 50.0)
    # The first of them has no V; 20 each were traded at 51 (three times), 52 (three times) and 50 (three times).
    profile = found.volume_by_price[0] / HEADROOM
    assert profile[[0, 16, 31]].tolist() == [60.0, 60.0, 60.0]
    assert profile.sum() == 180.0
    assert found.mean_volume[0] / HEADROOM == (9 * 10 + 9 * 20) / 19
    assert np.count_nonzero(~np.isnan(windows.log_return[0])) == 18
    assert found.samples[0] == 20


@pytest.mark.parametrize("tick", [0.01, 0.0025])
def test_a_break_begins_no_vote_anew(tick: float) -> None:
    # After it prices are on the same grid of cents, or on a finer one.
    moves = np.random.default_rng(2).choice([1, -1, 2, -3, 3], 280)
    prices = [*(200 + 0.01 * np.cumsum(moves[:120])), *(100 + tick * np.cumsum([0, *moves[121:]]))]
    history = [PlainSample(float(i), round(p, 4), 0.0, 0.0, states_break=i == 120) for i, p in enumerate(prices)]
    windows, ticks = Windows(200), []
    rows = np.array([windows.add()])
    for sample in history:
        feed(windows, [0], [sample])
        ticks.append(float(windows.statistics(rows).tick[0]))
    assert "break" in notes_of(windows)
    assert set(ticks[100:160]) == {0.01}
    assert ticks[-1] == tick


def test_a_stated_break_needs_no_ratio_and_is_one_however_long_the_feed_says_so() -> None:
    history = [PlainSample(float(i), 100.0 + i, 10.0 * i, float(i), states_break=4 <= i < 8) for i in range(10)]
    for sample_number in range(1, 11):
        windows, rows = windows_of(history[:sample_number], length=5)
        found = windows.statistics(rows)
        assert found.lowest[0] == (100 + max(4, sample_number - 5) if sample_number > 4 else 100)
        # After the word is gone it stays as long as the break is in the window.
        assert ("break" in notes_of(windows)) == (4 < sample_number < 10)
    assert np.isnan(windows.log_return[0]).sum() == 0  # that of the break has left
    windows, _rows = windows_of(history[:8], length=5)
    assert np.isnan(windows.log_return[0]).sum() == 1


def test_the_profile_begins_anew_within_the_same_range_too() -> None:
    windows = Windows(30)
    row = windows.add()
    for i in range(10):
        feed(windows, [row], [PlainSample(float(i), 100.0 + i % 2, i * i, float(i), states_break=i == 6)])
        profile = windows.statistics(np.array([row])).volume_by_price[0] / HEADROOM
    assert profile[[0, 31]].tolist() == [15.0, 13.0 + 17.0]  # 8² − 7², and those of 101


def test_a_break_is_carried_over_a_restart() -> None:
    before = [PlainSample(float(i), 100.0 + i, 10.0 * i, float(i)) for i in range(10)]
    after = [PlainSample(5000.0 + i, 54.5 + i, 10.0 * i, float(i)) for i in range(20)]
    windows, rows = windows_of([*before, *after[:4]], length=12)
    again = Windows(12)
    row = again.add()
    again.restore(np.array([row]), windows.saved(rows))
    for i in range(4, 20):
        for each in (windows, again):
            feed(each, [0], [after[i]])
        kept, restored = windows.statistics(rows), again.statistics(rows)
        assert kept.lowest[0] == restored.lowest[0] == after[max(0, i - 11)].price
        assert kept.volume_by_price.tolist() == restored.volume_by_price.tolist()
        assert kept.notes[0] == restored.notes[0]
    assert not kept.notes[0] & BITS["break"]


def test_what_is_kept_is_what_follows_from_the_rings() -> None:
    generator = np.random.default_rng(3)
    price, volume = generator.uniform(1, 2, (3, 7)), generator.integers(0, 9, (3, 7)).astype(np.float64)
    volume[1, 4] = np.nan
    kept, derived = SinceBreak(2), SinceBreak(2)
    for each in (kept, derived):
        each.grow(3)
    rows, newest, number = np.arange(3), np.array([6, 1, 3]), np.array([2, 5, 4])
    for row in rows.tolist():
        order = [(newest[row] - age) % 7 for age in reversed(range(number[row]))]
        kept.begin(rows[row : row + 1], price[row, order[:1]])
        for column in order:
            kept.add(rows[row : row + 1], price[row, [column]], volume[row, [column]])
    derived.derive(rows, newest, number, price, volume)
    for name in ("highest", "lowest", "volume"):
        assert getattr(kept, name).tolist() == getattr(derived, name).tolist()
