"""Distributions of returns whose tail index is known. Each draws an array of a shape; seeded by its generator."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Shape = tuple[int, int]
Law = Callable[[np.random.Generator, Shape], Floats]


def pareto(alpha: float) -> Law:
    """P(|r| > x) = x^-α for x ≥ 1, either sign: nothing but tail."""

    def draw(generator: np.random.Generator, shape: Shape) -> Floats:
        sizes = (1.0 - generator.random(shape)) ** (-1.0 / alpha)
        return np.where(generator.random(shape) < 0.5, -sizes, sizes)

    return draw


def student(degrees: float) -> Law:
    """Student's t: its tail index is its degrees of freedom."""
    return lambda generator, shape: generator.standard_t(degrees, shape)


def normal(generator: np.random.Generator, shape: Shape) -> Floats:
    """No tail index at all: lighter than any power."""
    return generator.standard_normal(shape)


def uniform(generator: np.random.Generator, shape: Shape) -> Floats:
    return generator.uniform(-1.0, 1.0, shape)


def constant(_generator: np.random.Generator, shape: Shape) -> Floats:
    return np.zeros(shape)


def stable(alpha: float) -> Law:
    """Symmetric α-stable, by Chambers, Mallows and Stuck (1976), J. Am. Stat. Assoc. 71: tail index α below 2."""

    def draw(generator: np.random.Generator, shape: Shape) -> Floats:
        angle = generator.uniform(-np.pi / 2, np.pi / 2, shape)
        waiting = generator.standard_exponential(shape)
        first = np.sin(alpha * angle) / np.cos(angle) ** (1.0 / alpha)
        second: Floats = (np.cos((1.0 - alpha) * angle) / waiting) ** ((1.0 - alpha) / alpha)
        return first * second

    return draw


def garch(generator: np.random.Generator, shape: Shape) -> Floats:
    """Normal returns of a variance that persists: v' = 0.02 + 0.1 r² + 0.88 v. Tail index by `kesten`."""
    rows, columns = shape
    variance, returns = np.ones(rows), np.empty((columns + 500, rows))
    for step in range(columns + 500):
        returns[step] = np.sqrt(variance) * generator.standard_normal(rows)
        variance = 0.02 + GARCH_A * returns[step] ** 2 + GARCH_B * variance
    return returns[500:].T


GARCH_A, GARCH_B = 0.1, 0.88


def kesten(generator: np.random.Generator) -> float:
    """The tail index κ of `garch`: E (a z² + b)^(κ/2) = 1. Kesten (1973), Acta Math. 131."""
    growth = np.log(GARCH_A * generator.standard_normal(1_000_000) ** 2 + GARCH_B)
    low, high = 1.0, 40.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if np.exp(growth * middle / 2).mean() < 1.0 else (low, middle)
    return low


def exponents_of_largest(generator: np.random.Generator, law: Law, shares: Sequence[float]) -> list[float]:
    """The exponents of the Pareto laws that are fitted to the largest of a law's sizes: 1 / E ln(x / q) above the q
    that such a share exceeds. Of some million sizes, to a quarter of a per cent where they are independent."""
    x = np.sort(np.abs(law(generator, (400, 12_000))), axis=None)
    largest = (np.log(x[-round(share * len(x)) :]) for share in shares)
    return [float(1.0 / (logs - logs[0]).mean()) for logs in largest]


def on_grid(returns: Floats, sigma_in_ticks: float, price: float = 450.0, tick: float = 0.01) -> Floats:
    """Log returns of prices that are rounded to a tick, where σ of one return is so many ticks."""
    scaled = returns / np.sqrt(np.mean(np.clip(returns, -50, 50) ** 2)) * sigma_in_ticks * tick / price
    path = price * np.exp(np.cumsum(np.clip(scaled, -0.05, 0.05), axis=1))
    ticks = np.maximum(np.rint(path / tick), 1.0)
    return np.diff(np.log(ticks * tick), axis=1, prepend=np.log(price))


def sparse(generator: np.random.Generator, returns: Floats, share: float) -> Floats:
    """As seen where only a share of the seconds has a trade: 0 in between, and what was missed with the next one."""
    traded = generator.random(returns.shape) < share
    path = np.cumsum(returns, axis=1)
    last = np.maximum.accumulate(np.where(traded, np.arange(path.shape[1]), -1), axis=1)
    seen = np.where(last >= 0, np.take_along_axis(path, np.maximum(last, 0), axis=1), 0.0)
    return np.diff(seen, axis=1, prepend=0.0)
