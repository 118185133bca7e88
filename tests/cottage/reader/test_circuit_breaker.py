import random

import pytest

from cottage.backoff import REFUSED_SECONDS
from cottage.errors import RedisRefused, RedisUnavailable
from cottage.reader.circuit_breaker import GIVEN_UP_SECONDS, CircuitBreaker
from tests.support import library_events


class Now:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def link(now: Now) -> CircuitBreaker:
    return CircuitBreaker(now, random.Random(7))


def test_before_the_first_question(link: CircuitBreaker) -> None:
    assert link.allows("reading")
    assert not link.asked


def test_lost_is_said_once_and_back_once(link: CircuitBreaker, now: Now) -> None:
    with library_events() as lines:
        link.answered("reading")
        for _ in range(5):
            now.seconds += 2.0
            link.failed(RedisUnavailable("no answer"), "reading")
        now.seconds += 2.0
        link.answered("reading")
        link.answered("reading")
    assert [line["event"] for line in lines] == ["redis_lost", "redis_back"]
    assert lines[0]["error"] == "no answer"
    assert lines[1]["seconds"] == 12.0


def test_another_kind_of_failure_is_said_too(link: CircuitBreaker) -> None:
    with library_events() as lines:
        link.failed(RedisUnavailable("no connection"), "reading")
        link.failed(RedisRefused("WRONGPASS"), "reading")
        link.failed(RedisRefused("WRONGPASS"), "reading")
    assert [line["error"] for line in lines] == ["no connection", "WRONGPASS"]


def test_a_try_within_a_second(link: CircuitBreaker, now: Now) -> None:
    waits = []
    for _ in range(50):
        link.failed(RedisUnavailable("no answer"), "reading")
        started = now.seconds
        while not link.allows("reading"):
            now.seconds += 0.001
        waits.append(now.seconds - started)
    assert max(waits) <= 1.001
    assert max(waits) > 0.5  # it does not hammer a server that is down


def test_slowly_after_a_wrong_password(link: CircuitBreaker, now: Now) -> None:
    link.failed(RedisRefused("WRONGPASS"), "reading")
    now.seconds += REFUSED_SECONDS - 0.001
    assert not link.allows("reading")
    now.seconds += 0.001
    assert link.allows("reading")


def test_an_answer_ends_the_waiting(link: CircuitBreaker) -> None:
    link.failed(RedisRefused("WRONGPASS"), "reading")
    link.answered("reading")
    assert link.allows("reading")
    assert link.error is None


def test_what_fails_alone_is_waited_for_alone(link: CircuitBreaker) -> None:
    link.failed(RedisRefused("NOPERM scan"), "listing")
    assert not link.allows("listing")
    assert link.allows("reading")


def test_an_outage_lasts_until_all_that_was_missed_is_answered(link: CircuitBreaker, now: Now) -> None:
    """As in a cluster without one of its slots, where some states are read and others are not."""
    refusal = RedisUnavailable("CLUSTERDOWN")
    with library_events() as lines:
        for _ in range(30):
            now.seconds += 1.0
            link.failed(refusal, "reading", ["QQQ"])
            link.answered("reading", ["SPY"])
            link.answered("looking")
            assert link.error is refusal
            assert link.allows("reading")
        link.answered("reading", ["QQQ", "SPY"])
    assert link.error is None
    assert [line["event"] for line in lines] == ["redis_lost", "redis_back"]


def test_what_nobody_asks_for_again_holds_no_outage_open(link: CircuitBreaker, now: Now) -> None:
    link.failed(RedisUnavailable("no answer"), "reading", ["QQQ"])
    now.seconds += GIVEN_UP_SECONDS
    link.answered("reading", ["SPY"])
    assert link.error is None
    assert not link.missed


def test_what_is_missed_is_bounded(link: CircuitBreaker) -> None:
    for number in range(10):
        link.failed(RedisUnavailable("no answer"), "reading", [f"S{number}-{each}" for each in range(400)])
        link.failed(RedisUnavailable("no answer"), "listing")
    assert len(link.missed) == 500
