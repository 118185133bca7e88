"""Each user of the ACL files does its whole job, faults included, and nothing of it is refused."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from cottage import keys
from cottage.redis import connect
from cottage.store import PhysicsStates
from deploy.redis_server import Server, free_port
from tests.conftest import KINDS
from tests.integration.guarded import Guarded, guarded
from tests.support import eventually, service

SYMBOLS = ["AAA", "BBB", "CCC"]
QUICK = {
    "MARKET_SYMBOLS": ",".join(SYMBOLS),
    "MARKET_INTERVAL_SECONDS": "0.1",
    "FEYNMAN_TICK_SECONDS": "0.1",
    "FEYNMAN_HEARTBEAT_SECONDS": "0.1",
    "FEYNMAN_LEASE_SECONDS": "1",
    "FEYNMAN_DISCOVERY_SECONDS": "0.5",
    "REDIS_TIMEOUT_SECONDS": "2",
}


@pytest.fixture(params=KINDS)
def redis(request: pytest.FixtureRequest, server_binaries: dict[str, Server], tmp_path: Path) -> Iterator[Guarded]:
    if request.param not in server_binaries:
        pytest.skip(f"no {request.param}-server on this machine")
    with guarded(server_binaries[request.param], tmp_path / "redis") as made:
        yield made


async def test_the_services_do_their_whole_job(redis: Guarded, tmp_path: Path) -> None:
    api, bridge = free_port(), free_port()

    def own(name: str, **more: str) -> dict[str, str]:
        return {"REDIS_URL": redis.url(name), **QUICK, **more}

    record = str(tmp_path / "record")
    async with (
        service("market", own("market")) as market,
        service("feynman", own("feynman", FEYNMAN_RECORD_DIR=record)) as feynman,
        service("physics", own("physics", PHYSICS_PORT=str(api), RECORDER_DIR=record)) as physics,
        service("bridge", own("bridge", BRIDGE_PORT=str(bridge))) as to_browsers,
        service(
            "recorder", own("recorder", RECORDER_DIR=record, RECORDER_BRIDGE_URL=f"ws://127.0.0.1:{bridge}/ws")
        ) as recorder,
    ):
        for each in (market, feynman, physics, to_browsers, recorder):
            await each.ready(60)

        async def all_written() -> bool:
            async with connect(redis.url("reader")) as client:
                return set(SYMBOLS) <= (await PhysicsStates(client).all()).keys()

        await eventually(all_written, 60)
        with redis.fixture() as fixture:
            fixture.script_flush()
            fixture.hset(keys.market_snapshot("AAA"), mapping={"price": 1, "timestamp": 1, "source": "STRANGER"})
            fixture.rpush(keys.PHYSICS_RETIRE, "BBB", "no symbol")
            await asyncio.sleep(2)
            for name in ("market", "feynman", "physics", "bridge", "recorder"):
                fixture.execute_command("CLIENT", "KILL", "USER", name)
            await asyncio.sleep(1)
            fixture.flushall()
        await eventually(all_written, 60)
        redis.restart()
        await eventually(all_written, 60)
        for each in (market, feynman, physics, to_browsers, recorder):
            await each.ready(60)
    assert redis.refused() == []
