"""What a client sends byte by byte, good or bad, and what comes back: for tests of HTTP and WebSocket ports."""

import asyncio
import contextlib
import logging
import os
import re
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

KEY = "MDEyMzQ1Njc4OWFiY2RlZg=="


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; status 0: none came before the end of the connection."""

    status: int
    headers: dict[str, str]
    """By their names in lower case."""
    body: bytes


def request(
    target: str = "/", *lines: str, method: str = "GET", version: str = "1.1", host: str | None = "localhost"
) -> bytes:
    """A request for one answer."""
    hosts = [] if host is None else [f"Host: {host}"]
    return "\r\n".join([f"{method} {target} HTTP/{version}", *hosts, "Connection: close", *lines, "", ""]).encode(
        "latin-1"
    )


def handshake(
    target: str = "/ws", *lines: str, without: str = "", host: str | None = "localhost", method: str = "GET"
) -> bytes:
    """A WebSocket handshake; `without` names a header that is left out."""
    usual = {
        "Host": host,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }
    given = [f"{name}: {value}" for name, value in usual.items() if name != without and value is not None]
    return "\r\n".join([f"{method} {target} HTTP/1.1", *given, *lines, "", ""]).encode("latin-1")


async def ask(port: int, data: bytes, *, and_end: bool = False) -> Answer:
    """Send this, also the end of our side, and read until the end of the answer, or of the headers of a WebSocket."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head, body = b"", b""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        async with asyncio.timeout(10):
            writer.write(data)
            if and_end:
                writer.write_eof()
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            if length and not data.startswith(b"HEAD"):
                body = await reader.readexactly(int(length[1]))  # a proxy keeps the connection open after it
            elif b" 101 " not in head:
                body = await reader.read()
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines if line)
    return Answer(int(first.split()[1]) if head else 0, headers, body)


async def garbage(port: int, times: int) -> None:
    """So many connections of each kind that no HTTP client makes."""
    kinds = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500),  # TLS
        os.urandom(300) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: loc",
        b"",
        b"\x00\x00\x00\x85\xffSMBr\x00\x00\x00\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + os.urandom(100),
        handshake("/healthz"),
        handshake("/healthz", without="Host"),
    ]
    for _ in range(times):
        for data in kinds:
            for reset in (False, True):
                _reader, writer = await asyncio.open_connection("127.0.0.1", port)
                sock = writer.get_extra_info("socket")
                if reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.write(data)
                await asyncio.sleep(0)
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()


def complaints(records: Sequence[logging.LogRecord]) -> list[str]:
    """What the libraries logged; asyncio's debug mode also says which steps a busy machine was slow in."""
    return [record.getMessage() for record in records if "Executing %s took" not in record.msg]
