"""The bridge on a real Redis: what it heals, and what it survives."""

import time
from typing import Any

import orjson
import pytest

from common.settings import RedisSettings
from cottage import consumer, keys
from cottage.backoff import REFUSED_SECONDS
from cottage.redis import Client, connect, connect_blocking
from services.bridge import metrics
from tests.integration.fanout import NEVER, HurriedClock, beat, bridging, cutting, hold, put, state, viewing, write
from tests.one_kind import on_one_kind
from tests.services.bridge.test_service import HOSTILE, PRINTED
from tests.support import OwnRedis, eventually, service

pytestmark = pytest.mark.usefixtures("impatient_bridge")
pytest_generate_tests = on_one_kind


def dropped(reason: str) -> float:
    return float(metrics.DROPPED.labels(reason)._value.get())


async def test_what_is_there_comes_first_and_then_what_is_published(
    redis_url: str, client: Client, port: int
) -> None:
    await hold(client, 1)
    before = {symbol: await put(client, symbol, state(1, tick)) for symbol, tick in (("SPY", 1), ("QQQ", 50))}
    async with bridging(redis_url, port, reread_seconds=NEVER), viewing(port) as one, viewing(port) as other:
        for viewer in (one, other):
            assert viewer.held == before
            assert viewer.snapshots[0]["complete"] is True
        published = [await write(client, "SPY", state(1, seq)) for seq in range(2, 50)]
        for viewer in (one, other):
            await eventually(lambda viewer=viewer: viewer.updates == published)  # type: ignore[misc]  # a default


async def test_the_specifications_own_message_and_agents_pass_and_trade_signals_do_not(
    redis_url: str, client: Client, port: int
) -> None:
    agent = b'{"event":"AGENT_UPDATE","agent_id":"analyst_001","timestamp":"2025-12-21T12:00:00Z","data":{"x":1}}'
    signal_ = b'{"event":"TRADE_SIGNAL","symbol":"SPY","timestamp":"2025-12-21T12:00:00Z","signal_id":"s","data":{}}'
    async with bridging(redis_url, port, reread_seconds=NEVER), viewing(port) as viewer:
        assert await client.publish(keys.STATE_UPDATE, PRINTED) == 1
        assert await client.publish(keys.TRADE_SIGNALS, signal_) == 0
        await client.publish(keys.STATE_UPDATE, signal_)
        await client.publish(keys.STATE_UPDATE, agent)
        await eventually(lambda: viewer.others)
        assert viewer.updates == [PRINTED]
        assert viewer.others == [agent]


async def test_a_state_whose_message_was_lost_appears_by_reading_again(
    redis_url: str, client: Client, port: int
) -> None:
    async with bridging(redis_url, port), viewing(port) as viewer:
        await viewer.holds({"SPY": await put(client, "SPY", state(1, 1))})
        await viewer.holds({"SPY": await put(client, "SPY", state(1, 2))})
        await viewer.holds({"SPY": await put(client, "SPY", state(2, 0))})


async def test_a_state_without_a_version_is_read_as_well(redis_url: str, client: Client, port: int) -> None:
    seven = state(None)
    async with bridging(redis_url, port), viewing(port) as viewer:
        await viewer.holds({"SPY": await put(client, "SPY", seven)})
        await viewer.holds({"SPY": await put(client, "SPY", state(None, source="other"))})
        reads = metrics.FULL_READS._value.get()
        await eventually(lambda: metrics.FULL_READS._value.get() >= reads + 2)
        assert len(viewer.updates) == 2, "read again and again, told once each"


async def test_a_new_epoch_makes_it_read_all(redis_url: str, client: Client, port: int) -> None:
    async with bridging(redis_url, port, reread_seconds=NEVER), viewing(port) as viewer:
        spy = await write(client, "SPY", state(1, 1))
        await viewer.holds({"SPY": spy})
        lost = await put(client, "QQQ", state(2, 1))
        spy = await write(client, "SPY", state(2, 2))
        await viewer.holds({"SPY": spy, "QQQ": lost})
        lost = await put(client, "QQQ", state(3, 1))
        await beat(client, epoch=3)
        await viewer.holds({"SPY": spy, "QQQ": lost})


async def test_forged_epochs_do_not_make_it_read_all_the_time(redis_url: str, client: Client, port: int) -> None:
    async with bridging(redis_url, port, reread_seconds=NEVER), viewing(port) as viewer:
        reads = metrics.FULL_READS._value.get()
        began = time.monotonic()
        last = b""
        for epoch in range(1, 500):
            last = await write(client, "SPY", state(epoch, 1))
        await viewer.holds({"SPY": last})
        # One a pause, however long the machine took for it, and not one an epoch.
        assert (
            metrics.FULL_READS._value.get() - reads
            <= 2 + (time.monotonic() - began) / consumer.RECONCILE_PAUSE_SECONDS
        )


async def test_what_is_gone_from_redis_is_removed_and_may_come_back(
    redis_url: str, client: Client, port: int
) -> None:
    stays = await put(client, "SPY", state(5, 5))
    await put(client, "QQQ", state(5, 5))
    async with bridging(redis_url, port), viewing(port) as viewer:
        await client.delete(keys.physics_state("QQQ"))
        await viewer.holds({"SPY": stays})
        assert viewer.removed == ["QQQ"]
        back = await write(client, "QQQ", state(1, 1))  # older than before it went
        await viewer.holds({"SPY": stays, "QQQ": back})


async def test_one_read_without_it_removes_nothing(redis_url: str, client: Client, port: int) -> None:
    """Evicted, and written again a tick later."""
    held = await put(client, "SPY", state(1, 1))
    async with bridging(redis_url, port) as bridge, viewing(port) as viewer:
        for _ in range(3):
            await client.delete(keys.physics_state("SPY"))
            await eventually(lambda: bridge._reconciler._suspects.keys() == {"SPY"})
            await put(client, "SPY", state(1, 1))
            await eventually(lambda: not bridge._reconciler._suspects)
        assert viewer.held == {"SPY": held}
        assert viewer.removed == []


async def test_hostile_messages_are_dropped_and_everything_else_goes_on(
    redis_url: str, client: Client, port: int
) -> None:
    async with bridging(redis_url, port, reread_seconds=NEVER), viewing(port) as viewer:
        now = await client.now()
        for _, payload in HOSTILE:
            # Their epochs lie around another day, so those of today and of the future stay what they are.
            if b'"epoch":17665776' not in payload:
                await client.publish(keys.STATE_UPDATE, payload)
        future = state(round((now + 3 * 86_400) * 1000), 1).update("SPY")
        counted = dropped("epoch")
        await client.publish(keys.STATE_UPDATE, future)
        honest = await write(client, "SPY", state(round(now * 1000), 1))
        await viewer.holds({"SPY": honest})
        assert viewer.updates == [honest]
        assert dropped("epoch") == counted + 1


HOSTILE_STATES: dict[str, tuple[bytes, str]] = {
    "A": (b"not JSON", "json"),
    "B": (b"\xff", "json"),
    "C": (b"[" * 100_000, "json"),
    "D": (b"[]", "object"),
    "E": (b"{}", "number"),
    "F": (state(1).to_bytes().replace(b"0.42", b"1e999"), "json"),
    "G": (state(1).to_bytes().replace(b"0.42", b'"0.42"'), "number"),
    "H": (state(1).to_bytes().replace(b"Gaussian", b"gaussian"), "regime"),
    "I": (state(1).to_bytes().replace(b'"epoch":1', b'"epoch":-1'), "version"),
    "J": (state(2**53 - 1).to_bytes(), "epoch"),
    "K": (state(1, source="x" * 1_000_000).to_bytes(), "size"),
    "spy": (state(1).to_bytes(), "symbol"),
    "": (state(1).to_bytes(), "symbol"),
    "A/B": (state(1).to_bytes(), "symbol"),
    "X" * 1000: (state(1).to_bytes(), "symbol"),
    "\U0001f600": (state(1).to_bytes(), "symbol"),
}


async def test_hostile_states_are_dropped_and_the_last_good_one_stands(
    redis_url: str, client: Client, port: int
) -> None:
    good = {symbol: await put(client, symbol, state(1, 1)) for symbol in ("A", "SPY", "ZZZ")}
    before = {reason: dropped(reason) for _, reason in HOSTILE_STATES.values()}
    async with bridging(redis_url, port) as bridge, viewing(port) as viewer:
        for name, (payload, _) in HOSTILE_STATES.items():
            await client.set(keys.PHYSICS_STATE + name, payload)
        await client.delete(keys.physics_state("ZZZ"))
        await client.lpush(keys.physics_state("ZZZ"), "a list has no state")
        good["SPY"] = await put(client, "SPY", state(1, 2))
        del good["ZZZ"]
        await viewer.holds(good)
        assert viewer.removed == ["ZZZ"]
        for reason, count in before.items():
            assert dropped(reason) > count, reason
        assert bridge.not_ready() is None


async def test_more_symbols_than_allowed_take_no_memory(redis_url: str, client: Client, port: int) -> None:
    async with bridging(redis_url, port, reread_seconds=NEVER, max_symbols=50) as bridge, viewing(port) as viewer:
        await hold(client, 1)
        pipeline = client.pipeline(transaction=False)
        for i in range(2000):
            pipeline.set(keys.physics_state(f"S{i}"), state(1, 1).to_bytes())
            pipeline.publish(keys.STATE_UPDATE, state(1, 1).update(f"S{i}"))
        await pipeline.execute()
        newer = await write(client, "S1", state(1, 2))
        await eventually(lambda: viewer.held.get("S1") == newer)
        assert bridge.status()["symbols"] == len(viewer.held) == 50


async def test_a_subscription_that_was_cut_is_made_again_and_the_gap_is_read(
    redis_url: str, client: Client, port: int
) -> None:
    async with bridging(redis_url, port, reread_seconds=NEVER, silence_seconds=3.0), viewing(port) as viewer:
        for seq in range(1, 4):
            subscriptions = metrics.SUBSCRIPTIONS._value.get()
            await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            in_the_gap = await write(client, "SPY", state(1, seq))
            await viewer.holds({"SPY": in_the_gap})
            await eventually(lambda count=subscriptions: metrics.SUBSCRIPTIONS._value.get() > count)  # type: ignore[misc]


async def test_the_whole_client_list_may_be_cut(redis_url: str, client: Client, port: int) -> None:
    async with bridging(redis_url, port, reread_seconds=0.2), viewing(port) as viewer:
        subscriptions = metrics.SUBSCRIPTIONS._value.get()
        await client.execute_command("CLIENT", "KILL", "SKIPME", "yes")
        await viewer.holds({"SPY": await write(client, "SPY", state(1, 1))})
        await eventually(lambda: metrics.SUBSCRIPTIONS._value.get() > subscriptions)


async def test_redis_may_die_and_come_back_empty(own_redis: OwnRedis, port: int) -> None:
    async with bridging(own_redis.url, port) as bridge, viewing(port) as viewer:
        async with connect(own_redis.url) as client:
            held = await write(client, "SPY", state(2, 1))
            await beat(client)
            await viewer.hears_of(None)
        own_redis.kill()
        await viewer.hears_of("redis_down")
        assert bridge.not_ready() is not None
        assert viewer.held == {"SPY": held}, "what is known stays, and is called what it is"
        own_redis.start()
        await viewer.hears_of("writer_down")
        assert bridge.not_ready() is None
        await viewer.holds({})
        async with connect(own_redis.url) as client:
            await viewer.holds({"QQQ": await write(client, "QQQ", state(3, 1))})
            await beat(client)
            await viewer.hears_of(None)


@pytest.mark.parametrize("how", ["suspended", "paused"])
async def test_a_redis_that_hangs_is_noticed_and_then_heard_again(own_redis: OwnRedis, port: int, how: str) -> None:
    url = own_redis.url
    async with bridging(url, port, reread_seconds=NEVER), viewing(port) as viewer, connect(url) as client:
        await viewer.holds({"SPY": await write(client, "SPY", state(1, 1))})
        if how == "suspended":
            own_redis.suspend()
        else:
            await client.execute_command("CLIENT", "PAUSE", 1200, "ALL")
        await viewer.hears_of("redis_down")
        if how == "suspended":
            own_redis.resume()
        await viewer.holds({"SPY": await write(client, "SPY", state(1, 2))})
        await viewer.hears_of("writer_down")


async def test_it_starts_before_redis(own_redis: OwnRedis, port: int) -> None:
    own_redis.kill()
    async with bridging(own_redis.url, port, ready=False) as bridge, viewing(port) as viewer:
        assert viewer.snapshots[0]["complete"] is False
        assert bridge.not_ready() is not None
        own_redis.start()
        async with connect(own_redis.url) as client:
            await viewer.holds({"SPY": await write(client, "SPY", state(1, 1))})
        assert bridge.not_ready() is None


async def test_a_wrong_password_is_said_clearly_and_tried_slowly(own_redis: OwnRedis, port: int) -> None:
    own_redis.restart("--requirepass", "right")
    url = own_redis.url.replace("redis://", "redis://:wrong@")
    clock = HurriedClock()
    async with bridging(url, port, clock, ready=False) as bridge:
        await eventually(lambda: clock.slept.count(REFUSED_SECONDS) >= 3)
        problem = bridge.not_ready()
        assert problem is not None
        assert "password" in problem
        assert "wrong" not in str(bridge.status())
        with connect_blocking(own_redis.url.replace("redis://", "redis://:right@")) as client:
            client.config_set("requirepass", "wrong")
        await eventually(lambda: bridge.not_ready() is None)


async def test_a_server_that_cuts_every_connection_is_not_hammered(port: int) -> None:
    clock = HurriedClock()
    async with (
        cutting(lambda _writer: None) as (redis_port, connections),
        bridging(f"redis://127.0.0.1:{redis_port}", port, clock, ready=False),
    ):
        await eventually(lambda: len(connections) >= 30)
    waits = [seconds for seconds in clock.slept if seconds not in (0.05, 0.1)]  # but those of HEARTBEAT and re-read
    assert len(waits) >= len(connections) - 1
    assert max(waits) > 0.2, "its waits grow"
    assert max(waits) <= 1.0


async def test_an_error_while_reading_again_ends_the_subscription_and_is_mended(
    own_redis: OwnRedis, port: int
) -> None:
    """The task that reads again fails while the channel is well: neither may hang, and both start anew."""
    url, clock = own_redis.url, HurriedClock()
    async with (
        bridging(url, port, clock, silence_seconds=60.0) as bridge,
        viewing(port) as viewer,
        connect(url) as client,
    ):
        await client.execute_command("ACL", "SETUSER", "default", "-scan")
        await viewer.hears_of("redis_down")
        assert "scan" in (bridge.not_ready() or "")
        await client.execute_command("ACL", "SETUSER", "default", "+scan")
        await viewer.holds({"SPY": await write(client, "SPY", state(1, 1))})
        assert bridge.not_ready() is None


def environment(url: str, **more: str) -> dict[str, str]:
    fast = {"BRIDGE_REREAD_SECONDS": "0.2", "BRIDGE_SILENCE_SECONDS": "0.5", "BRIDGE_HEARTBEAT_SECONDS": "0.1"}
    return {RedisSettings.variable("redis_url"): url, "BRIDGE_PORT": "0", **fast, **more}


async def test_the_process_serves_drops_and_stops(own_redis: OwnRedis) -> None:
    async with service("bridge", environment(own_redis.url)) as bridge:
        await bridge.ready()
        port = int((await bridge.logged("listening"))["port"])
        async with connect(own_redis.url) as client, viewing(port) as viewer:
            for _ in range(100):
                await client.publish(keys.STATE_UPDATE, b"not JSON")
            await viewer.holds({"SPY": await write(client, "SPY", state(1, 1))})
        dropped_lines = [line for line in bridge.logs if line["event"] == "message_dropped"]
        assert [(line["reason"], line["payload"]) for line in dropped_lines] == [("json", "not JSON")]
        assert 'cottage_bridge_messages_dropped_total{reason="json"} 100.0' in (await bridge.get("/metrics")).text
        assert orjson.loads((await bridge.get("/status")).content)["symbols"] == 1
        assert await bridge.stop(timeout=8) == 0
        assert bridge.errors == []


@pytest.mark.parametrize("stalled", [False, True])
async def test_the_process_stops_while_redis_hangs(own_redis: OwnRedis, stalled: bool) -> None:
    async with service("bridge", environment(own_redis.url)) as bridge:
        await bridge.ready()
        own_redis.suspend()
        if stalled:  # in the middle of trying again
            await bridge.logged("redis_lost")
        assert await bridge.stop(timeout=8) == 0
        assert bridge.errors == []
        assert not [line for line in bridge.logs if line["level"] == "error"]


async def test_a_port_that_is_taken_is_named(own_redis: OwnRedis) -> None:
    async with service("bridge", environment(own_redis.url, BRIDGE_PORT=str(own_redis.port))) as bridge:
        assert await bridge.ended() == 2
        failed: dict[str, Any] = await bridge.logged("failed")
        assert "BRIDGE_PORT" in failed["error"]
