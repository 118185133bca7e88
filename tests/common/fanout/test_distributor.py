"""What waits for a window's end, who gets it, and what is built once for all."""

from dataclasses import replace

import orjson
import pytest

from common.fanout import conflation
from common.fanout.conflation import Update
from common.fanout.distributor import BatchDistributor
from common.fanout.frames import text_frame
from common.fanout.last_value_cache import LastValueCache
from common.fanout.session import MAX_REPLIES, HubView, Session
from cottage import protocol
from cottage.events import Event
from cottage.freshness import Freshness, FreshnessStatement
from cottage.freshness_board import FreshnessBoard
from cottage.protocol import Subscription
from cottage.version import Version
from tests.common.fanout.wires import LIVE, FakeWire, update

DOWN = Freshness("stale", "redis_down", 4.0)
ALL = Subscription(everything=True, batch=250)


class Market:
    """The hub's part: a last value cache, and a distributor that is told of it."""

    def __init__(self) -> None:
        self.last_values = LastValueCache()
        self.stated = LIVE
        self.opened: list[BatchDistributor] = []
        view = HubView(self.last_values, FreshnessBoard(), lambda: self.stated, lambda: "T", lambda: 100.0)
        self.batch = BatchDistributor(view, self.opened.append)
        self.seqs: dict[str, int] = {}
        self.greeting: list[bytes] = []
        """What the client was sent that joined last."""

    def join(self) -> tuple[Session, FakeWire]:
        wire = FakeWire()
        session = Session(self.batch.view, wire, subscription=ALL)
        wire.session = session
        session.subscribe(ALL)
        self.batch.add(session)
        self.greeting = wire.payloads()
        return session, wire

    def brings(self, *symbols: str) -> None:
        """Within one iteration of the event loop."""
        updates = []
        for symbol in symbols:
            seq = self.seqs[symbol] = self.seqs.get(symbol, 0) + 1
            payload = update(symbol, 1, seq)
            assert self.last_values.offer(symbol, Version(1, seq), payload)
            updates.append(Update(symbol, text_frame(payload)))
        self.batch.updates(updates)

    def removes(self, symbol: str) -> None:
        self.last_values.remove(symbol)
        self.batch.updates([Update(symbol, text_frame(protocol.removed(symbol)), removal=True)])


def told(wire: FakeWire) -> list[list[tuple[str, int, int]]]:
    """(symbol, seq, skipped) by frame."""
    return [
        [(each.get("symbol"), each.get("seq", 0), each.get("skipped", 0)) for each in orjson.loads(payload)]
        for payload in wire.payloads()
    ]


@pytest.fixture
def market() -> Market:
    return Market()


def test_all_clients_get_the_very_same_bytes(market: Market) -> None:
    wires = [market.join()[1] for _ in range(3)]
    market.brings("A", "B")
    market.batch.close()
    frames = [wire.writes[-1] for wire in wires]
    assert frames[0] is frames[1] is frames[2]


def test_a_window_brings_the_newest_of_each_symbol_in_one_array(market: Market) -> None:
    _, wire = market.join()
    market.brings("A", "B")
    market.brings("A")
    assert told(wire) == []
    assert market.opened == [market.batch], "opened once"
    market.batch.close()
    assert told(wire) == [[("A", 2, 1), ("B", 1, 0)]]
    market.brings("B")
    assert market.opened == [market.batch] * 2
    market.batch.close()
    assert told(wire) == [[("B", 2, 0)]]


def test_who_joins_within_a_window_gets_only_what_came_after_its_snapshot(market: Market) -> None:
    market.join()
    market.brings("A", "B")
    market.batch.close()
    market.brings("A")
    session, late = market.join()
    ((snapshot,),) = map(orjson.loads, market.greeting)
    assert [(each["symbol"], each["seq"]) for each in snapshot["updates"]] == [("A", 1), ("B", 1)]
    market.batch.close()
    assert told(late) == [[("A", 2, 0)]]
    assert session.caught_up
    market.brings("B")
    market.batch.close()
    assert told(late) == [[("B", 2, 0)]]


def test_who_is_written_to_within_a_window_gets_no_version_twice(market: Market) -> None:
    session, wire = market.join()
    wire.block()
    market.brings("A", "B")
    market.batch.close()
    market.brings("A")
    wire.room = None
    session.pump()
    session.heartbeat()
    ((updates), (heartbeat,)) = map(orjson.loads, wire.payloads())
    assert [(each["symbol"], each["seq"]) for each in updates] == [("A", 1), ("B", 1)]
    assert heartbeat["event"] == "HEARTBEAT"
    market.brings("B")
    market.batch.close()
    assert told(wire) == [[("A", 2, 0), ("B", 2, 0)]]
    assert (session.delivered, session.skipped) == (4, 0)


def test_what_is_proven_within_a_window_is_what_was_sent(market: Market) -> None:
    wire = FakeWire()
    some = replace(ALL, everything=False, named=frozenset("AB"))
    session = Session(market.batch.view, wire, subscription=some)
    session.subscribe(some)
    market.batch.add(session)
    market.brings("A", "B")
    market.batch.close()
    market.brings("B")
    wire.payloads()
    session.heartbeat()
    assert [each["seqs"] for each in orjson.loads(wire.payloads()[-1])] == [{"A": [1, 1], "B": [1, 1]}]
    market.batch.close()
    session.heartbeat()
    assert [each["seqs"] for each in orjson.loads(wire.payloads()[-1])] == [{"A": [1, 1], "B": [1, 2]}]


def test_a_snapshot_within_a_window_is_complete_only_if_the_last_window_was(market: Market) -> None:
    """Else a client would forget what the window's end will bring."""

    def greeted() -> tuple[bool, list[str]]:
        market.join()
        ((snapshot,),) = map(orjson.loads, market.greeting)
        return snapshot["complete"], [each["symbol"] for each in snapshot["updates"]]

    market.stated = DOWN
    market.batch.close()
    market.brings("A")
    market.stated = LIVE
    assert greeted() == (False, [])
    market.batch.close()
    assert greeted() == (True, ["A"])
    market.stated = DOWN
    assert greeted() == (False, ["A"])


def test_a_symbol_that_is_removed_within_a_window_is_held_until_its_end(market: Market) -> None:
    market.join()
    market.brings("A")
    market.batch.close()
    market.removes("A")
    _, late = market.join()
    assert [each["symbol"] for each in orjson.loads(market.greeting[0])[0]["updates"]] == ["A"]
    market.batch.close()
    assert told(late) == [[("A", 0, 0)]]
    assert "A" not in market.batch.view.last_values


def test_who_falls_behind_within_a_window_gets_the_rest_later(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conflation, "WRITE_BYTES", 1)  # one symbol a write
    slow, wire = market.join()
    _, other = market.join()
    market.brings("A", "B", "C")
    wire.room = 1
    market.batch.close()
    assert told(other) == [[("A", 1, 0)], [("B", 1, 0)], [("C", 1, 0)]]
    assert told(wire) == [[("A", 1, 0)]]
    assert not slow.caught_up
    market.brings("B")
    market.batch.close()
    wire.room = None
    slow.pump()
    assert told(wire) == [[("B", 2, 1)], [("C", 1, 0)]]
    assert slow.caught_up
    assert (slow.delivered, slow.skipped) == (3, 1)


def test_a_removal_within_a_window_is_told(market: Market) -> None:
    _, wire = market.join()
    market.brings("A", "B")
    market.removes("A")
    market.batch.close()
    assert told(wire) == [[("A", 0, 0), ("B", 1, 0)]]


def test_what_was_said_before_a_removal_within_a_window_is_not_said_after_it(market: Market) -> None:
    """It is about the state that was removed, and a client would take it to be about the one that followed."""
    _, wire = market.join()
    market.brings("A", "B")
    market.batch.freshness(FreshnessStatement(DOWN, ("A", "B")))
    market.batch.freshness(FreshnessStatement(DOWN, ("A",)))
    market.removes("A")
    market.brings("A")
    market.batch.close()
    sent = [each for payload in wire.payloads() for each in orjson.loads(payload)]
    assert [each["event"] for each in sent] == ["REMOVED", "PHYSICS_UPDATE", "PHYSICS_UPDATE", "FRESHNESS"]
    assert sent[-1]["symbols"] == ["B"]


def test_heartbeats_and_agents_wait_for_the_end_of_the_window(market: Market) -> None:
    session, wire = market.join()
    market.batch.heartbeat()
    market.brings("A")
    for i in range(MAX_REPLIES + 1):
        market.batch.event(Event("AGENT_UPDATE", "a", b'{"event":"AGENT_UPDATE","seq":%d}' % i))
    assert wire.payloads() == []
    assert market.opened == [market.batch]
    market.batch.close()
    events = [each["event"] for payload in wire.payloads() for each in orjson.loads(payload)]
    assert events == ["PHYSICS_UPDATE", *["AGENT_UPDATE"] * MAX_REPLIES, "HEARTBEAT"]
    assert session.events.dropped == 1


def test_a_heartbeat_is_built_once_for_all_and_owed_to_who_is_behind(market: Market) -> None:
    (_, one), (_, other), (slow, behind) = market.join(), market.join(), market.join()
    behind.block()
    market.batch.heartbeat()
    market.batch.close()
    assert one.writes[-1] is other.writes[-1]
    assert [each["event"] for each in orjson.loads(one.payloads()[-1])] == ["HEARTBEAT"]
    assert behind.payloads() == []
    behind.room = None
    slow.pump()
    assert [each["event"] for each in orjson.loads(behind.payloads()[-1])] == ["HEARTBEAT"]
