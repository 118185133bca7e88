"""Handshakes and requests for files, by raw sockets: what RFC 6455 and RFC 9112 ask of a server, and refusals."""

import asyncio
import socket
from ipaddress import ip_network
from typing import Any

import pytest
import structlog
from structlog.typing import EventDict
from websockets.frames import Frame, Opcode

from common.fanout import server
from common.fanout.server import HANDSHAKES_REFUSED
from common.web import access
from common.web.access import AccessPolicy
from common.web.proxies import TrustedProxies
from cottage.log import Throttled
from tests.common.fanout.sockets import NewLoop, both_loops, close_soon, reset, run
from tests.common.fanout.test_server import Served, serving
from tests.common.web.raw_http import Answer, ask, complaints, garbage, handshake, request
from tests.support import eventually

POLICY = AccessPolicy(["cottage.example"], ["https://desk.example"])


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What is logged meanwhile, with nothing held back from earlier tests."""
    monkeypatch.setattr(server, "throttled", Throttled(server.log, seconds=600.0))
    monkeypatch.setattr(access, "throttled", Throttled(access.log, seconds=600.0))
    close_soon(monkeypatch)
    with structlog.testing.capture_logs() as captured:
        yield captured


async def answer(data: bytes, policy: AccessPolicy = POLICY) -> Answer:
    async with serving(access=policy) as served:
        return await ask(served.address[1], data)


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        (handshake(without="Host"), {400}),
        (handshake("/ws", "Host: localhost"), {400}),
        (handshake(host=""), {400}),
        (handshake(host="a b"), {400}),
        (handshake(host="evil.example"), {421}),
        (handshake("http://evil.example/ws"), {421}),
        (handshake("http://localhost/ws", host="evil.example"), {421}),
        (handshake("/ws", "Origin: http://evil.example"), {403}),
        (handshake("/ws", "Origin: null"), {403}),
        (handshake("/ws", "Origin: http://localhost", "Origin: http://evil.example"), {403}),
        (handshake("/ws", "X-Forwarded-Host: evil.example", "Origin: http://evil.example"), {403}),
        (handshake("/ws", *(f"X-{number}: {'a' * 1000}" for number in range(64))), {431}),
        (handshake("/ws", *(f"X-{number}: {'a' * 1000}" for number in range(17))), {431}),
        (handshake("/ws", *(f"X-{number}: a" for number in range(200))), {431}),
        (handshake("/ws", "X: " + "a" * 2**20), {431}),
        (handshake("/ws?symbols=" + "A" * 100_000), {414}),
        (b"GET /ws HTTP/1.1\r\nX: " + b"a" * 8000 + b"\r\nX: " + b"b" * 8000 + b"\r\nX: " + b"c" * 30_000, {431}),
        (request("/", "Content-Length: 5", method="POST") + b"hello", {400}),
        (request("/", "Transfer-Encoding: chunked", method="POST") + b"0\r\n\r\n", {400}),
        (request("/", version="2.0"), {400}),
        (request("/", "X : a"), {400}),
        (request("/", " folded"), {400}),
        (request("/").replace(b"\r\n", b"\n"), {400}),
        (b"\x16\x03\x01\x02\x00" + b"\xff" * 200 + b"\r\n\r\n", {400}),
        (handshake(without="Sec-WebSocket-Key"), {400}),
        (handshake("/ws", "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg=="), {400}),
        (handshake("/ws", "Sec-WebSocket-Key: abc", without="Sec-WebSocket-Key"), {400}),
        (handshake("/ws", "Sec-WebSocket-Version: 12", without="Sec-WebSocket-Version"), {400, 426}),
        (handshake("/ws", "Sec-WebSocket-Protocol: other.v9"), {400}),
        (handshake(without="Upgrade"), {426}),
        (handshake(method="POST"), {405}),
        (handshake(method="HEAD"), {405}),
        (request("/ws", version="1.0"), {505}),
        (request("/../../etc/passwd"), {404}),
        (request("/", method="POST"), {405}),
        (request("/", "Origin: http://evil.example"), {403}),
    ],
)
async def test_what_is_refused(data: bytes, statuses: set[int], said: list[EventDict]) -> None:
    answered = await answer(data)
    assert answered.status in statuses
    assert "access-control-allow-origin" not in answered.headers
    assert len(said) == 1, "it is said once"


@pytest.mark.parametrize(
    "data",
    [
        *(handshake(), handshake(host="127.0.0.1:1"), handshake(host="[::1]:8765"), handshake(host="LOCALHOST.")),
        handshake(host="Cottage.example:443"),
        handshake("http://localhost:8765/ws?symbols=SPY"),
        handshake("/ws", "Origin: http://localhost:8765"),
        handshake("/ws", "Origin: https://localhost"),
        handshake("/ws", "Origin: https://desk.example"),
        handshake("/ws", *(f"X-{number}: {'a' * 1000}" for number in range(15))),
        handshake("/ws", "Sec-WebSocket-Protocol: chat, cottage.v1"),
    ],
)
async def test_what_is_granted(data: bytes) -> None:
    assert (await answer(data)).status == 101


@both_loops
def test_who_ends_its_side_after_asking_is_answered(new_loop: NewLoop, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with serving() as served:
            for _ in range(5):
                page = await ask(served.address[1], request("/"), and_end=True)
                assert (page.status, page.body) == (200, b"<!doctype html>")
                assert (await ask(served.address[1], request("/none"), and_end=True)).status == 404
                assert (await ask(served.address[1], handshake(), and_end=True)).status == 101
            await eventually(lambda: not served.server._connections)

    run(new_loop, scenario)
    assert complaints(caplog.records) == []


@both_loops
def test_what_comes_after_a_request_costs_no_answer(new_loop: NewLoop, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with serving() as served:
            for after in (request("/"), handshake(), b"\r\n", b"\x81\x80\0\0\0\0", b"garbage"):
                assert (await ask(served.address[1], request("/") + after)).status == 200
                assert (await ask(served.address[1], request("/none") + after)).status == 404
                assert (await ask(served.address[1], handshake() + after)).status == 101
            await eventually(lambda: not served.server._connections)

    run(new_loop, scenario)
    assert complaints(caplog.records) == []


@both_loops
def test_who_is_gone_before_its_request_is_read_takes_no_place(new_loop: NewLoop) -> None:
    """Each took one for ever: so many connections that are reset, and the house was full."""

    async def scenario() -> None:
        async with serving(connections=3) as served:
            for data in (handshake(), request("/ws")):
                for _ in range(20):
                    reset(socket.create_connection(served.address), data)
                    await asyncio.sleep(0.002)
            await eventually(lambda: not served.server._connections)
            assert served.server._admission._inside == 0
            assert not served.server._admission._by_address
            async with served.connect("/ws"), served.connect("/ws"), served.connect("/ws"):
                pass

    run(new_loop, scenario)


async def test_a_frame_that_came_with_the_handshake_is_read() -> None:
    async with serving() as served:
        for cut in range(6):  # the end of the request comes in two pieces
            reader, writer = await asyncio.open_connection("127.0.0.1", served.address[1])
            asked = handshake()
            writer.write(asked[: len(asked) - cut])
            await asyncio.sleep(0.01)
            writer.write(asked[len(asked) - cut :] + Frame(Opcode.PING, b"early").serialize(mask=True))
            async with asyncio.timeout(10):
                assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
                await reader.readuntil(b"early")
            writer.close()


async def test_a_refusal_says_what_to_set_and_is_counted(said: list[EventDict]) -> None:
    before = HANDSHAKES_REFUSED.labels("403")._value.get()
    async with serving(access=POLICY) as served:
        for _ in range(20):
            refused = await ask(served.address[1], handshake("/ws", "Origin: http://evil.example"))
            assert (refused.status, b"ALLOWED_ORIGINS" in refused.body) == (403, True)
    assert HANDSHAKES_REFUSED.labels("403")._value.get() == before + 20
    (line,) = said
    assert (line["event"], line["origin"]) == ("request_not_allowed", "http://evil.example")
    assert "ALLOWED_ORIGINS" in line["error"]


async def test_files_have_their_headers() -> None:
    page = await answer(request("/"))
    assert page.status == 200
    assert page.headers["content-security-policy"] == "default-src 'none'"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in page.headers
    headed = await answer(request("/", method="HEAD"))
    assert (headed.status, headed.headers, headed.body) == (200, page.headers, b"")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://desk.example"])
async def test_what_is_public_may_be_imported_from_anywhere(origin: str) -> None:
    module = await answer(request("/cottage.js", f"Origin: {origin}"))
    assert (module.status, module.body) == (200, b"export {};")
    assert module.headers["access-control-allow-origin"] == "*"
    assert module.headers["cross-origin-resource-policy"] == "cross-origin"
    assert (await answer(request("/cottage.js", f"Origin: {origin}", host="evil.example"))).status == 421


@pytest.mark.parametrize(
    ("target", "method", "status"),
    [
        ("/", "GET", 200),
        ("/", "HEAD", 200),
        ("/", "POST", 405),
        ("/none", "GET", 404),
        ("/ws", "GET", 426),
        ("/ws", "HEAD", 405),
        ("/ws?symbols=spy!", "GET", 400),
        ("/ws?token=abc", "GET", 400),
    ],
)
async def test_a_listed_origin_may_read_each_answer(target: str, method: str, status: int) -> None:
    """So that its page, which is told nothing of a handshake in vain, can ask why."""
    listed = await answer(request(target, "Origin: https://desk.example", method=method))
    assert (listed.status, listed.headers["access-control-allow-origin"]) == (status, "https://desk.example")
    other = await answer(request(target, "Origin: http://localhost", method=method))
    assert (other.status, other.headers["vary"], listed.headers["vary"]) == (status, "origin", "origin")
    assert "access-control-allow-origin" not in other.headers
    assert "access-control-allow-credentials" not in listed.headers


async def test_garbage_is_one_line_of_a_kind(said: list[EventDict], caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as served:
        await garbage(served.address[1], 5)
        await eventually(lambda: not served.server._connections)
    events = [line["event"] for line in said]
    assert sorted(set(events)) == ["handshake_failed", "handshake_refused", "request_not_allowed"]
    assert len(events) == 3
    assert complaints(caplog.records) == []


async def test_behind_a_trusted_proxy_each_client_has_its_own_address(said: list[EventDict]) -> None:
    trusting = AccessPolicy(["cottage.example"], [], TrustedProxies([ip_network("127.0.0.0/8")]))

    async def status(served: Served, client: str) -> int:
        lines = [f"X-Forwarded-For: 1.2.3.4, {client}", "X-Forwarded-Host: cottage.example"]
        origin = "Origin: https://cottage.example"
        return (await ask(served.address[1], handshake("/ws", *lines, origin, host="upstream"))).status

    async with serving(access=trusting, connections_per_address=1) as served:
        async with served.connect():  # of the proxy itself
            assert await status(served, "203.0.113.7") == 101
            assert await status(served, "203.0.113.8") == 101
            assert await status(served, "127.0.0.1") == 101, "1.2.3.4, through two proxies"
            await eventually(lambda: len(served.hub) == 1)
            assert await status(served, "203.0.113.7") == 101, "it left, and was counted so"
        await eventually(lambda: not served.hub)
    peers = {line["peer"] for line in said if line["event"] == "client_left"}
    assert {"203.0.113.7", "203.0.113.8"} < peers
    async with serving(access=AccessPolicy(), connections_per_address=1) as served, served.connect():
        forged = await ask(served.address[1], handshake("/ws", "X-Forwarded-For: 203.0.113.7"))
        assert forged.status == 503, "nobody believes it"
