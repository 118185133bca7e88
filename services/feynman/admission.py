"""Decides which symbols get one of the FEYNMAN_MAX_SYMBOLS places of the symbol table. Feynman has one of these.

Whoever can write to Redis can make any number of snapshots. So names are read page by page, and no more of them are
held than there are places. A symbol that is known keeps its place. Of new ones those come first of which Redis has a
state, since they had a place before a restart or with another writer; the others come by their names.
"""

from collections.abc import AsyncIterator, Collection, Sequence

from common import logs
from cottage import keys
from cottage.redis import Client
from cottage.store import SCAN_COUNT, OnBad, existing, scan_pages
from services.feynman import metrics
from services.feynman.symbol_table import SymbolTable

NAMED = 10
"""So many symbols are named in a log line."""

log = logs.get_logger()


class SymbolAdmission:
    """Searches for symbols, and adds to the symbol table those for which it has room."""

    def __init__(self, symbol_table: SymbolTable, shard: tuple[int, int], only: Sequence[str] = ()) -> None:
        """`only`: the symbols to compute; if there are none, all that have a snapshot."""
        self._symbol_table = symbol_table
        self._shard = shard
        self._only = only
        self._wanted = frozenset(only)
        self.left_out = 0
        """The symbols without a place at the last search."""

    async def search(self, client: Client, on_bad: OnBad) -> None:
        """Add the symbols that are new, as far as there is room. Raises RedisError."""
        table = self._symbol_table
        found: set[str] = set()
        left_out, first = 0, list[str]()

        async def narrow() -> None:
            nonlocal found, left_out
            chosen = await self._chosen(client, found)
            left_out += len(found) - len(chosen)
            first.extend(sorted(found - chosen)[: NAMED - len(first)])
            found = chosen

        async for names in self._pages(client, on_bad):
            found.update(name for name in names if name not in table and keys.in_shard(name, *self._shard))
            if len(found) > 2 * table.room + SCAN_COUNT:
                await narrow()
        await narrow()
        self._add(found)
        self._report(left_out, first)
        table.unfilled = await existing(client, keys.market_snapshot, table.absent())

    async def admit(self, client: Client, names: Sequence[str]) -> list[str]:
        """Those of these symbols that have a place. New ones get one if there is room, and they have a snapshot.
        Raises RedisError."""
        table = self._symbol_table
        mine = (name for name in names if keys.in_shard(name, *self._shard))
        ours = [name for name in mine if not self._only or name in self._wanted]
        new = [name for name in ours if name not in table][: table.room]
        self._add(await existing(client, keys.market_snapshot, new))
        return [name for name in ours if name in table]

    def _add(self, found: Collection[str]) -> None:
        if new := self._symbol_table.add(sorted(found)):
            log.info("symbols_found", symbols=len(new), first=new[:NAMED])

    async def _pages(self, client: Client, on_bad: OnBad) -> AsyncIterator[Sequence[str]]:
        if self._only:
            yield self._only
            return
        async for names in scan_pages(client, keys.MARKET_SNAPSHOT, on_bad):
            yield names

    async def _chosen(self, client: Client, found: set[str]) -> set[str]:
        """Those of the found symbols for which there is room: first those of which Redis has a state."""
        room = self._symbol_table.room
        if len(found) <= room:
            return found
        names = sorted(found) if room else []
        stored = await existing(client, keys.physics_state, names)
        return set(sorted(names, key=lambda name: name not in stored)[:room])

    def _report(self, left_out: int, first: Sequence[str]) -> None:
        """Say once that symbols are left out, and once that none is any more."""
        before, self.left_out = self.left_out, left_out
        metrics.SYMBOLS_LEFT_OUT.set(left_out)
        if left_out and not before:
            log.warning("symbols_left_out", symbols=left_out, limit=len(self._symbol_table), first=first)
        elif before and not left_out:
            log.info("symbols_admitted", symbols=len(self._symbol_table))
