"""What is leant on below the public face of `websockets`: these tests fail when the library moves."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, ProtocolError
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import OPEN, Event, State
from websockets.uri import parse_uri

from common.fanout.frames import (
    MOST_UNSENT_BYTES,
    UNSENT_BYTES,
    ClientConnection,
    LinkConnection,
    deflated_frame,
    text_frame,
)
from common.fanout.limits import bucket
from tests.common.fanout.sockets import NewLoop, accepting, both_loops, raw_client, run

PONG = Frame(Opcode.PONG, b"").serialize(mask=False)


class Watched:
    """A watcher that keeps what it is told."""

    def __init__(self) -> None:
        self.open: list[ClientConnection] = []
        self.gone: list[ClientConnection] = []
        self.news = asyncio.Event()

    def connected(self, connection: ClientConnection) -> None:
        self.open.append(connection)
        self.news.set()

    def lost(self, connection: ClientConnection) -> None:
        self.gone.append(connection)
        self.news.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def server(watched: Watched) -> AsyncIterator[tuple[str, int]]:
    """A server whose connections are ours and stay open; they are handed nothing by themselves."""

    async def stay(connection: ServerConnection) -> None:
        watched.news.set()
        await connection.wait_closed()

    sock = socket.create_server(("127.0.0.1", 0))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
    listening = await serve(
        stay,
        sock=sock,
        create_connection=partial(ClientConnection, watched),  # type: ignore[arg-type]  # any factory will do
        compression=None,
        write_limit=(UNSENT_BYTES, UNSENT_BYTES // 4),
        ping_interval=None,
    )
    try:
        yield sock.getsockname()
    finally:
        for connection in watched.open:
            connection.transport.abort()
        listening.close()
        await listening.wait_closed()


def write_late(connection: ClientConnection) -> None:
    """uvloop says so, asyncio does not."""
    with suppress(RuntimeError):
        connection.write(text_frame(b"late"))


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536, 300_000])
def test_a_ready_frame_is_what_the_librarys_client_reads(length: int) -> None:
    payload = b"x" * length
    protocol = ClientProtocol(parse_uri("ws://test/"), state=OPEN, max_size=None)
    protocol.receive_data(text_frame(payload) + text_frame(b"next"))
    first, second = protocol.events_received()
    assert protocol.parser_exc is None
    for frame, expected in ((first, payload), (second, b"next")):
        assert isinstance(frame, Frame)
        assert (frame.opcode, frame.data, frame.fin) == (Opcode.TEXT, expected, True)
        assert (frame.rsv1, frame.rsv2, frame.rsv3) == (False, False, False)


@pytest.mark.parametrize("length", [0, 1, 500, 70_000, 5_000_000])
def test_a_deflated_frame_is_what_the_librarys_client_reads_again_and_again(length: int) -> None:
    payload = b"0123456789" * (length // 10) + b"x" * (length % 10)
    reads = PerMessageDeflate(
        remote_no_context_takeover=True,
        local_no_context_takeover=True,
        remote_max_window_bits=15,
        local_max_window_bits=15,
    )
    protocol = ClientProtocol(parse_uri("ws://test/"), state=OPEN, max_size=None)
    protocol.extensions = [reads]
    frame = deflated_frame(payload)
    protocol.receive_data(frame + text_frame(b"plain") + frame)
    first, second, third = protocol.events_received()
    assert protocol.parser_exc is None
    for event, expected in ((first, payload), (second, b"plain"), (third, payload)):
        assert isinstance(event, Frame)
        assert (event.opcode, event.data) == (Opcode.TEXT, expected)
    assert length < 500 or len(frame) < length / 2


@both_loops
def test_ready_frames_reach_the_librarys_client(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        watched = Watched()
        async with server(watched) as (host, port), connect(f"ws://{host}:{port}/ws", proxy=None) as client:
            (connection,) = watched.open
            await watched.until(lambda: connection.protocol.state is OPEN)
            assert connection.writable
            connection.write(text_frame("é".encode()) + text_frame(b"{}"))
            assert [await client.recv(), await client.recv()] == ["é", "{}"]
            local = client.local_address
            assert (connection.address, connection.peer) == (local[0], f"{local[0]}:{local[1]}")

    run(new_loop, scenario)


@both_loops
def test_a_connection_says_when_it_takes_no_more_and_when_it_does_again(
    new_loop: NewLoop,
) -> None:
    async def scenario() -> None:
        watched = Watched()
        async with server(watched) as address, raw_client(address) as client:
            (connection,) = watched.open
            resumed = asyncio.Event()
            connection.on_writable = resumed.set
            frame, sent = text_frame(b"x" * 1000), 0
            while connection.writable:
                connection.write(frame)
                sent += len(frame)
                assert connection.transport.get_write_buffer_size() <= UNSENT_BYTES + len(frame)
            assert connection.paused
            assert not resumed.is_set()
            received = 0
            async with asyncio.timeout(10):
                while received < sent:
                    received += len(await client.read())
                await resumed.wait()
            assert connection.writable
            assert connection.transport.get_write_buffer_size() == 0

    run(new_loop, scenario)


@both_loops
def test_a_closing_connection_is_not_writable_and_a_late_write_does_no_harm(
    new_loop: NewLoop,
) -> None:
    async def scenario() -> None:
        watched = Watched()
        async with server(watched) as address, raw_client(address):
            (connection,) = watched.open
            assert connection.writable
            connection.transport.abort()
            assert not connection.writable
            write_late(connection)
            await watched.until(lambda: watched.gone == [connection])
            assert connection.protocol.state is State.CLOSED
            assert not connection.writable
            write_late(connection)

    run(new_loop, scenario)


@both_loops
def test_a_client_that_leaves_ends_its_writability(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        watched = Watched()
        async with server(watched) as (host, port):
            async with connect(f"ws://{host}:{port}/ws", proxy=None):
                (connection,) = watched.open
            await watched.until(lambda: watched.gone)
            assert not connection.writable

    run(new_loop, scenario)


@both_loops
def test_who_pings_without_reading_is_cut_off(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        watched = Watched()
        async with server(watched) as address, raw_client(address) as client:
            (connection,) = watched.open
            ping = Frame(Opcode.PING, b"x" * 125).serialize(mask=True)
            while not watched.gone:
                try:
                    await client.send(ping * 100)
                except ConnectionError:
                    break
                if connection.transport.is_closing():
                    break  # cut off: what had been buffered goes with it
                assert connection.transport.get_write_buffer_size() <= MOST_UNSENT_BYTES
            await watched.until(lambda: watched.gone)
            assert connection.end_code == 1008

    run(new_loop, scenario)


@both_loops
def test_a_flood_of_pings_is_noticed_before_it_is_read(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        watched = Watched()
        async with server(watched) as address, raw_client(address) as client:
            (connection,) = watched.open
            connection.requests = bucket(10)
            read, take = 0, connection.process_event

            def count(event: Event) -> None:
                nonlocal read
                read += 1
                take(event)

            connection.process_event = count  # type: ignore[method-assign]
            with suppress(ConnectionError):
                await client.send(Frame(Opcode.PING, b"").serialize(mask=True) * 50_000)
            await watched.until(lambda: watched.gone)
            assert connection.end_code == 1008
            assert 100 < read < 10_000

    run(new_loop, scenario)


@both_loops
def test_pings_count_as_requests(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        watched = Watched()
        async with server(watched) as address, raw_client(address) as client:
            (connection,) = watched.open
            connection.requests = bucket(1)
            ping = Frame(Opcode.PING, b"").serialize(mask=True)
            await client.send(ping * 10)
            pongs = b""
            while len(pongs) < 10 * len(PONG):
                pongs += await client.read()
            assert (pongs, connection.ended_by_us) == (PONG * 10, None)
            await client.send(ping * 1_000)
            await watched.until(lambda: watched.gone)
            assert connection.end_code == 1008

    run(new_loop, scenario)


@asynccontextmanager
async def link() -> AsyncIterator[tuple[LinkConnection, asyncio.StreamWriter]]:
    """A link whose server's side is written by hand, after its handshake."""
    made: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = await accepting(reader)
        for part in (answer[:20], answer[20:-4], b"\r\n", b"\r\n"):  # it may come in pieces
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)
        made.set_result(writer)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        dialled = connect(
            f"ws://127.0.0.1:{port}/ws",
            create_connection=LinkConnection,
            proxy=None,
            compression=None,
            max_size=200_000,
            ping_interval=None,
            close_timeout=1.0,
        )
        async with asyncio.timeout(10), dialled as connection:
            assert isinstance(connection, LinkConnection)
            yield connection, await made
            made.result().close()


@both_loops
def test_a_link_hands_over_all_messages_of_a_read_at_once(new_loop: NewLoop) -> None:
    payloads = [b"", b"x" * 125, b"y" * 126, b"z" * 65_536, "é".encode(), b"{}"]

    async def scenario() -> None:
        async with link() as (connection, server):
            server.write(b"".join(map(text_frame, payloads)))
            received: list[bytes] = []
            while len(received) < len(payloads):
                received += await connection.messages()
            assert received == payloads
            for each in b"".join(map(text_frame, payloads[:3])):  # one byte a read
                server.write(bytes([each]))
                await server.drain()
                await asyncio.sleep(0)
            received = []
            while len(received) < 3:
                received += await connection.messages()
            assert received == payloads[:3]

    run(new_loop, scenario)


@both_loops
def test_a_link_leaves_pings_and_closes_to_the_library(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        async with link() as (connection, server):
            ping = Frame(Opcode.PING, b"7").serialize(mask=False)
            close = Frame(Opcode.CLOSE, Close(1001, "bye").serialize()).serialize(mask=False)
            server.write(text_frame(b"1") + ping + text_frame(b"2") + close)
            assert await connection.messages() == [b"1", b"2"]
            with pytest.raises(ConnectionClosed) as caught:
                await connection.messages()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1001

    run(new_loop, scenario)


@both_loops
@pytest.mark.parametrize(
    "odd",
    [
        Frame(Opcode.TEXT, b"half", fin=False).serialize(mask=False),
        Frame(Opcode.TEXT, b"{}").serialize(mask=True),
        Frame(Opcode.TEXT, b"x" * 200_001).serialize(mask=False)[:1000],
        b"\xc1\x00",
        b"\x83\x00",
    ],
    ids=["fragmented", "masked", "too-big", "compressed", "unknown-opcode"],
)
def test_a_link_ends_at_what_no_gateway_sends(new_loop: NewLoop, odd: bytes) -> None:
    async def scenario() -> None:
        async with link() as (connection, server):
            server.write(text_frame(b"1") + odd)
            assert await connection.messages() == [b"1"]
            with pytest.raises((ProtocolError, ConnectionClosed)):
                await connection.messages()

    run(new_loop, scenario)


@both_loops
def test_a_link_posts_a_message_at_once_and_nothing_after_its_end(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        async with link() as (connection, _):
            connection.post(b'{"action":"ping"}')
            assert connection.transport.get_write_buffer_size() == 0
            connection.transport.abort()
            connection.post(b'{"action":"ping"}')
            with pytest.raises(ConnectionClosed):
                await connection.messages()

    run(new_loop, scenario)
