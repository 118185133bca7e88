"""α of a recording's prices beside that of simulated ones which stand still as often: `make estimators` with
ARGS="--recording FILE"."""

import math
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import numpy as np

from cottage.files.recording import Recording
from cottage.state import ALPHA_MOST
from tests.bench import laws, ticks
from tests.bench.alpha import Draw
from tests.bench.chart import Axis, Line
from tests.bench.laws import Floats, Law
from tests.bench.tables import percent, table

SAMPLED = ((1, 1000), (5, 500))
"""Seconds between two samples, and samples in a window."""
BESIDE: dict[str, Law] = {"normal": laws.normal, "t(4)": laws.student(4), "Pareto(2)": laws.pareto(2)}


def prices(path: Path, every: int) -> dict[str, Floats]:
    """Each symbol's newest price at every so many seconds, from its first whole second on."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    newest: dict[str, float] = {}
    due: dict[str, int] = {}
    with closing(Recording(path)) as recording:
        for row in recording:
            second = -(-row.time // 1_000_000)
            for due_second in range(due.setdefault(row.symbol, second), second, every):
                found[row.symbol].append(newest[row.symbol])
                due[row.symbol] = due_second + every
            newest[row.symbol] = row.price
    return {symbol: np.array(each) for symbol, each in found.items()}


def moves_of(path: Floats) -> Floats:
    """In ticks: the tick is the least difference between two of the prices."""
    tick = np.diff(np.unique(path)).min(initial=math.inf)
    moves: Floats = np.abs(np.diff(np.rint(path / tick)))
    return moves


def recorded(generator: np.random.Generator, path: Path, draw: Draw) -> None:
    rows = []
    for every, window in SAMPLED:
        for symbol, each in prices(path, every).items():
            x = moves_of(each)
            if len(x) <= window:
                continue
            read = ticks.readings(x[np.newaxis], window)
            rows.append(_row(symbol, every, window, "", x, read))
            for name, law in BESIDE.items():
                exact = law(generator, (20, len(x)))
                scale = standing_still(generator, exact, float(np.mean(x == 0)))
                simulated = ticks.of_path(generator, scale * exact)
                rows.append(
                    _row(name, every, window, f"{scale:.2f}", simulated, ticks.readings(simulated, window, 10))
                )
            if every == 1:
                _plot(symbol, read, window, draw)
    heads = ("prices", "every", "n", "scale", "moves of 0", "1", "2", "more")
    of_each = ("{} α", "std. deviation", "reads 10")
    names = [head.format(which) for which in ("old", "new") for head in of_each]
    low = ("`low`: 5 %", "median", "95 %", "`high` is 10")
    table("A recording beside simulated prices that stand still as often", (*heads, *names, *low), rows)


def standing_still(generator: np.random.Generator, exact: Floats, share: float) -> float:
    """The scale at which such a share of the moves is 0."""
    least, most = 0.01, 100.0
    for _ in range(30):
        middle = math.sqrt(least * most)
        still = np.mean(ticks.of_path(generator, middle * exact) == 0)
        least, most = (middle, most) if still > share else (least, middle)
    return math.sqrt(least * most)


def _row(name: str, every: int, window: int, scale: str, x: Floats, read: ticks.Readings) -> list[object]:
    sizes = (percent(float(share), 1) for share in (*(np.mean(x == size) for size in range(3)), np.mean(x > 2)))
    row: list[object] = [name, f"{every} s", f"{window:,}", scale, *sizes]
    for alpha in (read.old, read.new):
        row += [float(alpha.mean()), float(alpha.std()), percent(float(np.mean(alpha >= ALPHA_MOST)))]
    low = map(float, np.quantile(read.low, (0.05, 0.5, 0.95)))
    return [*row, *low, percent(float(np.mean(read.high >= ALPHA_MOST)))]


def _plot(symbol: str, read: ticks.Readings, window: int, draw: Draw) -> None:
    minutes = range(0, read.old.shape[1], 30)
    lines = [
        Line(name, [((window + second) / 60, float(values[0, second])) for second in minutes])
        for name, values in (("α", read.new), ("alpha_low", read.low), ("α, old", read.old))
    ]
    draw("recorded", f"α of {symbol}, n = {window:,}", Axis("minutes"), Axis("α", least=0.0, most=10.0), lines)
