"""Encodes states and updates of many symbols as JSON, at a tenth of the cost of one after the other.

The symbol table uses it. The bytes are the same as those of PhysicsState.to_bytes() and .update(), which define them,
but without the version. That comes last in both, so a state gets another version by another ending.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import orjson

from cottage.version import Version
from services.feynman.sample_columns import SampleColumns
from services.feynman.vector import REGIMES, Vectors
from services.feynman.windows import FloatArray

_REGIMES = [orjson.dumps(regime).decode() for regime in REGIMES]


def texts(symbols: Sequence[str], vectors: Vectors, samples: SampleColumns) -> Iterator[tuple[bytes, bytes]]:
    """For each symbol its state and its PHYSICS_UPDATE, both without their `ending`.

    All three arguments have one entry per symbol, in the same order.
    """
    columns = zip(
        symbols,
        _times(samples.timestamp),
        *map(_numbers, (vectors.mass, vectors.momentum, vectors.friction, vectors.entropy, vectors.nash_dist)),
        vectors.regime.tolist(),
        _numbers(vectors.alpha_coefficient),
        _numbers(samples.price),
        vectors.samples.tolist(),
        vectors.nonzero.tolist(),
        samples.source,
        strict=True,
    )
    quoted = {source: orjson.dumps(source).decode() for source in set(samples.source)}
    for symbol, time, mass, momentum, friction, entropy, nash, code, alpha, price, count, nonzero, source in columns:
        pillars = f'"mass":{mass},"momentum":{momentum},"friction":{friction},"entropy":{entropy},"nash_dist":{nash}'
        regime = _REGIMES[code]
        rest = f'"price":{price},"samples":{count},"nonzero":{nonzero},"source":{quoted[source]}'
        state = f'{{{pillars},"regime":{regime},"alpha_coefficient":{alpha},{rest},"timestamp":"{time}Z"'
        update = (
            f'{{"event":"PHYSICS_UPDATE","symbol":"{symbol}","timestamp":"{time}Z",'
            f'"data":{{"alpha":{alpha},"regime":{regime},{pillars},{rest}}}'
        )
        yield state.encode(), update.encode()


def ending(version: Version) -> bytes:
    """The end of a state and of an update: their version."""
    return f',"epoch":{version.epoch},"seq":{version.seq}}}'.encode()


def _numbers(column: FloatArray) -> list[str]:
    """Each number as JSON text."""
    return orjson.dumps(column.tolist())[1:-1].decode().split(",")


def _times(epoch_seconds: FloatArray) -> list[str]:
    """As cottage.clock.iso_millis, without the Z."""
    millis = np.rint(epoch_seconds * 1000).astype("datetime64[ms]")
    times: list[str] = np.datetime_as_string(millis).tolist()
    return times
