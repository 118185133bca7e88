"""A wall clock that a test sets forward and back under real processes, as NTP or a resumed virtual machine does.

Tests of redis-server, of Python processes and of Node use it; the chaos harness has one for each process.

    clock = ClockShim(tmp_path)                             # NoClockShim where it cannot be had
    with OwnRedis(server, folder, clock.environment()) as redis:
        clock.step(-3600)                                   # Redis's host, one hour back

Everything that is started with one clock's environment is stepped at once; another ClockShim is another machine.
Monotonic clocks go on undisturbed.
"""

import mmap
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")
NANOSECONDS = 10**9


class NoClockShim(Exception):
    """It does not work on this machine; the message says why."""


class ClockShim:
    """The wall clock of the processes that are started with its `environment`. At first it tells the true time."""

    def __init__(self, folder: Path) -> None:
        """`folder`: for the compiled library, which all clocks of that folder share, and for this clock's file.

        Raises NoClockShim."""
        self._library = _compiled(folder)
        with tempfile.NamedTemporaryFile(dir=folder, prefix="clock-", delete=False) as file:
            file.write(bytes(8))
            file.flush()
            self._memory = memoryview(mmap.mmap(file.fileno(), 8)).cast("q")
        self._file = Path(file.name)

    def environment(self) -> dict[str, str]:
        """The variables that put a process, and all that it starts, under this clock."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_SHIM": str(self._file)}

    @property
    def ahead(self) -> float:
        """By how many seconds this clock is ahead of the true one."""
        return self._memory[0] / NANOSECONDS

    def step(self, seconds: float) -> None:
        """Set the clock forward, or back where `seconds` is negative, at once in all its processes."""
        self._memory[0] += round(seconds * NANOSECONDS)  # one aligned store: nobody reads half of it

    def right(self) -> None:
        """Set the clock to the true time again."""
        self._memory[0] = 0


def why_not() -> str | None:
    """Why there can be no ClockShim on this machine; None where there can."""
    if sys.platform != "linux":
        return "clocks are stepped on Linux only (LD_PRELOAD)"
    return "no C compiler (cc), which makes the stepped clock" if shutil.which("cc") is None else None


def _compiled(folder: Path) -> Path:
    if (reason := why_not()) is not None:
        raise NoClockShim(reason)
    library = folder.resolve() / "clock_shim.so"
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        made = subprocess.run([*command, "-o", library, SOURCE, "-ldl"], capture_output=True, text=True, check=False)
        if made.returncode:
            raise NoClockShim(f"{SOURCE.name} does not compile: {made.stderr}")
    return library
