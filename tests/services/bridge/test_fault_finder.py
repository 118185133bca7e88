"""Which faults the bridge finds, and of what it cannot know."""

import pytest

from cottage.freshness import Feed
from tests.services.bridge.test_freshness_monitor import NOW, Bench
from tests.support import library_events

FEED = Feed("simulate", None)


class Faults(Bench):
    """The monitor's bench, a second at a time."""

    def seconds(self, number: int, *, beats: bool = True, answers: bool = True) -> list[str]:
        """What is logged within so many seconds. `beats`: feynman; `answers`: Redis, to TIME."""
        with library_events() as lines:
            for _ in range(number):
                self.at += 1
                if answers:
                    self.monitor._redis_clock.answered(NOW + self.at - 100, self.at, self.at)
                if beats:
                    self.liveness.heartbeat((0, 1), 1, self.at)
                self.monitor.publish(self.hub)
        of = [f" of {line['of']}" if line["of"] is not None else "" for line in lines]
        said = zip(lines, of, strict=True)
        return [f"{line['event']} {line['cause']}{each}: {line['symbols']}" for line, each in said]

    def lives(self, *symbols: str, source: str = "simulate", age: float = 0.0) -> None:
        for symbol in symbols:
            self.holds(symbol, age, source)


@pytest.fixture
async def faults() -> Faults:
    """All is well, and has been for a while."""
    made = Faults()
    made.liveness.redis_answers = True
    made.liveness.prove({(0, 1): 1})
    made.monitor.feeds = (FEED,)
    assert made.seconds(10) == []
    return made


async def test_a_start_that_takes_a_while_says_nothing() -> None:
    faults = Faults()
    assert faults.seconds(5, beats=False, answers=False) == []
    faults.liveness.redis_answers = True
    faults.liveness.prove({(0, 1): 1})
    faults.lives("SPY", "QQQ", age=3600)
    assert faults.seconds(5, beats=False) == []
    faults.monitor.feeds = ()
    assert faults.seconds(5) == []
    faults.lives("SPY", "QQQ")
    assert faults.seconds(2) == []
    assert faults.seconds(3) == ["not_live feed_down of simulate: 2"]


async def test_a_redis_that_never_comes() -> None:
    faults = Faults()
    assert faults.seconds(6, beats=False, answers=False) == []
    assert faults.seconds(60, beats=False, answers=False) == ["not_live redis_down: 0"]


async def test_a_writer_is_down_once_redis_has_answered_without_it(faults: Faults) -> None:
    faults.lives("SPY")
    assert faults.seconds(6, beats=False, answers=False) == [], "it may be Redis that hangs"
    faults.liveness.redis_answers = False
    assert faults.seconds(2, beats=False, answers=False) == ["not_live redis_down: 1"]
    faults.liveness.redis_answers = True
    assert faults.seconds(5) == ["not_live_ended redis_down: 1"]
    assert faults.seconds(5, beats=False) == ["not_live writer_down: 1"]
    assert faults.seconds(5) == ["not_live_ended writer_down: 1"]


async def test_a_silent_shard_is_named_with_its_symbols(faults: Faults) -> None:
    faults.liveness.prove({(0, 2): 1, (1, 2): 1})
    faults.liveness._heartbeats.clear()
    said = []
    for second in range(12):
        faults.at += 1
        faults.lives("SPY" if second < 4 else "IWM", "QQQ", source="myfeed")  # SPY is of shard 1/2
        faults.at -= 1
        faults.liveness.heartbeat((0, 2), 1, faults.at + 1)
        if second < 4:
            faults.liveness.heartbeat((1, 2), 1, faults.at + 1)
        said += faults.seconds(1, beats=False)
    assert said == ["not_live writer_down of 1/2: 1"]


async def test_each_source_is_said_by_itself(faults: Faults) -> None:
    faults.monitor.feeds = ()
    faults.lives("A", "B", source="simulate")
    faults.lives("C", source="replay")
    faults.lives("D", source="myfeed")
    assert sorted(faults.seconds(9)) == ["not_live feed_down of replay: 1", "not_live feed_down of simulate: 2"]


async def test_of_two_feeds_of_a_source_one_may_die(faults: Faults) -> None:
    faults.monitor.feeds = (Feed("live", frozenset({"A", "B"})),)
    faults.lives("A", "B", "C", source="live")
    assert faults.seconds(9) == ["not_live feed_down of live: 1"]


async def test_a_feed_that_has_ended_is_said_at_info(faults: Faults) -> None:
    faults.monitor.feeds = (Feed("simulate", None, ended=True),)
    faults.lives("A", "B")
    with library_events() as lines:
        assert faults.seconds(9) == ["not_live feed_ended of simulate: 2"]
    assert [line["level"] for line in lines] == ["info"]


async def test_what_another_run_has_left_is_said_at_info_and_what_was_alive_is_not_left() -> None:
    faults = Faults()
    faults.liveness.redis_answers = True
    faults.liveness.prove({(0, 1): 1})
    faults.monitor.feeds = (FEED,)
    faults.lives("OLD", "OLDER", source="replay", age=3600)
    with library_events() as lines:
        for _ in range(20):
            faults.lives("A", "B")
            faults.seconds(1)
    assert [(line["level"], line["of"]) for line in lines] == [("info", "replay")]
    faults.monitor.feeds = ()
    with library_events() as lines:
        faults.seconds(9)
    assert [(line["level"], line["of"]) for line in lines] == [("warning", "simulate")]


async def test_quiet_symbols_are_no_fault_until_all_of_their_source_are(faults: Faults) -> None:
    faults.lives("A", "B", "C", source="myfeed")
    for _ in range(30):
        faults.lives("A", source="myfeed")
        assert faults.seconds(1) == []
    assert faults.seconds(8) == []
    assert faults.seconds(12) == ["not_live market_quiet of myfeed: 3"]
    faults.lives("B", source="myfeed")
    assert faults.seconds(5) == ["not_live_ended market_quiet of myfeed: 3"]


async def test_a_feed_of_one_symbol_is_silent_when_that_is_for_longer_than_is_usual_of_it(faults: Faults) -> None:
    for _ in range(30):
        faults.lives("BUSY", source="myfeed")
        assert faults.seconds(1) == []
    assert faults.seconds(12) == ["not_live market_quiet of myfeed: 1"]
    faults.lives("SLOW", source="bars")
    faults.seconds(30)  # how slow it is nobody knows yet
    for _ in range(5):
        faults.lives("SLOW", source="bars")
        assert "not_live market_quiet of bars: 1" not in faults.seconds(30)
    assert faults.seconds(60) == ["not_live market_quiet of bars: 1"]


async def test_while_redis_is_away_a_dead_feed_stays_what_it_was(faults: Faults) -> None:
    faults.lives("A", "B")
    faults.monitor.feeds = ()
    assert faults.seconds(9) == ["not_live feed_down of simulate: 2"]
    faults.liveness.redis_answers = False
    assert faults.seconds(20, beats=False, answers=False) == ["not_live redis_down: 2"]
    faults.liveness.redis_answers = True
    assert faults.seconds(20) == ["not_live_ended redis_down: 2"]
    faults.monitor.feeds = (FEED,)
    for _ in range(6):
        faults.lives("A", "B")
        if said := faults.seconds(1):
            break
    assert said == ["not_live_ended feed_down of simulate: 2"]
