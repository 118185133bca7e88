from cottage.reader.state_cache import CachedState, StateCache
from tests.services.physics.examples import PUBLISHED


def test_the_newest_is_what_was_kept_last() -> None:
    memory = StateCache()
    assert memory.newest() is None
    for symbol in ("SPY", "QQQ", "SPY"):
        memory.keep(symbol, CachedState(PUBLISHED, None, 0.0))
    assert memory.newest() == "SPY"
    assert memory.newest({"SPY"}) == "QQQ"
    assert memory.newest({"SPY", "QQQ"}) is None


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
