from cottage.reader.state_cache import CachedState, StateCache
from tests.services.physics.examples import PUBLISHED, state


def test_a_held_state_ages_by_the_monotonic_clock() -> None:
    held = CachedState(state(1000.0), age_then=2.0, then=50.0)
    assert held.age(50.0) == 2.0
    assert held.age(57.5) == 9.5
    assert CachedState(PUBLISHED, None, 50.0).age(57.5) is None


def test_what_was_kept_longest_ago_goes_first() -> None:
    memory = StateCache(capacity=2)
    held = CachedState(PUBLISHED, None, 0.0)
    memory.keep("SPY", held)
    memory.keep("QQQ", held)
    memory.keep("SPY", held)
    memory.keep("IWM", held)
    assert memory.symbols() == ["IWM", "SPY"]
    assert memory.get("QQQ") is None


def test_forgetting() -> None:
    memory = StateCache()
    memory.keep("SPY", CachedState(PUBLISHED, None, 0.0))
    memory.forget("SPY")
    memory.forget("QQQ")
    assert len(memory) == 0
