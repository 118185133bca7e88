"""Opens connections to a server of `cottage.v1`, for the broadcaster's link, StateClient and the probe."""

import inspect
from typing import Any

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from cottage.protocol import SUBPROTOCOL

OPEN_SECONDS = 5.0
CLOSE_SECONDS = 1.0

# Since websockets 15 it takes the environment's proxy, even for 127.0.0.1, unless told otherwise.
_NO_PROXY: dict[str, Any] = {"proxy": None} if "proxy" in inspect.signature(connect).parameters else {}


def dial(url: str, **options: Any) -> connect:
    """A connection to await, or to enter; `options` are those of the library, beside these."""
    return connect(
        url,
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        compression=None,
        open_timeout=OPEN_SECONDS,
        close_timeout=CLOSE_SECONDS,
        ping_interval=None,  # a HEARTBEAT shows more than a pong, and who waits for it notices silence
        **_NO_PROXY,
        **options,
    )
