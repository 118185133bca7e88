"""A real browser without a screen: Debian's chromium, driven by playwright."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",  # as root, as in a container, it does not start with one
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-quic",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]


@asynccontextmanager
async def chromium(*, caches_pages: bool = False, any_certificate: bool = False) -> AsyncIterator[Browser]:
    """Skips the test, and says so, where there is none. `caches_pages`: it keeps pages that were left, as browsers do
    that are not driven. `any_certificate`: those of a test's CA are taken."""
    executable = next((path for path in map(shutil.which, NAMES) if path), None)
    if executable is None:
        pytest.skip("did NOT run: no chromium on this machine, so nothing was tried in a browser")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable,
            args=[*ARGUMENTS, *(["--ignore-certificate-errors"] if any_certificate else [])],
            ignore_default_args=["--disable-back-forward-cache"] if caches_pages else None,
        )
        yield browser
        await browser.close()
