"""`make run` with all of its real processes, where what they print is not read, cannot be written, or is lost."""

import os
import pty
import shlex
import sys
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from cottage.redis import connect
from cottage.store import PhysicsStates
from deploy.redis_server import free_port
from tests.e2e.suite import NAMES
from tests.support import ServiceProcess, eventually, full_pipe, program

ANY_PORT = {f"{name.upper()}{kind}": "0" for name in NAMES for kind in ("_OPS_PORT", "_PORT")}

# A shell gives its terminal to what it starts.
ON_A_TERMINAL = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(1, termios.TIOCSCTTY, 0); "
    "os.execvp(sys.executable, [sys.executable, '-m', 'deploy.run'])"
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the terminal and the full disk are Linux's")


class Running:
    """A suite that ticks, and its folder."""

    def __init__(self, folder: Path, process: ServiceProcess) -> None:
        self._folder = folder
        self.process = process

    def urls(self) -> dict[str, str]:
        with suppress(FileNotFoundError):
            return dict(line.split("=", 1) for line in shlex.split((self._folder / "urls.env").read_text()))
        return {}

    async def ticks(self) -> None:
        """Wait until feynman has taken five more samples of each symbol."""
        await eventually(lambda: "PAGE_URL" in self.urls(), 40)
        async with connect(self.urls()["REDIS_URL"]) as client:

            async def samples() -> int:
                return min([state.samples or 0 for state in (await PhysicsStates(client).all()).values()], default=0)

            before = await samples()

            async def more() -> bool:
                return await samples() >= before + 5

            await eventually(more, 40)

    def has_saved(self) -> bool:
        """Whether feynman's windows are on disk, whose next time to be saved was in an hour."""
        try:
            zipfile.ZipFile(self._folder / "feynman/windows-0-of-1.npz").close()
        except FileNotFoundError:
            return False
        return True


@asynccontextmanager
async def a_run(folder: Path, output: int, arguments: list[str]) -> AsyncIterator[Running]:
    env = {
        **{name: port for name, port in ANY_PORT.items() if name not in ("MARKET_PORT", "FEYNMAN_PORT")},
        "REDIS_PORT": str(free_port()),
        "RUN_DIR": str(folder),
        "LOG_LEVEL": "debug",
        "FEYNMAN_TICK_SECONDS": "0.1",
        "MARKET_INTERVAL_SECONDS": "0.05",
        "FEYNMAN_CHECKPOINT_SECONDS": "3600",
    }
    async with program(arguments, env, output=output) as process:
        yield Running(folder, process)


async def test_nobody_reads_it(tmp_path: Path) -> None:
    with full_pipe() as output:
        async with a_run(tmp_path, output, ["-m", "deploy.run"]) as run:
            await run.ticks()
            assert await run.process.stop(20) == 0
    assert run.has_saved()


async def test_the_disk_is_full(tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    async with a_run(tmp_path, full, ["-m", "deploy.run"]) as run:
        os.close(full)
        await run.ticks()
        assert await run.process.stop(20) == 0
    assert run.has_saved()


async def test_its_reader_goes(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    async with a_run(tmp_path, writing, ["-m", "deploy.run"]) as run:
        os.close(writing)
        await run.ticks()
        os.close(reading)
        await run.ticks()
        assert await run.process.stop(20) == 0
    assert run.has_saved()


async def test_its_terminal_is_closed(tmp_path: Path) -> None:
    """It is stopped in order, as by Ctrl-C, and feynman's last checkpoint is saved."""
    controlling, terminal = pty.openpty()
    async with a_run(tmp_path, terminal, ["-c", ON_A_TERMINAL]) as run:
        os.close(terminal)
        await run.ticks()
        assert not run.has_saved()
        os.close(controlling)
        assert await run.process.ended(20) == 0
    assert run.has_saved()
