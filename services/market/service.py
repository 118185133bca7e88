"""The market service takes snapshots from its source and writes the newest of each symbol to Redis."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from common.logs import get_logger
from cottage.backoff import Backoff
from cottage.cancellation import background
from cottage.clock import Clock, iso_millis, ticks
from cottage.errors import RedisError
from cottage.ownership import WriteRefusals
from cottage.redis import Client, connect
from cottage.redis.outage import RedisOutage
from cottage.snapshot import MarketSnapshot
from cottage.store import MarketFeeds, MarketSnapshots
from cottage.urls import redacted
from services.market import metrics
from services.market.conflating_queue import ConflatingQueue
from services.market.redis_time import RedisTime
from services.market.settings import MarketSettings
from services.market.sources import source_of
from services.market.step_marker import StepMarker

NAMED_SYMBOLS = 100  # what /status lists at most; `market:feed:ID` lists them all
REDIS_SECONDS = 2.0  # a batch takes milliseconds; one that hangs and the farewell must fit into the drain

log = get_logger()


class MarketService:
    """What `python -m services.market` runs: a source, a writer, and a key that says that this feed is alive.

    The source never waits for Redis, but for a replay in lock-step (services/market/step_marker.py): a snapshot that
    could not be written in time is replaced by a newer one. Where the source ends, as a replay does, the service
    stays and its key says so (`ended_at`): readers tell this from a market that was killed, and a supervisor has
    nothing to start again.
    """

    def __init__(self, settings: MarketSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = RedisTime(clock)
        self._source = source_of(settings, self._clock)
        self._queue = ConflatingQueue()
        self._marker = StepMarker(settings.feed_id, self._clock)
        self._ended_at: float | None = None
        """When the source ended, by Redis's clock."""
        self._written = 0
        self._failures = 0
        self._last_write: float | None = None
        self._refusals: tuple[WriteRefusals, ...] = ()
        """What other feeds have: symbols, and the ID."""
        self._outage = RedisOutage(self._clock.monotonic)
        self._outage.errors["connecting"] = "there was no answer yet"

    async def run(self, stopping: asyncio.Event) -> None:
        """Run until `stopping` is set, or with MARKET_EXIT_AT_END until the source ends. Raises SourceError."""
        client = connect(self._settings.redis_url, timeout=min(REDIS_SECONDS, self._settings.redis_timeout_seconds))
        snapshots = MarketSnapshots(client, self._settings.feed_id, self._settings.feed_seconds)
        feeds = MarketFeeds(client)
        self._refusals = snapshots.refusals, feeds.refusals
        try:
            async with asyncio.TaskGroup() as group:
                asked = group.create_task(stopping.wait(), name="stopping")
                source = group.create_task(self._run_source(client, feeds, snapshots), name="source")
                writer = group.create_task(self._write(snapshots), name="writer")
                await asyncio.wait((source, asked), return_when=asyncio.FIRST_COMPLETED)
                asked.cancel()
                source.cancel()
                await asyncio.wait((source,))
                self._queue.close()
                await writer
        finally:
            self._source.close()
            await self._give_back(feeds, snapshots)
            await client.aclose()
        log.info("source_ended", written=self._written, unwritten=len(self._queue))

    async def _run_source(self, client: Client, feeds: MarketFeeds, snapshots: MarketSnapshots) -> None:
        await self._source.prepare()  # what is wrong with it is said before anything is waited for
        await self._until_redis_answers(client, feeds)
        url, timeout = self._settings.redis_url, self._settings.redis_timeout_seconds
        listening = [self._marker.listen(url, client, timeout)] if self._settings.in_lock_step else []
        async with background(self._announce(client, feeds, snapshots), *listening):
            await self._source.run(self._emit, partial(self._taken, client, snapshots))
            self._ended_at = round(self._clock.time(), 3)
            if not self._settings.exit_at_end:
                log.info(
                    "feed_ended", feed=self._settings.feed_id, note="the service stays; Ctrl-C or SIGTERM ends it"
                )
                await asyncio.get_running_loop().create_future()  # until it is cancelled

    def _emit(self, snapshots: Sequence[MarketSnapshot]) -> None:
        metrics.SNAPSHOTS_REPLACED.inc(self._queue.put(snapshots))
        metrics.SNAPSHOTS_WAITING.set(len(self._queue))

    async def _taken(
        self, client: Client, snapshots: MarketSnapshots, symbols: Sequence[str], windows: str | None = None
    ) -> bool:
        """Whether feynman has ticked, within a second, on what was emitted last, which is of these symbols; or knows
        that they have other windows."""
        await self._queue.all_written()
        return await self._marker.mark(client, [each for each in symbols if each not in snapshots.refusals], windows)

    async def _until_redis_answers(self, client: Client, feeds: MarketFeeds) -> None:
        """Wait until Redis takes what is written, so that no part of a replay is lost at the start. While it loads
        its data it only tells the time."""
        backoff = Backoff()
        while True:
            try:
                await self._clock.ask(client)
                await feeds.announce(self._settings.feed_id, self._about(), self._settings.feed_seconds)
            except RedisError as error:
                self._outage.failed(error, "connecting")
                await self._clock.sleep(backoff.next(error))
            else:
                self._outage.works("connecting")
                return

    async def _write(self, snapshots: MarketSnapshots) -> None:
        """Write what the queue holds until it is closed; then once more, if the last write did not fail."""
        backoff = Backoff()
        while batch := await self._queue.take():
            began = self._clock.monotonic()
            try:
                refused = await snapshots.write(batch)
            except RedisError as error:
                metrics.SNAPSHOTS_REPLACED.inc(self._queue.put_back(batch))
                self._failures += 1
                metrics.REDIS_ERRORS.labels(type(error).__name__).inc()
                self._outage.failed(error, "writing")
                if not self._queue.closed:
                    await self._clock.sleep(backoff.next(error))
                if self._queue.closed:
                    return
            else:
                backoff.reset()
                written = len(batch) - len(refused)
                self._written += written
                self._last_write = self._clock.time() if written else self._last_write
                metrics.SNAPSHOTS_WRITTEN.inc(written)
                for refusal in refused.values():
                    metrics.SNAPSHOTS_REFUSED.labels(refusal.reason).inc()
                metrics.WRITE_SECONDS.observe(self._clock.monotonic() - began)
                self._outage.works("writing")
                self._queue.written()
            metrics.SNAPSHOTS_WAITING.set(len(self._queue))

    async def _announce(self, client: Client, feeds: MarketFeeds, snapshots: MarketSnapshots) -> None:
        """Regularly ask Redis for the time, and renew what expires otherwise: `market:feed:{ID}`, and the ownership
        of symbols that have not traded for a while, until the source has ended: then others may have them."""
        async for _tick in ticks(min(1.0, self._settings.feed_seconds / 5), self._clock):
            try:
                await self._clock.ask(client)
                refusal = await feeds.announce(self._settings.feed_id, self._about(), self._settings.feed_seconds)
                if self._ended_at is None:
                    await snapshots.renew()
                elif refusal is not None:  # another process has taken the ID over
                    return
            except RedisError as error:
                self._outage.failed(error, "announcing")
            else:
                self._outage.works("announcing")

    async def _give_back(self, feeds: MarketFeeds, snapshots: MarketSnapshots) -> None:
        """Give the ID and the symbols back at the end, for a successor; where Redis is away, they expire."""
        if not self._outage.errors:
            try:
                await feeds.withdraw(self._settings.feed_id)
                await snapshots.release()
            except RedisError as error:
                log.warning("feed_not_withdrawn", feed=self._settings.feed_id, error=str(error))

    def _about(self) -> dict[str, Any]:
        about = self._source.about()
        return about if self._ended_at is None else {**about, "ended_at": self._ended_at}

    def _refused(self) -> list[dict[str, Any]]:
        return [pair for refusals in self._refusals for pair in refusals.report()]

    def not_ready(self) -> str | None:
        if self._outage.problem:
            return f"redis: {self._outage.problem}"
        if self._written:
            return None
        others = sorted({pair["by"] for pair in self._refused()})
        return f"all symbols belong to others: {', '.join(others)}" if others else "nothing has been written yet"

    def status(self) -> dict[str, Any]:
        return {
            "service": "market",
            "feed": self._settings.feed_id,
            "state": "running" if self._ended_at is None else f"{self._source.name}_finished",
            "about": {name: _beginning(value) for name, value in self._about().items()},
            "progress": self._source.progress(),
            "redis": {"url": redacted(self._settings.redis_url), "problem": self._outage.problem},
            "writes": {
                "snapshots": self._written,
                "failures": self._failures,
                "refused": self._refused(),
                "waiting": len(self._queue),
                "last": None if self._last_write is None else iso_millis(self._last_write),
            },
        }


def _beginning(value: Any) -> Any:
    return value[:NAMED_SYMBOLS] if isinstance(value, list) else value
