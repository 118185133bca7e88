"""The web page in a real browser, fed by a real bridge and broadcaster; the test itself plays Feynman."""

import asyncio
import contextlib
import io
import itertools
import re
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect
from rich.console import Console

from cottage import keys
from cottage.cli.table import render
from cottage.cli.view import View
from cottage.client.state_client import StateClient
from cottage.clock import iso_millis
from cottage.messages import Heartbeat, feed_refusals
from cottage.redis import Client, connect
from cottage.state import PhysicsState
from cottage.store import MarketFeeds
from cottage.version import Version
from deploy.redis_server import RunningServer, Server, free_port, start
from tests.e2e.browser import chromium
from tests.e2e.suite import Suite
from tests.integration.fanout import hold
from tests.support import IN_MEMORY, eventually

pytestmark = pytest.mark.browser

PATIENCE_MS = 20_000
SEEN_SOON = {  # a broken hop is told within a second
    "BRIDGE_SILENCE_SECONDS": "1",
    "BRIDGE_REREAD_SECONDS": "0.5",
    "BRIDGE_HEARTBEAT_SECONDS": "0.2",
    "BROADCASTER_HEARTBEAT_SECONDS": "0.2",
}
SCROLL_BAR = 15
"""The pixels that one takes beside the table; the browser of these tests draws none."""
ROWS = "#states tbody tr[data-symbol]"


class Feynman:
    """Writes and publishes states under a lease, and a HEARTBEAT while it `beats`. Its epoch is its start."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._epoch = int(time.time() * 1000)
        self._seq = 0
        self.feed_lives = True

    async def begin(self) -> None:
        await hold(self._client, self._epoch)

    async def refuses(self, shard: str, data: dict[str, Any]) -> None:
        message = feed_refusals(shard, iso_millis(time.time()), data)
        await self._client.publish(keys.STATE_UPDATE, message.payload)

    async def write(self, *symbols: str, age: float = 0.0, **fields: Any) -> None:
        """The same state for each of `symbols`. Its sample is `age` seconds old."""
        values: dict[str, Any] = {
            "mass": 0.42,
            "momentum": -1.23,
            "friction": 0.15,
            "entropy": 0.08,
            "nash_dist": 0.05,
            "regime": "Gaussian",
            "alpha_coefficient": 2.8,
            "price": 450.32,
            "samples": 1000,
            "nonzero": 812,
            "source": "live",
            "timestamp": iso_millis(time.time() - age),
        }
        await hold(self._client, self._epoch)
        pipeline = self._client.pipeline()
        for symbol in symbols:
            self._seq += 1
            state = PhysicsState(**{**values, **fields}, version=Version(self._epoch, self._seq))
            pipeline.set(keys.physics_state(symbol), state.to_bytes())
            pipeline.publish(keys.STATE_UPDATE, state.update(symbol))
        await pipeline.execute()

    async def beat(self) -> None:
        while True:
            self._seq += 1
            await hold(self._client, self._epoch)
            now = time.time()
            heartbeat = Heartbeat(Version(self._epoch, self._seq), now, "0/1", 1, self._seq)
            await self._client.publish(keys.STATE_UPDATE, heartbeat.to_bytes(iso_millis(now)))
            if self.feed_lives:  # else it would be down after 3 s
                await MarketFeeds(self._client).announce("LIVE", {"source": "live"})
            await asyncio.sleep(0.2)

    @asynccontextmanager
    async def beats(self) -> AsyncIterator[None]:
        beating = asyncio.create_task(self.beat())
        try:
            yield
        finally:
            beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beating

    async def remove(self, symbol: str) -> None:
        await self._client.delete(keys.physics_state(symbol))


@pytest.fixture(scope="module")
def page_redis(
    server_binaries: dict[str, Server], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """One server for all: what the page shows does not depend on its kind."""
    folder = tmp_path_factory.mktemp("page")
    with start(server_binaries["valkey"], folder, free_port(), config=None, arguments=IN_MEMORY) as running:
        yield running


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def suite(page_redis: RunningServer) -> AsyncIterator[Suite]:
    """Bridge and broadcaster on an empty Redis."""
    async with connect(page_redis.url) as client, AsyncExitStack() as stack:
        await client.flushall()
        running = Suite(page_redis.url, SEEN_SOON, stack)
        for name in ("bridge", "broadcaster"):
            await (await running.start(name)).ready()
        yield running


@pytest.fixture
async def feynman(page_redis: RunningServer, suite: Suite) -> AsyncIterator[Feynman]:
    async with connect(page_redis.url) as client:
        feynman = Feynman(client)
        await feynman.begin()
        yield feynman


@pytest.fixture
async def page(browser: Browser, suite: Suite) -> AsyncIterator[Page]:
    """The page, open and connected. Any error in its scripts, and any request to another host, fails the test."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    page = await context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if foreign(request.url) else None)
    await page.goto(suite.page_url)
    await expect(page.locator("#phase")).to_have_text("Connected", timeout=PATIENCE_MS)
    yield page
    await context.close()
    assert complaints == []


def foreign(url: str) -> bool:
    """Whether it asks another host: on a machine without a network it would fail."""
    return not url.startswith(("http://127.0.0.1:", "data:"))


def row(page: Page, symbol: str) -> Any:
    return page.locator(f'tr[data-symbol="{symbol}"]')


async def shows(locator: Any, text: str) -> None:
    await expect(locator).to_have_text(text, timeout=PATIENCE_MS)


async def is_fresh(page: Page, symbol: str, freshness: str) -> None:
    await expect(row(page, symbol)).to_have_attribute("data-freshness", freshness, timeout=PATIENCE_MS)


async def test_a_row_shows_all_of_a_state(page: Page, feynman: Feynman) -> None:
    async with feynman.beats():
        await feynman.write("SPY", samples=1234)
        spy = row(page, "SPY")
        await shows(spy.locator(".price"), "450.32")
        await is_fresh(page, "SPY", "live")
        await shows(spy.locator(".badge"), "Gaussian")
        await shows(spy.locator(".meaning"), "variance finite")
        await shows(spy.locator(".alpha"), "2.80")
        texts = await spy.locator(".pillar .number").all_text_contents()
        assert texts == ["0.42", "−1.23", "0.15", "0.08", "0.05"]
        await shows(spy.locator(".samples"), "1,234")
        await shows(spy.locator(".source"), "live")
        await shows(spy.locator(".age .label"), "")
        await expect(page.locator("#status")).to_have_attribute("data-healthy", "true")

        # A newer one is shown in the same row.
        handle = await spy.element_handle()
        await feynman.write("SPY", price=451.0, regime="Critical", alpha_coefficient=1.25)
        await shows(spy.locator(".price"), "451.00")
        await shows(spy.locator(".badge"), "Critical")
        assert await handle.evaluate("element => element.isConnected")


async def test_rows_are_sorted_filtered_and_removed(page: Page, feynman: Feynman) -> None:
    async with feynman.beats():
        for symbol in ("SPY", "AAPL", "QQQ", "A.B"):
            await feynman.write(symbol)
        rows = page.locator(ROWS)
        await shows(page.locator("#count"), "4 symbols · 4 Gaussian")
        assert await rows.locator("th").all_text_contents() == ["A.B", "AAPL", "QQQ", "SPY"]

        await page.fill("#filter", "q")
        await expect(rows).to_have_count(1)
        await expect(row(page, "QQQ")).to_be_visible()
        await page.fill("#filter", "nothing of the kind")
        await shows(page.locator("#empty"), "No symbol matches the filter.")
        await page.fill("#filter", "")
        await expect(rows).to_have_count(4)

        await feynman.remove("QQQ")
        await expect(row(page, "QQQ")).to_have_count(0, timeout=PATIENCE_MS)
        assert await rows.locator("th").all_text_contents() == ["A.B", "AAPL", "SPY"]


async def test_a_row_is_found_by_its_venues_spelling_too(page: Page, feynman: Feynman) -> None:
    async with feynman.beats():
        await feynman.write("SPY")
        await feynman.write("BTC-USD", native="btc/usd")
        await expect(row(page, "BTC-USD").locator("th")).to_have_attribute("title", "btc/usd")
        await expect(row(page, "SPY").locator("th")).to_have_attribute("title", "")
        await page.fill("#filter", "c/u")
        await expect(page.locator(ROWS)).to_have_count(1)
        await expect(row(page, "BTC-USD")).to_be_visible()


async def test_wait_tells_how_far_it_has_come(page: Page, feynman: Feynman) -> None:
    async with feynman.beats():
        await feynman.write("SPY", regime="WAIT", alpha_coefficient=2.5, samples=24, nonzero=23)
        badge = row(page, "SPY").locator(".badge")
        await shows(badge, "WAIT 23 of 64")
        fill = row(page, "SPY").locator(".progress .fill")
        assert await fill.evaluate("element => element.style.transform") == "scaleX(0.359)"
        await shows(row(page, "SPY").locator(".alpha"), "2.50not measured")
        await feynman.write("SPY", nonzero=64)
        await shows(badge, "Gaussian")
        await expect(row(page, "SPY").locator(".progress")).to_be_hidden()


async def test_a_row_tells_how_sure_alpha_is_and_how_long_its_regime_has_held(page: Page, feynman: Feynman) -> None:
    now = time.time()
    spy = row(page, "SPY")
    alpha, held = spy.locator(".alpha"), spy.locator(".held")
    async with feynman.beats():
        await feynman.write("SPY")  # as an older Feynman writes it
        await shows(alpha, "2.80")
        await shows(spy.locator(".regime"), "Gaussianvariance finite")

        sample: dict[str, Any] = {"timestamp": iso_millis(now), "regime_since": iso_millis(now - 47 * 60)}
        await feynman.write("SPY", alpha_coefficient=3.2, alpha_low=2.4, alpha_high=4.9, **sample)
        await shows(alpha, "3.202.40–4.90")
        await shows(held, "47 min")
        await expect(held).to_have_attribute("title", f"since {sample['regime_since']}")
        await expect(held).to_have_attribute("datetime", sample["regime_since"])

        # The same in a market's own time, which is an hour away from Redis's.
        feed_time = iso_millis(now + 3600)
        sample = {"feed_time": feed_time, "regime_since": iso_millis(now + 3540), "regime": "Lévy Stable"}
        await feynman.write("SPY", alpha_coefficient=4.67, alpha_low=1.8, alpha_high=10.0, **sample)
        await shows(alpha, "4.67≥ 1.80")
        await shows(spy.locator(".regime"), "Lévy Stable60 svariance in doubt")

        # A recording's is years away.
        recorded: dict[str, Any] = {
            "event_time": "2013-10-07T15:00:00.000Z",
            "regime_since": "2013-10-07T14:12:30.000Z",
        }
        await feynman.write("SPY", feed_time=feed_time, **recorded)
        await shows(held, "47 min")

        await feynman.write("SPY", alpha_coefficient=10.0, alpha_low=2.71, alpha_high=10.0)
        await shows(alpha, "≥ 2.71no upper end")
        await shows(held, "")
        await feynman.write("SPY", alpha_coefficient=1.2, alpha_low=1.0, alpha_high=1.4, regime="Critical")
        await shows(spy.locator(".meaning"), "variance not finite")


async def test_a_window_of_many_small_moves_waits_for_large_ones(page: Page, feynman: Feynman) -> None:
    waits: dict[str, Any] = {"regime": "WAIT", "nonzero": 812}
    bound: dict[str, Any] = {"alpha_coefficient": 10.0, "alpha_low": 2.7, "alpha_high": 10.0}
    async with feynman.beats():
        await feynman.write("SPY", **waits, **bound)
        await shows(row(page, "SPY").locator(".regime"), "WAITtoo few large moves")
        await shows(row(page, "SPY").locator(".alpha"), "≥ 2.70no upper end")
        await expect(row(page, "SPY").locator(".progress")).to_be_hidden()


async def test_banners_tell_what_is_no_market(page: Page, feynman: Feynman) -> None:
    simulated, replayed = page.locator("#simulated"), page.locator("#replayed")
    async with feynman.beats():
        await feynman.write("SPY", source="live")
        await shows(row(page, "SPY").locator(".source"), "live")
        await expect(simulated).to_be_hidden()
        await expect(replayed).to_be_hidden()

        await feynman.write("QQQ", source="simulate")
        await expect(simulated).to_be_visible(timeout=PATIENCE_MS)
        await expect(simulated).to_contain_text("Simulated data: not a market")
        await expect(simulated).to_contain_text("QQQ.")
        await expect(replayed).to_be_hidden()

        await feynman.write("QQQ", source="replay")
        await expect(replayed).to_contain_text("QQQ.", timeout=PATIENCE_MS)
        await expect(simulated).to_be_hidden()

        await feynman.remove("QQQ")
        await expect(replayed).to_be_hidden(timeout=PATIENCE_MS)


async def test_what_is_old_is_never_shown_as_fresh(page: Page, feynman: Feynman) -> None:
    async with feynman.beats():
        await feynman.write("NEW")
        await feynman.write("OLD", age=15)
        await feynman.write("GONE", age=120)
        await feynman.write("UNDATED", timestamp=None)
        await is_fresh(page, "NEW", "live")
        await is_fresh(page, "OLD", "stale")
        await is_fresh(page, "GONE", "expired")
        await is_fresh(page, "UNDATED", "undated")
        await shows(row(page, "OLD").locator(".label"), "stale")
        await expect(row(page, "OLD").locator(".age")).to_have_attribute("title", "stale: quiet", timeout=PATIENCE_MS)
        await expect(page.locator("#count")).to_contain_text("2\u00a0not live: quiet", timeout=PATIENCE_MS)
        await shows(row(page, "GONE").locator(".label"), "expired")
        await shows(row(page, "UNDATED").locator(".label"), "no time")
        # It grows by the page's own clock: nothing more is sent of it.
        age = row(page, "OLD").locator(".seconds")
        first = int((await age.text_content() or "").removesuffix(" s"))
        assert first >= 15
        await shows(age, f"{first + 2} s")


async def test_what_no_feed_brings_any_more_is_folded_away_under_one_line(page: Page, feynman: Feynman) -> None:
    fold, rows = page.locator("#fold"), page.locator(ROWS)
    async with feynman.beats():
        await feynman.write("OLD", "OLDER", age=120, source="simulate")  # which does not announce itself
        await feynman.write("FOREIGN", age=120, source="mine")
        await is_fresh(page, "FOREIGN", "expired")
        await expect(rows).to_have_count(3)
        await expect(fold).to_be_hidden()  # all of them: there would be nothing to see

        await feynman.write("NEW")
        await feynman.write("QUIET", age=120)  # its feed lives
        await shows(fold, "3 symbols that no feed brings any more")
        await expect(rows.locator("th")).to_have_text(["NEW", "QUIET"], timeout=PATIENCE_MS)
        await expect(page.locator("#count")).to_contain_text("5\u00a0symbols")

        await fold.click()
        await expect(rows).to_have_count(5)
        await expect(rows.locator("th")).to_have_text(
            ["NEW", "QUIET", "FOREIGN", "OLD", "OLDER"], timeout=PATIENCE_MS
        )
        await expect(fold).to_have_attribute("aria-expanded", "true")
        await fold.click()
        await expect(rows).to_have_count(2)
        await page.fill("#filter", "old")  # who looks for one finds it
        await expect(rows).to_have_count(2)
        await expect(rows.locator("th")).to_have_text(["OLD", "OLDER"], timeout=PATIENCE_MS)
        await expect(fold).to_be_hidden()
        await page.fill("#filter", "")

        await feynman.write("OLD", source="simulate")
        await shows(fold, "2 symbols that no feed brings any more")
        await expect(rows.locator("th")).to_have_text(["NEW", "OLD", "QUIET"], timeout=PATIENCE_MS)


async def test_a_browser_whose_clock_is_wrong_shows_true_ages(
    browser: Browser, suite: Suite, feynman: Feynman
) -> None:
    context = await browser.new_context()
    await context.add_init_script("const now = Date.now; Date.now = () => now() - 3_600_000")
    page = await context.new_page()
    async with feynman.beats():
        await feynman.write("NEW")
        await feynman.write("OLD", age=30)
        await page.goto(suite.page_url)
        await is_fresh(page, "NEW", "live")
        await is_fresh(page, "OLD", "stale")
    await context.close()


async def test_a_silent_writer_is_named_and_everything_is_stale(page: Page, feynman: Feynman) -> None:
    async with feynman.beats():
        await feynman.write("SPY")
        await is_fresh(page, "SPY", "live")
    await expect(page.locator("#problem")).to_contain_text("The writer is down", timeout=PATIENCE_MS)
    await is_fresh(page, "SPY", "stale")
    await expect(page.locator("#status")).to_have_attribute("data-healthy", "false")
    await expect(page.locator("#problem")).to_contain_text("1\u00a0symbol not live")
    await shows(page.locator("#broken"), "No writer")
    async with feynman.beats():
        await feynman.write("SPY")
        await expect(page.locator("#problem")).to_be_hidden(timeout=PATIENCE_MS)
        await is_fresh(page, "SPY", "live")


async def feed_dies(feynman: Feynman) -> None:
    feynman.feed_lives = False
    await feynman._client.delete(keys.market_feed("LIVE"))


async def test_a_dead_feed_is_the_first_that_the_page_says(page: Page, feynman: Feynman) -> None:
    async with feynman.beats():
        await feynman.write("SPY", "QQQ")
        await feynman.write("OTHER", source="myfeed")
        await is_fresh(page, "SPY", "live")
        await expect(page.locator("#broken")).to_be_hidden()
        await feed_dies(feynman)
        fault = page.locator("#faults p.problem")
        await expect(fault).to_contain_text("The feed “live” is down: 2\u00a0symbols", timeout=PATIENCE_MS)
        await expect(fault).to_contain_text("Last price")
        await shows(page.locator("#broken"), "No feed")
        await expect(page.locator("#status")).to_have_attribute("data-healthy", "false")
        await is_fresh(page, "SPY", "stale")
        feynman.feed_lives = True
        await feynman.write("SPY", "QQQ")
        await expect(page.locator("#faults p")).to_have_count(0, timeout=PATIENCE_MS)
        await expect(page.locator("#broken")).to_be_hidden()
        await expect(page.locator("#status")).to_have_attribute("data-healthy", "true")


async def test_a_feed_that_has_ended_is_said_and_is_no_fault(page: Page, feynman: Feynman) -> None:
    async with feynman.beats():
        await feynman.write("SPY", source="replay")
        ended = {"source": "replay", "ended_at": time.time()}
        await MarketFeeds(feynman._client).announce("REPLAY", ended, lifetime=60)
        notice = page.locator("#faults p.ended")
        await expect(notice).to_contain_text("The feed “replay” has ended: 1\u00a0symbol", timeout=PATIENCE_MS)
        await expect(page.locator("#broken")).to_be_hidden()
        await expect(page.locator("#status")).to_have_attribute("data-healthy", "true")


async def test_a_source_that_is_silent_as_a_whole_is_said_and_a_quiet_symbol_is_not(
    page: Page, feynman: Feynman
) -> None:
    async with feynman.beats():
        await feynman.write("SPY")
        await feynman.write("A", "B", "C", age=20, source="myfeed")
        await feynman.write("ALONE", age=20, source="single")
        quiet = page.locator("#faults p.quiet")
        await expect(quiet).to_contain_text("“myfeed” is silent, all 3\u00a0symbols", timeout=PATIENCE_MS)
        await shows(page.locator("#broken"), "Quiet")
        await expect(page.locator("#faults p")).to_have_count(1)
        await feynman.write("A", source="myfeed")
        await expect(page.locator("#faults p")).to_have_count(0, timeout=PATIENCE_MS)
        await is_fresh(page, "B", "stale")
        await expect(page.locator("#status")).to_have_attribute("data-healthy", "true")


async def test_it_connects_again_by_itself(page: Page, suite: Suite, feynman: Feynman) -> None:
    await page.evaluate("window.notReloaded = true")
    async with feynman.beats():
        await feynman.write("SPY", price=1.0)
        await feynman.write("QQQ", price=1.0)
        await shows(row(page, "SPY").locator(".price"), "1.00")
        await is_fresh(page, "QQQ", "live")

        await suite.processes["broadcaster"].kill()
        await shows(page.locator("#phase"), "Reconnecting")
        await expect(page.locator("#problem")).to_contain_text("no longer updated")
        await is_fresh(page, "SPY", "stale")  # after 3 s, though its sample is not 10 s old

        await feynman.write("SPY", price=2.0)
        await feynman.remove("QQQ")
        await suite.start("broadcaster")
        await shows(page.locator("#phase"), "Connected")
        await shows(row(page, "SPY").locator(".price"), "2.00")
        await is_fresh(page, "SPY", "live")
        await expect(row(page, "QQQ")).to_have_count(0, timeout=PATIENCE_MS)
        await expect(page.locator("#problem")).to_be_hidden(timeout=PATIENCE_MS)
    assert await page.evaluate("window.notReloaded")


async def test_what_was_removed_while_the_bridge_was_down_disappears(
    page: Page, suite: Suite, feynman: Feynman
) -> None:
    """The broadcaster starts without a bridge, so its SNAPSHOT is incomplete: the page must ask again."""
    async with feynman.beats():
        await feynman.write("SPY")
        await feynman.write("QQQ")
        await is_fresh(page, "QQQ", "live")
        for name in ("broadcaster", "bridge"):
            await suite.processes[name].kill()
        await feynman.remove("QQQ")
        await suite.start("broadcaster")
        await expect(page.locator("#problem")).to_contain_text("The bridge is down", timeout=PATIENCE_MS)
        await expect(row(page, "QQQ")).to_have_count(1)  # nobody can say that it is gone
        await is_fresh(page, "QQQ", "stale")
        await suite.start("bridge")
        await expect(row(page, "QQQ")).to_have_count(0, timeout=PATIENCE_MS)
        await expect(row(page, "SPY")).to_have_count(1)


async def test_a_void_pillar_is_a_dash_and_the_notes_say_why(page: Page, feynman: Feynman) -> None:
    async with feynman.beats():
        await feynman.write(
            "SPY", mass=0.0, momentum=0.0, notes=("no_volume", "own_word"), void=("mass", "nash_dist")
        )
        spy = row(page, "SPY")
        await shows(spy.locator(".notes"), "no volume, own word")
        await expect(spy.locator(".notes")).to_have_attribute(
            "title", "no volume: no volume now\nown word: a word of its feed"
        )
        assert await spy.locator(".pillar .number").all_text_contents() == ["–", "0.00", "0.15", "0.08", "–"]
        await feynman.write("SPY", mass=0.5)
        await shows(spy.locator(".notes"), "")
        await shows(spy.locator(".mass .number"), "0.50")


async def prices(client: Client, symbol: str) -> None:
    """A feed that has a price and nothing else."""
    for number in itertools.count():
        fields: dict[Any, Any] = {"price": 450.0 + number % 3, "timestamp": await client.now(), "source": "mine"}
        await client.hset(keys.market_snapshot(symbol), mapping=fields)
        await asyncio.sleep(0.1)


async def test_a_market_without_volume_has_dashes_on_page_and_terminal(
    page: Page, suite: Suite, page_redis: RunningServer
) -> None:
    await (await suite.start("feynman", {"FEYNMAN_TICK_SECONDS": "0.1", "FEYNMAN_DISCOVERY_SECONDS": "0.2"})).ready()
    async with connect(page_redis.url) as client, StateClient.connect(suite.ws_url) as watching:
        feed = asyncio.create_task(prices(client, "FX"))
        try:
            measured = re.compile(r"^0\.\d\d$")
            numbers = ["–", "–", "–", measured, measured]  # mass, momentum and friction need volume
            await expect(row(page, "FX").locator(".pillar .number")).to_have_text(numbers, timeout=PATIENCE_MS)
            await shows(row(page, "FX").locator(".notes"), "no volume, no trades")
            shown = io.StringIO()
            Console(file=shown, width=200).print(render(View(watching, ("FX",)), 200))
            assert re.search(r" –  +–  +–  +0\.\d\d  +0\.\d\d ", shown.getvalue())
            assert watching.states["FX"].data["void"] == ["mass", "momentum", "friction"]
        finally:
            feed.cancel()


async def test_a_feed_that_is_late_by_nature_is_named(page: Page, feynman: Feynman) -> None:
    async with feynman.beats():
        await feynman.write("SPY", age=900, lag_ms=900_000)
        await is_fresh(page, "SPY", "stale")
        await expect(row(page, "SPY").locator(".age")).to_have_attribute(
            "title", "stale: late feed", timeout=PATIENCE_MS
        )


async def test_a_clock_that_the_user_sets_costs_no_connection(page: Page, feynman: Feynman) -> None:
    dialled: list[object] = []
    page.on("websocket", lambda socket: dialled.append(socket))
    async with feynman.beats():
        await feynman.write("SPY")
        await is_fresh(page, "SPY", "live")
        for seconds in (7, -7, 3600):
            await page.evaluate(
                "seconds => { const now = Date.now; Date.now = () => now() + 1000 * seconds }", seconds
            )
            await asyncio.sleep(1)  # two looks at the clock
            await feynman.write("SPY", price=1000.0 + seconds)
            await shows(row(page, "SPY").locator(".price"), f"{1000 + seconds:,}.00")
            await is_fresh(page, "SPY", "live")
            await shows(page.locator("#phase"), "Connected")
    assert dialled == []


async def test_two_writers_of_a_symbol_are_said(page: Page, feynman: Feynman) -> None:
    contested = page.locator("#contested")
    async with feynman.beats():
        await feynman.write("SPY")
        await is_fresh(page, "SPY", "live")
        await expect(contested).to_be_hidden()
        await feynman.write("QQQ", notes=("two_writers",))
        await expect(contested).to_contain_text("QQQ.", timeout=PATIENCE_MS)
        await feynman.write("QQQ")
        await expect(contested).to_be_hidden(timeout=PATIENCE_MS)


async def test_what_feynman_refuses_is_said(page: Page, feynman: Feynman) -> None:
    data = {
        "symbols": 1,
        "fields": {"price": 1},
        "first": {"SPY": "price: '$1' is not a number: without a currency write 1"},
        "bad_names": {"names": 1, "first": {"brk/b": "bad symbol 'brk/b': use BRK-B"}},
    }
    async with feynman.beats():
        await feynman.write("SPY")
        await expect(row(page, "SPY")).to_be_visible()
        await feynman.refuses("0/1", data)
        await expect(page.locator("#refused")).to_be_visible()
        await shows(page.locator("#refused-number"), "2 snapshots are refused.")
        await shows(
            page.locator("#refused-symbols"),
            "SPY: price: '$1' is not a number: without a currency write 1 · bad symbol 'brk/b': use BRK-B",
        )
        hostile: Any = {"symbols": "<b>", "first": "x", "bad_names": 7}
        await feynman.refuses("1/2", hostile)
        none = {"symbols": 0, "fields": {}, "first": {}, "bad_names": {"names": 0, "first": {}}}
        await feynman.refuses("0/1", none)
        await expect(page.locator("#refused")).to_be_hidden()


async def test_hostile_text_is_shown_as_text(page: Page, feynman: Feynman) -> None:
    hostile = "<img src=x onerror=window.hit=1>"
    async with feynman.beats():
        await feynman.write("SPY", source=hostile)
        source = row(page, "SPY").locator(".source")
        await shows(source, hostile)
        assert await source.locator("img").count() == 0
        assert await page.evaluate("window.hit") is None


async def test_a_state_as_the_specification_prints_it(page: Page, feynman: Feynman) -> None:
    """Seven fields and no more: what is absent is a dash."""
    absent: dict[str, Any] = dict.fromkeys(("price", "samples", "nonzero", "source", "timestamp"))
    async with feynman.beats():
        await feynman.write("SPY", regime="WAIT", **absent)
        spy = row(page, "SPY")
        await shows(spy.locator(".badge"), "WAIT")
        await shows(spy.locator(".price"), "–")
        await shows(spy.locator(".samples"), "–")
        await shows(spy.locator(".source"), "–")


async def test_of_five_hundred_symbols_those_on_screen_are_rows(page: Page, feynman: Feynman) -> None:
    symbols = [f"S{number:03}" for number in range(500)]
    async with feynman.beats():
        for price in (1.0, 2.0, 3.0):
            await feynman.write(*symbols, price=price)
        await shows(page.locator("#count"), "500 symbols · 500 Gaussian")
        await shows(row(page, "S000").locator(".price"), "3.00")
        await expect(page.locator("#states")).to_have_attribute("aria-rowcount", "501")
        assert 20 <= await page.locator(ROWS).count() < 60

        for place, symbol in (
            ("scroller.scrollHeight", "S499"),
            ("scroller.scrollHeight / 2", "S250"),
            ("0", "S000"),
        ):
            await page.evaluate(f"scroller.scrollTop = {place}")
            await expect(row(page, symbol)).to_be_in_viewport(timeout=PATIENCE_MS)
            await expect(row(page, symbol)).to_have_attribute("aria-rowindex", str(int(symbol[1:]) + 2))
            await shows(row(page, symbol).locator(".price"), "3.00")
            names = await page.locator(ROWS).locator("th").all_text_contents()
            assert names == sorted(names)

        # Whoever has scrolled down is taken to what the filter leaves.
        await page.evaluate("scroller.scrollTop = scroller.scrollHeight")
        await page.fill("#filter", "s00")
        await expect(row(page, "S009")).to_be_in_viewport(timeout=PATIENCE_MS)
        await expect(page.locator(ROWS)).to_have_count(10)


async def test_a_hung_server_is_noticed(page: Page, suite: Suite, feynman: Feynman) -> None:
    """No connection ends: only the silence tells."""
    async with feynman.beats():
        await feynman.write("SPY")
        await is_fresh(page, "SPY", "live")
        broadcaster = suite.processes["broadcaster"]
        broadcaster.signal(signal.SIGSTOP)
        await expect(page.locator("#problem")).to_contain_text("The server is silent", timeout=PATIENCE_MS)
        await is_fresh(page, "SPY", "stale")
        await shows(page.locator("#phase"), "Reconnecting")
        broadcaster.signal(signal.SIGCONT)
        await shows(page.locator("#phase"), "Connected")
        await feynman.write("SPY")
        await is_fresh(page, "SPY", "live")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_on_a_narrow_screen_only_the_table_scrolls_sideways(
    page: Page, feynman: Feynman, scheme: Any, tmp_path: Path
) -> None:
    await page.emulate_media(color_scheme=scheme)
    await page.set_viewport_size({"width": 390, "height": 844})
    async with feynman.beats():
        await feynman.write("SPY")
        await is_fresh(page, "SPY", "live")
        width = "document.documentElement.scrollWidth"
        assert await page.evaluate(width) == 390
        assert await page.evaluate("document.getElementById('scroller').scrollWidth") > 390
        over = """() => {
            const symbol = document.querySelector("tbody th");
            const bar = document.querySelector(".mass .bar");
            scroller.scrollLeft += bar.getBoundingClientRect().left - symbol.getBoundingClientRect().left;
            const { left, top } = bar.getBoundingClientRect();
            return document.elementFromPoint(left + 1, top + 1) === symbol;
        }"""
        assert await page.evaluate(over), "a bar that is scrolled away is not seen over the symbol"
        background = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(244, 245, 247)", "dark": "rgb(16, 21, 28)"}[scheme]


async def test_at_1300_pixels_no_column_is_out_of_sight(page: Page, feynman: Feynman) -> None:
    await page.set_viewport_size({"width": 1300 - SCROLL_BAR, "height": 900})
    async with feynman.beats():
        since = iso_millis(time.time() - 99 * 60)
        long: dict[str, Any] = {"regime_since": since, "alpha_low": 1.51, "alpha_high": 9.99}
        await feynman.write("SPY", notes=("jump", "no_volume"), regime="Lévy Stable", **long)
        await feynman.write("OPEN", regime="Critical", alpha_coefficient=10.0, alpha_low=2.7, alpha_high=10.0)
        await feynman.write("QQQ", regime="WAIT", nonzero=12)
        await is_fresh(page, "SPY", "live")
        await expect(page.locator(ROWS)).to_have_count(3)
        widths = await page.evaluate("[scroller.scrollWidth, scroller.clientWidth]")
        assert widths[0] == widths[1]
        cut = """[...document.querySelectorAll("th, td")].filter(cell => {
            const text = document.createRange();
            text.selectNodeContents(cell);
            const edge = cell.getBoundingClientRect().right - parseFloat(getComputedStyle(cell).paddingRight);
            return cell.scrollWidth > cell.clientWidth || text.getBoundingClientRect().right > edge + 0.1;
        }).map(cell => cell.textContent)"""
        assert await page.evaluate(cut) == []
        rows = "[...document.querySelectorAll('tr[data-symbol]')].map(row => row.offsetHeight)"
        assert len(set(await page.evaluate(rows))) == 1, "equally high, or scrolling would jump"


@asynccontextmanager
async def proxied(port: int, prefix: str) -> AsyncIterator[int]:
    """The port of a proxy that serves what is on `port` under a path, and has nothing else."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        method, _, rest = line.partition(b" ")
        if not rest.startswith(prefix.encode() + b"/"):
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            writer.close()
            return
        behind = await asyncio.open_connection("127.0.0.1", port)
        behind[1].write(method + b" " + rest.removeprefix(prefix.encode()))
        await asyncio.gather(pipe(reader, behind[1]), pipe(behind[0], writer))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_page_module_and_socket_work_under_the_path_of_a_proxy(
    browser: Browser, suite: Suite, feynman: Feynman
) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    async with proxied(suite.page_port, "/cottage") as port, feynman.beats():
        await feynman.write("SPY")
        await page.goto(f"http://127.0.0.1:{port}/cottage/")
        await is_fresh(page, "SPY", "live")
        own = await page.evaluate(
            """async () => {
              const { Cottage } = await import("/cottage/cottage.js");
              const market = new Cottage(new URL("ws", document.baseURI), { symbols: ["SPY"] });
              await new Promise(resolve => market.addEventListener("state", resolve));
              market.close();
              return market.states.get("SPY").price;
            }"""
        )
        assert own == 450.32
        await context.close()


async def test_a_page_in_the_browsers_cache_is_no_client(suite: Suite, feynman: Feynman) -> None:
    async def clients() -> Any:
        return (await suite.processes["broadcaster"].get("/status")).json()["clients"]

    async with chromium(caches_pages=True) as browser, feynman.beats():
        page = await browser.new_page()
        await feynman.write("SPY")
        await page.goto(suite.page_url)
        await is_fresh(page, "SPY", "live")
        assert await clients() == 1
        await page.evaluate("globalThis.kept = true")
        await page.goto(f"{suite.page_url}favicon.svg")
        await eventually(lambda: none_of(clients))
        await feynman.write("SPY", price=451.0)
        await page.go_back(wait_until="commit")
        assert await page.evaluate("globalThis.kept"), "the browser did not keep the page, so nothing was tried"
        await shows(row(page, "SPY").locator(".price"), "451.00")
        await is_fresh(page, "SPY", "live")
        assert await clients() == 1


async def none_of(number: Any) -> bool:
    return bool(await number() == 0)
