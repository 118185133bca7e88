"""How old a sample really is, whatever its timestamp says."""

import pytest

from cottage.clock import AHEAD_SECONDS
from tests.chaos.samples import FOREIGN, MOST_KEPT, Samples, sample_time


def test_a_sample_is_as_old_as_we_know_it() -> None:
    samples = Samples()
    assert samples.age("S", 1e9, 100.0) == 0.0
    assert samples.age("S", 1e9, 130.0) == 30.0
    assert samples.age("S", 1e9 - 3600, 130.0) == 0.0, "another one, of a clock that was set back"
    assert samples.age("T", 1e9, 130.0) == 0.0


def test_who_waits_for_an_answer_knows_of_a_sample_when_it_comes() -> None:
    samples = Samples()
    assert samples.age_at("S", 1e9, 100.0, 101.5) == 0.0
    assert samples.age("S", 1e9, 101.6) == pytest.approx(0.1)
    assert samples.age_at("S", 1e9, 102.5, 103.0) == pytest.approx(1.0), (
        "as old as it was when the question was asked"
    )


def test_of_a_feed_that_says_what_it_writes_there_is_nothing_else() -> None:
    samples = Samples()
    samples.wrote(FOREIGN[0], 1e9, 100.0)
    assert samples.age(FOREIGN[0], 1e9, 101.0) == 1.0
    assert samples.age(FOREIGN[0], 1e9 + 1, 101.0) is None


def test_after_a_step_only_the_newest_are_told_again() -> None:
    samples = Samples()
    for second in range(4):
        samples.wrote(FOREIGN[0], 1e9 + second, 100.0 + second)
        samples.age("S", 1e9 + second, 100.0 + second)
    samples.stepped()
    for second, age in ((2, 8.0), (3, 7.0)):
        assert samples.age("S", 1e9 + second, 110.0) == samples.age(FOREIGN[0], 1e9 + second, 110.0) == age
    assert samples.age(FOREIGN[0], 1e9, 110.0) == 10.0, "later ones may never have arrived"
    samples.wrote(FOREIGN[0], 1e9, 110.0)
    assert samples.age("S", 1e9, 110.0) == samples.age(FOREIGN[0], 1e9, 110.0) == 0.0, "a new one of that name"


def test_a_sample_of_which_nobody_may_know_the_age_stays_one() -> None:
    samples = Samples()
    assert samples.unseen(5.0, 100.0) == 0.0
    samples.undated_until = 100.0
    assert samples.unseen(5.0, 103.0) == AHEAD_SECONDS
    assert samples.unseen(2.0, 103.0) == 0.0, "a later one"


def test_they_do_not_grow_for_ever() -> None:
    samples = Samples()
    for number in range(MOST_KEPT + 10):
        samples.wrote(FOREIGN[0], number, float(number))
        samples.age("S", number, float(number))
    assert len(samples._first[FOREIGN[0]]) == MOST_KEPT
    assert samples.age("S", MOST_KEPT + 9, MOST_KEPT + 10.0) == 1.0
    assert len(samples._first["S"]) == MOST_KEPT


def test_a_feeds_own_time_names_it() -> None:
    stamp, other = "2026-01-01T00:00:00.500Z", "2026-01-01T00:00:07.500Z"
    assert sample_time({"timestamp": stamp}) == pytest.approx(1767225600.5)
    assert sample_time({"timestamp": other, "feed_time": stamp}) == sample_time({"timestamp": stamp})
    assert sample_time({}) is None
