"""The hub: takes what the bridge or Redis brings, keeps the newest, and sends it to all clients.

What arrives within one iteration of the event loop goes to each client in one write. Nothing waits for that: the
iteration ends as soon as what had arrived is read. Only who asked for batches waits for them.
"""

import asyncio
from collections.abc import Callable

from prometheus_client import Counter, Gauge

from common.fanout.conflation import Update
from common.fanout.distributor import BatchDistributor, Distributor
from common.fanout.frames import text_frame
from common.fanout.last_value_cache import LastValueCache
from common.fanout.session import HubView, Session, Wire
from cottage import protocol
from cottage.clock import Clock, iso_millis
from cottage.events import Event
from cottage.freshness import Freshness, FreshnessStatement
from cottage.freshness_board import FreshnessBoard
from cottage.protocol import ANYBODY, Grant, Request, RequestRefused, Subscription
from cottage.version import Version

CLIENTS = Gauge("cottage_fanout_clients", "Connected clients.")
SYMBOLS = Gauge("cottage_fanout_symbols", "Symbols in the last-value cache.")
UPDATES = Counter("cottage_fanout_updates_total", "Newer states taken, and removals.")
STALE = Counter("cottage_fanout_updates_outdated_total", "States that were not newer than the last value.")
DELIVERED = Counter("cottage_fanout_updates_delivered_total", "Updates written to clients that have left since.")
SKIPPED = Counter("cottage_fanout_updates_conflated_total", "Versions skipped for slow clients that have left since.")
EVENTS_DROPPED = Counter(
    "cottage_fanout_events_dropped_total", "Queued events dropped for slow clients that have left since."
)


class Hub:
    """The last value cache and the sessions that are fed from it. Each bridge and each broadcaster has one.

    `upstream` tells how fresh what comes from above is.
    """

    def __init__(
        self, clock: Clock, upstream: Callable[[], Freshness], time: Callable[[], float] | None = None
    ) -> None:
        """`time`: what every message is stamped with, in seconds since 1970; the clock's without it."""
        self.table = LastValueCache()
        self.freshness_board = FreshnessBoard()
        self.upstream = upstream
        now = time or clock.time
        view = HubView(self.table, self.freshness_board, upstream, lambda: iso_millis(now()), clock.monotonic)
        self._at_once = Distributor(view)
        self._batches: dict[int, BatchDistributor] = {}
        """By their milliseconds."""
        self._sessions: dict[Session, Distributor] = {}
        self._updates: list[Update] = []
        """What this iteration of the event loop brought so far."""

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def not_live(self) -> int:
        """How many symbols have a state that is not live."""
        board = self.freshness_board
        return len(board.exceptions if board.overall.status == "live" else self.table)

    def update(self, symbol: str, version: Version | None, payload: bytes, skipped: int = 0) -> bool:
        """Take a PHYSICS_UPDATE if it is newer than what is held, and send it on; whether it was taken.

        `skipped`: versions that were left out on the way here.
        """
        if not self.table.offer(symbol, version, payload):
            STALE.inc()
            return False
        self._send(Update(symbol, text_frame(protocol.with_skipped(payload, skipped)), skipped))
        return True

    def remove(self, symbol: str) -> None:
        if self.table.remove(symbol):
            self.freshness_board.forget(symbol)
            self._send(Update(symbol, text_frame(protocol.removed(symbol)), removal=True))

    def freshness(self, statement: FreshnessStatement) -> None:
        """Say how far some states may be trusted to who wants them."""
        self.flush()  # a state comes before what is said of it
        self.freshness_board.apply(statement, self._at_once.view.monotonic())
        for distributor in self._distributors():
            distributor.freshness(statement)

    def event(self, event: Event) -> None:
        """Send it on as it was published, to everybody."""
        self.flush()
        for distributor in self._distributors():
            distributor.event(event)

    def heartbeat(self) -> None:
        self.flush()
        for distributor in self._distributors():
            distributor.heartbeat()

    def join(self, wire: Wire, wanted: Subscription, grant: Grant = ANYBODY) -> Session:
        """A new client; its SNAPSHOT begins at once, and a HEARTBEAT follows: how fresh is what it got?"""
        self.flush()
        distributor = self._distributor(wanted.batch)
        session = Session(distributor.view, wire, grant, wanted)
        session.want(wanted)
        distributor.add(session)
        self._sessions[session] = distributor
        CLIENTS.set(len(self._sessions))
        session.heartbeat()
        return session

    def leave(self, session: Session) -> None:
        distributor = self._sessions.pop(session, None)
        if distributor is None:
            return
        distributor.remove(session, session.wanted)
        if not len(distributor):
            self._batches.pop(session.wanted.batch, None)
        CLIENTS.set(len(self._sessions))
        DELIVERED.inc(session.delivered)
        SKIPPED.inc(session.skipped)
        EVENTS_DROPPED.inc(session.events.dropped)

    def request(self, session: Session, request: Request) -> None:
        """Grant a client's request. Raises RequestRefused."""
        self.flush()
        before = session.wanted
        try:
            session.request(request)
        finally:
            if session.wanted != before:
                distributor = self._sessions[session]
                distributor.remove(session, before)
                distributor.add(session)

    def refuse(self, session: Session, refused: RequestRefused) -> None:
        """Answer what cannot be granted."""
        self.flush()
        session.answer(protocol.error(refused))

    def drained(self, session: Session) -> None:
        """The session's wire takes writes again."""
        self.flush()
        session.pump()

    def flush(self) -> None:
        """Send on what this iteration of the event loop brought so far. Everything that writes from the last value
        cache does this first, so that no client is sent one version twice."""
        if not self._updates:
            return
        updates, self._updates = self._updates, []
        UPDATES.inc(len(updates))
        SYMBOLS.set(len(self.table))
        for distributor in self._distributors():
            distributor.updates(updates)

    def _send(self, update: Update) -> None:
        if not self._updates:
            asyncio.get_running_loop().call_soon(self.flush)
        self._updates.append(update)

    def _distributors(self) -> list[Distributor]:
        return [self._at_once, *self._batches.values()]

    def _distributor(self, batch: int) -> Distributor:
        """For clients that asked for batches of so many milliseconds; 0 is none."""
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
