"""The probe checks a running broadcaster as a client: `cottage probe` and `python -m services.broadcaster --probe`.

It goes where clients go, through a handshake, a SNAPSHOT and a HEARTBEAT, so it finds what a port that merely
answers would hide. Without `full` a fault of a peer is none of the broadcaster's: whoever restarts what is
unhealthy must not restart a broadcaster because Redis is away.
"""

import asyncio
import ssl
from http import HTTPStatus
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from cottage import protocol
from cottage.client.dial import dial, refused_token, why
from cottage.errors import CottageError, InvalidMessage
from cottage.fields import load_object, mapping
from cottage.freshness import Freshness
from cottage.protocol import Close
from cottage.token_file import Token
from cottage.urls import redacted, with_query

SECONDS = 5.0
OPS_PORT = 9105
"""Of a broadcaster that is set up as ours are."""
MOST_STATUS_BYTES = 1024 * 1024
_OPENER = build_opener(ProxyHandler({}))  # not by the environment's proxy
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # these are for listening; nobody can be asked there


class Unhealthy(CottageError):
    """The broadcaster, or the chain behind it, is not healthy; the message says why."""


def url_of(host: str, port: int, *, tls: bool = False) -> str:
    """Where a broadcaster with these settings is reached on its own machine."""
    at = ANY_ADDRESS.get(host, host)
    return f"{'wss' if tls else 'ws'}://{f'[{at}]' if ':' in at else at}:{port}{protocol.PATH}"


def local_ops(url: str) -> str | None:
    """Where the ops port of a broadcaster on this machine is, unless its settings say otherwise; else None."""
    host = urlsplit(url).hostname or ""
    return f"http://127.0.0.1:{OPS_PORT}" if host in ("localhost", "127.0.0.1", "::1") else None


def ops_url(host: str, port: int) -> str:
    """Where an ops port with these settings is reached on its own machine."""
    at = ANY_ADDRESS.get(host, host)
    return f"http://{f'[{at}]' if ':' in at else at}:{port}"


async def probe(
    url: str,
    *,
    full: bool,
    seconds: float = SECONDS,
    token: Token | None = None,
    context: ssl.SSLContext | None = None,
    ops: str | None = None,
) -> str:
    """Connect to a WebSocket URL and describe what was found. Raises Unhealthy.

    `full`: Feynman's heartbeat must be heard through the whole chain. `token`: for a server that asks for one.
    `context`: of TLS; None: as the URL says. Without a token its 4401 is health, and for `full` its ops port is
    asked, at `ops`, such as http://127.0.0.1:9105.
    """
    shown = redacted(url)
    text = (token() if callable(token) else token) or ""
    try:
        async with asyncio.timeout(seconds):
            tls = {} if context is None else {"ssl": context}
            async with dial(with_query(url, symbols=""), token=text, **tls) as connection:
                if not text:  # or a server that asks for a token would wait for it
                    await connection.send('{"action":"auth","token":""}')
                return await _listen(connection, shown, full)
    except ConnectionClosed as closed:
        if text or closed.rcvd is None or closed.rcvd.code != Close.UNAUTHORIZED:
            raise Unhealthy(f"{shown}: {_why(closed)}") from closed
        found = f"{shown} answers, and asks for a token"
        if not full:
            return found
        if ops is None:
            raise Unhealthy(f"{found}: what is behind it is told to those who have one") from closed
        return f"{found}; upstream {await _upstream(ops, seconds)}"
    except InvalidStatus as refused:
        if refused.response.status_code == HTTPStatus.SERVICE_UNAVAILABLE and not full:
            return f"{shown} has no room for more clients"  # it does its job; a restart would lose those it has
        raise Unhealthy(f"{shown}: {_why(refused)}") from refused
    except TimeoutError as error:
        raise Unhealthy(f"{shown} does not greet a client within {seconds:g} s") from error
    except (OSError, WebSocketException, ValueError) as error:
        raise Unhealthy(f"{shown}: {error}") from error


def _why(error: Exception) -> str:
    """Why a connection was not made, or ended, and what to do."""
    return why(error) if refused_token(error) is None else f"{why(error)}; give a new token"


async def _upstream(ops: str, seconds: float) -> str:
    """What the ops port says of the chain behind the broadcaster. Raises Unhealthy if that is not live."""
    try:
        upstream = Freshness.from_fields(
            mapping(load_object(await asyncio.to_thread(_get, ops, seconds)), "upstream")
        )
    except (OSError, ValueError, InvalidMessage) as error:
        raise Unhealthy(f"{redacted(ops)}: {error}") from error
    if upstream.status != "live":
        raise Unhealthy(f"{redacted(ops)} is {upstream.status}: {upstream.cause}")
    return upstream.status


def _get(ops: str, seconds: float) -> bytes:
    with _OPENER.open(f"{ops}/status", timeout=seconds) as answer:
        content: bytes = answer.read(MOST_STATUS_BYTES)
    return content


async def _listen(connection: ClientConnection, url: str, full: bool) -> str:
    greeted = False
    async for frame in connection:
        message = load_object(frame)
        event = message.get("event")
        greeted = greeted or event == "SNAPSHOT"
        if greeted and event == "HEARTBEAT":
            upstream = Freshness.from_fields(mapping(message, "upstream"))
            if full and upstream.status != "live":
                raise Unhealthy(f"{url} is {upstream.status}: {upstream.cause}")
            return f"{url} greets clients; upstream {upstream.status}"
    raise Unhealthy(f"{url} closed the connection")
