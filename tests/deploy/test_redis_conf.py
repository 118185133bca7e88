"""redis.conf says what the specification asks for, to each kind of server, and why of every line."""

from itertools import pairwise
from pathlib import Path

import pytest

from cottage.redis import connect_blocking
from deploy.redis_server import REDIS_CONF, Server, free_port, start

WANTED = {
    "save": "60 100",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory": str(256 * 2**20),
    "maxmemory-policy": "allkeys-lru",
    "slowlog-log-slower-than": "10000",
    "protected-mode": "yes",
    "client-output-buffer-limit": f"normal 0 0 0 slave 268435456 67108864 60 pubsub {32 * 2**20} {8 * 2**20} 60",
}


@pytest.mark.parametrize("kind", ["redis", "valkey"])
def test_each_server_takes_it(kind: str, server_binaries: dict[str, Server], tmp_path: Path) -> None:
    if kind not in server_binaries:
        pytest.skip(f"no {kind}-server on this machine")
    with (
        start(server_binaries[kind], tmp_path, free_port(), config=REDIS_CONF) as running,
        connect_blocking(running.url) as client,
    ):
        assert {name: client.config_get(name)[name] for name in WANTED} == WANTED
        assert client.config_get("bind")["bind"] == "127.0.0.1"


def test_every_line_has_its_reason() -> None:
    lines = REDIS_CONF.read_text().splitlines()
    without = [
        line for before, line in pairwise(lines) if line and not line.startswith("#") and not before.startswith("#")
    ]
    # The second of a pair that one comment explains.
    assert without == ["appendfsync everysec", "auto-aof-rewrite-min-size 512mb", "slowlog-max-len 128"]


@pytest.mark.parametrize("kind", ["redis", "valkey"])
def test_with_it_a_server_ignores_an_rdb_that_is_put_there(
    kind: str, server_binaries: dict[str, Server], tmp_path: Path
) -> None:
    """Why import is no copying of files (docs/backup.md)."""
    if kind not in server_binaries:
        pytest.skip(f"no {kind}-server on this machine")
    server = server_binaries[kind]
    with (
        start(server, tmp_path, free_port(), config=None, arguments=("--appendonly", "no")) as running,
        connect_blocking(running.url) as client,
    ):
        client.set("key", "1")
        client.save()
    assert (tmp_path / "dump.rdb").stat().st_size > 0
    with (
        start(server, tmp_path, free_port(), config=REDIS_CONF) as running,
        connect_blocking(running.url) as client,
    ):
        assert client.dbsize() == 0
