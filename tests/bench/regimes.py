"""Rules that keep a regime, compared: how often it changes by each while nothing about the market does, and how late.

`make estimators` prints the tables. A rule is a recursion over the readings of a sliding window, one sample a second.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from services.feynman.regime import REGIMES, plain, regime
from services.feynman.tail_index import TailIndex
from services.feynman.tails import order_statistics
from services.feynman.windows.largest_moves import LargestMoves
from tests.bench.laws import Floats
from tests.bench.ticks import hill, hill_interval

Whole = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int8]

CRITICAL, GAUSSIAN = REGIMES.index("Critical"), REGIMES.index("Gaussian")


class Reading(NamedTuple):
    """What windows say of their tails after a sample: arrays with one entry per window."""

    alpha: Floats
    low: Floats
    high: Floats
    nonzero: Whole
    k: Whole


def readings(returns: Floats, window: int) -> Iterator[Reading]:
    """The reading of each full window as it slides over `returns`, of shape (n, samples); a 0 is no move."""
    x = np.abs(returns)
    ring = x[:, :window].copy()
    number, samples = x.shape
    rows, largest = np.arange(number), LargestMoves(window, number)
    m = np.count_nonzero(ring, axis=1)
    for sample in range(window, samples + 1):
        k = order_statistics(m)
        alpha = hill(largest.largest(rows, k + 1, ring.__getitem__)[0], k).alpha
        yield Reading(alpha, *hill_interval(alpha, k), m, k)
        if sample < samples:
            column = np.full(number, sample % window)
            leaving, entering = ring[rows, column], x[:, sample]
            ring[rows, column] = entering
            largest.replace(rows, column, leaving, entering)
            m = m + (entering > 0) - (leaving > 0)


@dataclass(frozen=True, slots=True)
class Rule:
    """A regime becomes heavier where α and a band above it have not been above a threshold for some seconds, and
    lighter where α less another band has been. In pairs: towards heavier, towards lighter."""

    name: str
    errors: tuple[float, float] = (0.0, 0.0)
    """The width of the bands, in α/√k."""
    interval: tuple[float, float] = (0.0, 0.0)
    """The same, as a share of the way to `high` and to `low`."""
    held: tuple[int, int] = (0, 0)


PLAIN = "α alone"
OURS = "a fifth of the way to `high`; `low`"
RULES = (
    Rule(PLAIN),
    Rule("held for 60 s", held=(60, 60)),
    Rule("held for 300 s", held=(300, 300)),
    Rule("heavier at once; lighter held for 600 s", held=(0, 600)),
    Rule("½ error; ½", errors=(0.5, 0.5)),
    Rule("1 error; 1", errors=(1.0, 1.0)),
    Rule("¼ error; 2", errors=(0.25, 2.0)),
    Rule("½ error; 1½", errors=(0.5, 1.5)),
    Rule("½ error, held for 60 s; ½, held for 300 s", errors=(0.5, 0.5), held=(60, 300)),
    Rule("`high`; `low`", interval=(1.0, 1.0)),
    Rule("α; `low`", interval=(0.0, 1.0)),
    Rule("half of the way to `high`; `low`", interval=(0.5, 1.0)),
    Rule("a third of the way to `high`; `low`", interval=(1 / 3, 1.0)),
)
NAMES = (*(rule.name for rule in RULES), OURS)
"""The rules that are compared, each with what makes a regime heavier; and lighter. The last is feynman's."""


class Kept:
    """The regimes of some windows, as each of RULES keeps them: `code` of shape (rules, n)."""

    def __init__(self, first: Reading) -> None:
        self.code: Codes = np.tile(plain(first.alpha), (len(RULES), 1))
        self._heavier, self._lighter = np.zeros(self.code.shape, np.int64), np.zeros(self.code.shape, np.int64)
        self._errors, self._interval, self._held = (
            np.array([getattr(rule, name) for rule in RULES]).T[:, :, np.newaxis]
            for name in ("errors", "interval", "held")
        )

    def take(self, reading: Reading) -> Codes:
        alpha, low, high, _m, k = reading
        error = alpha / np.sqrt(k)
        lightest = plain(alpha + self._errors[0] * error + self._interval[0] * (high - alpha))
        heaviest = plain(alpha - self._errors[1] * error - self._interval[1] * (alpha - low))
        self._heavier = np.where(lightest < self.code, self._heavier + 1, 0)
        self._lighter = np.where(heaviest > self.code, self._lighter + 1, 0)
        code = np.where(self._heavier > self._held[0], lightest, self.code)
        self.code = np.where(self._lighter > self._held[1], heaviest, code).astype(np.int8)
        return self.code


def kept(returns: Floats, window: int) -> Codes:
    """The regimes by each of NAMES after each sample from the first full window on: shape (rules, samples, n)."""
    number, samples = returns.shape
    codes = np.empty((len(NAMES), samples - window + 1, number), np.int8)
    each = readings(returns, window)
    first = next(each)
    others, ours = Kept(first), plain(first.alpha)
    codes[:, 0] = ours
    for sample, reading in enumerate(each, 1):
        alpha, low, high, m, _k = reading
        ours = regime(ours, TailIndex(alpha, low, high), m, np.ones(number, np.bool_))
        codes[:-1, sample], codes[-1, sample] = others.take(reading), ours
    return codes


def changes(codes: Codes) -> Whole:
    """How often the regimes change by each rule, in all windows together."""
    counts: Whole = np.count_nonzero(np.diff(codes, axis=1), axis=(1, 2))
    return counts


def delays(codes: Codes, begin: int, code: int) -> Floats:
    """After how many samples from `begin` on the regimes read `code` first, as median and 90 %: shape (rules, 2)."""
    found = codes[:, begin:] == code
    first = np.where(found.any(axis=1), found.argmax(axis=1) + 1.0, np.inf)
    quantiles: Floats = np.quantile(first, (0.5, 0.9), axis=1, method="higher").T
    return quantiles
