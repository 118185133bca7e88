"""Retirement: symbols that are gone for good are forgotten, and their states deleted. The service has one Retirement.

States have no lifetime, since a closed market must not lose them, and feynman writes every state that it knows at
every tick. So a state goes only if feynman itself forgets the symbol: on request, by a name in the list
`physics:retire` (`cottage retire`); or because the feed that brought it lists all of its symbols, and it is not among
them any more. What a living feed brings is never retired, whoever asks for it.

The writer deletes under its lease, and notes the symbol in the sorted set `physics:retired`. All processes look at
that with every tick, so that neither a standby nor one that has loaded an older checkpoint brings the state back.
What is only missing in Redis is not retired: after a FLUSHALL every state is written again.
"""

import math
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from common import logs
from cottage import keys
from cottage.errors import LeaseLost, RedisError, RedisRefused
from cottage.living_feeds import brought, complete_list
from cottage.log import Throttled
from cottage.redis import BATCH, Client
from cottage.store import MarketFeeds, PhysicsStates, scan_pages
from services.feynman import metrics
from services.feynman.admission import NAMED
from services.feynman.symbol_table import SymbolTable
from services.feynman.writer import Writer

REQUESTS_READ = 10_000
"""So many names of the list are read at a time; others' shards may be among them."""
REQUEST = "request"

log = logs.get_logger()


class Retirement:
    """Decides what is retired, and does it if this process is the writer."""

    def __init__(self, symbol_table: SymbolTable, writer: Writer, shard: tuple[int, int]) -> None:
        self._symbol_table = symbol_table
        self._writer = writer
        self._shard = shard
        self._newest = -math.inf
        """The score up to which `physics:retired` was read."""
        self._due: dict[str, str] = {}
        """The symbols to retire, each with who asks for it: REQUEST, or the ID of a feed."""
        self._listed: dict[str, frozenset[str]] = {}
        """For each living feed that lists all of its symbols the list with which the states were compared."""
        self._unlisted: dict[str, str] = {}
        """The symbols that are not in the list of the feed that brought them, with its ID."""
        self._feeds: MarketFeeds | None = None
        self._throttled = Throttled(log)

    async def turn(self, client: Client) -> None:
        """Forget what was retired, and retire what is due. At the begin of a tick. Raises RedisError."""
        if self._writer.epoch is None:
            self._due.clear()
        await self._follow(client)
        if self._writer.epoch is not None and self._due:
            await self._carry_out(client)

    async def compare(self, client: Client) -> None:
        """Find the states that the feed which brought them lists no more. Now and then. Raises RedisError."""
        if self._writer.epoch is None:  # the next writer looks at everything anew
            self._listed.clear()
            self._unlisted.clear()
            return
        alive = await self._feeds_on(client).alive()
        lists = {feed: symbols for feed, about in alive.items() if (symbols := complete_list(about)) is not None}
        changed = {feed for feed, symbols in lists.items() if self._listed.get(feed) != symbols}
        self._unlisted = {
            symbol: feed for symbol, feed in self._unlisted.items() if feed in lists and feed not in changed
        }
        if changed:
            await self._search(client, {feed: lists[feed] for feed in changed})
        self._listed = lists
        living = await brought(client, list(self._unlisted), alive)
        self._due.update((symbol, feed) for symbol, feed in self._unlisted.items() if symbol not in living)

    async def _search(self, client: Client, lists: Mapping[str, frozenset[str]]) -> None:
        """Find the stored states that one of these feeds brought, but does not list."""
        async for names in scan_pages(client, keys.PHYSICS_STATE):
            own = [name for name in names if keys.in_shard(name, *self._shard)]
            for symbol, state in (await PhysicsStates(client).many(own)).items():
                if state.feed is not None and symbol not in lists.get(state.feed, (symbol,)):
                    self._unlisted[symbol] = state.feed

    async def _follow(self, client: Client) -> None:
        """Read the requests, and what was retired since the last look."""
        requests = client.lrange(keys.PHYSICS_RETIRE, 0, REQUESTS_READ - 1)
        bad = []
        for name in await self._readable(keys.PHYSICS_RETIRE, requests):
            symbol = name.decode(errors="replace")
            if not keys.is_symbol(symbol):
                bad.append(name)
                self._throttled.warning("retire_refused", "", symbol=symbol[:40], reason="it is no symbol")
            elif keys.in_shard(symbol, *self._shard):
                self._due[symbol] = REQUEST
        await self._strike_out(client, bad)
        for symbol, score in await self._newly_retired(client):
            # One that has had samples since then was brought again.
            if symbol in self._symbol_table and not self._symbol_table.newer(symbol, score / 1000):
                self._symbol_table.remove([symbol])
                self._due[symbol] = REQUEST  # this process may have written its state after it was retired

    async def _newly_retired(self, client: Client) -> list[tuple[str, float]]:
        """What was retired since the last look, with its score."""
        # The newest that was seen is read again: if it is gone, the clock was set back by more than the set keeps,
        # and what follows has lower scores.
        reading = client.zrangebyscore(keys.PHYSICS_RETIRED, self._newest, "+inf", withscores=True)
        noted = await self._readable(keys.PHYSICS_RETIRED, reading)
        seen, self._newest = self._newest, noted[-1][1] if noted else -math.inf
        return [(name.decode(errors="replace"), score) for name, score in noted if score > seen]

    async def _readable(self, key: str, reading: Awaitable[list[Any]]) -> list[Any]:
        """What is read there; nothing if the key is of a wrong type, or an ACL forbids it: states are written all the
        same. Raises RedisError."""
        try:
            return await reading
        except RedisError as error:
            if not (str(error).startswith("WRONGTYPE") or isinstance(error, RedisRefused)):
                raise
            self._throttled.warning("retire_refused", key, symbol=key, reason=str(error))
            return []

    @staticmethod
    async def _strike_out(client: Client, names: Iterable[str | bytes]) -> None:
        """Remove a request for each of these names, which were read near the list's begin: a search for all of their
        requests would go through a flood of others each time. Raises RedisError."""
        await client.bulk(("LREM", keys.PHYSICS_RETIRE, 1, name) for name in names)

    def _feeds_on(self, client: Client) -> MarketFeeds:
        """One for all looks: it finds out which feeds outlive their holders."""
        if self._feeds is None:
            self._feeds = MarketFeeds(client)
        return self._feeds

    async def _carry_out(self, client: Client) -> None:
        """Retire what is due and not brought by a living feed. While it is not known whether a feed is one, a request
        waits."""
        symbols, feeds = list(self._due)[:BATCH], self._feeds_on(client)
        living = await brought(client, symbols, await feeds.alive())
        answered = []
        for symbol, feed in living.items():
            if self._due.pop(symbol) == REQUEST and not feeds.in_doubt:
                answered.append(symbol)
                self._throttled.warning("retire_refused", feed, symbol=symbol, reason=f"the feed {feed} brings it")
        gone = {symbol: self._due[symbol] for symbol in symbols if symbol in self._due}
        try:
            await self._writer.retire(list(gone))
        except LeaseLost:
            return  # the tick goes on, and applies for it again
        self._symbol_table.remove(gone)
        for symbol in gone:
            del self._due[symbol]
            self._unlisted.pop(symbol, None)
        await self._strike_out(client, answered + [symbol for symbol, who in gone.items() if who == REQUEST])
        metrics.RETIRED.inc(len(gone))
        for by in sorted(set(gone.values())):
            names = sorted(symbol for symbol, who in gone.items() if who == by)
            log.info("symbols_retired", by=by, symbols=len(names), first=names[:NAMED])
