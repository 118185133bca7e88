import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client import Counter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from common.ops import listening_socket, ops_app
from common.web.access import AccessPolicy
from common.web.asgi import serve_asgi
from cottage.errors import SettingsError

COUNTED = Counter("cottage_test_ops_total", "Counts nothing but this test.")


class Fake:
    def __init__(self) -> None:
        self.problem: str | None = None
        self.chain: dict[str, Any] = {"redis": {"problem": None}}

    def not_ready(self) -> str | None:
        return self.problem

    def status(self) -> dict[str, Any]:
        return self.chain


@pytest.fixture
def reporter() -> Fake:
    return Fake()


def address(sock: socket.socket) -> str:
    return f"http://127.0.0.1:{sock.getsockname()[1]}"


@pytest.fixture
async def http(reporter: Fake) -> AsyncIterator[httpx.AsyncClient]:
    sock = listening_socket("127.0.0.1", 0, "TINY_OPS_PORT")
    async with (
        serve_asgi(ops_app(reporter), sock, AccessPolicy()),
        httpx.AsyncClient(base_url=address(sock), trust_env=False) as client,
    ):
        yield client


async def test_it_is_healthy_whenever_it_answers(http: httpx.AsyncClient, reporter: Fake) -> None:
    reporter.problem = "waiting for Redis"
    answer = await http.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "ok\n")


async def test_readiness_says_what_is_missing(http: httpx.AsyncClient, reporter: Fake) -> None:
    answer = await http.get("/readyz")
    assert (answer.status_code, answer.text) == (200, "ready\n")
    reporter.problem = "waiting for Redis"
    answer = await http.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "waiting for Redis\n")


async def test_the_status_is_json(http: httpx.AsyncClient, reporter: Fake) -> None:
    answer = await http.get("/status")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {**reporter.chain, "log": {"problem": None, "lines_dropped": 0}}


async def test_metrics_are_prometheus_text(http: httpx.AsyncClient) -> None:
    COUNTED.inc(3)
    answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "\ncottage_test_ops_total 3.0\n" in answer.text
    assert "cottage_test_ops_created" not in answer.text
    assert "process_resident_memory_bytes" in answer.text


async def test_only_these_paths_and_reading_are_served(http: httpx.AsyncClient) -> None:
    assert (await http.get("/")).status_code == 404
    assert (await http.post("/healthz")).status_code == 405
    assert (await http.head("/healthz")).status_code == 200


async def test_a_status_that_fails_ends_nothing_else(
    http: httpx.AsyncClient, reporter: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    reporter.chain = {"wrong": object()}
    with caplog.at_level(logging.CRITICAL):
        assert (await http.get("/status")).status_code == 500
    assert (await http.get("/healthz")).status_code == 200


async def test_a_server_on_any_address_of_this_machine() -> None:
    with listening_socket("0.0.0.0", 0, "X") as four:
        assert four.getsockname()[0] == "0.0.0.0"
    if socket.has_ipv6:
        with listening_socket("::1", 0, "X") as six:
            assert six.family is socket.AF_INET6


@pytest.mark.parametrize("host", ["999.1.1.1", "no-such-host.invalid", "192.0.2.1"])
def test_an_address_that_is_not_ours_is_named_with_its_setting(host: str) -> None:
    with pytest.raises(SettingsError, match=f"cannot listen on {host}:7.*set TINY_OPS_HOST.*TINY_OPS_PORT"):
        listening_socket(host, 7, "TINY_OPS_PORT")


def test_a_taken_port_is_named_with_its_setting() -> None:
    with listening_socket("127.0.0.1", 0, "X") as first:
        port = first.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"127\.0\.0\.1:{port} .*in use.*TINY_OPS_PORT"):
            listening_socket("127.0.0.1", port, "TINY_OPS_PORT")


async def test_a_port_can_be_had_again_at_once(reporter: Fake) -> None:
    sock = listening_socket("127.0.0.1", 0, "X")
    port = sock.getsockname()[1]
    async with serve_asgi(ops_app(reporter), sock, AccessPolicy()), httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
    listening_socket("127.0.0.1", port, "X").close()


async def test_a_request_that_never_ends_does_not_hold_the_end_up() -> None:
    begun = asyncio.Event()

    async def endless(_request: Request) -> Response:
        begun.set()
        await asyncio.Event().wait()
        return PlainTextResponse("never")

    sock = listening_socket("127.0.0.1", 0, "X")
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client, asyncio.timeout(30):
        async with serve_asgi(Starlette(routes=[Route("/", endless)]), sock, AccessPolicy()):
            request = asyncio.create_task(client.get(address(sock)))
            await begun.wait()
        with contextlib.suppress(httpx.HTTPError):  # cut off, or told so
            assert (await request).status_code >= 500


async def test_an_answer_in_two_parts_does_not_wait_for_the_first_to_be_acknowledged() -> None:
    """As a connection does whose small packets are gathered, by 40 ms."""
    accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    sock = listening_socket("127.0.0.1", 0, "X")
    async with await asyncio.start_server(lambda _reader, writer: accepted.put_nowait(writer), sock=sock):
        _reader, client = await asyncio.open_connection(*sock.getsockname())
        server = await accepted.get()
        assert server.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        for writer in (client, server):
            writer.close()
            await writer.wait_closed()
