"""What the bridge says, put into the hub."""

from typing import Any

import orjson
import pytest

from common.fanout.hub import Hub
from common.fanout.last_value_cache import Entry
from cottage import protocol
from cottage.client.lower_epochs import TAKEN_BACK_SECONDS
from cottage.clock import SystemClock, from_iso
from cottage.errors import InvalidMessage
from cottage.freshness import USUAL, Freshness, FreshnessStatement
from cottage.protocol import Subscription
from cottage.version import Version
from services.broadcaster import bridge_link, metrics
from services.broadcaster.bridge_link import BridgeLink
from services.broadcaster.link_status import LinkStatus
from tests.common.fanout.wires import NOW, FakeWire, heartbeat, snapshot, update
from tests.services.bridge.test_service import PRINTED


class Linked:
    """A link without its socket, and one client of the broadcaster. The bridge's time is known from before, if
    nothing else is said."""

    def __init__(self, *, knows_the_time: bool = True) -> None:
        clock = self.clock = SystemClock()
        self.state = LinkStatus(clock.monotonic(), USUAL)
        self.hub = Hub(clock, lambda: self.state.upstream(clock.monotonic()))
        self.link = BridgeLink("ws://test/ws", self.hub, self.state, clock, 3.0)
        if knows_the_time:
            self.state.watch.told(from_iso(NOW), clock.monotonic())
        self.wire = FakeWire()
        self.hub.join(self.wire, Subscription(everything=True))
        self.wire.payloads()

    def hears(self, *messages: bytes) -> list[bytes]:
        """What the client is sent for it."""
        for message in messages:
            self.link.take(message)
        self.hub.flush()
        return self.wire.payloads()

    @property
    def entries(self) -> dict[str, Entry]:
        return self.hub.last_values.entries()


@pytest.fixture
async def linked() -> Linked:
    return Linked()


async def test_updates_reach_clients_byte_for_byte(linked: Linked) -> None:
    payload = update("SPY", 1, 1)
    assert linked.hears(payload, PRINTED) == [payload]  # the printed one has no version
    assert linked.entries == {"SPY": Entry(Version(1, 1), payload)}


async def test_a_snapshot_gives_the_very_bytes_that_were_published(linked: Linked) -> None:
    spaced = b'{ "event": "PHYSICS_UPDATE", "symbol": "QQQ", "data": {"alpha": 2.80, "regime": "L\\u00e9vy Stable"} }'
    sent = linked.hears(snapshot(PRINTED, spaced))
    assert sent == [PRINTED, spaced]
    assert {symbol: entry.payload for symbol, entry in linked.entries.items()} == {"SPY": PRINTED, "QQQ": spaced}


async def test_a_snapshot_repeats_nothing_to_clients(linked: Linked) -> None:
    first = [update("SPY", 1, 1), PRINTED.replace(b"SPY", b"QQQ")]
    assert linked.hears(snapshot(*first)) == first
    newer = update("SPY", 1, 2)
    assert linked.hears(snapshot(newer, first[1])) == [newer]
    assert linked.hears(snapshot(first[0], first[1])) == [], "the older one neither"


async def test_a_complete_snapshot_removes_what_it_does_not_name(linked: Linked) -> None:
    linked.hears(snapshot(update("SPY", 1, 1), update("QQQ", 1, 1)))
    assert linked.hears(snapshot(update("SPY", 1, 1), last=False)) == []
    assert linked.hears(snapshot(update("IWM", 1, 1))) == [update("IWM", 1, 1), protocol.removed("QQQ")]
    assert set(linked.entries) == {"SPY", "IWM"}


async def test_an_incomplete_snapshot_removes_nothing(linked: Linked) -> None:
    linked.hears(snapshot(update("SPY", 1, 1)))
    assert linked.hears(snapshot(complete=False)) == []
    assert set(linked.entries) == {"SPY"}


async def test_after_an_incomplete_snapshot_a_whole_one_is_asked_for_once_it_can_be_had(linked: Linked) -> None:
    linked.hears(snapshot(complete=False))
    assert not linked.link.needs_snapshot
    linked.hears(heartbeat(Freshness("stale", "redis_down", None)))
    assert not linked.link.needs_snapshot
    linked.hears(heartbeat(Freshness("stale", "writer_down", None)))
    assert linked.link.needs_snapshot
    linked.hears(snapshot(update("SPY", 1, 1)), heartbeat())
    assert not linked.link.needs_snapshot


async def test_after_a_complete_snapshot_none_is_asked_for(linked: Linked) -> None:
    linked.hears(snapshot(), heartbeat())
    assert not linked.link.needs_snapshot
    linked.hears(heartbeat(Freshness("stale", "redis_down", 0.001)), heartbeat())
    assert not linked.link.needs_snapshot


async def test_it_is_ready_once_the_snapshot_has_come(linked: Linked) -> None:
    assert linked.link.problem is not None
    linked.hears(snapshot(last=False))
    assert linked.link.problem is not None
    linked.hears(snapshot())
    assert linked.link.problem is None


async def test_versions_left_out_on_the_link_are_told_to_clients(linked: Linked) -> None:
    payload = update("SPY", 1, 5)
    with_skipped = protocol.with_skipped(payload, 3)
    assert linked.hears(with_skipped) == [with_skipped]
    assert linked.entries == {"SPY": Entry(Version(1, 5), payload)}


async def test_removals_and_agent_updates_pass(linked: Linked) -> None:
    linked.hears(update("SPY", 1, 1))
    assert linked.hears(protocol.removed("SPY"), protocol.removed("SPY")) == [protocol.removed("SPY")]
    agent = b'{ "event": "AGENT_UPDATE", "agent_id": "analyst_001", "data": {} }'
    assert linked.hears(agent) == [agent]


async def test_heartbeats_state_the_upstream_and_are_not_passed_on(linked: Linked) -> None:
    linked.hears(snapshot())
    assert linked.hears(heartbeat(Freshness("stale", "redis_down", 4.0))) == []
    upstream = linked.hub.upstream()
    assert (upstream.status, upstream.cause) == ("stale", "redis_down")


async def test_acknowledgements_are_heard_in_silence(linked: Linked) -> None:
    assert linked.hears(b'{"event":"ACK","action":"subscribe","symbols":["*"]}') == []


def edited(message: bytes, **fields: Any) -> bytes:
    return orjson.dumps({**orjson.loads(message), **fields})


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"event":"SOMETHING"}',
        b'{"event":["SNAPSHOT"]}',
        b'{"event":"ERROR","code":"x"}',
        b'{"event":"HEARTBEAT"}',
        b'{"event":"HEARTBEAT","upstream":{"status":1,"cause":null,"age_ms":null}}',
        b'{"event":"SNAPSHOT"}',
        b'{"event":"SNAPSHOT","updates":{}}',
        b'{"event":"AGENT_UPDATE","agent_id":7}',
        edited(update("SPY", 1, 1), symbol="spy"),
        edited(update("SPY", 1, 1), skipped="3"),
        edited(update("SPY", 1, 1), skipped=-1),
        edited(update("SPY", 1, 1), skipped=3) + b" ",
        edited(update("SPY", 1, 1), data=None),
    ],
)
async def test_what_cannot_be_trusted_is_invalid_and_changes_nothing(linked: Linked, message: bytes) -> None:
    held = update("SPY", 1, 0)
    linked.hears(snapshot(held))
    with pytest.raises(InvalidMessage) as caught:
        linked.link.take(message)
    assert len(caught.value.detail) < 200
    assert linked.hears() == []
    assert linked.entries == {"SPY": Entry(Version(1, 0), held)}


async def test_one_bad_update_in_a_snapshot_leaves_the_others(linked: Linked) -> None:
    counted = metrics.DROPPED.labels("symbol")._value.get()
    good = [update("SPY", 1, 1), update("QQQ", 1, 1)]
    bad = edited(good[0], symbol="a/b")
    assert linked.hears(snapshot(good[0], bad, good[1])) == good
    assert metrics.DROPPED.labels("symbol")._value.get() == counted + 1
    assert linked.link.problem is None


def said(messages: list[bytes]) -> list[tuple[str, str | None, list[str]]]:
    fields = [orjson.loads(message) for message in messages]
    return [(each["status"], each["cause"], each["symbols"]) for each in fields if each["event"] == "FRESHNESS"]


def freshness(status: str, cause: str | None, *symbols: str) -> bytes:
    return orjson.dumps(
        {"event": "FRESHNESS", "status": status, "cause": cause, "age_ms": 12_000, "symbols": symbols}
    )


async def test_the_bridges_word_on_freshness_counts_while_there_is_a_link(linked: Linked) -> None:
    linked.link.publish_freshness()
    assert said(linked.wire.payloads()) == [("stale", "bridge_down", ["*"])]
    assert said(linked.hears(snapshot(), freshness("stale", "market_quiet", "A"))) == [], "not before the heartbeat"
    assert said(linked.hears(heartbeat())) == [("live", None, ["*"]), ("stale", "market_quiet", ["A"])]
    assert said(linked.hears(freshness("stale", "feed_down", "B"))) == [("stale", "feed_down", ["B"])]
    linked.state.lost()
    linked.link.publish_freshness()
    linked.link.publish_freshness()
    assert said(linked.wire.payloads()) == [("stale", "bridge_down", ["*"])], "once"
    with pytest.raises(InvalidMessage):
        linked.hears(freshness("dubious", None, "A"))


async def test_what_is_sent_is_stamped_with_the_bridges_clock(linked: Linked) -> None:
    linked.hears(snapshot(), heartbeat())
    assert linked.link.bridge_clock.now(linked.clock.monotonic()) == pytest.approx(from_iso(NOW), abs=5)


async def test_who_came_before_the_link_is_told_the_bridges_time_before_any_state() -> None:
    """Until then it was told the time of the broadcaster's host, by which a sample may look younger than it is."""
    linked = Linked(knows_the_time=False)
    sent = [orjson.loads(message) for message in linked.hears(snapshot(update("SPY", 1, 1)), snapshot())]
    assert [each["event"] for each in sent] == ["HEARTBEAT", "PHYSICS_UPDATE", "REMOVED"], "once"


async def test_what_the_bridge_says_of_all_is_what_a_heartbeat_would_say(linked: Linked) -> None:
    """Else a client's HEARTBEAT would contradict the FRESHNESS before it, until the bridge's next one."""
    linked.hears(snapshot(), heartbeat(Freshness("stale", "redis_down", 4.0)))
    assert said(linked.hears(freshness("live", None, "*"))) == [("live", None, ["*"])]
    assert linked.hub.upstream().status == "live"


async def test_what_the_bridge_said_of_a_state_goes_with_its_removal(linked: Linked) -> None:
    """Told again once the bridge is believed again, it would hold for ever: the bridge has nothing to take back."""
    linked.hears(snapshot(update("SPY", 2, 1)), heartbeat(), freshness("stale", "market_quiet", "SPY"))
    linked.hears(protocol.removed("SPY"), update("SPY", 1, 1))
    linked.state.watch.doubt()
    linked.link.publish_freshness()
    assert said(linked.wire.payloads()) == [("stale", "bridge_down", ["*"])]
    linked.state.watch.doubted = False
    linked.link.publish_freshness()
    assert said(linked.wire.payloads()) == [("live", None, ["*"])]


async def test_a_lower_epoch_that_the_link_comes_down_to_is_as_fresh_as_the_bridge_says(linked: Linked) -> None:
    """Clients forget with REMOVED what was said of the symbol, and the bridge, which removed nothing, is silent."""
    linked.hears(snapshot(update("SPY", 2, 1)), heartbeat(), freshness("stale", "feed_down", "SPY"))
    now = linked.clock.monotonic()
    linked.link.take(update("SPY", 1, 1), now)
    linked.link.take(update("SPY", 1, 2), now + TAKEN_BACK_SECONDS)
    linked.hub.flush()
    sent = linked.wire.payloads()
    assert sent[:2] == [protocol.removed("SPY"), update("SPY", 1, 2)]
    assert said(sent[2:]) == [("stale", "feed_down", ["SPY"])]


async def test_a_bridge_that_was_taken_over_cannot_fill_memory(
    linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge_link, "MOST_STATES", 3)
    linked.hears(*(update(name, 1, 1) for name in ("A", "B", "C")))
    for message in (update("D", 1, 1), stale("A", "B", "C", "D")):
        with pytest.raises(InvalidMessage) as caught:
            linked.link.take(message)
        assert caught.value.reason == "room"
    assert linked.hears(update("A", 1, 2)) == [update("A", 1, 2)], "what is held goes on"
    dropped = metrics.DROPPED.labels("room")._value.get()
    linked.hears(snapshot(*(update(name, 1, 3) for name in "ABCDEF"), last=False))
    assert metrics.DROPPED.labels("room")._value.get() == dropped + 3
    assert set(linked.entries) == {"A", "B", "C"}
    for round_ in range(5):
        linked.hears(snapshot(*(update(f"X{round_}{number}", 1, 1) for number in range(5)), last=False))
    assert len(linked.link._snapshot_symbols) == 3


async def test_nor_with_few_states_that_are_long(linked: Linked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge_link, "MOST_STATE_BYTES", 5_000)
    linked.hears(update("A", 1, 1, junk="x" * 3_000))
    with pytest.raises(InvalidMessage) as caught:
        linked.link.take(update("B", 1, 1, junk="x" * 3_000))
    assert caught.value.reason == "room"
    with pytest.raises(InvalidMessage) as caught:
        linked.link.take(update("A", 1, 2, junk="x" * 70_000))
    assert caught.value.reason == "size"
    linked.hears(protocol.removed("A"), update("B", 1, 1, junk="x" * 3_000))
    assert set(linked.entries) == {"B"}


def stale(*symbols: str) -> bytes:
    return protocol.freshness(FreshnessStatement.of_symbols("stale", "market_quiet", dict.fromkeys(symbols, 12.0)))
