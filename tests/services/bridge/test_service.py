"""What the bridge does with what it hears; with a real Redis in tests/integration/test_bridge.py."""

import asyncio
import socket
from typing import Any

import orjson
import pytest
import structlog

from common.fanout.last_value_cache import Entry
from common.fanout.limits import Limits
from cottage.clock import SystemClock, iso_millis
from cottage.expiry import LONGEST_MS
from cottage.log import Throttled
from cottage.protocol import Subscription
from cottage.version import Version
from services.bridge import metrics, service
from services.bridge.service import RedisBridge
from services.bridge.settings import BridgeSettings
from tests.common.fanout.wires import FakeWire, update
from tests.integration.fanout import lease

NOW = 1_766_318_400.0
EPOCH = round(NOW * 1000)
PRINTED = b"""{
  "event": "PHYSICS_UPDATE",
  "symbol": "SPY",
  "timestamp": "2025-12-21T12:00:00Z",
  "data": {
    "alpha": 2.8,
    "regime": "Gaussian"
  }
}"""
"""The specification's example (section 3.1), as it prints it."""


class Bridge(RedisBridge):
    """One that has read a Redis with a lease and a state of its first tick at NOW."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(BridgeSettings(**settings), SystemClock())
        now = self._clock.monotonic()
        self._monitor._redis_clock.answered(NOW, now, now)
        self._leases.take([lease(EPOCH)], [LONGEST_MS], NOW, now)
        self._leases.shown("SPY", Version(EPOCH, 0))
        self._liveness.prove(self._leases.epochs)
        self.wire = FakeWire()
        self._hub.join(self.wire, Subscription(everything=True))
        self.wire.payloads()

    def hears(self, *payloads: bytes) -> list[bytes]:
        """What a broadcaster is sent for it."""
        self._handle(payloads)
        self._hub.flush()
        return self.wire.payloads()

    def reads(self, payload: bytes) -> None:
        """Redis has the state of SPY's first tick, of which this is the update."""
        self._hub.update("SPY", Version(EPOCH, 0), payload)
        self._hub.flush()
        self.wire.payloads()

    @property
    def entries(self) -> dict[str, Entry]:
        return self._hub.last_values.entries()


@pytest.fixture
async def bridge() -> Bridge:
    return Bridge()


def physics(**fields: Any) -> bytes:
    message = {**orjson.loads(update("SPY", EPOCH, 1)), **fields}
    return orjson.dumps({name: value for name, value in message.items() if value is not ...})


def heartbeat(epoch: int, **fields: Any) -> bytes:
    data = {"shard": "0/1", "symbols": 1, "written": 2}
    message = {"event": "HEARTBEAT", "source": "feynman", "timestamp": "2025-12-21T12:00:00.000Z", "epoch": epoch}
    return orjson.dumps({**message, "seq": 1, "data": data, **fields})


async def test_updates_pass_byte_for_byte_newest_first(bridge: Bridge) -> None:
    bridge.reads(update("SPY", EPOCH, 0))
    first, second = update("SPY", EPOCH, 1), update("SPY", EPOCH, 2)
    assert bridge.hears(second, first, second) == [second]
    assert bridge.entries["SPY"] == Entry(Version(EPOCH, 2), second)


async def test_the_specifications_example_passes_as_printed_but_never_over_a_versioned_one(bridge: Bridge) -> None:
    assert bridge.hears(PRINTED, PRINTED) == [PRINTED, PRINTED]
    versioned = update("SPY", EPOCH, 1)
    assert bridge.hears(versioned, PRINTED) == [versioned]


async def test_agent_updates_pass_and_signals_do_not(bridge: Bridge) -> None:
    agent = b'{"event":"AGENT_UPDATE","agent_id":"analyst_001","timestamp":"2025-12-21T12:00:00Z","data":{}}'
    signal = b'{"event":"TRADE_SIGNAL","symbol":"SPY","timestamp":"2025-12-21T12:00:00Z","signal_id":"1","data":{}}'
    assert bridge.hears(agent, signal) == [agent]


async def test_feynmans_heartbeats_are_heard_and_not_passed_on(bridge: Bridge) -> None:
    bridge._liveness.redis_answers = True
    assert bridge.upstream().cause == "writer_down"
    assert bridge.hears(heartbeat(EPOCH)) == []
    assert bridge.upstream().status == "live"


async def test_a_heartbeat_that_lay_in_a_queue_is_of_when_it_was_sent(bridge: Bridge) -> None:
    bridge._liveness.redis_answers = True
    for waited, status in ((60.0, "expired"), (4.0, "stale"), (1.0, "live"), (30.0, "live"), (-1.0, "live")):
        bridge.hears(heartbeat(EPOCH, timestamp=iso_millis(NOW - waited)))
        assert bridge.upstream().status == status, waited


async def test_a_symbol_that_nobody_has_is_looked_up_whatever_its_version(bridge: Bridge) -> None:
    doubted = metrics.DOUBTED._value.get()
    assert bridge.hears(update("FORGED", EPOCH, 0), update("FORGED", EPOCH, 1)) == []
    assert bridge.entries == {}
    assert metrics.DOUBTED._value.get() == doubted + 2


HOSTILE: list[tuple[str, bytes]] = [
    ("json", b""),
    ("json", b"not JSON"),
    ("json", b"\xff\xfe"),
    ("json", b'{"event":"PHYSICS_UPDATE"'),
    ("json", b"[" * 60_000),
    ("size", b"[" * 100_000),
    ("size", physics(note="x" * 1_000_000)),
    ("json", physics().replace(b"2.8", b"NaN")),
    ("json", physics().replace(b"2.8", b"1e999")),
    ("object", b"null"),
    ("object", b"[1]"),
    ("object", b'"PHYSICS_UPDATE"'),
    ("event", b"{}"),
    ("event", physics(event="physics_update")),
    ("event", physics(event=["PHYSICS_UPDATE"])),
    ("symbol", physics(symbol="spy")),
    ("symbol", physics(symbol="A/B")),
    ("symbol", physics(symbol="*")),
    ("symbol", physics(symbol="X" * 33)),
    ("symbol", physics(symbol=["SPY"])),
    ("symbol", physics(symbol=...)),
    ("nesting", physics(note=[[]] * 200)),
    ("nesting", physics().replace(b'"SPY"', b'"SPY","x":' + b"[" * 1000 + b"]" * 1000)),
    ("reserved", physics(skipped=3)),
    ("type", physics(data=[])),
    ("type", physics(data=...)),
    ("number", physics(data={"alpha": "2.8", "regime": "Gaussian"})),
    ("number", physics(data={"alpha": True, "regime": "Gaussian"})),
    ("number", physics(data={"alpha": 2.8, "regime": "Gaussian", "mass": []})),
    ("number", physics(data={"regime": "Gaussian"})),
    ("regime", physics(data={"alpha": 2.8, "regime": "gaussian"})),
    ("regime", physics(data={"alpha": 2.8, "regime": {}})),
    ("timestamp", physics(timestamp="yesterday")),
    ("timestamp", physics(timestamp=1766318400)),
    ("version", physics(seq=...)),
    ("version", physics(epoch=...)),
    ("version", physics(epoch=1.5)),
    ("version", physics(seq=-1)),
    ("version", physics(seq=True)),
    ("version", physics(seq=2**63)),
    ("version", physics().replace(b'"seq":1', b'"seq":' + b"9" * 300)),
    ("epoch", physics(epoch=EPOCH + 3 * 86_400_000)),
    ("epoch", physics(epoch=2**53 - 1)),
    ("epoch", heartbeat(EPOCH + 3 * 86_400_000)),
    ("version", heartbeat(EPOCH, seq=None)),
    ("type", heartbeat(EPOCH, data={"shard": 1})),
    ("shard", heartbeat(EPOCH, data={"shard": "1/1", "symbols": 1, "written": 2})),
    ("shard", heartbeat(EPOCH, data={"shard": "x" * 1000, "symbols": 1, "written": 2})),
    ("agent_id", b'{"event":"AGENT_UPDATE","agent_id":"A"}'),
    ("agent_id", b'{"event":"AGENT_UPDATE","agent_id":' + b"[" * 1000 + b"]" * 1000 + b"}"),
]


async def test_hostile_messages_are_counted_dropped_and_logged_at_a_bounded_rate(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "throttled", Throttled(service.log))
    honest = update("SPY", EPOCH, 0)
    bridge.reads(honest)
    before = bridge.upstream()
    with structlog.testing.capture_logs() as said:
        for reason, payload in HOSTILE:
            counted = metrics.DROPPED.labels(reason)._value.get()
            assert bridge.hears(payload) == [], payload[:80]
            assert metrics.DROPPED.labels(reason)._value.get() == counted + 1, (reason, payload[:80])
    assert len(said) == len({reason for reason, _ in HOSTILE}), "one line each reason"
    assert max(len(orjson.dumps(line)) for line in said) < 1000
    assert bridge.entries == {"SPY": Entry(Version(EPOCH, 0), honest)}
    assert bridge.upstream().status == before.status
    newer = update("SPY", EPOCH, 1)
    assert bridge.hears(newer) == [newer]


async def test_what_another_database_publishes_is_counted_and_dropped_without_a_word(bridge: Bridge) -> None:
    agent = b'{"event":"AGENT_UPDATE","agent_id":"a","timestamp":"2025-12-21T12:00:00Z","data":{},"db":2}'
    counted = metrics.DROPPED.labels("db")._value.get()
    with structlog.testing.capture_logs() as said:
        assert bridge.hears(physics(db=1), heartbeat(EPOCH, db=1), agent) == []
    assert metrics.DROPPED.labels("db")._value.get() == counted + 3
    assert said == []


async def test_symbols_beyond_the_bound_are_dropped_and_those_held_go_on() -> None:
    bridge = Bridge(max_symbols=100)
    counted = metrics.DROPPED.labels("room")._value.get()
    sent = bridge.hears(*(update(f"S{i}") for i in range(1000)))
    assert len(sent) == len(bridge.entries) == 100
    assert metrics.DROPPED.labels("room")._value.get() == counted + 900
    newer = update("S7", alpha=2.9)
    assert bridge.hears(newer) == [newer]
    assert bridge.hears(*(update(f"T{i}", EPOCH, 1) for i in range(1000))) == []
    assert metrics.DROPPED.labels("room")._value.get() == counted + 1800, "nor are more in doubt"


async def test_a_bridge_serves_500_connections_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Built(Exception):
        pass

    def server(_hub: object, _clock: object, limits: Limits, *_: object, **_more: object) -> None:
        asked.append(limits)
        raise Built

    with socket.create_server(("127.0.0.1", 0)) as link:
        monkeypatch.setattr(service, "listening_socket", lambda *_: link)
        monkeypatch.setattr(service, "FanoutServer", server)
        with pytest.raises(Built):
            await RedisBridge(BridgeSettings(), SystemClock()).run(asyncio.Event())
    assert [limits.connections for limits in asked] == [500]
