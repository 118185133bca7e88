"""What a page of another origin can have of a broadcaster and of the API, in a real browser."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Page

from tests.e2e.browser import chromium
from tests.e2e.suite import Suite, suite
from tests.one_kind import on_one_kind

pytestmark = pytest.mark.browser
pytest_generate_tests = on_one_kind

TRY = """async (urls) => {
  const outcomes = {};
  for (const [name, url] of Object.entries(urls)) {
    if (url.startsWith("ws:")) {
      outcomes[name] = await new Promise((resolve) => {
        const socket = new WebSocket(url, "cottage.v1");
        socket.onopen = () => resolve("open");
        socket.onclose = () => resolve("closed");
      });
    } else if (url.endsWith(".js")) {
      outcomes[name] = await import(url).then((module) => Object.keys(module).includes("Cottage"), () => "closed");
    } else {
      outcomes[name] = await fetch(url).then((answer) => answer.status, () => "closed");
    }
  }
  return outcomes;
}"""


@asynccontextmanager
async def foreign_page() -> AsyncIterator[Page]:
    """An empty page of localhost, which is another host than 127.0.0.1."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<!doctype html>")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, chromium() as browser:
        page = await browser.new_page()
        await page.goto(f"http://localhost:{server.sockets[0].getsockname()[1]}/")
        yield page


async def urls(running: Suite) -> dict[str, str]:
    ops = {name: await process.ops_url() + "/metrics" for name, process in running.processes.items()}
    data = {"page": running.page_url, "api": running.api_url + "/v1/physics", **ops}
    return {**data, "link": running.link_url, "stream": running.ws_url, "module": running.page_url + "cottage.js"}


async def tried(page: Page, running: Suite) -> dict[str, Any]:
    outcomes: dict[str, Any] = await page.evaluate(TRY, await urls(running))
    return outcomes


async def test_a_foreign_page_may_import_the_module_and_nothing_else(redis_url: str) -> None:
    async with foreign_page() as page, suite(redis_url) as running:
        outcomes = await tried(page, running)
        assert outcomes.pop("module") is True, outcomes
        assert set(outcomes.values()) == {"closed"}, outcomes


async def test_a_listed_page_may_have_everything(redis_url: str) -> None:
    async with foreign_page() as page, suite(redis_url, {"ALLOWED_ORIGINS": page.url.rstrip("/")}) as running:
        outcomes = await tried(page, running)
        assert outcomes.pop("module") is True, outcomes
        assert (outcomes.pop("link"), outcomes.pop("stream")) == ("open", "open")
        assert set(outcomes.values()) == {200}, outcomes
