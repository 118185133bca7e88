"""Clients that want the same: what is built for one of them is handed to all. Pure.

Every group keeps apart who is in step, and gets the ready bytes, and who is behind, and gets what it missed later.
"""

from collections.abc import Callable, Sequence

from common.fanout.conflation import Backlog, Conflated, Update, chunks, conflate, take_backlog
from common.fanout.frames import deflated_frame, text_frame
from common.fanout.session import MAX_WAITING, HubView, Session, frames, heartbeat
from cottage import protocol
from cottage.freshness import FreshnessStatement
from cottage.protocol import Subscription

LEAST_DEFLATED_BYTES = 4096
"""What is smaller fits into a few packets as it is, and would cost more than it saves where few clients share it."""


class Group:
    __slots__ = ("_behind", "_ready", "_source", "skipped", "turn", "versions", "wanted")

    def __init__(self, wanted: Subscription, source: HubView) -> None:
        self.wanted = wanted
        self._source = source
        self.turn: list[Update] = []
        """What the turn of the event loop that is under way brought for it."""
        self.versions = 0
        self.skipped = 0
        self._ready: dict[Session, Callable[[bytes], None]] = {}
        self._behind: dict[Session, None] = {}

    def __len__(self) -> int:
        return len(self._ready) + len(self._behind)

    def add(self, session: Session) -> None:
        session.moved(self)
        (self.caught_up if session.in_step else self.fell_behind)(session)

    def remove(self, session: Session) -> None:
        session.moved(None)
        self._ready.pop(session, None)
        self._behind.pop(session, None)

    def caught_up(self, session: Session) -> None:
        self._behind.pop(session, None)
        self._ready[session] = session.wire.write

    def fell_behind(self, session: Session) -> None:
        self._ready.pop(session, None)
        self._behind[session] = None

    def end_turn(self) -> None:
        """Hand out what the turn brought."""
        turn, self.turn = self.turn, []
        for chunk in chunks(turn):
            if self._behind:
                missed = [update.missed for update in chunk.updates]
                for session in self._behind:
                    session.missed(missed)
            self._hand_out(chunk.joined, chunk.versions, chunk.skipped)

    def agent_update(self, payload: bytes) -> None:
        frame = self._frames([payload])
        for session in list(self._behind):
            session.agent_update(frame)
        self._hand_out(frame)

    def freshness(self, statement: FreshnessStatement) -> None:
        """Its symbols are all that this group wants of them."""
        for session in list(self._behind):
            session.freshness(statement.symbols)
        if self._ready:
            self._hand_out(self._frames([protocol.freshness(statement)]))

    def heartbeat(self) -> None:
        for session in list(self._behind):
            session.heartbeat()
        if self._ready:
            self._hand_out(self._frames([heartbeat(self._source, self.wanted)]))

    def settle(self, session: Session) -> None:
        """Before the session is written to from the newest table: it is owed all that this group still holds back."""

    def _frames(self, payloads: Sequence[bytes]) -> bytes:
        return frames(self.wanted, payloads)

    def _hand_out(self, frames: bytes, versions: int = 0, skipped: int = 0) -> None:
        self.versions += versions  # first: a session that falls behind in the loop has been handed it
        self.skipped += skipped
        for write in list(self._ready.values()):
            try:  # noqa: SIM105  # suppress() costs more than a write
                write(frames)
            except RuntimeError:
                pass  # closed a moment ago; it will say so itself, and nobody else is to suffer


class BatchGroup(Group):
    """A group whose updates are gathered for a while; then the newest of each symbol goes out in one array.

    `begin` is called when a window opens, and `close_window` is to be called after it. A session that is written to
    within a window is told of what it brought so far; the rest of the window is its own to have.
    """

    __slots__ = ("_agents", "_begin", "_heartbeat_due", "_since", "_statements", "_window")

    def __init__(self, wanted: Subscription, source: HubView, begin: Callable[["BatchGroup"], object]) -> None:
        super().__init__(wanted, source)
        self._begin = begin
        self._window: list[Update] = []
        self._agents: list[bytes] = []
        self._statements: list[FreshnessStatement] = []
        self._since: dict[Session, int] = {}
        """How much of the window the sessions have already that were written to within it."""
        self._heartbeat_due = False

    def add(self, session: Session) -> None:
        super().add(session)
        if self._window:
            self._since[session] = len(self._window)

    def remove(self, session: Session) -> None:
        super().remove(session)
        self._since.pop(session, None)

    def end_turn(self) -> None:
        self._open()
        self._window += self.turn
        self.turn = []

    def agent_update(self, payload: bytes) -> None:
        self._open()
        if len(self._agents) == MAX_WAITING:
            del self._agents[0]
            for session in [*self._ready, *self._behind]:
                session.agent_drops += 1
        self._agents.append(payload)

    def freshness(self, statement: FreshnessStatement) -> None:
        self._open()
        if statement.symbols is None:
            self._statements.clear()
        self._statements.append(statement)  # after the states that it speaks of

    def heartbeat(self) -> None:
        self._open()
        self._heartbeat_due = True  # it is proof of what was sent, and this is not yet

    def settle(self, session: Session) -> None:
        session.missed(self._of(session))
        if self._window:
            self._since[session] = len(self._window)

    def close_window(self) -> None:
        """Hand out the newest of each symbol that the window brought, and all else that waited for its end."""
        for session in [*self._behind, *(session for session in self._ready if session in self._since)]:
            session.missed(self._of(session))
            session.blocked()  # it goes its own way, once
        before = set(self._behind)
        missed: Backlog = {}
        conflate(missed, self._of(None))
        self._window, self._since = [], {}
        while missed:
            part = take_backlog(missed, self._source.table)
            for session in self._behind.keys() - before:
                session.missed(part.missed)
            if part.payloads:
                self._hand_out(self._frames(part.payloads), part.versions, part.skipped)
        statements, self._statements = self._statements, []
        for statement in statements:
            super().freshness(statement)
        agents, self._agents = self._agents, []
        for payload in agents:
            super().agent_update(payload)
        if self._heartbeat_due:
            self._heartbeat_due = False
            super().heartbeat()
        for session in list(self._behind):
            session.pump()

    def _frames(self, payloads: Sequence[bytes]) -> bytes:
        """What all of them get is worth compressing; what each is sent alone is not."""
        payload = protocol.array(payloads)
        if self.wanted.deflated and len(payload) >= LEAST_DEFLATED_BYTES:
            return deflated_frame(payload)
        return text_frame(payload)

    def _open(self) -> None:
        if not (self._window or self._statements or self._agents or self._heartbeat_due):
            self._begin(self)

    def _of(self, session: Session | None) -> list[tuple[str, Conflated]]:
        """What the window brought that this session has not."""
        start = 0 if session is None else self._since.get(session, 0)
        return [update.missed for update in self._window[start:]]
