"""What is told from counters, and what is not: worked by hand."""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest

from services.feynman.windows.counters import CAUSES, ROLLS, CounterState, difference

NO = math.nan


def told(
    values: Sequence[float], gaps: Sequence[int] = (), sessions: Sequence[int] = ()
) -> tuple[list[float], list[str], list[int]]:
    """The differences of one counter, their causes and the scores. `gaps`, `sessions`: the indices of values before
    which a gap lies, or a new session is stated."""
    increases, causes, scores = [0.0], [], []
    state = CounterState(np.zeros(1, np.int64), np.zeros(1))
    for i in range(1, len(values)):
        flags = [np.array([i in places]) for places in (gaps, sessions)]
        value, previous, last = (np.array([float(each)]) for each in (values[i], values[i - 1], increases[-1]))
        found = difference(value, previous, partial(np.copy, last), state, flags[0], flags[1])
        state = found.state
        if found.taken_back[0]:
            increases[-1] = NO
        increases.append(float(found.increase[0]))
        causes.append(CAUSES[found.cause[0]])
        scores.append(int(state.score[0]))
    return increases[1:], causes, scores


@pytest.mark.parametrize(
    ("values", "gaps", "sessions", "increases", "causes"),
    [
        ([500, 530, 530, 531], [], [], [30, 0, 1], ["known"] * 3),
        # The issue's own: 5,099,899 was told here, and the tick after it is right again.
        ([5_099_900, 5_099_899, 5_099_999], [], [], [NO, 100], ["correction", "known"]),
        ([5_000_000, 10, 110], [], [], [NO, 100], ["correction", "known"]),
        # A single 0, or several, is a mistake, and the way back no trade; with a wrong digit it is the same.
        ([5_000_000, 0, 5_000_200, 5_000_300], [], [], [NO, NO, 100], ["correction", "correction", "known"]),
        (
            [5_000_000, 0, 0, 5_000_300, 5_000_400],
            [],
            [],
            [NO, 0, NO, 100],
            ["correction", "known", "correction", "known"],
        ),
        ([5_000_000, 500_010, 5_000_200, 5_000_300], [], [], [NO, NO, 100], ["correction", "correction", "known"]),
        # What was told on the way up to a wrong value is taken back.
        ([5e6, 5e7, 5_000_200, 5_000_300], [], [], [NO, NO, 100], ["known", "correction", "known"]),
        # A feed that began anew without saying so counts again, and gets to where it was in its own time.
        ([400, 5, 105, 205, 305, 405], [], [], [NO, 100, 100, 100, 100], ["correction", *["known"] * 4]),
        # A missing value is missed in two differences, and in no more.
        ([100, NO, 300, 400], [], [], [NO, NO, 100], ["missing", "missing", "known"]),
        ([NO, NO, NO], [], [], [NO, NO], ["missing", "missing"]),
        # A night.
        ([100, 700, 800], [1], [], [NO, 100], ["gap", "known"]),
        ([100, 60, 70], [1], [], [NO, 10], ["gap", "known"]),
        ([100, 49, 70], [1], [], [NO, 21], ["session", "known"]),
        ([100, 0, 0], [1], [], [NO, 0], ["session", "known"]),
        # A session that is stated, whichever way the counter went.
        ([100, 3, 4], [], [1], [NO, 1], ["session", "known"]),
        ([100, 103, 104], [], [1], [NO, 1], ["session", "known"]),
        ([100, NO, 4], [1], [1], [NO, NO], ["missing", "missing"]),
        # Counters of 31, 32, 53, 63 and 64 bits.
        ([2**31 - 5, 3, 4], [], [], [NO, 1], ["overflow", "known"]),
        ([2**32 - 5, 3, 4], [], [], [NO, 1], ["overflow", "known"]),
        ([2.0**53, 3, 4], [], [], [NO, 1], ["overflow", "known"]),
        ([2.0**63, 3, 4], [], [], [NO, 1], ["overflow", "known"]),
        ([2.0**64, 3, 4], [], [], [NO, 1], ["overflow", "known"]),
        ([2**32 - 5, 2**32 - 6], [], [], [NO], ["correction"]),
        ([2**32 * 1.5, 3], [], [], [NO], ["correction"]),
        ([5, math.inf, 7, 8], [], [], [NO, NO, 1], ["overflow", "overflow", "known"]),
        ([math.inf, math.inf], [1], [], [NO], ["overflow"]),
    ],
)
def test_each_kind_is_told_from_the_others(
    values: list[float], gaps: list[int], sessions: list[int], increases: list[float], causes: list[str]
) -> None:
    found = told(values, gaps, sessions)
    np.testing.assert_array_equal(found[0], increases)
    assert found[1] == causes


def rolling(number: int, share: float, seed: int = 1) -> list[float]:
    """A 24-hour figure: at each sample something comes and something falls out, at a share of them more of it."""
    generator = np.random.default_rng(seed)
    steps = np.where(generator.random(number) < share, -1, 1) * generator.integers(1, 500, number)
    return list(1e6 + np.cumsum(steps).astype(float))


@pytest.mark.parametrize("share", [0.2, 0.35, 0.5, 0.7])
def test_a_rolling_figure_is_recognised_and_tells_nothing_any_more(share: float) -> None:
    _, causes, _ = told(rolling(3000, share))
    recognised = causes.index("rolling")
    assert recognised < 60
    assert set(causes[recognised:]) == {"rolling"}


def test_a_few_corrections_are_no_rolling_figure() -> None:
    generator = np.random.default_rng(2)
    values = list(np.cumsum(generator.integers(0, 500, 5000)).astype(float))
    for i in range(30, 5000, 100):
        values[i:] = [value - 700 for value in values[i:]]
    increases, causes, _ = told(values)
    assert set(causes) == {"known", "correction"}
    assert np.isnan(increases).sum() == causes.count("correction") >= 45


def test_a_rolling_figure_that_was_mended_is_a_counter_again() -> None:
    increases, causes, scores = told([*rolling(200, 0.5), *(2e6 + 10.0 * i for i in range(400))])
    assert scores[199] >= ROLLS
    assert causes[-200:] == ["known"] * 200
    assert increases[-200:] == [10.0] * 200
    # At once, if a new session is stated.
    assert told([*rolling(200, 0.5), 0.0, 10.0], sessions=[200])[1][-2:] == ["session", "known"]


def test_a_counter_that_stands_still_becomes_no_rolling_figure_and_ceases_to_be_none() -> None:
    still = [2e6] * 1000
    assert set(told(still)[1]) == {"known"}
    assert set(told([*rolling(200, 0.5), *still])[1][-900:]) == {"rolling"}
