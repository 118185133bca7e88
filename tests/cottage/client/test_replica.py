"""What one client holds, message by message."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cottage import protocol
from cottage.client.replica import StateReplica
from cottage.clock import RemoteClock
from cottage.errors import InvalidMessage
from cottage.freshness import Freshness
from cottage.version import Version
from tests.common.fanout.wires import LIVE, heartbeat, snapshot, update

SAMPLED = 1766318400.0


class Told:
    """A replica, and what became of what it was told."""

    def __init__(self, *symbols: str) -> None:
        self.changes: list[str] = []
        self.replica = StateReplica(set(symbols) if symbols else None, self.changes.append)
        self.now = 100.0
        self.replica.connected(self.now)

    def hears(self, *messages: bytes) -> list[dict[str, Any]]:
        """Returns the requests that are due then."""
        for message in messages:
            self.replica.take(orjson.loads(message), self.now)
        return self.replica.due(self.now)

    def asks(self, action: str, *symbols: str) -> list[dict[str, Any]]:
        """Returns the requests that are due then."""
        getattr(self.replica, action)(symbols)
        return self.replica.due(self.now)

    @property
    def phase(self) -> str:
        return str(self.replica.phase)

    @property
    def held(self) -> dict[str, Version | None]:
        return {name: state.version for name, state in self.replica.states.items()}


def ack(request: dict[str, Any]) -> bytes:
    return orjson.dumps({"event": "ACK", **request})


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=30))
def test_no_symbol_ever_goes_back_over_any_number_of_connections(
    versions: list[tuple[int, int, bool]],
) -> None:
    told = Told()
    newest = Version(-1, -1)
    for epoch, seq, another in versions:
        if another:
            told.replica.lost()
            told.replica.connected(told.now)
            told.hears(snapshot(update("SPY", epoch, seq)))
        else:
            told.hears(update("SPY", epoch, seq))
        newest = max(newest, Version(epoch, seq))
        assert told.held == {"SPY": newest}


def test_one_without_a_version_is_taken_in_order_but_never_over_one_that_has_it() -> None:
    told = Told()
    told.hears(update("A", alpha=1.0), update("A", alpha=2.0), update("B", 1, 1), update("B"))
    assert told.held == {"A": None, "B": (1, 1)}
    assert told.replica.states["A"].data["alpha"] == 2.0


def test_what_went_while_there_was_no_connection_is_forgotten() -> None:
    told = Told()
    told.hears(snapshot(update("A", 1, 1), update("B", 1, 1)))
    assert told.phase == "connected"
    told.replica.lost()
    assert told.phase == "reconnecting"
    told.replica.connected(told.now)
    told.hears(snapshot(update("B", 1, 1), last=False))
    assert set(told.held) == {"A", "B"}
    told.hears(snapshot(update("C", 1, 1)))
    assert set(told.held) == {"B", "C"}
    told.replica.lost()
    told.replica.connected(told.now)
    told.hears(snapshot(complete=False))
    assert set(told.held) == {"B", "C"}, "an incomplete one proves nothing"
    assert told.replica.upstream == Freshness("stale", None, None)


def test_what_was_asked_for_and_is_not_there_is_missing() -> None:
    told = Told("A", "B")
    told.hears(snapshot(update("A", 1, 1), missing=("B",)))
    assert told.replica.missing == {"B"}
    told.hears(update("B", 1, 1), protocol.removed("A"))
    assert (told.replica.missing, set(told.held)) == ({"A"}, {"B"})
    told.hears(update("C", 1, 1))
    assert set(told.held) == {"B"}, "nobody asked for it"


def test_it_is_connected_once_all_that_was_asked_for_has_come() -> None:
    told = Told("A")
    (request,) = told.asks("subscribe", "B")
    told.hears(snapshot(update("A", 1, 1)))
    assert told.phase == "connecting"
    told.hears(ack(request), snapshot(update("B", 1, 1)))
    assert told.phase == "connected"


def test_a_refused_request_is_waited_for_no_more() -> None:
    told = Told("A")
    (request,) = told.asks("subscribe", "B")
    told.hears(orjson.dumps({"event": "ERROR", "code": "x", "message": "y", "id": request["id"]}), snapshot())
    assert told.phase == "connected"


def test_all_can_be_asked_for_later_and_are_then_named_anew() -> None:
    told = Told("A")
    told.hears(snapshot(update("A", 1, 1)))
    requests = told.asks("subscribe", "*")
    assert [(each["action"], each["symbols"]) for each in requests] == [("unsubscribe", ["*"]), ("subscribe", ["*"])]
    told.hears(update("A", 1, 2), *map(ack, requests), snapshot(update("B", 1, 1)))
    assert set(told.held) == {"B"}
    assert told.asks("subscribe", "C") == []
    with pytest.raises(ValueError, match="subscribed to all"):
        told.replica.unsubscribe(["B"])
    told.replica.unsubscribe(["*"])
    assert told.held == {}


@pytest.mark.parametrize(
    ("known", "meanwhile", "asked"),
    [
        (None, [], []),
        (set(), [], []),
        ({"A"}, [], []),
        ({"A", "B"}, [("unsubscribe", "A"), ("subscribe", "C")], [("unsubscribe", ["A"]), ("subscribe", ["C"])]),
        ({"A"}, [("subscribe", "*")], [("unsubscribe", ["*"]), ("subscribe", ["*"])]),
        (None, [("unsubscribe", "*"), ("subscribe", "A")], [("unsubscribe", ["*"]), ("subscribe", ["A"])]),
        (None, [("unsubscribe", "*")], [("unsubscribe", ["*"])]),
        ({"A"}, [("unsubscribe", "A"), ("subscribe", "A")], [("unsubscribe", ["A"]), ("subscribe", ["A"])]),
        ({"A"}, [("subscribe", "B"), ("unsubscribe", "B")], []),
    ],
)
def test_a_new_connection_is_asked_for_what_its_handshake_did_not(
    known: set[str] | None, meanwhile: list[tuple[str, str]], asked: list[tuple[str, list[str]]]
) -> None:
    replica = StateReplica(known, lambda _: None)
    assert replica.subscriptions.dialled() == known
    for action, name in meanwhile:
        getattr(replica, action)([name])
    replica.connected(0.0)
    assert [(each["action"], each["symbols"]) for each in replica.due(0.0)] == asked


def test_a_heartbeat_proves_what_is_held_or_has_it_asked_for_again() -> None:
    told = Told("A", "B")
    told.hears(snapshot(update("A", 1, 5), missing=("B",)))
    assert told.hears(heartbeat(seqs={"A": Version(1, 5)})) == []
    assert told.hears(heartbeat(seqs={"A": Version(1, 4)})) == [], "a server that lags proves nothing"
    requests = told.hears(heartbeat(seqs={"A": Version(1, 6), "B": Version(1, 1), "C": Version(9, 9)}))
    assert [(each["action"], each["symbols"]) for each in requests] == [
        ("unsubscribe", ["A", "B"]),
        ("subscribe", ["A", "B"]),
    ]
    assert told.replica.resyncs == 2
    assert told.hears(heartbeat(seqs={"A": Version(1, 6)})) == [], "it is under way"


def test_a_whole_snapshot_is_asked_for_once_it_can_be_had() -> None:
    told = Told()
    told.hears(snapshot(complete=False))
    assert told.hears(heartbeat(Freshness("stale", "redis_down", None))) == []
    requests = told.hears(heartbeat())
    assert [each["action"] for each in requests] == ["unsubscribe", "subscribe"]
    assert told.hears(heartbeat()) == []


def test_what_was_left_out_is_counted() -> None:
    told = Told()
    told.hears(protocol.with_skipped(update("A", 1, 9), 7), protocol.with_skipped(update("A", 1, 12), 2))
    assert (told.replica.skipped, told.replica.states["A"].skipped) == (9, 2)


@pytest.mark.parametrize(
    ("age", "upstream", "silent", "expected"),
    [
        (0, LIVE, 0, "live"),
        (9.9, LIVE, 0, "live"),
        (10, LIVE, 0, "stale"),
        (60, LIVE, 0, "expired"),
        (0, Freshness("stale", "writer_down", 4.0), 0, "stale"),
        (0, Freshness("expired", "redis_down", 61.0), 0, "expired"),
        (0, LIVE, 2.9, "live"),
        (0, LIVE, 3, "stale"),
        (0, LIVE, 60, "expired"),
    ],
)
def test_freshness_is_that_of_the_worst_hop(age: float, upstream: Freshness, silent: float, expected: str) -> None:
    told = Told()
    told.hears(snapshot(update("A", 1, 1)), heartbeat(upstream))
    clock = told.replica.watch.server_clock = RemoteClock()
    clock.heard(SAMPLED + age - silent, told.now)  # the sample's age is `age` after the silence
    assert told.replica.freshness("A", told.now + silent) == expected
    assert told.replica.freshness("NONE", told.now) == "missing"


def test_one_without_a_time_is_undated() -> None:
    told = Told()
    dateless = orjson.dumps({**orjson.loads(update("A", 1, 1)), "timestamp": None})
    told.hears(snapshot(dateless), heartbeat())
    assert told.replica.freshness("A", told.now) == "undated"


def test_a_message_that_was_long_on_its_way_does_not_make_values_younger() -> None:
    told = Told()
    told.hears(snapshot(update("A", 1, 1)), heartbeat())
    told.now += 5
    told.hears(heartbeat())  # written five seconds ago
    assert told.replica.age("A", told.now) == pytest.approx(5, abs=0.01)


@pytest.mark.parametrize(
    "message",
    [
        b'{"event":"SNAPSHOT"}',
        b'{"event":"HEARTBEAT","timestamp":"2025-12-21T12:00:00Z"}',
        b'{"event":"HEARTBEAT"}',
        b'{"event":"FRESHNESS"}',
        b'{"event":"PHYSICS_UPDATE","symbol":"A"}',
        b'{"event":"PHYSICS_UPDATE","symbol":"a","data":{}}',
    ],
)
def test_what_no_server_sends_changes_nothing(message: bytes) -> None:
    told = Told()
    told.hears(snapshot(update("A", 1, 1)))
    with pytest.raises((InvalidMessage, KeyError, TypeError, ValueError)):
        told.hears(message)
    assert told.held == {"A": (1, 1)}


def test_what_is_unknown_is_left_alone() -> None:
    assert Told().hears(b'{"event":"LATER"}', b"{}") == []


def freshness(status: str, cause: str | None, *symbols: str) -> bytes:
    return orjson.dumps({"event": "FRESHNESS", "status": status, "cause": cause, "age_ms": 5000, "symbols": symbols})


def test_why_a_state_is_not_live_is_known() -> None:
    told = Told()
    told.hears(snapshot(update("A", 1, 1), update("B", 1, 1)), heartbeat())
    assert told.replica.cause("A", told.now) is None
    told.hears(freshness("stale", "feed_down", "A"))
    assert [told.replica.freshness(name, told.now) for name in "AB"] == ["stale", "live"]
    assert told.replica.cause("A", told.now) == "feed_down"
    told.hears(update("A", 1, 2))  # its sample is of now
    assert told.replica.freshness("A", told.now) == "live", "what was said was said of an older one"
    told.hears(freshness("expired", "writer_down", "*"))
    assert told.replica.cause("B", told.now) == "writer_down"
    told.replica.lost()
    assert told.replica.cause("B", told.now) == "server_down"


def test_a_new_connection_begins_with_everything_live() -> None:
    told = Told()
    told.hears(snapshot(update("A", 1, 1)), freshness("stale", "redis_down", "*"))
    told.replica.lost()
    told.replica.connected(told.now)
    told.hears(snapshot(update("A", 1, 1)), heartbeat())
    assert told.replica.freshness("A", told.now) == "live"
