"""Which token a handshake shows, and where."""

import pytest
from websockets.datastructures import Headers

from common.auth.presented import Presented, in_url, presented
from cottage.protocol import MAX_TOKEN_BYTES


def shown(*lines: tuple[str, str]) -> Presented | None:
    headers = Headers()
    for name, value in lines:
        headers[name] = value
    return presented(headers.get_all)


OFFER, AUTH = "Sec-WebSocket-Protocol", "Authorization"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([], None),
        ([(OFFER, "cottage.v1")], None),
        ([(AUTH, "Basic YTpi")], None),
        ([(OFFER, "cottage.v1, bearer.abc")], Presented("abc", False)),
        ([(OFFER, "cottage.v1"), (OFFER, "bearer.abc")], Presented("abc", False)),
        ([(AUTH, "Bearer abc")], Presented("abc", True)),
        ([(AUTH, "bearer  abc ")], Presented("abc", True)),
        ([(AUTH, "Bearer\tabc")], Presented("abc", True)),
        ([(AUTH, "Basic YTpi"), (AUTH, "Bearer abc")], Presented("abc", True)),
        ([(AUTH, "Bearer abc"), (OFFER, "bearer.abc")], Presented("abc", True)),
        ([(AUTH, "Bearer abc"), (OFFER, "bearer.xyz")], Presented("", True, "two_tokens")),
        ([(AUTH, "Bearer abc"), (AUTH, "Bearer xyz")], Presented("", True, "two_tokens")),
        ([(OFFER, "bearer.abc, bearer.xyz")], Presented("", False, "two_tokens")),
        ([(OFFER, "bearer.")], Presented("", False, "missing")),
        ([(AUTH, "Bearer")], Presented("", True, "missing")),
        ([(AUTH, "Bearer " + "a" * MAX_TOKEN_BYTES)], Presented("a" * MAX_TOKEN_BYTES, True)),
        ([(AUTH, "Bearer " + "a" * (MAX_TOKEN_BYTES + 1))], Presented("", True, "too_long")),
        ([(OFFER, "bearer." + "a" * (MAX_TOKEN_BYTES + 1))], Presented("", False, "too_long")),
    ],
)
def test_what_is_shown(lines: list[tuple[str, str]], found: Presented | None) -> None:
    assert shown(*lines) == found


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("/ws?token=abc", True),
        ("/ws?symbols=A&access_token=abc", True),
        ("/ws?TOKEN=", True),
        ("/ws?t%6fken=abc", True),
        ("/ws?symbols=A;token=abc", True),
        ("/ws?symbols=A&amp;token=abc", True),
        ("/ws?symbols=A#token=abc", True),
        ("/ws?symbols=A%26token=abc", True),
        ("/ws?symbols=A%3Baccess_token%3Dabc", True),
        ("/ws;token=abc", True),
        ("/ws#token=abc", True),
        ("/ws?tokens=abc", False),
        ("/ws?symbols=TOKEN", False),
        ("/token", False),
    ],
)
def test_a_token_in_the_url_is_seen(target: str, found: bool) -> None:
    assert in_url(target) is found


def test_it_is_in_no_text() -> None:
    assert "secret-token" not in repr(shown((AUTH, "Bearer secret-token")))
