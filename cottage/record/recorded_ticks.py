"""The ticks of a record: what feynman took in each, so that it can be taken again in the same way (time travel).

A replay of a record reads them. They come in order of their versions, which is that in which feynman issued them.
"""

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from cottage import keys
from cottage.errors import UnusableSource
from cottage.record.checkpoints import BEGUN, SAVED, CheckpointName, checkpoints, versions
from cottage.record.record import Record
from cottage.record.sorted_rows import SortedRows
from cottage.record.state_rows import version_of
from cottage.version import Version

COLUMNS = (
    *("symbol", "source", "feed", "native", "epoch", "seq", "number", "reissued", "prev_epoch", "at", "recorded"),
    *("price", "volume", "trades", "bid", "ask", "received", "tick", "interval", "session", "lost", "notes", "said"),
)
ORDER = ("epoch", "seq", "symbol", "number")
Row = Mapping[str, Any]
Writer = tuple[str | None, ...]
"""The source, the feed and the venue's spelling of a symbol: another one begins a new window."""
NOBODY: Writer = ()


class RecordedSample(NamedTuple):
    """A sample as its feed handed it over. Times are in microseconds since 1970; what is not known is None."""

    at: int
    price: float
    volume: float | None
    trades: float | None
    bid: float | None
    ask: float | None
    received: int | None
    session: str | None
    notes: tuple[str, ...]
    """The feed's own."""
    lost: bool
    """Whether samples before it, which its feed handed over, are lost."""


@dataclass(frozen=True, slots=True)
class RecordedVersion:
    """What feynman took of a symbol for one version of its state."""

    symbol: str
    writer: Writer
    tick: float | None
    interval: float | None
    samples: tuple[RecordedSample, ...]
    """In order; the last one is the version's own."""


@dataclass(frozen=True, slots=True)
class ReplacedWindows:
    """The windows of these symbols were others from here on."""

    checkpoint: CheckpointName | None
    """They are those of this file, and empty where it has none; None: all are empty."""
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecordedTick:
    """What was taken in one tick."""

    replaced: tuple[ReplacedWindows, ...]
    """What happened to windows before."""
    versions: tuple[RecordedVersion, ...]


@dataclass(slots=True)
class _Symbol:
    """Where a symbol is."""

    writer: Writer | None
    """Of the newest sample; NOBODY before the first, and None where a checkpoint has it, which does not say so."""
    sampled: Version
    """The version in which its newest sample was issued first."""
    window: Version | None
    """That of the newest sample in its window; None while that is empty, or holds older ones."""


class RecordedTicks:
    """One pass over a record; iterate over it for its ticks. The record is read as it is when this is made."""

    def __init__(self, folder: Path, only: frozenset[str] = frozenset()) -> None:
        """`only`: if there are some, the ticks of these symbols alone. Raises UnusableSource for a folder without a
        sample, and what Record.manifest and SortedRows do."""
        self.folder = folder
        self.rows = 0
        """How many rows were read so far."""
        self.filtered = 0
        """How many rows were of symbols that are not wanted."""
        self.left_out: Counter[str] = Counter()
        """How many versions were left out, by why."""
        # Of a recording that anybody has made, and not of a record.
        self.bad: Counter[str] = Counter()
        self.bad_lines: dict[str, list[int | str]] = {}
        self.doubtful: Counter[str] = Counter()
        self.sources: dict[str, None] = {}
        """The sources of the samples so far, each once."""
        self.begins_with: list[CheckpointName] = []
        """The checkpoints with which the replay begins, one a shard; none where its windows begin empty."""
        self._only = only
        self._abandoned = False
        self._symbols: dict[str, _Symbol] = {}
        self._held: dict[str, Version] = {}
        """Up to which version the windows with which the replay begins hold a symbol's samples."""
        self._checkpoints = checkpoints(folder)
        self._rows = SortedRows(Record(folder), "samples", COLUMNS)
        if not self._rows.rows:
            raise UnusableSource(f"{folder} is a record without a sample")
        self._iterator = self._ticks()

    @property
    def share(self) -> float:
        """The share that was read, from 0 to 1."""
        return self.rows / self._rows.rows

    def __iter__(self) -> Iterator[RecordedTick]:
        """Yield the ticks in which something was taken. Raises what reading the files does."""
        return self._iterator

    def abandon(self) -> None:
        """End the iteration early. Another thread calls it."""
        self._abandoned = True

    def close(self) -> None:
        self._iterator.close()
        self._rows.close()

    def _ticks(self) -> Generator[RecordedTick]:
        begun, replaced = False, list[ReplacedWindows]()
        for (epoch, _seq), rows in groupby(self._wanted(), itemgetter("epoch", "seq")):
            each = [list(of_one) for _symbol, of_one in groupby(rows, itemgetter("symbol"))]
            replaced += self._taken_over(epoch) if begun else self._begin(epoch, each)
            begun = True
            new = [_version(of_one) for of_one in each if self._is_new(of_one)]
            if others := tuple(version.symbol for version in new if self._is_of_another_writer(version)):
                replaced.append(ReplacedWindows(None, others))
            if new:
                yield RecordedTick(tuple(replaced), tuple(new))
                replaced = []

    def _wanted(self) -> Iterator[Row]:
        for batch in self._rows.sorted(ORDER):
            for row in batch.to_pylist():
                if self._abandoned:
                    return
                self.rows += 1
                if self._only and row["symbol"] not in self._only:
                    self.filtered += 1
                    continue
                yield row

    def _begin(self, epoch: int, first: Iterable[Sequence[Row]]) -> list[ReplacedWindows]:
        """What the windows are at the beginning. They are empty if a process began with none, and this is its first
        tick. Else they are those of the first checkpoints that were saved since the record began; empty without."""
        began = self._pop(epoch)
        if began and all(rows[0]["prev_epoch"] != epoch for rows in first) and not any(map(self._versions, began)):
            return []
        since = min(row["recorded"] for rows in first for row in rows)
        saved: dict[str, CheckpointName] = {}
        for name in self._checkpoints:
            if name.kind == SAVED and name.number > since:
                saved.setdefault(name.shard, name)
        self.begins_with = list(saved.values())
        replaced = [self._replaced(name, takeover=False) for name in self.begins_with]
        for held in {version.epoch for version in self._held.values()}:
            for name in [name for name in self._checkpoints if name.number <= held]:
                self._checkpoints.remove(name)
        return replaced

    def _taken_over(self, epoch: int) -> list[ReplacedWindows]:
        """What the windows are where a process begins with this epoch: at its first tick."""
        return [self._replaced(name, takeover=True) for name in self._pop(epoch)]

    def _pop(self, epoch: int) -> list[CheckpointName]:
        """The checkpoints of the processes that began with this epoch, once."""
        found = [name for name in self._checkpoints if (name.kind, name.number) == (BEGUN, epoch)]
        self._checkpoints = [name for name in self._checkpoints if name not in found]
        return found

    def _versions(self, name: CheckpointName) -> dict[str, Version | None]:
        found = versions(name.path(self.folder))
        return {symbol: version for symbol, version in found.items() if not self._only or symbol in self._only}

    def _replaced(self, name: CheckpointName, *, takeover: bool) -> ReplacedWindows:
        found = self._versions(name)
        shard = keys.shard(name.shard)
        symbols = dict.fromkeys((*found, *(each for each in self._symbols if keys.in_shard(each, *shard))))
        for symbol in symbols:
            version = found.get(symbol)
            known = self._symbols.get(symbol)
            if known is not None:
                known.window = version
            elif version is not None:
                self._symbols[symbol] = _Symbol(None, version, version)
            if version is not None and not takeover:
                self._held[symbol] = version
        return ReplacedWindows(name, tuple(symbols))

    def _is_new(self, rows: Sequence[Row]) -> bool:
        """Whether feynman took samples for the version with these rows, and did not only issue one again: such as
        under a new epoch, while its window has it already."""
        row = rows[-1]
        symbol, version = row["symbol"], version_of(row)
        held, known = self._held.get(symbol), self._symbols.get(symbol)
        if held is not None and version <= held:
            self.left_out["the checkpoint has it"] += 1
            return False
        if known is None:
            self._symbols[symbol] = _Symbol(NOBODY, version, version)
            return True
        if row["reissued"] and len(rows) == 1 and known.window is not None and known.window >= known.sampled:
            self.left_out["issued again"] += 1
            return False
        known.sampled, known.window = known.sampled if row["reissued"] else version, version
        return True

    def _is_of_another_writer(self, version: RecordedVersion) -> bool:
        """Whether a new window begins, since another writer has the symbol than before."""
        known = self._symbols[version.symbol]
        before, known.writer = known.writer, version.writer
        if version.writer[0] is not None:
            self.sources[version.writer[0]] = None
        return before not in (None, version.writer)


def _version(rows: Sequence[Row]) -> RecordedVersion:
    """What was taken for the version with these rows, its own sample last."""
    own = rows[-1]
    return RecordedVersion(
        own["symbol"],
        (own["source"], own["feed"], own["native"]),
        own["tick"],
        own["interval"],
        (*(_sample(row, row["notes"]) for row in rows[:-1]), _sample(own, own["said"])),
    )


def _sample(row: Row, notes: Sequence[str] | None) -> RecordedSample:
    told = {name: row[name] for name in ("at", "price", "volume", "trades", "bid", "ask", "received", "session")}
    return RecordedSample(**told, notes=tuple(notes or ()), lost=bool(row["lost"]))
