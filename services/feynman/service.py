"""FeynmanService: every tick, samples each symbol's snapshot, computes its vector, writes all states.

Sampling and computing go on without a lease; what is newest is written as soon as it may be.
"""

import asyncio
from typing import Any

from common import keys, logs
from common.clock import Clock, Tick, iso_millis, ticks
from common.errors import InvalidMessage, RedisError
from common.messages import Heartbeat
from common.redis import Client, connect
from common.settings import redacted
from common.state import Version
from common.store import MarketSnapshots
from services.feynman import metrics
from services.feynman.book import Book, belongs
from services.feynman.settings import FeynmanSettings
from services.feynman.writer import LeaseLost, Writer

REPORT_TICKS = 10
"""One summarising line for so many ticks."""

MAX_BAD_NAMES = 1000

log = logs.get_logger()
throttled = logs.Throttled(log)


class FeynmanService:
    def __init__(self, settings: FeynmanSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._shard = keys.shard(settings.shard)
        self._book = Book(settings.window, settings.gap_seconds, settings.forget_seconds)
        self._writer = Writer(settings.redis_url, shard=settings.shard, lease_seconds=settings.lease_seconds)
        self._issued: int | None = None
        """The epoch under which the book's states were given their versions."""
        self._tick: dict[str, Any] = {}
        self._written = 0
        self._bad_names: set[str] = set()
        self._problem: str | None = "no answer from Redis yet"

    async def run(self, stopping: asyncio.Event) -> None:
        async with connect(self._settings.redis_url) as client, self._writer, asyncio.TaskGroup() as group:
            work = (self._discover(client), self._keep_ticking(client), self._beat())
            tasks = [group.create_task(each) for each in work]
            await stopping.wait()
            for task in tasks:
                task.cancel()

    def not_ready(self) -> str | None:
        return self._problem

    def status(self) -> dict[str, Any]:
        return {
            "redis": {"url": redacted(self._settings.redis_url), "problem": self._problem},
            "shard": self._settings.shard,
            "epoch": self._writer.epoch,
            "role": "standby" if self._writer.epoch is None else "writer",
            "symbols": len(self._book),
            "written": self._written,
            "tick": self._tick,
        }

    async def _discover(self, client: Client) -> None:
        """Look for new symbols every few seconds."""
        while True:
            try:
                self._add(self._settings.symbols or await MarketSnapshots(client).symbols(self._bad_symbol))
            except RedisError as error:
                throttled.warning("discovery_failed", type(error).__name__, error=str(error))
            await self._clock.sleep(self._settings.discovery_seconds)

    def _add(self, symbols: list[str] | tuple[str, ...]) -> None:
        index, shards = self._shard
        ours = [symbol for symbol in symbols if belongs(symbol, index, shards)]
        new = self._book.add(ours, self._clock.monotonic())
        if new:
            log.info("symbols_found", count=len(new), first=new[:10])
            metrics.SYMBOLS.set(len(self._book))

    async def _keep_ticking(self, client: Client) -> None:
        async for tick in ticks(self._settings.tick_seconds, self._clock):
            metrics.TICKS.inc()
            metrics.TICK_LATENESS.observe(tick.lateness)
            if tick.skipped:
                metrics.TICKS_SKIPPED.inc(tick.skipped)
                throttled.warning("ticks_skipped", "", skipped=tick.skipped, tick=tick.number)
            try:
                await self._work(client, tick)
                self._problem = None
            except RedisError as error:
                metrics.TICKS_FAILED.inc()
                self._problem = f"Redis: {error}"
                throttled.warning("tick_failed", type(error).__name__, error=str(error))

    async def _work(self, client: Client, tick: Tick) -> None:
        """One tick: read, compute, write. Raises RedisError; nothing that was sampled is lost then."""
        began = self._clock.monotonic()
        symbols = list(self._book)
        rows = await MarketSnapshots(client).samples(symbols)
        redis_now = await client.now()
        sampled, refused = self._book.take(list(zip(symbols, rows, strict=True)), redis_now, began)
        metrics.SAMPLES.inc(len(sampled))
        for symbol, error in refused:
            metrics.REFUSED.labels(error.reason).inc()
            throttled.warning("snapshot_refused", symbol, symbol=symbol, field=error.reason, error=error.detail)
        for symbol in self._book.forget(began):
            log.info("symbol_given_up", symbol=symbol, after_seconds=self._settings.forget_seconds)
        metrics.SYMBOLS.set(len(self._book))

        written = await self._write(tick.number, sampled)
        seconds = self._clock.monotonic() - began
        metrics.TICK_SECONDS.observe(seconds)
        self._tick = {
            "number": tick.number,
            "symbols": len(symbols),
            "sampled": len(sampled),
            "written": written,
            "ms": round(seconds * 1000, 1),
            "late_ms": round(tick.lateness * 1000, 1),
        }
        report = log.info if tick.number % REPORT_TICKS == 0 else log.debug
        report("states_written" if written else "sampled", **self._tick)

    async def _write(self, number: int, sampled: list[str]) -> int:
        """Write every state under the lease, if we have it or can have it; how many were written."""
        for _attempt in range(2):
            if self._writer.epoch is None and not await self._writer.apply():
                return 0
            epoch = self._writer.epoch
            if epoch is None:  # the connection was made anew meanwhile
                continue
            # The tick's number is the states' seq: it goes up within the epoch, whatever becomes of a symbol.
            # Under a new epoch everything is issued again.
            self._book.version(epoch, number, sampled if epoch == self._issued else list(self._book))
            self._issued = epoch
            writes = self._book.writes()
            try:
                await self._writer.write(writes)
            except LeaseLost as error:
                log.warning("lease_lost", error=str(error))
                continue
            self._book.published()
            self._written += len(writes)
            return len(writes)
        return 0

    async def _beat(self) -> None:
        """HEARTBEAT on the channel, whatever the tick; it renews the lease as well."""
        async for beat in ticks(self._settings.heartbeat_seconds, self._clock):
            epoch = self._writer.epoch
            if epoch is None:
                continue
            now = self._clock.time()
            heartbeat = Heartbeat(
                Version(epoch, beat.number), now, self._settings.shard, len(self._book), self._written
            )
            try:
                await self._writer.publish(heartbeat.to_bytes(iso_millis(now)))
            except RedisError as error:  # the next tick applies for the lease again
                throttled.warning("heartbeat_failed", type(error).__name__, error=str(error))

    def _bad_symbol(self, name: str, error: InvalidMessage) -> None:
        """Said and counted once a name, though each discovery finds it again."""
        if name in self._bad_names:
            return
        if len(self._bad_names) < MAX_BAD_NAMES:
            self._bad_names.add(name)
        metrics.REFUSED.labels("symbol").inc()
        throttled.warning("snapshot_refused", name[:40], symbol=name[:40], field="symbol", error=error.detail)
