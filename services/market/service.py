"""The market service: takes snapshots from its source, and writes the newest of each symbol to Redis."""

import asyncio
from collections.abc import Sequence
from typing import Any

from common.logs import get_logger
from common.settings import redacted
from cottage.backoff import Backoff
from cottage.clock import Clock, SystemClock, iso_millis, ticks
from cottage.errors import RedisError, RedisUnavailable
from cottage.redis import Client, connect
from cottage.snapshot import MarketSnapshot
from cottage.store import MarketFeeds, MarketSnapshots
from services.market import metrics
from services.market.conflating_queue import ConflatingQueue
from services.market.settings import MarketSettings
from services.market.sources import Source, source_of

REDIS_SECONDS = 2.0  # a batch takes milliseconds; one that hangs and the farewell must fit into the drain

log = get_logger()


class MarketService:
    """Time goes on whatever Redis does: what could not be written in time is replaced by what is newer."""

    def __init__(self, settings: MarketSettings, source: Source | None = None, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._source = source or source_of(settings, self._clock)
        self._outbox = ConflatingQueue()
        self._written = 0
        self._failures = 0
        self._last_write: float | None = None
        self._troubles = {"connecting": "there was no answer yet"}
        """What does not work just now, and the error that it met last."""
        self._since: float | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Until the source ends or `stopping` is set. Raises SourceError."""
        client = connect(self._settings.redis_url, timeout=min(REDIS_SECONDS, self._settings.redis_timeout_seconds))
        try:
            async with asyncio.TaskGroup() as group:
                asked = group.create_task(stopping.wait(), name="stopping")
                source = group.create_task(self._run_source(client), name="source")
                writer = group.create_task(self._write(MarketSnapshots(client)), name="writer")
                await asyncio.wait((source, asked), return_when=asyncio.FIRST_COMPLETED)
                asked.cancel()
                source.cancel()
                await asyncio.wait((source,))
                self._outbox.close()
                await writer
        finally:
            self._source.close()
            await client.aclose()
        log.info("source_ended", written=self._written, unwritten=len(self._outbox))

    async def _run_source(self, client: Client) -> None:
        await self._source.prepare()  # what is wrong with it is said before anything is waited for
        await self._until_redis_answers(client)
        feeds = MarketFeeds(client)
        async with asyncio.TaskGroup() as group:
            announcer = group.create_task(self._announce(feeds), name="announcer")
            try:
                await self._source.run(self._emit)
            finally:
                announcer.cancel()
                await asyncio.wait((announcer,))
                await self._withdraw(feeds)

    def _emit(self, snapshots: Sequence[MarketSnapshot]) -> None:
        metrics.SNAPSHOTS_REPLACED.inc(self._outbox.put(snapshots))
        metrics.SNAPSHOTS_WAITING.set(len(self._outbox))

    async def _until_redis_answers(self, client: Client) -> None:
        """So that a replay does not begin before anybody can see it."""
        backoff = Backoff()
        while True:
            try:
                await client.now()
            except RedisError as error:
                self._fails("connecting", error)
                await self._clock.sleep(backoff.next(error))
            else:
                self._works("connecting")
                return

    async def _write(self, snapshots: MarketSnapshots) -> None:
        """Until the outbox is closed; then there is one more try, if the last one did not fail."""
        backoff = Backoff()
        while batch := await self._outbox.take():
            began = self._clock.monotonic()
            try:
                await snapshots.write(batch)
            except RedisError as error:
                metrics.SNAPSHOTS_REPLACED.inc(self._outbox.put_back(batch))
                self._failures += 1
                metrics.REDIS_ERRORS.labels(type(error).__name__).inc()
                self._fails("writing", error)
                if not self._outbox.closed:
                    await self._clock.sleep(backoff.next(error))
                if self._outbox.closed:
                    return
            else:
                backoff.reset()
                self._written += len(batch)
                self._last_write = self._clock.time()
                metrics.SNAPSHOTS_WRITTEN.inc(len(batch))
                metrics.WRITE_SECONDS.observe(self._clock.monotonic() - began)
                self._works("writing")
            metrics.SNAPSHOTS_WAITING.set(len(self._outbox))

    async def _announce(self, feeds: MarketFeeds) -> None:
        """Keep `market:feed:{ID}` alive."""
        async for _tick in ticks(self._settings.feed_seconds / 5, self._clock):
            try:
                await feeds.announce(self._settings.feed_id, self._source.about(), self._settings.feed_seconds)
            except RedisError as error:
                self._fails("announcing", error)
            else:
                self._works("announcing")

    async def _withdraw(self, feeds: MarketFeeds) -> None:
        """A feed that ends says so; where Redis is away, its key expires by itself."""
        if not self._troubles:
            try:
                await feeds.withdraw(self._settings.feed_id)
            except RedisError as error:
                log.warning("feed_not_withdrawn", feed=self._settings.feed_id, error=str(error))

    def _fails(self, what: str, error: RedisError) -> None:
        """Said once, until everything works again."""
        if self._since is None:
            self._since = self._clock.monotonic()
            url = redacted(self._settings.redis_url)
            event = "redis_lost" if isinstance(error, RedisUnavailable) else "redis_failed"
            log.warning(event, redis=url, doing=what, error=str(error), retrying=True)
        self._troubles[what] = str(error)

    def _works(self, what: str) -> None:
        self._troubles.pop(what, None)
        if self._since is not None and not self._troubles:
            log.info("redis_back", seconds=round(self._clock.monotonic() - self._since, 1))
            self._since = None

    def _problem(self) -> str | None:
        return "; ".join(f"{what}: {error}" for what, error in self._troubles.items()) or None

    def not_ready(self) -> str | None:
        problem = self._problem()
        if problem:
            return f"redis: {problem}"
        return None if self._written else "nothing has been written yet"

    def status(self) -> dict[str, Any]:
        return {
            "service": "market",
            "feed": self._settings.feed_id,
            "about": self._source.about(),
            "progress": self._source.progress(),
            "redis": {"url": redacted(self._settings.redis_url), "problem": self._problem()},
            "writes": {
                "snapshots": self._written,
                "failures": self._failures,
                "waiting": len(self._outbox),
                "last": None if self._last_write is None else iso_millis(self._last_write),
            },
        }
