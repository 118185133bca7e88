"""The ports that uvicorn serves, by raw sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from structlog.typing import EventDict

from common.ops import listening_socket
from common.web import access, asgi
from common.web.access import MAX_HEADER_BYTES, MAX_TARGET_BYTES, AccessPolicy
from common.web.asgi import serve_asgi
from cottage.log import Throttled
from tests.common.web.raw_http import ask, complaints, garbage, handshake, request

SHARED = PlainTextResponse("shared\n")
"""One answer for all, as the page of the API's documentation is."""


async def path(asked: Request) -> Response:
    return PlainTextResponse(f"{asked.method} {asked.scope['path']} {asked.scope['client'][0]}\n")


async def shared(_asked: Request) -> Response:
    return SHARED


APP = Starlette(routes=[Route("/shared", shared), Route("/{rest:path}", path)])
POLICY = AccessPolicy(["cottage.example"], ["https://desk.example"])


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What is logged meanwhile, with nothing held back from earlier tests."""
    monkeypatch.setattr(access, "throttled", Throttled(access.log, seconds=600.0))
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture
async def port() -> AsyncIterator[int]:
    sock = listening_socket("127.0.0.1", 0, "TINY_PORT")
    number: int = sock.getsockname()[1]
    async with serve_asgi(APP, sock, POLICY):
        yield number


@pytest.mark.parametrize("target", ["/", "/shared", "/none", "http://localhost/a"])
async def test_head_is_get_without_a_body(port: int, target: str) -> None:
    got, headed = [await ask(port, request(target, method=method)) for method in ("GET", "HEAD")]
    assert (got.status, got.body != b"") == (200, True)
    assert (headed.status, headed.body) == (200, b"")
    assert {**headed.headers, "date": ""} == {**got.headers, "date": ""}
    assert headed.headers["content-length"] == str(len(got.body))


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (request(host=None), 400, "unreadable"),
        (request("/", "Host: localhost"), 400, "unreadable"),
        (request(host="a b"), 400, "bad_host"),
        (request(host="evil.example"), 421, "foreign_host"),
        (request("http://evil.example/"), 421, "foreign_host"),
        (request("/", "Origin: http://evil.example"), 403, "foreign_origin"),
        (request("/", "Origin: null"), 403, "foreign_origin"),
        (request("/", "Origin: http://evil.example", method="HEAD"), 403, None),
        (request("/", "Origin: http://evil.example", method="OPTIONS"), 403, "foreign_origin"),
        (request("/", f"X: {'a' * MAX_HEADER_BYTES}"), 431, "too_large"),
        (request("/", *(f"X-{number}: {'a' * 1000}" for number in range(64))), 431, None),
        (request("/", "X: " + "a" * 2**17), 431, "unreadable"),
        (request("/" + "a" * MAX_TARGET_BYTES), 414, "too_large"),
        (b"\x16\x03\x01\x02\x00" + b"\xff" * 200 + b"\r\n\r\n", 400, "unreadable"),
        (request("/\x00"), 400, "unreadable"),
    ],
)
async def test_what_is_refused_is_a_problem(port: int, data: bytes, status: int, code: str | None) -> None:
    answer = await ask(port, data)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers
    if code is not None:
        problem = orjson.loads(answer.body)
        assert (problem["status"], problem["code"]) == (status, code)


@pytest.mark.parametrize(
    "data",
    [
        *(request("/x"), request("/x", version="1.0"), request("/x", host=None, version="1.0")),
        *(request("/x", host="127.0.0.1:1"), request("/x", host="[::1]"), request("/x", host="COTTAGE.example.:80")),
        request("http://localhost/x"),
        request("/x", "Origin: http://localhost:3000"),
        request("/x", "X-Forwarded-For: 203.0.113.7"),  # whom nobody here believes
        request("/x", f"X: {'a' * (MAX_HEADER_BYTES - 100)}"),
        handshake("/x", "Connection: close"),
    ],
)
async def test_what_is_answered(port: int, data: bytes) -> None:
    answer = await ask(port, data)
    assert (answer.status, answer.body) == (200, b"GET /x 127.0.0.1\n")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["content-security-policy"] == "frame-ancestors 'none'"
    assert "server" not in answer.headers


async def test_a_listed_origin_may_read_and_no_other_is_told_so(port: int) -> None:
    for target in ("/x", "/shared", "/none/of/these"):
        listed = await ask(port, request(target, "Origin: https://desk.example"))
        assert (listed.status, listed.headers["access-control-allow-origin"]) == (200, "https://desk.example")
        for lines in ([], ["Origin: http://localhost"]):
            other = await ask(port, request(target, *lines))
            assert (other.status, other.headers["vary"]) == (200, "origin")
            assert "access-control-allow-origin" not in other.headers


async def test_garbage_is_one_line_with_a_count(
    port: int, said: list[EventDict], caplog: pytest.LogCaptureFixture
) -> None:
    await garbage(port, 10)
    assert (await ask(port, request("/x"))).status == 200
    assert sorted(line["event"] for line in said) == ["request_not_allowed", "request_unreadable"]
    assert complaints(caplog.records) == []


async def test_an_answer_under_way_and_garbage_after_it(
    port: int, said: list[EventDict], caplog: pytest.LogCaptureFixture
) -> None:
    """The second request is none; what the application says of the first is not in its way."""
    for method in (b"GET", b"HEAD", b"POST", b"CONNECT") * 2:
        head = b"%b /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" % method
        answer = await ask(port, head + b"zz\r\n")
        assert answer.status in (400, 405)
    assert len(said) == 1
    assert complaints(caplog.records) == []


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"", b""),
        (b"", b"GET / HTTP/1.1\r\nHost: loc"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"G"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.1\r\nHost: loc"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\na", b"b"),
    ],
)
async def test_who_never_asks_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, port: int, first: bytes, then: bytes
) -> None:
    """Also who has asked before, and whoever sends a byte now and then."""
    monkeypatch.setattr(asgi, "REQUEST_SECONDS", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            if first:
                writer.write(first)
                assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
            read = asyncio.ensure_future(reader.read())
            for byte in then + b"X: " * bool(then) + b"a" * 1000 * bool(then):
                writer.write(bytes([byte]))
                if read in (await asyncio.wait((read,), timeout=0.02))[0]:
                    break
            await read
    writer.close()


async def test_a_connection_that_asks_again_and_again_stays(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setattr(asgi, "REQUEST_SECONDS", 1.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(10):
        for _ in range(12):
            for part in (b"GET / HTTP/1.1\r\n", b"Host: localhost\r\n\r\n"):
                writer.write(part)
                await asyncio.sleep(0.05)
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
            await reader.read(100)
    writer.close()


async def test_what_the_application_does_wrong_is_still_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_scope: Any, _receive: Any, _send: Any) -> None:
        raise RuntimeError("broken")

    sock = listening_socket("127.0.0.1", 0, "TINY_PORT")
    async with serve_asgi(broken, sock, POLICY):
        assert (await ask(sock.getsockname()[1], request())).status == 500
    assert "broken" in caplog.text
