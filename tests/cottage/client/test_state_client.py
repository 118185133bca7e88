"""StateClient: what its user waits for. What it shares with cottage.js is in tests/integration/test_clients.py."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import orjson
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from common.fanout.frames import text_frame
from cottage import protocol
from cottage.client import state_client as client_module
from cottage.client.replica import Phase, StateReplica
from cottage.client.state_client import ClientClosed, ClientRefused, StateClient
from cottage.errors import InvalidName
from cottage.events import MAX_WAITING
from tests.common.fanout.sockets import accepting
from tests.common.fanout.wires import snapshot, update
from tests.integration.fanout import HurriedClock
from tests.support import eventually, library_events


@asynccontextmanager
async def server(
    script: Callable[[ServerConnection], Awaitable[None]], process_request: object = None
) -> AsyncIterator[str]:
    async with serve(script, "127.0.0.1", 0, process_request=process_request) as running:  # type: ignore[arg-type]
        yield f"ws://127.0.0.1:{next(iter(running.sockets)).getsockname()[1]}/ws"


async def test_changes_are_the_newest_of_each_symbol_however_slow_its_reader() -> None:
    more, sent = asyncio.Event(), asyncio.Event()

    async def script(connection: ServerConnection) -> None:
        await connection.send(snapshot(update("A", 1, 1), update("B", 1, 1)).decode())
        await more.wait()
        for seq in range(2, 50):
            await connection.send(update("A", 1, seq).decode())
        await connection.send(protocol.removed("B").decode())
        await (await connection.ping())
        sent.set()
        await connection.wait_closed()

    async with server(script) as url, StateClient.connect(url) as client, asyncio.timeout(10):
        await client.synced()
        changes = client.changes()
        assert {(await anext(changes))[0] for _ in range(2)} == {"A", "B"}
        more.set()
        await sent.wait()
        symbol, state = await anext(changes)
        assert state is not None
        assert (symbol, state.version) == ("A", (1, 49))
        assert await anext(changes) == ("B", None)
        await changes.aclose()
    assert client.phase is Phase.CLOSED


async def test_events_wait_in_a_bounded_queue_for_a_slow_reader() -> None:
    agent = {"event": "AGENT_UPDATE", "agent_id": "analyst_001", "data": {}}
    said = asyncio.Event()

    async def script(connection: ServerConnection) -> None:
        await connection.send(snapshot().decode())
        await connection.send('{"event":"AGENT_UPDATE","agent_id":7}')
        for number in range(MAX_WAITING + 5):
            await connection.send(orjson.dumps({**agent, "n": number}).decode())
        await (await connection.ping())
        said.set()
        await connection.wait_closed()

    async with server(script) as url, StateClient.connect(url) as client, asyncio.timeout(10):
        await said.wait()
        events = client.events()
        heard = [await anext(events) for _ in range(MAX_WAITING)]
        assert heard == [{**agent, "n": number} for number in range(5, MAX_WAITING + 5)]
        assert client.events_dropped == 5
        await events.aclose()


@pytest.mark.parametrize("waits", [["7"], ["60", " 7 "]])
async def test_a_full_server_is_asked_again_when_it_says(waits: list[str]) -> None:
    clock, answers = HurriedClock(), 0

    async def script(connection: ServerConnection) -> None:
        await connection.send(snapshot().decode())
        await connection.wait_closed()

    def full(connection: ServerConnection, _request: Request) -> Response | None:
        nonlocal answers
        answers += 1
        if answers > 2:
            return None
        response = connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "full\n")
        for wait in waits:
            response.headers["Retry-After"] = wait
        return response

    async with server(script, full) as url, StateClient.connect(url, clock=clock) as client, asyncio.timeout(10):
        await client.synced()
    assert [7 <= seconds <= 8 for seconds in clock.slept] == [True, True]


async def test_a_refusal_is_raised_where_its_user_waits() -> None:
    async def script(connection: ServerConnection) -> None:
        await connection.close(1008, "no")

    async with server(script) as url, StateClient.connect(url) as client, asyncio.timeout(10):
        with pytest.raises(ClientRefused, match="for good"):
            await client.synced()
        with pytest.raises(ClientRefused):
            await anext(client.changes())


async def test_whoever_still_reads_when_it_is_closed_comes_to_an_end() -> None:
    async def script(connection: ServerConnection) -> None:
        await connection.send(snapshot(update("A", 1, 1)).decode())
        await connection.wait_closed()

    async def read(source: AsyncIterator[object]) -> int:
        return len([each async for each in source])

    async with server(script) as url, asyncio.timeout(10):
        async with StateClient.connect(url) as client:
            await client.synced()
            reading = [asyncio.create_task(read(each)) for each in (client.changes(), client.events())]
            await asyncio.sleep(0)
        assert await asyncio.gather(*reading) == [1, 0]
        with pytest.raises(ClientClosed, match="closed"):
            await client.synced()
        await client.subscribe(["B"])


async def test_a_refusal_over_http_is_told_as_long_as_it_lasts() -> None:
    answers = 0

    async def script(connection: ServerConnection) -> None:
        await connection.send(snapshot().decode())
        await connection.wait_closed()

    def refuse(connection: ServerConnection, _request: Request) -> Response | None:
        nonlocal answers
        answers += 1
        return connection.respond(HTTPStatus.FORBIDDEN, "not from here\nmore\n") if answers < 4 else None

    with library_events() as lines:
        async with server(script, refuse) as url, StateClient.connect(url) as client, asyncio.timeout(10):
            assert (
                await eventually(lambda: client.problem)
                == "server rejected WebSocket connection: HTTP 403: not from here"
            )
            await client.synced()
            assert client.problem is None
    assert [line["event"] for line in lines] == ["server_lost"], "once for an outage"


@pytest.mark.parametrize("url", ["http://127.0.0.1/ws", "127.0.0.1:8765/ws", "localhost:8765/ws", "ws://", ""])
async def test_a_url_where_no_websocket_can_be_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="ws://"):
        async with StateClient.connect(url):
            pass


async def test_a_frame_that_no_server_sends_is_dropped() -> None:
    async def script(connection: ServerConnection) -> None:
        for frame in ("{", "7", '{"event":"SNAPSHOT"}', b"\xff", '["x"]'):
            await connection.send(frame)
        await connection.send(snapshot(update("A", 1, 1)).decode())
        await connection.wait_closed()

    async with server(script) as url, StateClient.connect(url) as client, asyncio.timeout(10):
        await client.synced()
        assert set(client.states) == {"A"}


async def test_its_own_failure_is_raised_where_its_user_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise ZeroDivisionError

    async def script(connection: ServerConnection) -> None:
        await connection.send(snapshot().decode())
        await connection.wait_closed()

    monkeypatch.setattr(StateReplica, "take", fail)
    async with server(script) as url, StateClient.connect(url) as client, asyncio.timeout(10):
        with pytest.raises(ZeroDivisionError):
            await client.synced()


async def test_a_bad_symbol_is_refused_before_anything_is_dialled() -> None:
    with pytest.raises(InvalidName, match="spy"):
        async with StateClient.connect("ws://127.0.0.1:1/ws", symbols=["spy"]):
            pass


async def test_it_says_goodbye() -> None:
    ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def script(connection: ServerConnection) -> None:
        await connection.send(snapshot().decode())
        await connection.wait_closed()
        ended.set_result(connection.close_code)

    async with server(script) as url, asyncio.timeout(10):
        async with StateClient.connect(url) as client:
            await client.synced()
        assert await ended == 1000


async def test_a_server_that_takes_nothing_does_not_hold_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "CLOSE_SECONDS", 0.2)

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await accepting(reader))
        writer.write(text_frame(snapshot()))
        await gone.wait()
        writer.transport.abort()

    gone = asyncio.Event()
    listening = await asyncio.start_server(deaf, "127.0.0.1", 0)
    async with listening, asyncio.timeout(10):
        url = f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}/ws"
        async with StateClient.connect(url) as client:
            await client.synced()
        gone.set()
