"""`make run` as a real process, with stand-ins for the services and a real Redis."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cottage.errors import RedisUnavailable
from cottage.redis import connect
from deploy.redis_server import free_port
from deploy.run_plan import SERVICES
from tests.support import ROOT, ServiceProcess, eventually, full_pipe, ignored_signals, program, without_hangup

NAMES = [service.name for service in SERVICES]
PORTS = [f"{service.name.upper()}_OPS_PORT" for service in SERVICES] + [
    f"{service.name.upper()}_PORT" for service in SERVICES if service.port
]


class Run:
    def __init__(self, folder: Path, process: ServiceProcess) -> None:
        self.folder = folder
        self.process = process

    def standin(self, name: str) -> dict[str, Any] | None:
        return standin(self.folder, name)

    def pids(self) -> list[int]:
        return [about["pid"] for name in NAMES if (about := self.standin(name))]

    def stopped(self) -> list[str]:
        return (self.folder / "stopped").read_text().split()

    async def redis_pid(self) -> int:
        url = (await self.process.logged("ready"))["redis_url"]
        async with connect(url) as client:
            return int((await client.info("server"))["process_id"])


def standin(folder: Path, name: str) -> dict[str, Any] | None:
    """What the newest start of it wrote."""
    try:
        about: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    except FileNotFoundError:
        return None
    return about


def prepared(folder: Path) -> dict[str, str]:
    """Make `services` of stand-ins in `folder`, with the settings of the real ones. Returns an environment in which
    all ports are any free ones."""
    services = folder / "services"
    services.mkdir(exist_ok=True)
    (services / "__init__.py").touch()
    for name in NAMES:
        package = services / name
        package.mkdir(exist_ok=True)
        (package / "__init__.py").write_text(f"__path__.append({str(ROOT / 'services' / name)!r})\n")
        (package / "__main__.py").write_text(f"from tests.deploy.standin import main\n\nmain({name!r})\n")
    return {
        **dict.fromkeys(PORTS, "0"),
        "REDIS_PORT": str(free_port()),
        "RUN_DIR": str(folder / "run"),
        "STANDIN_LOG": str(folder),
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
    }


@asynccontextmanager
async def run(folder: Path, output: int = subprocess.PIPE, **environment: str) -> AsyncIterator[Run]:
    """`python -m deploy.run` in a folder where `services` are stand-ins."""
    given = {**prepared(folder), **environment}
    async with program(["-m", "deploy.run"], given, cwd=folder, output=output) as process:
        yield Run(folder, process)
        if process.returncode is None:
            await process.stop(timeout=15)


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not yet waited for by init does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


async def test_a_misspelt_variable_is_said_once(tmp_path: Path) -> None:
    async with run(tmp_path, REDIS_URI="redis://elsewhere", LOG_LEVL="debug", LOG_LEVEL="INFO") as running:
        await running.process.logged("ready")
        said = [line for line in running.process.logs if line["event"] == "unknown_setting"]
        assert [(line["variable"], line["nearest"]) for line in said] == [
            ("REDIS_URI", "REDIS_URL"),
            ("LOG_LEVL", "LOG_LEVEL"),
        ]
        about = running.standin("bridge")
        assert about is not None
        assert not {"REDIS_URI", "LOG_LEVL"} & set(about["environment"])


async def test_starts_everything_says_where_and_leaves_nothing(tmp_path: Path) -> None:
    async with run(tmp_path, REDIS_PASSWORD="secret") as running:
        ready = await running.process.logged("ready")
        assert list(ready)[:5] == ["page_url", "websocket_url", "api_url", "api_docs_url", "redis_url"]
        urls = dict(line.split("=", 1) for line in (tmp_path / "run/urls.env").read_text().splitlines())
        assert urls["PAGE_URL"] == ready["page_url"]
        assert urls["REDIS_URL"] == ready["redis_url"]
        pids = [*running.pids(), await running.redis_pid(), running.process.pid]
        assert len(set(pids)) == 8
        assert len({os.getpgid(pid) for pid in pids}) == 8, "each in a process group of its own"

        for name in NAMES:
            about = running.standin(name)
            assert about is not None
            given = about["environment"]
            if name == "broadcaster":
                assert not [variable for variable in given if variable.startswith("REDIS_")]
                assert given["BROADCASTER_BRIDGE_URL"] == f"ws://127.0.0.1:{given['BRIDGE_PORT']}/ws"
            else:
                assert given["REDIS_URL"] == ready["redis_url"]

        assert await running.process.stop() == 0
        assert running.stopped() == ["market", "feynman", "recorder", "physics", "broadcaster", "bridge"]
        assert not [pid for pid in pids if alive(pid)]
        assert not (tmp_path / "run/urls.env").exists()


async def test_a_fresh_start_deletes_what_the_run_before_left(tmp_path: Path) -> None:
    async with run(tmp_path) as running:
        url = (await running.process.logged("ready"))["redis_url"]
        async with connect(url) as client:
            await client.mset({"physics:state:OLD": "{}", "agent:state:a": "{}"})
        assert await running.process.stop(timeout=15) == 0
    for fresh, left in (("0", 2), ("1", 1)):
        async with run(tmp_path, FRESH=fresh) as running:
            url = (await running.process.logged("ready"))["redis_url"]
            assert ("fresh_start" in [line["event"] for line in running.process.logs]) == (fresh == "1")
            async with connect(url) as client:
                assert await client.dbsize() == left
            assert await running.process.stop(timeout=15) == 0


async def test_whatever_is_killed_is_named_and_started_again(tmp_path: Path) -> None:
    async with run(tmp_path) as running:
        ready = await running.process.logged("ready")
        for name in NAMES:
            await killed_and_started_again(running, name)
            line = await running.process.logged("died", process=name)
            assert line["reason"] == "SIGKILL"

        async with connect(ready["redis_url"]) as client:
            await client.set("kept", "1")
        os.kill(await running.redis_pid(), signal.SIGKILL)
        await running.process.logged("died", process="redis", reason="SIGKILL")

        async def back() -> bool:
            try:
                async with connect(ready["redis_url"]) as client:
                    return bool(await client.get("kept") == b"1")
            except RedisUnavailable:
                return False

        await eventually(back)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_whatever_ends_unasked_is_started_again(tmp_path: Path, number: signal.Signals) -> None:
    """Also what ends with status 0, as a service does on a SIGTERM that the supervisor did not send."""
    async with run(tmp_path) as running:
        await running.process.logged("ready")
        before = running.standin("market")
        assert before is not None
        os.kill(before["pid"], number)
        died = await running.process.logged("died", process="market")
        assert died["reason"] == ("exit status 0" if number is signal.SIGTERM else "SIGKILL")
        await eventually(lambda: (running.standin("market") or before)["pid"] != before["pid"])
        assert await running.process.stop() == 0


@pytest.mark.parametrize("when", ["at the start", "later"])
async def test_what_cannot_heal_ends_everything_and_the_last_line_says_why(tmp_path: Path, when: str) -> None:
    behaviour = "exit 2" if when == "at the start" else "exit 2 the second time"
    async with run(tmp_path, STANDIN_FEYNMAN=behaviour) as running:
        if when == "later":
            await running.process.logged("ready")
            feynman = running.standin("feynman")
            assert feynman is not None
            os.kill(feynman["pid"], signal.SIGKILL)
        assert await running.process.ended() == 2
        gave_up = await running.process.logged("gave_up", process="feynman")
        assert gave_up["reason"] == "FEYNMAN_WINDOW: is too long"
        assert running.process.errors == ["make run: feynman: FEYNMAN_WINDOW: is too long"]
        assert running.process.logs[-1]["event"] == "stopped"
        assert not [pid for pid in running.pids() if alive(pid)]
        deaths = [line for line in running.process.logs if line["event"] == "died"]
        assert len(deaths) == (1 if when == "later" else 0)


async def test_it_goes_on_when_the_reader_of_its_output_has_gone(tmp_path: Path) -> None:
    """`make run | head`."""
    reading, writing = os.pipe()
    async with run(tmp_path, output=writing) as running:
        os.close(writing)
        with os.fdopen(reading) as output:
            assert await asyncio.to_thread(lambda: any('"event":"ready"' in line for line in output))
        await killed_and_started_again(running, "market")
        pids = running.pids()
        assert await running.process.stop(15) == 0
    assert not [pid for pid in pids if alive(pid)]
    assert not (tmp_path / "run/urls.env").exists()


async def test_it_goes_on_while_nobody_reads_its_output(tmp_path: Path) -> None:
    with full_pipe() as output:
        async with run(tmp_path, output=output) as running:
            await eventually(lambda: len(running.pids()) == len(NAMES), 20)
            await killed_and_started_again(running, "market")
            pids = running.pids()
            assert await running.process.stop(15) == 0
    assert not [pid for pid in pids if alive(pid)]


async def killed_and_started_again(running: Run, name: str) -> None:
    before = running.standin(name)
    assert before is not None
    os.kill(before["pid"], signal.SIGKILL)

    def new_one() -> bool:
        about = running.standin(name)
        return about is not None and about["pid"] != before["pid"]

    await eventually(new_one)


async def test_a_hangup_stops_it_and_under_nohup_nothing_takes_one(tmp_path: Path) -> None:
    async with run(tmp_path) as running:
        await running.process.logged("ready")
        running.process.signal(signal.SIGHUP)
        running.process.signal(signal.SIGHUP)  # the shell's, after the kernel's
        assert await running.process.ended() == 0
        assert running.stopped() == ["market", "feynman", "recorder", "physics", "broadcaster", "bridge"]

    async with program(without_hangup(["-m", "deploy.run"]), prepared(tmp_path), cwd=tmp_path) as process:
        await process.logged("ready")
        services = Run(tmp_path, process).pids()
        for pid in (process.pid, *services):
            assert signal.SIGHUP in ignored_signals(pid)
            os.kill(pid, signal.SIGHUP)
        assert process.returncode is None
        assert await process.stop(timeout=15) == 0
        assert not [line for line in process.logs if line["event"] == "died"]


async def test_a_second_signal_kills_what_hangs_with_all_that_it_started(tmp_path: Path) -> None:
    async with run(tmp_path, STANDIN_PHYSICS="hang") as running:
        await running.process.logged("ready")
        redis = await running.redis_pid()
        physics = running.standin("physics")
        assert physics is not None
        assert alive(physics["grandchild"])
        running.process.signal(signal.SIGINT)
        await running.process.logged("stopping")
        running.process.signal(signal.SIGINT)
        assert await running.process.ended() == 0
        await running.process.logged("killed", process="physics")
        assert not [pid for pid in (*running.pids(), physics["grandchild"], redis) if alive(pid)]


async def test_killed_itself_it_takes_its_children_along(tmp_path: Path) -> None:
    async with run(tmp_path) as running:
        await running.process.logged("ready")
        pids = [*running.pids(), await running.redis_pid()]
        running.process.signal(signal.SIGKILL)
        await eventually(lambda: not [pid for pid in pids if alive(pid)])


async def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with run(tmp_path, PHYSICS_PORT=str(port)) as running:
            assert await running.process.ended() == 2
            assert len(running.process.errors) == 1
            assert f"127.0.0.1:{port}" in running.process.errors[0]
            assert "PHYSICS_PORT" in running.process.errors[0]
            assert running.pids() == []


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"MARKET_SOURCE": "reply"}, ["MARKET_SOURCE: "]),
        ({"MARKET_SOURCE": "replay"}, ["MARKET_FILE: replay needs a recording"]),
        ({"MARKET_SOURCE": "replay", "MARKET_FILE": "/nowhere.csv"}, ["cannot read /nowhere.csv (No such file"]),
        ({"MARKET_SOURCE": "replay", "MARKET_FILE": "/dev/null"}, ["/dev/null is not a regular file"]),
        ({"STALE_SECONDS": "soon", "FEYNMAN_WINDOW": "wide"}, ["STALE_SECONDS: ", "FEYNMAN_WINDOW: "]),
        ({"MARKET_EXIT_AT_END": "true"}, ["MARKET_EXIT_AT_END: "]),
        ({"REDIS_URL": "redis://127.0.0.1:1?foo=1"}, ["REDIS_URL: foo is no option"]),
        ({"REDIS_URL": "redis+sentinel://h"}, ["REDIS_URL: the name of the master is missing"]),
        ({"RUN_DIR": "/dev/null"}, ["RUN_DIR: /dev/null cannot be written (File exists)"]),
        ({"RUN_DIR": "/dev/null/run"}, ["RUN_DIR: /dev/null/run cannot be written (Not a directory)"]),
    ],
)
async def test_what_is_wrong_with_the_settings_is_said_before_anything_starts(
    tmp_path: Path, env: dict[str, str], said: list[str]
) -> None:
    env = {**prepared(tmp_path), "TERMINATION_LOG": str(tmp_path / "why"), **env}
    async with program(["-m", "deploy.run"], env, cwd=tmp_path) as process:
        assert await process.ended() == 2
        (line,) = process.errors
        assert line == f"make run: {(tmp_path / 'why').read_text().strip()}"
        assert [line.count(words) for words in said] == [1] * len(said), line
        assert process.logs == []
        assert not (tmp_path / "run").exists()


async def test_two_runs_never_share_a_folder(tmp_path: Path) -> None:
    async with run(tmp_path) as first:
        await first.process.logged("ready")
        async with run(tmp_path) as second:
            assert await second.process.ended() == 1
            assert f"process {first.process.pid}" in second.process.errors[0]
        assert first.process.returncode is None


async def test_a_server_that_is_there_is_used_and_left_alone(tmp_path: Path, redis_url: str) -> None:
    async with run(tmp_path, REDIS_URL=redis_url) as running:
        assert (await running.process.logged("ready"))["redis_url"] == redis_url
        assert await running.process.stop() == 0
    async with connect(redis_url) as client:
        assert await client.ping()


async def test_a_run_waits_for_the_redis_of_one_that_was_killed(tmp_path: Path) -> None:
    async with run(tmp_path) as first:
        await first.process.logged("ready")
        redis = await first.redis_pid()
        os.kill(redis, signal.SIGSTOP)  # as one that takes long to save
        first.process.signal(signal.SIGKILL)
        await first.process.ended()
        async with run(tmp_path) as second:
            await second.process.logged("waiting")
            assert alive(redis)
            os.kill(redis, signal.SIGCONT)
            await second.process.logged("ready", timeout=30)
            assert not alive(redis)
