"""What a process that was taken over could do to Redis by its own user: docs/security.md has the table."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cottage.errors import RedisError
from cottage.redis import connect_blocking
from deploy.redis_server import Server
from tests.integration.guarded import Guarded, guarded

LOOP = "while true do end"
BUSY_MS = 300
"""After so long the server answers others that it is busy, and lets a script be killed."""


@pytest.fixture(params=["redis", "valkey"])
def redis(request: pytest.FixtureRequest, server_binaries: dict[str, Server], tmp_path: Path) -> Iterator[Guarded]:
    if request.param not in server_binaries:
        pytest.skip(f"no {request.param}-server on this machine")
    with guarded(server_binaries[request.param], tmp_path, ("--busy-reply-threshold", str(BUSY_MS))) as made:
        yield made


@pytest.mark.parametrize("user", ["bridge", "physics", "recorder", "agent", "reader", "operator", "health"])
def test_who_needs_no_script_can_block_nobody_by_one(redis: Guarded, user: str) -> None:
    with connect_blocking(redis.url(user), timeout=30.0) as client:
        for command in (("EVAL", LOOP, 0), ("EVALSHA", "0" * 40, 0), ("FUNCTION", "LIST"), ("SCRIPT", "LOAD", LOOP)):
            with pytest.raises(RedisError, match=r"(?i)no permissions"):
                client.execute_command(*command)
        with pytest.raises(RedisError, match=r"(?i)no permissions|not allowed"):
            client.execute_command("DEBUG", "SLEEP", 60)


@pytest.mark.parametrize("user", ["feynman", "market", "feed"])
def test_a_loop_in_a_script_stops_all_until_it_is_killed(redis: Guarded, user: str) -> None:
    ended: list[str] = []

    def loop() -> None:
        with connect_blocking(redis.url(user), timeout=60.0) as client:
            try:
                client.execute_command("EVAL", LOOP, 0)
            except RedisError as error:
                ended.append(str(error))

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        busy = _until_busy(redis)
        assert "BUSY" in busy or "busy" in busy
        with redis.fixture() as client:
            client.execute_command("SCRIPT", "KILL")
        thread.join(30)
        assert len(ended) == 1
        assert "kill" in ended[0].lower()
        with connect_blocking(redis.url("health"), timeout=30.0) as client:
            assert client.ping(), "all go on"
    finally:
        if thread.is_alive():
            redis.running.kill()
            thread.join(30)


def _until_busy(redis: Guarded) -> str:
    """What another user is answered once the loop runs."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with connect_blocking(redis.url("health"), timeout=5.0) as client:
                client.ping()
        except RedisError as error:
            return str(error)
        time.sleep(0.05)
    raise AssertionError("nobody was stopped")
