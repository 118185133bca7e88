"""Connections before and within their TLS handshake, on both loops: counted, limited, timed, in nobody's way."""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog
from structlog.typing import EventDict
from websockets.asyncio.client import ClientConnection, connect

from common.fanout import frames, server
from common.tls import ServerCertificate
from common.web import access, tls_entrance
from cottage.log import Throttled
from tests.certificates import Authority, Pair
from tests.common.fanout.sockets import NewLoop, both_loops, close_soon, run
from tests.common.fanout.test_server import Served, serving
from tests.common.web.raw_http import complaints, request
from tests.support import eventually

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100)
"""The beginning of a TLS handshake."""


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EventDict]]:
    for module in (server, access, tls_entrance):
        monkeypatch.setattr(module, "throttled", Throttled(module.log, seconds=600.0))
    close_soon(monkeypatch)
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def certificate(authority: Authority) -> ServerCertificate:
    pair = authority.issue()
    return ServerCertificate(pair.certificate, pair.key)


def greeted(served: Served, authority: Authority, target: str = "/ws") -> connect:
    url = served.url(target).replace("ws://", "wss://")
    return connect(url, proxy=None, compression=None, max_size=None, ssl=authority.client_context())


async def hears(client: ClientConnection, what: bytes) -> None:
    """Wait for a message with this in it."""
    async with asyncio.timeout(10):
        while what not in await client.recv(decode=False):
            pass


async def gets(served: Served, authority: Authority) -> bytes:
    """The answer to a GET over TLS."""
    reader, writer = await asyncio.open_connection(*served.address, ssl=authority.client_context())
    writer.write(request("/"))
    answer = await reader.read()
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return answer


@asynccontextmanager
async def sockets(served: Served, number: int, say: bytes = b"") -> AsyncIterator[list[socket.socket]]:
    """Connections that say this and nothing more."""
    made: list[socket.socket] = []
    loop = asyncio.get_running_loop()
    try:
        for _ in range(number):
            made.append(sock := socket.socket())
            sock.setblocking(False)
            await loop.sock_connect(sock, served.address)
            if say:
                await loop.sock_sendall(sock, say)
        yield made
    finally:
        for sock in made:
            sock.close()


def certificate_is_half_written(pair: Pair) -> None:
    Path(pair.key).write_text("half")


async def ended(sock: socket.socket) -> bool:
    """Whether the server has ended the connection."""
    try:
        while True:
            if not sock.recv(4096):
                return True
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


async def all_ended(made: list[socket.socket]) -> bool:
    return all([await ended(sock) for sock in made])


@both_loops
def test_page_and_stream_over_tls(
    new_loop: NewLoop, authority: Authority, certificate: ServerCertificate, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with serving(certificate=certificate) as served:
            assert b"200 OK" in await gets(served, authority)
            async with greeted(served, authority) as client:
                await hears(client, b"SNAPSHOT")
                await hears(client, served.publish("SPY", 1))
                await client.send('{"action":"unsubscribe","symbols":["*"]}')
                await hears(client, b"ACK")
            await eventually(lambda: len(served.server._open) == 0)

    run(new_loop, scenario)
    assert complaints(caplog.records) == []


@both_loops
def test_where_no_more_files_can_be_open_a_connection_ends_and_is_counted(
    monkeypatch: pytest.MonkeyPatch,
    new_loop: NewLoop,
    authority: Authority,
    certificate: ServerCertificate,
    said: list[EventDict],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def no_more(*_arguments: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    async def scenario() -> None:
        failed = tls_entrance.REFUSED._value.get()
        async with serving(certificate=certificate) as served:
            with monkeypatch.context() as patched:
                patched.setattr(socket, "fromfd", no_more)
                async with sockets(served, 3) as made:
                    await eventually(lambda: all_ended(made))
            assert tls_entrance.REFUSED._value.get() - failed == 3
            assert len(served.server._open) == 0
            assert b"200 OK" in await gets(served, authority)

    run(new_loop, scenario)
    (line,) = [line for line in said if line["event"] == "tls_handshake_failed"]
    assert line["error"] == "Too many open files"
    assert complaints(caplog.records) == []


@both_loops
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_versions_of_tls(
    new_loop: NewLoop, authority: Authority, certificate: ServerCertificate, version: ssl.TLSVersion
) -> None:
    async def scenario() -> None:
        context = authority.client_context()
        context.minimum_version = context.maximum_version = version
        async with serving(certificate=certificate) as served:
            url = served.url().replace("ws://", "wss://")
            async with connect(url, proxy=None, ssl=context) as client:
                await hears(client, b"SNAPSHOT")

    run(new_loop, scenario)


@both_loops
@pytest.mark.parametrize(
    "say",
    [b"", HELLO, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x00" * 500, b"\x16\x03\x01\xff\xff" + b"a" * 9],
)
def test_no_tls_is_refused_within_the_handshakes_time(
    monkeypatch: pytest.MonkeyPatch,
    new_loop: NewLoop,
    authority: Authority,
    certificate: ServerCertificate,
    said: list[EventDict],
    caplog: pytest.LogCaptureFixture,
    say: bytes,
) -> None:
    monkeypatch.setattr(tls_entrance, "HANDSHAKE_SECONDS", 0.5)

    async def scenario() -> None:
        failed = tls_entrance.REFUSED._value.get()
        async with serving(certificate=certificate) as served:
            async with sockets(served, 5, say) as made:
                async with greeted(served, authority) as client:
                    await hears(client, b"SNAPSHOT")
                await eventually(lambda: all_ended(made))
            await eventually(lambda: len(served.server._open) == 0)
            assert tls_entrance.REFUSED._value.get() - failed == 5

    run(new_loop, scenario)
    assert len([line for line in said if line["event"] == "tls_handshake_failed"]) == 1, "it is said once"
    assert complaints(caplog.records) == []


@both_loops
def test_after_its_handshake_a_client_has_the_time_of_its_first_byte(
    new_loop: NewLoop, authority: Authority, certificate: ServerCertificate
) -> None:
    async def scenario() -> None:
        async with serving(certificate=certificate, first_byte_seconds=0.5) as served:
            _, writer = await asyncio.open_connection(*served.address, ssl=authority.client_context())
            await eventually(lambda: len(served.server) == 1)
            await eventually(lambda: len(served.server) == 0)
            writer.transport.abort()

    run(new_loop, scenario)


@both_loops
@pytest.mark.parametrize("say", [b"", HELLO])
def test_a_flood_displaces_itself_alone(
    new_loop: NewLoop,
    authority: Authority,
    certificate: ServerCertificate,
    say: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "HANDSHAKES_UNDER_WAY_OF_ADDRESS", 10)

    async def scenario() -> None:
        async with (
            serving(certificate=certificate, connections_per_address=2) as served,
            greeted(served, authority) as first,
            sockets(served, 50, say) as made,
        ):
            await hears(first, b"SNAPSHOT")
            async with greeted(served, authority) as second:
                await hears(second, b"SNAPSHOT")
                sent = served.publish("SPY", 1)
                await hears(first, sent)
                await hears(second, sent)
            await eventually(lambda: len(served.server._open) <= 12)
            assert not await all_ended(made[-5:]), "the newest still have their time"

    run(new_loop, scenario)


@both_loops
def test_a_new_pair_is_for_new_clients_and_drops_nobody(
    new_loop: NewLoop, authority: Authority, certificate: ServerCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.tls.LOOK_SECONDS", 0.05)

    def shown(client: ClientConnection) -> bytes:
        found: bytes = client.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return found

    async def scenario() -> None:
        async with serving(certificate=certificate) as served, greeted(served, authority) as old:
            first = shown(old)
            before = certificate.context
            pair = authority.issue()
            await eventually(lambda: certificate.context is not before)
            async with greeted(served, authority) as new:
                assert shown(new) != first
                certificate_is_half_written(pair)
                await asyncio.sleep(0.2)
                async with greeted(served, authority) as newest:
                    assert shown(newest) == shown(new)
                    await hears(old, served.publish("SPY", 1))

    run(new_loop, scenario)


@both_loops
def test_a_server_that_stops_ends_handshakes_at_once_and_clients_properly(
    new_loop: NewLoop, authority: Authority, certificate: ServerCertificate
) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(20):
            async with serving(certificate=certificate) as served:
                client = await greeted(served, authority)
                stack = contextlib.AsyncExitStack()
                made = await stack.enter_async_context(sockets(served, 5, HELLO))
                await eventually(lambda: len(served.server._open) == 6)
            await eventually(lambda: all_ended(made))
            await client.wait_closed()
            assert client.close_code == 1001
            await stack.aclose()

    run(new_loop, scenario)


@both_loops
@pytest.mark.parametrize("say", ["nothing", "hello"])
@pytest.mark.parametrize("number", [300, pytest.param(5000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("over", ["tcp", "tls"])
def test_half_open_connections(
    new_loop: NewLoop, authority: Authority, certificate: ServerCertificate, number: int, over: str, say: str
) -> None:
    """Others are served meanwhile, and all are gone after their time."""
    words = b"" if say == "nothing" else HELLO if over == "tls" else b"GET /ws HTTP/1.1\r\nHost: loc"

    async def one(served: Served) -> None:
        async with served.connect() if over == "tcp" else greeted(served, authority) as client:
            await hears(client, b"SNAPSHOT")

    async def scenario() -> None:
        asyncio.get_running_loop().set_debug(False)
        async with serving(
            certificate=certificate if over == "tls" else None, connections=20_000, connections_per_address=1_000
        ) as served:
            await one(served)
            async with sockets(served, number, words) as made:
                await one(served)
                assert len(served.server._open) <= 1_256 + 1
                await eventually(lambda: len(served.server._open) == 0, 30.0)
                await eventually(lambda: all_ended(made), 30.0)
                await one(served)

    run(new_loop, scenario)


@both_loops
@pytest.mark.parametrize("over", ["tcp", "tls"])
def test_a_slow_client_costs_the_same_bound_over_tls(
    new_loop: NewLoop, authority: Authority, certificate: ServerCertificate, over: str
) -> None:
    """What waits for a client that reads nothing is in our buffer and in that of TLS."""
    rounds, pad = 500, "x" * 400  # 1 MB, of which a slow client may hold 256 KiB

    async def scenario() -> None:
        async with (
            serving(certificate=certificate if over == "tls" else None, slow_seconds=600.0) as served,
            stalled_client(served, authority if over == "tls" else None) as release,
        ):
            await eventually(lambda: len(served.hub) == 1)
            (connection,) = served.server._connections
            most = 0
            for seq in range(1, rounds + 1):
                served.publish("SPY", seq, pad=pad)
                for other in range(4):
                    served.publish(f"S{other}", seq, pad=pad)
                await asyncio.sleep(0)
                most = max(most, connection.transport.get_write_buffer_size())
            limit = frames.MOST_UNSENT_BYTES // (2 if over == "tls" else 1)
            assert 0 < most <= limit, "over TLS the half: what TLS has taken and the socket has not is as much again"
            assert await release() == rounds, "when it reads on, it gets the newest"

    run(new_loop, scenario)


@asynccontextmanager
async def stalled_client(served: Served, authority: Authority | None) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """A client that reads nothing until it is released: then it tells the newest version of SPY that it gets."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, served.address)
    url = served.url().replace("ws://", "wss://") if authority else served.url()
    secured: dict[str, Any] = {}
    if authority:
        secured = {"ssl": authority.client_context(), "server_hostname": "localhost"}
    async with connect(
        url, proxy=None, compression=None, max_size=None, ping_interval=None, sock=sock, **secured
    ) as client:
        await hears(client, b"SNAPSHOT")
        client.transport.pause_reading()

        async def release() -> int:
            client.transport.resume_reading()
            newest = 0
            async with asyncio.timeout(20):
                while newest < 500:
                    message = orjson.loads(await client.recv())
                    if message.get("symbol") == "SPY":
                        newest = message["seq"]
            return newest

        yield release
