"""Events: messages that are not states, and travel as they were published from Redis to every client.

A new event is one parser, which gives its key, and one line in TOPICS. The bridge, the fan-out and the clients treat
it by its policy.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Generic, NamedTuple, TypeVar

from cottage import fields
from cottage.errors import InvalidMessage

Item = TypeVar("Item")

MAX_WAITING = 64
"""Events of each topic that wait for a slow consumer."""


class Policy(Enum):
    """What waits for a slow consumer."""

    LATEST = auto()
    """Conflation: the newest of each key, of as many keys as may wait."""
    QUEUE = auto()
    """All, up to as many as may wait: then the oldest is dropped."""


class Topic(NamedTuple):
    key: Callable[[Mapping[str, Any]], str]
    """Checks a message, and says what it is about. Raises InvalidMessage."""
    policy: Policy


TOPICS = {"AGENT_UPDATE": Topic(fields.agent_id, Policy.QUEUE)}
"""By the field `event`."""


@dataclass(frozen=True, slots=True)
class Event:
    """A message that is no state, such as an agent's to all."""

    topic: str
    """Its field `event`, such as AGENT_UPDATE."""
    key: str
    """What it is about, such as the agent's id."""
    payload: bytes = field(repr=False)
    """The whole message, JSON, as it was published."""


def parse_event(message: Mapping[str, Any], payload: bytes) -> Event:
    """An event of one of TOPICS. Raises InvalidMessage."""
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
        """Let it wait; whether an older one was dropped for it."""
        self._waiting[topic, key if TOPICS[topic].policy is Policy.LATEST else object()] = item
        same = [slot for slot in self._waiting if slot[0] == topic]
        full = len(same) > MAX_WAITING
        if full:
            del self._waiting[same[0]]
            self.dropped += 1
        return full

    def pop(self) -> Item:
        """The one that has waited longest."""
        return self._waiting.pop(next(iter(self._waiting)))

    def __len__(self) -> int:
        return len(self._waiting)
