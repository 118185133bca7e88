"""What is known when a forecast of the next window is made, and what came then. `forecasts.py` uses it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from services.feynman.regime import REGIMES
from services.feynman.vector import compute
from services.feynman.windows import Windows
from tests.bench.laws import Floats
from tests.bench.series import Series
from tests.bench.telling import progress

DECAY = 0.94
"""Of the EWMA of squared returns: RiskMetrics Technical Document (1996), J.P. Morgan."""


@dataclass(frozen=True)
class Origins:
    """What is known when each forecast is made, and what came then: for one row of prices, in order of time."""

    readings: Mapping[str, Floats]
    """The predictors of α, regime and entropy, by name: shape (n, p)."""
    sigma: Floats
    """The root mean square of all returns so far; shape (n,)."""
    ewma: Floats
    """Volatility by the EWMA; shape (n,)."""
    past: Floats
    """|r| of the window; shape (n, W)."""
    before: Floats
    """|r| of the same span earlier; shape (n, following)."""
    following: Floats
    """|r| of the next window: what is forecast; shape (n, following)."""


def observed(series: Series, prices: Floats) -> tuple[list[Origins], float]:
    """The origins of forecasts in each row of `prices`, of shape (rows, samples), and the first row's tick.

    Windows begin each after the other's next one. The tick is nan where prices have no grid.
    """
    window, following, before = series.spans
    number = prices.shape[1]
    at = np.arange(window, number - following, following)
    x = np.abs(np.diff(np.log(prices), axis=1))
    readings, tick = _readings(series.name, prices, window, at)
    sigma = np.sqrt(np.cumsum(np.square(x), axis=1)[:, at - 1] / at)
    variance = np.mean(np.square(x[:, :window]), axis=1)
    ewma = np.empty((len(prices), number))
    for sample in range(1, number):
        variance = DECAY * variance + (1.0 - DECAY) * np.square(x[:, sample - 1])
        ewma[:, sample] = np.sqrt(variance)

    def spans(begin: np.ndarray, length: int) -> Floats:
        return x[:, begin[:, np.newaxis] + np.arange(length)]

    each = zip(
        sigma,
        ewma[:, at],
        spans(at - window, window),
        spans(at - before, following),
        spans(at, following),
        strict=True,
    )
    found = [
        Origins({name: values[row] for name, values in readings.items()}, *rest) for row, rest in enumerate(each)
    ]
    return found, tick


def _readings(name: str, prices: Floats, window: int, at: np.ndarray) -> tuple[dict[str, Floats], float]:
    """The predictors after each sample of `at`, for each row of prices; and the first row's last tick."""
    windows = Windows(window, capacity=len(prices))
    rows = np.array([windows.add() for _ in range(len(prices))])
    unknown = np.full(len(rows), np.nan)
    kept, wanted = [], set(at.tolist())
    for sample in range(prices.shape[1]):
        # Samples are a second apart to the windows, so that a night is no gap.
        time = np.full(len(rows), 1.0 + sample)
        windows.append(rows, prices[:, sample], unknown, unknown, time)
        vectors = compute(windows, rows)
        windows.keep_regime(rows, vectors.regime, time)
        if sample in wanted:
            kept.append((vectors.alpha_coefficient, vectors.regime, vectors.entropy))
        if sample % 100 == 0:
            progress(f"{name}, {len(rows)} rows: {sample:,} of {prices.shape[1]:,} samples")
    progress("")
    alpha, regime, entropy = (np.stack(values, axis=1) for values in zip(*kept, strict=True))
    heavy = regime[:, :, np.newaxis] == np.arange(len(REGIMES) - 1)  # Gaussian is where none of these is
    readings = {"α": np.log(alpha)[:, :, np.newaxis], "regime": heavy * 1.0, "entropy": entropy[:, :, np.newaxis]}
    return readings, float(windows.statistics(rows).tick[0])
