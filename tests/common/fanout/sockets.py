"""A client that reads from its socket only when asked to, and a loop of either kind to run it on."""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
import uvloop
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri
from websockets.utils import accept_key

from common.fanout import frames, server

NewLoop = Callable[[], asyncio.AbstractEventLoop]
both_loops = pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


def run(new_loop: NewLoop, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """The services run on uvloop; the tests' own loop is asyncio's, and the two differ when connections end."""
    with asyncio.Runner(loop_factory=new_loop, debug=True) as runner:
        runner.run(scenario())


def close_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose client does not close its end is cut off after a moment."""
    monkeypatch.setattr(server, "CLOSE_SECONDS", 0.3)
    monkeypatch.setattr(frames, "CLOSE_SECONDS", 0.3)


async def accepting(reader: asyncio.StreamReader) -> bytes:
    """The answer that lets a client in, for a server that is written by hand."""
    key = re.search(rb"(?i)sec-websocket-key: (\S+)", await reader.readuntil(b"\r\n\r\n"))
    assert key is not None
    head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return f"{head}Sec-WebSocket-Accept: {accept_key(key[1].decode())}\r\n\r\n".encode()


def reset(sock: socket.socket, data: bytes) -> None:
    """Send this, and end the connection by RST right behind it: the server may learn of both at once."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.sendall(data)
    sock.close()


class RawClient:
    """Made by `raw_client`."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._protocol = ClientProtocol(parse_uri("ws://test/"), state=OPEN, max_size=None)

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def send_text(self, text: str) -> None:
        await self.send(Frame(Opcode.TEXT, text.encode()).serialize(mask=True))

    async def read(self, size: int = 64 * 1024) -> bytes:
        """Some bytes; none at the connection's end."""
        try:
            async with asyncio.timeout(10):
                return await asyncio.get_running_loop().sock_recv(self._socket, size)
        except ConnectionError:
            return b""

    async def rest(self) -> bytes:
        """All until the connection ends."""
        received = b""
        while data := await self.read():
            received += data
        return received

    async def handshake(self, target: str) -> None:
        await self.send(
            b"GET %b HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n" % target.encode()
        )
        response = b""
        while not response.endswith(b"\r\n\r\n"):
            response += await self.read(1)
        assert b" 101 " in response

    async def frames(self) -> list[Frame]:
        """The frames of one read; none at the connection's end."""
        while data := await self.read():
            self._protocol.receive_data(data)
            frames = [event for event in self._protocol.events_received() if isinstance(event, Frame)]
            assert self._protocol.parser_exc is None
            if frames:
                return frames
        return []

    async def messages(self) -> list[dict[str, Any]]:
        """The messages of one read. EOFError at the connection's end, which whoever waits for one would never see."""
        frames = await self.frames()
        if not frames:
            raise EOFError("the server has closed the connection")
        return [orjson.loads(frame.data) for frame in frames if frame.opcode is Opcode.TEXT]


@asynccontextmanager
async def raw_client(address: tuple[str, int], target: str | None = "/ws") -> AsyncIterator[RawClient]:
    """Connected, and through the handshake unless `target` is None. Its receive buffer is small."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
        client = RawClient(sock)
        if target is not None:
            await client.handshake(target)
        yield client
