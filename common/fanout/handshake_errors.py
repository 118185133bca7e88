"""Words for a handshake that the library refuses. Its own quote what the client sent, which may be a token."""

from websockets.exceptions import (
    InvalidHeader,
    InvalidMessage,
    InvalidMethod,
    InvalidProtocol,
    InvalidUpgrade,
    NegotiationError,
    SecurityError,
)

from cottage.protocol import SUBPROTOCOL

MALFORMED = "did not receive a valid HTTP request"


class HeadTooLarge(SecurityError):
    """The headers of a request do not end. The text is ours."""


def explanation(error: BaseException) -> str:
    """Why a handshake failed. Nothing of it is the client's but the name of a header that the library looks for."""
    match error:
        case HeadTooLarge():
            return str(error)
        case InvalidUpgrade():
            return f"not a WebSocket handshake: the {error.name} header does not ask for one"
        case InvalidHeader():
            return f"a missing or bad {error.name} header"
        case InvalidMethod():
            return "a WebSocket is asked for by GET"
        case InvalidProtocol():
            return "a WebSocket is asked for by HTTP/1.1"
        case NegotiationError():
            return f"only {SUBPROTOCOL} is spoken here"
        case InvalidMessage():
            return MALFORMED
        case SecurityError():
            return "too many or too long headers"
        case TimeoutError():
            return "no request in time"
        case EOFError() | ConnectionError():
            return "the connection ended before a request"
    return type(error).__name__
