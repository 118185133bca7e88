"""A Redis that is lost and back: one line for each kind of error, and one for the end."""

from cottage.errors import RedisFull, RedisUnavailable
from cottage.redis.outage import RedisOutage
from tests.support import library_events


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_lost_once_for_each_kind_and_back_once_nothing_fails() -> None:
    clock = Clock()
    outage = RedisOutage(clock.monotonic)
    with library_events() as lines:
        outage.works("reading", "writing")
        clock.now = 10.0
        for _ in range(3):
            outage.failed(RedisUnavailable("no answer"), "reading")
        outage.failed(RedisFull("OOM"), "writing")
        clock.now = 20.0
        outage.works("reading")
        assert outage.errors == {"writing": "OOM"}
        clock.now = 30.0
        outage.works("writing")
        outage.works("writing")
    assert [(line["event"], line.get("kind")) for line in lines] == [
        ("redis_lost", "RedisUnavailable"),
        ("redis_lost", "RedisFull"),
        ("redis_back", None),
    ]
    assert lines[-1]["seconds"] == 30.0  # since it worked last
    assert not outage.errors


def test_what_never_worked_is_lost_from_its_first_failure_on() -> None:
    clock = Clock()
    outage = RedisOutage(clock.monotonic)
    with library_events() as lines:
        clock.now = 5.0
        outage.failed(RedisUnavailable("no answer"), "reading")
        clock.now = 7.5
        outage.works("reading")
    assert lines[-1]["seconds"] == 2.5
