"""The ops port of a real process that listens on all addresses, asked over one that is no loopback address."""

import contextlib
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support import ServiceProcess, plain_http, service

PATHS = ("/healthz", "/readyz", "/status", "/metrics", "/", "/nothing")
TOKEN = "the-ops-token-of-a-test-0123456789"


def outer_address() -> str | None:
    """An address of this machine that is no loopback address, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked, contextlib.suppress(OSError):
        asked.connect(("192.0.2.1", 9))  # nothing is sent
        return str(asked.getsockname()[0])
    return None


OUTER = outer_address()
pytestmark = pytest.mark.skipif(OUTER is None, reason="this machine has no address but loopback ones")


@contextlib.asynccontextmanager
async def market(**env: str) -> AsyncIterator[tuple[ServiceProcess, httpx.AsyncClient, httpx.AsyncClient]]:
    """A service, and clients that ask it over loopback and over the outer address."""
    chosen = {"MARKET_OPS_HOST": "0.0.0.0", "REDIS_URL": "redis://127.0.0.1:1", **env}
    async with service("market", chosen) as running:
        near = await running.ops_url()
        async with plain_http(near) as inner, plain_http(near.replace("127.0.0.1", str(OUTER))) as outer:
            yield running, inner, outer


async def statuses(http: httpx.AsyncClient, **headers: str) -> dict[str, int]:
    return {path: (await http.get(path, headers=headers)).status_code for path in PATHS}


async def test_without_a_word_only_loopback_may() -> None:
    async with market() as (running, inner, outer):
        assert await statuses(outer) == dict.fromkeys(PATHS, 403)
        assert (await outer.head("/healthz")).status_code == 403
        assert (await outer.post("/healthz")).status_code == 403
        answer = await outer.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"})
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_address")
        assert await statuses(inner) == {**dict.fromkeys(PATHS, 200), "/readyz": 503, "/": 404, "/nothing": 404}
        refused = await running.logged("request_not_allowed", reason="foreign_address")
        assert refused["peer"] == OUTER
        counted = 'cottage_http_requests_refused_total{reason="foreign_address"} 9.0'
        assert counted in (await inner.get("/metrics")).text


async def test_a_network_that_is_named_may() -> None:
    async with market(OPS_ALLOW=f"203.0.113.0/24,{OUTER}") as (_running, _inner, outer):
        assert (await statuses(outer))["/metrics"] == 200
    async with market(OPS_ALLOW="203.0.113.0/24") as (_running, _inner, outer):
        assert await statuses(outer) == dict.fromkeys(PATHS, 403)


async def test_who_has_the_token_may_and_it_is_not_logged() -> None:
    async with market(OPS_TOKEN=TOKEN) as (running, inner, outer):
        assert await statuses(outer) == dict.fromkeys(PATHS, 401)
        assert await statuses(outer, Authorization=f"Bearer {TOKEN[:-1]}") == dict.fromkeys(PATHS, 401)
        challenge = (await outer.get("/metrics")).headers["www-authenticate"]
        assert challenge == 'Bearer realm="ops"'
        assert (await statuses(outer, Authorization=f"Bearer {TOKEN}"))["/metrics"] == 200
        assert (await inner.get("/metrics")).status_code == 200
        await running.logged("request_not_allowed", reason="no_token")
        told = (await inner.get("/status")).text + (await inner.get("/metrics")).text
        assert TOKEN[:-1] not in told + running.report()
