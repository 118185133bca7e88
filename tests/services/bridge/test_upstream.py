"""How fresh what comes from Redis is."""

import pytest

from common.fanout.protocol import Upstream
from services.bridge.service import PING_SECONDS
from services.bridge.settings import BridgeSettings
from services.bridge.upstream import Hearing


@pytest.mark.parametrize(
    ("redis_answers", "heard", "now", "expected"),
    [
        (False, None, 100.5, Upstream("stale", "redis_down", None)),
        (False, None, 160.0, Upstream("expired", "redis_down", None)),
        (True, None, 100.5, Upstream("stale", "writer_down", None)),
        (True, None, 160.0, Upstream("expired", "writer_down", None)),
        (True, 110.0, 110.0, Upstream("live", None, 0)),
        (True, 110.0, 112.999, Upstream("live", None, 2999)),
        (True, 110.0, 113.0, Upstream("stale", "writer_down", 3000)),
        (True, 110.0, 170.0, Upstream("expired", "writer_down", 60_000)),
        (False, 110.0, 110.5, Upstream("stale", "redis_down", 500)),
        (False, 110.0, 170.0, Upstream("expired", "redis_down", 60_000)),
    ],
)
def test_the_broken_hop_nearest_to_the_reader_is_named(
    redis_answers: bool, heard: float | None, now: float, expected: Upstream
) -> None:
    hearing = Hearing(started=100.0, silence_seconds=3.0)
    hearing.redis_answers = redis_answers
    if heard is not None:
        hearing.heard_writer(heard)
    assert hearing.upstream(now) == expected


def test_a_deaf_subscription_is_noticed_within_four_seconds() -> None:
    assert BridgeSettings().silence_seconds + PING_SECONDS <= 4
