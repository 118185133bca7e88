"""Events by topic and key: what is parsed, and what waits for a slow consumer."""

import pytest

from cottage import events, fields
from cottage.errors import InvalidMessage
from cottage.events import MAX_WAITING, Event, EventQueue, Policy, Topic, parse_event


@pytest.fixture(autouse=True)
def topics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(events.TOPICS, "QUOTE", Topic(fields.symbol, Policy.LATEST))
    monkeypatch.setitem(events.TOPICS, "TRADE", Topic(fields.symbol, Policy.QUEUE))


def drained(queue: EventQueue[int]) -> list[int]:
    return [queue.pop() for _ in range(len(queue))]


def test_an_event_is_known_by_topic_and_key() -> None:
    assert parse_event({"event": "QUOTE", "symbol": "SPY"}, b"{}") == Event("QUOTE", "SPY", b"{}")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({}, "event"),
        ({"event": "PHYSICS_UPDATE"}, "event"),
        ({"event": ["QUOTE"]}, "event"),
        ({"event": "QUOTE", "symbol": "spy"}, "symbol"),
        ({"event": "AGENT_UPDATE"}, "agent_id"),
        ({"event": "FEED_REFUSALS"}, "type"),
        ({"event": "FEED_REFUSALS", "shard": "2/1"}, "shard"),
    ],
)
def test_what_is_no_event_is_invalid(message: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        parse_event(message, b"{}")
    assert caught.value.reason == reason


def test_of_a_conflated_topic_the_newest_of_each_key_waits_and_nothing_counts_as_dropped() -> None:
    queue: EventQueue[int] = EventQueue()
    for number in range(1000):
        assert not queue.put("QUOTE", f"S{number % 3}", number)
    assert drained(queue) == [999, 997, 998]
    assert queue.dropped == 0


def test_of_a_queued_topic_all_wait_up_to_a_bound_and_the_oldest_is_dropped() -> None:
    queue: EventQueue[int] = EventQueue()
    dropped = [queue.put("TRADE", "SPY", number) for number in range(MAX_WAITING + 3)]
    assert dropped == [False] * MAX_WAITING + [True] * 3
    assert queue.dropped == 3
    assert drained(queue) == list(range(3, MAX_WAITING + 3))


def test_a_flood_of_one_topic_drops_nothing_of_another() -> None:
    queue: EventQueue[int] = EventQueue()
    queue.put("QUOTE", "SPY", -1)
    queue.put("AGENT_UPDATE", "a", -2)
    for number in range(10 * MAX_WAITING):
        queue.put("TRADE", "SPY", number)
        queue.put("QUOTE", f"S{number}", number)
    left = drained(queue)
    assert -2 in left
    assert len(left) == 1 + 2 * MAX_WAITING, "keys without end are bounded too"
