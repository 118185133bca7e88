"""A broadcaster behind a real nginx, configured as docs/running.md prints it: page and stream under a path."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import structlog
from playwright.async_api import expect
from structlog.typing import EventDict
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from deploy.redis_server import free_port
from services.broadcaster.service import StateBroadcaster
from tests.common.web.raw_http import ask, handshake, request
from tests.e2e.browser import chromium
from tests.integration.fanout import broadcasting
from tests.support import ROOT, eventually, reachable

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
LOCATION = re.search(r"^```nginx\n(.*?)^```", (ROOT / "docs" / "running.md").read_text(), re.MULTILINE | re.DOTALL)
WHOLE = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off; {temporary}
  server {{ listen 127.0.0.1:{port}; {location} }}
}}
"""

pytestmark = pytest.mark.skipif(NGINX is None, reason="no nginx on this machine: it comes with Debian's nginx-light")


@pytest.fixture
def said() -> Iterator[list[EventDict]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


@asynccontextmanager
async def nginx(folder: Path, broadcaster: int) -> AsyncIterator[int]:
    """The port of an nginx in front of a broadcaster's."""
    assert NGINX is not None
    assert LOCATION is not None
    port = free_port()
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    config = WHOLE.format(
        folder=folder,
        port=port,
        location=LOCATION[1].replace(":8765/", f":{broadcaster}/"),
        temporary=" ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds),
    )
    (folder / "nginx.conf").write_text(config)
    process = await asyncio.create_subprocess_exec(
        NGINX, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log"), "-p", str(folder)
    )
    try:
        await eventually(lambda: reachable(port))
        yield port
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def proxied(
    folder: Path, *, trusted: bool = True, limit: int = 0
) -> AsyncIterator[tuple[int, StateBroadcaster]]:
    """The port of the proxy, and the broadcaster behind it."""
    port = free_port()
    settings: dict[str, Any] = {
        "ALLOWED_HOSTS": ("cottage.example",),
        "trusted_proxies": (ip_network("127.0.0.1"),) if trusted else (),
        "max_connections_per_address": limit,
    }
    async with broadcasting(free_port(), port, ready=False, **settings) as broadcaster:
        await eventually(lambda: reachable(port))
        async with nginx(folder, port) as proxy:
            yield proxy, broadcaster


@pytest.mark.parametrize("path", ["", "cottage.js", "cottage.d.ts", "app.js", "style.css"])
async def test_page_and_module_under_a_path(tmp_path: Path, path: str) -> None:
    async with proxied(tmp_path) as (port, _broadcaster):
        for host in ("cottage.example", f"127.0.0.1:{port}"):
            answer = await ask(port, request(f"/cottage/{path}", host=host))
            assert (answer.status, answer.body != b"") == (200, True)
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert (await ask(port, request(f"/cottage/{path}", host="evil.example"))).status == 421


async def test_the_stream_under_a_path(tmp_path: Path) -> None:
    async with proxied(tmp_path) as (port, _broadcaster):
        url = f"ws://127.0.0.1:{port}/cottage/ws"
        for origin in (f"http://127.0.0.1:{port}", "https://127.0.0.1"):
            async with connect(url, proxy=None, origin=Origin(origin)) as client:
                assert b"SNAPSHOT" in await client.recv(decode=False)
        for origin in ("null", "http://evil.example", "https://cottage.example"):
            with pytest.raises(InvalidStatus, match="403"):
                await connect(url, proxy=None, origin=Origin(origin))
        granted = handshake("/cottage/ws", "Origin: https://cottage.example", host="cottage.example")
        assert (await ask(port, granted)).status == 101


@pytest.mark.browser
@pytest.mark.parametrize("path", ["/cottage/", "/cottage"])
async def test_the_page_connects_under_a_path(tmp_path: Path, path: str) -> None:
    async with proxied(tmp_path) as (port, _broadcaster), chromium() as browser:
        page = await browser.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
        await page.goto(f"http://127.0.0.1:{port}{path}")
        await expect(page.locator("#phase")).to_have_text("Connected", timeout=20_000)
        assert complaints == []


async def test_clients_have_their_own_addresses(tmp_path: Path, said: list[EventDict]) -> None:
    """Through a second proxy, whose address is trusted too, comes who it says."""
    async with proxied(tmp_path, limit=1) as (port, broadcaster):
        for forged in ("", "Forwarded: for=1.2.3.4"):
            lines = [f"X-Forwarded-For: 1.2.3.4, 203.0.113.{len(forged)}", *([forged] if forged else [])]
            assert (await ask(port, handshake("/cottage/ws", *lines, host="cottage.example"))).status == 101
        await eventually(lambda: {"203.0.113.0", "203.0.113.22"} <= {line.get("peer") for line in said})
        async with connect(f"ws://127.0.0.1:{port}/cottage/ws", proxy=None):
            await eventually(lambda: broadcaster.status()["clients"] == 1)
            full = await ask(port, handshake("/cottage/ws", host="cottage.example"))
            assert (full.status, full.headers["retry-after"].isdigit()) == (503, True)
            other = handshake("/cottage/ws", "X-Forwarded-For: 203.0.113.9", host="cottage.example")
            assert (await ask(port, other)).status == 101


async def test_who_is_not_trusted_is_one_address(tmp_path: Path) -> None:
    async with (
        proxied(tmp_path, trusted=False, limit=1) as (port, broadcaster),
        connect(f"ws://127.0.0.1:{port}/cottage/ws", proxy=None),
    ):
        await eventually(lambda: broadcaster.status()["clients"] == 1)
        other = handshake("/cottage/ws", "X-Forwarded-For: 203.0.113.9", host="cottage.example")
        assert (await ask(port, other)).status == 503
