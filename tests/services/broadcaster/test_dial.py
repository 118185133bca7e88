"""How a server is dialled."""

import asyncio

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidStatus

from cottage.client.dial import dial, why
from tests.common.fanout.test_server import serving


async def test_it_speaks_our_protocol_uncompressed_and_past_any_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("ws_proxy", "http://127.0.0.1:1")

    async def greet(connection: ServerConnection) -> None:
        await connection.send("hello")
        await connection.wait_closed()

    async with serve(greet, "127.0.0.1", 0, subprotocols=["cottage.v1"]) as server:  # type: ignore[list-item]
        port = next(iter(server.sockets)).getsockname()[1]
        async with asyncio.timeout(10), dial(f"ws://127.0.0.1:{port}/ws", max_size=100) as connection:
            assert connection.subprotocol == "cottage.v1"
            assert connection.protocol.extensions == []
            assert connection.protocol.max_message_size == 100
            assert await connection.recv() == "hello"


async def test_why_a_server_refuses_is_in_its_words() -> None:
    async with serving() as served:
        with pytest.raises(InvalidStatus) as refused:
            await dial("ws://bridge.example/ws", host="127.0.0.1", port=served.address[1])
    assert why(refused.value) == (
        "server rejected WebSocket connection: HTTP 421: "
        "no name of this service: if it is one, add it to ALLOWED_HOSTS"
    )
    assert why(OSError("gone")) == "gone"
    assert why(TimeoutError()) == "TimeoutError"
