"""What is said of a refused handshake, whatever was in it."""

import pytest
from websockets import exceptions

from common.fanout.handshake_errors import HeadTooLarge, explanation

SECRET = "bearer.eyJhbGciOiJIUzI1NiJ9"


@pytest.mark.parametrize(
    "error",
    [
        exceptions.InvalidHeaderFormat("Sec-WebSocket-Protocol", "expected token", f"cottage.v1, {SECRET}", 3),
        exceptions.InvalidHeaderValue("Sec-WebSocket-Key", SECRET),
        exceptions.InvalidUpgrade("Connection", SECRET),
        exceptions.InvalidOrigin(SECRET),
        exceptions.InvalidMethod(SECRET),
        exceptions.InvalidProtocol(SECRET),
        exceptions.NegotiationError(SECRET),
        exceptions.InvalidMessage(SECRET),
        exceptions.SecurityError(SECRET),
        exceptions.HeaderLineTooLong(SECRET),
        ValueError(SECRET),
        EOFError(SECRET),
        TimeoutError(SECRET),
    ],
)
def test_nothing_of_it_is_the_clients(error: Exception) -> None:
    said = explanation(error)
    assert said
    assert SECRET not in said


def test_our_own_words_stay() -> None:
    assert explanation(HeadTooLarge("more than 5 bytes of headers")) == "more than 5 bytes of headers"
