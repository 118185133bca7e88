"""Each service, as a real process, refuses to start half-open in production, and starts as ever in development."""

import os
from pathlib import Path

import pytest

from tests.integration.test_open_redis import with_acl
from tests.support import OwnRedis, service
from tests.test_readme import SERVICES

OF_REDIS = tuple(name for name in SERVICES if name != "broadcaster")
PASSWORD = "q8Zr1vKx0TnYw5LhUe2BjGd7MpSaCf4o"


def of(name: str, port: int, **more: str) -> dict[str, str]:
    return {
        "COTTAGE_ENV": "production",
        "REDIS_URL": f"redis://{name}:{PASSWORD}@127.0.0.1:{port}",
        "ALLOWED_ORIGINS": "*",
        f"{name.upper()}_OPS_HOST": "0.0.0.0",
        **more,
    }


@pytest.mark.parametrize("name", SERVICES)
async def test_every_service_refuses_with_2_and_a_line_for_each_finding(
    name: str, own_redis: OwnRedis, tmp_path: Path
) -> None:
    reason = tmp_path / "reason"
    async with service(name, of(name, own_redis.port, TERMINATION_LOG=str(reason))) as process:
        assert await process.ended(60) == 2
    assert process.logs == []
    said = [
        line.removeprefix(f"{name}: ").partition(":")[0] for line in process.errors if line.startswith(f"{name}: ")
    ]
    assert len(said) == len(process.errors)
    assert {"ALLOWED_ORIGINS", f"{name.upper()}_OPS_HOST"} <= set(said)
    assert ("REDIS_URL" in said) == (name in OF_REDIS)
    assert ("LINK_SECRET" in said) == (name in ("bridge", "broadcaster", "recorder"))
    assert ("MARKET_SOURCE" in said) == (name == "market")
    assert ("it runs as root" in {line.partition(": ")[2].partition(":")[0] for line in process.errors}) == (
        os.geteuid() == 0
    )
    assert PASSWORD not in "".join(process.errors)
    assert reason.read_text().count("; ") == len(process.errors) - 1 + "".join(process.errors).count("; ")


async def test_unset_is_development_whatever_else_is_set(own_redis: OwnRedis) -> None:
    environment = {
        **of("feynman", own_redis.port),
        "COTTAGE_ENV": "",
        "FEYNMAN_OPS_PORT": "0",
        "REDIS_URL": own_redis.url,
    }
    async with service("feynman", environment) as process:
        await process.ready(60)
        assert await process.stop() == 0


async def test_another_word_ends_it(own_redis: OwnRedis) -> None:
    async with service("feynman", of("feynman", own_redis.port, COTTAGE_ENV="prod")) as process:
        assert await process.ended(60) == 2
    assert process.errors == ["feynman: COTTAGE_ENV: must be one of development, production"]


@pytest.mark.skipif(
    os.geteuid() == 0, reason="root is a finding itself: tests/common/test_production.py has the rest"
)
async def test_a_service_that_is_as_it_should_be_runs(own_redis: OwnRedis) -> None:
    with_acl(own_redis, "user default off", f"user feynman on >{PASSWORD} ~* &* +@all")
    good = {"COTTAGE_ENV": "production", "REDIS_URL": f"redis://feynman:{PASSWORD}@127.0.0.1:{own_redis.port}"}
    async with service("feynman", good) as process:
        await process.ready(60)
        assert await process.stop() == 0


async def test_a_redis_that_comes_back_open_ends_the_service(
    own_redis: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the runner itself, since a process of the tests may be root's."""
    own_redis.kill()
    import asyncio

    from common import runner
    from common.open_redis import RedisBacking
    from common.settings import RedisSettings
    from tests.common.tiny_service import Tiny

    monkeypatch.setattr("os.geteuid", lambda: 10001)
    monkeypatch.setattr(runner, "take_in_loop", lambda *_arguments: None)
    monkeypatch.setattr(runner, "ignore_signals", lambda: None)
    monkeypatch.setattr(runner, "end_on_signals", lambda *_arguments: None)
    monkeypatch.setattr(runner, "_end_after", lambda *_arguments: None)
    settings = RedisSettings(REDIS_URL=f"redis://:{PASSWORD}@127.0.0.1:{own_redis.port}", COTTAGE_ENV="production")
    running = asyncio.create_task(runner._main("tiny", Tiny("drains"), settings, RedisBacking(settings)))
    await asyncio.sleep(1.0)
    assert not running.done(), "a Redis that is away ends nothing"
    own_redis.start()
    assert await asyncio.wait_for(running, 30) == 2
