import pytest

from cottage.errors import InvalidMessage
from cottage.freshness import Cause, Chain, Feed, Freshness, Thresholds, absent, assess, shards, unfed
from cottage.protocol import parse_freshness

WRITER = frozenset({(0, 1)})
FEED = Feed("live", frozenset({"SPY", "QQQ"}))
ENDED = Feed("replay", frozenset({"SPY", "QQQ"}), ended=True)


@pytest.mark.parametrize(
    ("age", "broken", "silent", "status", "cause"),
    [
        (0.0, None, 0.0, "live", None),
        (9.999, None, 9.999, "live", None),
        (10.0, None, 10.0, "stale", "market_quiet"),
        (59.999, None, 59.999, "stale", "market_quiet"),
        (60.0, None, 60.0, "expired", "market_quiet"),
        (2.0, "redis_down", 2.999, "live", None),
        (2.0, "redis_down", 3.0, "stale", "redis_down"),
        (2.0, "redis_down", float("inf"), "stale", "redis_down"),
        (3.0, "writer_down", 3.0, "stale", "writer_down"),
        (12.0, "redis_down", 0.5, "stale", "redis_down"),
        (70.0, "feed_down", 70.0, "expired", "feed_down"),
        (None, None, 0.0, "expired", "market_quiet"),
        (None, "writer_down", 0.0, "expired", "writer_down"),
    ],
)
def test_thresholds(age: float | None, broken: Cause | None, silent: float, status: str, cause: Cause | None) -> None:
    assert assess(age, broken, silent, Thresholds()) == Freshness(status, cause, age)  # type: ignore[arg-type]  # parametrised


@pytest.mark.parametrize(
    ("age", "lag", "broken", "status", "cause"),
    [
        (9.9, 900.0, None, "live", None),
        (900.5, 900.0, None, "stale", "feed_late"),
        (909.9, 900.0, None, "stale", "feed_late"),
        (910.0, 900.0, None, "expired", "market_quiet"),
        (900.5, 900.0, "writer_down", "stale", "writer_down"),
        (14.0, 5.0, None, "stale", "feed_late"),
        (15.0, 5.0, None, "stale", "market_quiet"),
    ],
)
def test_a_feed_that_is_late_by_nature_is_stale_and_never_live(
    age: float, lag: float, broken: Cause | None, status: str, cause: Cause | None
) -> None:
    assert assess(age, broken, age, Thresholds(), lag) == Freshness(status, cause, age)  # type: ignore[arg-type]  # parametrised
    if status != "live" and broken is None:
        assert Thresholds().of_sample(age, lag) == status


def test_what_is_absent_is_expired() -> None:
    assert absent("feed_down") == Freshness("expired", "feed_down", None)


@pytest.mark.parametrize(
    ("chain", "symbol", "source", "broken"),
    [
        (Chain(frozenset(), ()), "SPY", "live", "writer_down"),
        (Chain(frozenset(), (FEED,)), "SPY", "live", "writer_down"),  # the hop nearest to the reader
        (Chain(WRITER, (FEED,)), "SPY", "live", None),
        (Chain(WRITER, (FEED,)), "IWM", "live", "feed_down"),  # it lists its symbols, and this is none of them
        (Chain(WRITER, (FEED,)), "SPY", "replay", "feed_down"),  # another source's feed
        (Chain(WRITER, (Feed("live", None),)), "IWM", "live", None),  # it lists none: it may bring any
        (Chain(WRITER, ()), "SPY", "my_feed", None),  # a foreign feed need not announce itself
        (Chain(WRITER, ()), "SPY", "simulate", "feed_down"),
        (Chain(WRITER, ()), "NEW", None, "feed_down"),  # no state, and nobody who would bring one
        (Chain(WRITER, (FEED,)), "SPY", None, None),
        (Chain(WRITER, (ENDED,)), "SPY", "replay", "feed_ended"),
        (Chain(WRITER, (ENDED,)), "SPY", None, "feed_ended"),
        (Chain(WRITER, (ENDED,)), "IWM", "replay", "feed_down"),  # it never brought it
        (Chain(WRITER, (ENDED, Feed("replay", None))), "SPY", "replay", None),  # another one does
        (Chain(frozenset(), (ENDED,)), "SPY", "replay", "writer_down"),
    ],
)
def test_the_broken_hop_nearest_to_the_reader(
    chain: Chain, symbol: str, source: str | None, broken: Cause | None
) -> None:
    assert chain.broken(symbol, source) == broken


@pytest.mark.parametrize(
    ("fields", "feed"),
    [
        ({"source": "live", "symbols": ["SPY"]}, Feed("live", frozenset({"SPY"}))),
        ({"source": "live", "symbols": []}, Feed("live", None)),
        ({"source": "replay", "ended_at": 1766318400.25}, Feed("replay", None, ended=True)),
        ({"source": "replay", "ended_at": None}, Feed("replay", None)),
        ({"source": "live", "symbols": 500}, Feed("live", None)),
        ({"source": 7, "symbols": [["SPY"]]}, Feed(None, None)),
        ({"source": "live", "symbols": ["SPY"], "symbol_count": 1}, Feed("live", frozenset({"SPY"}))),
        ({"source": "live", "symbols": ["SPY"], "symbol_count": 9000}, Feed("live", None)),  # it lists a part
        ({}, Feed(None, None)),
    ],
)
def test_a_feed_says_what_it_likes(fields: dict[str, object], feed: Feed) -> None:
    assert Feed.from_fields(fields) == feed


def test_as_json_values() -> None:
    assert Freshness("live", None, 0.4126).as_dict() == {"status": "live", "cause": None, "age_ms": 413}
    assert absent("redis_down").as_dict() == {"status": "expired", "cause": "redis_down", "age_ms": None}


def test_a_symbol_has_the_writer_of_its_shard() -> None:
    half = Chain(shards(["1/2"]), (FEED,))
    assert half.broken("SPY", "live") is None  # crc32 of SPY is odd
    assert half.broken("QQQ", "live") == "writer_down"
    assert shards(["0/1", "2/2", "x"]) == {(0, 1)}


@pytest.mark.parametrize(
    ("freshness", "source", "folded"),
    [
        (Freshness("expired", "feed_down", 60.0), "replay", True),
        (Freshness("expired", "feed_ended", 60.0), "replay", False),  # its feed is there, and says so
        (Freshness("stale", "feed_down", 20.0), "replay", False),
        (Freshness("expired", "market_quiet", 60.0), "myfeed", True),
        (Freshness("expired", "market_quiet", 60.0), "replay", False),
    ],
)
def test_what_no_feed_brings_any_more(freshness: Freshness, source: str, folded: bool) -> None:
    assert unfed(freshness, source) == folded


def test_thresholds_are_given() -> None:
    quick = Thresholds(1.0, 6.0, 0.3)
    assert [assess(age, None, 0, quick).status for age in (0.9, 1.0, 6.0)] == ["live", "stale", "expired"]
    assert assess(0.4, "feed_down", 0.4, quick) == Freshness("stale", "feed_down", 0.4)


@pytest.mark.parametrize("told", [{"age_ms": 1e308}, {"age_ms": -1e300}, {"age_ms": True}, {"cause": "x" * 65}])
def test_what_cannot_be_told_on_is_not_taken(told: dict[str, object]) -> None:
    """A bridge that was taken over ended its broadcasters with it: no JSON has such a number."""
    with pytest.raises(InvalidMessage):
        Freshness.from_fields({"status": "stale", "cause": "market_quiet", **told})
    with pytest.raises(InvalidMessage):
        parse_freshness({"status": "stale", "cause": "x", "symbols": ["SPY"], "ages_ms": [told.get("age_ms", 1e300)]})
