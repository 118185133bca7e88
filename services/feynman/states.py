"""Encodes states and updates of many symbols as JSON, at a tenth of the cost of one after the other.

The symbol table uses it. The bytes are the same as those of PhysicsState.to_bytes() and .update(), which define them,
but without the version. That comes last in both, so a state gets another version by another ending.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
import orjson

from cottage.notes import words
from cottage.state import PILLARS
from cottage.version import Version
from services.feynman.sample_columns import SampleColumns
from services.feynman.vector import REGIMES, Vectors
from services.feynman.windows import FloatArray

_REGIMES = [orjson.dumps(regime).decode() for regime in REGIMES]
_TIMES = re.compile(rb'"timestamp":"[^"]*"(?:,"feed_time":"[^"]*")?')


def texts(
    symbols: Sequence[str],
    vectors: Vectors,
    samples: SampleColumns,
    timestamp: FloatArray,
    lags: Mapping[str, int],
) -> Iterator[tuple[bytes, bytes]]:
    """For each symbol its state and its PHYSICS_UPDATE, both without their `ending`.

    All arguments but `lags` have one entry per symbol, in the same order. timestamp: of the states; those of the
    samples are their feeds' own. lags: by how many ms each feed is late, if it is late by nature.
    """
    columns = zip(
        symbols,
        times(timestamp, samples.timestamp),
        *map(_numbers, (vectors.mass, vectors.momentum, vectors.friction, vectors.entropy, vectors.nash_dist)),
        vectors.regime.tolist(),
        _numbers(vectors.alpha_coefficient),
        _numbers(samples.price),
        vectors.samples.tolist(),
        vectors.nonzero.tolist(),
        samples.source,
        _remarks(vectors, samples),
        samples.feed,
        strict=True,
    )
    quoted = {source: orjson.dumps(source).decode() for source in set(samples.source)}
    late = {source: f',"lag_ms":{lags[source]}' if source in lags else "" for source in quoted}
    feeds = {feed: "" if feed is None else f',"feed":"{feed}"' for feed in set(samples.feed)}
    for (
        symbol,
        time,
        mass,
        momentum,
        friction,
        entropy,
        nash,
        code,
        alpha,
        price,
        count,
        nonzero,
        source,
        said,
        feed,
    ) in columns:
        pillars = f'"mass":{mass},"momentum":{momentum},"friction":{friction},"entropy":{entropy},"nash_dist":{nash}'
        regime = _REGIMES[code]
        rest = f'"price":{price},"samples":{count},"nonzero":{nonzero},"source":{quoted[source]}'
        told = late[source] + said
        state = f'{{{pillars},"regime":{regime},"alpha_coefficient":{alpha},{rest},{time}{told}{feeds[feed]}'
        update = (
            f'{{"event":"PHYSICS_UPDATE","symbol":"{symbol}",{time},'
            f'"data":{{"alpha":{alpha},"regime":{regime},{pillars},{rest}{told}}}'
        )
        yield state.encode(), update.encode()


def times(timestamp: FloatArray, feed_time: FloatArray) -> list[str]:
    """The fields that tell the time of each sample: `timestamp`, and `feed_time` where that differs."""
    found = [f'"timestamp":"{time}Z"' for time in _iso(timestamp)]
    other = np.flatnonzero(_millis(timestamp) != _millis(feed_time))
    for i, time in zip(other.tolist(), _iso(feed_time[other]), strict=True):
        found[i] += f',"feed_time":"{time}Z"'
    return found


def at(text: bytes, time: str) -> bytes:
    """The same state or update with these `times`."""
    return _TIMES.sub(time.encode(), text, count=1)


def ending(version: Version, database: int = 0) -> bytes:
    """The end of a state, and of an update that is published from this database: their version."""
    db = f',"db":{database}' if database else ""
    return f',"epoch":{version.epoch},"seq":{version.seq}{db}}}'.encode()


def _remarks(vectors: Vectors, samples: SampleColumns) -> list[str]:
    """The fields `notes` and `void` of each symbol, those that have anything to say."""
    columns = (vectors.notes.tolist(), samples.other_notes, vectors.void.tolist())
    return [_remark(*said) for said in zip(*columns, strict=True)]


@lru_cache(maxsize=4096)
def _remark(noted: int, others: tuple[str, ...], void: int) -> str:
    said = {"notes": words(noted, others), "void": [name for place, name in enumerate(PILLARS) if void >> place & 1]}
    return "".join(f',"{name}":{orjson.dumps(value).decode()}' for name, value in said.items() if value)


def _numbers(column: FloatArray) -> list[str]:
    """Each number as JSON text."""
    return orjson.dumps(column.tolist())[1:-1].decode().split(",")


def _iso(epoch_seconds: FloatArray) -> list[str]:
    """As cottage.clock.iso_millis, without the Z."""
    iso: list[str] = np.datetime_as_string(_millis(epoch_seconds).astype("datetime64[ms]")).tolist()
    return iso


def _millis(epoch_seconds: FloatArray) -> FloatArray:
    return np.asarray(np.rint(epoch_seconds * 1000))
