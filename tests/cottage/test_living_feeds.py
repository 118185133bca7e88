"""Which symbols a living feed brings, on a real Redis."""

from typing import Any

import pytest

from cottage.living_feeds import brought, complete_list
from cottage.redis import Client
from cottage.store import MarketFeeds

NOBODY: dict[str, dict[str, Any]] = {}


async def hset(client: Client, symbol: str, seconds: int | None = 60, **fields: Any) -> None:
    key = f"market:snapshot:{symbol}"
    mapping: dict[Any, Any] = {"price": "1.5", **fields}
    await client.hset(key, mapping=mapping)
    if seconds is not None:
        await client.expire(key, seconds)


async def test_a_feed_that_lists_all_of_its_symbols_brings_them_whether_or_not_they_have_a_snapshot(
    client: Client,
) -> None:
    await MarketFeeds(client).announce("SIM", {"source": "simulate", "symbols": ["SPY", "QQQ"], "complete": True})
    await MarketFeeds(client).announce("REPLAY", {"source": "replay", "symbols": ["IWM"]})
    alive = await MarketFeeds(client).alive()
    assert await brought(client, ["SPY", "IWM", "OLD"], alive) == {"SPY": "SIM"}
    assert await brought(client, [], alive) == {}


async def test_a_feed_that_has_ended_brings_nothing(client: Client) -> None:
    about = {"source": "live", "symbols": ["SPY"], "complete": True, "ended_at": 1766318400.25}
    await MarketFeeds(client).announce("DAY", about)
    assert await brought(client, ["SPY"], await MarketFeeds(client).alive()) == {}


async def test_a_strangers_snapshot_lives_a_minute(client: Client) -> None:
    now = await client.now()
    await hset(client, "A", timestamp=now - 900, source="late")  # he still writes it
    await hset(client, "B", None, timestamp=now - 30, source="mine")
    await hset(client, "C", None, timestamp=now - 61, source="mine")
    await hset(client, "D", 3600, timestamp=now - 61)  # nobody's lifetime
    await hset(client, "E", timestamp="soon")
    await hset(client, "F", None, timestamp="nan")
    await client.set("market:snapshot:G", "no hash")
    found = await brought(client, list("ABCDEFGH"), NOBODY)
    assert found == {"A": "late", "B": "mine", "E": "without a name"}


async def test_a_snapshot_of_ours_lives_as_long_as_its_owner(client: Client) -> None:
    now = await client.now()
    for symbol, until, seen in (
        ("LIVES", now + 5, "1.5 {}  "),
        ("DEAD", now - 1, "1.5 {}  "),
        ("RELEASED", None, "1.5 {}  "),
        ("FORGED", now + 3600, "1.5 {}  "),
        ("STRANGERS", now - 1, "1.4 {}  "),
    ):
        owned = {} if until is None else {"owned_until": round(until * 1000)}
        await hset(client, symbol, timestamp=str(now), seen=seen.format(now), feed="SIM", source="simulate", **owned)
    found = await brought(client, ["LIVES", "DEAD", "RELEASED", "FORGED", "STRANGERS"], NOBODY)
    assert found == {"LIVES": "SIM", "STRANGERS": "SIM"}


async def test_more_symbols_than_go_into_one_batch(client: Client) -> None:
    symbols = [f"S{number}" for number in range(1201)]
    for symbol in symbols[::400]:
        await hset(client, symbol, source="x")
    assert await brought(client, symbols, NOBODY) == dict.fromkeys(symbols[::400], "x")


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"symbols": ["A"]},
        {"symbols": ["A"], "complete": False},
        {"symbols": ["A"], "complete": 1},
        {"symbols": "A", "complete": True},
        {"complete": True},
    ],
)
def test_only_a_feed_that_says_so_lists_all_of_its_symbols(about: dict[str, Any]) -> None:
    assert complete_list(about) is None


def test_a_list_holds_symbols_only() -> None:
    assert complete_list({"symbols": ["A", "b", 7, None, ["C"]], "complete": True}) == frozenset({"A"})
