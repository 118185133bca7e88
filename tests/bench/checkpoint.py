"""What it costs to keep the windows in a file and to load them again: `make bench-checkpoint`.

Saving and loading are processes of their own, timed in CPU. What the loop spends at a time is what a tick may have to
wait for; the rest is the thread's, beside it. The clock's seconds say what the disk does, and differ each time.
"""

import argparse
import asyncio
import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from common import logs
from cottage.clock import SystemClock
from services.feynman.checkpoint import CheckpointPart
from services.feynman.checkpointer import PART_SYMBOLS, SPREAD, Checkpointer
from services.feynman.settings import FeynmanSettings
from services.feynman.symbol_table import SymbolTable
from tests.bench.market import Market
from tests.bench.tick import names

FORGET = 3600.0

Figures = dict[str, float]


class TimedSymbolTable(SymbolTable):
    """Knows how long a copy of one part took, or its return, at most."""

    most = 0.0
    """Milliseconds of CPU."""

    def saved(self, symbols: Sequence[str]) -> CheckpointPart:
        with self._timed():
            return super().saved(symbols)

    def restore(self, part: CheckpointPart, only: Collection[str] = ()) -> int:
        with self._timed():
            return super().restore(part, only)

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        before = time.thread_time()
        yield
        self.most = max(self.most, (time.thread_time() - before) * 1e3)


def filled(market: Market, symbols: Sequence[str], window: int) -> TimedSymbolTable:
    """A symbol table of full windows, which end with that market's newest prices."""
    table = TimedSymbolTable(window, FORGET)
    for rows in np.array_split(np.arange(len(symbols)), max(1, len(symbols) // PART_SYMBOLS)):
        named = [symbols[i] for i in rows]
        table.restore(CheckpointPart(named, ["live"] * len(rows), market.history(rows, window)))
    return table


async def save(folder: str, symbols: int, window: int, spread: float) -> Figures:
    """One checkpoint at the pace of a running service, and one as at a stop."""
    table = filled(Market(symbols), names(symbols), window)
    checkpointer = Checkpointer(FeynmanSettings(checkpoint_dir=folder, window=window), table, SystemClock())
    held = _peak_anew()
    figures: Figures = {"held": held}
    for name, seconds in (("save", spread), ("stop", 0.0)):
        table.most = 0.0
        before = _now()
        await checkpointer.save(seconds)
        figures |= _since(before, name, table)
    return figures | {"more": _peak() - held}


async def load(folder: str, window: int) -> Figures:
    table = TimedSymbolTable(window, FORGET)
    checkpointer = Checkpointer(FeynmanSettings(checkpoint_dir=folder, window=window), table, SystemClock())
    before = _now()
    await checkpointer.load()
    return _since(before, "load", table) | {"loaded": _peak()}


def _now() -> tuple[float, float, float]:
    return time.process_time(), time.thread_time(), time.monotonic()


def _since(before: tuple[float, float, float], name: str, table: TimedSymbolTable) -> Figures:
    every, loop, seconds = (now - then for now, then in zip(_now(), before, strict=True))
    return {f"{name} all": every * 1e3, f"{name} loop": loop * 1e3, f"{name} s": seconds, f"{name} most": table.most}


def _peak_anew() -> float:
    """As `_peak`, which begins anew with now, where the system can forget what was before."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> float:
    """The most megabytes that this process has held."""
    try:
        return float(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / (2**20 if sys.platform == "darwin" else 2**10)


def cell(what: str, folder: str, given: argparse.Namespace) -> Figures:
    """One of both in a process of its own."""
    arguments = ["--cell", what, "--folder", folder]
    for name in ("symbols", "window", "spread"):
        arguments += [f"--{name}", str(getattr(given, name))]
    command = [sys.executable, "-m", "tests.bench.checkpoint", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def report(figures: Figures) -> str:
    lines = [f"{'':20} {'CPU ms':>8} {'of the loop':>12} {'at a time':>10} {'seconds':>9}"]
    for name, about in (("save", "saved beside ticks"), ("stop", "saved at a stop"), ("load", "loaded")):
        every, loop, most, seconds = (figures[f"{name} {what}"] for what in ("all", "loop", "most", "s"))
        lines.append(f"{about:20} {every:8.0f} {loop:12.0f} {most:10.1f} {seconds:9.1f}")
    held, more, loaded = figures["held"], figures["more"], figures["loaded"]
    lines.append(
        f"memory: {held:.0f} MB held, {more:.0f} more while it saves; {loaded:.0f} at most until it is loaded"
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-checkpoint", description=__doc__)
    parser.add_argument("--symbols", type=int, default=10_000)
    parser.add_argument("--window", type=int, default=1000)
    parser.add_argument("--spread", type=float, default=SPREAD, help="seconds that one beside ticks takes")
    parser.add_argument("--folder", help="on the disk that is asked about; else that of temporary files")
    parser.add_argument("--cell", choices=("save", "load"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    logs.configure("bench", "warning")
    if given.cell == "save":
        print(json.dumps(asyncio.run(save(given.folder, given.symbols, given.window, given.spread))))
    elif given.cell == "load":
        print(json.dumps(asyncio.run(load(given.folder, given.window))))
    else:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            figures = cell("save", folder, given)
            size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6
            figures |= cell("load", folder, given)
        print(f"{given.symbols:,} symbols × {given.window:,} samples: a file of {size:.0f} MB")
        print(report(figures))


if __name__ == "__main__":
    main()
