"""How fresh what comes from Redis is."""

import pytest

from cottage.consumer import PING_SECONDS
from cottage.freshness import USUAL, Freshness
from services.bridge.liveness import WriterLiveness
from services.bridge.settings import BridgeSettings


@pytest.mark.parametrize(
    ("redis_answers", "heard", "now", "expected"),
    [
        (False, None, 100.5, Freshness("stale", "redis_down", None)),
        (False, None, 160.0, Freshness("expired", "redis_down", None)),
        (True, None, 100.5, Freshness("stale", "writer_down", None)),
        (True, None, 160.0, Freshness("expired", "writer_down", None)),
        (True, 110.0, 110.0, Freshness("live", None, 0.0)),
        (True, 110.0, 112.999, Freshness("live", None, 2.999)),
        (True, 110.0, 113.0, Freshness("stale", "writer_down", 3.0)),
        (True, 110.0, 170.0, Freshness("expired", "writer_down", 60.0)),
        (False, 110.0, 110.5, Freshness("stale", "redis_down", 0.5)),
        (False, 110.0, 170.0, Freshness("expired", "redis_down", 60.0)),
    ],
)
def test_the_broken_hop_nearest_to_the_reader_is_named(
    redis_answers: bool, heard: float | None, now: float, expected: Freshness
) -> None:
    liveness = WriterLiveness(100.0, USUAL)
    liveness.redis_answers = redis_answers
    liveness.prove({(0, 1): 7})
    if heard is not None:
        liveness.heartbeat((0, 1), 7, heard)
    assert liveness.upstream(now).as_dict() == expected.as_dict()


def test_each_shard_is_heard_by_itself() -> None:
    liveness = WriterLiveness(100.0, USUAL)
    liveness.redis_answers = True
    liveness.prove({(0, 2): 7, (1, 2): 8})
    liveness.heartbeat((0, 2), 7, 100.0)
    liveness.heartbeat((1, 2), 8, 102.0)
    assert liveness.live_shards(102.0) == {(0, 2), (1, 2)}
    assert liveness.live_shards(104.0) == {(1, 2)}
    assert liveness.upstream(104.0) == Freshness("live", None, 2.0), "one of them writes"
    assert liveness.upstream(105.0).cause == "writer_down"


def test_a_heartbeat_counts_if_its_epoch_is_that_of_the_living_lease() -> None:
    liveness = WriterLiveness(100.0, USUAL)
    liveness.prove({(0, 1): 7})
    assert not liveness.heartbeat((0, 1), 8, 101.0)
    assert not liveness.heartbeat((0, 2), 7, 101.0)
    assert liveness.live_shards(101.0) == frozenset()
    assert liveness.heartbeat((0, 1), 7, 102.0)
    assert liveness.live_shards(102.0) == {(0, 1)}


def test_the_first_heartbeat_of_a_new_writer_is_not_lost() -> None:
    """It may come before its lease has been read."""
    liveness = WriterLiveness(100.0, USUAL)
    liveness.prove({(0, 1): 7})
    liveness.heartbeat((0, 1), 7, 101.0)
    liveness.heartbeat((0, 1), 8, 104.5)
    assert liveness.live_shards(104.6) == frozenset()
    liveness.prove({(0, 1): 8})
    assert liveness.live_shards(104.6) == {(0, 1)}
    liveness.prove({})
    assert liveness.live_shards(105.0) == {(0, 1)}, "a lease that is taken anew makes nobody silent"


def test_what_anybody_may_publish_does_not_fill_memory() -> None:
    liveness = WriterLiveness(100.0, USUAL)
    for number in range(10_000):
        liveness.heartbeat((number % 999, 999), number, 100.0)
        liveness.heartbeat((number % 7, 8), number, 100.0)
    assert len(liveness._unproven) <= 999
    assert liveness.live_shards(100.0) == frozenset()


def test_a_deaf_subscription_is_noticed_within_four_seconds() -> None:
    assert BridgeSettings().silence_seconds + PING_SECONDS <= 4
