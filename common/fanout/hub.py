"""The hub: keeps the newest state of every symbol and sends states and events to all clients.

The bridge puts into its hub what Redis brings, and the broadcaster what the bridge sends. All that arrives within one
iteration of the event loop goes to each client in one write. This adds no delay: the iteration ends as soon as what
has arrived is read. Only clients of `?batch=` wait, until the end of their window.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from prometheus_client import Counter, Gauge

from common.fanout.conflation import Update
from common.fanout.distributor import BatchDistributor, Distributor
from common.fanout.frames import text_frame
from common.fanout.last_value_cache import LastValueCache
from common.fanout.session import HubView, Session, Wire
from cottage import protocol
from cottage.clock import Clock, iso_millis
from cottage.events import Event
from cottage.freshness import CAUSES, Cause, Freshness, FreshnessStatement
from cottage.freshness_board import FreshnessBoard
from cottage.grant import ANYBODY, Grant
from cottage.protocol import Request, RequestRefused, Subscription
from cottage.version import Version

NOT_LIVE = Gauge("cottage_fanout_not_live", "Symbols whose state is not live, by cause.", ["cause"])
CLIENTS = Gauge("cottage_fanout_clients", "Connected clients.")
SYMBOLS = Gauge("cottage_fanout_symbols", "Symbols in the last-value cache.")
UPDATES = Counter("cottage_fanout_updates_total", "Newer states accepted, and removals.")
OUTDATED = Counter("cottage_fanout_updates_outdated_total", "States dropped as not newer than the last value.")
DELIVERED = Counter("cottage_fanout_updates_delivered_total", "Updates written to clients that have left.")
SKIPPED = Counter("cottage_fanout_updates_conflated_total", "Versions skipped for slow consumers that have left.")
EVENTS_DROPPED = Counter(
    "cottage_fanout_events_dropped_total", "Queued events dropped for slow consumers that have left."
)


class Hub:
    """The last value cache and the sessions that are fed from it. Each bridge and each broadcaster has one.

    `upstream` returns the freshness of everything that comes from upstream.
    """

    def __init__(
        self, clock: Clock, upstream: Callable[[], Freshness], time: Callable[[], float] | None = None
    ) -> None:
        """`time`: gives the timestamp of every message, in seconds since 1970; by default the clock's time."""
        self.last_values = LastValueCache()
        self.freshness_board = FreshnessBoard()
        self.upstream = upstream
        now = time or clock.time
        view = HubView(self.last_values, self.freshness_board, upstream, lambda: iso_millis(now()), clock.monotonic)
        self._at_once = Distributor(view)
        self._batches: dict[int, BatchDistributor] = {}
        """The batch distributors by the length of their windows in milliseconds."""
        self._sessions: dict[Session, Distributor] = {}
        self._updates: list[Update] = []
        """What this iteration of the event loop has brought so far."""
        for cause in CAUSES:  # counted when it is asked for
            NOT_LIVE.labels(cause).set_function(partial(self._not_live_because, cause))

    def __len__(self) -> int:
        """The number of clients."""
        return len(self._sessions)

    @property
    def not_live(self) -> int:
        """The number of symbols whose state is not live."""
        board = self.freshness_board
        return len(board.exceptions if board.overall.status == "live" else self.last_values)

    def _not_live_because(self, cause: Cause) -> int:
        return self.freshness_board.by_cause(len(self.last_values))[cause]

    def update(self, symbol: str, version: Version | None, payload: bytes, skipped: int = 0) -> bool:
        """Take a PHYSICS_UPDATE and send it on if it is newer than the last value. Returns whether it was.

        `skipped`: the number of versions that were left out on the way here.
        """
        if not self.last_values.offer(symbol, version, payload):
            OUTDATED.inc()
            return False
        self._send(Update(symbol, text_frame(protocol.with_skipped(payload, skipped)), skipped))
        return True

    def remove(self, symbol: str) -> None:
        if self.last_values.remove(symbol):
            self.freshness_board.forget(symbol)
            self._send(Update(symbol, text_frame(protocol.removed(symbol)), removal=True))

    def freshness(self, statement: FreshnessStatement) -> None:
        """Send a freshness statement to the clients that subscribed to its symbols."""
        self.flush()  # a state is sent before a statement about it
        self.freshness_board.apply(statement, self._at_once.view.monotonic())
        for distributor in self._distributors():
            distributor.freshness(statement)

    def event(self, event: Event) -> None:
        """Send an event to all clients, as it was published."""
        self.flush()
        for distributor in self._distributors():
            distributor.event(event)

    def heartbeat(self) -> None:
        self.flush()
        for distributor in self._distributors():
            distributor.heartbeat()

    def join(
        self, wire: Wire, subscription: Subscription, grant: Grant = ANYBODY, auth: Request | None = None
    ) -> Session:
        """Add a client. Its SNAPSHOT begins at once; an ERROR follows for the symbols that it may not know of, and a
        HEARTBEAT, which says how fresh these states are. `auth`: the request that brought its grant, which is
        answered first."""
        self.flush()
        distributor = self._distributor(subscription.batch)
        session = Session(distributor.view, wire, grant, subscription)
        session.subscribe(subscription, None if auth is None else protocol.auth_ack(auth, grant))
        if refused := session.beyond_grant(subscription):
            session.refuse(protocol.not_allowed(refused))
        distributor.add(session)
        self._sessions[session] = distributor
        CLIENTS.set(len(self._sessions))
        session.heartbeat()
        return session

    def leave(self, session: Session) -> None:
        distributor = self._sessions.pop(session, None)
        if distributor is None:
            return
        distributor.remove(session, session.audience)
        if not len(distributor):
            self._batches.pop(session.subscription.batch, None)
        CLIENTS.set(len(self._sessions))
        DELIVERED.inc(session.delivered)
        SKIPPED.inc(session.skipped)
        EVENTS_DROPPED.inc(session.events.dropped)

    def request(self, session: Session, request: Request) -> None:
        """Apply and answer a client's request. Raises RequestRefused."""
        with self._regrouped(session):
            session.request(request)

    def renew(self, session: Session, request: Request, grant: Grant) -> None:
        """Serve a client by another grant, which its request `auth` brought."""
        with self._regrouped(session):
            session.renew(request, grant)

    @contextmanager
    def _regrouped(self, session: Session) -> Iterator[None]:
        """Whatever is done within, the session is in the group of its audience afterwards."""
        self.flush()
        before = session.audience
        try:
            yield
        finally:
            if session.audience != before:
                distributor = self._sessions[session]
                distributor.remove(session, before)
                distributor.add(session)

    def refuse(self, session: Session, refused: RequestRefused) -> None:
        """Answer a request that was refused with ERROR."""
        self.flush()
        session.refuse(refused)

    def drained(self, session: Session) -> None:
        """The session's connection takes writes again."""
        self.flush()
        session.pump()

    def flush(self) -> None:
        """Send on what this iteration of the event loop has brought so far. Everything that writes from the last
        value cache calls this first, so that no client is sent a version twice."""
        if not self._updates:
            return
        updates, self._updates = self._updates, []
        UPDATES.inc(len(updates))
        SYMBOLS.set(len(self.last_values))
        for distributor in self._distributors():
            distributor.updates(updates)

    def _send(self, update: Update) -> None:
        if not self._updates:
            asyncio.get_running_loop().call_soon(self.flush)
        self._updates.append(update)

    def _distributors(self) -> list[Distributor]:
        return [self._at_once, *self._batches.values()]

    def _distributor(self, batch: int) -> Distributor:
        """The distributor for clients that asked for batches of so many milliseconds; 0 means no batches."""
        if not batch:
            return self._at_once
        if batch not in self._batches:
            loop = asyncio.get_running_loop()
            self._batches[batch] = BatchDistributor(
                self._at_once.view, lambda window: loop.call_later(batch / 1000, self._close_window, window)
            )
        return self._batches[batch]

    def _close_window(self, batch: BatchDistributor) -> None:
        self.flush()
        batch.close()
