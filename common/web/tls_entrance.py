"""The entrance of a port that speaks TLS: it has each connection from accept on, until its TLS handshake is done.

The event loop's own TLS servers show a connection only after its handshake, so they can neither count nor limit the
ones before. Here sockets are accepted as plain ones and counted, and the loop then shakes hands on each.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import cast

from prometheus_client import Counter

from common import logs
from common.tls import HANDSHAKE_SECONDS, SHUTDOWN_SECONDS, ServerCertificate
from common.web.open_connections import OpenConnections
from cottage.log import Throttled

REFUSED = Counter("cottage_tls_handshakes_failed_total", "TLS handshakes that failed or did not end in time.")

log = logs.get_logger()
throttled = Throttled(log)


class TlsEntrance(asyncio.Protocol):
    """The protocol of an accepted connection. Once TLS stands, `inner` takes over."""

    def __init__(self, certificate: ServerCertificate, connections: OpenConnections, inner: asyncio.Protocol) -> None:
        self._certificate = certificate
        self._connections = connections
        self._inner = inner
        self._peer = "unknown"
        self._stands = False
        """Whether `inner` has the connection."""
        self._why = "there are too many, or the server stops"
        """Why it does not have it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        plain = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        accepted = plain.get_extra_info("socket")
        name = plain.get_extra_info("peername")
        address = str(name[0]) if isinstance(name, tuple) else "unknown"
        self._peer = f"{address}:{name[1]}" if isinstance(name, tuple) else address
        # uvloop's start_tls() would lose what a client says at once: it reads before TLS has taken over. So this
        # transport is given up before it has read anything, and TLS gets the socket under another number.
        try:
            sock = socket.fromfd(accepted.fileno(), accepted.family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        except OSError as error:  # there are too many open files: nobody else would end this one
            self._failed(error.strerror or type(error).__name__)
            return
        finally:
            plain.abort()
        sock.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._shake_hands(sock), name="TLS handshake")
        task.add_done_callback(lambda _task: self._ended(sock))
        self._connections.accepted(self, address, task.cancel)

    async def _shake_hands(self, sock: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: _Secured(self._hand_over),
                sock,
                ssl=self._certificate.context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS,
            )
            self._why = "it ended within the handshake"
        except ssl.SSLError as error:
            self._why = (error.reason or str(error)).lower().replace("_", " ")
        except OSError as error:  # also for one that takes too long
            self._why = str(error) or type(error).__name__

    def _ended(self, sock: socket.socket) -> None:
        """The handshake is over; also where it was cut off before it began."""
        if not self._stands:
            sock.close()
            self._connections.gone(self)
            self._failed(self._why)

    def _failed(self, why: str) -> None:
        REFUSED.inc()
        throttled.warning("tls_handshake_failed", "", peer=self._peer, error=why[:200])

    def _hand_over(self, secured: asyncio.Transport) -> None:
        self._stands = True
        self._connections.gone(self)
        secured.set_protocol(self._inner)
        self._inner.connection_made(secured)


class _Secured(asyncio.Protocol):
    """The protocol over TLS until its handshake is done."""

    def __init__(self, hand_over: Callable[[asyncio.Transport], None]) -> None:
        self._hand_over = hand_over

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._hand_over(cast("asyncio.Transport", transport))
