"""Hands connections on to the server under test, over TLS or plain: load.c speaks no TLS.

python -m tests.bench.fanout.relay PORT CA_FILE — `plain` instead of a file: without TLS, for the comparison.

It prints the port that it listens on. What one side does not take is not read from the other, and the kernel's
buffers towards the server are small, so that a client that stops reading is felt at the server.
"""

import asyncio
import socket
import ssl
import sys
from typing import cast

import uvloop

KERNEL_BYTES = 16 * 1024
"""What the kernel may keep of what the server has sent."""


class End(asyncio.Protocol):
    """One end of a connection; `to` is the other."""

    def __init__(self, to: "End | None" = None) -> None:
        self.to = to
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self.transport.set_write_buffer_limits(high=KERNEL_BYTES)

    def data_received(self, data: bytes) -> None:
        if self.to is not None and self.to.transport is not None:
            self.to.transport.write(data)

    def pause_writing(self) -> None:
        if self.to is not None and self.to.transport is not None:
            self.to.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.to is not None and self.to.transport is not None:
            self.to.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        if self.to is not None and self.to.transport is not None:
            self.to.transport.abort()


class Accepted(End):
    """Of a client: what it says waits until there is a server."""

    def __init__(self, port: int, context: ssl.SSLContext | None) -> None:
        super().__init__()
        self._port = port
        self._context = context
        self._dialling: asyncio.Task[None] | None = None
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._dialling = asyncio.get_running_loop().create_task(self._dial())

    def data_received(self, data: bytes) -> None:
        if self.to is None:
            self._early += data
        else:
            super().data_received(data)

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        assert self.transport is not None
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
        try:
            await loop.sock_connect(sock, ("127.0.0.1", self._port))
            name = "localhost" if self._context else None
            transport, self.to = await loop.create_connection(
                lambda: End(self), sock=sock, ssl=self._context, server_hostname=name
            )
            transport.write(self._early)
        except OSError as error:
            print(f"relay: {error}", file=sys.stderr)
            self.transport.abort()


async def main(port: int, trusted: str) -> None:
    context = None if trusted == "plain" else ssl.create_default_context(cafile=trusted)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Accepted(port, context), "127.0.0.1", 0, backlog=1024)
    print(f"listening {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
