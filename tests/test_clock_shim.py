"""A stepped clock moves the wall clock of all kinds of processes that tests start, and no other clock."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cottage.redis import connect
from deploy.redis_server import Server
from tests.clock_shim import ClockShim, NoClockShim, why_not
from tests.conftest import KINDS
from tests.support import OwnRedis, eventually

HOUR = 3600.0
PYTHON = """
import sys, time
for line in sys.stdin:
    steady = time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
    print(time.time(), time.monotonic(), steady, flush=True)
"""
NODE = """
require("node:readline").createInterface({input: process.stdin}).on("line", () => {
  console.log(Date.now() / 1000, performance.now() / 1000, Number(process.hrtime.bigint()) / 1e9);
});
"""


def command(program: str) -> list[str]:
    """A process that tells its wall clock and two monotonic ones, in seconds, each time that it gets a line."""
    if program == "this python":
        return [sys.executable, "-c", PYTHON]
    # A version manager puts on the PATH what is not the one in use: each is asked.
    for candidate in (program, *map(str, Path.home().glob(f".pyenv/versions/*/bin/{program}"))):
        found = shutil.which(candidate)
        if found and not subprocess.run([found, "--version"], capture_output=True, check=False).returncode:
            return [found, *(["-e", NODE] if program == "node" else ["-c", PYTHON])]
    pytest.skip(f"no {program} on this machine")


@contextmanager
def telling(arguments: list[str], clock: ClockShim) -> Iterator[Callable[[], list[float]]]:
    """Asks such a process, under `clock`, until the block ends."""
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, env=clock.environment(), stdin=pipe, stdout=pipe, text=True) as process:
        into, out = process.stdin, process.stdout
        assert into is not None
        assert out is not None

        def asked() -> list[float]:
            into.write("\n")
            into.flush()
            return [float(each) for each in out.readline().split()]

        yield asked


@pytest.mark.parametrize("program", ["this python", "python3.13", "node"])
def test_the_wall_clock_of_a_program_moves_and_its_monotonic_clocks_do_not(
    program: str, clock_shim: ClockShim
) -> None:
    with telling(command(program), clock_shim) as clocks:
        wall, *steady = clocks()
        assert wall == pytest.approx(time.time(), abs=60)
        for step in (-HOUR, 3 * HOUR, -86_400.0, 50.0):
            clock_shim.step(step)
            stepped, *still = clocks()
            assert stepped - wall == pytest.approx(step, abs=60)
            assert all(0 <= after - before < 60 for before, after in zip(steady, still, strict=True))
            wall, steady = stepped, still
        clock_shim.right()
        assert clocks()[0] == pytest.approx(time.time(), abs=60)


@pytest.mark.parametrize("kind", KINDS)
async def test_redis_lives_by_it(
    kind: str, server_binaries: dict[str, Server], tmp_path: Path, clock_shim: ClockShim
) -> None:
    """TIME and the lifetimes of keys: what has five seconds to live has an hour more, or none."""
    if kind not in server_binaries:
        pytest.skip(f"no {kind}-server on this machine")
    with OwnRedis(server_binaries[kind], tmp_path / "redis", clock_shim.environment()) as redis:
        async with connect(redis.url) as client:

            async def tells() -> bool:  # Valkey looks at its clock now and then
                return bool(await client.now() == pytest.approx(time.time() + clock_shim.ahead, abs=60))

            await eventually(tells)
            await client.set("lease", b"ours", px=30_000)
            clock_shim.step(-HOUR)
            await eventually(tells)
            assert HOUR * 1000 < await client.pttl("lease") <= HOUR * 1000 + 30_000
            clock_shim.step(2 * HOUR)
            await eventually(tells)
            assert await client.get("lease") is None


def test_each_clock_is_a_machine_of_its_own(tmp_path: Path, clock_shim: ClockShim) -> None:
    other = ClockShim(tmp_path)
    with telling(command("this python"), clock_shim) as ours, telling(command("this python"), other) as theirs:
        clock_shim.step(HOUR)
        assert (clock_shim.ahead, other.ahead) == (HOUR, 0.0)
        assert ours()[0] - theirs()[0] == pytest.approx(HOUR, abs=60)


def test_it_says_why_it_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _program: None)
    reason = why_not()
    assert reason is not None
    with pytest.raises(NoClockShim, match="C compiler" if sys.platform == "linux" else "Linux"):
        ClockShim(tmp_path)
