"""What stands behind a REDIS_URL."""

import pytest

from cottage.errors import SettingsError
from cottage.redis.topology import topology


@pytest.mark.parametrize("url", ["redis://localhost", "rediss://u:p@host:6380/1", "unix:///run/redis.sock"])
def test_one_server(url: str) -> None:
    assert topology(url).kind == "single"


def test_sentinels() -> None:
    found = topology("redis+sentinel://u:p%40ss@one:26380,two,[::1]:26381/mymaster/2?sentinel_password=s")
    assert found.kind == "sentinel"
    assert found.addresses == (("one", 26380), ("two", 26379), ("::1", 26381))
    assert found.master == "mymaster"
    assert found.options == {"username": "u", "password": "p@ss", "db": 2}
    assert found.sentinel_options == {"password": "s"}
    assert topology("rediss+sentinel://one/m").options == {"ssl": True, "db": 0}


def test_a_cluster() -> None:
    found = topology("redis+cluster://:secret@one:7000,two")
    assert (found.kind, found.addresses) == ("cluster", (("one", 7000), ("two", 6379)))
    assert found.options == {"username": None, "password": "secret"}


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://one:26379",
        "redis+sentinel://one:26379/",
        "redis+sentinel:///mymaster",
        "redis+sentinel://one:x/mymaster",
        "redis+sentinel://one:0/mymaster",
        "redis+sentinel://one,/mymaster",
        "redis+sentinel://one/mymaster/db",
        "redis+sentinel://one/mymaster?password=secret",
        "redis+cluster://one/0",
        "redis+cluster://one?x=y",
        "redis+cluster://",
        "redis+ring://one",
        "http+cluster://one",
    ],
)
def test_a_bad_one_is_named_and_not_shown(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^REDIS_URL: .*redis\+(sentinel|cluster)://") as refused:
        topology(url)
    assert "secret" not in str(refused.value)
