"""A market for benchmarks: prices on a tick grid with three kinds of tails, for all symbols at once."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

TICK = 0.01
SCALE = 1e-4  # of a second's return
DEGREES = (50.0, 3.0, 1.7)  # of freedom, of Student's t: symbol i has number i mod 3
START = 472_222 * 3600.0  # epoch seconds; an hour begins


class Market:
    """Seeded: the same for the same number of symbols."""

    def __init__(self, symbols: int) -> None:
        self._random = np.random.default_rng(7)
        self._degrees = np.array([DEGREES[i % 3] for i in range(symbols)])
        self._price: Floats = np.round(self._random.uniform(200.0, 500.0, symbols), 2)
        self._highest = self._price.copy()
        self._volume: Floats = np.zeros(symbols)
        self._trades: Floats = np.zeros(symbols)
        self._second = START

    def step(self, *, rising: bool = False, scale: float = 1.0) -> tuple[Floats, Floats, Floats, Floats]:
        """The next second: price, volume, trades, timestamp, each of shape (symbols,).

        rising: each price is above all before it. scale: of the returns.
        """
        r = np.clip(scale * SCALE * self._random.standard_t(self._degrees), -0.03, 0.03)
        before = self._price
        self._price = np.round(before * np.exp(np.abs(r) if rising else r), 2)
        if rising:
            self._price = np.maximum(self._price, np.round(self._highest + TICK, 2))
        self._highest = np.maximum(self._highest, self._price)
        self._volume = self._volume + self._random.integers(1, 500, len(r))
        self._trades = self._trades + self._random.integers(1, 9, len(r))
        self._second += 1.0
        return self._price, self._volume, self._trades, np.full(len(r), self._second)

    def history(self, rows: npt.NDArray[np.intp], window: int) -> dict[str, npt.NDArray[Any]]:
        """Full windows that end with now, as `Windows.restore` takes them."""
        r = np.clip(
            SCALE * self._random.standard_t(self._degrees[rows, np.newaxis], (len(rows), window)), -0.03, 0.03
        )
        later = np.cumsum(r[:, ::-1], axis=1)[:, ::-1] - r
        price = np.round(self._price[rows, np.newaxis] * np.exp(-later), 2)
        price[:, -1] = self._price[rows]
        self._highest[rows] = np.maximum(self._highest[rows], price.max(axis=1))
        log_return = np.diff(np.log(price), axis=1, prepend=np.nan)
        return {
            "price": price,
            "volume": self._random.integers(1, 500, price.shape).astype(np.float64),
            "trades": self._random.integers(1, 9, price.shape).astype(np.float64),
            "log_return": log_return,
            "samples": np.full(len(rows), window),
            "newest": np.full(len(rows), window - 1),
            "last_timestamp": np.full(len(rows), self._second),
            "last_price": self._price[rows],
            "session_volume": self._volume[rows],
            "session_trades": self._trades[rows],
        }
