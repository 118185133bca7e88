"""What real processes log when one of them is killed or hangs: one line at warning, and one when it is over."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from cottage import keys
from cottage.redis import Client, connect
from deploy.redis_server import Server
from tests.e2e.suite import NAMES, Suite, client
from tests.one_kind import KIND, on_one_kind
from tests.support import OwnRedis, ServiceProcess, eventually

pytest_generate_tests = on_one_kind

HURRIED = {  # somewhat faster than usual, and still slower than a busy machine
    "BRIDGE_SILENCE_SECONDS": "2",
    "BROADCASTER_SILENCE_SECONDS": "2",
    "BROADCASTER_HEARTBEAT_SECONDS": "0.3",
    "BRIDGE_HEARTBEAT_SECONDS": "0.3",
    "MARKET_FEED_SECONDS": "3",
    "MARKET_INTERVAL_SECONDS": "0.3",
    "FEYNMAN_TICK_SECONDS": "0.3",
    "FEYNMAN_LEASE_SECONDS": "2",
    "STALE_SECONDS": "8",
}


def warnings(suite: Suite) -> list[dict[str, Any]]:
    """All that the processes have said at warning or above, but for what a busy machine alone can cause."""
    lines = [line for process in suite.processes.values() for line in process.logs]
    busy = ("tick_late", "drain_deadline_passed")  # a recorder sorts as it stops
    return [line for line in lines if line["level"] in ("warning", "error") and line["event"] not in busy]


def faults(process: ServiceProcess) -> list[tuple[str, str]]:
    """The faults that a process has said, in order: event and cause."""
    return [(line["event"], line["cause"]) for line in process.logs if line["event"].startswith("not_live")]


async def not_live(process: ServiceProcess) -> dict[str, int]:
    """What its gauge shows, where it is not 0; every cause is there."""
    counts = {}
    for line in (await process.get("/metrics")).text.splitlines():
        if line.startswith("cottage_fanout_not_live{"):
            counts[line.split('"')[1]] = int(float(line.split()[-1]))
    assert {"redis_down", "writer_down", "feed_down", "bridge_down", "market_quiet"} <= counts.keys()
    return {cause: count for cause, count in counts.items() if count}


async def all_live(suite: Suite) -> None:
    async def live() -> bool:
        status = (await suite.processes["broadcaster"].get("/status")).json()
        return bool(status["symbols"] == 9 and status["not_live"] == 0)

    await eventually(live, 30)


@pytest.fixture(scope="module")
def suites_redis(server_binaries: dict[str, Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    with OwnRedis(server_binaries[KIND], tmp_path_factory.mktemp("redis")) as own:
        yield own


@pytest.fixture(scope="module")
async def hurried(suites_redis: OwnRedis) -> AsyncIterator[Suite]:
    """All six services, for every test that heals what it breaks."""
    async with AsyncExitStack() as stack:
        yield await Suite(suites_redis.url, HURRIED, stack).start_all()


@pytest.fixture
async def suite(hurried: Suite) -> Suite:
    """With every state live, and nothing said yet."""
    await all_live(hurried)
    for process in hurried.processes.values():
        process.logs[:] = [line for line in process.logs if line["event"] == "starting"]
    return hurried


async def test_a_healthy_start_says_no_warning_and_nor_does_its_stop(own_redis: OwnRedis) -> None:
    """Also where a peer takes its time, as a container does; those that it needs come later."""
    async with AsyncExitStack() as stack:
        suite = Suite(own_redis.url, {}, stack)
        for name in reversed(NAMES):
            await suite.start(name)
            await asyncio.sleep(0.5)
        await all_live(suite)
        await asyncio.sleep(4)  # what was wrong would be said by now
        assert warnings(suite) == []
        assert [await not_live(suite.processes[name]) for name in ("bridge", "broadcaster")] == [{}, {}]
        async with client(suite.ws_url):  # which takes the broadcaster a while to close
            assert await asyncio.gather(*(each.stop() for each in suite.processes.values())) == [0] * len(NAMES)
        assert warnings(suite) == []


async def test_a_peer_that_never_comes_is_said_after_some_seconds(own_redis: OwnRedis) -> None:
    async with AsyncExitStack() as stack:
        suite = Suite(own_redis.url, HURRIED, stack)
        broadcaster = await suite.start("broadcaster")
        said = await broadcaster.logged("not_live")
        assert (said["cause"], said["symbols"], said["level"]) == ("bridge_down", 0, "warning")
        assert said["seconds"] >= 2
        assert "Connection refused" in said["reason"]
        bridge = await suite.start("bridge")
        assert (await bridge.logged("not_live"))["cause"] == "writer_down"
        await broadcaster.logged("not_live_ended", cause="bridge_down")


BROKEN: dict[str, tuple[str, str, str | None]] = {
    "market": ("bridge", "feed_down", "simulate"),
    "feynman": ("bridge", "writer_down", None),
    "bridge": ("broadcaster", "bridge_down", None),
}
"""What is broken: who says it, its cause, and of what it is."""


@pytest.mark.parametrize("broken", BROKEN)
async def test_who_is_killed_or_hangs_is_said_in_one_line_and_when_it_is_back(suite: Suite, broken: str) -> None:
    teller, cause, of = BROKEN[broken]
    await suite.processes[broken].kill()
    await told(suite, teller, cause, of)
    await suite.start(broken)
    await over(suite, teller, cause, of)
    said = len(warnings(suite))

    logs = suite.processes[teller].logs
    logs[:] = [line for line in logs if not line["event"].startswith("not_live")]
    suite.processes[broken].signal(signal.SIGSTOP)
    await told(suite, teller, cause, of)
    suite.processes[broken].signal(signal.SIGCONT)
    await over(suite, teller, cause, of)
    others = [line for name, each in suite.processes.items() if name not in (broken, teller) for line in each.logs]
    assert [line for line in others if line["event"].startswith("not_live")] == [], "said by one"
    assert said <= 2


async def told(suite: Suite, teller: str, cause: str, of: str | None) -> None:
    process = suite.processes[teller]
    line = await process.logged("not_live")
    expected = {"level": "warning", "cause": cause, "of": of, "symbols": 9}
    assert expected.items() <= line.items()
    assert len(line["first"]) == 9
    assert line["seconds"] < 10
    assert await not_live(process) == {cause: 9}
    assert await eventually(lambda: not_live(suite.processes["broadcaster"])) == {cause: 9}
    status = (await process.get("/status")).json()
    assert [{**fault, "seconds": 0} for fault in status["faults"]] == [
        {"cause": cause, "of": of, "symbols": 9, "seconds": 0}
    ]
    await asyncio.sleep(1.5)  # longer than two looks are apart
    assert faults(process) == [("not_live", cause)]


async def over(suite: Suite, teller: str, cause: str, of: str | None) -> None:
    process = suite.processes[teller]
    line = await process.logged("not_live_ended")
    assert {"level": "info", "cause": cause, "of": of, "symbols": 9}.items() <= line.items()
    assert line["seconds"] > 0
    assert faults(process) == [("not_live", cause), ("not_live_ended", cause)]
    await all_live(suite)
    assert (await process.get("/status")).json()["faults"] == []


@pytest.mark.parametrize(
    ("breaks", "heals"),
    [(OwnRedis.suspend, OwnRedis.resume), (OwnRedis.kill, OwnRedis.start)],
    ids=["hangs", "killed"],
)
async def test_a_redis_that_is_away_is_said_and_nothing_behind_it(
    suite: Suite, suites_redis: OwnRedis, breaks: Callable[[OwnRedis], None], heals: Callable[[OwnRedis], None]
) -> None:
    breaks(suites_redis)
    await told(suite, "bridge", "redis_down", None)
    heals(suites_redis)
    await over(suite, "bridge", "redis_down", None)


async def write(redis: Client, *symbols: str) -> None:
    """As a feed does that knows of HSET alone."""
    for symbol in symbols:
        now = await redis.now()
        await redis.hset(
            keys.market_snapshot(symbol), mapping={"price": 100 + now % 1, "timestamp": now, "source": "myfeed"}
        )


async def test_a_foreign_feed_that_dies_is_said_and_single_symbols_are_not(suite: Suite) -> None:
    """Another one writes no key that says that it lives: all of its symbols fall silent together. The suite has its
    symbols from here on: it is the last test."""
    bridge = suite.processes["bridge"]
    async with connect(suite.redis_url) as redis:

        async def counts(quiet: int) -> bool:
            await write(redis, "F3")
            return (await not_live(bridge)).get("market_quiet") == quiet

        await write(redis, "F1", "F2", "ALONE")
        await eventually(lambda: counts(3), 30)
        assert faults(bridge) == [], "F3 goes on"
        said = await bridge.logged("not_live")
        assert {"level": "warning", "cause": "market_quiet", "of": "myfeed", "symbols": 4}.items() <= said.items()
        assert said["first"] == ["ALONE", "F1", "F2", "F3"]
        await write(redis, "F1")
        over = await bridge.logged("not_live_ended")
        assert (over["cause"], over["of"]) == ("market_quiet", "myfeed")
        assert faults(bridge) == [("not_live", "market_quiet"), ("not_live_ended", "market_quiet")]
