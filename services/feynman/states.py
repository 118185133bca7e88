"""Encodes states and updates of many symbols as JSON, at a tenth of the cost of one after the other.

The symbol table uses it. The bytes are the same as those of PhysicsState.to_bytes() and .update(), which define them,
but without the version and the stamp. These come last in both, so a state gets another version by another ending.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
import orjson

from cottage.notes import words
from cottage.state import PILLARS, TakenSample
from cottage.version import Version
from services.feynman.sample_columns import SampleColumns
from services.feynman.standing_texts import REGIME_TEXTS, StandingText, numbers, time_text
from services.feynman.vector import Vectors
from services.feynman.windows import FloatArray

_THOUSANDTHS = [f'.{number:03d}Z"' for number in range(1000)]
_REGIME, _SINCE = re.compile(rb'"regime":"[^"]*"'), re.compile(rb'"regime_since":"[^"]*"')
_TIMES = re.compile(rb'"timestamp":"[^"]*"(?:,"feed_time":"[^"]*")?')


def texts(
    symbols: Sequence[str],
    vectors: Vectors,
    samples: SampleColumns,
    timestamp: FloatArray,
    lags: Sequence[int],
    standing: Sequence[StandingText],
    taken: Mapping[int, Sequence[TakenSample]] = MappingProxyType({}),
) -> Iterator[tuple[bytes, bytes]]:
    """For each symbol its state and its PHYSICS_UPDATE, both without their `ending`.

    All arguments have one entry per symbol, in the same order. timestamp: of the states; those of the samples are
    their feeds' own. lags: by how many ms each symbol's feed is late by nature, 0 if it is not. taken: by position,
    the samples that came before a symbol's.
    """
    pillars = (vectors.mass, vectors.momentum, vectors.friction, vectors.entropy, vectors.nash_dist)
    measured = ("volume", samples.volume), ("trades", samples.trades), ("bid", samples.bid), ("ask", samples.ask)
    rows = zip(
        *(symbols, times(timestamp, samples.timestamp), _market_times(samples), standing),
        *map(numbers, pillars),
        *map(numbers, (samples.price, vectors.samples, vectors.nonzero)),
        *(_known(name, column) for name, column in measured),
        *(samples.source, _remarks(vectors, samples, lags, taken)),
        strict=True,
    )
    quoted = {source: orjson.dumps(source).decode() for source in set(samples.source)}
    for name, time, event, stands, mass, momentum, friction, entropy, nash, p, n, m, v, t, b, a, by, said in rows:
        tail, announced_tail, interval, since = stands
        values = f'"mass":{mass},"momentum":{momentum},"friction":{friction},"entropy":{entropy},"nash_dist":{nash}'
        rest = f'"price":{p}{v}{t}{b}{a},"samples":{n},"nonzero":{m},"source":{quoted[by]},{since}{event}'
        state = f"{{{values},{tail},{rest},{time}{said}"
        update = (
            f'{{"event":"PHYSICS_UPDATE","symbol":"{name}",{time},'
            f'"data":{{{announced_tail},{values},{interval},{rest}{said}}}'
        )
        yield state.encode(), update.encode()


def times(timestamp: FloatArray, feed_time: FloatArray) -> list[str]:
    """The fields that tell the time of each sample: `timestamp`, and `feed_time` where that differs."""
    fields = _time_fields("timestamp", timestamp)
    other = np.flatnonzero(_millis(timestamp) != _millis(feed_time))
    for i, field in zip(other.tolist(), _time_fields("feed_time", feed_time[other]), strict=True):
        fields[i] += f",{field}"
    return fields


def _market_times(samples: SampleColumns) -> list[str]:
    """The fields `event_time` and `received` of each sample, those that are stated, with the comma before each."""
    fields = [""] * len(samples)
    event_time = np.where(samples.event_time == samples.timestamp, np.nan, samples.event_time)
    for name, column in (("event_time", event_time), ("received", samples.received)):
        stated = np.flatnonzero(~np.isnan(column))
        for i, field in zip(stated.tolist(), _time_fields(name, column[stated], exact=True), strict=True):
            fields[i] += f",{field}"
    return fields


def _known(name: str, column: FloatArray) -> list[str]:
    """The field of this name for each of these numbers, with the comma before it; nothing for one that is not
    finite."""
    begin, known = f',"{name}":', np.isfinite(column)
    if known.all():
        return [begin + number for number in numbers(column)]
    fields = [""] * len(column)
    there = np.flatnonzero(known)
    if len(there):
        for i, number in zip(there.tolist(), numbers(column[there]), strict=True):
            fields[i] = begin + number
    return fields


def at(text: bytes, time: str) -> bytes:
    """The same state or update with these `times`."""
    return _TIMES.sub(time.encode(), text, count=1)


def with_regime(text: bytes, code: int, since: float) -> bytes:
    """The same state or update with this regime, which began at `since`."""
    text = _REGIME.sub(f'"regime":{REGIME_TEXTS[code]}'.encode(), text, count=1)
    return _SINCE.sub(f'"regime_since":"{time_text(since)}"'.encode(), text, count=1)


def ending(version: Version, database: int = 0) -> bytes:
    """What comes before the stamp of a state, and of an update that is published from this database: its version."""
    db = f',"db":{database}' if database else ""
    return f',"epoch":{version.epoch},"seq":{version.seq}{db}'.encode()


def _remarks(
    vectors: Vectors, samples: SampleColumns, lags: Sequence[int], taken: Mapping[int, Sequence[TakenSample]]
) -> list[str]:
    """The fields from `lag_ms` to `feed` of each symbol, those that have anything to say."""
    remarks = _numeric_remarks(vectors, samples, lags)
    natives = {
        name: "" if name is None else f',"native":{orjson.dumps(name).decode()}' for name in set(samples.native)
    }
    if any(natives):
        remarks = [remark + natives[name] for remark, name in zip(remarks, samples.native, strict=True)]
    saying = samples.notes != 0
    if any(samples.other_notes):
        saying |= np.array([*map(bool, samples.other_notes)])
    for i in np.flatnonzero(saying).tolist():
        remarks[i] += f',"said":{_said(int(samples.notes[i]), samples.other_notes[i])}'
    for i in np.flatnonzero(samples.lost).tolist():
        remarks[i] += ',"lost":true'
    for i, earlier in taken.items():
        remarks[i] += f',"taken":{orjson.dumps([sample.as_dict() for sample in earlier]).decode()}'
    feeds = {feed: "" if feed is None else f',"feed":"{feed}"' for feed in set(samples.feed)}
    return [remark + feeds[feed] for remark, feed in zip(remarks, samples.feed, strict=True)]


@lru_cache(maxsize=4096)
def _said(noted: int, others: tuple[str, ...]) -> str:
    return orjson.dumps(words(noted, others)).decode()


def _numeric_remarks(vectors: Vectors, samples: SampleColumns, lags: Sequence[int]) -> list[str]:
    """All of them but `native`."""
    if any(lags) or any(samples.other_notes):
        columns = (lags, vectors.notes.tolist(), samples.other_notes, vectors.void.tolist())
        return [_remark(*said) for said in zip(*columns, strict=True)]
    # As usual: two numbers as one cost a third.
    both = (vectors.notes << len(PILLARS) | vectors.void).tolist()
    remarks = {each: _remark(0, each >> len(PILLARS), (), each % 2 ** len(PILLARS)) for each in set(both)}
    return [remarks[each] for each in both]


@lru_cache(maxsize=4096)
def _remark(lag: int, noted: int, others: tuple[str, ...], void: int) -> str:
    said: dict[str, Any] = {"lag_ms": lag, "notes": words(noted, others), "void": _names(void)}
    return "".join(f',"{name}":{orjson.dumps(value).decode()}' for name, value in said.items() if value)


def _names(void: int) -> list[str]:
    return [name for place, name in enumerate(PILLARS) if void >> place & 1]


def _time_fields(name: str, epoch_seconds: FloatArray, *, exact: bool = False) -> list[str]:
    """The field of this name for each time, which is told as by cottage.clock.iso_millis, or `exact` as by
    iso_micros."""
    whole = np.rint(epoch_seconds * 1e6).astype(np.int64) if exact else 1000 * _millis(epoch_seconds).astype(np.int64)
    seconds, micros = np.divmod(whole, 1_000_000)
    distinct = np.unique(seconds)  # few, though the symbols are many
    texts = np.datetime_as_string(distinct.astype("datetime64[s]")).tolist()
    begin = {second: f'"{name}":"{text}' for second, text in zip(distinct.tolist(), texts, strict=True)}
    if (micros % 1000).any():
        pairs = zip(seconds.tolist(), micros.tolist(), strict=True)
        return [begin[second] + _fraction(micro) for second, micro in pairs]
    pairs = zip(seconds.tolist(), (micros // 1000).tolist(), strict=True)
    return [begin[second] + _THOUSANDTHS[milli] for second, milli in pairs]


def _fraction(micro: int) -> str:
    return f'.{micro:06d}Z"' if micro % 1000 else _THOUSANDTHS[micro // 1000]


def _millis(epoch_seconds: FloatArray) -> FloatArray:
    return np.asarray(np.rint(epoch_seconds * 1000))
