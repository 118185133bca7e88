"""Conflation: a client that was not sent every state of a symbol is sent only the newest one. Pure.

Sessions use it for slow consumers: each keeps a `Backlog` while its connection takes no writes. The batch distributor
uses it for all clients of `?batch=` together, once for each window.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from common.fanout.last_value_cache import LastValueCache
from cottage import protocol

WRITE_BYTES = 60 * 1024
"""Frames are joined, and SNAPSHOTs and arrays filled, up to this size."""

Join = Callable[[Sequence[bytes]], bytes]
"""Joins encoded updates into the bytes of one write."""


class Conflated(NamedTuple):
    """The updates of one symbol that a client has not been sent, conflated."""

    versions: int = 0
    removed: bool = False
    """Whether the symbol was removed meanwhile. Then the client is sent REMOVED before any newer state, which may
    have a lower version where Redis has lost its data."""


class Update(NamedTuple):
    """A symbol's PHYSICS_UPDATE, or its REMOVED."""

    symbol: str
    encoded: bytes
    """The WebSocket frame, or the message without a frame where it goes into an array."""
    skipped: int = 0
    """Versions that were left out before this one; a PHYSICS_UPDATE carries this number."""
    removal: bool = False

    @property
    def conflated(self) -> tuple[str, Conflated]:
        """The symbol, and this update as an entry of a backlog."""
        return self.symbol, Conflated(self.skipped + (not self.removal), self.removal)


class Chunk(NamedTuple):
    """Updates joined for one write."""

    joined: bytes
    updates: Sequence[Update]
    versions: int
    """How many of the updates are PHYSICS_UPDATEs."""
    skipped: int
    """Versions that were left out before them."""


def chunks(updates: Sequence[Update], join: Join = b"".join) -> list[Chunk]:
    """Join updates, in order, into chunks of at most WRITE_BYTES (a larger update is a chunk of its own)."""
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


_NO_UPDATES = Conflated()
Backlog = dict[str, Conflated]
"""What a client has not been sent, by symbol, in the order in which each first fell behind."""


def conflate(backlog: Backlog, items: Iterable[tuple[str, Conflated]]) -> None:
    """Add updates that were not sent to a backlog."""
    for symbol, (versions, removed) in items:
        before = backlog.get(symbol, _NO_UPDATES)
        backlog[symbol] = Conflated(before.versions + versions, before.removed or removed)


def newest(symbol: str, missed: Conflated, last_values: LastValueCache) -> list[Update]:
    """The updates that bring a client up to date on one symbol: REMOVED, the newest state, or both."""
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
    """Take as many symbols out of a backlog as fill one write. A chunk without updates is not to be sent."""
    updates: list[Update] = []
    taken: list[str] = []
    size = dropped = 0
    for symbol, missed in backlog.items():
        taken.append(symbol)
        new = newest(symbol, missed, last_values)
        updates += new
        size += sum(len(update.encoded) for update in new)
        dropped += 0 if new else missed.versions
        if size >= WRITE_BYTES:
            break
    for symbol in taken:
        del backlog[symbol]
    chunk = _chunk(updates, join)
    return chunk._replace(skipped=chunk.skipped + dropped)
