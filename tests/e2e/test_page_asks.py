"""The web page before a real broadcaster that asks for tokens, over plain HTTP and over HTTPS, in a real browser."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import expect

from cottage.redis import Client
from deploy.redis_server import free_port
from tests.certificates import Authority
from tests.e2e.browser import chromium
from tests.integration.fanout import beat, bridging, broadcasting, state, write, write_all
from tests.integration.test_client_tokens import SECRET, minted
from tests.one_kind import on_one_kind

pytestmark = pytest.mark.browser
pytest_generate_tests = on_one_kind

PATIENCE_MS = 20_000
AT_ONCE_SECONDS = 4.0
"""A page that has to find out that it is asked for a token does so after 5 s."""


@asynccontextmanager
async def beating(client: Client) -> AsyncIterator[None]:
    """Feynman lives, until the block ends."""

    async def beats() -> None:
        while True:
            await beat(client)
            await asyncio.sleep(0.3)

    task = asyncio.create_task(beats())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_first_visitor_is_asked_at_once(
    redis_url: str, client: Client, tmp_path: Path, scheme: str
) -> None:
    tls = Authority(tmp_path).issue().settings() if scheme == "https" else {}
    bridge_port, port = free_port(), free_port()
    await write_all(client, {symbol: state(1, 1) for symbol in ("SPY", "QQQ")})
    async with (
        beating(client),
        bridging(redis_url, bridge_port),
        broadcasting(bridge_port, port, AUTH_SECRET=SECRET, **tls),
        chromium(any_certificate=True) as browser,
    ):
        page = await browser.new_page()
        dialled: list[str] = []
        problems: list[str] = []
        page.on("websocket", lambda socket: dialled.append(socket.url))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        url = f"{scheme}://localhost:{port}/"
        spy = page.locator("#states tbody tr[data-symbol=SPY]")

        await page.goto(url)
        loaded = time.monotonic()
        await expect(page.locator("#access")).to_be_visible()
        assert time.monotonic() - loaded < AT_ONCE_SECONDS
        assert dialled == []
        await page.screenshot(path=tmp_path / "asks.png")

        await page.fill("#access-token", minted("SPY", seconds=-60))
        await page.click("#access-use")
        await expect(page.locator("#access-why")).to_have_text("The token has expired.")
        await page.fill("#access-token", minted("SPY"))
        await page.click("#access-use")
        await expect(spy).to_be_visible()
        await expect(page.locator("#access")).to_be_hidden()
        assert set(dialled) == {f"{'wss' if tls else 'ws'}://localhost:{port}/ws"}
        await write(client, "SPY", state(1, 400))
        await expect(spy).to_contain_text("850")
        await expect(page.locator("#states tbody tr[data-symbol]")).to_have_count(1)
        await page.screenshot(path=tmp_path / "served.png")

        await page.reload()
        await expect(spy).to_be_visible()
        assert problems == []
