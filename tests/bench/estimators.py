"""What the estimators of the physics vector are worth, by simulation: `make estimators`.

Returns of known distributions are put into windows, and the production kernel computes their vectors.
docs/estimators.md tells what follows.
"""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from services.feynman.regime import REGIMES
from services.feynman.vector import Vectors, compute
from services.feynman.windows import BINS, Windows
from tests.bench import alpha, laws, recorded, regimes, ticks
from tests.bench.chart import Axis, Line, chart
from tests.bench.laws import Floats, Law
from tests.bench.tables import table

SEED = 20
WINDOW = 1000
HOUR = 2 * WINDOW + 3600
"""Seconds: one window to fill it, one to forget how it began, and an hour."""
MOVING = {50: 1.0, 20: 0.4, 10: 0.2}
"""The share of the seconds with a move that makes k of a window what it is named by, nearly."""


class Simulation:
    def __init__(self, replications: int, folder: Path | None, recording: Path | None = None) -> None:
        self._replications = replications
        self._folder = folder
        self._recording = recording
        self._generator = np.random.default_rng(SEED)

    def run(self, only: Sequence[str] = ()) -> None:
        """All steps, or those named in `only`, each from the same seed."""
        chosen = [step for step in STEPS if step.__name__ in only or not only]
        for number, step in enumerate(chosen, 1):
            print(f"\r{number} of {len(chosen)}: {step.__name__} …      ", end="", file=sys.stderr, flush=True)
            self._generator = np.random.default_rng(SEED)
            step(self)
        print(file=sys.stderr)

    def drawn(self, law: Law, window: int = WINDOW) -> Floats:
        return law(self._generator, (self._replications, window))

    def pareto(self) -> None:
        """Bias and standard error where the tail is a power law and nothing else."""
        indices = (1.2, 1.5, 1.7, 2.0, 2.5, 3.0, 3.5, 4.0)
        rows, lines = [], []
        for window in (100, 1000, 5000):
            k = max(10, math.ceil(window / 20))
            estimates = [vectors_of(self.drawn(laws.pareto(a), window)).alpha_coefficient for a in indices]
            lines.append(
                Line(
                    f"m = {window:,}, k = {k}",
                    [(a, float(e.mean())) for a, e in zip(indices, estimates, strict=True)],
                    errors=[float(e.std()) for e in estimates],
                )
            )
            for a, e in zip(indices, estimates, strict=True):
                low, high = np.quantile(e, (0.05, 0.95))
                rows.append((f"{window:,}", k, a, e.mean(), e.mean() - a, e.std(), a / math.sqrt(k), low, high))
        table(
            "Hill's α on Pareto's law",
            ("m", "k", "true α", "mean", "bias", "std. error", "α/√k", "5 %", "95 %"),
            rows,
        )
        truth = Line("true", [(a, a) for a in indices], dashed=True)
        self.draw("pareto", "α of Pareto's law: mean and standard error", Axis("true α"), Axis("α"), [*lines, truth])

    def tails(self) -> None:
        """Laws whose tail is only the outermost part."""
        families = {"Student's t": (laws.student, (1.2, 1.5, 2, 2.5, 3, 4, 6)), "stable": (laws.stable, STABLE)}
        rows, lines = [], []
        for name, (family, indices) in families.items():
            points, errors = [], []
            for index in indices:
                e = vectors_of(self.drawn(family(index))).alpha_coefficient
                low, high = np.quantile(e, (0.05, 0.95))
                rows.append((f"{name} {index:g}", f"{index:g}", e.mean(), e.std(), low, high))
                points.append((float(index), float(e.mean())))
                errors.append(float(e.std()))
            lines.append(Line(name, points, errors=errors))
        e = vectors_of(self.drawn(laws.normal)).alpha_coefficient
        rows.append(("normal", "none", e.mean(), e.std(), *np.quantile(e, (0.05, 0.95))))
        table("Other laws, m = 1,000", ("law", "true α", "mean", "std. error", "5 %", "95 %"), rows)
        truth = Line("true", [(1.2, 1.2), (6.0, 6.0)], dashed=True)
        self.draw("tails", "α of laws that are not all tail (m = 1,000)", Axis("true α"), Axis("α"), [*lines, truth])

    def order_statistics(self) -> None:
        """What another k would do: 5 % of the returns is ours."""
        shares = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2)
        cases = {
            "Pareto 1.7": (laws.pareto(1.7), 1.7),
            "stable 1.7": (laws.stable(1.7), 1.7),
            "t(3)": (laws.student(3), 3.0),
            "Cauchy": (laws.student(1), 1.0),
        }
        rows, lines = [], []
        for name, (law, true) in cases.items():
            x = np.sort(np.abs(self.drawn(law)), axis=1)[:, ::-1]
            errors = []
            for share in shares:
                k = np.full(len(x), round(share * WINDOW))
                errors.append(float(np.sqrt(np.mean((ticks.hill(x[:, : k[0] + 1], k).alpha - true) ** 2)) / true))
            rows.append((name, *(f"{100 * error:.0f} %" for error in errors)))
            lines.append(Line(name, [(100 * s, 100 * e) for s, e in zip(shares, errors, strict=True)]))
        heads = ("root mean square error of α", *(f"k = {100 * share:g} %" for share in shares))
        table("Another k, m = 1,000", heads, rows)
        axes = Axis("k, % of the returns"), Axis("error of α, %", least=0.0, most=100.0)
        self.draw("order-statistics", "Error of α by the number of order statistics", *axes, lines)

    def regimes_right(self) -> None:
        """How often the regime is right."""
        cases: dict[str, tuple[Law, str]] = {
            "Gaussian": (laws.normal, "Gaussian"),
            "t(3)": (laws.student(3), "Gaussian"),
            "stable(1.7)": (laws.stable(1.7), "Lévy Stable"),
            "Pareto(1.75)": (laws.pareto(1.75), "Lévy Stable"),
            "Cauchy": (laws.student(1), "Critical"),
        }
        windows = (100, 200, 500, 1000, 2000, 5000)
        rows, lines = [], []
        for name, (law, right) in cases.items():
            points = []
            for window in windows:
                found = vectors_of(self.drawn(law, window)).regime
                shares = [float(np.mean(found == code)) for code in range(len(REGIMES))]
                points.append((float(window), 100 * shares[REGIMES.index(right)]))
                if window == WINDOW:
                    rows.append((name, right, *(f"{100 * share:.1f} %" for share in shares[1:])))
            lines.append(Line(name, points))
        table("The regime at m = 1,000", ("law", "right is", *REGIMES[1:]), rows)
        axes = Axis("returns in the window", log=True), Axis("regime is right, %", least=0.0, most=100.0)
        self.draw("regimes", "How often the regime is right", *axes, lines)

    def errors(self) -> None:
        alpha.errors(self._generator, self._replications, self.draw)

    def alternatives(self) -> None:
        alpha.alternatives(self._generator, self._replications)

    def coverage(self) -> None:
        alpha.coverage(self._generator, self._replications)

    def light(self) -> None:
        alpha.light(self._generator, self._replications)

    def steps(self) -> None:
        alpha.steps(self._generator, self._replications)

    def memory(self) -> None:
        alpha.memory(self._generator, self._replications)

    def recorded(self) -> None:
        """Only where a recording is given."""
        if self._recording is not None:
            recorded.recorded(self._generator, self._recording, self.draw)

    def sparse(self) -> None:
        """Where not every second has a trade, and the last price stands for it."""
        rows = []
        for name, law in {"t(3)": laws.student(3), "stable(1.7)": laws.stable(1.7)}.items():
            for share in (1.0, 0.5, 0.2, 0.1, 0.07):
                v = vectors_of(laws.sparse(self._generator, self.drawn(law), share))
                known = v.nonzero >= 64
                e = v.alpha_coefficient[known]
                rows.append(
                    (
                        name,
                        f"{100 * share:g} %",
                        v.nonzero.mean(),
                        f"{100 * np.mean(~known):.0f} %",
                        e.mean(),
                        e.std(),
                    )
                )
        heads = ("law", "seconds with a trade", "mean m", "WAIT", "mean α", "std. error")
        table("A feed that repeats its last price", heads, rows)

    def dependence(self) -> None:
        """Volatility that clusters: the k largest are neighbours, and tell less than k that are not."""
        true = laws.kesten(self._generator)
        clustered = self.drawn(laws.garch)
        alone = self._generator.permuted(clustered.ravel()).reshape(clustered.shape)
        rows = []
        for name, returns in (("as they come", clustered), ("shuffled", alone)):
            e = vectors_of(returns).alpha_coefficient
            rows.append(
                (
                    name,
                    true,
                    e.mean(),
                    e.std(),
                    e.mean() / math.sqrt(WINDOW / 20),
                    e.std() / e.mean() * math.sqrt(WINDOW / 20),
                )
            )
        heads = ("GARCH returns", "true α", "mean", "std. error", "α/√k", "times α/√k")
        table("Volatility that clusters, m = 1,000", heads, rows)

    def flicker(self) -> None:
        """How often a regime changes while nothing about the market does, and how often it is right."""
        pareto = [(f"Pareto({index:g})", laws.pareto(index)) for index in (1.5, 1.75, 2.0)]
        others: list[tuple[str, Law]] = [
            *(("normal", laws.normal), ("GARCH", laws.garch), ("t(4)", laws.student(4)), ("t(3)", laws.student(3))),
            *(("stable(1.7)", laws.stable(1.7)), ("Cauchy", laws.student(1))),
        ]
        rows, shares = [], []
        for k, moving in MOVING.items():
            found = [regimes.kept(self.moving(law, HOUR, moving), WINDOW)[:, WINDOW:] for _name, law in pareto]
            hours = found[0].shape[1] * found[0].shape[2] / 3600
            counts = np.array([regimes.changes(codes) for codes in found]).T
            for rule, each in zip(regimes.NAMES, counts, strict=True):
                rows.append((rule, k, *(each / hours), int(each.min()), f"{hours:.0f}"))
            shares += [_shares(name, k, codes) for (name, _law), codes in zip(pareto, found, strict=True)]
        for name, law in others:
            shares.append(_shares(name, 50, regimes.kept(self.moving(law, HOUR), WINDOW)[:, WINDOW:]))
        heads = ("changes an hour by rule", "k", *(name for name, _law in pareto), "fewest changes", "hours")
        table("A regime's changes, where the law never changes, W = 1,000", heads, rows)
        heads = ("law", "k", "rule", "changes an hour", *(f"{name}, %" for name in REGIMES[1:]))
        table("The regime by α alone and as it is kept", heads, [row for rows in shares for row in rows])

    def delays(self) -> None:
        """How late a regime tells that the law has changed: t(3) to Cauchy's, and back."""
        rows = []
        student, cauchy = laws.student(3), laws.student(1)
        for k, moving in MOVING.items():
            for scale in (1.0, 0.3):
                parts = [self.moving(law, 2 * WINDOW, moving) for law in (student, cauchy)]
                parts = [parts[0], scale * parts[1], self.moving(student, 4 * WINDOW, moving)]
                codes = regimes.kept(np.concatenate(parts, axis=1), WINDOW)
                there = regimes.delays(codes, WINDOW + 1, regimes.CRITICAL)
                back = regimes.delays(codes, 3 * WINDOW + 1, regimes.GAUSSIAN)
                for rule, late, times, home in zip(regimes.NAMES, there, there / there[0], back, strict=True):
                    seconds = [f"{x:.0f}" for x in (*late, *home)]
                    rows.append((rule, k, f"{scale:g}", *seconds[:2], *times, *seconds[2:]))
        heads = ("rule", "k", "scale", "to `Critical`, s", "90 %", "times α alone's", "90 %", "back, s", "90 %")
        table("From t(3) to Cauchy's law and back, W = 1,000", heads, rows)

    def moving(self, law: Law, samples: int, share: float = 1.0) -> Floats:
        """Returns of so many seconds, of which a share have a move."""
        shape = (max(4, self._replications * 3 // 20), samples)
        returns = law(self._generator, shape)
        return returns if share == 1.0 else returns * (self._generator.random(shape) < share)

    def entropy(self) -> None:
        """Of known laws, against what it is of the law itself."""
        rows = []
        for name, law, exact in (
            ("constant", laws.constant, 0.0),
            ("uniform", laws.uniform, binned(uniform_cdf)),
            ("normal", laws.normal, binned(normal_cdf)),
            ("t(3)", laws.student(3), None),
            ("Cauchy", laws.student(1), None),
        ):
            e = vectors_of(self.drawn(law)).entropy
            expected = "" if exact is None else f"{exact:.4f}"
            rows.append((name, f"{e.mean():.4f}", f"{e.std():.4f}", expected))
        table("Entropy, W = 1,000", ("law", "mean", "std. deviation", "of the law"), rows)

    def draw(self, name: str, title: str, x: Axis, y: Axis, lines: Sequence[Line]) -> None:
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / f"{name}.svg").write_text(chart(title, x, y, lines))


STEPS = (
    *(Simulation.pareto, Simulation.tails, Simulation.order_statistics, Simulation.regimes_right),
    *(Simulation.errors, Simulation.alternatives, Simulation.coverage, Simulation.light),
    *(Simulation.steps, Simulation.memory, Simulation.recorded, Simulation.sparse, Simulation.dependence),
    *(Simulation.flicker, Simulation.delays, Simulation.entropy),
)
STABLE = (1.1, 1.3, 1.5, 1.7, 1.8, 1.9, 1.95)


def filled(returns: Floats) -> tuple[Windows, np.ndarray]:
    """Full windows of prices with these returns, one row each, of shape (n, W). Where a row has returns above a tenth
    all of it are scaled down, so that the prices are such as a market has; no estimator asks for their scale."""
    number, window = returns.shape
    returns = returns / np.maximum(1.0, 10.0 * np.abs(returns).max(axis=1, keepdims=True))
    windows = Windows(window, capacity=number)
    rows = np.array([windows.add() for _ in range(number)])
    ones = np.ones(number)
    price = 450.0 * np.exp(np.cumsum(returns, axis=1))
    windows.restore(
        rows,
        {
            "price": price,
            "volume": np.ones_like(price),
            "trades": np.ones_like(price),
            "log_return": returns,
            "samples": np.full(number, window),
            "newest": np.full(number, window - 1),
            "last_timestamp": ones,
            "last_price": price[:, -1],
            "session_volume": ones,
            "session_trades": ones,
        },
    )
    return windows, rows


def vectors_of(returns: Floats) -> Vectors:
    windows, rows = filled(returns)
    return compute(windows, rows)


def binned(cdf: Callable[[float], float]) -> float:
    """Entropy of a law of σ = 1 over the kernel's bins, as a part of ln 32."""
    edges = [-math.inf, *((i - 16) / 4 for i in range(1, BINS)), math.inf]
    shares = [cdf(above) - cdf(below) for below, above in pairwise(edges)]
    return -sum(share * math.log(share) for share in shares if share > 0) / math.log(BINS)


def normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def uniform_cdf(x: float) -> float:
    return min(1.0, max(0.0, 0.5 + x / (2 * math.sqrt(3))))


def _shares(law: str, k: int, codes: regimes.Codes) -> list[tuple[object, ...]]:
    """How often the regime changes and what it reads, by α alone and as it is kept."""
    rows: list[tuple[object, ...]] = []
    for rule in (regimes.PLAIN, regimes.OURS):
        read = codes[regimes.NAMES.index(rule)]
        hourly = np.count_nonzero(np.diff(read, axis=0)) / read.size * 3600
        shares = (f"{100 * np.mean(read == code):.1f}" for code in range(1, len(REGIMES)))
        rows.append((law, k, rule, f"{hourly:.2f}", *shares))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="make estimators", description=__doc__)
    parser.add_argument("--replications", type=int, default=2000, help="windows drawn of each law")
    parser.add_argument("--plots", type=Path, help="write the plots as SVG into this folder")
    parser.add_argument(
        "--recording", type=Path, help="a CSV file of trades, whose α is put beside that of simulations"
    )
    parser.add_argument(
        "--only", nargs="+", choices=[step.__name__ for step in STEPS], default=(), help="these tables alone"
    )
    given = parser.parse_args()
    Simulation(given.replications, given.plots, given.recording).run(given.only)


if __name__ == "__main__":
    main()
