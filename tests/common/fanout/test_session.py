"""One client: what it is sent, in which order, when it is slow."""

from typing import Any

import orjson
import pytest

from common.fanout import session
from common.fanout.conflation import WRITE_BYTES, Update
from common.fanout.frames import text_frame
from common.fanout.group import Group
from common.fanout.last_value_cache import LastValueCache
from common.fanout.session import MAX_REPLIES, HubView, Session
from cottage import events, fields, protocol
from cottage.events import Event, Policy, Topic, parse_event
from cottage.freshness import Cause, Freshness
from cottage.freshness_board import FreshnessBoard
from cottage.grant import MAX_NAMED_SYMBOLS
from cottage.protocol import Code, RequestRefused, Subscription, parse_request
from cottage.version import Version
from tests.common.fanout.wires import LIVE, FakeWire, update

ALL = Subscription(everything=True)
NONE = Subscription(False)


def named(*symbols: str) -> Subscription:
    return Subscription(False, frozenset(symbols))


class Source:
    """What a hub tells its sessions, and the hub's work of offering and delivering."""

    def __init__(self, *symbols: str) -> None:
        self.last_values = LastValueCache()
        self.freshness_board = FreshnessBoard()
        self.stated = LIVE
        self.view = HubView(
            self.last_values,
            self.freshness_board,
            lambda: self.stated,
            lambda: "T",
            lambda: 100.0,
        )
        for symbol in symbols:
            self.last_values.offer(symbol, Version(1, 1), update(symbol, 1, 1))

    def brings(self, client: Session, symbol: str, seq: int, skipped: int = 0) -> bytes:
        payload = update(symbol, 1, seq)
        assert self.last_values.offer(symbol, Version(1, seq), payload)
        self._hands_out(client, Update(symbol, text_frame(protocol.with_skipped(payload, skipped)), skipped))
        return payload

    def removes(self, client: Session, symbol: str) -> None:
        assert self.last_values.remove(symbol)
        self._hands_out(client, Update(symbol, text_frame(protocol.removed(symbol)), removal=True))

    @staticmethod
    def _hands_out(client: Session, update: Update) -> None:
        group = client._group
        assert isinstance(group, Group)
        group.deliver([update])


def joined(source: Source, wire: FakeWire, wanted: Subscription) -> Session:
    """A client in a group of its own."""
    client = Session(source.view, wire, subscription=wanted)
    wire.session = client
    client.subscribe(wanted)
    Group(wanted, source.view).add(client)
    return client


def ask(client: Session, action: str, *symbols: str) -> None:
    client.request(parse_request(orjson.dumps({"action": action, "symbols": symbols}).decode()))


def drain(client: Session, wire: FakeWire) -> None:
    wire.room = None
    client.pump()


def test_the_first_message_is_a_snapshot_of_what_is_wanted() -> None:
    wire = FakeWire()
    joined(Source("SPY", "QQQ"), wire, ALL)
    assert wire.messages() == [
        {
            "event": "SNAPSHOT",
            "timestamp": "T",
            "updates": [orjson.loads(update("SPY", 1, 1)), orjson.loads(update("QQQ", 1, 1))],
            "last": True,
            "complete": True,
            "missing": [],
        }
    ]


@pytest.mark.parametrize("wanted", [NONE, named("A", "B")])
def test_a_snapshot_without_updates_comes_all_the_same(wanted: Subscription) -> None:
    wire = FakeWire()
    joined(Source("SPY"), wire, wanted)
    (snapshot,) = wire.messages()
    assert (snapshot["updates"], snapshot["last"]) == ([], True)
    assert snapshot["missing"] == sorted(wanted.named)


@pytest.mark.parametrize(
    ("cause", "complete"), [(None, True), ("writer_down", True), ("redis_down", False), ("bridge_down", False)]
)
def test_a_snapshot_says_whether_it_is_complete(cause: Cause | None, complete: bool) -> None:
    source, wire = Source(), FakeWire()
    source.stated = Freshness("stale", cause, None)
    joined(source, wire, ALL)
    assert wire.messages()[0]["complete"] is complete


def test_a_large_snapshot_comes_in_frames_and_the_last_one_says_so() -> None:
    symbols = [f"S{i}" for i in range(2000)]
    source, wire = Source(*symbols), FakeWire()
    client = joined(source, wire, named(*symbols, *(f"M{i}" for i in range(MAX_NAMED_SYMBOLS - 2000))))
    assert max(map(len, wire.writes)) < 2 * WRITE_BYTES
    messages = wire.messages()
    assert len(messages) > 3
    assert [message["last"] for message in messages] == [False] * (len(messages) - 1) + [True]
    assert [each["symbol"] for message in messages for each in message["updates"]] == sorted(symbols)
    assert sum(len(message["missing"]) for message in messages) == MAX_NAMED_SYMBOLS - 2000
    assert client.delivered == 0


def test_a_frame_stays_below_what_a_link_accepts_whatever_the_updates_weigh() -> None:
    source, wire = Source(), FakeWire()
    for i in range(9):
        source.last_values.offer(f"S{i}", None, update(f"S{i}", note="x" * (64 * 1024 - 200)))
    joined(source, wire, named(*(f"S{i}" for i in range(9)), *(f"M{i}" for i in range(4000))))
    assert max(map(len, wire.writes)) < 256 * 1024
    assert len(wire.writes) > 9


def test_updates_go_out_byte_for_byte() -> None:
    source, wire = Source("SPY"), FakeWire()
    client = joined(source, wire, ALL)
    wire.payloads()
    published = [source.brings(client, "SPY", seq) for seq in (2, 3)]
    assert wire.payloads() == published
    assert (client.delivered, client.skipped) == (2, 0)


def test_a_client_that_fell_behind_gets_the_newest_of_each_symbol_and_how_many_it_missed() -> None:
    source, wire = Source("SPY", "QQQ"), FakeWire()
    client = joined(source, wire, ALL)
    wire.payloads()
    wire.block()
    for seq in range(2, 7):
        source.brings(client, "SPY", seq)
    published = source.brings(client, "QQQ", 2)
    assert wire.payloads() == []
    drain(client, wire)
    newest = update("SPY", 1, 6)[:-1] + b',"skipped":4}'
    assert wire.payloads() == [newest, published]
    assert (client.delivered, client.skipped) == (2, 4)


def test_what_was_left_out_before_it_came_here_counts_as_well() -> None:
    source, wire = Source("SPY"), FakeWire()
    client = joined(source, wire, ALL)
    wire.payloads()
    source.brings(client, "SPY", 5, skipped=3)
    wire.block()
    source.brings(client, "SPY", 8, skipped=2)
    source.brings(client, "SPY", 9)
    drain(client, wire)
    assert [(each["seq"], each["skipped"]) for each in wire.messages()] == [(5, 3), (9, 3)]
    assert (client.delivered, client.skipped) == (2, 6)


def test_a_symbol_costs_one_place_however_often_it_changes() -> None:
    source, wire = Source(), FakeWire()
    client = joined(source, wire, ALL)
    wire.block()
    for seq in range(1, 1001):
        source.brings(client, f"S{seq % 7}", seq)
    assert len(client._backlog) == 7
    drain(client, wire)
    updates = wire.messages()[1:]
    assert sorted(each["symbol"] for each in updates) == [f"S{i}" for i in range(7)]
    assert sum(1 + each["skipped"] for each in updates) == 1000


def test_a_pending_removal_is_told() -> None:
    source, wire = Source("SPY"), FakeWire()
    client = joined(source, wire, ALL)
    wire.payloads()
    wire.block()
    source.brings(client, "SPY", 2)
    source.removes(client, "SPY")
    drain(client, wire)
    assert wire.messages() == [{"event": "REMOVED", "symbol": "SPY"}]
    assert (client.delivered, client.skipped) == (0, 1)


def test_a_symbol_that_came_back_is_removed_first_since_its_version_may_be_lower() -> None:
    source, wire = Source(), FakeWire()
    client = joined(source, wire, ALL)
    source.brings(client, "SPY", 9)
    wire.payloads()
    wire.block()
    source.removes(client, "SPY")
    source.brings(client, "SPY", 1)
    drain(client, wire)
    assert wire.messages() == [{"event": "REMOVED", "symbol": "SPY"}, orjson.loads(update("SPY", 1, 1))]


def test_what_changes_during_a_snapshot_is_sent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "WRITE_BYTES", 1)  # one update a frame
    source, wire = Source("A", "B", "C"), FakeWire(room=1)
    client = joined(source, wire, ALL)
    source.brings(client, "A", 2)  # sent already in the SNAPSHOT
    source.brings(client, "B", 2)  # not yet
    drain(client, wire)
    messages = wire.messages()
    assert [(m["event"], m["last"]) for m in messages[:3]] == [
        ("SNAPSHOT", False),
        ("SNAPSHOT", False),
        ("SNAPSHOT", True),
    ]
    assert [(each["symbol"], each["seq"]) for m in messages[:3] for each in m["updates"]] == [
        ("A", 1),
        ("B", 2),
        ("C", 1),
    ]
    assert messages[3:] == [orjson.loads(update("A", 1, 2))]


def test_a_symbol_removed_during_a_snapshot_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "WRITE_BYTES", 1)
    source, wire = Source("A", "B"), FakeWire(room=1)
    client = joined(source, wire, named("A", "B"))
    source.removes(client, "B")
    drain(client, wire)
    assert [(m["updates"] != [], m["missing"], m["last"]) for m in wire.messages()] == [
        (True, [], False),
        (False, ["B"], True),
    ]


def test_subscribe_is_acknowledged_then_a_snapshot_brings_what_was_added() -> None:
    source, wire = Source("A", "B"), FakeWire()
    client = joined(source, wire, named("A"))
    wire.payloads()
    ask(client, "subscribe", "A", "B", "C")
    ack, snapshot = wire.messages()
    assert (ack["event"], ack["symbols"]) == ("ACK", ["A", "B", "C"])
    assert [each["symbol"] for each in snapshot["updates"]] == ["B"]
    assert (snapshot["missing"], snapshot["last"]) == (["C"], True)


def test_subscribing_to_all_brings_the_rest() -> None:
    source, wire = Source("A", "B"), FakeWire()
    client = joined(source, wire, named("A", "X"))
    wire.payloads()
    ask(client, "subscribe", "*")
    _ack, snapshot, freshness = wire.messages()
    assert [each["symbol"] for each in snapshot["updates"]] == ["B"]
    assert freshness["symbols"] == ["*"], "what was said meanwhile of others it was not told"
    assert client.subscription == ALL


def test_unsubscribing_from_all_of_everything_ends_the_flow() -> None:
    source, wire = Source("A"), FakeWire()
    client = joined(source, wire, ALL)
    ask(client, "unsubscribe", "*")
    assert client.subscription == NONE
    assert wire.events() == ["SNAPSHOT", "ACK"]


def test_single_symbols_cannot_be_taken_out_of_all() -> None:
    source, wire = Source("A"), FakeWire()
    client = joined(source, wire, ALL)
    wire.payloads()
    with pytest.raises(RequestRefused) as caught:
        ask(client, "unsubscribe", "A")
    assert caught.value.code is Code.SUBSCRIBED_TO_ALL
    assert (client.subscription, wire.payloads()) == (ALL, [])


def test_named_symbols_add_up_to_a_bound() -> None:
    source, wire = Source("A"), FakeWire()
    client = joined(source, wire, named(*(f"S{i}" for i in range(MAX_NAMED_SYMBOLS))))
    wire.payloads()
    with pytest.raises(RequestRefused) as caught:
        ask(client, "subscribe", "A")
    assert caught.value.code is Code.TOO_MANY_SYMBOLS
    assert not client.subscribed_to("A")
    ask(client, "unsubscribe", "S0")
    ask(client, "subscribe", "A")
    assert wire.events() == ["ACK", "ACK", "SNAPSHOT"]


def test_what_is_unsubscribed_while_pending_is_never_sent() -> None:
    source, wire = Source("A", "B"), FakeWire()
    client = joined(source, wire, named("A", "B"))
    wire.payloads()
    wire.block()
    source.brings(client, "A", 2)
    source.brings(client, "B", 2)
    ask(client, "unsubscribe", "A")
    drain(client, wire)
    assert [(m["event"], m.get("symbol")) for m in wire.messages()] == [("ACK", None), ("PHYSICS_UPDATE", "B")]


def test_a_pending_symbol_unsubscribed_and_subscribed_again_comes_once_in_its_snapshot() -> None:
    source, wire = Source("A"), FakeWire()
    client = joined(source, wire, named("A"))
    wire.payloads()
    wire.block()
    source.brings(client, "A", 2)
    ask(client, "unsubscribe", "A")
    ask(client, "subscribe", "A")
    source.brings(client, "A", 3)
    drain(client, wire)
    messages = wire.messages()
    assert [m["event"] for m in messages] == ["ACK", "ACK", "SNAPSHOT"]
    assert [each["seq"] for each in messages[2]["updates"]] == [3]


def test_what_is_unsubscribed_during_a_snapshot_leaves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "WRITE_BYTES", 1)
    source, wire = Source("A", "B"), FakeWire(room=1)
    client = joined(source, wire, named("A", "B", "X"))
    ask(client, "unsubscribe", "B", "X")
    drain(client, wire)
    first, ack, rest = wire.messages()
    assert [each["symbol"] for each in first["updates"]] == ["A"]
    assert ack["event"] == "ACK"
    assert (rest["updates"], rest["missing"], rest["last"]) == ([], [], True)


def test_more_symbols_during_a_snapshot_join_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "WRITE_BYTES", 1)
    source, wire = Source("A", "B", "C"), FakeWire(room=1)
    client = joined(source, wire, named("A", "B"))
    ask(client, "subscribe", "C", "X")
    drain(client, wire)
    messages = wire.messages()
    assert [m["event"] for m in messages] == ["SNAPSHOT", "ACK", "SNAPSHOT", "SNAPSHOT", "SNAPSHOT"]
    snapshots = [m for m in messages if m["event"] == "SNAPSHOT"]
    assert [[each["symbol"] for each in m["updates"]] for m in snapshots] == [["A"], ["B"], ["C"], []]
    assert [(m["missing"], m["last"]) for m in snapshots[2:]] == [([], False), (["X"], True)]


def test_ping_is_answered_while_updates_wait() -> None:
    source, wire = Source("A"), FakeWire()
    client = joined(source, wire, ALL)
    wire.payloads()
    wire.block()
    source.brings(client, "A", 2)
    client.request(parse_request('{"action":"ping","id":1}'))
    drain(client, wire)
    assert wire.events() == ["PONG", "PHYSICS_UPDATE"]


def test_a_client_that_asks_and_does_not_read_is_flooded() -> None:
    wire = FakeWire()
    client = joined(Source(), wire, ALL)
    wire.block()
    for _ in range(MAX_REPLIES):
        client.request(parse_request('{"action":"ping"}'))
    assert not client.flooded
    client.request(parse_request('{"action":"ping"}'))
    assert client.flooded


def test_agent_updates_wait_in_a_bounded_queue_that_drops_its_oldest() -> None:
    wire = FakeWire()
    client = joined(Source(), wire, NONE)
    wire.payloads()
    wire.block()
    payloads = [b'{"event":"AGENT_UPDATE","n":%d}' % i for i in range(MAX_REPLIES + 6)]
    for payload in payloads:
        client.event(Event("AGENT_UPDATE", "a", payload), text_frame(payload))
    drain(client, wire)
    assert wire.payloads() == payloads[6:]
    assert client.events.dropped == 6


def test_events_of_a_conflated_topic_wait_as_the_newest_of_each_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(events.TOPICS, "QUOTE", Topic(fields.symbol, Policy.LATEST))
    wire = FakeWire()
    client = joined(Source(), wire, NONE)
    wire.payloads()
    wire.block()
    for i in range(1000):
        payload = b'{"event":"QUOTE","symbol":"S%d","n":%d}' % (i % 2, i)
        client.event(parse_event(orjson.loads(payload), payload), text_frame(payload))
    drain(client, wire)
    assert [each["n"] for each in wire.messages()] == [998, 999]
    assert client.events.dropped == 0


def test_a_heartbeat_comes_after_what_is_pending_and_proves_it() -> None:
    source, wire = Source("A", "B"), FakeWire()
    client = joined(source, wire, named("A", "X"))
    wire.payloads()
    wire.block()
    client.heartbeat()
    source.brings(client, "A", 2)
    client.heartbeat()
    drain(client, wire)
    pending, heartbeat = wire.messages()
    assert pending["seq"] == 2
    assert heartbeat["seqs"] == {"A": [1, 2]}


@pytest.mark.parametrize(("count", "proven"), [(0, True), (64, True), (65, False)])
def test_only_who_named_few_symbols_gets_proof(count: int, proven: bool) -> None:
    wire = FakeWire()
    client = joined(Source(), wire, named(*(f"S{i}" for i in range(count))))
    client.heartbeat()
    assert ("seqs" in wire.messages()[-1]) is proven


def test_who_wants_everything_gets_no_proof_and_no_foreign_symbol_has_one() -> None:
    source = Source()
    source.last_values.offer("F", None, update("F"))
    for wanted, seqs in ((ALL, None), (named("F"), {})):
        wire = FakeWire()
        joined(source, wire, wanted).heartbeat()
        heartbeat: dict[str, Any] = wire.messages()[-1]
        assert heartbeat.get("seqs") == seqs
        assert heartbeat["upstream"] == {"status": "live", "cause": None, "age_ms": 120}
