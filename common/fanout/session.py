"""A session: what one client subscribed to, and what it has not been sent yet. Slow consumers are handled here. Pure.

The server makes a session for every client. A session has caught up when everything was written and its connection
takes writes; its group then writes every frame to it. A slow consumer exerts backpressure: its connection reports
that it takes no more writes, and from then on the session lags. Nothing waits for it. A lagging session keeps only
the names of the symbols that changed (its backlog, see conflation.py) and a bounded number of answers and events;
when the connection has drained, the newest state of each of these symbols is written. A new client is the same case:
all of its symbols are pending, and are written as SNAPSHOT. The server closes a client that takes no writes for too
long, or that asks for more answers than it reads.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from common.fanout.audience import Audience, granted
from common.fanout.conflation import WRITE_BYTES, Backlog, Conflated, conflate, take_backlog
from common.fanout.frames import text_frame
from common.fanout.last_value_cache import LastValueCache
from cottage import protocol
from cottage.events import Event, EventQueue
from cottage.freshness import Freshness
from cottage.freshness_board import FreshnessBoard
from cottage.grant import ANYBODY, Grant
from cottage.protocol import Code, Request, RequestRefused, Subscription

if TYPE_CHECKING:
    from common.fanout.group import Group

MAX_REPLIES = 64
"""How many answers may wait for a client; one that asks for more and does not read them is closed."""
NO_SYMBOLS = Subscription(False)


class Wire(Protocol):
    """The connection that a session writes to. It calls the session's `blocked` when it takes no more writes."""

    @property
    def writable(self) -> bool:
        """Whether it takes writes now. When it does again, it has the session's `pump` called."""

    @property
    def write(self) -> Callable[[bytes], None]:
        """The function that writes frames; to be called while `writable`."""


@dataclass(slots=True)
class HubView:
    """What groups and sessions may read of their hub or batch distributor."""

    last_values: LastValueCache
    """The states that a client holds once it has caught up."""
    freshness_board: FreshnessBoard
    upstream: Callable[[], Freshness]
    """Returns the freshness of everything that comes from upstream."""
    timestamp: Callable[[], str]
    """Returns the timestamp for a message."""
    monotonic: Callable[[], float]
    was_complete: bool = True
    """Whether upstream was complete at the moment of which these last values are."""

    @property
    def complete(self) -> bool:
        """Whether the last values are all that Redis holds."""
        return self.was_complete and self.upstream().complete


def heartbeat(view: HubView, subscription: Subscription) -> bytes:
    """A HEARTBEAT for a client with this subscription that has been sent all of its last values."""
    seqs = None
    if not subscription.everything and len(subscription.named) <= protocol.MAX_PROVEN_SYMBOLS:
        held = ((symbol, view.last_values.get(symbol)) for symbol in sorted(subscription.named))
        seqs = {symbol: entry.version for symbol, entry in held if entry is not None and entry.version}
    return protocol.heartbeat(view.timestamp(), view.upstream(), seqs)


def frames(subscription: Subscription, payloads: Sequence[bytes]) -> bytes:
    """One frame for each message; for a client of `?batch=` one frame with an array of them."""
    if subscription.batch:
        return text_frame(protocol.array(payloads))
    return b"".join(map(text_frame, payloads))


@dataclass(slots=True, eq=False)
class Session:
    """One connected client."""

    _view: HubView
    wire: Wire
    _grant: Grant = ANYBODY
    subscription: Subscription = NO_SYMBOLS
    """What was asked, whether it is granted or not. Of the one that the session is made with only the way of sending
    is kept; `subscribe` adds its symbols."""
    audience: Audience = field(init=False)
    """What was asked and is granted: this is what the client is sent."""
    asked: bool = False
    """Whether it ever subscribed to a symbol. A probe does not."""
    caught_up: bool = False
    """Everything was written and the connection takes writes: the group may write to it. Otherwise it lags."""
    events: EventQueue[bytes] = field(default_factory=EventQueue)
    """Frames of events that have not been sent yet."""
    _group: "Group | None" = None
    _backlog: Backlog = field(default_factory=dict)
    """Symbols that changed while the session lagged."""
    _snapshot: dict[str, None] = field(default_factory=dict)
    """Symbols of the current SNAPSHOT that have not been sent yet."""
    _missing: dict[str, None] = field(default_factory=dict)
    """Symbols of the current SNAPSHOT that have no state; it lists them as missing."""
    _snapshot_pending: bool = False
    _snapshot_sent: bool = False
    """Whether a SNAPSHOT was completed."""
    _replies: list[bytes] = field(default_factory=list)
    _late_replies: list[bytes] = field(default_factory=list)
    """Answers that follow the current SNAPSHOT."""
    _revoked: dict[str, None] = field(default_factory=dict)
    """Symbols that the client may hold and may no longer, and has not been told so."""
    _heartbeat_pending: bool = False
    _freshness_pending: dict[str, None] = field(default_factory=dict)
    """Symbols whose freshness changed and has not been sent yet."""
    _all_freshness_pending: bool = False
    _delivered: int = 0
    _skipped: int = 0

    def __post_init__(self) -> None:
        self.subscription = self.subscription.nothing()
        self.audience = Audience.of(self.subscription, self._grant)
        # A client takes every state for live until a FRESHNESS says otherwise.
        self._all_freshness_pending = self._view.freshness_board.overall.status != "live"

    @property
    def delivered(self) -> int:
        """How many updates were sent, not counting those in SNAPSHOTs."""
        return self._delivered + (self._group.versions if self.caught_up and self._group else 0)

    @property
    def skipped(self) -> int:
        """How many versions were left out by conflation."""
        return self._skipped + (self._group.skipped if self.caught_up and self._group else 0)

    @property
    def flooded(self) -> bool:
        """Whether the client sends requests without reading the answers."""
        return len(self._replies) + len(self._late_replies) > MAX_REPLIES

    def subscribed_to(self, symbol: str) -> bool:
        """Whether the client asked for it and may know of it."""
        return self.audience.has(symbol)

    def beyond_grant(self, asked: Subscription) -> frozenset[str]:
        """The named symbols that the client may not know of, whether or not there are such."""
        return asked.named - granted(self._grant.symbols, asked.named)

    def set_group(self, group: "Group | None") -> None:
        """Called by a group when it takes in the session; with None when it gives it up."""
        self._count(+1)
        self._group = group
        self._count(-1)

    def conflate(self, items: Iterable[tuple[str, Conflated]]) -> None:
        """Called by the group for updates that this lagging session is not sent: they join its backlog."""
        if self._snapshot:  # its SNAPSHOT will carry the newest state of these symbols
            items = [item for item in items if item[0] not in self._snapshot]
        conflate(self._backlog, items)

    def event(self, event: Event, frame: bytes) -> None:
        self.events.put(event.topic, event.key, frame)
        self.pump()

    def freshness(self, symbols: Iterable[str] | None) -> None:
        """The freshness of these symbols has changed; None means all. It is written after the backlog."""
        if symbols is None:
            self._all_freshness_pending = True
            self._freshness_pending.clear()
        elif not self._all_freshness_pending:
            self._freshness_pending.update(dict.fromkeys(symbols))
        self.pump()

    def heartbeat(self) -> None:
        """A HEARTBEAT is due. It is written last, since its `seqs` prove what the client was sent before."""
        self._heartbeat_pending = True
        self.pump()

    def request(self, request: Request) -> None:
        """Apply a request and answer it. Raises RequestRefused."""
        if request.action == "ping":
            view = self._view
            self.answer(protocol.pong(view.timestamp(), request.request_id, view.upstream()))
            return
        if request.action == "auth":  # nobody is asked for a token here
            self.answer(protocol.auth_ack(request, self._grant))
            return
        if request.action == "unsubscribe":
            self._unsubscribe(request)
            self.answer(protocol.ack(request))
            return
        refused = self.beyond_grant(request.subscription)
        allowed = replace(request.subscription, named=request.subscription.named - refused)
        named = self.audience.subscription.named | allowed.named
        protocol.check_count(named, self._grant, request.request_id)
        if allowed.named or not refused:
            self.subscribe(allowed, protocol.ack(replace(request, subscription=allowed)))
        if refused:
            self._keep_in_mind(refused)
            raise protocol.not_allowed(refused, request.request_id)

    def answer(self, payload: bytes) -> None:
        self._replies.append(self._frame(payload))
        self.pump()

    def refuse(self, refused: RequestRefused) -> None:
        """Answer with ERROR. What is not allowed is said after the SNAPSHOT of the rest."""
        if refused.symbols is None:
            self.answer(protocol.error(refused))
        else:
            self._late_replies.append(self._frame(protocol.error(refused)))
            self.pump()

    def subscribe(self, added: Subscription, answer: bytes | None = None) -> None:
        """Add to the subscription; a SNAPSHOT of the added symbols begins at once, as far as they are granted.
        `answer`: what is said right before it."""
        before = self.audience
        if answer is not None:
            self._replies.append(self._frame(answer))
        self.asked = self.asked or added.everything or bool(added.named)
        if added.everything and self._snapshot_sent and not before.subscription.everything:
            self._all_freshness_pending = True  # it was not sent what changed for other symbols
        self.subscription = self.subscription.with_more(added)
        self.audience = Audience.of(self.subscription, self._grant)
        self._begin_snapshot(before)
        self.pump()

    def renew(self, request: Request, grant: Grant) -> None:
        """Serve the client by another grant from now on, and answer so. It is told which symbols it may no longer
        know of, of which nothing follows, and gets a SNAPSHOT of those that are new."""
        before, self._grant = self.audience, grant
        if before.subscription.everything:  # also what it was sent, and whose removal it was not
            may_hold = [*before.among(self._view.last_values), *self._backlog]
        else:
            may_hold = sorted(before.subscription.named)
        self.audience = Audience.of(self.subscription, grant)
        self._revoked.update(dict.fromkeys(symbol for symbol in may_hold if not self.subscribed_to(symbol)))
        self._drop_what_is_not_sent()
        self.events.keep(grant.receives)
        self._begin_snapshot(before, if_new=True)
        self.answer(protocol.auth_ack(request, grant))

    def _keep_in_mind(self, refused: frozenset[str]) -> None:
        """Add to what was asked what is not granted, since it may be by another token; within the limit."""
        most = self._grant.max_symbols
        for base in (self.subscription, replace(self.subscription, named=self.audience.subscription.named)):
            if not base.everything and len(base.named | refused) <= most:
                self.subscription = base.with_more(Subscription(False, refused))
                return

    def _begin_snapshot(self, before: Audience, *, if_new: bool = False) -> None:
        """A SNAPSHOT is pending of what is sent now and was not `before`, and the freshness of that. `if_new`: only
        where there is such a symbol."""
        view, now = self._view, self.audience
        if if_new and now == before:
            return
        new = [symbol for symbol in now.among(view.last_values) if not before.has(symbol)]
        asked = [symbol for symbol in sorted(now.subscription.named) if not before.has(symbol)]
        if if_new and not new and not asked:
            return
        self._snapshot.update(dict.fromkeys(new))
        self._missing.update(dict.fromkeys(symbol for symbol in asked if symbol not in view.last_values))
        self._snapshot_pending = True
        if not self._all_freshness_pending:
            stated = [symbol for symbol in view.freshness_board.exceptions if now.has(symbol)]
            self._freshness_pending.update(dict.fromkeys(symbol for symbol in stated if not before.has(symbol)))

    def blocked(self) -> None:
        """The connection takes no more writes: from now on the session lags."""
        self._set_caught_up(False)

    def pump(self) -> None:
        """Write what is pending, in order of urgency, for as long as the connection takes writes."""
        wire = self.wire
        while wire.writable:
            if self._replies:
                wire.write(self._replies.pop(0))
            elif self._revoked:
                self._write_revoked()
            elif self._snapshot_pending:
                self._write_snapshot()
            elif self._late_replies:
                wire.write(self._late_replies.pop(0))
            elif self._backlog:
                self._write_backlog()
            elif self._all_freshness_pending or self._freshness_pending:
                self._write_freshness()
            elif self.events:
                wire.write(self.events.pop())
            elif self._heartbeat_pending:
                self._heartbeat_pending = False
                wire.write(self._frame(heartbeat(self._view, self.audience.subscription)))
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
        """The group counts once for all sessions that have caught up. Its counts are subtracted when this session
        catches up, and added when it begins to lag: the difference is what this session was sent."""
        if self.caught_up and self._group is not None:
            self._delivered += sign * self._group.versions
            self._skipped += sign * self._group.skipped

    def _unsubscribe(self, request: Request) -> None:
        gone = request.subscription
        if gone.everything:
            self.subscription = self.subscription.nothing()
        elif self.subscription.everything:
            advice = 'subscribed to all: unsubscribe ["*"], then subscribe to some'
            raise RequestRefused(Code.SUBSCRIBED_TO_ALL, advice, request.request_id)
        else:
            self.subscription = self.subscription.without(gone)
        self.audience = Audience.of(self.subscription, self._grant)
        self._drop_what_is_not_sent()

    def _drop_what_is_not_sent(self) -> None:
        pending: dict[str, Any]
        for pending in (self._backlog, self._snapshot, self._missing, self._freshness_pending):
            for symbol in [name for name in pending if not self.subscribed_to(name)]:
                del pending[symbol]

    def _write_revoked(self) -> None:
        told = list(islice(self._revoked, WRITE_BYTES // protocol.MOST_SYMBOL_BYTES))
        for symbol in told:
            del self._revoked[symbol]
        self.wire.write(self._frame(protocol.revoked(told)))

    def _write_snapshot(self) -> None:
        last_values = self._view.last_values
        updates: list[bytes] = []
        taken: list[str] = []
        size = 0
        for symbol in self._snapshot:
            taken.append(symbol)
            entry = last_values.get(symbol)
            if entry is not None:
                updates.append(entry.payload)
                size += len(entry.payload)
            elif not self.subscription.everything:  # removed since it was asked for
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
        self._snapshot_pending = not last
        self._snapshot_sent = self._snapshot_sent or last
        timestamp, complete = self._view.timestamp(), self._view.complete
        payload = protocol.snapshot(timestamp, updates, last=last, complete=complete, missing=missing)
        self.wire.write(self._frame(payload))

    def _write_backlog(self) -> None:
        chunk = take_backlog(self._backlog, self._view.last_values, partial(frames, self.subscription))
        self._delivered += chunk.versions
        self._skipped += chunk.skipped
        if chunk.updates:
            self.wire.write(chunk.joined)

    def _write_freshness(self) -> None:
        board, now = self._view.freshness_board, self._view.monotonic()
        if self._all_freshness_pending:
            statements = board.all_statements(self.audience.among(board.exceptions), now)
        else:
            statements = board.statements_for(self._freshness_pending, now)
        self._all_freshness_pending = False
        self._freshness_pending.clear()
        if statements:
            self.wire.write(frames(self.subscription, [protocol.freshness(each) for each in statements]))

    def _frame(self, payload: bytes) -> bytes:
        return frames(self.subscription, [payload])
