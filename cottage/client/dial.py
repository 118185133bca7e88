"""Opens connections to a server of `cottage.v1`. The broadcaster's link, StateClient and the probe use it."""

import inspect
import logging
from http import HTTPStatus
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from cottage.client.tokens import reason_word
from cottage.protocol import SUBPROTOCOL, Close

OPEN_SECONDS = 5.0
CLOSE_SECONDS = 1.0

# Since version 15 the library uses the environment's proxy, even for 127.0.0.1, unless told otherwise.
_NO_PROXY: dict[str, Any] = {"proxy": None} if "proxy" in inspect.signature(connect).parameters else {}

_silent = logging.getLogger("cottage.client.dial.websockets")
_silent.setLevel(logging.INFO)  # at debug the library logs headers and frames, which may have a token in them


class _Authorized(connect):
    """A connection whose handshake shows a token: to no other place than the one that was dialled."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def dial(url: str, *, token: str = "", **options: Any) -> connect:
    """A connection to `url`, to be awaited or entered as a context. `token`: shown to the server, and never logged;
    with one no redirect is followed. `options` are further ones of `websockets`."""
    if token:
        options |= {"additional_headers": {"Authorization": f"Bearer {token}"}, "logger": _silent}
    return (_Authorized if token else connect)(
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


def refused_token(error: Exception) -> str | None:
    """The server's word for why it wants another token, if that is why a connection was not made, or ended."""
    if isinstance(error, ConnectionClosed) and error.rcvd is not None and error.rcvd.code == Close.UNAUTHORIZED:
        return reason_word(error.rcvd.reason)
    if isinstance(error, InvalidStatus) and error.response.status_code == HTTPStatus.UNAUTHORIZED:
        words = (error.response.body or b"")[:200].decode(errors="replace").split()
        return reason_word(words[-1].rstrip(".") if words else "")
    return None
