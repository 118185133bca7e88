"""`cottage retire`: has feynman forget symbols that are gone for good, and waits until their states are deleted."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from cottage import keys
from cottage.errors import StateUnavailable
from cottage.living_feeds import brought
from cottage.redis import Client, connect
from cottage.store import MarketFeeds, batches, scan_pages

WAIT_SECONDS = 5.0
"""How long feynman may take: it does it with its next tick."""
POLL_SECONDS = 0.1
NAMED = 5
"""So many symbols are named in an error."""


async def retire(url: str, patterns: Sequence[str], *, dry_run: bool) -> None:
    """Retire the symbols of the stored states that match, and print their names; `dry_run`: only print them.

    Raises StateUnavailable if none matches, if some are brought by a living feed (the others are retired), or if no
    feynman does it in time; RedisError.
    """
    async with connect(url) as client:
        found = sorted({name for pattern in patterns for name in await _matching(client, pattern)})
        if not found:
            raise StateUnavailable(f"Redis has no state of {' or '.join(patterns)}")
        living = await _living(client, found)
        gone = [name for name in found if name not in living]
        if not dry_run:
            for part in batches(gone):
                await client.rpush(keys.PHYSICS_RETIRE, *part)
        left = [] if dry_run else await _left(client, gone)
    for name in gone:
        if name not in left:
            print(name)
    refusals = [f"{_listing(names)}: the feed {feed} brings {_them(names)}" for feed, names in _by_feed(living)]
    if left:
        refusals.append(f"{_listing(left)}: no feynman has done it yet; one that runs takes {_them(left)}")
    if refusals:
        raise StateUnavailable("; ".join(refusals))


async def _matching(client: Client, pattern: str) -> list[str]:
    return [name async for names in scan_pages(client, keys.PHYSICS_STATE, pattern=pattern) for name in names]


async def _living(client: Client, symbols: Sequence[str]) -> dict[str, str]:
    """Those that a living feed brings, as `brought` finds them. Where Redis's clock was set back it takes the
    lifetime of an announcement to know whether its feed is one."""
    feeds = MarketFeeds(client)
    living = await brought(client, symbols, await feeds.alive())
    while living and feeds.in_doubt:
        await asyncio.sleep(POLL_SECONDS)
        living = await brought(client, list(living), await feeds.alive())
    return living


async def _left(client: Client, symbols: Sequence[str]) -> list[str]:
    """Wait until these have no state any more. Returns those that still have one when time is up."""
    left = list(symbols)
    for _poll in range(round(WAIT_SECONDS / POLL_SECONDS)):
        there = await client.bulk(("EXISTS", keys.physics_state(name)) for name in left)
        left = [name for name, exists in zip(left, there, strict=True) if exists]
        if not left:
            break
        await asyncio.sleep(POLL_SECONDS)
    return left


def _by_feed(living: Mapping[str, str]) -> Iterable[tuple[str, list[str]]]:
    for feed in sorted(set(living.values())):
        yield feed, [name for name, by in living.items() if by == feed]


def _listing(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(sorted(names)[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _them(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"
