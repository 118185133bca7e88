"""The API while the wall clock of all processes is set: with `max_age_ms` it never gives a sample that is older."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from cottage.clock import monotonic
from tests.clock_shim import ClockShim
from tests.support import OwnRedis, ServiceProcess, eventually, plain_http, service

pytestmark = pytest.mark.usefixtures("no_debug")  # only the test itself runs in this process

MAX_AGE_SECONDS = 3.0
STEPS = (-1.0, -50.0, 50.0, -3600.0, 3600.0, -86_400.0, 86_400.0)
SERVICES = {
    "market": {"MARKET_SYMBOLS": "SPY", "MARKET_INTERVAL_SECONDS": "0.3", "MARKET_FEED_SECONDS": "2"},
    "feynman": {
        "FEYNMAN_TICK_SECONDS": "0.3",
        "FEYNMAN_HEARTBEAT_SECONDS": "0.3",
        "FEYNMAN_LEASE_SECONDS": "2",
        "FEYNMAN_DISCOVERY_SECONDS": "0.5",
    },
    "bridge": {"BRIDGE_PORT": "0"},
    "physics": {"PHYSICS_PORT": "0"},
}


class Asker:
    """Asks the API, and knows by our own monotonic clock how long it has known each sample at least."""

    def __init__(self, processes: dict[str, ServiceProcess], http: httpx.AsyncClient) -> None:
        self.processes = processes
        self._http = http
        self._first_seen: dict[tuple[str, str], float] = {}
        self.lies: list[Any] = []
        """Answers to `max_age_ms` with a sample that was older, and how old it was at least."""

    async def answered(self) -> bool:
        """Whether there is a state that is young enough."""
        asked_at = monotonic()
        answer = await self._http.get(f"/v1/physics/SPY?max_age_ms={MAX_AGE_SECONDS * 1000:.0f}")
        if answer.status_code != 200:
            return False
        state = answer.json()
        name = state["source"], state.get("feed_time", state["timestamp"])
        known_for = asked_at - self._first_seen.setdefault(name, asked_at)
        if known_for > MAX_AGE_SECONDS or state["freshness"]["age_ms"] < (known_for - 0.01) * 1000:
            self.lies.append((known_for, state))
        return True

    async def cause(self) -> Any:
        return (await self._http.get("/v1/physics/SPY")).json()["freshness"]["cause"]

    async def healed(self) -> bool:
        answers = [await process.get("/readyz") for process in self.processes.values()]
        return all(answer.status_code == 200 for answer in answers) and await self.answered()


@asynccontextmanager
async def suite(redis: OwnRedis, folder: Path, clock: ClockShim) -> AsyncIterator[Asker]:
    async with AsyncExitStack() as stack:
        common = {"REDIS_URL": redis.url, "FEYNMAN_CHECKPOINT_DIR": str(folder / "windows"), **clock.environment()}
        processes = {
            name: await stack.enter_async_context(service(name, {**common, **env})) for name, env in SERVICES.items()
        }
        port = (await processes["physics"].logged("listening"))["port"]
        http = await stack.enter_async_context(plain_http(f"http://127.0.0.1:{port}"))
        asker = Asker(processes, http)
        for process in processes.values():
            await process.ready()
        await eventually(asker.healed)
        yield asker


async def test_no_step_makes_a_sample_younger_and_all_is_healed_without_a_restart(
    stepped_redis: OwnRedis, tmp_path: Path, clock_shim: ClockShim
) -> None:
    async with suite(stepped_redis, tmp_path, clock_shim) as asker:
        for step in STEPS:
            before = len(asker.processes["physics"].logs)
            clock_shim.step(step)
            for _poll in range(20):  # three ticks
                await asker.answered()
                await asyncio.sleep(0.05)
            await eventually(asker.healed)
            said = [line for line in asker.processes["physics"].logs[before:] if line["event"] == "clock_stepped"]
            assert [round(line["seconds"]) for line in said] == [round(step)]
        assert asker.lies == []


@pytest.mark.parametrize("dead", ["market", "feynman"])
async def test_who_died_as_the_clock_went_back_is_found_dead_by_all(
    dead: str, stepped_redis: OwnRedis, tmp_path: Path, clock_shim: ClockShim
) -> None:
    """Its lease, or the key of its feed, has an hour to live."""
    async with suite(stepped_redis, tmp_path, clock_shim) as asker:
        asker.processes[dead].signal(signal.SIGKILL)
        await asker.processes[dead].ended()
        clock_shim.step(-3600.0)

        async def refused() -> bool:
            return not await asker.answered()

        await eventually(refused)
        expected = "feed_down" if dead == "market" else "writer_down"

        async def found_dead() -> bool:
            assert not await asker.answered()
            return bool(await asker.cause() == expected)

        await eventually(found_dead, 20)
        assert asker.lies == []
        status = (await asker.processes["physics"].get("/status")).json()
        assert (status["feeds"] == []) == (dead == "market")
        assert status["writer"]["alive"] == (dead != "feynman")

        async def bridge_agrees() -> bool:
            said = (await asker.processes["bridge"].get("/status")).json()
            return bool(said["feeds"] == [] if dead == "market" else said["upstream"]["cause"] == "writer_down")

        await eventually(bridge_agrees, 20)
