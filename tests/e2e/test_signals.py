"""Signals in the first tenths of a second, while Python imports: every command as a real process."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support import eventually, program, taken_signals

SERVICES = ("market", "feynman", "physics", "bridge", "broadcaster")
COMMANDS = [
    *(["-m", f"services.{name}"] for name in SERVICES),
    ["-m", "deploy.run"],
    ["-m", "deploy.cottage_here", "watch"],
    ["-m", "deploy.runbook", "watch"],
    ["-m", "cottage", "watch"],
    ["-c", "from cottage.cli import command; command()", "watch"],
]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
async def test_a_signal_while_it_imports_ends_it_without_a_word(
    tmp_path: Path, arguments: Sequence[str], number: signal.Signals
) -> None:
    env = {f"{name.upper()}_OPS_PORT": "0" for name in SERVICES} | {"RUN_DIR": str(tmp_path)}
    async with program(arguments, env) as process:
        # It takes SIGHUP as soon as any of its own lines have run, which Python does not do by itself.
        await eventually(lambda: signal.SIGHUP in taken_signals(process.pid))
        process.signal(number)
        assert await process.ended() == 0
    assert (process.logs, process.text, process.errors) == ([], [], [])
