"""A group: the sessions of one subscription. What is built for one of them is handed to all. Pure.

A group writes to those of its sessions that have caught up. Those that lag, the slow consumers, are only told what
they were not sent, and conflate it (session.py).
"""

from collections.abc import Callable, Iterator, Sequence

from common.fanout.conflation import Update, chunks
from common.fanout.frames import deflated_frame, text_frame
from common.fanout.session import HubView, Session, frames, heartbeat
from cottage import protocol
from cottage.events import Event
from cottage.freshness import FreshnessStatement
from cottage.protocol import Subscription

LEAST_DEFLATED_BYTES = 4096
"""What is smaller fits into a few packets as it is, and would cost more than it saves where few clients share it."""


class Group:
    __slots__ = ("_caught_up", "_lagging", "_source", "skipped", "versions", "wanted")

    def __init__(self, wanted: Subscription, source: HubView) -> None:
        self.wanted = wanted
        self._source = source
        self.versions = 0
        self.skipped = 0
        self._caught_up: dict[Session, Callable[[bytes], None]] = {}
        """With the `write` of its connection."""
        self._lagging: dict[Session, None] = {}

    def __len__(self) -> int:
        return len(self._caught_up) + len(self._lagging)

    def __iter__(self) -> Iterator[Session]:
        yield from self._caught_up
        yield from self._lagging

    def add(self, session: Session) -> None:
        session.belong_to(self)
        self.lag_changed(session)

    def remove(self, session: Session) -> None:
        session.belong_to(None)
        self._forget(session)

    def lag_changed(self, session: Session) -> None:
        """It has caught up, or it lags now."""
        self._forget(session)
        if session.caught_up:
            self._caught_up[session] = session.wire.write
        else:
            self._lagging[session] = None

    def deliver(self, updates: Sequence[Update]) -> None:
        """Hand out some updates, at most one write at a time; for who lags they are conflated."""
        for chunk in chunks(updates, self._join):
            if self._lagging:
                conflated = [update.conflated for update in chunk.updates]
                for session in self._lagging:
                    session.conflate(conflated)
            self._hand_out(chunk.joined, chunk.versions, chunk.skipped)

    def event(self, event: Event) -> None:
        frame = self._frames([event.payload])
        for session in list(self._lagging):
            session.event(event, frame)
        self._hand_out(frame)

    def freshness(self, statement: FreshnessStatement) -> None:
        """Its symbols are all that this group wants of them."""
        for session in list(self._lagging):
            session.freshness(statement.symbols)
        if self._caught_up:
            self._hand_out(self._frames([protocol.freshness(statement)]))

    def heartbeat(self) -> None:
        for session in list(self._lagging):
            session.heartbeat()
        if self._caught_up:
            self._hand_out(self._frames([heartbeat(self._source, self.wanted)]))

    def _forget(self, session: Session) -> None:
        self._caught_up.pop(session, None)
        self._lagging.pop(session, None)

    def _frames(self, payloads: Sequence[bytes]) -> bytes:
        return frames(self.wanted, payloads)

    def _join(self, payloads: Sequence[bytes]) -> bytes:
        return b"".join(payloads)

    def _hand_out(self, frames: bytes, versions: int = 0, skipped: int = 0) -> None:
        self.versions += versions  # first: a session that begins to lag in the loop has been handed it
        self.skipped += skipped
        for write in list(self._caught_up.values()):
            try:  # noqa: SIM105  # suppress() costs more than a write
                write(frames)
            except RuntimeError:
                pass  # closed a moment ago; it will say so itself, and nobody else is to suffer


class BatchGroup(Group):
    """A group whose sessions asked for batches: what a window brought is handed out in arrays."""

    __slots__ = ()

    def _frames(self, payloads: Sequence[bytes]) -> bytes:
        """What all of them get is worth compressing; what each is sent alone is not."""
        payload = protocol.array(payloads)
        if self.wanted.deflated and len(payload) >= LEAST_DEFLATED_BYTES:
            return deflated_frame(payload)
        return text_frame(payload)

    _join = _frames
