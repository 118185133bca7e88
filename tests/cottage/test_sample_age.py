import math

import pytest

from cottage.clock import AHEAD_SECONDS, RemoteClock
from cottage.sample_age import SampleAge

NOW = 1766318400.0  # Redis's clock at 100.0 of ours


def clock_at(redis: float = NOW, now: float = 100.0) -> RemoteClock:
    clock = RemoteClock()
    clock.answered(redis, now, now)
    return clock


def stepped(clock: RemoteClock, step: float, now: float) -> None:
    there = clock.now(now)
    assert there is not None
    clock.answered(there + step, now, now)


def test_it_is_aged_by_redis_s_clock_and_then_by_our_own() -> None:
    clock = clock_at()
    sample = SampleAge.heard(None, "live", NOW - 4, None, clock, 100.0)
    assert sample.age(clock, 100.0) == 4.0
    assert sample.age(clock, 107.5) == 11.5


@pytest.mark.parametrize("step", [-86_400.0, -3600.0, -50.0, -1.0])
def test_a_step_back_makes_it_no_younger(step: float) -> None:
    clock = clock_at()
    sample = SampleAge.heard(None, "live", NOW - 4, None, clock, 100.0)
    stepped(clock, step, 102.0)
    assert sample.age(clock, 103.0) == pytest.approx(7.0)


@pytest.mark.parametrize("step", [-3600.0, -1.0, 1.0, 3600.0])
def test_one_that_is_issued_again_after_a_step_keeps_its_age(step: float) -> None:
    clock = clock_at()
    sample = SampleAge.heard(None, "live", NOW - 4, None, clock, 100.0)
    stepped(clock, step, 102.0)
    again = SampleAge.heard(sample, "live", NOW + step - 4, NOW - 4, clock, 103.0)
    assert again.age(clock, 103.0) == pytest.approx(7.0, abs=0.2)
    assert again.heard_at == 100.0


def test_before_it_is_issued_again_a_step_forward_makes_it_older_and_not_younger() -> None:
    clock = clock_at()
    sample = SampleAge.heard(None, "live", NOW - 4, None, clock, 100.0)
    stepped(clock, 50.0, 102.0)
    assert sample.age(clock, 103.0) == pytest.approx(57.0, abs=0.2)


def test_another_source_or_time_is_another_sample() -> None:
    clock = clock_at()
    sample = SampleAge.heard(None, "live", NOW - 40, None, clock, 100.0)
    assert SampleAge.heard(sample, "replay", NOW - 4, NOW - 40, clock, 101.0).age(clock, 101.0) == 5.0
    assert SampleAge.heard(sample, "live", NOW - 4, None, clock, 101.0).age(clock, 101.0) == 5.0


def test_one_from_ahead_has_no_age_until_a_newer_one_comes() -> None:
    clock = clock_at()
    ahead = SampleAge.heard(None, "live", NOW + 50, None, clock, 100.0)
    assert (ahead.floor, ahead.age(clock, 100.0), ahead.age(clock, 250.0)) == (math.inf, None, None)
    again = SampleAge.heard(ahead, "live", NOW, NOW + 50, clock, 101.0)
    assert again.age(clock, 101.0) is None
    assert SampleAge.heard(again, "live", NOW + 1, None, clock, 101.0).age(clock, 101.0) == 0.0


def test_a_little_ahead_is_the_imprecision_of_two_looks_at_a_clock() -> None:
    clock = clock_at()
    assert SampleAge.heard(None, "live", NOW + 0.9 * AHEAD_SECONDS, None, clock, 100.0).age(clock, 100.0) == 0.0


def test_what_came_before_the_step_was_known_is_fixed_again() -> None:
    clock = clock_at()
    old = SampleAge.heard(None, "live", NOW - 4, None, clock, 100.0)
    back = SampleAge.heard(None, "live", NOW + 1 - 3600, None, clock, 101.5)  # the clock is back already: looks old
    ahead = SampleAge.heard(None, "live", NOW + 1 + 3600, None, clock, 101.5)  # the other way round: looks ahead
    assert back.age(clock, 101.5) == pytest.approx(3600.5)
    assert ahead.age(clock, 101.5) is None
    since = clock.confirmed_at
    stepped(clock, -3600.0, 102.0)
    assert back.confirmed(clock, since).age(clock, 102.0) == pytest.approx(1.0)
    assert old.confirmed(clock, since).age(clock, 102.0) == pytest.approx(6.0)
    stepped(clock, 7200.0, 102.0)
    assert ahead.confirmed(clock, since).age(clock, 102.0) == pytest.approx(1.0)
