"""How the web page comes to a token and what becomes of it, in a real browser, before a server that asks for one."""

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import orjson
import pytest
import uvicorn
from playwright.async_api import Browser, Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from cottage import protocol
from cottage.clock import iso_millis
from cottage.freshness import Freshness
from deploy.redis_server import free_port
from services.broadcaster import static_files
from services.broadcaster.page_access import PageAccess
from tests.e2e.browser import chromium
from tests.support import eventually

pytestmark = pytest.mark.browser

PATIENCE_MS = 20_000
CANARY = "Canary"
"""Every good token has it in its signature, so that it can be looked for."""


def token(seconds: float, name: str = "a") -> str:
    """A token that says that it holds for so long."""
    parts = [{"alg": "HS256"}, {"sub": "me", "jti": name, "exp": int(time.time() + seconds)}]
    encoded = [base64.urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, f"{CANARY}{name}"])


@dataclass(slots=True)
class AskingServer:
    """A broadcaster's page and WebSocket for those who show one of the `good` tokens, and an issuer of tokens
    that checks what it is asked for as RFC 6749 and RFC 7636 say."""

    access: PageAccess = field(default_factory=lambda: PageAccess(asks=True))
    good: set[str] = field(default_factory=set)
    asks: bool = True
    shown: list[str] = field(default_factory=list)
    renewed: list[str] = field(default_factory=list)
    issues: str = ""
    asked: dict[str, str] = field(default_factory=dict)
    """What the browser asked the issuer for last."""
    exchanged: int = 0
    answers_with_state: str | None = None
    """Instead of the state that was asked with."""
    sockets: list[WebSocket] = field(default_factory=list)

    def app(self) -> Starlette:
        files = [Route(path, self._file) for path in static_files.load()]
        routes = [WebSocketRoute("/ws", self._follow), Route("/authorize", self._authorize)]
        return Starlette(routes=[*routes, Route("/token", self._token, methods=["POST"]), *files])

    async def _file(self, request: Request) -> Response:
        found = static_files.load(self.access)[request.url.path]
        return Response(found.body, headers={**found.headers, "Content-Type": f"{found.media_type}; charset=utf-8"})

    async def _follow(self, socket: WebSocket) -> None:
        offered = socket.headers["sec-websocket-protocol"].split(", ")
        self.shown += [each.removeprefix("bearer.") for each in offered if each.startswith("bearer.")] or [""]
        await socket.accept(subprotocol="cottage.v1")
        if self.asks and self.shown[-1] not in self.good:
            await socket.close(4401, "missing" if self.shown[-1] == "" else "expired")
            return
        self.sockets.append(socket)
        now = iso_millis(time.time())
        upstream = Freshness("live", None, 0.1)
        update = {"event": "PHYSICS_UPDATE", "symbol": "SPY", "timestamp": now, "epoch": 1, "seq": 1}
        payload = orjson.dumps(
            {**update, "data": {"alpha": 2.8, "regime": "Gaussian", "price": 450.3, "source": "live"}}
        )
        await socket.send_text(protocol.snapshot(now, [payload], last=True, complete=True, missing=[]).decode())
        await socket.send_text(protocol.heartbeat(now, upstream, None).decode())
        try:
            while True:
                asked = orjson.loads(await socket.receive_text())
                if asked["action"] == "ping":
                    await socket.send_text(protocol.pong(iso_millis(time.time()), asked["id"], upstream).decode())
                if asked["action"] == "auth":
                    self.renewed.append(asked["token"])
                    answer = {"event": "ACK", "action": "auth", "symbols": ["*"], "events": [], "id": asked["id"]}
                    expires = iso_millis(time.time() + 3600)
                    await socket.send_text(orjson.dumps({**answer, "expires": expires}).decode())
        except WebSocketDisconnect:
            pass

    async def _authorize(self, request: Request) -> Response:
        self.asked = dict(request.query_params)
        state = self.asked["state"] if self.answers_with_state is None else self.answers_with_state
        back = urlencode({"code": "c0de", "state": state})
        return RedirectResponse(f"{self.asked['redirect_uri']}?{back}", 302)

    async def _token(self, request: Request) -> Response:
        self.exchanged += 1
        given = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        digest = hashlib.sha256(given["code_verifier"].encode()).digest()
        fits = base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == self.asked["code_challenge"]
        same = all(given[name] == self.asked[name] for name in ("client_id", "redirect_uri"))
        good = fits and same and given["code"] == "c0de" and given["grant_type"] == "authorization_code"
        cors = {"Access-Control-Allow-Origin": "*"}
        answer: dict[str, Any] = {"access_token": self.issues} if good else {"error": "invalid_grant"}
        return JSONResponse(answer, 200 if good else 400, headers=cors)


@asynccontextmanager
async def served(server: AskingServer) -> AsyncIterator[str]:
    port = free_port()
    config = uvicorn.Config(
        server.app(), "127.0.0.1", port, ws="websockets-sansio", log_level="warning", lifespan="off"
    )
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve())
    await eventually(lambda: running.started)
    yield f"http://127.0.0.1:{port}/"
    running.force_exit = running.should_exit = True
    await task


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page whose errors fail the test."""
    context = await browser.new_context()
    made = await context.new_page()
    problems: list[str] = []
    made.on("pageerror", lambda error: problems.append(str(error)))
    made.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    made.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    yield made
    await context.close()
    assert [each for each in problems if "ERR_CONNECTION_REFUSED" not in each] == [], "but for a server that ended"


async def nowhere(page: Page) -> None:
    """No token is in the document, nor in a field, the title or the address."""
    there = await page.evaluate(
        "() => [document.documentElement.outerHTML, document.title, location.href, document.cookie,"
        " ...[...document.querySelectorAll('input')].map(({ value }) => value),"
        " JSON.stringify(localStorage), JSON.stringify(history.state)].join()"
    )
    assert CANARY not in there


async def paste(page: Page, text: str) -> None:
    await page.fill("#access-token", text)
    await page.click("#access-use")


async def test_a_token_is_asked_for_pasted_and_kept_for_the_tab_alone(
    browser: Browser, page: Page, tmp_path: Path
) -> None:
    good = token(3600)
    server = AskingServer(good={good})
    async with served(server) as url:
        await page.goto(url)
        await expect(page.locator("#access")).to_be_visible()
        await expect(page.locator("#phase")).to_have_text("No access")
        await page.screenshot(path=tmp_path / "asks.png")
        assert server.shown == [], "where the page knows that it is asked, nothing is dialled without a token"
        await page.keyboard.press("Escape")
        await expect(page.locator("#access")).to_be_visible()
        await paste(page, f"  Bearer {good} ")
        await expect(page.locator("#states tbody tr[data-symbol=SPY]")).to_be_visible()
        await expect(page.locator("#access")).to_be_hidden()
        await expect(page.locator("#access-ends")).to_be_hidden()
        assert server.shown == [good]
        await nowhere(page)
        await page.reload()
        await expect(page.locator("#states tbody tr[data-symbol=SPY]")).to_be_visible()
        assert server.shown == [good, good]
        other = await page.context.new_page()
        await other.goto(url)
        await expect(other.locator("#access")).to_be_visible()
        await other.close()
        await page.screenshot(path=tmp_path / "signed_in.png")
        await page.click("#access-out")
        await expect(page.locator("#access")).to_be_visible()
        await expect(page.locator("#states tbody tr[data-symbol]")).to_have_count(0)
        assert await page.evaluate("JSON.stringify(sessionStorage)") == "{}"


async def test_a_wrong_token_is_said_and_another_may_be_given(page: Page, tmp_path: Path) -> None:
    good, wrong = token(3600), token(3600, "b")
    server = AskingServer(good={good})
    async with served(server) as url:
        await page.goto(url)
        await paste(page, "no token at all")
        await expect(page.locator("#access-why")).to_have_text("That is no token.")
        await paste(page, wrong)
        await expect(page.locator("#access-why")).to_have_text("The token has expired.")
        await page.screenshot(path=tmp_path / "wrong.png")
        await nowhere(page)
        assert await page.evaluate("JSON.stringify(sessionStorage)") == "{}"
        await paste(page, wrong)
        await expect(page.locator("#access-why")).to_have_text("That is the same token again.")
        assert server.shown == [wrong]
        await paste(page, good)
        await expect(page.locator("#states tbody tr[data-symbol=SPY]")).to_be_visible()
        await nowhere(page)


async def test_a_server_that_did_not_say_so_may_ask_too(page: Page) -> None:
    good = token(3600)
    server = AskingServer(access=PageAccess(), good={good})
    async with served(server) as url:
        await page.goto(url)
        await expect(page.locator("#access")).to_be_visible()
        await expect(page.locator("#access-why")).to_have_text("")
        await paste(page, good)
        await expect(page.locator("#states tbody tr[data-symbol=SPY]")).to_be_visible()
        assert server.shown == ["", good]


async def test_the_end_is_said_ahead_and_a_new_token_renews_the_connection(page: Page, tmp_path: Path) -> None:
    soon, later = token(120), token(3600, "b")
    server = AskingServer(good={soon, later})
    async with served(server) as url:
        await page.goto(url)
        await paste(page, soon)
        await expect(page.locator("#access-ends-words")).to_have_text("Your access ends soon.")
        await expect(page.locator("#access-left")).to_contain_text("In ")
        await page.screenshot(path=tmp_path / "ends.png")
        await page.click("#access-renew")
        await paste(page, later)
        await expect(page.locator("#access-ends")).to_be_hidden()
        assert (server.shown, server.renewed) == ([soon], [later])
        await nowhere(page)


async def test_signing_in_with_a_code_and_pkce(page: Page, tmp_path: Path) -> None:
    good = token(3600)
    issuer, server = AskingServer(issues=good), AskingServer(good={good})
    async with served(issuer) as there, served(server) as url:
        server.access = PageAccess(True, "", f"{there}authorize", f"{there}token", "the-page", "openid")
        await page.goto(url)
        await page.screenshot(path=tmp_path / "sign_in.png")
        await page.click("#access-sign-in")
        await expect(page.locator("#states tbody tr[data-symbol=SPY]")).to_be_visible()
        assert page.url == url
        assert issuer.asked["code_challenge_method"] == "S256"
        assert (issuer.asked["client_id"], issuer.asked["scope"]) == ("the-page", "openid")
        assert len(issuer.asked["state"]) >= 32
        assert server.shown == [good]
        await nowhere(page)
        assert list(await page.evaluate("Object.keys(sessionStorage)")) == ["cottage.token"]


@pytest.mark.parametrize("state", ["another", ""])
async def test_an_answer_that_nobody_asked_for_is_not_taken(page: Page, state: str, tmp_path: Path) -> None:
    issuer, server = AskingServer(issues=token(3600), answers_with_state=state), AskingServer()
    async with served(issuer) as there, served(server) as url:
        server.access = PageAccess(True, "", f"{there}authorize", f"{there}token", "the-page")
        await page.goto(url)
        await page.click("#access-sign-in")
        await expect(page.locator("#why")).to_contain_text("This tab did not ask for that sign-in.")
        assert page.url == f"{url}callback.html", "the code is not in the address"
        assert issuer.exchanged == 0
        assert await page.evaluate("JSON.stringify(sessionStorage)") == "{}"
        await page.screenshot(path=tmp_path / "did_not_work.png")
        await page.click("#back")
        await expect(page.locator("#access")).to_be_visible()


@pytest.mark.parametrize("where", ["#{}", "#access_token={}", "#token={}", "callback.html#access_token={}&state=x"])
async def test_a_token_in_a_fragment_is_not_taken(page: Page, where: str) -> None:
    good = token(3600)
    server = AskingServer(good={good})
    async with served(server) as url:
        await page.goto(url + where.format(good))
        shown = "#why" if "callback" in where else "#access"
        await expect(page.locator(shown)).to_be_visible()
        await asyncio.sleep(0.3)
        assert await page.evaluate("JSON.stringify(sessionStorage)") == "{}"
        assert server.shown == []


async def test_no_text_becomes_code(browser: Browser) -> None:
    async with served(AskingServer(asks=False, access=PageAccess())) as url:
        page = await browser.new_page()
        said: list[str] = []
        page.on("console", lambda each: said.append(each.text))
        await page.goto(url)
        await expect(page.locator("#states tbody tr[data-symbol=SPY]")).to_be_visible()
        await page.evaluate(
            "() => { const script = document.createElement('script'); script.append('window.bad = 1');"
            " document.body.append(script); }"
        )
        with pytest.raises(Exception, match="TrustedHTML"):
            await page.evaluate("() => { document.body.innerHTML = '<img src=x onerror=\"window.bad = 1\">'; }")
        await page.evaluate("() => { location.href = 'javascript:window.bad = 1' }")
        await page.evaluate(
            "() => { const form = document.createElement('form'); form.action = '/elsewhere'; form.method = 'post';"
            " document.body.append(form); form.submit(); }"
        )
        await page.evaluate("() => fetch('http://127.0.0.1:9/').catch(() => {})")
        await asyncio.sleep(0.3)
        assert await page.evaluate("window.bad") is None
        assert page.url == url
        assert any("connect-src" in each or "Connecting to" in each for each in said), said
        await page.close()


async def test_a_page_that_nobody_asks_is_as_it_was(page: Page, tmp_path: Path) -> None:
    server = AskingServer(asks=False, access=PageAccess())
    async with served(server) as url:
        await page.goto(url)
        await expect(page.locator("#states tbody tr[data-symbol=SPY]")).to_be_visible()
        for hidden in ("#access", "#access-out", "#access-ends"):
            await expect(page.locator(hidden)).to_be_hidden()
        assert server.shown == [""]
        await page.screenshot(path=tmp_path / "nobody_is_asked.png")
