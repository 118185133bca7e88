"""How the pillars are distributed on prices that move in ticks: `python -m tests.bench.pillars [trades.csv.gz]`.

Each series slides through windows of 1,000 samples, and the production kernel computes its vectors. Simulated paths
are computed twice, as they are and rounded to ticks, with the same volume: what of a pillar's variance the path
without rounding does not explain is the grid's. A file of trades (`timestamp,price,size`) is sampled at the end of
each second that has one. docs/estimators.md tells what follows.
"""

import argparse
import csv
import gzip
import math
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cottage.state import PILLARS
from services.feynman.vector import Vectors, compute
from services.feynman.windows import Windows
from tests.bench.laws import Floats
from tests.bench.tables import table

SEED = 15
WINDOW = 1000
SIGMAS = (0.05, 0.2, 0.5, 1.0, 5.0, 30.0)
"""Standard deviations of a return, in ticks."""
LEVEL, TICK = 6600.0, 0.25
FIELDS = (*PILLARS, "alpha_coefficient")


class Series(NamedTuple):
    """What snapshots say, sample by sample; arrays of shape (n, samples)."""

    price: Floats
    volume: Floats
    """Cumulative, as `trades` is."""
    trades: Floats


def read(path: Path) -> Series:
    """The seconds of a file of trades, one row."""
    seconds: dict[int, tuple[float, float, float]] = {}
    volume = 0.0
    with gzip.open(path, "rt") as file:
        for number, trade in enumerate(csv.DictReader(file), 1):
            volume += float(trade["size"])
            second = math.floor(datetime.fromisoformat(trade["timestamp"]).timestamp())
            seconds[second] = float(trade["price"]), volume, float(number)
    return Series(*(column[np.newaxis] for column in np.array(list(seconds.values())).T))


def simulated(generator: np.random.Generator, paths: int, samples: int, sigma: float) -> tuple[Series, Series]:
    """Paths of normal returns of so many ticks, rounded to ticks and as they are, with the same trades: some 22 a
    second in bursts, with sizes of 1 and above."""
    shape = (paths, samples)
    start = LEVEL / TICK + generator.random((paths, 1))
    ticks = start + np.cumsum(sigma * generator.standard_normal(shape), axis=1)
    number = 1 + generator.poisson(22 * generator.gamma(0.8, 1.25, shape))
    size = number + generator.negative_binomial(number, 0.4)
    turnover = np.cumsum(size, axis=1).astype(np.float64), np.cumsum(number, axis=1).astype(np.float64)
    return Series(np.rint(ticks) * TICK, *turnover), Series(ticks * TICK, *turnover)


class Readings(NamedTuple):
    """All readings of one pillar, of shape (n, vectors)."""

    value: Floats
    void: np.ndarray


def readings(series: Series, window: int) -> dict[str, Readings]:
    """The readings of each field, from the first full window on."""
    paths, samples = series.price.shape
    windows = Windows(window, capacity=paths)
    rows = np.array([windows.add() for _ in range(paths)])
    vectors: list[Vectors] = []
    for second in range(samples):
        price, volume, trades = (each[:, second] for each in series)
        windows.append(rows, price, volume, trades, np.full(paths, float(second)))
        if second >= window:
            vectors.append(compute(windows, rows))
    void = np.stack([each.void for each in vectors], axis=1)
    return {
        name: Readings(
            np.stack([getattr(each, name) for each in vectors], axis=1),
            (void >> place & 1).astype(np.bool_) if name in PILLARS else np.zeros_like(void, np.bool_),
        )
        for place, name in enumerate(FIELDS)
    }


BOUNDS = {"mass": (0, 1), "friction": (0, 1), "entropy": (0, 1), "nash_dist": (0, 1), "alpha_coefficient": (0.5, 10)}
HEADS = (
    "field",
    "mean",
    "1 %",
    "25 %",
    "50 %",
    "75 %",
    "99 %",
    "is 0",
    "at a bound",
    "most frequent",
    "distinct",
    "void",
)


def summary(name: str, readings: Readings) -> tuple[object, ...]:
    """A line of the table: see HEADS. What is void is left out of all but the last column."""
    value = readings.value[~readings.void]
    _distinct, count = np.unique(np.round(value, 9), return_counts=True)
    bound = np.isin(value, BOUNDS.get(name, ())) & (value != 0)
    quantiles = (f"{each:.3f}" for each in np.quantile(value, (0.01, 0.25, 0.5, 0.75, 0.99)))
    shares = np.mean(value == 0), np.mean(bound), count.max() / value.size
    return (
        *(name, f"{value.mean():.3f}", *quantiles),
        *(percent(float(share)) for share in shares),
        *(f"{count.size / value.size * 1000:.0f} of 1,000", percent(float(readings.void.mean()))),
    )


def unexplained(rounded: Readings, exact: Readings) -> float:
    """The share of a field's variance that is not explained by that of the same paths without rounding: 1 − ρ², with
    ρ the correlation of all readings; nan where one of them is constant."""
    there = ~(rounded.void | exact.void)
    a, b = rounded.value[there], exact.value[there]
    if not (a.std() > 0 and b.std() > 0):
        return math.nan
    return 1.0 - float(np.corrcoef(a, b)[0, 1]) ** 2


def percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f} %"


def distributions(path: Path | None, sigmas: Iterable[float], paths: int, samples: int, window: int) -> None:
    generator = np.random.default_rng(SEED)
    if path is not None:
        found = readings(read(path), window)
        table(
            f"{path.name}, {found['mass'].value.size:,} readings", HEADS, [summary(*each) for each in found.items()]
        )
    for sigma in sigmas:
        print(f"\rσ = {sigma:g} ticks …   ", end="", file=sys.stderr, flush=True)
        rounded, exact = (readings(each, window) for each in simulated(generator, paths, samples, sigma))
        rows = [(*summary(*each), percent(unexplained(each[1], exact[each[0]]))) for each in rounded.items()]
        table(f"A normal law, σ = {sigma:g} ticks", (*HEADS, "the grid's"), rows)
    print(file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pillars", description=__doc__)
    parser.add_argument("trades", type=Path, nargs="?", help="a CSV of trades, compressed by gzip")
    parser.add_argument("--sigmas", type=float, nargs="*", default=SIGMAS, help="σ of a return in ticks")
    parser.add_argument("--paths", type=int, default=20)
    parser.add_argument("--samples", type=int, default=3000, help="in each path")
    parser.add_argument("--window", type=int, default=WINDOW)
    given = parser.parse_args()
    distributions(given.trades, given.sigmas, given.paths, given.samples, given.window)


if __name__ == "__main__":
    main()
