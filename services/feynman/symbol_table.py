"""What feynman knows of each symbol: its window, its newest state, whether that was published. Pure."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cottage.errors import InvalidMessage
from cottage.snapshot import RawSample
from cottage.version import Version
from services.feynman import states
from services.feynman.checkpoint import CheckpointPart
from services.feynman.sample_columns import SampleColumns, parse
from services.feynman.vector import compute
from services.feynman.windows import Rows, Windows


class StateWrite(NamedTuple):
    symbol: str
    state: bytes
    update: bytes | None
    """The PHYSICS_UPDATE to publish with it; None where the state is as it was."""


@dataclass(slots=True)
class SymbolEntry:
    """One symbol."""

    row: int
    absent_since: float | None = None
    """Monotonic seconds when its snapshot was first found gone; None where it was there."""
    source: str | None = None
    refused: int | None = None
    """Hash of the snapshot that was refused last, so that it is counted once and not with every tick."""
    texts: tuple[bytes, bytes] | None = None
    """Its newest state and the PHYSICS_UPDATE that announces it, both without their version."""
    payload: bytes = b""
    """The newest state with its version."""
    update: bytes | None = None
    """The PHYSICS_UPDATE that is still to be published."""


class SymbolTable:
    def __init__(self, window: int, gap: float, forget_seconds: float) -> None:
        self._windows = Windows(window, gap=gap)
        self._forget_seconds = forget_seconds
        self._known: dict[str, SymbolEntry] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def add(self, symbols: Iterable[str]) -> list[str]:
        """Begin a window for each that is not known; those that were new."""
        new = [symbol for symbol in dict.fromkeys(symbols) if symbol not in self._known]
        for symbol in new:
            self._known[symbol] = SymbolEntry(self._windows.add())
        return new

    def sampled(self) -> list[str]:
        """The symbols that have a window to save."""
        return [symbol for symbol, known in self._known.items() if known.source is not None]

    def saved(self, symbols: Sequence[str]) -> CheckpointPart:
        """A copy of the windows of those that are still known and sampled."""
        there = [symbol for symbol in symbols if symbol in self._known]
        rows = _rows([self._known[symbol] for symbol in there])
        sampled = self._windows.samples[rows] > 0
        names = [symbol for symbol, has in zip(there, sampled, strict=True) if has]
        return CheckpointPart(
            names, [str(self._known[name].source) for name in names], self._windows.saved(rows[sampled])
        )

    def restore(self, part: CheckpointPart, only: Collection[str] = ()) -> int:
        """Know these symbols and their windows again, of `only` some where it names any; how many were new.

        Each has a state again when its snapshot is seen: where that has not advanced, from the window as it is.
        """
        chosen = [i for i, name in enumerate(part.symbols) if name not in self._known and (not only or name in only)]
        for i in chosen:
            self._known[part.symbols[i]] = SymbolEntry(self._windows.add(), source=part.sources[i])
        rows = _rows([self._known[part.symbols[i]] for i in chosen])
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
        symbols: list[str] = []
        snapshots: list[RawSample] = []
        refused: list[tuple[str, RawSample | InvalidMessage, InvalidMessage]] = []
        for symbol, row in rows:
            known = self._known[symbol]
            if isinstance(row, InvalidMessage):
                refused.append((symbol, row, row))
            elif row.count(None) == len(row):
                known.absent_since = now if known.absent_since is None else known.absent_since
                continue
            else:
                symbols.append(symbol)
                snapshots.append(row)
            known.absent_since = None

        samples, faults = parse(snapshots, redis_now)
        samples, behind = self._advanced(symbols, samples)
        refused += [(symbols[i], snapshots[i], error) for i, error in faults + behind]
        sampled = [symbols[i] for i in samples.index.tolist()]
        if sampled:
            self._sample(sampled, samples)
        return sampled, [(symbol, error) for symbol, row, error in refused if self._is_news(symbol, row)]

    def version(self, epoch: int, seq: int, symbols: Iterable[str]) -> None:
        """Give the newest states of `symbols` a version, and have them published with it."""
        ending = states.ending(Version(epoch, seq))
        for symbol in symbols:
            known = self._known[symbol]
            if known.texts is not None:
                state, update = known.texts
                known.payload = state + ending
                known.update = update + ending

    def writes(self) -> list[StateWrite]:
        """Every state with a version, and the updates that are still to be published."""
        return [StateWrite(name, known.payload, known.update) for name, known in self._known.items() if known.payload]

    def published(self) -> None:
        """All `writes` have arrived."""
        for known in self._known.values():
            known.update = None

    def _advanced(
        self, symbols: Sequence[str], samples: SampleColumns
    ) -> tuple[SampleColumns, list[tuple[int, InvalidMessage]]]:
        """Those samples that are newer than what our states are of, and by index those whose time has gone back.

        Where it is the same time, it is the snapshot that we have. Of a window that was restored there is no
        state yet, though it may have this sample.
        """
        known = [self._known[symbols[i]] for i in samples.index.tolist()]
        for each, source in zip(known, samples.source, strict=True):
            if each.source != source:
                self._windows.clear(each.row)  # simulated prices and real ones share no window
                each.source = source
        rows = _rows(known)
        newest = self._windows.last_timestamp[rows]
        behind = [
            (
                int(samples.index[i]),
                InvalidMessage("timestamp", f"{samples.timestamp[i]} goes back behind {newest[i]}"),
            )
            for i in np.flatnonzero(samples.timestamp < newest)
        ]
        stateless = np.array([each.texts is None for each in known], np.bool_)
        newer = (samples.timestamp > newest) | (stateless & (samples.timestamp == newest))
        return samples.where(np.flatnonzero(newer)), behind

    def _sample(self, symbols: Sequence[str], samples: SampleColumns) -> None:
        """Append the samples to the windows that do not have them, and compute what these are now."""
        known = [self._known[symbol] for symbol in symbols]
        rows = _rows(known)
        new = self._windows.advanced(rows, samples.timestamp)
        columns = (samples.price, samples.volume, samples.trades, samples.timestamp)
        self._windows.append(rows[new], *(column[new] for column in columns))
        vectors = compute(self._windows, rows)
        for each, texts in zip(known, states.texts(symbols, vectors, samples), strict=True):
            each.texts = texts

    def _is_news(self, symbol: str, row: RawSample | InvalidMessage) -> bool:
        """Whether this snapshot was not the last one of its symbol that was refused."""
        mark = hash(str(row) if isinstance(row, InvalidMessage) else tuple(row))
        known = self._known[symbol]
        known.refused, before = mark, known.refused
        return mark != before


def _rows(known: Sequence[SymbolEntry]) -> Rows:
    return np.array([each.row for each in known], np.intp)
