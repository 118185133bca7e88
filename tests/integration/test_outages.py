"""A Redis that answers some commands and not others is lost to whoever needs the others: said once, and back once."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from cottage import keys
from cottage.redis import connect_blocking
from tests.integration.feynman import process as feynman_process
from tests.one_kind import on_one_kind
from tests.support import OwnRedis, ServiceProcess, eventually, plain_http, service

pytestmark = pytest.mark.usefixtures("no_debug")  # only the test itself runs in this process
pytest_generate_tests = on_one_kind

WRITERS, ALL = {"market", "feynman"}, {"market", "feynman", "bridge", "physics"}
FORBIDDEN = {
    "scan": {"feynman", "physics"},
    "mget": {"bridge", "physics"},
    "get": WRITERS,
    "publish": {"feynman"},
}
"""Commands, and the services that need each within seconds."""
TRIES_SECONDS = 6.0
"""Long enough for whoever was refused to try again."""


class Suite:
    """Services on one Redis."""

    def __init__(self, processes: dict[str, ServiceProcess]) -> None:
        self.processes = processes
        self._marks = dict.fromkeys(processes, 0)

    async def not_ready(self) -> set[str]:
        answers = {name: await process.get("/readyz") for name, process in self.processes.items()}
        return {name for name, answer in answers.items() if answer.status_code != 200}

    async def ready(self) -> None:
        for process in self.processes.values():
            await process.ready()

    def mark(self) -> None:
        """Begin to count what is logged."""
        self._marks = {name: len(process.logs) for name, process in self.processes.items()}

    def said(self, name: str) -> list[tuple[str, Any]]:
        """What a service has logged of an outage since `mark`: the events, and of a loss its kind."""
        lines = self.processes[name].logs[self._marks[name] :]
        return [(line["event"], line.get("kind")) for line in lines if line["event"] in ("redis_lost", "redis_back")]

    def said_once(self, name: str) -> bool:
        """Whether it was lost once for each kind of error, and back once after all of them."""
        said = self.said(name)
        return len(said) == len(set(said)) and said[-1:] == [("redis_back", None)]


@asynccontextmanager
async def suite(url: str, folder: Path, names: Collection[str] = ALL) -> AsyncIterator[Suite]:
    """These services, ready."""
    own = {
        "market": {"MARKET_SYMBOLS": "SPY,QQQ"},
        "feynman": {"FEYNMAN_CHECKPOINT_DIR": str(folder / "windows")},
        "bridge": {"BRIDGE_PORT": "0"},
        "physics": {"PHYSICS_PORT": "0", "PHYSICS_SILENCE_SECONDS": "0.5"},
    }
    async with AsyncExitStack() as stack:
        processes = {
            name: await stack.enter_async_context(service(name, {"REDIS_URL": url, **own[name]})) for name in names
        }
        running = Suite(processes)
        await running.ready()
        yield running


@asynccontextmanager
async def asking(running: Suite) -> AsyncIterator[httpx.AsyncClient]:
    """Asks the API, once it has a state from Redis."""
    port = (await running.processes["physics"].logged("listening"))["port"]
    async with plain_http(f"http://127.0.0.1:{port}") as http:

        async def has_a_state() -> bool:
            answer = await http.get("/v1/physics/SPY")
            return answer.status_code == 200 and answer.json()["freshness"]["origin"] == "redis"

        await eventually(has_a_state)
        yield http


def run(own_redis: OwnRedis, *command: str | int) -> None:
    with connect_blocking(own_redis.url) as client:
        client.execute_command(*command)


async def test_a_redis_that_loads_tells_the_time_and_is_lost(own_redis: OwnRedis, tmp_path: Path) -> None:
    async with suite(own_redis.url, tmp_path) as running, asking(running) as http:
        with connect_blocking(own_redis.url) as client:
            client.mset({f"{keys.AGENT_STATE}a{number}": "x" * 100 for number in range(600)})
            client.save()
        running.mark()
        slowly = ("--key-load-delay", "8000", "--loading-process-events-interval-bytes", "1024")
        loading = asyncio.create_task(asyncio.to_thread(own_redis.restart, *slowly))
        seen = []
        while not loading.done():
            answer = (await http.get("/v1/physics/SPY")).json()
            if answer["freshness"]["origin"] == "remembered":
                seen.append(answer["freshness"]["status"])
            await asyncio.sleep(0.02)
        await loading
        assert "stale" in seen
        assert "live" not in seen[seen.index("stale") :]
        await running.ready()
        await eventually(lambda: all(map(running.said_once, ALL)))
        await asyncio.sleep(1.0)
        assert {name: running.said(name) for name in ALL if not running.said_once(name)} == {}


async def test_a_replica_without_its_master_is_lost(own_redis: OwnRedis, tmp_path: Path) -> None:
    async with suite(own_redis.url, tmp_path) as running, asking(running):
        running.mark()
        run(own_redis, "CONFIG", "SET", "replica-serve-stale-data", "no")
        run(own_redis, "REPLICAOF", "127.0.0.1", 1)

        async def all_not_ready() -> bool:
            return await running.not_ready() == ALL

        await eventually(all_not_ready, 20)
        await asyncio.sleep(2.0)
        assert await all_not_ready()
        assert not any(("redis_back", None) in running.said(name) for name in ALL)
        run(own_redis, "REPLICAOF", "NO", "ONE")
        await running.ready()
        await eventually(lambda: all(map(running.said_once, ALL)))


async def test_what_an_acl_forbids_is_missed_by_those_who_need_it(own_redis: OwnRedis, tmp_path: Path) -> None:
    """All at the same time, each command in a database and for a user of its own."""
    async with asyncio.TaskGroup() as group:
        for database, command in enumerate(FORBIDDEN):
            group.create_task(forbidden(own_redis, database, command, tmp_path / command))


async def forbidden(own_redis: OwnRedis, database: int, command: str, folder: Path) -> None:
    losers = FORBIDDEN[command]
    run(own_redis, "ACL", "SETUSER", command, "on", ">secret", "~*", "&*", "+@all")
    url = f"redis://{command}:secret@127.0.0.1:{own_redis.port}/{database}"
    async with suite(url, folder, losers | {"market"}) as running:
        running.mark()
        run(own_redis, "ACL", "SETUSER", command, f"-{command}")

        async def they_are_not_ready() -> bool:
            return losers <= await running.not_ready()

        await eventually(they_are_not_ready, 20)
        await asyncio.sleep(TRIES_SECONDS)
        assert await they_are_not_ready(), command
        assert not any(("redis_back", None) in running.said(name) for name in losers), command
        lost = [line for name in losers for line in running.processes[name].logs if line["event"] == "lease_lost"]
        assert lost == [], command
        run(own_redis, "ACL", "SETUSER", command, f"+{command}")
        await running.ready()
        await eventually(lambda: all(map(running.said_once, losers)))


async def test_a_feynman_without_symbols_that_may_not_publish_is_not_lost_and_back_with_each_beat(
    own_redis: OwnRedis,
) -> None:
    """Its ticks work, since they have nothing to publish."""
    run(own_redis, "ACL", "SETUSER", "mute", "on", ">secret", "~*", "&*", "+@all", "-publish")
    async with feynman_process(f"redis://mute:secret@127.0.0.1:{own_redis.port}") as feynman:
        await feynman.logged("redis_lost", during="heartbeat")
        await asyncio.sleep(1.0)
        said = [line["event"] for line in feynman.logs if line["event"] in ("redis_lost", "redis_back")]
        assert said == ["redis_lost"]
        assert (await feynman.get("/readyz")).status_code != 200
        run(own_redis, "ACL", "SETUSER", "mute", "+publish")
        await feynman.logged("redis_back")


async def test_a_writer_says_which_command_it_misses(own_redis: OwnRedis, tmp_path: Path) -> None:
    async with suite(own_redis.url, tmp_path, ["market"]) as running:
        market = running.processes["market"]
        for command in ("hmget", "hset"):
            running.mark()
            run(own_redis, "ACL", "SETUSER", "default", f"-{command}")
            await eventually(lambda: running.said("market"))
            said = (await market.get("/readyz")).text
            assert "writing" in said
            assert "can't run this command" in said or command in said
            run(own_redis, "ACL", "SETUSER", "default", f"+{command}")
            await eventually(lambda: running.said_once("market"))
