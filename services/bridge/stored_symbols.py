"""Decides which symbols the bridge holds where Redis has states of more than BRIDGE_MAX_SYMBOLS. The reconciler asks.

Whoever can write to Redis can store any number of states. So names are read page by page, and no more of them are
held than there is room for. First come symbols that have a snapshot, which a feed brings now; then those that the
bridge holds already, the longest held first; the others come by their names.
"""

from collections.abc import Iterable, Mapping

from cottage import keys
from cottage.redis import Client
from cottage.store import SCAN_COUNT, OnBad, existing, scan_pages


async def stored_symbols(client: Client, room: int, held: Iterable[str], on_bad: OnBad) -> tuple[list[str], bool]:
    """The symbols of the stored states, sorted, at most so many as there is `room`; and whether these are all of
    them. `held`: those that the bridge holds, in the order in which it got them. Raises RedisError."""
    place = {name: number for number, name in enumerate(held)}
    found: set[str] = set()
    brought: dict[str, bool] = {}
    every = True
    async for names in scan_pages(client, keys.PHYSICS_STATE, on_bad):
        found.update(names)
        if len(found) > 2 * room + SCAN_COUNT:
            brought, every = await _first(client, found, brought, place, room), False
            found = set(brought)
    if len(found) > room:
        found, every = set(await _first(client, found, brought, place, room)), False
    return sorted(found), every


async def _first(
    client: Client, found: set[str], brought: Mapping[str, bool], place: Mapping[str, int], room: int
) -> dict[str, bool]:
    """Those for which there is room, each with whether it has a snapshot. `brought`: of which that is known."""
    known = {name: there for name, there in brought.items() if name in found}
    asked = sorted(found.difference(known))
    there = await existing(client, keys.market_snapshot, asked)
    known.update((name, name in there) for name in asked)
    first = sorted(known, key=lambda name: (not known[name], place.get(name, len(place)), name))
    return {name: known[name] for name in first[:room]}
