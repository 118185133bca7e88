"""A session: what one client subscribed to, and what it has not been sent yet. Slow consumers are handled here. Pure.

A session that has caught up is owed nothing, and its connection takes writes: its group hands it every frame. A slow
consumer exerts backpressure: its connection says that it takes no more writes, and from then on the session lags.
Nothing waits for it. What is kept for it is the names of the symbols that changed (its backlog: conflation.py) and a
bounded number of answers and events; when the connection has drained, the newest state of each of these symbols is
written. A new client is the same case: all its symbols are owed, and are written as SNAPSHOT. The server closes a
client that takes nothing for too long, or asks for more answers than it reads.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Protocol

from common.fanout.conflation import WRITE_BYTES, Backlog, Conflated, conflate, take_backlog
from common.fanout.frames import text_frame
from common.fanout.last_value_cache import LastValueCache
from cottage import protocol
from cottage.events import Event, EventQueue
from cottage.freshness import Freshness
from cottage.freshness_board import FreshnessBoard
from cottage.protocol import ANYBODY, Code, Grant, Request, RequestRefused, Subscription

MAX_WAITING = 64
"""Answers that may wait for a client: one that asks for more and does not read them is closed."""
NOTHING = Subscription(False)


class Wire(Protocol):
    """A client's end of its connection. It calls the session's `blocked` as soon as it takes no more writes."""

    @property
    def writable(self) -> bool:
        """Whether it takes writes now; the session's `pump` is called when it does again."""

    @property
    def write(self) -> Callable[[bytes], None]:
        """Hands it frames, while it is writable."""


@dataclass(slots=True)
class HubView:
    """What sessions read of their hub."""

    table: LastValueCache
    """What a client holds that has caught up."""
    freshness_board: FreshnessBoard
    upstream: Callable[[], Freshness]
    """How fresh what comes from above is."""
    timestamp: Callable[[], str]
    """What every message is stamped with."""
    monotonic: Callable[[], float]
    was_complete: bool = True
    """Upstream was complete at the moment that the table is of."""

    @property
    def complete(self) -> bool:
        """Whether the table has all that Redis has."""
        return self.was_complete and self.upstream().complete


def heartbeat(source: HubView, wanted: Subscription) -> bytes:
    """HEARTBEAT for whoever wants this, and has been sent all of it that the table has."""
    seqs = None
    if not wanted.everything and len(wanted.named) <= protocol.MAX_PROVEN_SYMBOLS:
        held = ((symbol, source.table.get(symbol)) for symbol in sorted(wanted.named))
        seqs = {symbol: entry.version for symbol, entry in held if entry is not None and entry.version}
    return protocol.heartbeat(source.timestamp(), source.upstream(), seqs)


def frames(wanted: Subscription, payloads: Sequence[bytes]) -> bytes:
    """A frame each; for a client that asked for batches, one array of them."""
    if wanted.batch:
        return text_frame(protocol.array(payloads))
    return b"".join(map(text_frame, payloads))


class SubscriberGroup(Protocol):
    """What a session tells its group."""

    @property
    def versions(self) -> int:
        """That have been handed to every session that had caught up, so far."""

    @property
    def skipped(self) -> int:
        """That were left out before these."""

    def lag_changed(self, session: "Session") -> None: ...


@dataclass(slots=True, eq=False)
class Session:
    """One connected client."""

    _source: HubView
    wire: Wire
    _grant: Grant = ANYBODY
    wanted: Subscription = NOTHING
    """Given at the start it only says how symbols are to be sent: none of them is wanted yet; see `want`."""
    caught_up: bool = False
    """It is owed nothing, and takes writes: its group may write to it. Otherwise it lags."""
    events: EventQueue[bytes] = field(default_factory=EventQueue)
    """Frames of events that it has not been sent."""
    _group: SubscriberGroup | None = None
    _backlog: Backlog = field(default_factory=dict)
    """Symbols that changed while it lagged."""
    _snapshot: dict[str, None] = field(default_factory=dict)
    """Symbols of the SNAPSHOT that is under way; those in `_missing` have no state."""
    _missing: dict[str, None] = field(default_factory=dict)
    _snapshot_owed: bool = False
    _snapshot_sent: bool = False
    """It has had a SNAPSHOT."""
    _replies: list[bytes] = field(default_factory=list)
    _heartbeat_owed: bool = False
    _freshness_owed: dict[str, None] = field(default_factory=dict)
    """Symbols whose freshness it was not told."""
    _all_freshness_owed: bool = False
    _delivered: int = 0
    _skipped: int = 0

    def __post_init__(self) -> None:
        self.wanted = self.wanted.nothing()
        # A client takes everything for live until it is told otherwise.
        self._all_freshness_owed = self._source.freshness_board.overall.status != "live"

    @property
    def delivered(self) -> int:
        """Updates that it was sent, but for those of SNAPSHOTs."""
        return self._delivered + (self._group.versions if self.caught_up and self._group else 0)

    @property
    def skipped(self) -> int:
        """Versions that were left out."""
        return self._skipped + (self._group.skipped if self.caught_up and self._group else 0)

    @property
    def flooded(self) -> bool:
        """It asks more than it reads answers."""
        return len(self._replies) > MAX_WAITING

    def wants(self, symbol: str) -> bool:
        return self.wanted.everything or symbol in self.wanted.named

    def belong_to(self, group: SubscriberGroup | None) -> None:
        """Say which group has its subscription; None once it has left."""
        self._count(+1)
        self._group = group
        self._count(-1)

    def conflate(self, items: Iterable[tuple[str, Conflated]]) -> None:
        """Its group was handed these while it lags: the newest of each symbol is owed."""
        if self._snapshot:  # what is not written yet will be the newest in its SNAPSHOT
            items = [item for item in items if item[0] not in self._snapshot]
        conflate(self._backlog, items)

    def event(self, event: Event, frame: bytes) -> None:
        self.events.put(event.topic, event.key, frame)
        self.pump()

    def freshness(self, symbols: Iterable[str] | None) -> None:
        """The freshness of these symbols has changed; None is all that there are. It is written after the backlog."""
        if symbols is None:
            self._all_freshness_owed = True
            self._freshness_owed.clear()
        elif not self._all_freshness_owed:
            self._freshness_owed.update(dict.fromkeys(symbols))
        self.pump()

    def heartbeat(self) -> None:
        """A HEARTBEAT is due. It is written after all else, since its `seqs` prove what the client was sent."""
        self._heartbeat_owed = True
        self.pump()

    def request(self, request: Request) -> None:
        """Grant a request and answer it. Raises RequestRefused."""
        if request.action == "ping":
            self.answer(protocol.pong(self._source.timestamp(), request.request_id))
            return
        if request.action == "unsubscribe":
            self._unwant(request)
        else:
            protocol.check_count(self.wanted.named | request.subscription.named, self._grant, request.request_id)
        self.answer(protocol.ack(request))
        if request.action == "subscribe":
            self.want(request.subscription)

    def answer(self, payload: bytes) -> None:
        self._replies.append(self._frame(payload))
        self.pump()

    def want(self, added: Subscription) -> None:
        """Add to its subscription; a SNAPSHOT of what was added begins at once."""
        table = self._source.table
        if added.everything:
            new = [symbol for symbol in table if not self.wants(symbol)]
            missing: list[str] = []
        else:
            asked = sorted(symbol for symbol in added.named if not self.wants(symbol))
            new = [symbol for symbol in asked if symbol in table]
            missing = [symbol for symbol in asked if symbol not in table]
        if added.everything and self._snapshot_sent and not self.wanted.everything:
            self._all_freshness_owed = True  # what was said while it wanted something else, it was not told
        self.wanted = self.wanted.with_more(added)
        self._snapshot.update(dict.fromkeys(new))
        self._missing.update(dict.fromkeys(missing))
        self._snapshot_owed = True
        self.freshness([symbol for symbol in new if symbol in self._source.freshness_board.exceptions])

    def blocked(self) -> None:
        """The wire takes no more writes."""
        self._set_caught_up(False)

    def pump(self) -> None:
        """Write what is owed for as long as the wire takes it."""
        wire = self.wire
        while wire.writable:
            if self._replies:
                wire.write(self._replies.pop(0))
            elif self._snapshot_owed:
                self._write_snapshot()
            elif self._backlog:
                self._write_backlog()
            elif self._all_freshness_owed or self._freshness_owed:
                self._write_freshness()
            elif self.events:
                wire.write(self.events.pop())
            elif self._heartbeat_owed:
                self._heartbeat_owed = False
                wire.write(self._frame(heartbeat(self._source, self.wanted)))
            else:
                self._set_caught_up(True)
                return
        self._set_caught_up(False)

    def _set_caught_up(self, caught_up: bool) -> None:
        if caught_up == self.caught_up:
            return
        self._count(+1)
        self.caught_up = caught_up
        self._count(-1)
        if self._group is not None:
            self._group.lag_changed(self)

    def _count(self, sign: int) -> None:
        """A group counts once for all sessions that have caught up. Its counts are subtracted when this one does, and
        added when it no longer has: what was counted between is its own."""
        if self.caught_up and self._group is not None:
            self._delivered += sign * self._group.versions
            self._skipped += sign * self._group.skipped

    def _unwant(self, request: Request) -> None:
        gone = request.subscription
        if gone.everything:
            self.wanted = self.wanted.nothing()
        elif self.wanted.everything:
            advice = 'subscribed to all: unsubscribe ["*"], then subscribe to some'
            raise RequestRefused(Code.SUBSCRIBED_TO_ALL, advice, request.request_id)
        else:
            self.wanted = self.wanted.without(gone)
        for owed in (self._backlog, self._snapshot, self._missing):
            for symbol in [name for name in owed if not self.wants(name)]:
                del owed[symbol]

    def _write_snapshot(self) -> None:
        table = self._source.table
        updates: list[bytes] = []
        taken: list[str] = []
        size = 0
        for symbol in self._snapshot:
            taken.append(symbol)
            entry = table.get(symbol)
            if entry is not None:
                updates.append(entry.payload)
                size += len(entry.payload)
            elif not self.wanted.everything:  # removed since it was asked for
                self._missing[symbol] = None
            if size >= WRITE_BYTES:
                break
        for symbol in taken:
            del self._snapshot[symbol]
        missing: list[str] = []
        if not self._snapshot and size < WRITE_BYTES:
            room = (WRITE_BYTES - size) // protocol.MOST_SYMBOL_BYTES + 1
            missing = list(islice(self._missing, room))
            for symbol in missing:
                del self._missing[symbol]
        last = not (self._snapshot or self._missing)
        self._snapshot_owed = not last
        self._snapshot_sent = self._snapshot_sent or last
        timestamp, complete = self._source.timestamp(), self._source.complete
        payload = protocol.snapshot(timestamp, updates, last=last, complete=complete, missing=missing)
        self.wire.write(self._frame(payload))

    def _write_backlog(self) -> None:
        chunk = take_backlog(self._backlog, self._source.table, partial(frames, self.wanted))
        self._delivered += chunk.versions
        self._skipped += chunk.skipped
        if chunk.updates:
            self.wire.write(chunk.joined)

    def _write_freshness(self) -> None:
        board, now = self._source.freshness_board, self._source.monotonic()
        if self._all_freshness_owed:
            statements = board.all_statements(None if self.wanted.everything else self.wanted.named, now)
        else:
            statements = board.statements_for([name for name in self._freshness_owed if self.wants(name)], now)
        self._all_freshness_owed = False
        self._freshness_owed.clear()
        if statements:
            self.wire.write(frames(self.wanted, [protocol.freshness(each) for each in statements]))

    def _frame(self, payload: bytes) -> bytes:
        return frames(self.wanted, [payload])
