"""Which states may be trusted less than the others, and why."""

import pytest

from cottage.freshness import USUAL, Chain, Feed, Freshness
from services.bridge.sample_ages import SampleAges

NOW = 1_766_318_400.0
LIVE = Freshness("live", None, 0.2)
WRITER = frozenset({(0, 1)})
FEED = Feed("simulate", frozenset({"SPY"}))


def of_age(age: float, source: str | None = "simulate") -> SampleAges:
    samples = SampleAges(USUAL)
    samples.record("SPY", NOW - age, source)
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
        (-60.0, "simulate", Chain(WRITER, (FEED,)), None),
        (-61.0, "simulate", Chain(WRITER, (FEED,)), ("expired", "market_quiet")),  # else live until its time comes
    ],
)
def test_a_symbol_apart(age: float, source: str | None, chain: Chain, expected: tuple[str, str] | None) -> None:
    found = {
        name: (each.status, each.cause) for name, each in of_age(age, source).exceptions(LIVE, chain, NOW).items()
    }
    assert found == ({} if expected is None else {"SPY": expected})


def test_a_broken_hop_that_all_have_in_common_is_the_cause() -> None:
    down = Freshness("stale", "redis_down", 4.0)
    chain = Chain(frozenset(), ())
    assert of_age(20.0).exceptions(down, chain, NOW) == {}, "it is stale as all are"
    assert of_age(60.0).exceptions(down, chain, NOW) == {"SPY": Freshness("expired", "redis_down", 60.0)}


def test_only_old_samples_are_in_doubt() -> None:
    assert not of_age(2.9).any_quiet(NOW)
    assert of_age(3.0).any_quiet(NOW)


def test_nothing_is_said_of_what_does_not_tell_its_time_nor_of_what_is_gone() -> None:
    samples = of_age(20.0)
    samples.record("SPY", None, None)
    assert samples.exceptions(LIVE, Chain(WRITER, ()), NOW) == {}
    assert samples.age("SPY", NOW) is None
    samples = of_age(20.0)
    samples.forget("SPY")
    assert samples.exceptions(LIVE, Chain(WRITER, ()), NOW) == {}
