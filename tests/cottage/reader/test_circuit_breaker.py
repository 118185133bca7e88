import math
import random

import pytest

from cottage.backoff import REFUSED_SECONDS
from cottage.errors import RedisRefused, RedisUnavailable
from cottage.reader.circuit_breaker import CircuitBreaker
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
    assert link.allows_query()
    assert not link.asked
    assert link.silent == math.inf


def test_lost_is_said_once_and_back_once(link: CircuitBreaker, now: Now) -> None:
    with library_events() as lines:
        link.answered()
        for _ in range(5):
            now.seconds += 2.0
            link.failed(RedisUnavailable("no answer"))
        now.seconds += 2.0
        link.answered()
        link.answered()
    assert [line["event"] for line in lines] == ["redis_lost", "redis_back"]
    assert lines[0]["error"] == "no answer"
    assert lines[1]["seconds"] == 12.0


def test_another_kind_of_failure_is_said_too(link: CircuitBreaker) -> None:
    with library_events() as lines:
        link.failed(RedisUnavailable("no connection"))
        link.failed(RedisRefused("WRONGPASS"))
        link.failed(RedisRefused("WRONGPASS"))
    assert [line["error"] for line in lines] == ["no connection", "WRONGPASS"]


def test_a_try_within_a_second(link: CircuitBreaker, now: Now) -> None:
    waits = []
    for _ in range(50):
        link.failed(RedisUnavailable("no answer"))
        started = now.seconds
        while not link.allows_query():
            now.seconds += 0.001
        waits.append(now.seconds - started)
    assert max(waits) <= 1.001
    assert max(waits) > 0.5  # it does not hammer a server that is down


def test_slowly_after_a_wrong_password(link: CircuitBreaker, now: Now) -> None:
    link.failed(RedisRefused("WRONGPASS"))
    now.seconds += REFUSED_SECONDS - 0.001
    assert not link.allows_query()
    now.seconds += 0.001
    assert link.allows_query()


def test_an_answer_ends_the_waiting(link: CircuitBreaker) -> None:
    link.failed(RedisRefused("WRONGPASS"))
    link.answered()
    assert link.allows_query()
    assert link.error is None
    assert link.silent == 0.0
