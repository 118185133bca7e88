"""When a fault is said, and when that it is over."""

from collections.abc import Collection
from typing import Any

import pytest

from cottage.faults import Fault, FaultLog, Found, Patience, is_fault
from cottage.freshness import CAUSES
from tests.support import library_events

FEED = Fault("feed_down", "simulate")
REDIS = Fault("redis_down")
SYMBOLS = ("SPY", "QQQ")


class Bench:
    """A log that is looked at each second."""

    def __init__(self) -> None:
        self.log = FaultLog(3.0)
        self.now = 100.0

    def says(self, *found: Fault, symbols: Collection[str] = SYMBOLS, judged: Any = CAUSES, **how: Any) -> list[str]:
        """What it says at the next look."""
        self.now += 1
        with library_events() as lines:
            self.log.look({fault: Found(symbols, **how) for fault in found}, judged, self.now)
        return [f"{line['level']} {line['event']} {line['cause']} {line['symbols']}" for line in lines]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_it_is_said_once_at_the_second_look_and_once_when_it_is_over(bench: Bench) -> None:
    assert bench.says(FEED) == []
    assert bench.says(FEED) == ["warning not_live feed_down 2"]
    assert [bench.says(FEED) for _ in range(100)] == [[]] * 100
    assert [bench.says() for _ in range(2)] == [[]] * 2
    assert bench.says() == ["info not_live_ended feed_down 2"]
    assert bench.says() == []


def test_the_line_tells_of_what_it_is_and_for_how_long(bench: Bench) -> None:
    many = [f"S{number:02}" for number in range(99, -1, -1)]
    bench.says(FEED, symbols=many, silent=7.0)
    bench.now += 1
    with library_events() as lines:
        bench.log.look({FEED: Found(many, 8.0, detail="as it says")}, CAUSES, bench.now)
    assert lines == [
        {
            "event": "not_live",
            "level": "warning",
            "cause": "feed_down",
            "of": "simulate",
            "symbols": 100,
            "first": [f"S{number:02}" for number in range(10)],
            "seconds": 8.0,
            "reason": "the feed is down: it has stopped saying that it lives: as it says",
        }
    ]
    bench.now += 5
    assert bench.log.status(bench.now) == [{"cause": "feed_down", "of": "simulate", "symbols": 100, "seconds": 13.0}]
    bench.says(FEED, symbols=many)
    bench.now += 10
    with library_events() as lines:
        bench.log.look({}, CAUSES, bench.now)
    assert lines == [
        {
            "event": "not_live_ended",
            "level": "info",
            "cause": "feed_down",
            "of": "simulate",
            "symbols": 100,
            "seconds": 14.0,
        }
    ]
    assert bench.log.status(bench.now) == []


def test_what_was_there_for_one_look_is_not_said(bench: Bench) -> None:
    assert [bench.says(*found) for found in ((FEED,), (), (FEED,), (), (FEED,))] == [[]] * 5


def test_what_comes_and_goes_is_one_fault(bench: Bench) -> None:
    bench.says(FEED)
    assert bench.says(FEED) == ["warning not_live feed_down 2"]
    assert [bench.says(*found) for found in ((), (), (FEED,)) * 20] == [[]] * 60


def test_while_it_grows_its_number_is_not_known(bench: Bench) -> None:
    for number in range(1, 5):
        assert bench.says(FEED, symbols=range(number)) == []  # type: ignore[arg-type]  # any names
    assert bench.says(FEED, symbols=["A"] * 4) == ["warning not_live feed_down 4"]


def test_strangers_do_not_fill_the_log(bench: Bench) -> None:
    many = [Fault("market_quiet", f"source{number}") for number in range(10_000)]
    bench.says(FEED)
    bench.says(FEED, *many)
    assert len(bench.says(FEED, *many)) == 99
    assert bench.says(FEED, *many) == []
    bench.says()
    bench.now += 3
    assert len(bench.says()) == 100
    assert bench.says() == []


def test_it_is_said_once_it_is_due(bench: Bench) -> None:
    assert [bench.says(FEED, due=False) for _ in range(9)] == [[]] * 9
    assert bench.says(FEED) == ["warning not_live feed_down 2"]


def test_behind_a_broken_hop_nothing_has_ended(bench: Bench) -> None:
    bench.says(FEED)
    bench.says(FEED)
    bench.says(REDIS, judged={"redis_down"})
    assert bench.says(REDIS, judged={"redis_down"}) == ["warning not_live redis_down 2"]
    assert [bench.says(REDIS, judged={"redis_down"}) for _ in range(9)] == [[]] * 9
    assert [bench.says(FEED) for _ in range(4)] == [[], [], ["info not_live_ended redis_down 2"], []]


def test_a_hop_is_given_some_seconds_to_come_and_none_once_it_was_heard() -> None:
    patience = Patience(6.0)
    assert [patience.ends(True, False, now) for now in (0.0, 5.9, 6.0)] == [False, False, True]
    assert not patience.ends(True, True, 7.0)
    assert patience.ends(True, False, 7.1)
    assert not patience.ends(False, False, 20.0), "nobody knows"
    assert [patience.ends(True, False, now) for now in (30.0, 35.9, 36.0)] == [False, False, True]
    patience.ends(False, False, 40.0)
    assert not patience.ends(True, False, 41.0)
    assert not patience.ends(True, True, 42.0)
    assert patience.ends(True, False, 43.0)


@pytest.mark.parametrize(
    ("cause", "symbols", "of_source", "expected"),
    [
        ("feed_down", 1, 1, True),
        ("feed_down", 3, 9, True),
        ("writer_down", 3, 9, True),
        ("market_quiet", 1, 1, False),
        ("market_quiet", 1, 2, False),
        ("market_quiet", 2, 2, True),
        ("feed_late", 9, 9, False),
    ],
)
def test_which_symbols_that_are_not_live_are_a_fault(
    cause: Any, symbols: int, of_source: int, expected: bool
) -> None:
    assert is_fault(cause, symbols, of_source) is expected
