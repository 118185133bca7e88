"""A program on a real pseudo-terminal, and what a person sees there."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from cottage.parent_death import dying_with_parent
from tests.support import ROOT, eventually

HOME = b"\x1b[H"
"""Before each frame of a screen that is redrawn in place."""
TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C is for this session
os.execvp(sys.argv[1], sys.argv[1:])
"""
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Terminal:
    """Made by `terminal`."""

    def __init__(self, master: int, process: asyncio.subprocess.Process) -> None:
        self._master = master
        self._process = process
        self.output = b""
        """All that was written, as it was."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(master, self._read)

    def screen(self) -> list[str]:
        """The lines of the last whole frame, without colours."""
        frames = self.output.split(HOME)
        return CONTROL.sub("", frames[-2].decode()).split("\n") if len(frames) > 2 else []

    async def shows(self, *texts: str, without: str | None = None, timeout: float = 20.0) -> list[str]:
        """Wait for a frame with all these texts, each somewhere, and without that one; its lines."""

        def shown() -> bool:
            screen = "\n".join(self.screen())
            return all(text in screen for text in texts) and (without is None or without not in screen)

        try:
            await eventually(shown, timeout)
        except AssertionError:
            raise AssertionError(f"{texts} without {without} on\n" + "\n".join(self.screen())) from None
        return self.screen()

    def resize(self, columns: int, lines: int) -> None:
        resize(self._master, columns, lines)

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Its exit status, with all that it wrote read."""
        async with asyncio.timeout(20):
            status = await self._process.wait()
        self._read()
        return status

    async def close(self) -> None:
        self._loop.remove_reader(self._master)
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        os.close(self._master)

    def _read(self) -> None:
        try:
            while data := os.read(self._master, 65_536):
                self.output += data
        except BlockingIOError:
            return
        except OSError:  # EIO: nobody has the other end any more
            self._loop.remove_reader(self._master)


def resize(descriptor: int, columns: int, lines: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


@asynccontextmanager
async def terminal(
    arguments: Sequence[str], env: Mapping[str, str] | None = None, columns: int = 140, lines: int = 24
) -> AsyncIterator[Terminal]:
    """`python ARGUMENTS` with a terminal of its own, killed at the end of the block if it still runs."""
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    resize(slave, columns, lines)
    command = [sys.executable, "-I", "-S", "-c", TAKE_TERMINAL, sys.executable, *arguments]
    process = await asyncio.create_subprocess_exec(
        *dying_with_parent(command, os.getpid(), signal.SIGKILL),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **(env or {})},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    running = Terminal(master, process)
    try:
        yield running
    finally:
        await running.close()
