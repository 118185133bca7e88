"""What a tick of the physics costs: `make bench-feynman`.

Every cell of the tables is a process of its own, on one core, timed in CPU time, so that neither other processes nor
the cells before it count. Its reference is tests/bench/plain.py on the same windows, with the old tail index and
with today's. With `--beside COMMIT` that commit's kernel is timed in turn with this one, by its own benchmark.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.beside import add_arguments, checkout
from tests.bench.telling import say
from tests.support import ROOT

MEMORY_PER_SAMPLE = 60  # bytes, and more than a window takes
REFERENCE_SYMBOLS = 100


def measure(symbols: int, window: int, ticks: int) -> dict[str, float]:
    """One cell: milliseconds of CPU a tick in each case, megabytes, and the reference's milliseconds a tick."""
    began = time.process_time()
    import numpy as np  # its import is measured

    from services.feynman.vector import compute
    from services.feynman.windows import Windows
    from tests.bench import plain
    from tests.bench.market import Market

    start_up = time.process_time() - began
    market = Market(symbols)
    windows = Windows(window, capacity=symbols)
    rows = np.array([windows.add() for _ in range(symbols)])
    for part in np.array_split(rows, max(1, symbols * window // 2**20)):
        windows.restore(part, market.history(part, window))

    def timed(work: Callable[[], object]) -> float:
        before = time.process_time()
        work()
        return (time.process_time() - before) * 1e3

    def one_tick(**moves: Any) -> float:
        sample = market.step(**moves)

        def work() -> None:
            windows.append(rows, *sample)
            compute(windows, rows)

        return timed(work)

    costs = {"start": start_up * 1e3, "first": one_tick()}
    warm_up = max(3, ticks // 10)
    costs["steady"] = statistics.median([one_tick() for _ in range(ticks + warm_up)][warm_up:])
    costs["rally"] = statistics.median([one_tick(rising=True) for _ in range(12)][2:])
    costs["burst"] = statistics.median([one_tick(scale=3.0**i) for i in range(1, 5)])
    costs["megabytes"] = _megabytes()

    some = rows[: min(symbols, REFERENCE_SYMBOLS)]
    in_time = [np.roll(getattr(windows, name)[some], -1 - windows.newest[0], axis=1) for name in RINGS]
    price, *_counts, log_return = in_time
    tick = windows.tick(some)
    old = timed(lambda: [plain.vector(*(ring[row] for ring in in_time)) for row in range(len(some))])
    tail = timed(lambda: [plain.tail(price[row], log_return[row], tick[row]) for row in range(len(some))])
    by = symbols / len(some)
    return costs | {"plain": (old + tail) * by, "plain_old": old * by}


RINGS = ("price", "volume", "trades", "log_return")


def _megabytes() -> float:
    """The most that this process has held, what is shared with others included."""
    import resource  # not on every platform that the parser of arguments runs on

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def cell(symbols: int, window: int, ticks: int, root: Path = ROOT) -> dict[str, float]:
    """`measure`, as the repository at `root` has it, in a process of its own, on one core: numpy's own threads would
    be counted, but not be faster."""
    arguments = [sys.executable, "-m", "tests.bench.feynman", "--cell", f"{symbols}x{window}", "--ticks", str(ticks)]
    one_core = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    env = {**os.environ, **one_core, "PYTHONPATH": str(root)}
    done = subprocess.run(arguments, check=True, capture_output=True, text=True, env=env, cwd=root)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def cases(symbols: int, window: int, ticks: int) -> None:
    print(f"measuring {symbols:,} symbols × {window:,} samples …", file=sys.stderr, flush=True)
    costs = cell(symbols, window, ticks)
    say(f"{symbols:,} symbols × {window:,} samples: append and compute, on one core")
    say(f"{'':34} {'CPU ms a tick':>14} {'plain numpy takes':>18} {'with the old α':>16}")
    for name, about in CASES.items():
        today, old = (costs[reference] / costs[name] for reference in ("plain", "plain_old"))
        say(f"{about:34} {costs[name]:14.1f} {today:17.1f}× {old:15.1f}×")
    say(f"{'plain numpy, symbol by symbol':34} {costs['plain']:14.1f}")
    say(f"{'plain numpy with the old α':34} {costs['plain_old']:14.1f}")
    say(f"start: {costs['start']:.0f} ms CPU to import; {costs['megabytes']:.0f} MB at most")
    say()


def in_turn(symbols: int, window: int, ticks: int, commit: str, pairs: int) -> None:
    """The older kernel and this one, again and again, and the medians."""
    with checkout(commit) as old:
        if old is None:
            return
        both: list[list[dict[str, float]]] = []
        for number in range(1, pairs + 1):
            print(f"beside {commit}: pair {number} of {pairs} …", file=sys.stderr, flush=True)
            both.append([cell(symbols, window, ticks, root) for root in (old, ROOT)])
    say(f"CPU ms a tick, {commit} and here, in turn")
    say(f"{'':34}" + "".join(f"{f'pair {number}':>16}" for number in range(1, pairs + 1)) + f"{'median':>24}")
    for name, about in CASES.items():
        each = [(before[name], now[name]) for before, now in both]
        before, now = (statistics.median(column) for column in zip(*each, strict=True))
        told = "".join(f"{f'{a:.1f} → {b:.1f}':>16}" for a, b in each)
        say(f"{about:34}{told}{f'{before:.1f} → {now:.1f} {now / before - 1:+.0%}':>24}")
    say()


CASES = {
    "steady": "steady",
    "rally": "rally: each a new high",
    "burst": "burst: returns triple every tick",
    "first": "first tick after a restart",
}


def growth(symbols: list[int], windows: list[int], ticks: int) -> dict[int, list[tuple[int, dict[str, float]]]]:
    """A steady tick over all sizes that this machine's memory allows, by window."""
    grown: dict[int, list[tuple[int, dict[str, float]]]] = {window: [] for window in windows}
    cells = [(window, number) for window in windows for number in symbols]
    say("A steady tick in CPU ms, and how many times that plain numpy takes")
    say(f"{'symbols':>10}" + "".join(f"{f'W = {window:,}':>20}" for window in windows))
    for done, (window, number) in enumerate(cells, 1):
        print(f"\r{done} of {len(cells)}: {number:,} × {window:,} …   ", end="", file=sys.stderr, flush=True)
        if number * window * MEMORY_PER_SAMPLE < _free_memory():
            grown[window].append((number, cell(number, window, ticks)))
    print("\r" + " " * 40 + "\r", end="", file=sys.stderr, flush=True)
    for number in symbols:
        say(f"{number:10,}" + "".join(f"{_entry(dict(grown[window]).get(number)):>20}" for window in windows))
    say()
    return grown


def _entry(costs: dict[str, float] | None) -> str:
    return "no memory" if costs is None else f"{costs['steady']:.2f} ({costs['plain'] / costs['steady']:.0f}×)"


def _free_memory() -> float:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * float(os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError):  # not told here
        return 8e9


def plot(grown: dict[int, list[tuple[int, dict[str, float]]]]) -> str:
    from tests.bench.chart import Axis, Line, chart  # not in a cell's start-up

    lines = [Line(f"W = {window:,}", [(n, c["steady"]) for n, c in row]) for window, row in grown.items() if row]
    if grown.get(1000):
        lines.append(Line("W = 1,000, plain numpy", [(n, c["plain"]) for n, c in grown[1000]], dashed=True))
    axes = Axis("symbols", log=True), Axis("CPU ms a tick", log=True)
    return chart("What a tick of the physics costs", *axes, lines)


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-feynman", description=__doc__)
    parser.add_argument("--symbols", type=numbers, default=[10, 100, 1000, 10_000], help="of the growth table")
    parser.add_argument("--windows", type=numbers, default=[100, 1000, 5000], help="of the growth table")
    parser.add_argument("--ticks", type=int, default=30, help="measured in each cell")
    parser.add_argument("--plot", type=Path, help="write the growth as an SVG to this file")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    add_arguments(parser, pairs=3)
    given = parser.parse_args()
    if given.cell:
        symbols, window = map(int, given.cell.split("x"))
        print(json.dumps(measure(symbols, window, given.ticks)))
        return
    size = max(given.symbols), 1000 if 1000 in given.windows else max(given.windows), given.ticks
    cases(*size)
    if given.beside:
        in_turn(*size, given.beside, given.pairs)
    grown = growth(given.symbols, given.windows, given.ticks)
    if given.plot:
        given.plot.write_text(plot(grown))
        say(f"drawn in {given.plot}")


if __name__ == "__main__":
    main()
