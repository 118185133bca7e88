import pytest

from cottage.freshness import Freshness, assess
from cottage.reader.reading import Origin, Reading, stand_in
from cottage.state import FAIL_SAFE
from tests.services.physics.examples import PUBLISHED, state


def test_json_is_the_state_with_its_freshness() -> None:
    held = state(1_766_318_400.0)
    reading = Reading(held, assess(0.412, None, 0.412), "redis")
    assert reading.as_dict() == {
        **held.as_dict(),
        "freshness": {"status": "live", "cause": None, "age_ms": 412, "origin": "redis"},
    }


def test_what_stands_in_says_so() -> None:
    reading = stand_in("redis_down", PUBLISHED)
    assert reading.origin == "fallback"
    assert reading.state.source == "fallback"
    assert reading.state.mass == PUBLISHED.mass
    assert reading.freshness == Freshness("expired", "redis_down", None)
    assert stand_in(None).state == FAIL_SAFE


@pytest.mark.parametrize(
    ("age", "origin", "within"),
    [(3.0, "redis", True), (3.001, "redis", False), (3.0, "remembered", True), (None, "redis", False)],
)
def test_within(age: float | None, origin: Origin, within: bool) -> None:
    assert Reading(PUBLISHED, assess(age, None, 0.0), origin).within(3.0) is within


def test_what_stands_in_is_never_within() -> None:
    assert not stand_in(None).within(float("inf"))
