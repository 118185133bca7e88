"""Which states may be trusted less than the others, and why."""

import pytest

from cottage.clock import RemoteClock
from cottage.freshness import USUAL, Chain, Feed, Freshness
from services.bridge.sample_ages import SampleAges

NOW = 1_766_318_400.0
LIVE = Freshness("live", None, 0.2)
WRITER = frozenset({(0, 1)})
FEED = Feed("simulate", frozenset({"SPY"}))


def of_age(age: float, source: str | None = "simulate", lag: float = 0.0) -> SampleAges:
    """Of one sample, heard of at 0.0 by the monotonic clock, when Redis's shows NOW."""
    clock = RemoteClock()
    clock.answered(NOW, 0.0, 0.0)
    samples = SampleAges(USUAL, clock)
    samples.record("SPY", source, NOW - age, None, lag, 0.0)
    return samples


@pytest.mark.parametrize(
    ("age", "source", "chain", "expected"),
    [
        (0.5, "simulate", Chain(WRITER, ()), None),
        (2.9, "simulate", Chain(WRITER, ()), None),
        (3.0, "simulate", Chain(WRITER, ()), ("stale", "feed_down")),
        (3.0, "simulate", Chain(WRITER, (FEED,)), None),
        (3.0, "simulate", Chain(WRITER, None), None),  # who feeds is not known
        (3.0, "myfeed", Chain(WRITER, ()), None),  # it need not say that it lives
        (3.0, None, Chain(WRITER, ()), None),
        (3.0, "simulate", Chain(frozenset({(0, 2)}), (FEED,)), ("stale", "writer_down")),  # SPY is the other shard's
        (10.0, "simulate", Chain(WRITER, (FEED,)), ("stale", "market_quiet")),
        (60.0, "myfeed", Chain(WRITER, ()), ("expired", "market_quiet")),
        (60.0, "simulate", Chain(WRITER, ()), ("expired", "feed_down")),
        (-0.9, "simulate", Chain(WRITER, (FEED,)), None),
        (-1.1, "simulate", Chain(WRITER, (FEED,)), ("expired", "market_quiet")),  # else live until its time comes
    ],
)
def test_a_symbol_apart(age: float, source: str | None, chain: Chain, expected: tuple[str, str] | None) -> None:
    found = {
        name: (each.status, each.cause) for name, each in of_age(age, source).exceptions(LIVE, chain, 0.0).items()
    }
    assert found == ({} if expected is None else {"SPY": expected})


def test_a_broken_hop_that_all_have_in_common_is_the_cause() -> None:
    down = Freshness("stale", "redis_down", 4.0)
    chain = Chain(frozenset(), ())
    assert of_age(20.0).exceptions(down, chain, 0.0) == {}, "it is stale as all are"
    assert of_age(60.0).exceptions(down, chain, 0.0) == {"SPY": Freshness("expired", "redis_down", 60.0)}


def test_only_old_samples_are_in_doubt() -> None:
    assert not of_age(2.9).any_quiet(0.0)
    assert of_age(3.0).any_quiet(0.0)


def test_nothing_is_said_of_what_does_not_tell_its_time_nor_of_what_is_gone() -> None:
    samples = of_age(20.0)
    samples.record("SPY", None, None, None, 0.0, 0.0)
    assert samples.exceptions(LIVE, Chain(WRITER, ()), 0.0) == {}
    assert samples.age("SPY", 0.0) is None
    samples = of_age(20.0)
    samples.forget("SPY")
    assert samples.exceptions(LIVE, Chain(WRITER, ()), 0.0) == {}


ALL_WELL = Chain(WRITER, (FEED,))


def said(samples: SampleAges, now: float, overall: Freshness = LIVE) -> tuple[str, str | None] | None:
    found = samples.exceptions(overall, ALL_WELL, now).get("SPY")
    return None if found is None else (found.status, found.cause)


@pytest.mark.parametrize("step", [-86_400.0, -3600.0, -50.0, -1.0, 1.0, 50.0, 3600.0, 86_400.0])
def test_no_step_of_the_clock_makes_a_sample_younger(step: float) -> None:
    samples = of_age(8.0)
    samples._clock.answered(NOW + 1 + step, 1.0, 1.0)
    samples.clock_was_set(0.5)
    assert samples.age("SPY", 1.0) == pytest.approx(max(9.0, 9.0 + step), abs=0.01)
    if step < 0:
        assert said(samples, 1.9) is None
        assert said(samples, 2.1) == ("stale", "market_quiet")
    # feynman issues it again: of the same sample, which it knows by its feed_time
    samples.record("SPY", "simulate", NOW + 1 + step - 9.0, NOW - 8.0, 0.0, 1.0)
    assert samples.age("SPY", 1.0) == pytest.approx(9.0, abs=0.01)
    samples.record("SPY", "simulate", NOW + 2 + step, None, 0.0, 2.0)
    assert samples.age("SPY", 3.0) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("age", "overall", "expected"),
    [
        (5.0, LIVE, None),
        (905.0, LIVE, ("stale", "feed_late")),
        (909.9, LIVE, ("stale", "feed_late")),
        (910.0, LIVE, ("expired", "market_quiet")),
        (905.0, Freshness("stale", "writer_down", 4.0), None),  # it is stale as all are
    ],
)
def test_a_feed_that_is_late_by_nature(
    age: float, overall: Freshness, expected: tuple[str, str | None] | None
) -> None:
    samples = of_age(age, lag=900.0)
    assert said(samples, 0.0, overall) == expected
    samples.record("SPY", "simulate", NOW - 905.0, None, 0.0, 0.0)
    assert said(samples, 0.0, LIVE) == ("expired", "market_quiet"), "if it is not late usually"
