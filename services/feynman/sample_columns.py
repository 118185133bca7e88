"""Parses and checks many snapshots at once into columns, arrays of one value per snapshot, for the symbol table.

The rules are those of cottage/snapshot.py. Some hundred snapshots at a time are checked column by column, at a tenth
of the cost of one after the other. If anything among them is unusual, `read_sample` checks each of them, and
`faults` says what is wrong.
"""

import contextlib
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import orjson

from cottage import notes
from cottage.clock import LATEST_SECONDS
from cottage.errors import InvalidMessage
from cottage.snapshot import (
    EXACT_BELOW,
    FAR,
    LONGEST_NUMBER,
    MARKET_FIELDS,
    NUMERALS,
    QUOTES,
    SAMPLE_FIELDS,
    TIMES,
    InvalidSnapshot,
    RawSample,
    Sample,
    faults,
    latest,
    optional,
    or_nan,
    parse_feed,
    parse_fill,
    parse_native,
    parse_session,
    parse_source,
    parse_until,
    read_sample,
    sound_quotes,
)
from services.feynman.windows import BoolArray, FloatArray, IntArray

CHUNK = 500
"""So many snapshots are checked together; one by one if any of them is unusual."""

_MARKET = SAMPLE_FIELDS.index(MARKET_FIELDS[0])
_NUMERALS_COMMA_AND_BLANKS = NUMERALS + b", \t\r\n"
Column = Sequence[str | bytes | None]
Numbers = tuple[FloatArray, ...]
T = TypeVar("T")
OnDoubt = Callable[[int, InvalidMessage], None]
"""A callback for each field that is left out while its sample is used: the sample's index, and an error whose reason
is the field's name."""


def _ignore(_index: int, _error: InvalidMessage) -> None:
    """The default for `on_doubt`, which does nothing."""


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
    rival_until: FloatArray
    """Until when somebody else would like to write the symbol, by Redis's clock; 0 if nobody."""
    native: list[str | None]
    """The symbol as its venue spells it, where the feed says so."""
    event_time: FloatArray
    """The market's own time; `timestamp` where the feed states none."""
    interval: FloatArray
    """How many seconds a bar lasts; nan where that is not stated."""
    tick: FloatArray
    """The step of the grid of prices; nan where that is not stated."""
    received: FloatArray
    """When the feed's program received it; nan where that is not stated."""
    bid: FloatArray
    """nan where it is not stated or cannot be true beside the price, as of `ask`."""
    ask: FloatArray
    mark: list[str | None]
    """The session's mark, for which `session` stands."""
    fill: IntArray
    """The number of the sample in `market:fill:{SYMBOL}`; 0 for none."""
    lost: BoolArray
    """Whether the sample before it there is lost, which `fills.py` finds out."""

    def __len__(self) -> int:
        return len(self.source)

    @property
    def feed_or_source(self) -> list[str]:
        """What names the feed of each: its source, if it has no ID."""
        return [feed or source for feed, source in zip(self.feed, self.source, strict=True)]

    def where(self, which: IntArray) -> "SampleColumns":
        """The samples at these positions, which are ascending."""
        if len(which) == len(self):
            return self
        places = which.tolist()
        columns = (getattr(self, field.name) for field in fields(self))
        chosen: list[Any] = [[each[i] for i in places] if isinstance(each, list) else each[which] for each in columns]
        return SampleColumns(*chosen)


def parse(
    snapshots: Sequence[RawSample], now: float, told_at: float | None = None, on_doubt: OnDoubt = _ignore
) -> tuple[SampleColumns, list[tuple[int, InvalidSnapshot]]]:
    """The valid samples, and the indices of the invalid snapshots with their errors.

    `now`: Redis's clock, infinite for a caller that judges itself how far ahead they are. `told_at`: the same clock
    for what is told of the invalid ones, if that is another. `on_doubt` gets each of MARKET_FIELDS that is left out.
    """
    parts: list[SampleColumns] = []
    refused: list[tuple[int, InvalidSnapshot]] = []
    for start in range(0, len(snapshots), CHUNK):
        chunk = snapshots[start : start + CHUNK]
        index: IntArray = np.arange(start, start + len(chunk))
        columns = list(zip(*chunk, strict=True))
        numbers = _usual(columns, now)
        if numbers is None:
            index, numbers, invalid = _one_by_one(chunk, start, now)
            refused += [
                (i, InvalidSnapshot(faults(snapshots[i], now if told_at is None else told_at))) for i in invalid
            ]
            columns = list(zip(*[snapshots[i] for i in index.tolist()], strict=True))
        if len(index):
            said, (*market, bid, ask, fill) = columns[4:_MARKET], columns[_MARKET:]
            found: list[Any] = [index, *numbers, *_said(*said), *_market(market, numbers[1], index, on_doubt)]
            found += *_quotes((bid, ask), numbers[0], index, on_doubt), _each(said[1], parse_session)
            found += _each_number(fill, parse_fill, np.int64), np.zeros(len(index), np.bool_)
            parts.append(SampleColumns(*found))
    return _joined(parts), refused


def _usual(columns: Sequence[Column], now: float) -> Numbers | None:
    """Price, timestamp, volume and trades, if every row is valid and in the usual notation."""
    try:
        price, timestamp, *counts = *map(_numbers, columns[:2]), *map(_counts, columns[2:4])
        _each(columns[4], parse_source)
    except (ValueError, TypeError):  # of orjson, of a column with text or None in it, and InvalidMessage
        return None
    sound = (
        (price > 0).all()
        and np.isfinite(price).all()
        and (timestamp >= 0).all()
        and (timestamp <= latest(now)).all()
        and not any(((count < 0) | (count >= EXACT_BELOW)).any() for count in counts)
    )
    return (price, timestamp, *counts) if sound else None


def _one_by_one(chunk: Sequence[RawSample], start: int, now: float) -> tuple[IntArray, Numbers, list[int]]:
    """The indices of a chunk's valid rows, counted from `start`, their numbers, and the indices of the others."""
    samples: dict[int, Sample] = {}
    refused: list[int] = []
    for i, row in enumerate(chunk, start):
        try:
            samples[i] = read_sample(row, now)
        except InvalidMessage:
            refused.append(i)
    numbers = np.array([sample[:4] for sample in samples.values()]).reshape(-1, 4)
    return np.array(list(samples), np.int64), tuple(numbers.T), refused


def _said(
    source: Column, session: Column, words: Column, feed: Column, rival: Column, native: Column
) -> tuple[Any, ...]:
    """The columns of SampleColumns from `session` to `native`. Every source is valid."""
    return (
        _each_number(session, session_number, np.int64),
        _each_number(words, lambda text: notes.parse(text)[0], np.int64),
        _each(source, parse_source),
        _each(words, lambda text: notes.parse(text)[1]),
        _each(feed, parse_feed),
        _each_number(rival, parse_until, np.float64),
        _each(native, parse_native),
    )


def _market(columns: Sequence[Column], timestamp: FloatArray, index: IntArray, on_doubt: OnDoubt) -> Numbers:
    """The MARKET_FIELDS of the valid samples, which have these timestamps and indices."""
    event_time, *rest = (
        _stated(column, name, index, on_doubt) for column, name in zip(columns, MARKET_FIELDS, strict=True)
    )
    return np.where(np.isnan(event_time), timestamp, np.rint(event_time * 1e6) / 1e6), *rest  # as told_time()


def _quotes(columns: Sequence[Column], price: FloatArray, index: IntArray, on_doubt: OnDoubt) -> Numbers:
    """Bid and ask of the valid samples, which have these prices and indices, those that can be true."""
    bid, ask = (_stated(column, name, index, on_doubt) for column, name in zip(columns, QUOTES, strict=True))
    with np.errstate(over="ignore"):
        least, most = price / FAR, price * FAR
    near = [np.isnan(quote) | ((least <= quote) & (quote <= most)) for quote in (bid, ask)]
    for i in np.flatnonzero(~(near[0] & near[1]) | (bid > ask)).tolist():
        its_bid, its_ask = (None if math.isnan(quote) else quote for quote in (bid[i].item(), ask[i].item()))
        sound = sound_quotes(price[i].item(), its_bid, its_ask, partial(on_doubt, int(index[i])))
        bid[i], ask[i] = map(or_nan, sound)
    return bid, ask


def _stated(column: Column, name: str, index: IntArray, on_doubt: OnDoubt) -> FloatArray:
    """The numbers of this one of MARKET_FIELDS and QUOTES; nan where there is none that is sound."""
    if column.count(None) == len(column):  # as usual
        return np.full(len(column), np.nan)
    with contextlib.suppress(ValueError, TypeError):
        numbers = _counts(column)
        sound = (numbers >= 0) & (numbers <= LATEST_SECONDS) if name in TIMES else numbers > 0
        if (np.isnan(numbers) | (sound & np.isfinite(numbers))).all():
            return numbers
    places = zip(index.tolist(), column, strict=True)
    return np.array([optional(text, name, partial(on_doubt, i)) for i, text in places], np.float64)  # None is nan


def session_number(text: str | bytes | None) -> int:
    """The number that stands for a session's mark; 0 for none."""
    mark = parse_session(text)
    return 0 if mark is None else zlib.crc32(mark.encode()) or 1


def _joined(parts: Sequence[SampleColumns]) -> SampleColumns:
    """The rows of all parts, one after the other."""
    none, whole, flags = np.empty(0), np.empty(0, np.int64), np.empty(0, np.bool_)
    market: list[Any] = [none] * (len(MARKET_FIELDS) + len(QUOTES))
    said: list[Any] = [whole, whole, [], [], [], none, [], *market, [], whole, flags]
    parts = [SampleColumns(whole, none, none, none, none, *said), *parts]
    columns: list[list[Any]] = [[getattr(part, field.name) for part in parts] for field in fields(SampleColumns)]
    joined: list[Any] = [
        list(chain(*each)) if isinstance(each[0], list) else np.concatenate(each) for each in columns
    ]
    return SampleColumns(*joined)


def _each(words: Column, parse: Callable[[str | bytes | None], T]) -> list[T]:
    """What `parse` makes of each word; it is called once for those that are the same, as they are nearly always."""
    parsed = {word: parse(word) for word in set(words)}
    return list(parsed.values()) * len(words) if len(parsed) == 1 else [parsed[word] for word in words]


def _each_number(words: Column, parse: Callable[[str | bytes | None], float], kind: type[Any]) -> npt.NDArray[Any]:
    """The same, of numbers."""
    parsed = {word: parse(word) for word in set(words)}
    if len(parsed) == 1:
        return np.full(len(words), next(iter(parsed.values())), kind)
    return np.array([parsed[word] for word in words], kind)


def _counts(column: Column) -> FloatArray:
    """Parse a counter's numbers; nan where it is missing."""
    try:
        return _numbers(column)
    except TypeError:  # it is cheaper than to look for None beforehand
        numbers = _numbers([b"0" if count is None else count for count in column])
        numbers[[count is None for count in column]] = np.nan
        return numbers


def _numbers(texts: Column) -> FloatArray:
    """Parse JSON numbers. Raises ValueError or TypeError if one is not a number in JSON's notation.

    Notations such as "+1" and ".5" are left to read_sample.
    """
    joined = b",".join(texts)  # type: ignore[arg-type]  # a TypeError for what is not bytes
    if joined.translate(None, _NUMERALS_COMMA_AND_BLANKS) or max(map(len, texts)) > LONGEST_NUMBER:  # type: ignore[arg-type]
        raise ValueError("not numbers only")
    numbers: list[float] = orjson.loads(b"[%b]" % joined)
    if len(numbers) != len(texts):
        raise ValueError("a comma within a number")
    return np.array(numbers, np.float64)
