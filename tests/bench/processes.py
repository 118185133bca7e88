"""What other processes use, as Linux counts it."""

import contextlib
import os
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """CPU time of all its threads so far, by the scheduler's count in ns."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it has just ended
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
