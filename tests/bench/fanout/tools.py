"""The programs of the bench: built, started on cores of their own, asked, and their CPU time read."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from cottage.parent_death import dying_with_parent
from deploy.redis_server import free_port
from tests.support import ServiceProcess, eventually, program, service

SOURCES = Path(__file__).parent


def build(folder: Path) -> Path:
    """Compile the C programs into a folder. Exits with what to do where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        sys.exit("bench-fanout needs a C compiler for its load client: apt install gcc, or xcode-select --install")
    for name in ("load", "floor"):
        command = [compiler, "-O2", "-Wall", "-Wextra", "-o", str(folder / name), str(SOURCES / f"{name}.c")]
        subprocess.run(command, check=True)
    return folder


def pin(pid: int, cores: Sequence[int]) -> None:
    """All threads that it has, and will have, run on these cores only."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


class Load:
    """The clients and their publisher: see load.c."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the load client has ended")
        answer: dict[str, Any] = orjson.loads(line)
        return answer

    async def ask(self, command: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())
        return await self.answer()


@asynccontextmanager
async def load(
    programs: Path, port: int, redis_port: int, clients: int, cores: Sequence[int], **options: object
) -> AsyncIterator[Load]:
    """Clients that are connected; `options` are those of load.c."""
    words = [str(programs / "load"), "--port", str(port), "--redis", str(redis_port), "--clients", str(clients)]
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    async with child(words) as process:
        pin(process.pid, cores)
        load = Load(process)
        ready = await load.answer()
        if ready["ready"] != clients:
            raise RuntimeError(f"only {ready['ready']} of {clients} clients were let in")
        yield load


@dataclass(frozen=True, slots=True)
class Server:
    """A server under test."""

    name: str
    pid: int
    port: int
    process: ServiceProcess | None = None


@asynccontextmanager
async def bridge(redis_url: str, cores: Sequence[int]) -> AsyncIterator[Server]:
    async with service("bridge", {"REDIS_URL": redis_url, "BRIDGE_PORT": "0"}) as running:
        await running.ready()
        pin(running.pid, cores)
        yield Server("bridge", running.pid, int((await running.logged("listening"))["port"]), running)


async def healed(bridge: Server) -> int:
    """How many states the bridge has taken from Redis so far, not from the channel."""
    assert bridge.process is not None
    metrics = (await bridge.process.get("/metrics")).text
    return int(float(re.findall(r"^cottage_bridge_states_healed_total (\S+)", metrics, re.MULTILINE)[0]))


@asynccontextmanager
async def listener(redis_url: str, which: str, cores: Sequence[int]) -> AsyncIterator[Server]:
    """See listener.py."""
    async with program(["-m", "tests.bench.fanout.listener", redis_url, which]) as running:
        await eventually(lambda: "listening" in running.text)
        pin(running.pid, cores)
        yield Server(which, running.pid, 0)


@asynccontextmanager
async def broadcaster(
    bridge_port: int, cores: Sequence[int], port: int = 0, shared: Mapping[str, str] | None = None, **settings: object
) -> AsyncIterator[Server]:
    """Ours, as anybody runs it; `settings` without their prefix, `shared` those that have none."""
    environment = {
        **(shared or {}),
        "BROADCASTER_BRIDGE_URL": f"ws://127.0.0.1:{bridge_port}/ws",
        "BROADCASTER_PORT": str(port),
        **{f"BROADCASTER_{name.upper()}": str(value) for name, value in settings.items()},
    }
    async with service("broadcaster", environment) as running:
        await running.ready()
        pin(running.pid, cores)
        yield Server("broadcaster", running.pid, int((await running.logged("listening"))["port"]))


@asynccontextmanager
async def relayed(server: Server, trusted: Path | None, cores: Sequence[int]) -> AsyncIterator[Server]:
    """The server at the port of a relay, which speaks TLS to it where it `trusts` a CA: see relay.py."""
    words = ["-m", "tests.bench.fanout.relay", str(server.port), str(trusted or "plain")]
    async with program(words) as running:
        await eventually(lambda: any(line.startswith("listening ") for line in running.text))
        pin(running.pid, cores)
        port = next(int(line.split()[1]) for line in running.text if line.startswith("listening "))
        yield replace(server, name="over TLS" if trusted else "plain", port=port)


@asynccontextmanager
async def plain(bridge_port: int, cores: Sequence[int]) -> AsyncIterator[Server]:
    """`websockets.broadcast()`: see plain.py."""
    port = free_port()
    async with program(["-m", "tests.bench.fanout.plain", str(port), str(bridge_port)]) as running:
        await eventually(lambda: "listening" in running.text)
        pin(running.pid, cores)
        yield Server("websockets.broadcast()", running.pid, port)


@asynccontextmanager
async def floor(programs: Path, bridge_port: int, cores: Sequence[int]) -> AsyncIterator[Server]:
    """The least in C: see floor.c."""
    port = free_port()
    words = [str(programs / "floor"), "--port", str(port), "--bridge", str(bridge_port)]
    async with child(words) as process:
        await eventually(lambda: accepts(port))
        pin(process.pid, cores)
        yield Server("floor in C", process.pid, port)


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@asynccontextmanager
async def child(words: Sequence[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program with pipes, which ends with the block."""
    process = await asyncio.create_subprocess_exec(
        *dying_with_parent(words, os.getpid(), signal.SIGKILL),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
