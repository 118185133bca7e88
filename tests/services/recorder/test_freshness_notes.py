"""What the bridge says of freshness and hops, as rows: those that change something, and no others."""

from typing import Any

import pytest

from cottage.freshness import Cause, Freshness, FreshnessStatement, Status
from services.recorder.freshness_notes import FreshnessNotes

LIVE = FreshnessStatement(Freshness("live", None, 0.5))


def about(status: Status, cause: Cause | None, **ages: float | None) -> FreshnessStatement:
    return FreshnessStatement.of_symbols(status, cause, ages)


def all_are(status: Status, cause: Cause | None, age: float | None = None) -> FreshnessStatement:
    return FreshnessStatement(Freshness(status, cause, age))


def say(notes: FreshnessNotes, *statements: FreshnessStatement, recorded: int = 0) -> None:
    for statement in statements:
        notes.stated(statement, 0.0)
    notes.write(recorded, 0.0)


def told(notes: FreshnessNotes, table: str = "freshness") -> list[tuple[Any, ...]]:
    """The rows of a table, of all that waits."""
    columns = notes.take().get(table, {})
    return list(zip(*columns.values(), strict=True))


@pytest.fixture
def notes() -> FreshnessNotes:
    """One that is connected, where all is live and that is written."""
    notes = FreshnessNotes()
    notes.connected()
    notes.heartbeat()
    say(notes)
    notes.take()
    return notes


def test_at_first_all_of_it_is_written() -> None:
    notes = FreshnessNotes()
    notes.connected()
    say(notes, all_are("stale", "writer_down", 4.0), about("expired", "feed_down", SPY=70.0), recorded=9)
    assert told(notes) == [], "there is more to come until a HEARTBEAT does"
    notes.heartbeat()
    notes.write(9, 0.0)
    assert told(notes) == [("*", "stale", "writer_down", 4000, 9), ("SPY", "expired", "feed_down", 70_000, 9)]


def test_a_change_is_a_row_and_what_is_said_again_is_none(notes: FreshnessNotes) -> None:
    say(notes, about("stale", "market_quiet", SPY=11.0, QQQ=12.0), recorded=1)
    assert told(notes) == [("SPY", "stale", "market_quiet", 11_000, 1), ("QQQ", "stale", "market_quiet", 12_000, 1)]
    say(notes, about("stale", "market_quiet", SPY=15.0))
    assert told(notes) == []
    say(notes, about("live", None, SPY=0.1), recorded=3)
    assert told(notes) == [("SPY", "live", None, None, 3)]


def test_a_new_connection_says_everything_again_and_only_what_changed_is_written(notes: FreshnessNotes) -> None:
    say(notes, about("stale", "market_quiet", SPY=11.0, QQQ=12.0))
    notes.take()
    notes.lost("silent for 3 s", 5)
    notes.connected()
    say(notes, LIVE, about("expired", "market_quiet", SPY=70.0), about("stale", "market_quiet", QQQ=30.0))
    assert told(notes) == []
    notes.heartbeat()
    notes.write(7, 0.0)
    assert told(notes) == [("SPY", "expired", "market_quiet", 70_000, 7)]


def test_a_removed_symbol_is_a_row(notes: FreshnessNotes) -> None:
    say(notes, about("stale", "market_quiet", SPY=11.0))
    notes.take()
    notes.removed("SPY", 3)
    say(notes)
    assert told(notes) == [("SPY", "removed", None, None, 3)]


def test_a_statement_about_all_ends_those_about_single_ones(notes: FreshnessNotes) -> None:
    say(notes, about("stale", "market_quiet", SPY=11.0))
    notes.take()
    say(notes, all_are("stale", "redis_down"), recorded=3)
    assert told(notes) == [("*", "stale", "redis_down", None, 3)]


def test_only_the_chosen_symbols_have_rows() -> None:
    notes = FreshnessNotes(["SPY"])
    notes.connected()
    notes.heartbeat()
    say(notes, all_are("stale", "writer_down", 4.0), about("expired", "feed_down", SPY=70.0, QQQ=70.0))
    assert [row[0] for row in told(notes)] == ["*", "SPY"]
    notes.removed("QQQ", 3)
    notes.removed("SPY", 3)
    assert [row[:2] for row in told(notes)] == [("SPY", "removed")]


def test_hops_that_break_and_come_back_are_outages(notes: FreshnessNotes) -> None:
    say(notes, all_are("stale", "writer_down", 4.0), recorded=10_000_000)
    assert told(notes, "outages") == [("feynman", "writer_down", 6_000_000, None, 10_000_000)]
    say(notes, all_are("expired", "writer_down", 70.0), recorded=20_000_000)
    assert told(notes, "outages") == []
    say(notes, LIVE, recorded=30_000_000)
    assert told(notes, "outages") == [("feynman", "writer_down", 6_000_000, 30_000_000, 30_000_000)]


def test_behind_a_broken_hop_nothing_is_known(notes: FreshnessNotes) -> None:
    say(notes, about("stale", "feed_down", SPY=11.0), recorded=1)
    say(notes, all_are("stale", "redis_down"), recorded=2)
    assert [(row[0], row[3]) for row in told(notes, "outages")] == [("market", None), ("redis", None)]
    say(notes, LIVE, recorded=3)
    assert sorted((row[0], row[3]) for row in told(notes, "outages")) == [("market", 3), ("redis", 3)]


def test_without_the_bridge_nothing_is_known_of_the_others(notes: FreshnessNotes) -> None:
    say(notes, all_are("stale", "redis_down"), recorded=1)
    notes.lost("connection refused", 2)
    notes.lost("connection refused", 3)
    assert [(row[0], row[2]) for row in told(notes, "outages")] == [("redis", 1), ("bridge", 2)]
    notes.connected()
    notes.heartbeat()
    say(notes, LIVE, recorded=4)
    assert [(row[0], row[3]) for row in told(notes, "outages")] == [("bridge", 4), ("redis", 4)]


def test_an_outage_that_an_earlier_recorder_noted_goes_on() -> None:
    notes = FreshnessNotes()
    ended = {"hop": "redis", "cause": "redis_down", "since": 1, "until": 2}
    notes.restore([{**ended, "until": None}, ended, {**ended, "hop": "feynman", "since": 3, "until": None}])
    notes.connected()
    notes.heartbeat()
    say(notes, LIVE, recorded=9)
    assert told(notes, "outages") == [("feynman", "redis_down", 3, 9, 9)]


def test_an_end_is_not_before_its_beginning(notes: FreshnessNotes) -> None:
    """Redis's clock may have been set back meanwhile."""
    notes.broken("bridge", "silent", 50, 50)
    notes.mended("bridge", 20)
    assert [row[2:4] for row in told(notes, "outages")] == [(50, None), (50, 50)]
