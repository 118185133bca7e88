"""Opens connections to a server of `cottage.v1`. The broadcaster's link, StateClient and the probe use it."""

import inspect
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from cottage.protocol import SUBPROTOCOL

OPEN_SECONDS = 5.0
CLOSE_SECONDS = 1.0

# Since version 15 the library uses the environment's proxy, even for 127.0.0.1, unless told otherwise.
_NO_PROXY: dict[str, Any] = {"proxy": None} if "proxy" in inspect.signature(connect).parameters else {}


def dial(url: str, **options: Any) -> connect:
    """A connection to `url`, to be awaited or entered as a context. `options` are further ones of `websockets`."""
    return connect(
        url,
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        compression=None,
        open_timeout=OPEN_SECONDS,
        close_timeout=CLOSE_SECONDS,
        ping_interval=None,  # callers notice silence themselves, by missing messages
        **_NO_PROXY,
        **options,
    )


def why(error: Exception) -> str:
    """Why a connection was not made, or ended. A server that refuses a handshake says it in its answer."""
    words = ""
    if isinstance(error, InvalidStatus):
        words = (error.response.body or b"")[:200].decode(errors="replace").partition("\n")[0].strip()
    return ": ".join(part for part in (str(error) or type(error).__name__, words) if part)
