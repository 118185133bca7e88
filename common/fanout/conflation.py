"""Conflation: of each symbol only the newest state goes to a client that was not sent all of them. Pure.

For slow consumers it is done one by one: a session keeps a `Backlog` while its connection takes no writes. For
clients that asked for batches it is done once for all of them, window by window.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from common.fanout.last_value_cache import LastValueCache
from cottage import protocol

WRITE_BYTES = 60 * 1024
"""Frames are joined, and SNAPSHOTs and arrays filled, up to this size."""

Join = Callable[[Sequence[bytes]], bytes]
"""Makes one write of what some updates are encoded as."""


class Conflated(NamedTuple):
    """What a client has not been sent of one symbol."""

    versions: int = 0
    removed: bool = False
    """It was removed meanwhile: the client is told so before it gets a newer state, which may have
    a lower version where Redis has lost its data."""


class Update(NamedTuple):
    """A symbol's PHYSICS_UPDATE, or its REMOVED."""

    symbol: str
    encoded: bytes
    """Its WebSocket frame; the message alone where it goes into an array."""
    skipped: int = 0
    """Versions that were left out before this one; a PHYSICS_UPDATE says so."""
    removal: bool = False

    @property
    def conflated(self) -> tuple[str, Conflated]:
        """What it is to a client that was not sent it."""
        return self.symbol, Conflated(self.skipped + (not self.removal), self.removal)


class Chunk(NamedTuple):
    """Updates joined for one write."""

    joined: bytes
    updates: Sequence[Update]
    versions: int
    """PHYSICS_UPDATEs in it."""
    skipped: int
    """Versions that were left out before them."""


def chunks(updates: Sequence[Update], join: Join = b"".join) -> list[Chunk]:
    """Join some updates, in order, in writes of at most WRITE_BYTES (or one update)."""
    if len(updates) == 1:
        (update,) = updates
        return [Chunk(join([update.encoded]), updates, not update.removal, update.skipped)]
    result: list[Chunk] = []
    start = size = 0
    for index, update in enumerate(updates):
        if size and size + len(update.encoded) > WRITE_BYTES:
            result.append(_chunk(updates[start:index], join))
            start, size = index, 0
        size += len(update.encoded)
    if size:
        result.append(_chunk(updates[start:], join))
    return result


def _chunk(updates: Sequence[Update], join: Join) -> Chunk:
    joined = join([update.encoded for update in updates])
    versions = sum(not update.removal for update in updates)
    return Chunk(joined, updates, versions, sum(update.skipped for update in updates))


_NOTHING = Conflated()
Backlog = dict[str, Conflated]
"""By symbol, in the order in which they were missed first."""


def conflate(backlog: Backlog, items: Iterable[tuple[str, Conflated]]) -> None:
    """Add to a backlog what was not sent."""
    for symbol, (versions, removed) in items:
        before = backlog.get(symbol, _NOTHING)
        backlog[symbol] = Conflated(before.versions + versions, before.removed or removed)


def newest(symbol: str, missed: Conflated, last_values: LastValueCache) -> list[Update]:
    """What tells a client all that it missed of a symbol: its REMOVED, its newest state, or both."""
    entry = last_values.get(symbol)
    updates = []
    if missed.removed:
        left_out = 0 if entry else missed.versions
        updates.append(Update(symbol, protocol.removed(symbol), left_out, removal=True))
    if entry is not None:
        skipped = missed.versions - 1
        updates.append(Update(symbol, protocol.with_skipped(entry.payload, skipped), skipped))
    return updates


def take_backlog(backlog: Backlog, last_values: LastValueCache, join: Join) -> Chunk:
    """Take one write out of a backlog; its `joined` is to be sent where it has updates."""
    updates: list[Update] = []
    taken: list[str] = []
    size = never_told = 0
    for symbol, missed in backlog.items():
        taken.append(symbol)
        news = newest(symbol, missed, last_values)
        updates += news
        size += sum(len(update.encoded) for update in news)
        never_told += 0 if news else missed.versions
        if size >= WRITE_BYTES:
            break
    for symbol in taken:
        del backlog[symbol]
    chunk = _chunk(updates, join)
    return chunk._replace(skipped=chunk.skipped + never_told)
