"""The parts of states and updates that mostly stay: a regime, a tail index or a step is rarely another one.

The symbol table holds one for its symbols. A part is put together again where one of its values has changed, which
is less than a tenth of the symbols in a tick, and saves a third of what their texts cost.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from cottage.clock import iso_millis
from services.feynman.regime import REGIMES
from services.feynman.sample_columns import SampleColumns
from services.feynman.vector import Vectors
from services.feynman.windows import FloatArray, IntArray, RowArrays, Rows

REGIME_TEXTS = [orjson.dumps(regime).decode() for regime in REGIMES]
_NONE = "0.0"
"""Stands for a number that is not there: nan would not be equal to itself."""


class StandingText(NamedTuple):
    """The parts of one symbol's texts: fields in JSON."""

    tail: str
    """Of a state: regime, alpha_coefficient and its interval."""
    announced_tail: str
    """Of an update: alpha and regime."""
    interval: str
    rest: str
    """regime_since, step and holes; and snapped, grid, votes, tick, interval and session where these say anything."""


class StandingTexts(RowArrays):
    """The standing texts of all symbols, in rows as those of Windows."""

    def __init__(self, capacity: int = 64) -> None:
        self._told: FloatArray = np.zeros((capacity, 13))
        """The values that the texts tell. Codes of regimes are counted from 1, so a row of zeros has none yet."""
        self._texts: npt.NDArray[Any] = np.zeros(capacity, np.object_)

    def of(
        self,
        rows: Rows,
        vectors: Vectors,
        samples: SampleColumns,
        grid: FloatArray,
        votes: IntArray,
        regime_since: FloatArray,
    ) -> list[StandingText]:
        """The texts of these rows. All arguments have one entry per row. grid: the tick in force, nan without one.
        votes: how many samples in a row have voted for another grid."""
        if (most := int(rows.max(initial=0))) >= len(self._told):
            self.grow(2 * most)
        tail = vectors.alpha_coefficient, vectors.alpha_low, vectors.alpha_high
        stated = [np.nan_to_num(column, nan=0.0) for column in (grid, samples.tick, samples.interval)]
        whole = vectors.holes, vectors.snapped, votes, samples.session, vectors.regime + 1
        now: FloatArray = np.stack([*tail, vectors.step, *stated, *whole, regime_since], axis=1)
        changed = np.flatnonzero((now != self._told[rows]).any(axis=1))
        if len(changed):
            self._told[rows[changed]] = now[changed]
            marks = [samples.mark[i] for i in changed.tolist()]
            for row, text in zip(rows[changed].tolist(), _texts(now[changed].T, marks), strict=True):
                self._texts[row] = text
        texts: list[StandingText] = self._texts[rows].tolist()
        return texts


def numbers(column: npt.NDArray[Any]) -> list[str]:
    """Each of the numbers, of which there are some, as JSON text."""
    return orjson.dumps(column, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode().split(",")


@lru_cache(maxsize=2**15)  # a regime lasts, so that nearly all were told before
def time_text(epoch_seconds: float) -> str:
    return iso_millis(epoch_seconds)


def _texts(columns: FloatArray, marks: Sequence[str | None]) -> Iterator[StandingText]:
    *floats, holes, snapped, votes, _session, regime, since = columns
    whole = (column.astype(np.int64) for column in (holes, snapped, votes, regime - 1))
    rows = zip(
        *map(numbers, map(np.ascontiguousarray, floats)),
        *(column.tolist() for column in whole),
        marks,
        since.tolist(),
        strict=True,
    )
    for alpha, low, high, step, grid, tick, length, number, off, against, code, mark, start in rows:
        interval = f'"alpha_low":{low},"alpha_high":{high}'
        rare = _rare(off, grid, against, tick, length, mark)
        yield StandingText(
            f'"regime":{REGIME_TEXTS[code]},"alpha_coefficient":{alpha},{interval}',
            f'"alpha":{alpha},"regime":{REGIME_TEXTS[code]}',
            interval,
            f'"regime_since":"{time_text(start)}","step":{step},"holes":{number}{rare}',
        )


def _rare(off: int, grid: str, against: int, tick: str, length: str, mark: str | None) -> str:
    """The fields from snapped to session, those that have anything to say."""
    said = (
        f',"snapped":{off}' if off else "",
        "" if grid == _NONE else f',"grid":{grid}',
        f',"votes":{against}' if against else "",
        "" if tick == _NONE else f',"tick":{tick}',
        "" if length == _NONE else f',"interval":{length}',
        "" if mark is None else f',"session":{orjson.dumps(mark).decode()}',
    )
    return "".join(said)
