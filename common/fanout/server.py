"""The WebSocket server of bridge and broadcaster: accepts a hub's clients, and serves files.

It closes slow consumers, clients that do not answer a keepalive ping in time, and clients that exceed their limits.
"""

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import Any

from prometheus_client import Counter
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, NegotiationError
from websockets.frames import CloseCode
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from common import logs
from common.auth.authentication import Authentication, TokenRefused
from common.auth.presented import in_url
from common.fanout.doorkeeper import Doorkeeper
from common.fanout.frames import CLOSE_SECONDS, PING, UNSENT_BYTES, ClientConnection, no_callback
from common.fanout.handshake_errors import explanation
from common.fanout.hub import Hub
from common.fanout.limits import Admission, Limits, Rejected, bucket
from common.fanout.secured_connection import SecuredConnection
from common.fanout.session import Session
from common.ops import BACKLOG
from common.tls import ServerCertificate
from common.web.access import PREFLIGHT_HEADERS, SECURITY_HEADERS, AccessPolicy, WebRequest
from common.web.names import split_target
from common.web.open_connections import ConnectionLimits, OpenConnections
from common.web.tls_entrance import TlsEntrance
from cottage import protocol
from cottage.cancellation import background
from cottage.clock import Clock
from cottage.grant import Grant
from cottage.log import Throttled
from cottage.protocol import Close, RequestRefused, Subscription

REFUSED = Counter("cottage_fanout_requests_refused_total", "Requests answered with ERROR, by its code.", ["code"])
HANDSHAKES_REFUSED = Counter(
    "cottage_fanout_handshakes_refused_total", "Handshakes that failed, by HTTP status.", ["status"]
)
CLOSED = Counter("cottage_fanout_connections_closed_total", "Connections that ended, by close code.", ["code"])
_COUNTED_CODES = frozenset((*range(1000, 1016), Close.UNAUTHORIZED))  # a client may close with any of 2,000 others

NOT_SENT_BYTES = 16 * 1024
"""How much may wait unsent in the kernel (TCP_NOTSENT_LOWAT). By the time a slow client reads it, it is stale; the
kernel's default is megabytes. Bytes that are on their way are not limited, so that a long line is used in full."""
HANDSHAKES_UNDER_WAY = 1024
"""How many connections beyond the limit may be in their handshake, or wait for their rejection."""
HANDSHAKES_UNDER_WAY_OF_ADDRESS = 256
"""The same of one address beyond its own limit."""
SPREAD_STEP_SECONDS = 0.05
ACCEPTING_ITERATIONS = 5
"""After so many iterations of the event loop each connection that it has accepted is made."""
PROBE_SECONDS = 5.0
"""A client that never subscribed to anything and said goodbye within this is a health check: no news."""

ASK_FOR_TOKEN = {"WWW-Authenticate": 'Bearer realm="cottage", error="invalid_token"'}

_UNREFUSED = frozenset({HTTPStatus.SWITCHING_PROTOCOLS, HTTPStatus.OK, HTTPStatus.NO_CONTENT})


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file that is served as it is."""

    media_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of its own."""
    public: bool = False
    """Whether pages of every origin may import it."""


StaticFiles = Callable[[str], StaticFile | None]
"""Returns the file at a path, or None where there is none."""

log = logs.get_logger()
throttled = Throttled(log)


def no_file(_path: str) -> None:
    """StaticFiles that serve nothing; the bridge uses it."""


class FanoutServer:
    """Serves one hub's clients on one listening socket."""

    def __init__(
        self,
        hub: Hub,
        clock: Clock,
        limits: Limits,
        access: AccessPolicy,
        *,
        heartbeat_seconds: float,
        page: StaticFiles = no_file,
        certificate: ServerCertificate | None = None,
        authentication: Authentication | None = None,
    ) -> None:
        """`certificate`: by which it speaks TLS, and nothing else. `authentication`: judges the tokens of clients;
        None: nobody is asked for one."""
        self._hub = hub
        self._clock = clock
        self._limits = limits
        self._access = access
        self._heartbeat_seconds = heartbeat_seconds
        self._page = page
        self._certificate = certificate
        self._doorkeeper = Doorkeeper(authentication, clock, limits.token_seconds)
        self._connections: set[ClientConnection] = set()
        self.ended = 0
        """How many connections have ended since the start."""
        self._admission = Admission(limits)
        self._open = OpenConnections(
            _limits_from_accept_on(limits, limits.waiting if self._doorkeeper.asks else 0), access.is_proxy
        )
        self._waiting = Admission(
            Limits(connections=limits.waiting, connections_per_address=limits.waiting_per_address)
        )
        """Connections that have yet to show a good token take no place from those that have."""

    @asynccontextmanager
    async def serve(self, sock: socket.socket, spread_seconds: float = 0.0) -> AsyncIterator[None]:
        """Accept clients until the block ends. Then close all with 1001, one after the other over `spread_seconds`,
        and cut off those that do not close their end."""
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOT_SENT_BYTES)
        server = await serve(
            self._client,
            sock=sock,
            backlog=BACKLOG,  # asyncio's default of 100 makes many clients that return at once wait for seconds
            create_connection=self._connection,  # type: ignore[arg-type]  # any factory will do
            process_request=self._process_request,
            process_response=self._process_response,
            select_subprotocol=_select_subprotocol,
            compression=None,  # saves 20 KiB per connection; clients of ?batch= are offered DEFLATE (frames.py)
            max_size=protocol.MAX_REQUEST_BYTES,
            max_queue=16,
            write_limit=(UNSENT_BYTES, UNSENT_BYTES // 4),
            open_timeout=self._limits.handshake_seconds,
            ping_interval=None,  # would be a task and a timer per connection; _sweep pings all of them
            close_timeout=CLOSE_SECONDS,
            server_header=None,
        )
        watching = [] if self._certificate is None else [self._certificate.watch()]
        async with background(self._send_heartbeats(), self._sweep(), *watching):
            try:
                yield
            finally:
                await _stop_accepting(sock)
                await self._close(server, spread_seconds)

    def __len__(self) -> int:
        """The number of open connections, including those in their handshake."""
        return len(self._connections)

    def _connection(self, *arguments: Any, **options: Any) -> ClientConnection | SecuredConnection:
        """The protocol of a connection that was accepted, as `websockets` asks for it."""
        connection = ClientConnection(self, *arguments, **options)
        if self._certificate is None:
            return connection
        return SecuredConnection(self._certificate, self._open, connection)

    def connected(self, connection: ClientConnection) -> None:
        self._connections.add(connection)
        connection.grant = self._limits.grant
        connection.inbound = bucket(connection.grant.bytes_per_second)
        connection.requests = bucket(connection.grant.requests_per_second)
        self._open.accepted(connection, connection.address, partial(connection.cut_off, Close.TRY_AGAIN_LATER))

    def lost(self, connection: ClientConnection) -> None:
        self._connections.discard(connection)
        self._open.gone(connection)
        self.ended += 1
        if connection.waiting:
            self._waiting.left(connection.address)
        elif connection.subscription is not None:
            self._admission.left(connection.address)
        error = connection.protocol.handshake_exc
        if connection.response is None:  # it sent no HTTP request, or none in time, or garbage after it
            HANDSHAKES_REFUSED.labels("none").inc()
            throttled.warning("handshake_failed", "", peer=connection.peer, error=error and explanation(error))

    async def _send_heartbeats(self) -> None:
        while True:
            await self._clock.sleep(self._heartbeat_seconds)
            self._hub.heartbeat()

    async def _sweep(self) -> None:
        limits, loop = self._limits, asyncio.get_running_loop()
        pause = min(1.0, limits.first_byte_seconds / 2, limits.silence_seconds / 2, limits.slow_seconds / 2)
        while True:
            began = loop.time()
            await self._clock.sleep(pause)
            now = loop.time()
            # After this process was busy or suspended no client counts as silent: what it sent is not read yet.
            listened = now - began < 1.5 * pause
            for connection in list(self._connections):
                self._check(connection, now, listened)

    def _check(self, connection: ClientConnection, now: float, listened: bool) -> None:
        """Close a slow consumer; send a silent client a keepalive ping, and close it after the ping timeout; cut off
        a connection that has never sent anything."""
        limits = self._limits
        blocked, silent = connection.blocked_since, now - connection.received_at
        if blocked is not None and now - blocked >= limits.slow_seconds:
            connection.end(Close.TRY_AGAIN_LATER, "too slow for too long")
        elif (
            connection.subscription is not None
            and not connection.waiting
            and (over := self._doorkeeper.over(connection, now))
        ):
            connection.end(Close.UNAUTHORIZED, over)
        elif not listened:
            return
        elif not connection.sent_a_byte:
            if silent >= limits.first_byte_seconds:
                connection.cut_off(Close.POLICY)
        elif silent >= 2 * limits.silence_seconds:
            connection.end(Close.SILENT, "no answer to a ping")
        elif silent >= limits.silence_seconds and not connection.pinged and connection.writable:
            connection.pinged = True
            connection.write(PING)

    def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a plain GET, or refuse a handshake that cannot be granted; None lets it through."""
        assert isinstance(connection, ClientConnection)
        if connection not in self._connections:  # it was lost right behind its request, and may take no place now
            return _plain(HTTPStatus.BAD_REQUEST, "the connection has ended")
        self._open.asked(connection)
        full = self._admission.handshake(connection.loop.time())
        if full is not None:
            return _retry_later(full)
        _authority, target = split_target(request.path)
        found = self._page(target.partition("?")[0])
        web = _web_request(connection, request)
        forwarded = self._access.forwarded(web)
        if forwarded.client != connection.address:
            connection.address = connection.peer = forwarded.client  # of the proxy's connection nobody need know
        forbidden = self._access.refusal(web, forwarded, public=found is not None and found.public)
        if forbidden is not None:
            connection.forbidden = True
            return _plain(forbidden.status, forbidden.message)
        if request.method == "OPTIONS" and request.headers.get_all("Origin"):
            return _preflight(found)
        if in_url(target):
            return _plain(HTTPStatus.BAD_REQUEST, "a token does not belong into a URL, which others write down")
        if target.partition("?")[0] != protocol.PATH:
            return _served(found, request.method)
        turned_away = self._doorkeeper.look_at(connection, request.headers.get_all)
        if turned_away is not None:
            connection.forbidden = True  # the doorkeeper has said it
            return _plain(HTTPStatus.UNAUTHORIZED, str(turned_away), **ASK_FOR_TOKEN)
        try:
            subscription = protocol.parse_target(target, connection.grant)
        except RequestRefused as refused:
            return _plain(HTTPStatus.BAD_REQUEST, refused.message)
        assert subscription is not None  # the path is the one of it
        waiting = connection.first_frame is not None or bool(connection.turned_away)
        full = (self._waiting if waiting else self._admission).connection(connection.address)
        if full is not None:
            return _retry_later(full)
        connection.subscription, connection.waiting = subscription, waiting
        if subscription.batch:
            connection.offer_deflate()
        return None

    def _process_response(self, connection: ServerConnection, request: Request, response: Response) -> None:
        """Count and log every refused handshake, whether `_process_request` or the library refused it. What the
        library has to say is said in our words, since its own quote the client. Pages of listed origins may read each
        of these answers. A HEAD gets no body."""
        assert isinstance(connection, ClientConnection)
        error_of_library = connection.protocol.handshake_exc
        if error_of_library is not None:
            response.body = f"{explanation(error_of_library)}\n".encode()
            del response.headers["Content-Length"]
            response.headers["Content-Length"] = str(len(response.body))
        status = response.status_code
        if connection not in self._connections:  # nobody is answered any more, and `lost` has counted it
            return
        if status != HTTPStatus.SWITCHING_PROTOCOLS:
            for name, value in self._access.cors(_web_request(connection, request)).items():
                response.headers.setdefault(name, value)
        if status not in _UNREFUSED:
            HANDSHAKES_REFUSED.labels(str(status)).inc()
            error = response.body[:200].decode(errors="replace").partition("\n")[0]
            key = f"{connection.address} {status}"
            if not connection.forbidden:  # which the AccessPolicy has logged
                throttled.warning("handshake_refused", key, peer=connection.peer, status=status, error=error)
        if request.method == "HEAD":
            response.body = b""

    async def _client(self, connection: ServerConnection) -> None:
        assert isinstance(connection, ClientConnection)
        assert connection.subscription is not None  # or _process_request had answered
        auth = None
        if connection.waiting:
            auth = await self._let_in(connection)
            if auth is None:
                return
        if self._doorkeeper.asks:
            log.info("client_came", peer=connection.peer, sub=connection.grant.principal)
        subscription = replace(connection.subscription, deflated=connection.inflates)
        too_many = _too_many(subscription, connection.grant)
        if too_many is not None:
            subscription = subscription.nothing()
        session = self._hub.join(connection, subscription, connection.grant, auth)
        if too_many is not None:
            self._refuse(connection, session, too_many)
        elif refused := session.beyond_grant(subscription):
            self._count_refusal(connection, protocol.not_allowed(refused))
        connection.on_blocked = session.blocked
        connection.on_writable = partial(self._hub.drained, session)
        try:
            await self._listen(connection, session)
        except ConnectionClosed:
            pass  # reported below, like every other end
        finally:
            connection.on_blocked = connection.on_writable = no_callback
            self._hub.leave(session)
            self._report(connection, session)

    async def _let_in(self, connection: ClientConnection) -> protocol.Request | None:
        """Have a client show its token by its first message, which is returned; None: it is turned away, and gone."""
        auth = None
        try:
            if connection.turned_away:
                connection.end(Close.UNAUTHORIZED, connection.turned_away)
            else:
                auth = await self._doorkeeper.first_message(connection)
        except TokenRefused as refused:
            connection.end(Close.UNAUTHORIZED, refused.reason)
        except ConnectionClosed:
            pass
        if connection not in self._connections:  # it was lost right behind its token, and may take no place now
            auth = None
        full = None if auth is None else self._admission.connection(connection.address)
        if full is not None:
            connection.end(Close.TRY_AGAIN_LATER, full.why)
        if auth is None or full is not None:
            connection.read_on()  # its close
            await connection.wait_closed()
            _count_end(connection)
            return None
        self._waiting.left(connection.address)
        connection.waiting = False
        connection.loop.call_soon(connection.read_on)  # once its session is made
        return auth

    async def _listen(self, connection: ClientConnection, session: Session) -> None:
        async for message in connection:
            allowed = connection.requests
            if allowed is not None and not allowed.take(1, connection.loop.time()):
                connection.end(Close.POLICY, "asks more often than it may")
                break
            try:
                request = protocol.parse_request(message, connection.grant)
                if request.action == "auth" and self._doorkeeper.asks:
                    self._doorkeeper.renew(connection, request)
                    self._hub.renew(session, request, connection.grant)
                else:
                    self._hub.request(session, request)
            except RequestRefused as refused:
                self._refuse(connection, session, refused)
            if session.flooded:
                connection.end(Close.POLICY, "asks faster than it reads")
                break
            # One request an iteration of the loop: who sends thousands at once waits, not the others.
            await asyncio.sleep(0)
        await connection.wait_closed()

    def _report(self, connection: ClientConnection, session: Session) -> None:
        code = _count_end(connection)
        seconds = connection.loop.time() - connection.made_at
        ended_by_us = code in (Close.TOO_BIG, Close.POLICY, Close.TRY_AGAIN_LATER)
        probed = code == CloseCode.NORMAL_CLOSURE and not session.asked and seconds <= PROBE_SECONDS
        report = log.warning if ended_by_us else log.debug if probed else log.info
        report(
            "client_left",
            peer=connection.peer,
            **({"sub": connection.grant.principal} if self._doorkeeper.asks else {}),
            code=code,
            seconds=round(seconds, 1),
            delivered=session.delivered,
            skipped=session.skipped,
            events_dropped=session.events.dropped,
        )

    def _refuse(self, connection: ClientConnection, session: Session, refused: RequestRefused) -> None:
        self._count_refusal(connection, refused)
        self._hub.refuse(session, refused)

    @staticmethod
    def _count_refusal(connection: ClientConnection, refused: RequestRefused) -> None:
        REFUSED.labels(str(refused.code)).inc()
        key = f"{connection.address} {refused.code}"
        throttled.warning("request_refused", key, peer=connection.peer, code=refused.code, error=refused.message)

    async def _close(self, server: Server, spread_seconds: float) -> None:
        server.close(close_connections=False)
        self._open.cut_off_half_open(TlsEntrance)  # nobody can be told anything before TLS stands
        leaving = list(self._connections)
        steps = max(1, round(spread_seconds / SPREAD_STEP_SECONDS)) if leaving else 1
        for step in range(steps):
            for connection in leaving[step::steps]:
                connection.end(Close.GOING_AWAY, "server is stopping")
            await asyncio.sleep(SPREAD_STEP_SECONDS if step < steps - 1 else 0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await server.wait_closed()
                return
        # Connections still in their handshake, and slow consumers, whose close frame waits behind unread data.
        for connection in list(self._connections):
            connection.cut_off(Close.GOING_AWAY)
        await server.wait_closed()


def _limits_from_accept_on(limits: Limits, waiting: int) -> ConnectionLimits:
    """What holds for all connections, beside what the Admission holds for those that have asked. `waiting`: how many
    more may be open that have yet to show a token."""
    return ConnectionLimits(
        in_all=limits.connections and limits.connections + waiting + HANDSHAKES_UNDER_WAY,
        by_address=limits.connections_per_address
        and limits.connections_per_address + HANDSHAKES_UNDER_WAY_OF_ADDRESS,
    ).within_files()


async def _stop_accepting(sock: socket.socket) -> None:
    """Accept what the kernel has in its queue, and nothing more, and wait until that is among our connections, which
    are closed properly. asyncio would leave open what it accepts in the iteration in which its server is closed."""
    await asyncio.sleep(0)
    with contextlib.suppress(NotImplementedError):  # Windows' event loop has no readers
        asyncio.get_running_loop().remove_reader(sock)
    for _ in range(ACCEPTING_ITERATIONS):
        await asyncio.sleep(0)


def _count_end(connection: ClientConnection) -> int | None:
    """Count how a connection ended. Returns its close code."""
    code = connection.end_code
    CLOSED.labels(str(code) if code in _COUNTED_CODES else "other").inc()
    return code


def _too_many(subscription: Subscription, grant: Grant) -> RequestRefused | None:
    """Why a client may not name so many symbols, which its token says that came after its handshake."""
    try:
        protocol.check_count(subscription.named, grant, None)
    except RequestRefused as refused:
        return refused
    return None


def _select_subprotocol(_connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    if not offered:
        return None
    if protocol.SUBPROTOCOL in offered:
        return Subprotocol(protocol.SUBPROTOCOL)
    raise NegotiationError(f"only {protocol.SUBPROTOCOL} is spoken here")


def _web_request(connection: ClientConnection, request: Request) -> WebRequest:
    headers = request.headers
    return WebRequest(
        target=request.path,
        version=request.protocol.removeprefix("HTTP/"),
        peer=connection.address,
        header=headers.get_all,
        header_bytes=sum(len(name) + len(value) + 4 for name, value in headers.raw_items()),
    )


def _served(found: StaticFile | None, method: str) -> Response:
    """The answer to a request for a file."""
    if found is None:
        return _plain(HTTPStatus.NOT_FOUND, "Not found.")
    if method not in ("GET", "HEAD"):
        return _plain(HTTPStatus.METHOD_NOT_ALLOWED, "Files are read, by GET or HEAD.", Allow="GET, HEAD")
    headers = dict(found.headers)
    if found.public:
        headers |= {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
    return _response(HTTPStatus.OK, found.media_type, found.body, headers)


def _preflight(found: StaticFile | None) -> Response:
    """The answer to a browser that asks whether a page may send a token (Fetch standard, CORS-preflight request)."""
    origin = {"Access-Control-Allow-Origin": "*"} if found is not None and found.public else {}
    headers = {**origin, "Vary": "Origin", **PREFLIGHT_HEADERS, "Connection": "close", **SECURITY_HEADERS}
    return Response(HTTPStatus.NO_CONTENT.value, HTTPStatus.NO_CONTENT.phrase, Headers(headers), b"")


def _retry_later(full: Rejected) -> Response:
    """503 with a random Retry-After, so that many rejected clients do not all return at the same moment."""
    wait = full.retry_after + random.randrange(5)
    return _plain(HTTPStatus.SERVICE_UNAVAILABLE, full.why, **{"Retry-After": str(wait)})


def _plain(status: HTTPStatus, line: str, **headers: str) -> Response:
    return _response(status, "text/plain", f"{line}\n".encode(), headers)


def _response(status: HTTPStatus, media_type: str, body: bytes, headers: Mapping[str, str]) -> Response:
    all_headers = {
        "Content-Type": f"{media_type}; charset=utf-8",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-cache",
        "Connection": "close",
        **SECURITY_HEADERS,
        **headers,
    }
    return Response(status.value, status.phrase, Headers(all_headers), body)
