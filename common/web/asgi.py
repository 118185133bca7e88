"""Serves an ASGI application with uvicorn, behind the check of every port: the ops ports and the physics API.

HEAD is answered as GET without a body. What is no HTTP is refused, counted, and logged once with a count.
"""

import asyncio
import contextlib
import re
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import h11
import orjson
import uvicorn
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from common.tls import ServerCertificate
from common.web.access import (
    MAX_HEADER_BYTES,
    MAX_TARGET_BYTES,
    SECURITY_HEADERS,
    AccessPolicy,
    AccessRefusal,
    WebRequest,
    unreadable,
)
from common.web.names import split_target
from common.web.open_connections import ConnectionLimits, OpenConnections
from common.web.tls_entrance import TlsEntrance
from cottage.cancellation import background

PROBLEM = "application/problem+json"
"""The media type of errors (RFC 9457)."""
MOST_CONNECTIONS = 4096
"""How many connections a port has at once; then one that waits is cut off for each new one."""
REQUEST_SECONDS = 10.0
"""A connection is closed if no whole request has come by then: since it was made, or since the request began."""
LINGER_SECONDS = 1.0
"""How long a refused connection is read on, since closing it with unread data would discard the answer."""


_QUOTED = re.compile(r":? (?:bytearray\()?b?['\"]")


def problem(status: HTTPStatus, detail: str, code: str, instance: str | None = None) -> bytes:
    """The body of an error, for programs and for people."""
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail, "code": code}
    return orjson.dumps(body if instance is None else {**body, "instance": instance})


class GuardedApp:
    """ASGI middleware around every application: it refuses what the AccessPolicy does, and adds headers."""

    def __init__(self, app: ASGIApp, access: AccessPolicy) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        request = WebRequest(
            target=_target(scope),
            version=scope["http_version"],
            peer=scope["client"][0] if scope["client"] else "unknown",
            header=headers.getlist,
            header_bytes=sum(len(name) + len(value) + 4 for name, value in scope["headers"]),
        )
        cors = self._access.cors(request)
        refused = self._access.refusal(request, self._access.forwarded(request))

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(raw=list(message["headers"]))  # not the application's own
                for name, value in {**SECURITY_HEADERS, **cors}.items():
                    answer.setdefault(name, value)
                message = {**message, "headers": answer.raw}
            await send(message)

        app = self._app if refused is None else _refuse(refused)
        if refused is None and scope["method"] == "OPTIONS" and (preflight := self._access.preflight(request)):
            app = Response(status_code=HTTPStatus.NO_CONTENT, headers=preflight)
        await app(_as_get(scope), receive, sending)


def _target(scope: Scope) -> str:
    path, query = bytes(scope["raw_path"]), bytes(scope["query_string"])
    return (path + b"?" + query if query else path).decode("latin-1")


def _as_get(scope: Scope) -> Scope:
    """The request as the application sees it: GET for HEAD, whose body uvicorn leaves out; a path for a whole URL."""
    if scope["method"] == "HEAD":
        scope = {**scope, "method": "GET"}
    if not scope["raw_path"].startswith(b"/"):
        _authority, path = split_target(scope["path"])
        _authority, raw_path = split_target(scope["raw_path"].decode("ascii"))
        scope = {**scope, "path": path, "raw_path": raw_path.encode()}
    return scope


def _refuse(refused: AccessRefusal) -> ASGIApp:
    body = problem(refused.status, refused.message, refused.reason)
    return Response(body, refused.status, dict(refused.headers), media_type=PROBLEM)


def _without_values(error: str) -> str:
    """What h11 says of a request that it cannot read, without what it quotes of it, which may be a token."""
    return _QUOTED.split(error, maxsplit=1)[0]


class Connection(H11Protocol):
    """A connection of uvicorn's that does not log a line for each piece of garbage, and loses no answer."""

    def __init__(self, connections: OpenConnections, **options: Any) -> None:
        super().__init__(**options)
        self._connections = connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._connections.accepted(self, self.client[0] if self.client else "unknown", transport.abort)
        self._refused = False
        self._deadline: asyncio.TimerHandle | None = None
        self._end_after(REQUEST_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_after(None)
        self._connections.gone(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._deadline is None and not self._answering:  # what comes begins a request, or goes on with a body
            self._end_after(REQUEST_SECONDS)
        super().data_received(data)
        if self._answering and not self._refused:
            self._connections.asked(self)
            self._end_after(None)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self._connections.answered(self)

    @property
    def _answering(self) -> bool:
        """Whether a request has come whole, or but for its body, and is not answered yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def _end_after(self, seconds: float | None) -> None:
        """Cut the connection off after so many seconds from now, or not at all."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)

    def send_400_response(self, _msg: str) -> None:
        """Called for what h11 does not understand, by the handler of its error."""
        error = sys.exception()
        said = _without_values(str(error))
        unreadable(self.client[0] if self.client else "unknown", said)
        self._refused = True
        if self.cycle is not None:
            self.cycle.disconnected = True  # what the application still answers is not sent
            self.cycle.message_event.set()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()  # an answer is under way, or has been sent
            return
        status = HTTPStatus(getattr(error, "error_status_hint", HTTPStatus.BAD_REQUEST))
        body = problem(status, said[:200], "unreadable")
        headers = [*SECURITY_HEADERS.items(), ("Content-Type", PROBLEM), ("Content-Length", str(len(body)))]
        head = h11.Response(
            status_code=status, headers=[*headers, ("Connection", "close")], reason=status.phrase.encode()
        )
        headed = self.conn.our_state is h11.SEND_RESPONSE and self.scope["method"] == "HEAD"
        for event in (head, h11.Data(data=b"" if headed else body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._end_after(LINGER_SECONDS)

    def _unsupported_upgrade_warning(self) -> None:
        """Whoever asks for a WebSocket here gets what a GET gets."""


class QuietServer(uvicorn.Server):
    """A uvicorn server that runs in the service's event loop and leaves the signals to the runner."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serve_asgi(
    app: ASGIApp, sock: socket.socket, access: AccessPolicy, certificate: ServerCertificate | None = None
) -> AsyncIterator[None]:
    """Serve an ASGI application on `sock` until the block ends; open requests then have one second to finish.

    certificate: by which TLS is spoken, and nothing else.
    """
    guarded: Any = GuardedApp(app, access)
    connections = OpenConnections(ConnectionLimits(MOST_CONNECTIONS).within_files(), access.is_proxy)

    def accepted(**options: Any) -> asyncio.Protocol:
        connection = Connection(connections, **options)
        return connection if certificate is None else TlsEntrance(certificate, connections, connection)

    how: Any = accepted  # uvicorn calls it as if it were a class
    config = uvicorn.Config(
        guarded,
        http=how,
        h11_max_incomplete_event_size=MAX_TARGET_BYTES + MAX_HEADER_BYTES,
        log_config=None,
        log_level="error",  # its warnings are a line for each connection that sends garbage
        access_log=False,
        proxy_headers=False,  # it would believe everybody on this machine
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,
    )
    server = QuietServer(config)
    task = asyncio.create_task(server.serve(sockets=[sock]), name="asgi")
    watching = [] if certificate is None else [certificate.watch()]
    try:
        async with background(*watching):
            yield
    finally:
        server.should_exit = True
        connections.cut_off_half_open(TlsEntrance)
        await asyncio.gather(task, return_exceptions=True)
        sock.close()
