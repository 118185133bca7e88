"""The sockets: accepts WebSocket clients, feeds them from a hub, and answers plain GETs with pages."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus

from prometheus_client import Counter
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, NegotiationError
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from common import logs
from common.clock import Clock
from common.fanout import protocol
from common.fanout.frames import CLOSE_SECONDS, UNSENT_BYTES, ClientConnection
from common.fanout.hub import Hub
from common.fanout.protocol import Close, Refused
from common.fanout.session import Session

REFUSED = Counter("cottage_fanout_refused_total", "Requests answered with ERROR", ["code"])
HANDSHAKES_REFUSED = Counter(
    "cottage_fanout_handshakes_refused_total", "Handshakes that failed, by HTTP status", ["status"]
)
CLOSED = Counter("cottage_fanout_closed_total", "Connections that ended, by close code", ["code"])
_COUNTED_CODES = frozenset(range(1000, 1016))  # a client may close with any of 2,000 others

SEND_BUFFER_BYTES = 64 * 1024
"""What waits in the kernel for a slow client is stale when it reads on; the default holds megabytes."""

Page = Callable[[str], tuple[str, bytes] | None]
"""(media type, body) of a path, or None where there is no such page."""

log = logs.get_logger()
throttled = logs.Throttled(log)


def no_page(_path: str) -> None:
    """A gateway without pages."""


class Gateway:
    """Serves one hub's clients on one listening socket."""

    def __init__(self, hub: Hub, clock: Clock, *, heartbeat_seconds: float, page: Page = no_page) -> None:
        self._hub = hub
        self._clock = clock
        self._heartbeat_seconds = heartbeat_seconds
        self._page = page
        self._connections: set[ClientConnection] = set()

    @asynccontextmanager
    async def serve(self, sock: socket.socket) -> AsyncIterator[None]:
        """Accept clients until the block ends; then close all with 1001, and cut off who does not follow."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        server = await serve(
            self._client,
            sock=sock,
            create_connection=partial(ClientConnection, self),  # type: ignore[arg-type]  # any factory will do
            process_request=self._process_request,
            process_response=self._process_response,
            select_subprotocol=_select_subprotocol,
            compression=None,  # 20 KiB less a connection, and a frame built once stays as it is
            max_size=protocol.MAX_REQUEST_BYTES,
            max_queue=16,
            write_limit=(UNSENT_BYTES, UNSENT_BYTES // 4),
            close_timeout=CLOSE_SECONDS,
            server_header=None,
        )
        async with asyncio.TaskGroup() as group:
            heartbeats = group.create_task(self._beat(), name="heartbeats")
            try:
                yield
            finally:
                heartbeats.cancel()
                await self._close(server)

    def connected(self, connection: ClientConnection) -> None:
        self._connections.add(connection)

    def lost(self, connection: ClientConnection) -> None:
        self._connections.discard(connection)
        if connection.request is None:  # it sent no HTTP request, or none in time
            error = connection.protocol.handshake_exc
            HANDSHAKES_REFUSED.labels("none").inc()
            throttled.warning("handshake_failed", connection.address, peer=connection.peer, error=str(error)[:200])

    async def _beat(self) -> None:
        while True:
            await self._clock.sleep(self._heartbeat_seconds)
            self._hub.heartbeat()

    def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a plain GET, or refuse a handshake that asks for what there is not; None lets it through."""
        try:
            wanted = protocol.parse_target(request.path)
        except Refused as refused:
            return _response(HTTPStatus.BAD_REQUEST, "text/plain", f"{refused.message}\n".encode())
        if wanted is None:
            found = self._page(request.path.partition("?")[0])
            if found is None:
                return _response(HTTPStatus.NOT_FOUND, "text/plain", b"Not found.\n")
            return _response(HTTPStatus.OK, *found)
        return None

    def _process_response(self, connection: ServerConnection, _request: Request, response: Response) -> None:
        """Count and log what was refused, by whomever."""
        assert isinstance(connection, ClientConnection)
        status = response.status_code
        if status not in (HTTPStatus.SWITCHING_PROTOCOLS, HTTPStatus.OK):
            HANDSHAKES_REFUSED.labels(str(status)).inc()
            error = response.body[:200].decode(errors="replace").partition("\n")[0]
            key = f"{connection.address} {status}"
            throttled.warning("handshake_refused", key, peer=connection.peer, status=status, error=error)

    async def _client(self, connection: ServerConnection) -> None:
        assert isinstance(connection, ClientConnection)
        assert connection.request is not None
        wanted = protocol.parse_target(connection.request.path)
        assert wanted is not None  # or _process_request had answered
        started = self._clock.monotonic()
        session = self._hub.join(connection, wanted)
        connection.on_writable = lambda: self._hub.drained(session)
        try:
            async for message in connection:
                try:
                    self._hub.request(session, protocol.parse_request(message))
                except Refused as refused:
                    self._refuse(connection, session, refused)
                if session.flooded:
                    await _end(connection, Close.POLICY, "asks faster than it reads")
                    break
                await asyncio.sleep(0)  # one request a turn: who sends thousands at once waits, not the others
        except ConnectionClosed:
            pass  # reported below, like every other end
        finally:
            connection.on_writable = None
            self._hub.leave(session)
            code = Close.POLICY if connection.overrun else connection.end_code
            CLOSED.labels(str(code) if code in _COUNTED_CODES else "other").inc()
            report = log.warning if code in (Close.TOO_BIG, Close.POLICY) else log.info
            report(
                "client_left",
                peer=connection.peer,
                code=code,
                seconds=round(self._clock.monotonic() - started, 1),
                delivered=session.delivered,
                skipped=session.skipped,
                agent_drops=session.agent_drops,
            )

    def _refuse(self, connection: ClientConnection, session: Session, refused: Refused) -> None:
        REFUSED.labels(str(refused.code)).inc()
        key = f"{connection.address} {refused.code}"
        throttled.warning("request_refused", key, peer=connection.peer, code=refused.code, error=refused.message)
        self._hub.refuse(session, refused)

    async def _close(self, server: Server) -> None:
        server.close(code=Close.GOING_AWAY, reason="server is stopping")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await server.wait_closed()
                return
        # The library waits for a client that does not read, which keeps the close frame from going out,
        # and for one that has not finished its handshake.
        for connection in list(self._connections):
            connection.transport.abort()
        await server.wait_closed()


def _select_subprotocol(_connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    if not offered:
        return None
    if protocol.SUBPROTOCOL in offered:
        return Subprotocol(protocol.SUBPROTOCOL)
    raise NegotiationError(f"only {protocol.SUBPROTOCOL} is spoken here")


def _response(status: HTTPStatus, media_type: str, body: bytes) -> Response:
    headers = Headers(
        [
            ("Content-Type", f"{media_type}; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-cache"),
            ("X-Content-Type-Options", "nosniff"),
            ("Connection", "close"),
        ]
    )
    return Response(status.value, status.phrase, headers, body)


async def _end(connection: ServerConnection, code: Close, reason: str) -> None:
    """Close one connection within CLOSE_SECONDS, whatever its client does."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await connection.close(code, reason)
    except TimeoutError:
        connection.transport.abort()
