"""Events: messages that are not states. They are sent from Redis to every client as they were published.

Bridge, fan-out and clients treat an event by the policy of its topic. A new event needs a parser, which returns its
key, and one line in TOPICS. This module only says which events wait for a slow consumer; for how a server handles
slow consumers, see common/fanout/session.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Generic, NamedTuple, TypeVar

from cottage import fields
from cottage.errors import InvalidMessage

Item = TypeVar("Item")

MAX_WAITING = 64
"""How many events of each topic may wait for a slow consumer."""


class Policy(Enum):
    """Which events of a topic wait for a slow consumer."""

    LATEST = auto()
    """Conflation: only the newest event of each key waits."""
    QUEUE = auto()
    """All events wait; beyond the limit the oldest is dropped."""


class Topic(NamedTuple):
    """How the messages of a topic are parsed, and what becomes of them for a slow consumer."""

    key: Callable[[Mapping[str, Any]], str]
    """Checks a message and returns its key, which says what it is about. Raises InvalidMessage."""
    policy: Policy


TOPICS = {
    "AGENT_UPDATE": Topic(fields.agent_id, Policy.QUEUE),
    "FEED_REFUSALS": Topic(fields.shard, Policy.LATEST),
}
"""All topics by name, which is a message's field `event`."""


@dataclass(frozen=True, slots=True)
class Event:
    """A message that is not a state, such as an AGENT_UPDATE, from the channel to the clients."""

    topic: str
    """The value of its field `event`, such as AGENT_UPDATE."""
    key: str
    """What it is about, such as the agent's id."""
    payload: bytes = field(repr=False)
    """The whole message, JSON, as it was published."""


def parse_event(message: Mapping[str, Any], payload: bytes) -> Event:
    """Parse an event of one of TOPICS. Raises InvalidMessage. The bridge and the broadcaster's link use it."""
    name = message.get("event")
    if not isinstance(name, str) or name not in TOPICS:
        raise InvalidMessage("event", "none that is known here")
    return Event(name, TOPICS[name].key(message), payload)


class EventQueue(Generic[Item]):
    """Events that wait for a slow consumer, by the policies of their topics. What is dropped is counted."""

    __slots__ = ("_waiting", "dropped")

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, object], Item] = {}
        self.dropped = 0

    def put(self, topic: str, key: str, item: Item) -> bool:
        """Add an event. Returns whether an older one was dropped for it. What is none of TOPICS, such as the ERROR
        that a client is sent, is queued."""
        latest = topic in TOPICS and TOPICS[topic].policy is Policy.LATEST
        self._waiting[topic, key if latest else object()] = item
        same = [slot for slot in self._waiting if slot[0] == topic]
        full = len(same) > MAX_WAITING
        if full:
            del self._waiting[same[0]]
            self.dropped += 1
        return full

    def pop(self) -> Item:
        """Remove and return the event that has waited longest."""
        return self._waiting.pop(next(iter(self._waiting)))

    def keep(self, receives: Callable[[str], bool]) -> None:
        """Remove the events of all topics that are not received any more."""
        self._waiting = {slot: item for slot, item in self._waiting.items() if receives(slot[0])}

    def __len__(self) -> int:
        return len(self._waiting)
