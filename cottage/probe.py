"""`python -m services.broadcaster --probe`: what a client finds at a broadcaster that runs, for health checks.

It goes where clients go, through a handshake, a SNAPSHOT and a HEARTBEAT, so it finds what a port that merely
answers would hide. Without `--full` a fault of a peer is none of the broadcaster's: whoever restarts what is
unhealthy must not restart a broadcaster because Redis is away.
"""

import asyncio
from http import HTTPStatus

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus, WebSocketException

from cottage import protocol
from cottage.client.dial import dial
from cottage.errors import CottageError
from cottage.fields import load_object, mapping
from cottage.freshness import Freshness

SECONDS = 5.0
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # these are for listening; nobody can be asked there


class Unhealthy(CottageError):
    """The text says why."""


async def probe(host: str, port: int, *, full: bool, seconds: float = SECONDS) -> str:
    """What was found, in words. Raises Unhealthy.

    `full`: Feynman's heartbeat must be heard through the whole chain.
    """
    at = ANY_ADDRESS.get(host, host)
    url = f"ws://{f'[{at}]' if ':' in at else at}:{port}{protocol.PATH}?symbols="
    try:
        async with asyncio.timeout(seconds):
            async with dial(url) as connection:
                return await _listen(connection, url, full)
    except InvalidStatus as refused:
        if refused.response.status_code == HTTPStatus.SERVICE_UNAVAILABLE and not full:
            return f"{url} has no room for more clients"  # it does its job; a restart would only lose those it has
        raise Unhealthy(f"{url} answers with {refused.response.status_code}") from refused
    except TimeoutError as error:
        raise Unhealthy(f"{url} does not greet a client within {seconds:g} s") from error
    except (OSError, WebSocketException, ValueError) as error:
        raise Unhealthy(f"{url}: {error}") from error


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
