"""From Redis through bridge and broadcaster to clients, with hops that die in between."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import orjson
import pytest
from websockets.asyncio.server import ServerConnection, serve

from cottage import events, fields, keys, protocol
from cottage.client.state_client import StateClient
from cottage.events import Policy, Topic
from cottage.redis import Client, connect
from deploy.redis_server import free_port
from tests.common.fanout.wires import LIVE, update
from tests.integration.fanout import (
    HurriedClock,
    beat,
    bridging,
    broadcasting,
    cutting,
    hold,
    put,
    state,
    viewing,
    write,
)
from tests.one_kind import on_one_kind
from tests.services.bridge.test_service import PRINTED
from tests.support import OwnRedis, eventually, service

pytest_generate_tests = on_one_kind


@pytest.fixture
def ports() -> tuple[int, int]:
    """Of a bridge and of a broadcaster."""
    return free_port(), free_port()


@asynccontextmanager
async def beating(client: Client, epoch: int = 1) -> AsyncIterator[None]:
    """FeynmanService is alive."""

    async def forever() -> None:
        while True:
            await beat(client, epoch)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(forever())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_is_published_reaches_every_client_byte_for_byte(redis_url: str, client: Client) -> None:
    bridge_port, ports = free_port(), [free_port(), free_port()]
    await hold(client, 1)
    before = {symbol: await put(client, symbol, state(1, tick)) for symbol, tick in (("SPY", 1), ("QQQ", 30))}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(bridging(redis_url, bridge_port))
        for port in ports:
            await stack.enter_async_context(broadcasting(bridge_port, port))
        viewers = [await stack.enter_async_context(viewing(port)) for port in ports]
        assert [viewer.held for viewer in viewers] == [before, before]
        published = [await write(client, "SPY", state(1, seq)) for seq in range(2, 30)]
        printed = PRINTED.replace(b"SPY", b"IWM")
        await client.publish(keys.STATE_UPDATE, printed)
        for viewer in viewers:
            await eventually(lambda viewer=viewer: viewer.updates == [*published, printed])  # type: ignore[misc]
        late = await stack.enter_async_context(viewing(ports[0], "?symbols=SPY,IWM,NONE"))
        assert late.held == {"SPY": published[-1], "IWM": printed}
        assert late.snapshots[0]["missing"] == ["NONE"]


async def test_agents_are_heard_and_trade_signals_never(
    redis_url: str, client: Client, ports: tuple[int, int]
) -> None:
    agent = b'{"event":"AGENT_UPDATE","agent_id":"analyst_001","timestamp":"2025-12-21T12:00:00Z","data":{}}'
    signal_ = b'{"event":"TRADE_SIGNAL","symbol":"SPY","timestamp":"2025-12-21T12:00:00Z","signal_id":"s","data":{}}'
    async with bridging(redis_url, ports[0]), broadcasting(*ports), viewing(ports[1]) as viewer:
        for channel in (keys.TRADE_SIGNALS, keys.STATE_UPDATE):
            await client.publish(channel, signal_)
        await client.publish(keys.STATE_UPDATE, agent)
        await eventually(lambda: viewer.others)
        assert viewer.others == [agent]


@pytest.mark.parametrize("batch", [0, 100])
async def test_a_new_event_is_one_line_in_the_table(
    redis_url: str, client: Client, ports: tuple[int, int], monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """From Redis over bridge and broadcaster to both a browser's kind of client and ours, and a bad one nowhere."""
    monkeypatch.setitem(events.TOPICS, "NEWS", Topic(lambda message: fields.text(message, "desk"), Policy.LATEST))
    news = b'{ "event":"NEWS", "desk":"rates", "text":"cut" }'
    async with (
        bridging(redis_url, ports[0]),
        broadcasting(*ports),
        viewing(ports[1]) as viewer,
        StateClient.connect(f"ws://127.0.0.1:{ports[1]}/ws", batch=batch) as subject,
        asyncio.timeout(20),
    ):
        await subject.synced()
        for payload in (b'{"event":"NEWS","desk":7}', b'{"event":"GOSSIP","desk":"rates"}', news):
            await client.publish(keys.STATE_UPDATE, payload)
        assert await anext(subject.events()) == {"event": "NEWS", "desk": "rates", "text": "cut"}
        await eventually(lambda: viewer.others == [news])


async def test_heartbeats_say_how_fresh_it_is_and_prove_what_few_symbols_hold(
    redis_url: str, client: Client, ports: tuple[int, int]
) -> None:
    await put(client, "SPY", state(1, 1))
    async with (
        bridging(redis_url, ports[0]),
        broadcasting(*ports),
        viewing(ports[1], "?symbols=SPY,QQQ") as few,
        viewing(ports[1]) as everything,
    ):
        for viewer in (few, everything):
            await viewer.hears_of("writer_down")
        async with beating(client):
            for viewer in (few, everything):
                await viewer.hears_of(None)
                upstream = viewer.heartbeat["upstream"]
                assert upstream["status"] == "live"
                assert 0 <= upstream["age_ms"] < 3000
            await write(client, "QQQ", state(1, 7))
            await eventually(lambda: few.heartbeat["seqs"] == {"SPY": [1, 1], "QQQ": [1, 7]})
            assert "seqs" not in everything.heartbeat
        await few.hears_of("writer_down")


async def test_it_starts_before_the_bridge(redis_url: str, client: Client, ports: tuple[int, int]) -> None:
    await put(client, "SPY", state(1, 1))
    async with broadcasting(*ports, ready=False) as broadcaster, viewing(ports[1]) as viewer, beating(client):
        assert viewer.snapshots[0]["complete"] is False
        await viewer.hears_of("bridge_down")
        assert "bridge" in (broadcaster.not_ready() or "")
        async with bridging(redis_url, ports[0]):
            await viewer.holds({"SPY": await write(client, "SPY", state(1, 2))})
            await viewer.hears_of(None)
            assert broadcaster.not_ready() is None
        await viewer.hears_of("bridge_down")


async def test_a_bridge_that_waits_for_redis_is_asked_again_once_it_has_read_it(
    own_redis: OwnRedis, ports: tuple[int, int]
) -> None:
    async with AsyncExitStack() as stack:
        async with bridging(own_redis.url, ports[0]):
            await stack.enter_async_context(broadcasting(*ports))
            viewer = await stack.enter_async_context(viewing(ports[1]))
            async with connect(own_redis.url) as client:
                await write(client, "SPY", state(1, 1))
                held = await write(client, "QQQ", state(1, 1))
                await eventually(lambda: len(viewer.held) == 2)
        own_redis.kill()
        await stack.enter_async_context(bridging(own_redis.url, ports[0], ready=False))
        await viewer.hears_of("redis_down")
        assert len(viewer.held) == 2, "nothing is removed by who has not read Redis"
        own_redis.start()
        async with connect(own_redis.url) as client:
            held = await put(client, "QQQ", state(1, 2))
            newer = await put(client, "IWM", state(1, 1))
        await viewer.holds({"QQQ": held, "IWM": newer})
        assert viewer.removed == ["SPY"]


async def test_a_killed_bridge_is_found_again_and_what_went_meanwhile_is_removed(
    redis_url: str, client: Client, ports: tuple[int, int]
) -> None:
    environment = {"REDIS_URL": redis_url, "BRIDGE_PORT": str(ports[0]), "BRIDGE_HEARTBEAT_SECONDS": "0.1"}
    published = {symbol: await put(client, symbol, state(1, 1)) for symbol in ("SPY", "QQQ")}
    other_port = free_port()
    async with AsyncExitStack() as stack:
        async with service("bridge", environment) as bridge:
            await bridge.ready()
            for port in (ports[1], other_port):
                await stack.enter_async_context(broadcasting(ports[0], port))
            viewers = [await stack.enter_async_context(viewing(port)) for port in (ports[1], other_port)]
            assert [viewer.held for viewer in viewers] == [published, published]
            await bridge.kill()
        for viewer in viewers:
            await viewer.hears_of("bridge_down")
            assert viewer.held == published
        await client.delete(keys.physics_state("QQQ"))
        healed = await put(client, "SPY", state(1, 2))
        bridge = await stack.enter_async_context(service("bridge", environment))
        for viewer in viewers:
            await viewer.holds({"SPY": healed}, timeout=20)
            assert viewer.removed == ["QQQ"]
        newer = await write(client, "SPY", state(1, 3))
        for viewer in viewers:
            await viewer.holds({"SPY": newer})


async def test_the_process_gives_a_silent_bridge_up_and_links_again(redis_url: str, client: Client) -> None:
    """On uvloop, where a write after an abort raises."""
    bridge_settings = {"REDIS_URL": redis_url, "BRIDGE_PORT": "0", "BRIDGE_HEARTBEAT_SECONDS": "0.1"}
    settings = {"BROADCASTER_PORT": "0", "BROADCASTER_SILENCE_SECONDS": "0.5", "BROADCASTER_HEARTBEAT_SECONDS": "0.1"}
    async with service("bridge", bridge_settings) as bridge:
        await bridge.ready()
        settings["BROADCASTER_BRIDGE_URL"] = f"ws://127.0.0.1:{(await bridge.logged('listening'))['port']}/ws"
        async with service("broadcaster", settings) as broadcaster:
            await broadcaster.ready()
            port = int((await broadcaster.logged("listening"))["port"])
            async with viewing(port) as viewer:
                bridge.signal(signal.SIGSTOP)
                await viewer.hears_of("bridge_down")
                lost = await broadcaster.logged("not_live", cause="bridge_down")
                assert "silent for 0.5 s" in lost["reason"]
                assert (await broadcaster.get("/readyz")).status_code == 503
                assert (await broadcaster.get("/healthz")).status_code == 200
                bridge.signal(signal.SIGCONT)
                await viewer.holds({"SPY": await write(client, "SPY", state(1, 1))})
                await viewer.hears_of("writer_down")
            assert (await broadcaster.get("/readyz")).status_code == 200
            assert await broadcaster.stop(timeout=8) == 0
            assert broadcaster.errors == []
            assert not [line for line in broadcaster.logs if line["level"] == "error"]


async def test_a_broadcaster_that_was_suspended_says_nothing_is_live_until_the_bridge_has_answered(
    redis_url: str, client: Client
) -> None:
    """Heartbeats of the bridge waited for it, and the bridge is away by then."""
    bridge_settings = {"REDIS_URL": redis_url, "BRIDGE_PORT": "0", "BRIDGE_HEARTBEAT_SECONDS": "0.1"}
    settings = {"BROADCASTER_PORT": "0", "BROADCASTER_HEARTBEAT_SECONDS": "0.1"}
    async with service("bridge", bridge_settings) as bridge, beating(client):
        await bridge.ready()
        settings["BROADCASTER_BRIDGE_URL"] = f"ws://127.0.0.1:{(await bridge.logged('listening'))['port']}/ws"
        async with service("broadcaster", settings) as broadcaster:
            await broadcaster.ready()
            async with viewing(int((await broadcaster.logged("listening"))["port"])) as viewer:
                await viewer.hears_of(None)
                broadcaster.signal(signal.SIGSTOP)
                await asyncio.sleep(1.0)
                bridge.signal(signal.SIGSTOP)
                await asyncio.sleep(1.0)  # half of what makes the link count as lost, and more than a gap
                viewer.heartbeat = {}
                broadcaster.signal(signal.SIGCONT)
                await eventually(lambda: viewer.heartbeat)
                assert viewer.cause == "bridge_down"
                bridge.signal(signal.SIGCONT)
                await viewer.hears_of(None)
            assert len([line for line in broadcaster.logs if line["event"] == "linked"]) == 1, "it was asked"


async def test_the_process_stops_while_the_bridge_hangs_and_a_client_reads_nothing(redis_url: str) -> None:
    bridge_settings = {"REDIS_URL": redis_url, "BRIDGE_PORT": "0"}
    async with service("bridge", bridge_settings) as bridge:
        await bridge.ready()
        url = f"ws://127.0.0.1:{(await bridge.logged('listening'))['port']}/ws"
        async with service("broadcaster", {"BROADCASTER_PORT": "0", "BROADCASTER_BRIDGE_URL": url}) as broadcaster:
            await broadcaster.ready()
            port = int((await broadcaster.logged("listening"))["port"])
            with socket.create_connection(("127.0.0.1", port)) as half:
                half.sendall(b"GET /ws HTTP/1.1\r\n")
                bridge.signal(signal.SIGSTOP)
                assert await broadcaster.stop(timeout=8) == 0
            assert "drain_deadline_passed" not in [line["event"] for line in broadcaster.logs]


def waits(clock: HurriedClock) -> list[float]:
    return [seconds for seconds in clock.slept if seconds != 0.05]  # but those between HEARTBEATs


async def accept_and_close(_connection: ServerConnection) -> None:
    """Lets its clients in and out again."""


async def test_a_bridge_that_accepts_and_closes_at_once_is_not_hammered() -> None:
    clock = HurriedClock()
    async with serve(accept_and_close, "127.0.0.1", 0) as bridge:
        port: int = next(iter(bridge.sockets)).getsockname()[1]
        async with broadcasting(port, free_port(), clock, ready=False) as broadcaster:
            await eventually(lambda: len(waits(clock)) >= 20)
            assert "bridge" in (broadcaster.not_ready() or "")
    assert 0.2 < max(waits(clock)) <= 1.0, "its waits grow"


async def test_what_is_no_bridge_at_all_is_named_and_not_hammered() -> None:
    clock = HurriedClock()
    refusal = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    async with (
        cutting(lambda writer: writer.write(refusal)) as (port, connections),
        broadcasting(port, free_port(), clock, ready=False) as broadcaster,
    ):
        await eventually(lambda: len(connections) >= 20)
        assert "404" in (broadcaster.not_ready() or "")
    assert len(waits(clock)) >= len(connections) - 1
    assert 0.2 < max(waits(clock)) <= 1.0


async def test_what_a_bridge_should_not_say_ends_nothing() -> None:
    """Frames that cannot be trusted are dropped; one that is too big costs the link, which is dialled again."""
    links = 0

    async def hostile(connection: ServerConnection) -> None:
        nonlocal links
        links += 1
        held = [update("SPY", links, 1)]
        await connection.send(protocol.snapshot("T", held, last=True, complete=True, missing=[]).decode())
        await connection.send(protocol.heartbeat("T", LIVE, None).decode())
        for message in (b"\xff", "{", '{"event":"HEARTBEAT"}', '{"event":"SNAPSHOT","updates":[{}]}', "[" * 90_000):
            await connection.send(message)
        await connection.send(update("SPY", links, 2).decode())  # what comes after them is heard
        await connection.send("x" * 1_000_000)
        await connection.wait_closed()

    port = free_port()
    async with (
        serve(hostile, "127.0.0.1", 0) as bridge,
        broadcasting(next(iter(bridge.sockets)).getsockname()[1], port, HurriedClock(), ready=False),
        viewing(port) as viewer,
    ):
        await eventually(lambda: len([each for each in viewer.updates if orjson.loads(each)["seq"] == 2]) >= 3)
        assert links >= 3
        assert viewer.removed == []


async def test_two_share_a_port_and_one_hands_its_clients_over(redis_url: str, client: Client) -> None:
    """An upgrade: the new one is there, the old one says goodbye, and nobody stays behind."""
    bridge_port, port, number = free_port(), free_port(), 24
    settings = {
        "BROADCASTER_PORT": str(port),
        "BROADCASTER_BRIDGE_URL": f"ws://127.0.0.1:{bridge_port}/ws",
        "BROADCASTER_SHARE_PORT": "true",
        "BROADCASTER_CLOSE_SPREAD_SECONDS": "1",
    }
    await put(client, "SPY", state(1, 1))
    async with (
        bridging(redis_url, bridge_port),
        service("broadcaster", settings) as old,
        service("broadcaster", settings) as new,
        AsyncExitStack() as stack,
    ):
        await old.ready()
        await new.ready()
        url = f"ws://127.0.0.1:{port}/ws"
        clients = [await stack.enter_async_context(StateClient.connect(url)) for _ in range(number)]
        for each in clients:
            await each.synced()
        shares = [(await process.get("/status")).json()["clients"] for process in (old, new)]
        assert sum(shares) == number
        assert min(shares) > 0, "the kernel deals them out"
        old.signal(signal.SIGTERM)

        async def turned_away() -> bool:
            try:
                answer = await old.get("/readyz")
            except httpx.TransportError:
                return old.returncode is not None
            return (answer.status_code, answer.text) == (503, "stopping\n")

        await eventually(turned_away)
        await write(client, "SPY", state(1, 2))
        assert await old.ended(8) == 0
        left = [line["code"] for line in old.logs if line["event"] == "client_left"]
        assert left == [1001] * shares[0]
        await write(client, "SPY", state(1, 3))

        def all_hold_it() -> bool:
            return all(each.phase == "connected" and each.states["SPY"].version == (1, 3) for each in clients)

        await eventually(all_hold_it)
        assert (await new.get("/status")).json()["clients"] == number


async def test_a_port_is_shared_only_by_those_who_say_so(redis_url: str) -> None:
    settings = {"BROADCASTER_PORT": str(free_port())}
    async with service("broadcaster", settings) as first:
        await first.logged("listening")
        async with service("broadcaster", {**settings, "BROADCASTER_SHARE_PORT": "true"}) as second:
            assert await second.ended() == 2
            assert "BROADCASTER_PORT" in second.logs[-2]["error"]


async def test_leaving_the_bridge_is_said(redis_url: str) -> None:
    async with service("bridge", {"REDIS_URL": redis_url, "BRIDGE_PORT": "0"}) as bridge:
        await bridge.ready()
        url = f"ws://127.0.0.1:{(await bridge.logged('listening'))['port']}/ws"
        async with service("broadcaster", {"BROADCASTER_PORT": "0", "BROADCASTER_BRIDGE_URL": url}) as broadcaster:
            await broadcaster.ready()
            assert await broadcaster.stop(8) == 0
        left = await bridge.logged("client_left")
        assert left["code"] == 1001
