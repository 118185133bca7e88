"""Both client libraries, StateClient and cottage.js in a browser: servers are killed, hung and replaced."""

import asyncio
import itertools
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import Any, Protocol

import orjson
import pytest
from playwright.async_api import Browser, Page
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from cottage import keys, protocol
from cottage.client.state_client import StateClient
from cottage.clock import iso_millis
from cottage.freshness import Thresholds
from cottage.redis import Client, connect
from cottage.store import MarketFeeds
from cottage.version import Version
from deploy.redis_server import free_port
from tests.common.fanout.wires import heartbeat, snapshot, update
from tests.e2e.browser import chromium
from tests.integration.fanout import beat, bridging, broadcasting, hold, put, state, write
from tests.one_kind import on_one_kind
from tests.support import OwnRedis, ServiceProcess, eventually, reachable, service

pytest_generate_tests = on_one_kind

QUICK = Thresholds(silent=0.4)
"""A server is given up after twice that."""

Held = dict[str, tuple[int, int] | None]


class Subject(Protocol):
    """A client under test, of either kind."""

    async def held(self) -> Held: ...

    async def told(self, name: str) -> Any:
        """One of its fields: phase, skipped, resyncs, missing."""

    async def ask(self, action: str, *symbols: str) -> None: ...

    async def freshness(self, symbol: str) -> str: ...

    async def cause(self, symbol: str) -> str | None: ...

    async def agent_update(self) -> Any:
        """The next one that comes."""

    async def refusal(self) -> tuple[str, list[str]]:
        """The code and the symbols of the next ERROR that has come."""

    async def freshness_after_a_hang(self, symbol: str, seconds: float) -> str:
        """What is said before anything else runs, after nothing ran for so long."""


class PythonSubject:
    def __init__(self, client: StateClient) -> None:
        self._client = client

    async def held(self) -> Held:
        return {symbol: state.version for symbol, state in self._client.states.items()}

    async def told(self, name: str) -> Any:
        value = getattr(self._client, name)
        return sorted(value) if name == "missing" else value

    async def ask(self, action: str, *symbols: str) -> None:
        await getattr(self._client, action)(symbols)

    async def freshness(self, symbol: str) -> str:
        return self._client.freshness(symbol)

    async def cause(self, symbol: str) -> str | None:
        return self._client.cause(symbol)

    async def agent_update(self) -> Any:
        return await anext(self._client.events())

    async def refusal(self) -> tuple[str, list[str]]:
        message = await anext(self._client.events())
        return message["code"], message["symbols"]

    async def freshness_after_a_hang(self, symbol: str, seconds: float) -> str:
        time.sleep(seconds)  # noqa: ASYNC251  # the event loop is to hang
        return self._client.freshness(symbol)


class BrowserSubject:
    def __init__(self, page: Page) -> None:
        self._page = page

    async def held(self) -> Held:
        found = await self._page.evaluate(
            "Object.fromEntries([...client.states].map(([name, { epoch, seq }]) => [name, epoch && [epoch, seq]]))"
        )
        return {symbol: None if version is None else Version(*version) for symbol, version in found.items()}

    async def told(self, name: str) -> Any:
        return await self._page.evaluate(
            "name => name === 'missing' ? [...client.missing].sort() : client[name]", name
        )

    async def ask(self, action: str, *symbols: str) -> None:
        await self._page.evaluate("([action, symbols]) => client[action](symbols)", [action, list(symbols)])

    async def freshness(self, symbol: str) -> str:
        known: str = await self._page.evaluate(
            "symbol => client.states.has(symbol) ? client.freshness(client.states.get(symbol)) : 'missing'", symbol
        )
        return known

    async def cause(self, symbol: str) -> str | None:
        known: str | None = await self._page.evaluate("symbol => client.cause(client.states.get(symbol))", symbol)
        return known

    async def agent_update(self) -> Any:
        return await self._page.evaluate(
            "new Promise(resolve => client.addEventListener('agent', ({ message }) => resolve(message)))"
        )

    async def refusal(self) -> tuple[str, list[str]]:
        code, symbols = await eventually(lambda: self._page.evaluate("refusals.shift()"))
        return code, symbols

    async def freshness_after_a_hang(self, symbol: str, seconds: float) -> str:
        known: str = await self._page.evaluate(
            """([symbol, seconds]) => {
              const end = performance.now() + 1000 * seconds;
              while (performance.now() < end);
              return client.freshness(client.states.get(symbol));
            }""",
            [symbol, seconds],
        )
        return known


Connect = Callable[..., Awaitable[Subject]]


@pytest.fixture(scope="module")
async def launched() -> AsyncIterator[Callable[[], Awaitable[Browser]]]:
    """Gives one browser for all tests here, from the first on that wants it."""
    async with AsyncExitStack() as stack:
        browsers: list[Browser] = []

        async def browser() -> Browser:
            if not browsers:
                browsers.append(await stack.enter_async_context(chromium()))
            return browsers[0]

        yield browser


@pytest.fixture(params=["python", pytest.param("browser", marks=pytest.mark.browser)])
async def connecting(
    request: pytest.FixtureRequest, launched: Callable[[], Awaitable[Browser]]
) -> AsyncIterator[Connect]:
    """`await connecting(port, symbols=…, batch=…)` gives a client, which is closed after the test."""
    async with AsyncExitStack() as stack:

        async def python(port: int, **options: Any) -> Subject:
            return PythonSubject(
                await stack.enter_async_context(
                    StateClient.connect(f"ws://127.0.0.1:{port}/ws", thresholds=QUICK, **options)
                )
            )

        async def browser(port: int, **options: Any) -> Subject:
            context = await stack.enter_async_context(await (await launched()).new_context())
            page = await context.new_page()
            # The module comes from a broadcaster that nobody touches.
            home = free_port()
            await stack.enter_async_context(broadcasting(free_port(), home, ready=False))
            await eventually(lambda: reachable(home))
            await page.goto(f"http://127.0.0.1:{home}/favicon.svg")
            await page.evaluate(
                """async ([url, options]) => {
                  const { Cottage } = await import("/cottage.js");
                  globalThis.client = new Cottage(url, options);
                  globalThis.refusals = [];
                  client.addEventListener("refusal", ({ code, symbols }) => refusals.push([code, symbols]));
                }""",
                [f"ws://127.0.0.1:{port}/ws", options],
            )
            return BrowserSubject(page)

        yield python if request.param == "python" else browser


async def until_held(subject: Subject, **expected: tuple[int, int]) -> None:
    async def same() -> bool:
        return await subject.held() == expected

    try:
        await eventually(same, 20)
    except AssertionError:
        assert await subject.held() == expected, "timed out"


async def until_told(subject: Subject, name: str, expected: Any) -> None:
    async def same() -> bool:
        return bool(await subject.told(name) == expected)

    await eventually(same, 20)


@asynccontextmanager
async def broadcaster(bridge_port: int, port: int) -> AsyncIterator[ServiceProcess]:
    settings = {
        "BROADCASTER_PORT": str(port),
        "BROADCASTER_BRIDGE_URL": f"ws://127.0.0.1:{bridge_port}/ws",
        "BROADCASTER_HEARTBEAT_SECONDS": "0.2",
        "BROADCASTER_CLOSE_SPREAD_SECONDS": "0",
    }
    async with service("broadcaster", settings) as running:
        await running.ready()
        yield running


async def test_what_is_published_is_held_and_what_goes_is_forgotten(
    connecting: Connect, client: Client, redis_url: str
) -> None:
    bridge_port, port = free_port(), free_port()
    for symbol in ("SPY", "QQQ"):
        await put(client, symbol, state(1, 1))
    async with bridging(redis_url, bridge_port), broadcasting(bridge_port, port):
        subject = await connecting(port)
        await until_held(subject, SPY=(1, 1), QQQ=(1, 1))
        assert await subject.told("phase") == "connected"
        await write(client, "SPY", state(1, 2))
        await until_held(subject, SPY=(1, 2), QQQ=(1, 1))
        await client.delete(keys.physics_state("QQQ"))
        await until_held(subject, SPY=(1, 2))


async def test_a_subscription_grows_and_shrinks(connecting: Connect, client: Client, redis_url: str) -> None:
    bridge_port, port = free_port(), free_port()
    for symbol in ("SPY", "QQQ", "IWM"):
        await put(client, symbol, state(1, 1))
    async with bridging(redis_url, bridge_port), broadcasting(bridge_port, port):
        subject = await connecting(port, symbols=["SPY", "NONE"])
        await until_held(subject, SPY=(1, 1))
        await until_told(subject, "missing", ["NONE"])
        await subject.ask("subscribe", "QQQ", "IWM")
        await until_held(subject, SPY=(1, 1), QQQ=(1, 1), IWM=(1, 1))
        await subject.ask("unsubscribe", "SPY")
        await until_held(subject, QQQ=(1, 1), IWM=(1, 1))
        await write(client, "SPY", state(1, 2))
        await write(client, "NONE", state(1, 2))
        await until_held(subject, QQQ=(1, 1), IWM=(1, 1), NONE=(1, 2))
        assert await subject.told("missing") == []
        await subject.ask("subscribe", "*")
        await until_held(subject, SPY=(1, 2), QQQ=(1, 1), IWM=(1, 1), NONE=(1, 2))


async def test_batches_are_understood(connecting: Connect, client: Client, redis_url: str) -> None:
    """A browser gets them compressed."""
    bridge_port, port, names = free_port(), free_port(), [f"S{i}" for i in range(60)]
    await hold(client, 1)
    for name in names:  # tick and symbols are known, so what is published of them is believed
        await put(client, name, state(1, 9 if name == names[0] else 0))
    async with bridging(redis_url, bridge_port), broadcasting(bridge_port, port):
        subject = await connecting(port, batch=100)
        await until_told(subject, "phase", "connected")
        pipeline = client.pipeline()
        for name in names:
            for seq in range(1, 10):
                pipeline.publish(keys.STATE_UPDATE, state(1, seq).update(name))
            pipeline.set(keys.physics_state(name), state(1, 9).to_bytes())
        await pipeline.execute()
        await until_held(subject, **dict.fromkeys(names, (1, 9)))
        assert await subject.told("skipped") > 0


async def test_a_killed_server_is_found_again_with_all_that_was_asked_for(
    connecting: Connect, client: Client, redis_url: str
) -> None:
    bridge_port, port = free_port(), free_port()
    for symbol in ("SPY", "QQQ", "IWM"):
        await put(client, symbol, state(1, 1))
    async with bridging(redis_url, bridge_port):
        async with broadcaster(bridge_port, port) as first:
            subject = await connecting(port, symbols=["SPY"])
            await until_held(subject, SPY=(1, 1))
            await subject.ask("subscribe", "QQQ", "IWM")
            await until_held(subject, SPY=(1, 1), QQQ=(1, 1), IWM=(1, 1))
            await first.kill()
        await until_told(subject, "phase", "reconnecting")
        assert len(await subject.held()) == 3, "what is known stays"
        await subject.ask("unsubscribe", "IWM")
        await write(client, "SPY", state(1, 2))
        await client.delete(keys.physics_state("QQQ"))
        await asyncio.sleep(1)  # two full reads of the bridge, so that it is gone there
        async with broadcaster(bridge_port, port):
            await until_held(subject, SPY=(1, 2))
            await until_told(subject, "phase", "connected")
            assert await subject.told("missing") == ["QQQ"]


async def test_a_hung_server_is_given_up_and_found_again(connecting: Connect, client: Client, redis_url: str) -> None:
    bridge_port, port = free_port(), free_port()
    await put(client, "SPY", state(1, 1))
    async with bridging(redis_url, bridge_port), broadcaster(bridge_port, port) as hung:
        subject = await connecting(port)
        await until_held(subject, SPY=(1, 1))
        hung.signal(signal.SIGSTOP)
        await until_told(subject, "phase", "reconnecting")
        await write(client, "SPY", state(1, 2))
        hung.signal(signal.SIGCONT)
        await until_held(subject, SPY=(1, 2))
        await until_told(subject, "phase", "connected")


async def test_a_server_that_lags_behind_turns_nothing_back(
    connecting: Connect, client: Client, redis_url: str, own_redis: OwnRedis
) -> None:
    """As after a failover to a replica, or with several broadcasters behind one address."""
    bridge_port, lagging_port, port = free_port(), free_port(), free_port()
    for symbol, seq in (("SPY", 5), ("QQQ", 1)):
        await put(client, symbol, state(1, seq))
    async with connect(own_redis.url) as behind:
        await put(behind, "SPY", state(1, 3))
        await put(behind, "QQQ", state(1, 2))
    async with bridging(redis_url, bridge_port), bridging(own_redis.url, lagging_port):
        async with broadcaster(bridge_port, port) as first:
            subject = await connecting(port)
            await until_held(subject, SPY=(1, 5), QQQ=(1, 1))
            await first.kill()
        async with broadcaster(lagging_port, port):
            await until_held(subject, SPY=(1, 5), QQQ=(1, 2))
            async with connect(own_redis.url) as behind:
                await write(behind, "SPY", state(1, 4))
                await write(behind, "QQQ", state(1, 3))
                await until_held(subject, SPY=(1, 5), QQQ=(1, 3))
                await write(behind, "SPY", state(1, 6))
                await until_held(subject, SPY=(1, 6), QQQ=(1, 3))


async def test_freshness_follows_the_upstream(connecting: Connect, client: Client, redis_url: str) -> None:
    bridge_port, port = free_port(), free_port()
    await put(client, "OLD", state(1, 1, timestamp="2025-12-21T12:00:00.000Z"))
    await put(client, "UNDATED", state(1, 1))
    async with bridging(redis_url, bridge_port), broadcasting(bridge_port, port):
        subject = await connecting(port)
        await until_held(subject, OLD=(1, 1), UNDATED=(1, 1))

        async def reads(expected: str) -> bool:
            await beat(client) if expected == "undated" else None
            return await subject.freshness("UNDATED") == expected

        await eventually(lambda: reads("stale"))  # no Feynman has been heard
        await eventually(lambda: reads("undated"))
        assert await subject.freshness("OLD") == "expired"
        await eventually(lambda: reads("stale"))


async def test_what_waited_while_a_client_hung_is_not_live(
    connecting: Connect, client: Client, redis_url: str
) -> None:
    """Its queue is full of heartbeats of a server that is away by then."""
    bridge_port, port = free_port(), free_port()
    async with bridging(redis_url, bridge_port), broadcaster(bridge_port, port) as server:
        subject = await connecting(port)
        seqs = itertools.count(1)

        async def live() -> bool:
            await beat(client)
            await write(client, "SPY", state(1, next(seqs), timestamp=iso_millis(await client.now())))
            return await subject.freshness("SPY") == "live"

        await eventually(live, 20)
        threading.Timer(0.5, os.kill, (server.pid, signal.SIGSTOP)).start()  # while this loop hangs too
        assert await subject.freshness_after_a_hang("SPY", 2.0) == "stale"
        for _ in range(50):
            assert await subject.freshness("SPY") != "live"
            assert await subject.cause("SPY") == "server_down"
            await asyncio.sleep(0.01)
        server.signal(signal.SIGCONT)
        await eventually(live, 20)


async def test_a_quiet_market_is_not_a_dead_feed(connecting: Connect, client: Client, redis_url: str) -> None:
    """The suite's own feed says that it lives: its silence is its end. A foreign one need not."""
    bridge_port, port = free_port(), free_port()
    quick: dict[str, Any] = {"STALE_SECONDS": 0.6, "silence_seconds": 0.3}
    async with bridging(redis_url, bridge_port, **quick), broadcasting(bridge_port, port):
        subject = await connecting(port)
        now = await client.now()
        for symbol, source in (("FED", "simulate"), ("FOREIGN", "myfeed")):
            await write(client, symbol, state(1, 1, timestamp=iso_millis(now), source=source))
        await until_held(subject, FED=(1, 1), FOREIGN=(1, 1))

        async def reads(*expected: str | None) -> bool:
            await beat(client)
            return [await subject.cause(symbol) for symbol in ("FED", "FOREIGN")] == list(expected)

        await eventually(lambda: reads("feed_down", "market_quiet"), 30)
        about = {"source": "simulate", "symbols": ["FED"], "symbol_count": 1}

        async def fed_reads(expected: str | None, seq: int | None) -> bool:
            """While the feed lives, and with new samples where there is a `seq`."""
            await MarketFeeds(client).announce("SIMULATE", about)
            if seq is not None:
                now = iso_millis(await client.now())
                await write(client, "FED", state(1, seq, timestamp=now, source="simulate"))
            return await reads(expected, "market_quiet")

        await eventually(lambda: fed_reads("market_quiet", None), 30)
        assert await subject.freshness("FED") == "stale"
        seqs = itertools.count(2)
        await eventually(lambda: fed_reads(None, next(seqs)), 30)


class Scripted:
    """A server that says what a test tells it to."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests: list[dict[str, Any]] = []
        self.targets: list[str] = []
        self.script: Callable[[ServerConnection], Awaitable[None]] | None = None

    async def handle(self, connection: ServerConnection) -> None:
        self.connections += 1
        assert connection.request is not None
        self.targets.append(connection.request.path)
        assert self.script is not None
        await self.script(connection)


@asynccontextmanager
async def scripted(
    script: Callable[[Scripted, ServerConnection], Awaitable[None]],
) -> AsyncIterator[tuple[Scripted, int]]:
    server, port = Scripted(), free_port()
    server.script = lambda connection: script(server, connection)
    async with serve(server.handle, "127.0.0.1", port, subprotocols=["cottage.v1"]):  # type: ignore[list-item]
        yield server, port


async def requests_of(server: Scripted, connection: ServerConnection) -> AsyncIterator[dict[str, Any]]:
    """The requests that change the subscription, which are acknowledged; pings are answered."""
    async for message in connection:
        request = orjson.loads(message)
        if request["action"] == "ping":  # a busy machine stood still
            await connection.send(protocol.pong(iso_millis(time.time()), request["id"]).decode())
            continue
        server.requests.append(request)
        await connection.send(orjson.dumps({"event": "ACK", **request}).decode())
        yield request


async def test_a_heartbeat_that_proves_a_loss_is_followed_by_asking_again(connecting: Connect) -> None:
    async def hide(server: Scripted, connection: ServerConnection) -> None:
        await connection.send(snapshot(update("SPY", 1, 1)).decode())
        await connection.send(heartbeat(seqs={"SPY": Version(1, 2)}).decode())
        async for request in requests_of(server, connection):
            if request["action"] == "subscribe":
                await connection.send(snapshot(update("SPY", 1, 2)).decode())
        await connection.wait_closed()

    async with scripted(hide) as (server, port):
        subject = await connecting(port, symbols=["SPY"])
        await until_held(subject, SPY=(1, 2))
        assert [(each["action"], each["symbols"]) for each in server.requests[:2]] == [
            ("unsubscribe", ["SPY"]),
            ("subscribe", ["SPY"]),
        ]
        assert await subject.told("resyncs") == 1


async def test_an_agents_update_comes_as_it_was_published(connecting: Connect) -> None:
    published = {
        "event": "AGENT_UPDATE",
        "agent_id": "eve",
        "timestamp": "2025-12-21T12:00:00.000Z",
        "data": {"a": 1},
    }

    async def speak(_server: Scripted, connection: ServerConnection) -> None:
        await connection.send(snapshot().decode())
        while True:
            await connection.send(orjson.dumps(published).decode())
            await asyncio.sleep(0.05)

    async with scripted(speak) as (_, port):
        subject = await connecting(port)
        assert await subject.agent_update() == published


async def test_events_of_a_later_server_are_passed_over(connecting: Connect) -> None:
    async def speak(_server: Scripted, connection: ServerConnection) -> None:
        await connection.send(snapshot().decode())
        for event in ("TOMORROW", "__proto__", "constructor", None):
            await connection.send(orjson.dumps({"event": event, "symbol": "SPY"}).decode())
        await connection.send(update("SPY", 1, 1).decode())
        await connection.wait_closed()

    async with scripted(speak) as (server, port):
        subject = await connecting(port)
        await until_held(subject, SPY=(1, 1))
        assert server.connections == 1


async def test_a_refusal_is_for_good(connecting: Connect) -> None:
    async def refuse(_server: Scripted, connection: ServerConnection) -> None:
        await connection.close(1008, "no")

    async with scripted(refuse) as (server, port):
        subject = await connecting(port)
        await until_told(subject, "phase", "refused")
        await asyncio.sleep(0.5)
        assert server.connections == 1


async def test_a_server_that_accepts_and_closes_is_not_hammered(connecting: Connect) -> None:
    async def close(_server: Scripted, connection: ServerConnection) -> None:
        await connection.close(1013)

    async with scripted(close) as (server, port):
        await connecting(port)
        await eventually(lambda: server.connections >= 3)
        before = server.connections
        await asyncio.sleep(1)
        assert server.connections - before < 15


async def test_a_name_that_only_the_server_refuses_costs_nothing_else(
    connecting: Connect, client: Client, redis_url: str
) -> None:
    """This one takes fewer names than others. A handshake with two is refused, which a browser is not told."""
    bridge_port, port = free_port(), free_port()
    for symbol in ("SPY", "QQQ", "IWM"):
        await put(client, symbol, state(1, 1))
    async with bridging(redis_url, bridge_port), broadcasting(bridge_port, port, max_symbols=1):
        subject = await connecting(port, symbols=["SPY", "QQQ"])
        assert await subject.refusal() == ("too_many_symbols", ["QQQ", "SPY"])
        await until_told(subject, "phase", "connected")
        await subject.ask("subscribe", "SPY")
        await until_held(subject, SPY=(1, 1))
        await subject.ask("subscribe", "QQQ")
        assert await subject.refusal() == ("too_many_symbols", ["QQQ"])
        assert await subject.told("phase") == "connected"
        await write(client, "SPY", state(1, 2))
        await until_held(subject, SPY=(1, 2))
        await subject.ask("unsubscribe", "SPY")
        await subject.ask("subscribe", "QQQ")
        await until_held(subject, QQQ=(1, 1))


async def test_who_subscribes_all_the_time_is_not_refused(
    connecting: Connect, client: Client, redis_url: str
) -> None:
    """As a table does that is scrolled: each call is of another turn."""
    bridge_port, port, names = free_port(), free_port(), [f"S{i:03d}" for i in range(150)]
    for name in names:
        await put(client, name, state(1, 1))
    async with bridging(redis_url, bridge_port), broadcasting(bridge_port, port):
        subject = await connecting(port, symbols=[])
        await until_told(subject, "phase", "connected")
        for name, before in zip(names, [None, *names], strict=False):
            await subject.ask("subscribe", name)
            if before is not None:
                await subject.ask("unsubscribe", before)
        await until_held(subject, **{names[-1]: (1, 1)})
        assert await subject.told("phase") == "connected"


async def test_a_refused_handshake_is_told_in_the_servers_words(connecting: Connect) -> None:
    def refuse(connection: ServerConnection, _request: Request) -> Response:
        response = connection.respond(HTTPStatus.MISDIRECTED_REQUEST, "no such host here\n")
        response.headers["Access-Control-Allow-Origin"] = "*"  # else a page of another origin may not read it
        return response

    async def never(_connection: ServerConnection) -> None:
        pass

    port = free_port()
    async with serve(never, "127.0.0.1", port, process_request=refuse):
        subject = await connecting(port)
        await until_told(subject, "problem", "server rejected WebSocket connection: HTTP 421: no such host here")
        assert await subject.told("phase") == "connecting"


async def test_many_symbols_are_asked_for_in_requests(connecting: Connect) -> None:
    names = [f"S{i}" for i in range(3000)]

    async def serve_names(server: Scripted, connection: ServerConnection) -> None:
        await connection.send(snapshot().decode())
        async for request in requests_of(server, connection):
            await connection.send(snapshot(*(update(name, 1, 1) for name in request["symbols"])).decode())

    async with scripted(serve_names) as (server, port):
        subject = await connecting(port, symbols=names)
        await until_held(subject, **dict.fromkeys(names, (1, 1)))
        assert server.targets[0].endswith("?symbols=")
        assert [len(each["symbols"]) for each in server.requests] == [1800, 1200]
        await until_told(subject, "phase", "connected")


@pytest.mark.parametrize(
    ("options", "asks", "expected"),
    [
        ({"symbols": ["A"]}, [("subscribe", "*")], [("unsubscribe", ["*"]), ("subscribe", ["*"])]),
        (
            {"symbols": ["A"]},
            [("subscribe", "B"), ("unsubscribe", "A")],
            [("unsubscribe", ["A"]), ("subscribe", ["B"])],
        ),
        ({}, [("unsubscribe", "*"), ("subscribe", "B")], [("unsubscribe", ["*"]), ("subscribe", ["B"])]),
    ],
)
async def test_what_changes_while_a_connection_is_made_is_asked_for_on_it(
    connecting: Connect, options: dict[str, Any], asks: list[tuple[str, str]], expected: list[tuple[str, list[str]]]
) -> None:
    knocked, open_ = asyncio.Event(), asyncio.Event()
    handed = {"*": ["A", "B"], "A": ["A"], "B": ["B"]}

    async def wait(_connection: ServerConnection, _request: Request) -> None:
        knocked.set()
        await open_.wait()

    async def script(connection: ServerConnection) -> None:
        await connection.send(snapshot(update("A", 1, 1)).decode())
        async for request in requests_of(server, connection):
            if request["action"] == "subscribe":
                named = handed[request["symbols"][0]]
                await connection.send(snapshot(*(update(name, 1, 1) for name in named)).decode())

    server, port = Scripted(), free_port()
    server.script = script
    async with serve(
        server.handle,
        "127.0.0.1",
        port,
        process_request=wait,
        subprotocols=["cottage.v1"],  # type: ignore[list-item]
    ):
        subject = await connecting(port, **options)
        await knocked.wait()
        for action, symbol in asks:
            await subject.ask(action, symbol)
        open_.set()
        await eventually(lambda: len(server.requests) == 2)
        assert [(each["action"], each["symbols"]) for each in server.requests] == expected
        await until_held(subject, **dict.fromkeys(handed[expected[1][1][0]], (1, 1)))
        await until_told(subject, "phase", "connected")
