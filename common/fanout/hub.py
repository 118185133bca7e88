"""All clients: what arrives within one turn of the event loop goes to each of them in one write.

Nothing waits for that: the turn ends as soon as what had arrived is read.
"""

import asyncio
from collections.abc import Callable

from prometheus_client import Counter, Gauge

from common.clock import Clock, iso_millis
from common.fanout import protocol
from common.fanout.frames import text_frame
from common.fanout.newest import NewestTable
from common.fanout.protocol import Refused, Request, Subscription, Upstream
from common.fanout.session import Session, Update, Wire, chunks
from common.state import Version

CLIENTS = Gauge("cottage_fanout_clients", "Connected clients")
SYMBOLS = Gauge("cottage_fanout_symbols", "Symbols with a state")
UPDATES = Counter("cottage_fanout_updates_total", "Newer states taken")
STALE = Counter("cottage_fanout_not_newer_total", "States that were not newer than what was held")
DELIVERED = Counter("cottage_fanout_delivered_total", "Updates written to clients that have left since")
SKIPPED = Counter("cottage_fanout_skipped_total", "Versions left out for slow clients that have left since")
AGENT_DROPS = Counter("cottage_fanout_agent_drops_total", "Agent updates dropped for clients that have left since")


class Hub:
    """The newest table and the sessions that are fed from it.

    `upstream` tells how fresh what comes from above is.
    """

    def __init__(self, clock: Clock, upstream: Callable[[], Upstream]) -> None:
        self.table = NewestTable()
        self.upstream = upstream
        self._clock = clock
        self._sessions: dict[Session, None] = {}
        self._everything: dict[Session, None] = {}
        self._by_symbol: dict[str, dict[Session, None]] = {}
        self._turn: list[Update] = []

    def __len__(self) -> int:
        return len(self._sessions)

    def timestamp(self) -> str:
        return iso_millis(self._clock.time())

    def update(self, symbol: str, version: Version | None, payload: bytes, skipped: int = 0) -> bool:
        """Take a PHYSICS_UPDATE if it is newer than what is held, and send it on; whether it was taken.

        `skipped`: versions that were left out on the way here.
        """
        if not self.table.offer(symbol, version, payload):
            STALE.inc()
            return False
        UPDATES.inc()
        self._send(Update(symbol, text_frame(protocol.with_skipped(payload, skipped)), skipped))
        return True

    def remove(self, symbol: str) -> None:
        if self.table.remove(symbol):
            self._send(Update(symbol, text_frame(protocol.removed(symbol)), removal=True))

    def agent_update(self, payload: bytes) -> None:
        self.flush()
        frame = text_frame(payload)
        for session in list(self._sessions):
            session.agent_update(frame)

    def heartbeat(self) -> None:
        self.flush()
        for session in list(self._sessions):
            session.heartbeat()

    def join(self, wire: Wire, wanted: Subscription) -> Session:
        """A new client; its SNAPSHOT begins at once, and a HEARTBEAT follows: how fresh is what it got?"""
        self.flush()
        session = Session(self, wire, wanted)
        self._sessions[session] = None
        self._index(session)
        CLIENTS.set(len(self._sessions))
        session.heartbeat()
        return session

    def leave(self, session: Session) -> None:
        if session not in self._sessions:
            return
        self._unindex(session, session.wanted)
        del self._sessions[session]
        CLIENTS.set(len(self._sessions))
        DELIVERED.inc(session.delivered)
        SKIPPED.inc(session.skipped)
        AGENT_DROPS.inc(session.agent_drops)

    def request(self, session: Session, request: Request) -> None:
        """Grant a client's request. Raises Refused."""
        self.flush()
        before = session.wanted
        try:
            session.request(request)
        finally:
            if session.wanted != before:
                self._unindex(session, before)
                self._index(session)

    def refuse(self, session: Session, refused: Refused) -> None:
        """Answer what cannot be granted."""
        self.flush()
        session.answer(protocol.error(refused))

    def drained(self, session: Session) -> None:
        """The session's wire takes writes again."""
        self.flush()
        session.pump()

    def flush(self) -> None:
        """End the turn: what it brought goes out. Everything that writes from the table does this first,
        so that no client is sent one version twice."""
        if not self._turn:
            return
        turn, self._turn = self._turn, []
        SYMBOLS.set(len(self.table))
        if self._everything:
            joined = chunks(turn)
            for session in list(self._everything):
                session.deliver(joined)
        if self._by_symbol:
            for session, updates in self._wanted(turn).items():
                session.deliver(chunks(updates))

    def _wanted(self, turn: list[Update]) -> dict[Session, list[Update]]:
        wanted: dict[Session, list[Update]] = {}
        for update in turn:
            for session in self._by_symbol.get(update.symbol, ()):
                wanted.setdefault(session, []).append(update)
        return wanted

    def _send(self, update: Update) -> None:
        if not self._turn:
            asyncio.get_running_loop().call_soon(self.flush)
        self._turn.append(update)

    def _index(self, session: Session) -> None:
        if session.wanted.everything:
            self._everything[session] = None
        for symbol in session.wanted.named:
            self._by_symbol.setdefault(symbol, {})[session] = None

    def _unindex(self, session: Session, wanted: Subscription) -> None:
        self._everything.pop(session, None)
        for symbol in wanted.named:
            group = self._by_symbol.get(symbol, {})
            group.pop(session, None)
            if not group:
                self._by_symbol.pop(symbol, None)
