"""What one turn of the event loop brought, and what is owed to who could not be given it. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from common.fanout.last_value_cache import LastValueCache
from cottage import protocol

WRITE_BYTES = 60 * 1024
"""Frames are joined, and SNAPSHOTs and arrays filled, up to this size."""


class Conflated(NamedTuple):
    """What a client has not been sent of one symbol."""

    versions: int = 0
    removed: bool = False
    """It was removed meanwhile: the client is told so before it gets a newer state, which may have
    a lower version where Redis has lost its data."""


class Update(NamedTuple):
    """A symbol's frame of this turn: its PHYSICS_UPDATE, or its REMOVED."""

    symbol: str
    frame: bytes
    skipped: int = 0
    """Versions that this server was not sent before this one; the frame says so."""
    removal: bool = False

    @property
    def missed(self) -> tuple[str, Conflated]:
        """What it is to a client that was not sent it."""
        return self.symbol, Conflated(0, True) if self.removal else Conflated(1 + self.skipped)


class Chunk(NamedTuple):
    """Frames joined for one write, and what they hold."""

    joined: bytes
    updates: Sequence[Update]
    versions: int
    """PHYSICS_UPDATEs in it."""
    skipped: int
    """Versions that they say were left out."""


def chunks(updates: Sequence[Update]) -> list[Chunk]:
    """Join the frames of some updates, in order, in writes of at most WRITE_BYTES (or one frame)."""
    if len(updates) == 1:
        (update,) = updates
        return [Chunk(update.frame, updates, not update.removal, update.skipped)]
    result: list[Chunk] = []
    start = size = 0
    for index, update in enumerate(updates):
        if size and size + len(update.frame) > WRITE_BYTES:
            result.append(_chunk(updates[start:index]))
            start, size = index, 0
        size += len(update.frame)
    if size:
        result.append(_chunk(updates[start:]))
    return result


def _chunk(updates: Sequence[Update]) -> Chunk:
    joined = b"".join([update.frame for update in updates])
    versions = sum(not update.removal for update in updates)
    return Chunk(joined, updates, versions, sum(update.skipped for update in updates))


_NOTHING = Conflated()
Backlog = dict[str, Conflated]
"""By symbol, in the order in which they were missed first."""


def conflate(pending: Backlog, items: Iterable[tuple[str, Conflated]]) -> None:
    for symbol, (versions, removed) in items:
        before = pending.get(symbol, _NOTHING)
        pending[symbol] = Conflated(before.versions + versions, before.removed or removed)


class BacklogWrite(NamedTuple):
    """What fills one write: the newest of some symbols that were missed."""

    missed: list[tuple[str, Conflated]]
    payloads: list[bytes]
    versions: int
    skipped: int


def take_backlog(pending: Backlog, table: LastValueCache) -> BacklogWrite:
    """Take one write out of `pending`: of each symbol its REMOVED, its newest state, or both."""
    missed: list[tuple[str, Conflated]] = []
    payloads: list[bytes] = []
    size = versions = skipped = 0
    for symbol, (newer, removed) in pending.items():
        missed.append((symbol, pending[symbol]))
        entry = table.get(symbol)
        if removed:
            payloads.append(protocol.removed(symbol))
            size += len(payloads[-1])
        if entry is None:
            skipped += newer
        else:
            payloads.append(protocol.with_skipped(entry.payload, newer - 1))
            size += len(payloads[-1])
            skipped += newer - 1
            versions += 1
        if size >= WRITE_BYTES:
            break
    for symbol, _ in missed:
        del pending[symbol]
    return BacklogWrite(missed, payloads, versions, skipped)
