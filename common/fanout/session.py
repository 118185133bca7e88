"""One client: what it wants, and what it is owed. Pure: it writes to a `Wire` and knows no sockets.

While the wire takes writes, a client gets every frame. Once it does not, only the names of the symbols
that changed are remembered; when the wire has drained, the newest version of each goes out. A new client
is the same case with all its symbols pending, which go out as SNAPSHOT.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from common.fanout import protocol
from common.fanout.frames import text_frame
from common.fanout.newest import NewestTable
from common.fanout.protocol import Code, Refused, Request, Subscription, Upstream

WRITE_BYTES = 60 * 1024
"""Frames are joined, and SNAPSHOTs filled, up to this size."""
MAX_WAITING = 64
"""Answers and agent updates that may wait for a client, of each kind."""


class Wire(Protocol):
    @property
    def writable(self) -> bool:
        """Whether it takes writes now; the session's `pump` is called when it does again."""

    def write(self, frames: bytes) -> None: ...


class Update(NamedTuple):
    """A symbol's frame of this turn: its PHYSICS_UPDATE, or its REMOVED."""

    symbol: str
    frame: bytes
    skipped: int = 0
    """Versions that this server was not sent before this one; the frame says so."""
    removal: bool = False


class Chunk(NamedTuple):
    """Frames joined for one write, and what they hold."""

    joined: bytes
    updates: Sequence[Update]
    versions: int
    """PHYSICS_UPDATEs in it."""
    skipped: int
    """Versions that they say were left out."""


class Owed(NamedTuple):
    """What a client that fell behind has missed of one symbol."""

    versions: int = 0
    removed: bool = False
    """It was removed meanwhile: the client is told so before it gets a newer state, which may have
    a lower version where Redis has lost its data."""


def chunks(updates: Sequence[Update]) -> list[Chunk]:
    """Join the frames of some updates, in order, in writes of at most WRITE_BYTES (or one frame)."""
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


class Source(Protocol):
    """What a session is told by its hub."""

    @property
    def table(self) -> NewestTable: ...

    def upstream(self) -> Upstream: ...

    def timestamp(self) -> str: ...


class Session:
    def __init__(self, source: Source, wire: Wire, wanted: Subscription) -> None:
        self._source = source
        self._wire = wire
        self.wanted = Subscription(False)
        self._pending: OrderedDict[str, Owed] = OrderedDict()
        """Symbols that changed while the wire took no writes."""
        self._snapshot: OrderedDict[str, None] = OrderedDict()
        self._missing: deque[str] = deque()
        self._snapshot_owed = False
        self._replies: deque[bytes] = deque()
        self._agent_frames: deque[bytes] = deque(maxlen=MAX_WAITING)
        self._heartbeat_owed = False
        self.delivered = 0
        self.skipped = 0
        self.agent_drops = 0
        self._want(wanted)

    def wants(self, symbol: str) -> bool:
        return self.wanted.everything or symbol in self.wanted.named

    def deliver(self, turn: Sequence[Chunk]) -> None:
        """What one turn brought, of the symbols that this client wants."""
        for chunk in turn:
            if self._idle and self._wire.writable:
                self._wire.write(chunk.joined)
                self.delivered += chunk.versions
                self.skipped += chunk.skipped
            else:
                self._fall_behind(chunk.updates)

    def agent_update(self, frame: bytes) -> None:
        if len(self._agent_frames) == MAX_WAITING:
            self.agent_drops += 1  # the deque drops its oldest
        self._agent_frames.append(frame)
        self.pump()

    def heartbeat(self) -> None:
        """Owed once what is pending has gone out: its versions are proof of what the client holds."""
        self._heartbeat_owed = True
        self.pump()

    def request(self, request: Request) -> None:
        """Grant a request and answer it. Raises Refused."""
        if request.action == "ping":
            self.answer(protocol.pong(self._source.timestamp(), request.request_id))
            return
        if request.action == "unsubscribe":
            self._unwant(request)
        elif len(self.wanted.named | request.subscription.named) > protocol.MAX_NAMED_SYMBOLS:
            raise Refused(Code.TOO_MANY_SYMBOLS, protocol.TOO_MANY, request.request_id)
        self.answer(protocol.ack(request))
        if request.action == "subscribe":
            self._want(request.subscription)

    def answer(self, payload: bytes) -> None:
        self._replies.append(text_frame(payload))
        self.pump()

    @property
    def flooded(self) -> bool:
        """It asks more than it reads answers."""
        return len(self._replies) > MAX_WAITING

    def pump(self) -> None:
        """Write what is owed for as long as the wire takes it."""
        while self._wire.writable:
            if self._replies:
                self._wire.write(self._replies.popleft())
            elif self._snapshot_owed:
                self._write_snapshot()
            elif self._pending:
                self._write_pending()
            elif self._agent_frames:
                self._wire.write(self._agent_frames.popleft())
            elif self._heartbeat_owed:
                self._heartbeat_owed = False
                self._wire.write(text_frame(self._heartbeat()))
            else:
                return

    @property
    def _idle(self) -> bool:
        """Nothing is owed that must go out before a new update."""
        return not (self._pending or self._snapshot_owed or self._replies)

    def _want(self, added: Subscription) -> None:
        table = self._source.table
        if added.everything:
            new = [symbol for symbol in table if not self.wants(symbol)]
            missing: list[str] = []
        else:
            asked = sorted(symbol for symbol in added.named if not self.wants(symbol))
            new = [symbol for symbol in asked if symbol in table]
            missing = [symbol for symbol in asked if symbol not in table]
        self.wanted = Subscription(
            self.wanted.everything or added.everything,
            frozenset() if self.wanted.everything or added.everything else self.wanted.named | added.named,
        )
        self._snapshot.update(dict.fromkeys(new))
        self._missing += missing
        self._snapshot_owed = True
        self.pump()

    def _unwant(self, request: Request) -> None:
        gone = request.subscription
        if gone.everything:
            self.wanted = Subscription(False)
        elif self.wanted.everything:
            raise Refused(
                Code.SUBSCRIBED_TO_ALL,
                'subscribed to all: unsubscribe ["*"], then subscribe to some',
                request.request_id,
            )
        else:
            self.wanted = Subscription(False, self.wanted.named - gone.named)
        for owed in (self._pending, self._snapshot):
            for symbol in [name for name in owed if not self.wants(name)]:
                del owed[symbol]
        self._missing = deque(symbol for symbol in self._missing if self.wants(symbol))

    def _fall_behind(self, updates: Sequence[Update]) -> None:
        for update in updates:
            if update.symbol in self._snapshot:
                continue  # not written yet: its SNAPSHOT will hold the newest
            owed = self._pending.get(update.symbol, Owed())
            if update.removal:
                self._pending[update.symbol] = owed._replace(removed=True)
            else:
                self._pending[update.symbol] = owed._replace(versions=owed.versions + 1 + update.skipped)

    def _write_snapshot(self) -> None:
        table = self._source.table
        updates: list[bytes] = []
        size = 0
        while self._snapshot and size < WRITE_BYTES:
            symbol, _ = self._snapshot.popitem(last=False)
            entry = table.get(symbol)
            if entry is not None:
                updates.append(entry.payload)
                size += len(entry.payload)
            elif not self.wanted.everything:  # removed since it was asked for
                self._missing.append(symbol)
        missing: list[str] = []
        while self._missing and not self._snapshot and size < WRITE_BYTES:
            missing.append(self._missing.popleft())
            size += len(missing[-1]) + 3  # quotes and comma
        last = not (self._snapshot or self._missing)
        self._snapshot_owed = not last
        payload = protocol.snapshot(
            self._source.timestamp(),
            updates,
            last=last,
            complete=self._source.upstream().complete,
            missing=missing,
        )
        self._wire.write(text_frame(payload))

    def _write_pending(self) -> None:
        frames: list[bytes] = []
        size = 0
        while self._pending and size < WRITE_BYTES:
            symbol, owed = self._pending.popitem(last=False)
            entry = self._source.table.get(symbol)
            if owed.removed:
                frames.append(text_frame(protocol.removed(symbol)))
            if entry is None:
                self.skipped += owed.versions
            else:
                skipped = owed.versions - 1
                frames.append(text_frame(protocol.with_skipped(entry.payload, skipped)))
                self.skipped += skipped
                self.delivered += 1
            size += len(frames[-1])
        self._wire.write(b"".join(frames))

    def _heartbeat(self) -> bytes:
        seqs = None
        if not self.wanted.everything and len(self.wanted.named) <= protocol.MAX_PROVEN_SYMBOLS:
            held = ((symbol, self._source.table.get(symbol)) for symbol in sorted(self.wanted.named))
            seqs = {symbol: entry.version for symbol, entry in held if entry is not None and entry.version}
        return protocol.heartbeat(self._source.timestamp(), self._source.upstream(), seqs)
