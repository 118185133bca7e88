"""Signals in the first tenths of a second, while Python imports: every command as a real process."""

import errno
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support import ROOT, eventually, program

SERVICES = ("market", "feynman", "physics", "bridge", "broadcaster", "recorder")
COMMANDS = [
    *(["-m", f"services.{name}"] for name in SERVICES),
    ["-m", "deploy.run"],
    ["-m", "deploy.cottage_here", "watch"],
    ["-m", "deploy.runbook", "watch"],
    ["-m", "cottage", "watch"],
    ["-c", "from cottage.cli import command; command()", "watch"],
]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
async def test_a_signal_while_it_imports_ends_it_without_a_word(
    tmp_path: Path, arguments: Sequence[str], number: signal.Signals
) -> None:
    """Each of them imports argparse; here that opens a pipe first, and does not come to an end."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "argparse.py").write_text(f"import time\nopen({str(pipe)!r})\nwhile True: time.sleep(0.01)\n")
    env = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "RUN_DIR": str(tmp_path)}
    async with program(arguments, env) as process:

        def reached() -> int:
            """The pipe's other end as soon as it is read from."""
            try:
                return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                return 0

        writing = await eventually(reached)
        process.signal(number)
        assert await process.ended() == 0
        os.close(writing)
    assert (process.logs, process.text, process.errors) == ([], [], [])
