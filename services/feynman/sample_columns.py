"""Parses and checks many snapshots at once into columns, arrays of one value per snapshot, for the symbol table.

The rules are those of cottage/snapshot.py. Some hundred snapshots at a time are checked column by column, at a tenth
of the cost of one after the other. If anything among them is unusual, `parse_sample` checks each of them, and says
what is wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from cottage.errors import InvalidMessage
from cottage.snapshot import LONGEST_NUMBER, NUMERALS, RawSample, Sample, latest, parse_sample, parse_source
from services.feynman.windows import FloatArray, IntArray

CHUNK = 500
"""So many snapshots are checked together; one by one if any of them is unusual."""

_NUMERALS_AND_COMMA = NUMERALS + b","


@dataclass(frozen=True, slots=True)
class SampleColumns:
    """Checked samples, as columns of equal length."""

    index: IntArray
    """The index of each sample among the snapshots that were parsed, ascending."""
    price: FloatArray
    timestamp: FloatArray
    volume: FloatArray
    trades: FloatArray
    source: list[str]

    def __len__(self) -> int:
        return len(self.source)

    def where(self, which: IntArray) -> "SampleColumns":
        """The samples at these positions."""
        return SampleColumns(
            self.index[which],
            self.price[which],
            self.timestamp[which],
            self.volume[which],
            self.trades[which],
            [self.source[i] for i in which.tolist()],
        )


def parse(snapshots: Sequence[RawSample], now: float) -> tuple[SampleColumns, list[tuple[int, InvalidMessage]]]:
    """The valid samples, and the indices of the invalid snapshots with their errors. `now`: Redis's clock."""
    accepted: list[int] = []
    columns: list[tuple[FloatArray, ...]] = []
    sources: list[str] = []
    refused: list[tuple[int, InvalidMessage]] = []
    for start in range(0, len(snapshots), CHUNK):
        chunk = snapshots[start : start + CHUNK]
        usual = _usual(chunk, now)
        if usual is not None:
            accepted += range(start, start + len(chunk))
            columns.append(usual[0])
            sources += usual[1]
            continue
        samples: list[Sample] = []
        for i, row in enumerate(chunk, start):
            try:
                samples.append(parse_sample(row, now))
            except InvalidMessage as error:
                refused.append((i, error))
            else:
                accepted.append(i)
        columns.append(tuple(np.array([sample[:4] for sample in samples]).reshape(-1, 4).T))
        sources += [sample.source for sample in samples]
    columns = columns or [(np.empty(0),) * 4]
    price, timestamp, volume, trades = map(np.concatenate, zip(*columns, strict=True))
    return SampleColumns(np.array(accepted, np.int64), price, timestamp, volume, trades, sources), refused


def _usual(rows: Sequence[RawSample], now: float) -> tuple[tuple[FloatArray, ...], list[str]] | None:
    """Price, timestamp, volume and trades, and the sources, if every row is valid and in the usual notation."""
    price, timestamp, volume, trades, source = zip(*rows, strict=True)
    try:
        numbers = [_numbers(column) for column in (price, timestamp, _counts(volume), _counts(trades))]
        words = {word: parse_source(word) for word in set(source)}
    except (ValueError, TypeError):  # of orjson, of a column with text or None in it, and InvalidMessage
        return None
    sound = (
        (numbers[0] > 0).all()
        and (numbers[1] >= 0).all()
        and (numbers[1] <= latest(now)).all()
        and (numbers[2] >= 0).all()
        and (numbers[3] >= 0).all()
        and all(np.isfinite(column).all() for column in numbers)
    )
    return (tuple(numbers), [words[word] for word in source]) if sound else None


def _counts(column: Sequence[str | bytes | None]) -> Sequence[str | bytes | None]:
    """A volume or a number of trades that is missing counts as 0."""
    return [b"0" if count is None else count for count in column] if None in column else column


def _numbers(texts: Sequence[str | bytes | None]) -> FloatArray:
    """Parse JSON numbers. Raises ValueError or TypeError if one is not a number in JSON's notation.

    Notations such as "+1" and ".5" are left to parse_sample.
    """
    joined = b",".join(texts)  # type: ignore[arg-type]  # a TypeError for what is not bytes
    if joined.translate(None, _NUMERALS_AND_COMMA) or max(map(len, texts)) > LONGEST_NUMBER:  # type: ignore[arg-type]
        raise ValueError("not numbers only")
    numbers: list[float] = orjson.loads(b"[%b]" % joined)
    if len(numbers) != len(texts):
        raise ValueError("a comma within a number")
    return np.array(numbers, np.float64)
