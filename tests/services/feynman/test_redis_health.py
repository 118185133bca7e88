"""What Redis says of itself."""

from typing import Any

import pytest

from services.feynman.redis_health import RedisHealth, RedisReport

WELL: dict[str, Any] = {
    "used_memory": 10,
    "maxmemory": 100,
    "maxmemory_policy": "allkeys-lru",
    "evicted_keys": 7,
    "aof_last_write_status": "ok",
    "rdb_last_bgsave_status": "ok",
}


def test_all_is_well() -> None:
    assert RedisHealth().take(WELL) == RedisReport(10, 100, "allkeys-lru", 0, ()), "the evicted of before are history"
    assert RedisHealth().take({}).problem is None, "a server that tells nothing"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"evicted_keys": 9}, "evicts keys (allkeys-lru): raise maxmemory"),
        ({"aof_last_write_status": "err"}, "cannot write its append-only file: free its disk"),
        ({"rdb_last_bgsave_status": "err"}, "cannot write its RDB"),
        ({"used_memory": 96, "maxmemory_policy": "noeviction"}, "nearly full and will refuse writes"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(change: dict[str, Any], words: str) -> None:
    health = RedisHealth()
    health.take(WELL)
    problem = health.take({**WELL, **change}).problem
    assert problem is not None
    assert words in problem
    assert health.take({**WELL, "evicted_keys": 9}).evicted == (0 if "evicted_keys" in change else 2)


def test_a_server_that_was_started_anew_has_evicted_nothing_yet() -> None:
    health = RedisHealth()
    health.take(WELL)
    assert health.take({**WELL, "evicted_keys": 0}).evicted == 0
    assert health.take({**WELL, "evicted_keys": 3}).evicted == 3


def test_one_fault_does_not_hide_another() -> None:
    health = RedisHealth()
    health.take(WELL)
    problem = health.take({**WELL, "evicted_keys": 8, "aof_last_write_status": "err"}).problem
    assert problem is not None
    assert "append-only file" in problem
    assert "evicts keys" in problem
