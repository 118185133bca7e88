"""Which token a handshake or a request shows, and where: the server of the fan-out and the physics API ask. Pure;
nothing is judged here.

A browser can set no headers, so it offers the token as a subprotocol; whoever can sends `Authorization: Bearer`.
Proxies and browsers write URLs down, so a token has no business there.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote_plus

from common.web.proxies import Header
from cottage.protocol import MAX_TOKEN_BYTES, TOKEN_SUBPROTOCOL
from cottage.urls import TOKEN_FIELDS

_SEPARATORS = re.compile("[&;?#]")
_BEARER = re.compile(r"bearer(?:[ \t]+(.*))?", re.IGNORECASE | re.DOTALL)


class Presented(NamedTuple):
    """What a handshake shows."""

    token: str
    by_header: bool
    """Whether in `Authorization`: then its sender reads the answer to the handshake."""
    wrong: str = ""
    """One word for why it is not looked at; empty if it may be judged."""

    def __repr__(self) -> str:
        return f"<Presented by_header={self.by_header} wrong={self.wrong!r}>"


def presented(header: Header) -> Presented | None:
    """The token that the headers show; None if they show none."""
    by_header = bearers(header("authorization"))
    offered = [part.strip() for text in header("sec-websocket-protocol") for part in text.split(",")]
    tokens = [part.removeprefix(TOKEN_SUBPROTOCOL) for part in offered if part.startswith(TOKEN_SUBPROTOCOL)]
    shown = {token.strip() for token in (*by_header, *tokens)}
    if not shown:
        return None
    token, in_header = min(shown), bool(by_header)
    if len(shown) > 1:
        return Presented("", in_header, "two_tokens")
    return Presented("", in_header, wrong) if (wrong := form(token)) else Presented(token, in_header)


def bearers(values: Iterable[str]) -> set[str]:
    """The tokens in the values of `Authorization`; "" is an empty one. A scheme other than Bearer is a proxy's
    business."""
    return {match[1] or "" for text in values if (match := _BEARER.fullmatch(text.strip()))}


def form(token: str) -> str:
    """One word for why a text can be no token, which is measured before anything is read of it; empty if it can."""
    if len(token) > MAX_TOKEN_BYTES or len(token.encode(errors="surrogatepass")) > MAX_TOKEN_BYTES:
        return "too_long"
    return "" if token else "missing"


def in_url(target: str) -> bool:
    """Whether a request's target has a token, in its query or like in one. `;` parts it as well, and so does what is
    encoded: otherwise `symbols=SPY;token=…`, `&amp;token=…` or `%26token=…` were a bad value, which is quoted in
    answer and log."""
    names = (part.partition("=")[0] for part in _SEPARATORS.split(unquote_plus(target)))
    return any(name.strip().lower() in TOKEN_FIELDS for name in names)
