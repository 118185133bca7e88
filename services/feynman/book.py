"""What feynman knows of each symbol: its window, its newest state, whether that was published. Pure."""

import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from common.clock import iso_millis
from common.errors import InvalidMessage
from common.snapshot import RawSample, Sample, parse_sample
from common.state import PhysicsState, Version
from services.feynman.checkpoint import Part
from services.feynman.vector import REGIMES, Vectors, compute
from services.feynman.windows import Windows


class Write(NamedTuple):
    symbol: str
    state: bytes
    update: bytes | None
    """The PHYSICS_UPDATE to publish with it; None where the state is as it was."""


@dataclass(slots=True)
class Known:
    """One symbol."""

    row: int
    absent_since: float | None = None
    """Monotonic seconds when its snapshot was first found gone; None where it was there."""
    source: str | None = None
    refused: int | None = None
    """Hash of the snapshot that was refused last, so that it is counted once and not with every tick."""
    state: PhysicsState | None = None
    payload: bytes = b""
    update: bytes | None = None
    """The PHYSICS_UPDATE that is still to be published."""


class Book:
    def __init__(self, window: int, gap: float, forget_seconds: float) -> None:
        self._windows = Windows(window, gap=gap)
        self._forget_seconds = forget_seconds
        self._known: dict[str, Known] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def add(self, symbols: Iterable[str]) -> list[str]:
        """Begin a window for each that is not known; those that were new."""
        new = [symbol for symbol in dict.fromkeys(symbols) if symbol not in self._known]
        for symbol in new:
            self._known[symbol] = Known(self._windows.add())
        return new

    def sampled(self) -> list[str]:
        """The symbols that have a window to save."""
        return [symbol for symbol, known in self._known.items() if known.source is not None]

    def saved(self, symbols: Sequence[str]) -> Part:
        """A copy of the windows of those that are still known and sampled."""
        there = [symbol for symbol in symbols if symbol in self._known and self._known[symbol].source is not None]
        known = [self._known[symbol] for symbol in there]
        rows = np.array([each.row for each in known], np.intp)
        sampled = self._windows.samples[rows] > 0
        return Part(
            [symbol for symbol, has in zip(there, sampled, strict=True) if has],
            [str(each.source) for each, has in zip(known, sampled, strict=True) if has],
            self._windows.saved(rows[sampled]),
        )

    def restore(self, part: Part, only: Collection[str] = ()) -> int:
        """Know these symbols and their windows again, of `only` some where it names any; how many were new.

        Each has a state again when its snapshot is seen: where that has not advanced, from the window as it is.
        """
        chosen = [i for i, name in enumerate(part.symbols) if name not in self._known and (not only or name in only)]
        for i in chosen:
            self._known[part.symbols[i]] = Known(self._windows.add(), source=part.sources[i])
        rows = np.array([self._known[part.symbols[i]].row for i in chosen], np.intp)
        self._windows.restore(rows, {name: array[chosen] for name, array in part.arrays.items()})
        return len(chosen)

    def forget(self, now: float) -> list[str]:
        """Give up the symbols whose snapshot has been gone for too long (`now` is monotonic); their names.

        Only what was looked for can be missed: an outage of Redis makes nobody forgotten.
        """
        gone = [
            symbol
            for symbol, known in self._known.items()
            if known.absent_since is not None and now - known.absent_since > self._forget_seconds
        ]
        for symbol in gone:
            self._windows.release(self._known.pop(symbol).row)
        return gone

    def take(
        self, rows: Iterable[tuple[str, RawSample | InvalidMessage]], redis_now: float, now: float
    ) -> tuple[list[str], list[tuple[str, InvalidMessage]]]:
        """Sample the snapshots whose time has advanced, and compute their vectors.

        `rows`: each symbol once, with its raw SAMPLE_FIELDS or why there are none. `redis_now`: Redis's clock;
        `now`: monotonic. Returns the symbols with a new state, and those newly refused with the reason.
        """
        samples: dict[str, Sample] = {}
        refused: list[tuple[str, InvalidMessage]] = []
        for symbol, row in rows:
            known = self._known[symbol]
            if not isinstance(row, InvalidMessage) and all(field is None for field in row):
                known.absent_since = now if known.absent_since is None else known.absent_since
                continue
            known.absent_since = None
            try:
                sample = self._advanced(known, row, redis_now)
            except InvalidMessage as error:
                mark = hash(str(row) if isinstance(row, InvalidMessage) else tuple(row))
                if mark != known.refused:
                    known.refused = mark
                    refused.append((symbol, error))
                continue
            if sample is not None:
                samples[symbol] = sample
        self._sample(samples)
        return list(samples), refused

    def version(self, epoch: int, seq: int, symbols: Iterable[str]) -> None:
        """Give the newest states of `symbols` a version, and have them published with it."""
        version = Version(epoch, seq)
        for symbol in symbols:
            known = self._known[symbol]
            if known.state is not None:
                known.state = known.state.at(version)
                known.payload = known.state.to_bytes()
                known.update = known.state.update(symbol)

    def writes(self) -> list[Write]:
        """Every state with a version, and the updates that are still to be published."""
        return [Write(name, known.payload, known.update) for name, known in self._known.items() if known.payload]

    def published(self) -> None:
        """All `writes` have arrived."""
        for known in self._known.values():
            known.update = None

    def _advanced(self, known: Known, row: RawSample | InvalidMessage, redis_now: float) -> Sample | None:
        """The sample of a snapshot, None where it is the one that our state is of. Raises InvalidMessage."""
        if isinstance(row, InvalidMessage):
            raise row
        sample = parse_sample(row, redis_now)
        if sample.source != known.source:
            self._windows.clear(known.row)  # simulated prices and real ones share no window
            known.source = sample.source
        newest = float(self._windows.last_timestamp[known.row])
        if sample.timestamp < newest:
            raise InvalidMessage("timestamp", f"{sample.timestamp!r} goes back behind {newest!r}")
        # Of a window that was restored, the state is not known, though it may have this sample.
        return sample if sample.timestamp > newest or known.state is None else None

    def _sample(self, samples: dict[str, Sample]) -> None:
        if not samples:
            return
        rows = np.array([self._known[symbol].row for symbol in samples], np.intp)
        price, timestamp, volume, trades = np.array([sample[:4] for sample in samples.values()]).T
        new = self._windows.advanced(rows, timestamp)
        self._windows.append(rows[new], price[new], volume[new], trades[new], timestamp[new])
        vectors = compute(self._windows, rows)
        for symbol, state in zip(samples, _states(vectors, samples.values()), strict=True):
            self._known[symbol].state = state


def _states(vectors: Vectors, samples: Iterable[Sample]) -> Iterator[PhysicsState]:
    columns = zip(
        vectors.mass.tolist(),
        vectors.momentum.tolist(),
        vectors.friction.tolist(),
        vectors.entropy.tolist(),
        vectors.nash_dist.tolist(),
        vectors.regime.tolist(),
        vectors.alpha_coefficient.tolist(),
        vectors.samples.tolist(),
        vectors.nonzero.tolist(),
        samples,
        strict=True,
    )
    for mass, momentum, friction, entropy, nash_dist, regime, alpha, count, nonzero, sample in columns:
        yield PhysicsState(
            mass,
            momentum,
            friction,
            entropy,
            nash_dist,
            REGIMES[regime],
            alpha,
            price=sample.price,
            samples=count,
            nonzero=nonzero,
            source=sample.source,
            timestamp=iso_millis(sample.timestamp),
        )


def belongs(symbol: str, index: int, shards: int) -> bool:
    """Whether a symbol is the `index`-th shard's; the same in every process and version."""
    return zlib.crc32(symbol.encode()) % shards == index
