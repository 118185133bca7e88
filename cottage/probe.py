"""The probe checks a running broadcaster as a client: `cottage probe` and `python -m services.broadcaster --probe`.

It goes where clients go, through a handshake, a SNAPSHOT and a HEARTBEAT, so it finds what a port that merely
answers would hide. Without `full` a fault of a peer is none of the broadcaster's: whoever restarts what is
unhealthy must not restart a broadcaster because Redis is away.
"""

import asyncio
import ssl
from http import HTTPStatus

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus, WebSocketException

from cottage import protocol
from cottage.client.dial import dial, why
from cottage.errors import CottageError
from cottage.fields import load_object, mapping
from cottage.freshness import Freshness
from cottage.token_file import Token
from cottage.urls import redacted, with_query

SECONDS = 5.0
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # these are for listening; nobody can be asked there


class Unhealthy(CottageError):
    """The broadcaster, or the chain behind it, is not healthy; the message says why."""


def url_of(host: str, port: int, *, tls: bool = False) -> str:
    """Where a broadcaster with these settings is reached on its own machine."""
    at = ANY_ADDRESS.get(host, host)
    return f"{'wss' if tls else 'ws'}://{f'[{at}]' if ':' in at else at}:{port}{protocol.PATH}"


async def probe(
    url: str,
    *,
    full: bool,
    seconds: float = SECONDS,
    token: Token | None = None,
    context: ssl.SSLContext | None = None,
) -> str:
    """Connect to a WebSocket URL and describe what was found. Raises Unhealthy.

    `full`: Feynman's heartbeat must be heard through the whole chain. `token`: for a server that asks for one.
    `context`: of TLS; None: as the URL says.
    """
    shown = redacted(url)
    text = (token() if callable(token) else token) or ""
    try:
        async with asyncio.timeout(seconds):
            tls = {} if context is None else {"ssl": context}
            async with dial(with_query(url, symbols=""), token=text, **tls) as connection:
                return await _listen(connection, shown, full)
    except InvalidStatus as refused:
        if refused.response.status_code == HTTPStatus.SERVICE_UNAVAILABLE and not full:
            return f"{shown} has no room for more clients"  # it does its job; a restart would lose those it has
        raise Unhealthy(f"{shown}: {why(refused)}") from refused
    except TimeoutError as error:
        raise Unhealthy(f"{shown} does not greet a client within {seconds:g} s") from error
    except (OSError, WebSocketException, ValueError) as error:
        raise Unhealthy(f"{shown}: {error}") from error


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
