"""The ops port that the runner opens for every process: /healthz, /readyz, /status and /metrics.

Its listening socket is also what the services' own ports have. What serves it is in `common/web/asgi.py`.
"""

import asyncio
import errno
import socket
from typing import Any, Protocol

import orjson
from prometheus_client import Gauge, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from common import output
from cottage.errors import SettingsError

disable_created_metrics()  # type: ignore[no-untyped-call]  # `_created` would double the number of series


TASKS = Gauge("cottage_event_loop_tasks", "Tasks of the event loop: a number that only grows is a leak.")

BACKLOG = 4096
"""How many connections may wait to be accepted; the kernel limits it to net.core.somaxconn."""


class Reporter(Protocol):
    """What the ops port asks a service."""

    def not_ready(self) -> str | None:
        """Why the service cannot do its work now; None if it can. /readyz answers with it."""

    def status(self) -> dict[str, Any]:
        """The state of the service and of its connections, as JSON values, for /status."""


def listening_socket(host: str, port: int, setting: str, *, shared: bool = False) -> socket.socket:
    """A listening TCP socket. Raises a SettingsError that names the port and its setting if it cannot be opened.

    `shared`: other processes of this user may listen on the same port; the kernel distributes connections among them.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends without delay (TCP_NODELAY) only where the protocol is named; uvloop always does.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        reason = error.strerror or str(error)
        wrong = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        advice = f"set {setting} to another one"
        if wrong:  # the address: nobody knows its name, or it is another machine's
            advice = f"set {setting.replace('_PORT', '_HOST')}, which goes with {setting}, to one of this machine"
        raise SettingsError(f"cannot listen on {host}:{port} ({reason}); {advice}") from error
    sock.setblocking(False)
    return sock


def ops_app(reporter: Reporter) -> Starlette:
    """The ASGI application of the ops port."""

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        reason = reporter.not_ready()
        return PlainTextResponse(f"{reason or 'ready'}\n", status_code=503 if reason else 200)

    async def status(_request: Request) -> Response:
        return Response(orjson.dumps({**reporter.status(), "log": output.status()}), media_type="application/json")

    async def metrics(_request: Request) -> Response:
        TASKS.set(len(asyncio.all_tasks()))
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    endpoints = {"/healthz": healthz, "/readyz": readyz, "/status": status, "/metrics": metrics}
    return Starlette(routes=[Route(path, endpoint) for path, endpoint in endpoints.items()])
