"""The symbol table: for each symbol that feynman computes its window, its newest state, and whether it was published.

It does no input or output: the service hands it snapshots and writes what it returns.
"""

import sys
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
    """What the writer is to write for one symbol."""

    symbol: str
    state: bytes
    update: bytes | None
    """The PHYSICS_UPDATE to publish with it; None if the state was published already."""


@dataclass(slots=True)
class SymbolEntry:
    """What the table holds of one symbol."""

    row: int
    absent_since: float | None = None
    """When its snapshot was first found missing, in monotonic seconds; None if it was there."""
    source: str | None = None
    refused: int | None = None
    """Hash of the last invalid snapshot, so that it is counted once and not at every tick."""
    texts: tuple[bytes, bytes] | None = None
    """Its newest state and the PHYSICS_UPDATE of it, both without their version."""
    payload: bytes = b""
    """The newest state with its version."""
    update: bytes | None = None
    """The PHYSICS_UPDATE that is still to be published."""


class SymbolTable:
    """The entries of all symbols by name, and their windows. The service and the checkpointer share one."""

    def __init__(self, window: int, gap: float, forget_seconds: float, most: int = sys.maxsize) -> None:
        """`most`: how many symbols it has places for."""
        self._windows = Windows(window, gap=gap)
        self._forget_seconds = forget_seconds
        self._most = most
        self._entries: dict[str, SymbolEntry] = {}
        self.refused: dict[str, str] = {}
        """The symbols whose snapshot was refused at the last tick, with the reasons."""

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._entries

    @property
    def room(self) -> int:
        """For how many more symbols there is a place."""
        return self._most - len(self._entries)

    def add(self, symbols: Iterable[str]) -> list[str]:
        """Add the symbols that are not in the table yet, each with an empty window, as long as there is room; returns
        them."""
        new = [symbol for symbol in dict.fromkeys(symbols) if symbol not in self._entries][: self.room]
        for symbol in new:
            self._entries[symbol] = SymbolEntry(self._windows.add())
        return new

    def sampled(self) -> list[str]:
        """The symbols that have had a sample, whose windows are worth saving."""
        return [symbol for symbol, entry in self._entries.items() if entry.source is not None]

    def saved(self, symbols: Sequence[str]) -> CheckpointPart:
        """A copy of the windows of those symbols that are still in the table and have a sample."""
        there = [symbol for symbol in symbols if symbol in self._entries]
        rows = _rows([self._entries[symbol] for symbol in there])
        sampled = self._windows.samples[rows] > 0
        names = [symbol for symbol, has in zip(there, sampled, strict=True) if has]
        return CheckpointPart(
            names, [str(self._entries[name].source) for name in names], self._windows.saved(rows[sampled])
        )

    def restore(self, part: CheckpointPart, only: Collection[str] = ()) -> int:
        """Add the symbols of a checkpoint with their windows, or those of them that `only` names, as long as there is
        room; returns how many.

        Symbols that are in the table already stay as they are. A restored symbol has a state again as soon as its
        snapshot is seen, even if that is not newer than the window.
        """
        wanted = set(only or part.symbols).difference(self._entries)
        chosen = [i for i, name in enumerate(part.symbols) if name in wanted][: self.room]
        for i in chosen:
            self._entries[part.symbols[i]] = SymbolEntry(self._windows.add(), source=part.sources[i])
        rows = _rows([self._entries[part.symbols[i]] for i in chosen])
        self._windows.restore(rows, {name: array[chosen] for name, array in part.arrays.items()})
        return len(chosen)

    def forget(self, now: float) -> list[str]:
        """Remove the symbols whose snapshot has been gone for too long (`now` is monotonic); returns their names.

        The time counts from when a read first found no snapshot, so an outage of Redis removes no symbol.
        """
        gone = [
            symbol
            for symbol, entry in self._entries.items()
            if entry.absent_since is not None and now - entry.absent_since > self._forget_seconds
        ]
        self.remove(gone)
        return gone

    def remove(self, symbols: Iterable[str]) -> None:
        """Drop these symbols with their windows, as far as they are in the table."""
        for symbol in symbols:
            if (entry := self._entries.pop(symbol, None)) is not None:
                self._windows.release(entry.row)

    def newer(self, symbol: str, time: float) -> bool:
        """Whether a symbol of the table has a sample of after that time, in seconds since 1970."""
        return bool(self._windows.last_timestamp[self._entries[symbol].row] > time)

    def take(
        self, rows: Iterable[tuple[str, RawSample | InvalidMessage]], redis_now: float, now: float
    ) -> tuple[list[str], list[tuple[str, InvalidMessage]]]:
        """Sample the snapshots whose time has advanced, and compute their vectors.

        `rows`: each symbol once, with its raw SAMPLE_FIELDS or the error of reading them. `redis_now`: Redis's clock;
        `now`: monotonic. Returns the symbols with a new state, and the symbols newly refused with their errors.
        """
        symbols: list[str] = []
        snapshots: list[RawSample] = []
        refused: list[tuple[str, RawSample | InvalidMessage, InvalidMessage]] = []
        for symbol, row in rows:
            entry = self._entries[symbol]
            if isinstance(row, InvalidMessage):
                refused.append((symbol, row, row))
            elif row.count(None) == len(row):
                entry.absent_since = now if entry.absent_since is None else entry.absent_since
                continue
            else:
                symbols.append(symbol)
                snapshots.append(row)
            entry.absent_since = None

        samples, faults = parse(snapshots, redis_now)
        samples, behind = self._advanced(symbols, samples)
        refused += [(symbols[i], snapshots[i], error) for i, error in faults + behind]
        self.refused = {symbol: error.reason for symbol, _row, error in refused}
        sampled = [symbols[i] for i in samples.index.tolist()]
        if sampled:
            self._sample(sampled, samples)
        return sampled, [(symbol, error) for symbol, row, error in refused if self._is_new_refusal(symbol, row)]

    def version(self, epoch: int, seq: int, symbols: Iterable[str]) -> None:
        """Give the newest states of `symbols` a new version, with which they are to be published."""
        ending = states.ending(Version(epoch, seq))
        for symbol in symbols:
            entry = self._entries[symbol]
            if entry.texts is not None:
                state, update = entry.texts
                entry.payload = state + ending
                entry.update = update + ending

    def writes(self) -> list[StateWrite]:
        """Every state with a version, and the updates that are still to be published."""
        versioned = ((name, entry) for name, entry in self._entries.items() if entry.payload)
        return [StateWrite(name, entry.payload, entry.update) for name, entry in versioned]

    def published(self) -> None:
        """Record that all `writes` have arrived, so no update is left to publish."""
        for entry in self._entries.values():
            entry.update = None

    def _advanced(
        self, symbols: Sequence[str], samples: SampleColumns
    ) -> tuple[SampleColumns, list[tuple[int, InvalidMessage]]]:
        """The samples that are newer than the windows, and the errors, by index, of those whose time has gone back.

        A sample of the same time is the one that the window has already. It is used only for a restored window, which
        has no state yet.
        """
        entries = [self._entries[symbols[i]] for i in samples.index.tolist()]
        for entry, source in zip(entries, samples.source, strict=True):
            if entry.source != source:
                self._windows.clear(entry.row)  # prices of different sources must not share a window
                entry.source = source
        rows = _rows(entries)
        newest = self._windows.last_timestamp[rows]
        behind = [
            (
                int(samples.index[i]),
                InvalidMessage("timestamp", f"{samples.timestamp[i]} goes back behind {newest[i]}"),
            )
            for i in np.flatnonzero(samples.timestamp < newest)
        ]
        stateless = np.array([entry.texts is None for entry in entries], np.bool_)
        newer = (samples.timestamp > newest) | (stateless & (samples.timestamp == newest))
        return samples.where(np.flatnonzero(newer)), behind

    def _sample(self, symbols: Sequence[str], samples: SampleColumns) -> None:
        """Append the samples to the windows that do not have them yet, and compute the new states."""
        entries = [self._entries[symbol] for symbol in symbols]
        rows = _rows(entries)
        new = self._windows.advanced(rows, samples.timestamp)
        columns = (samples.price, samples.volume, samples.trades, samples.timestamp)
        self._windows.append(rows[new], *(column[new] for column in columns))
        vectors = compute(self._windows, rows)
        for entry, texts in zip(entries, states.texts(symbols, vectors, samples), strict=True):
            entry.texts = texts

    def _is_new_refusal(self, symbol: str, row: RawSample | InvalidMessage) -> bool:
        """Whether this invalid snapshot differs from the last invalid one of its symbol."""
        digest = hash(str(row) if isinstance(row, InvalidMessage) else tuple(row))
        entry = self._entries[symbol]
        entry.refused, before = digest, entry.refused
        return digest != before


def _rows(entries: Sequence[SymbolEntry]) -> Rows:
    return np.array([entry.row for entry in entries], np.intp)
