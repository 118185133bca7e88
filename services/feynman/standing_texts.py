"""The parts of states and updates that mostly stay: a regime, a tail index or a step is rarely another one.

The symbol table holds one for its symbols. A part is put together again where one of its values has changed, which
is less than a tenth of the symbols in a tick, and saves a third of what their texts cost.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from cottage.clock import iso_millis
from services.feynman.regime import REGIMES
from services.feynman.vector import Vectors
from services.feynman.windows import FloatArray, RowArrays, Rows

REGIME_TEXTS = [orjson.dumps(regime).decode() for regime in REGIMES]


class StandingText(NamedTuple):
    """The parts of one symbol's texts: fields in JSON."""

    tail: str
    """Of a state: regime, alpha_coefficient and its interval."""
    announced_tail: str
    """Of an update: alpha and regime."""
    interval: str
    since: str
    spacing: str
    """Of a state: step and holes, and snapped where that is not 0."""


class StandingTexts(RowArrays):
    """The standing texts of all symbols, in rows as those of Windows."""

    def __init__(self, capacity: int = 64) -> None:
        self._told: FloatArray = np.zeros((capacity, 8))
        """The values that the texts tell. Codes of regimes are counted from 1, so a row of zeros has none yet."""
        self._texts: npt.NDArray[Any] = np.zeros(capacity, np.object_)

    def of(self, rows: Rows, vectors: Vectors, regime_since: FloatArray) -> list[StandingText]:
        """The texts of these rows. All arguments have one entry per row."""
        if (most := int(rows.max(initial=0))) >= len(self._told):
            self.grow(2 * most)
        tail = vectors.alpha_coefficient, vectors.alpha_low, vectors.alpha_high
        spacing = vectors.step, vectors.holes, vectors.snapped
        now = np.stack([*tail, *spacing, vectors.regime + 1, regime_since], axis=1)
        changed = np.flatnonzero((now != self._told[rows]).any(axis=1))
        if len(changed):
            self._told[rows[changed]] = now[changed]
            for row, text in zip(rows[changed].tolist(), _texts(now[changed].T), strict=True):
                self._texts[row] = text
        texts: list[StandingText] = self._texts[rows].tolist()
        return texts


def numbers(column: npt.NDArray[Any]) -> list[str]:
    """Each of the numbers, of which there are some, as JSON text."""
    return orjson.dumps(column, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode().split(",")


@lru_cache(maxsize=2**15)  # a regime lasts, so that nearly all were told before
def time_text(epoch_seconds: float) -> str:
    return iso_millis(epoch_seconds)


def _texts(columns: FloatArray) -> Iterator[StandingText]:
    *floats, holes, snapped, regime, since = columns
    whole = (column.astype(np.int64) for column in (holes, snapped, regime - 1))
    rows = zip(
        *map(numbers, map(np.ascontiguousarray, floats)),
        *(column.tolist() for column in whole),
        since.tolist(),
        strict=True,
    )
    for alpha, low, high, step, number, off, code, start in rows:
        interval = f'"alpha_low":{low},"alpha_high":{high}'
        yield StandingText(
            f'"regime":{REGIME_TEXTS[code]},"alpha_coefficient":{alpha},{interval}',
            f'"alpha":{alpha},"regime":{REGIME_TEXTS[code]}',
            interval,
            f'"regime_since":"{time_text(start)}"',
            f'"step":{step},"holes":{number}' + (f',"snapped":{off}' if off else ""),
        )
