"""`make run` with all of its real processes, where what they print is not read, cannot be written, or is lost."""

import asyncio
import os
import pty
import shlex
import socket
import sys
import zipfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from io import FileIO
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
        assert self.process.returncode is None, f"it ended with status {self.process.returncode}"
        with suppress(FileNotFoundError):
            return dict(line.split("=", 1) for line in shlex.split((self._folder / "urls.env").read_text()))
        return {}

    async def ticks(self) -> None:
        """Wait until feynman has taken five more samples of each symbol."""
        await eventually(lambda: "PAGE_URL" in self.urls(), 40)
        async with connect(self.urls()["REDIS_URL"]) as client:

            async def samples() -> int:
                self.urls()
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

    def report(self, unread: FileIO | None) -> str:
        """Why it and its services ended, if they did, and what is left to be read of what they printed."""
        said = [f"{path.name}: {path.read_text().strip()}" for path in sorted(self._folder.glob("*.reason"))]
        if unread is not None and not unread.closed:
            os.set_blocking(unread.fileno(), False)
            with suppress(OSError):  # of a terminal that nobody has any more
                said.append((unread.read(2**20) or b"").decode(errors="replace"))
        return "\n".join([f"status {self.process.returncode}", *said])


@asynccontextmanager
async def a_run(
    folder: Path,
    output: int,
    arguments: list[str],
    unread: FileIO | None = None,
    more: Mapping[str, str] | None = None,
) -> AsyncIterator[Running]:
    """`unread`: the other end of `output`, from which a failing test shows what was printed. `more`: variables."""
    env = {
        **{name: port for name, port in ANY_PORT.items() if name not in ("MARKET_PORT", "FEYNMAN_PORT")},
        "REDIS_PORT": str(free_port()),
        "RUN_DIR": str(folder),
        "TERMINATION_LOG": str(folder / "run.reason"),
        "LOG_LEVEL": "debug",
        "FEYNMAN_TICK_SECONDS": "0.1",
        "MARKET_INTERVAL_SECONDS": "0.05",
        "FEYNMAN_CHECKPOINT_SECONDS": "3600",
        **(more or {}),
    }
    async with program(arguments, env, output=output) as process:
        run = Running(folder, process)
        try:
            yield run
        except BaseException as error:
            error.add_note(run.report(unread))
            raise


def a_pipe() -> tuple[FileIO, int]:
    """Its reading and its writing end."""
    reading, writing = os.pipe()
    return FileIO(reading), writing


async def test_a_run_that_ends_is_reported_at_once(tmp_path: Path) -> None:
    reading, writing = a_pipe()

    async def starts(bridge_port: int) -> None:
        env = {"BRIDGE_PORT": str(bridge_port)}
        async with asyncio.timeout(20), a_run(tmp_path, writing, ["-m", "deploy.run"], reading, env) as run:
            os.close(writing)
            await run.ticks()

    with socket.create_server(("127.0.0.1", free_port())) as taken, pytest.raises(AssertionError) as failure:
        await starts(taken.getsockname()[1])
    reading.close()
    assert "it ended with status 2" in str(failure.value)
    (report,) = failure.value.__notes__
    assert "run.reason: cannot listen on" in report
    assert "make run: cannot listen on" in report


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
    reading, writing = a_pipe()
    async with a_run(tmp_path, writing, ["-m", "deploy.run"], reading) as run:
        os.close(writing)
        await run.ticks()
        reading.close()
        await run.ticks()
        assert await run.process.stop(20) == 0
    assert run.has_saved()


async def test_its_terminal_is_closed(tmp_path: Path) -> None:
    """It is stopped in order, as by Ctrl-C, and feynman's last checkpoint is saved."""
    opened, terminal = pty.openpty()
    controlling = FileIO(opened)
    async with a_run(tmp_path, terminal, ["-c", ON_A_TERMINAL], controlling) as run:
        os.close(terminal)
        await run.ticks()
        assert not run.has_saved()
        controlling.close()
        assert await run.process.ended(20) == 0
    assert run.has_saved()
