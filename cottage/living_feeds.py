"""Which symbols a living feed brings, so that none of them is retired: `cottage retire` and feynman ask this.

A feed that has announced itself, and not its end, says it with the list of its symbols, where that is complete. Else
the symbol's snapshot does: its owner's time has not run out (cottage/write_snapshots.lua), or a stranger has written
it within the 60 s for which snapshots live.
"""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from cottage import keys
from cottage.redis import Client
from cottage.snapshot import STAMP_FIELDS, stamp
from cottage.store import batches

_FIELDS = (*STAMP_FIELDS, "seen", "owned_until", "feed", "source")
_LIFETIME_MS = keys.SNAPSHOT_TTL_SECONDS * 1000


def complete_list(about: Mapping[str, Any]) -> frozenset[str] | None:
    """All symbols of a feed, if its announcement lists them and says that there are no others; else None."""
    symbols = about.get("symbols")
    if about.get("complete") is not True or not isinstance(symbols, list):
        return None
    return frozenset(filter(keys.is_symbol, symbols))


async def brought(client: Client, symbols: Sequence[str], feeds: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Those of these symbols that a living feed brings, each with its name: its ID, or the `source` of a stranger.

    `feeds`: the announcements by ID, as `MarketFeeds.alive` reads them. Raises RedisError.
    """
    found = {}
    for feed_id, about in feeds.items():
        if about.get("ended_at") is not None:
            continue
        found.update(dict.fromkeys((complete_list(about) or frozenset()).intersection(symbols), feed_id))
    for part in batches([symbol for symbol in symbols if symbol not in found]):
        names = [keys.market_snapshot(symbol) for symbol in part]
        now = await client.now() * 1000
        commands = [command for name in names for command in (("HMGET", name, *_FIELDS), ("PTTL", name))]
        replies = await client.bulk(commands, raise_on_error=False)
        for symbol, fields, left in zip(part, replies[::2], replies[1::2], strict=True):
            if isinstance(fields, list) and _lives(fields, left, now):
                by = fields[_FIELDS.index("feed")] or fields[_FIELDS.index("source")]
                found[symbol] = "without a name" if by is None else by.decode(errors="replace")[:32]
    return found


def _lives(fields: Sequence[bytes | None], left: int, now: float) -> bool:
    """Whether somebody writes this snapshot. `left`: its PTTL; `now`: Redis's clock; both in milliseconds."""
    *stamped, seen, owned_until, _feed, _source = fields
    if seen is not None and seen == stamp(stamped):
        return now < _number(owned_until) <= now + _LIFETIME_MS
    return 0 < left <= _LIFETIME_MS or now - _LIFETIME_MS < _number(fields[1]) * 1000 < now + _LIFETIME_MS


def _number(text: bytes | None) -> float:
    with contextlib.suppress(ValueError):
        return float(text or 0)
    return 0.0
