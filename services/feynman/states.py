"""Encodes states and updates of many symbols as JSON, at a tenth of the cost of one after the other.

The symbol table uses it. The bytes are the same as those of PhysicsState.to_bytes() and .update(), which define them,
but without the version. That comes last in both, so a state gets another version by another ending.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import orjson

from cottage.clock import iso_millis
from cottage.notes import words
from cottage.state import PILLARS
from cottage.version import Version
from services.feynman.regime import REGIMES
from services.feynman.sample_columns import SampleColumns
from services.feynman.vector import Vectors
from services.feynman.windows import FloatArray

_REGIMES = [orjson.dumps(regime).decode() for regime in REGIMES]
_THOUSANDTHS = [f'.{number:03d}Z"' for number in range(1000)]
_REGIME, _SINCE = re.compile(rb'"regime":"[^"]*"'), re.compile(rb'"regime_since":"[^"]*"')
_TIMES = re.compile(rb'"timestamp":"[^"]*"(?:,"feed_time":"[^"]*")?')


def texts(
    symbols: Sequence[str],
    vectors: Vectors,
    samples: SampleColumns,
    timestamp: FloatArray,
    lags: Sequence[int],
    regime_since: FloatArray,
) -> Iterator[tuple[bytes, bytes]]:
    """For each symbol its state and its PHYSICS_UPDATE, both without their `ending`.

    All arguments have one entry per symbol, in the same order. timestamp: of the states; those of the samples are
    their feeds' own. lags: by how many ms each symbol's feed is late by nature, 0 if it is not. regime_since: as in
    Windows.
    """
    pillars = (vectors.mass, vectors.momentum, vectors.friction, vectors.entropy, vectors.nash_dist)
    rows = zip(
        *(symbols, times(timestamp, samples.timestamp)),
        *map(_numbers, pillars),
        *(vectors.regime.tolist(), _market_times(regime_since, samples)),
        *map(_numbers, (vectors.alpha_coefficient, vectors.alpha_low, vectors.alpha_high)),
        *(_numbers(samples.price), vectors.samples.tolist(), vectors.nonzero.tolist(), samples.source),
        *(_numbers(vectors.step), _holes_and_snapped(vectors)),
        *(_remarks(vectors, samples, lags), samples.feed),
        strict=True,
    )
    quoted = {source: orjson.dumps(source).decode() for source in set(samples.source)}
    feeds = {feed: "" if feed is None else f',"feed":"{feed}"' for feed in set(samples.feed)}
    for name, time, mass, momentum, friction, entropy, nash, *tail, p, n, m, source, step, holes, said, feed in rows:
        code, since, alpha, low, high = tail
        interval = f'"alpha_low":{low},"alpha_high":{high}'
        rest = f'{interval},"price":{p},"samples":{n},"nonzero":{m},"source":{quoted[source]},{since}'
        values = f'"mass":{mass},"momentum":{momentum},"friction":{friction},"entropy":{entropy},"nash_dist":{nash}'
        regime = _REGIMES[code]
        spaced = f'"step":{step},"holes":{holes}'
        state = f'{{{values},"regime":{regime},"alpha_coefficient":{alpha},{rest},{spaced},{time}{said}{feeds[feed]}'
        update = (
            f'{{"event":"PHYSICS_UPDATE","symbol":"{name}",{time},'
            f'"data":{{"alpha":{alpha},"regime":{regime},{values},{rest}{said}}}'
        )
        yield state.encode(), update.encode()


def times(timestamp: FloatArray, feed_time: FloatArray) -> list[str]:
    """The fields that tell the time of each sample: `timestamp`, and `feed_time` where that differs."""
    fields = _time_fields("timestamp", timestamp)
    other = np.flatnonzero(_millis(timestamp) != _millis(feed_time))
    for i, field in zip(other.tolist(), _time_fields("feed_time", feed_time[other]), strict=True):
        fields[i] += f",{field}"
    return fields


def _market_times(regime_since: FloatArray, samples: SampleColumns) -> list[str]:
    """The fields `regime_since`, and `event_time` where the feed states it."""
    fields = [f'"regime_since":"{_time(since)}"' for since in regime_since.tolist()]
    stated = np.flatnonzero(samples.event_time != samples.timestamp)
    for i, field in zip(stated.tolist(), _time_fields("event_time", samples.event_time[stated]), strict=True):
        fields[i] += f",{field}"
    return fields


def _holes_and_snapped(vectors: Vectors) -> Sequence[int | str]:
    """The values of `holes`, each followed by `snapped` where that is not 0."""
    holes: list[int | str] = vectors.holes.tolist()
    if not vectors.snapped.any():  # as usual
        return holes
    both = zip(holes, vectors.snapped.tolist(), strict=True)
    return [f'{number},"snapped":{snapped}' if snapped else number for number, snapped in both]


def at(text: bytes, time: str) -> bytes:
    """The same state or update with these `times`."""
    return _TIMES.sub(time.encode(), text, count=1)


def with_regime(text: bytes, code: int, since: float) -> bytes:
    """The same state or update with this regime, which began at `since`."""
    text = _REGIME.sub(f'"regime":{_REGIMES[code]}'.encode(), text, count=1)
    return _SINCE.sub(f'"regime_since":"{_time(since)}"'.encode(), text, count=1)


def ending(version: Version, database: int = 0) -> bytes:
    """The end of a state, and of an update that is published from this database: their version."""
    db = f',"db":{database}' if database else ""
    return f',"epoch":{version.epoch},"seq":{version.seq}{db}}}'.encode()


def _remarks(vectors: Vectors, samples: SampleColumns, lags: Sequence[int]) -> list[str]:
    """The fields `lag_ms`, `notes`, `void` and `native` of each symbol, those that have anything to say."""
    remarks = _numeric_remarks(vectors, samples, lags)
    natives = {
        name: "" if name is None else f',"native":{orjson.dumps(name).decode()}' for name in set(samples.native)
    }
    if not any(natives):
        return remarks
    return [remark + natives[name] for remark, name in zip(remarks, samples.native, strict=True)]


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


@lru_cache(maxsize=2**15)  # a regime lasts, so that nearly all were told before
def _time(epoch_seconds: float) -> str:
    return iso_millis(epoch_seconds)


def _names(void: int) -> list[str]:
    return [name for place, name in enumerate(PILLARS) if void >> place & 1]


def _numbers(column: FloatArray) -> list[str]:
    """Each number as JSON text."""
    return orjson.dumps(column, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode().split(",")


def _time_fields(name: str, epoch_seconds: FloatArray) -> list[str]:
    """The field of this name for each time, which is told as by cottage.clock.iso_millis."""
    seconds, millis = np.divmod(_millis(epoch_seconds).astype(np.int64), 1000)
    distinct = np.unique(seconds)  # few, though the symbols are many
    texts = np.datetime_as_string(distinct.astype("datetime64[s]")).tolist()
    begin = {second: f'"{name}":"{text}' for second, text in zip(distinct.tolist(), texts, strict=True)}
    pairs = zip(seconds.tolist(), millis.tolist(), strict=True)
    return [begin[second] + _THOUSANDTHS[milli] for second, milli in pairs]


def _millis(epoch_seconds: FloatArray) -> FloatArray:
    return np.asarray(np.rint(epoch_seconds * 1000))
