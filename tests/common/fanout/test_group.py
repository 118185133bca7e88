"""Clients that want the same: what is built once, who gets it, and what waits for a window's end."""

import orjson
import pytest

from common.fanout import conflation
from common.fanout.conflation import Update
from common.fanout.frames import text_frame
from common.fanout.group import BatchGroup, Group
from common.fanout.last_value_cache import LastValueCache
from common.fanout.session import MAX_WAITING, Session
from cottage import protocol
from cottage.freshness import Freshness
from cottage.freshness_board import FreshnessBoard
from cottage.protocol import Subscription
from cottage.version import Version
from tests.common.fanout.wires import LIVE, FakeWire, update

ALL = Subscription(everything=True, batch=250)


class Market:
    """The hub's part: a table, and the groups that are told of it."""

    def __init__(self) -> None:
        self.table = LastValueCache()
        self.freshness_board = FreshnessBoard()
        self.opened: list[BatchGroup] = []
        self.group = BatchGroup(ALL, self, self.opened.append)
        self.seqs: dict[str, int] = {}

    def monotonic(self) -> float:
        return 100.0

    def upstream(self) -> Freshness:
        return LIVE

    def timestamp(self) -> str:
        return "T"

    def join(self) -> tuple[Session, FakeWire]:
        wire = FakeWire()
        session = Session(self, wire, wanted=ALL)
        wire.session = session
        session.want(ALL)
        self.group.add(session)
        wire.payloads()
        return session, wire

    def brings(self, *symbols: str) -> None:
        """A turn."""
        for symbol in symbols:
            seq = self.seqs[symbol] = self.seqs.get(symbol, 0) + 1
            payload = update(symbol, 1, seq)
            assert self.table.offer(symbol, Version(1, seq), payload)
            self.group.turn.append(Update(symbol, text_frame(payload)))
        self.group.end_turn()

    def removes(self, symbol: str) -> None:
        self.table.remove(symbol)
        self.group.turn.append(Update(symbol, text_frame(protocol.removed(symbol)), removal=True))
        self.group.end_turn()


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
    market.group.close_window()
    frames = [wire.writes[-1] for wire in wires]
    assert frames[0] is frames[1] is frames[2]


def test_a_window_brings_the_newest_of_each_symbol_in_one_array(market: Market) -> None:
    _, wire = market.join()
    market.brings("A", "B")
    market.brings("A")
    assert told(wire) == []
    assert market.opened == [market.group], "opened once"
    market.group.close_window()
    assert told(wire) == [[("A", 2, 1), ("B", 1, 0)]]
    market.brings("B")
    assert market.opened == [market.group] * 2
    market.group.close_window()
    assert told(wire) == [[("B", 2, 0)]]


def test_who_joins_within_a_window_gets_only_what_came_after_its_snapshot(market: Market) -> None:
    market.brings("A", "B")
    session, late = market.join()
    market.brings("A")
    market.group.close_window()
    assert told(late) == [[("A", 2, 0)]]
    assert session.in_step
    market.brings("B")
    market.group.close_window()
    assert told(late) == [[("B", 2, 0)]]


def test_who_is_written_to_within_a_window_gets_no_version_twice(market: Market) -> None:
    session, wire = market.join()
    market.brings("A", "B")
    market.group.settle(session)
    session.pump()
    assert told(wire) == [[("A", 1, 0), ("B", 1, 0)]]
    market.brings("B")
    market.group.close_window()
    assert told(wire) == [[("B", 2, 0)]]
    assert (session.delivered, session.skipped) == (3, 0)


def test_who_falls_behind_within_a_window_gets_the_rest_later(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conflation, "WRITE_BYTES", 1)  # one symbol a write
    slow, wire = market.join()
    _, other = market.join()
    market.brings("A", "B", "C")
    wire.room = 1
    market.group.close_window()
    assert told(other) == [[("A", 1, 0)], [("B", 1, 0)], [("C", 1, 0)]]
    assert told(wire) == [[("A", 1, 0)]]
    assert not slow.in_step
    market.brings("B")
    market.group.close_window()
    wire.room = None
    market.group.settle(slow)
    slow.pump()
    assert told(wire) == [[("B", 2, 1)], [("C", 1, 0)]]
    assert slow.in_step
    assert (slow.delivered, slow.skipped) == (3, 1)


def test_a_removal_within_a_window_is_told(market: Market) -> None:
    _, wire = market.join()
    market.brings("A", "B")
    market.removes("A")
    market.group.close_window()
    assert told(wire) == [[("A", 0, 0), ("B", 1, 0)]]


def test_heartbeats_and_agents_wait_for_the_end_of_the_window(market: Market) -> None:
    session, wire = market.join()
    market.group.heartbeat()
    market.brings("A")
    for i in range(MAX_WAITING + 1):
        market.group.agent_update(b'{"event":"AGENT_UPDATE","seq":%d}' % i)
    assert wire.payloads() == []
    assert market.opened == [market.group]
    market.group.close_window()
    events = [each["event"] for payload in wire.payloads() for each in orjson.loads(payload)]
    assert events == ["PHYSICS_UPDATE", *["AGENT_UPDATE"] * MAX_WAITING, "HEARTBEAT"]
    assert session.agent_drops == 1


def test_a_heartbeat_is_built_once_for_all_and_owed_to_who_is_behind(market: Market) -> None:
    (_, one), (_, other), (slow, behind) = market.join(), market.join(), market.join()
    behind.block()
    market.group.heartbeat()
    market.group.close_window()
    assert one.writes[-1] is other.writes[-1]
    assert [each["event"] for each in orjson.loads(one.payloads()[-1])] == ["HEARTBEAT"]
    assert behind.payloads() == []
    behind.room = None
    slow.pump()
    assert [each["event"] for each in orjson.loads(behind.payloads()[-1])] == ["HEARTBEAT"]


def test_one_that_is_closed_while_it_is_written_to_costs_nobody_else_anything() -> None:
    class Closed(FakeWire):
        def write(self, frames: bytes) -> None:
            raise RuntimeError("unable to perform operation; the handler is closed")

    source = Market()
    group = Group(Subscription(everything=True), source)
    wires = [FakeWire(), Closed(), FakeWire()]
    for wire in wires:
        session = Session(source, wire)
        session.in_step = True
        group.add(session)
    group.turn.append(Update("A", text_frame(b"{}")))
    group.end_turn()
    assert [len(wire.writes) for wire in wires] == [1, 0, 1]
