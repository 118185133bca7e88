"""Which secret the next handshake shows."""

import structlog
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

from common.auth.link_token import LinkToken

REFUSED = InvalidStatus(Response(401, "Unauthorized", Headers(), b"the token is refused: bad\n"))


def test_without_a_secret_nothing_is_shown() -> None:
    token = LinkToken("ws://bridge/ws", [])
    token.lost(REFUSED)
    assert token.shown == ""


def test_a_refusal_brings_the_other_one_and_is_said_once() -> None:
    token = LinkToken("ws://bridge/ws", ["new", "old"])
    with structlog.testing.capture_logs() as said:
        token.lost(OSError("connection refused"))
        assert token.shown == "new"
        token.lost(REFUSED)
        assert token.shown == "old"
        token.lost(REFUSED)
        assert token.shown == "new"
        assert len(said) == 1
        token.accepted()
        token.lost(REFUSED)
    assert len(said) == 2
