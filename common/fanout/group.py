"""A group: all sessions of the same audience (audience.py). A frame is built once and written to all of them. Pure.

Distributors use groups. A group writes to those of its sessions that have caught up. The lagging ones, which are the
slow consumers, are only notified of what they were not sent, and conflate it (session.py).
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
"""A smaller message fits into a few packets as it is: compressing it costs more than it saves where few clients
share it."""


class Group:
    __slots__ = ("_caught_up", "_events", "_lagging", "_view", "skipped", "subscription", "versions")

    def __init__(self, subscription: Subscription, view: HubView, events: frozenset[str] | None = None) -> None:
        """`events`: the topics of the events that its sessions are sent; None means all."""
        self.subscription = subscription
        self._events = events
        self._view = view
        self.versions = 0
        self.skipped = 0
        self._caught_up: dict[Session, Callable[[bytes], None]] = {}
        """Each session with the `write` of its connection."""
        self._lagging: dict[Session, None] = {}

    def __len__(self) -> int:
        return len(self._caught_up) + len(self._lagging)

    def __iter__(self) -> Iterator[Session]:
        yield from self._caught_up
        yield from self._lagging

    def receives(self, topic: str) -> bool:
        """Whether its sessions are sent the events of this topic."""
        return self._events is None or topic in self._events

    def add(self, session: Session) -> None:
        session.set_group(self)
        self.lag_changed(session)

    def remove(self, session: Session) -> None:
        session.set_group(None)
        self._forget(session)

    def lag_changed(self, session: Session) -> None:
        """The session has caught up, or has begun to lag."""
        self._forget(session)
        if session.caught_up:
            self._caught_up[session] = session.wire.write
        else:
            self._lagging[session] = None

    def deliver(self, updates: Sequence[Update]) -> None:
        """Write updates to the sessions that have caught up, and have the lagging ones conflate them."""
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
        """Hand on a freshness statement, which is limited to the symbols of this group's subscription."""
        for session in list(self._lagging):
            session.freshness(statement.symbols)
        if self._caught_up:
            self._hand_out(self._frames([protocol.freshness(statement)]))

    def heartbeat(self) -> None:
        for session in list(self._lagging):
            session.heartbeat()
        if self._caught_up:
            self._hand_out(self._frames([heartbeat(self._view, self.subscription)]))

    def _forget(self, session: Session) -> None:
        self._caught_up.pop(session, None)
        self._lagging.pop(session, None)

    def _frames(self, payloads: Sequence[bytes]) -> bytes:
        return frames(self.subscription, payloads)

    def _join(self, payloads: Sequence[bytes]) -> bytes:
        return b"".join(payloads)

    def _hand_out(self, frames: bytes, versions: int = 0, skipped: int = 0) -> None:
        self.versions += versions  # first: a session that begins to lag during the loop was still sent it
        self.skipped += skipped
        for write in list(self._caught_up.values()):
            try:  # noqa: SIM105  # suppress() costs more than a write
                write(frames)
            except RuntimeError:
                pass  # closed a moment ago: its own callback reports it, and the other clients go on


class BatchGroup(Group):
    """A group whose sessions asked for `?batch=`: the messages of a window are sent as JSON arrays."""

    __slots__ = ()

    def _frames(self, payloads: Sequence[bytes]) -> bytes:
        """One frame with an array of messages. It is compressed if it is large, since all sessions share it."""
        payload = protocol.array(payloads)
        if self.subscription.deflated and len(payload) >= LEAST_DEFLATED_BYTES:
            return deflated_frame(payload)
        return text_frame(payload)

    _join = _frames
