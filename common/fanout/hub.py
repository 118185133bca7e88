"""All clients: what arrives within one turn of the event loop goes to each of them in one write.

Nothing waits for that: the turn ends as soon as what had arrived is read. Only who asked for batches waits for them.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace

from prometheus_client import Counter, Gauge

from common.fanout.conflation import Update
from common.fanout.frames import text_frame
from common.fanout.group import BatchGroup, Group
from common.fanout.last_value_cache import LastValueCache
from common.fanout.session import Session, Wire
from cottage import protocol
from cottage.clock import Clock, iso_millis
from cottage.freshness import Freshness, FreshnessStatement
from cottage.freshness_board import FreshnessBoard
from cottage.protocol import MAX_NAMED_SYMBOLS, Request, RequestRefused, Subscription
from cottage.version import Version

CLIENTS = Gauge("cottage_fanout_clients", "Connected clients.")
SYMBOLS = Gauge("cottage_fanout_symbols", "Symbols in the last-value cache.")
UPDATES = Counter("cottage_fanout_updates_total", "Newer states taken, and removals.")
STALE = Counter("cottage_fanout_updates_outdated_total", "States that were not newer than the last value.")
DELIVERED = Counter("cottage_fanout_updates_delivered_total", "Updates written to clients that have left since.")
SKIPPED = Counter("cottage_fanout_updates_conflated_total", "Versions skipped for slow clients that have left since.")
AGENT_DROPS = Counter(
    "cottage_fanout_agent_updates_dropped_total", "Agent updates dropped for slow clients that have left since."
)


class Hub:
    """The newest table and the sessions that are fed from it.

    `upstream` tells how fresh what comes from above is.
    """

    def __init__(
        self, clock: Clock, upstream: Callable[[], Freshness], time: Callable[[], float] | None = None
    ) -> None:
        """`time`: what every message is stamped with, in seconds since 1970; the clock's without it."""
        self.table = LastValueCache()
        self.freshness_board = FreshnessBoard()
        self.upstream = upstream
        self._clock = clock
        self._time = time or clock.time
        self._places: dict[Session, Group] = {}
        self._groups: dict[Subscription, Group] = {}
        self._everything: dict[Group, None] = {}
        self._by_symbol: dict[str, dict[Group, None]] = {}
        self._turn: list[Update] = []

    def __len__(self) -> int:
        return len(self._places)

    @property
    def not_live(self) -> int:
        """How many symbols have a state that is not live."""
        board = self.freshness_board
        return len(board.exceptions if board.overall.status == "live" else self.table)

    def timestamp(self) -> str:
        return iso_millis(self._time())

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
        self.freshness_board.apply(statement, self.monotonic())
        if statement.symbols is None:
            for group in list(self._groups.values()):
                group.freshness(statement)
            return
        for group in list(self._everything):
            group.freshness(statement)
        for group, symbols in self._by_group(statement.symbols).items():
            group.freshness(replace(statement, symbols=tuple(symbols)))

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def agent_update(self, payload: bytes) -> None:
        self.flush()
        for group in list(self._groups.values()):
            group.agent_update(payload)

    def heartbeat(self) -> None:
        self.flush()
        for group in list(self._groups.values()):
            group.heartbeat()

    def join(self, wire: Wire, wanted: Subscription, max_symbols: int = MAX_NAMED_SYMBOLS) -> Session:
        """A new client; its SNAPSHOT begins at once, and a HEARTBEAT follows: how fresh is what it got?

        It may name at most `max_symbols`.
        """
        self.flush()
        session = Session(self, wire, max_symbols, wanted)
        session.want(wanted)
        self._place(session)
        CLIENTS.set(len(self._places))
        session.heartbeat()
        return session

    def leave(self, session: Session) -> None:
        if session not in self._places:
            return
        self._displace(session)
        CLIENTS.set(len(self._places))
        DELIVERED.inc(session.delivered)
        SKIPPED.inc(session.skipped)
        AGENT_DROPS.inc(session.agent_drops)

    def request(self, session: Session, request: Request) -> None:
        """Grant a client's request. Raises RequestRefused."""
        self._settle(session)
        before = session.wanted
        try:
            session.request(request)
        finally:
            if session.wanted != before:
                self._displace(session)
                self._place(session)

    def refuse(self, session: Session, refused: RequestRefused) -> None:
        """Answer what cannot be granted."""
        self._settle(session)
        session.answer(protocol.error(refused))

    def drained(self, session: Session) -> None:
        """The session's wire takes writes again."""
        self._settle(session)
        session.pump()

    def flush(self) -> None:
        """End the turn: what it brought goes out. Everything that writes from the table does this first,
        so that no client is sent one version twice."""
        if not self._turn:
            return
        turn, self._turn = self._turn, []
        UPDATES.inc(len(turn))
        SYMBOLS.set(len(self.table))
        for group in list(self._everything):
            group.turn = turn
            group.end_turn()
        if self._by_symbol:
            for group in self._sorted(turn):
                group.end_turn()

    def _sorted(self, turn: list[Update]) -> dict[Group, None]:
        """Give each update to the groups that want it; those that got some."""
        given: dict[Group, None] = {}
        for update in turn:
            for group in self._by_symbol.get(update.symbol, ()):
                group.turn.append(update)
                given[group] = None
        return given

    def _by_group(self, symbols: Iterable[str]) -> dict[Group, list[str]]:
        """The symbols that each group wants which named some."""
        wanted: dict[Group, list[str]] = {}
        for symbol in symbols:
            for group in self._by_symbol.get(symbol, ()):
                wanted.setdefault(group, []).append(symbol)
        return wanted

    def _send(self, update: Update) -> None:
        if not self._turn:
            asyncio.get_running_loop().call_soon(self.flush)
        self._turn.append(update)

    def _settle(self, session: Session) -> None:
        """Before a session is written to from the newest table."""
        self.flush()
        self._places[session].settle(session)

    def _place(self, session: Session) -> None:
        """Put a session where it belongs."""
        wanted = session.wanted
        group = self._groups.get(wanted)
        if group is None:
            group = self._groups[wanted] = self._new_group(wanted)
            if wanted.everything:
                self._everything[group] = None
            for symbol in wanted.named:
                self._by_symbol.setdefault(symbol, {})[group] = None
        self._places[session] = group
        group.add(session)

    def _displace(self, session: Session) -> None:
        group = self._places.pop(session)
        group.remove(session)
        if len(group):
            return
        del self._groups[group.wanted]
        self._everything.pop(group, None)
        for symbol in group.wanted.named:
            self._by_symbol[symbol].pop(group)
            if not self._by_symbol[symbol]:
                del self._by_symbol[symbol]

    def _new_group(self, wanted: Subscription) -> Group:
        if not wanted.batch:
            return Group(wanted, self)
        loop, seconds = asyncio.get_running_loop(), wanted.batch / 1000
        return BatchGroup(wanted, self, lambda group: loop.call_later(seconds, self._close_window, group))

    def _close_window(self, group: BatchGroup) -> None:
        self.flush()
        group.close_window()
