"""Parses and checks many snapshots at once into columns, arrays of one value per snapshot, for the symbol table.

The rules are those of cottage/snapshot.py. Some hundred snapshots at a time are checked column by column, at a tenth
of the cost of one after the other. If anything among them is unusual, `parse_sample` checks each of them, and says
what is wrong.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import orjson

from cottage import notes
from cottage.errors import InvalidMessage
from cottage.snapshot import (
    EXACT_BELOW,
    LONGEST_NUMBER,
    NUMERALS,
    RawSample,
    Sample,
    latest,
    parse_feed,
    parse_sample,
    parse_session,
    parse_source,
)
from services.feynman.windows import FloatArray, IntArray

CHUNK = 500
"""So many snapshots are checked together; one by one if any of them is unusual."""

_NUMERALS_AND_COMMA = NUMERALS + b","
T = TypeVar("T")
W = TypeVar("W", bound=str | bytes | None)
Said = tuple[str, str | None, tuple[int, tuple[str, ...]], str | None]
"""What a Sample has besides numbers: source, session, notes and feed."""


@dataclass(frozen=True, slots=True)
class SampleColumns:
    """Checked samples, as columns of equal length."""

    index: IntArray
    """The index of each sample among the snapshots that were parsed, ascending."""
    price: FloatArray
    timestamp: FloatArray
    volume: FloatArray
    """nan where it is missing, inf where it is too great; `trades` too."""
    trades: FloatArray
    session: IntArray
    """A number for each mark of a session; 0 where none is stated."""
    notes: IntArray
    """The bits of the words of `cottage.notes` that the feed says."""
    source: list[str]
    other_notes: list[tuple[str, ...]]
    """The words that it says otherwise."""
    feed: list[str | None]
    """The ID of the feed."""

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
            self.session[which],
            self.notes[which],
            [self.source[i] for i in which.tolist()],
            [self.other_notes[i] for i in which.tolist()],
            [self.feed[i] for i in which.tolist()],
        )


def parse(snapshots: Sequence[RawSample], now: float) -> tuple[SampleColumns, list[tuple[int, InvalidMessage]]]:
    """The valid samples, and the indices of the invalid snapshots with their errors. `now`: Redis's clock."""
    accepted: list[int] = []
    numbers: list[tuple[FloatArray, ...]] = [(np.empty(0),) * 4]
    said: list[Said] = []
    refused: list[tuple[int, InvalidMessage]] = []
    for start in range(0, len(snapshots), CHUNK):
        chunk = snapshots[start : start + CHUNK]
        usual = _usual(chunk, now)
        if usual is not None:
            accepted += range(start, start + len(chunk))
            numbers.append(usual[0])
            said += usual[1]
            continue
        samples: list[Sample] = []
        for i, row in enumerate(chunk, start):
            try:
                samples.append(parse_sample(row, now))
            except InvalidMessage as error:
                refused.append((i, error))
            else:
                accepted.append(i)
        numbers.append(tuple(np.array([sample[:4] for sample in samples]).reshape(-1, 4).T))
        said += [sample[4:] for sample in samples]
    price, timestamp, volume, trades = map(np.concatenate, zip(*numbers, strict=True))
    sources, sessions, words, feeds = zip(*said, strict=True) if said else ((), (), (), ())
    marks = _each(sessions, lambda mark: 0 if mark is None else zlib.crc32(mark.encode()) or 1)
    columns = SampleColumns(
        np.array(accepted, np.int64),
        price,
        timestamp,
        volume,
        trades,
        np.array(marks, np.int64),
        np.array([bits for bits, _others in words], np.int64),
        list(sources),
        [others for _bits, others in words],
        list(feeds),
    )
    return columns, refused


def _usual(rows: Sequence[RawSample], now: float) -> tuple[tuple[FloatArray, ...], list[Said]] | None:
    """Price, timestamp, volume and trades, and what else a Sample has, if every row is valid and in the usual
    notation."""
    price, timestamp, volume, trades, source, session, words, feed = zip(*rows, strict=True)
    try:
        numbers = (_numbers(price), _numbers(timestamp), _counts(volume), _counts(trades))
        sources = _each(source, parse_source)
    except (ValueError, TypeError):  # of orjson, of a column with text or None in it, and InvalidMessage
        return None
    sound = (
        (numbers[0] > 0).all()
        and np.isfinite(numbers[0]).all()
        and (numbers[1] >= 0).all()
        and (numbers[1] <= latest(now)).all()
        and not any(((count < 0) | (count >= EXACT_BELOW)).any() for count in numbers[2:])
    )
    if not sound:
        return None
    told = _each(session, parse_session), _each(words, notes.parse), _each(feed, parse_feed)
    return numbers, list(zip(sources, *told, strict=True))


def _each(words: Sequence[W], parse: Callable[[W], T]) -> list[T]:
    """What `parse` makes of each word; it is called once for those that are the same."""
    parsed = {word: parse(word) for word in set(words)}
    return [parsed[word] for word in words]


def _counts(column: Sequence[str | bytes | None]) -> FloatArray:
    """Parse a counter's numbers; nan where it is missing."""
    if None not in column:
        return _numbers(column)
    numbers = _numbers([b"0" if count is None else count for count in column])
    numbers[[count is None for count in column]] = np.nan
    return numbers


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
