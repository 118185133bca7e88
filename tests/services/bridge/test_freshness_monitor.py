"""What the bridge says of how far its states may be trusted, and when."""

from typing import Any

import orjson
import pytest

from common.fanout.hub import Hub
from cottage.clock import SystemClock, from_iso
from cottage.freshness import USUAL, Feed
from cottage.protocol import Subscription
from services.bridge.freshness_monitor import FreshnessMonitor
from services.bridge.liveness import WriterLiveness
from tests.common.fanout.wires import FakeWire, update

NOW = 1_766_318_400.0


class Bench(SystemClock):
    """A monitor with its hub, one client, and a clock that stands still."""

    def __init__(self) -> None:
        self.at = 100.0
        self.liveness = WriterLiveness(self.at, USUAL)
        self.monitor = FreshnessMonitor(self.liveness, USUAL, self)
        self.hub = Hub(self, lambda: self.liveness.upstream(self.at), self.monitor.redis_now)
        self.wire = FakeWire()
        self.hub.join(self.wire, Subscription(everything=True))
        self.wire.payloads()
        self.monitor._redis_clock.answered(NOW, self.at, self.at)

    def monotonic(self) -> float:
        return self.at

    def holds(self, symbol: str, age: float, source: str = "myfeed") -> None:
        self.hub.update(symbol, None, update(symbol))
        self.monitor.samples.record(symbol, source, self.monitor.redis_now() - age, None, 0.0, self.at)

    def says(self) -> list[tuple[str, str | None, list[str]]]:
        self.monitor.publish(self.hub)
        said = [orjson.loads(payload) for payload in self.wire.payloads()]
        return [(each["status"], each["cause"], each["symbols"]) for each in said if each["event"] == "FRESHNESS"]


@pytest.fixture
async def bench() -> Bench:
    made = Bench()
    assert made.says() == [("stale", "redis_down", ["*"])], "until something is known"
    made.liveness.redis_answers = True
    made.liveness.prove({(0, 1): 1})
    made.liveness.heartbeat((0, 1), 1, made.at)
    assert made.says() == [("live", None, ["*"])]
    return made


async def test_what_changes_is_said_once(bench: Bench) -> None:
    bench.holds("A", 9.0)
    bench.holds("B", 0.0)
    assert bench.says() == []
    bench.at += 1
    assert bench.says() == [("stale", "market_quiet", ["A"])]
    assert bench.says() == []
    bench.holds("A", 0.1)
    assert bench.says() == [("live", None, ["A"])]


async def test_a_feed_that_died_is_not_a_quiet_market(bench: Bench) -> None:
    bench.holds("A", 4.0, "simulate")
    assert bench.says() == [], "who feeds is not known yet"
    bench.monitor.feeds = (Feed("simulate", None),)
    assert bench.says() == []
    bench.monitor.feeds = ()
    assert bench.says() == [("stale", "feed_down", ["A"])]


async def test_one_silent_shard_is_named_for_its_symbols(bench: Bench) -> None:
    bench.liveness.prove({(0, 2): 1, (1, 2): 1})
    bench.liveness.heartbeat((0, 2), 1, bench.at)
    bench.liveness.heartbeat((1, 2), 1, bench.at)
    bench.holds("SPY", 0.0)
    bench.holds("QQQ", 0.0)
    bench.at += 3
    bench.liveness.heartbeat((0, 2), 1, bench.at)
    assert bench.says() == [("stale", "writer_down", ["SPY"])]  # it is of shard 1/2


async def test_a_hop_that_breaks_is_said_of_all(bench: Bench) -> None:
    bench.holds("A", 58.0)
    assert bench.says() == [("stale", "market_quiet", ["A"])]
    bench.at += 3
    assert bench.says() == [("stale", "writer_down", ["*"]), ("expired", "writer_down", ["A"])]
    bench.liveness.redis_answers = False
    assert bench.says()[0] == ("stale", "redis_down", ["*"])


class SlowClient:
    """A Redis that takes its time, by the bench's clock."""

    def __init__(self, bench: Bench, seconds: float, tells: float) -> None:
        self._bench, self._seconds, self._tells = bench, seconds, tells

    async def now(self) -> float:
        self._bench.at += self._seconds
        return self._tells


async def test_an_answer_that_took_long_does_not_set_the_clock(bench: Bench) -> None:
    client: Any = SlowClient(bench, 5.0, NOW + 5)
    await bench.monitor.sync_clock(client)
    assert bench.monitor.redis_now() == pytest.approx(NOW + 5, abs=0.01)
    client = SlowClient(bench, 0.1, NOW - 3600)  # it was set back
    await bench.monitor.sync_clock(client)
    assert bench.monitor.redis_now() == pytest.approx(NOW - 3600 + 0.1)


async def test_that_redis_s_clock_was_set_is_told_at_once_and_once(bench: Bench) -> None:
    client: Any = SlowClient(bench, 0.0, NOW - 50)
    await bench.monitor.sync_clock(client)
    bench.monitor.publish(bench.hub)
    (told,) = [message for message in bench.wire.messages() if message["event"] == "HEARTBEAT"]
    assert from_iso(told["timestamp"]) == pytest.approx(NOW - 50, abs=0.01)
    bench.monitor.publish(bench.hub)
    assert "HEARTBEAT" not in bench.wire.events()
