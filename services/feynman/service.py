"""The service of feynman: every tick it samples each symbol's snapshot, computes its vector and writes all states.

A standby, which has no lease, samples and computes all the same, and writes the newest states once it has the lease.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Sequence
from typing import Any

from common import logs
from cottage import keys, lock_step
from cottage.cancellation import background
from cottage.clock import Clock, Tick, iso_millis, ticks
from cottage.errors import LeaseLost, RedisError, RedisRefused
from cottage.lock_step import Mark, Taken
from cottage.log import Throttled
from cottage.messages import Heartbeat
from cottage.ownership import WriteRefusal, WriteRefusals
from cottage.redis import Client, connect
from cottage.redis.outage import RedisOutage
from cottage.redis_clock import RedisClock
from cottage.store import MarketSnapshots, PhysicsStates
from cottage.urls import redacted
from cottage.version import Version
from services.feynman import metrics
from services.feynman.admission import SymbolAdmission
from services.feynman.checkpointer import Checkpointer
from services.feynman.fills import numbered
from services.feynman.marks import Marks, named
from services.feynman.redis_health import RedisHealth
from services.feynman.refusals import Refusals
from services.feynman.replayed_record import ReplayedRecord
from services.feynman.retirement import Retirement
from services.feynman.settings import FeynmanSettings
from services.feynman.symbol_table import SymbolTable
from services.feynman.warm_start import WarmStart
from services.feynman.writer import Writer

REPORT_TICKS = 10
"""Every so many ticks one is logged at level info, the others at debug."""

EARLY_SEARCHES = 10
"""So often symbols are searched for at each tick, until there is one: what starts shows its market at once."""

FIRST_TICK_SECONDS = 0.5
"""How long after the first discovery the ticks begin, half a tick at most. Symbols that a discovery finds are then
sampled so much later, and not a whole tick later."""

REFUSALS_BEATS = 5
"""With every so many heartbeats clients are told what is refused."""

LATE_SHARE = 0.1
"""A tick is late if it begins later than this share of the interval after its time."""

log = logs.get_logger()


class FeynmanService:
    """What `python -m services.feynman` runs."""

    def __init__(self, settings: FeynmanSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._symbol_table = SymbolTable(
            settings.window, settings.forget_seconds, settings.max_symbols, settings.interval_widening
        )
        self._admission = SymbolAdmission(self._symbol_table, keys.shard(settings.shard), settings.symbols)
        self._checkpointer = Checkpointer(settings, self._symbol_table, clock)
        self._writer = Writer(
            settings.redis_url,
            shard=settings.shard,
            lease_seconds=settings.lease_seconds,
            timeout=settings.redis_timeout_seconds,
        )
        self._retirement = Retirement(self._symbol_table, self._writer, keys.shard(settings.shard))
        self._issued_epoch: int | None = None
        """The epoch of the versions that the states in the symbol table have."""
        self._undelivered = False
        """Whether some of these versions may not have been written."""
        self._taken = 0
        """How often snapshots were taken: after a tick without the lease windows have samples of no version."""
        self._redis_clock = RedisClock()
        self._marks = Marks()
        self._replayed_record = ReplayedRecord(settings, self._symbol_table, clock)
        self._one_tick = asyncio.Lock()
        self._number = -1
        """That of the newest tick, which is the seq of its states: our own are numbered by the time at which they are
        due, as long as those on marks do not run ahead."""
        self._steps = 0
        self._last_step: float | None = None
        self._stepped = False
        """Whether Redis's clock was set since the states were last issued."""
        self._tick: dict[str, Any] = {}
        self._written = 0
        self._refusals = Refusals(keys.shard(settings.shard), clock)
        self._health = RedisHealth()
        self._outage = RedisOutage(clock.monotonic)
        self._outage.errors["tick"] = "there was no answer yet"
        self._throttled = Throttled(log)
        self._contests = WriteRefusals()
        self._warm_start = WarmStart(self._symbol_table, clock)

    async def run(self, stopping: asyncio.Event) -> None:
        async with (
            connect(self._settings.redis_url, timeout=self._settings.redis_timeout_seconds) as client,
            self._writer,
        ):
            await self._checkpointer.load()
            saving = self._checkpointer.save_periodically()
            async with background(
                *(self._discover(client), self._keep_ticking(client), self._keep_step(client)),
                *(self._send_heartbeats(), saving),
            ):
                await stopping.wait()
        self._refusals.summarise(last=True)
        # The lease was released above, so no standby waits for this.
        await self._checkpointer.save_final()

    def not_ready(self) -> str | None:
        problem = self._outage.problem
        return None if problem is None else f"Redis: {problem}"

    def status(self) -> dict[str, Any]:
        return {
            "redis": {
                "url": redacted(self._settings.redis_url),
                "problem": self.not_ready(),
                "health": None if self._health.report is None else self._health.report.as_dict(),
            },
            "shard": self._settings.shard,
            "epoch": self._writer.epoch,
            "role": "standby" if self._writer.epoch is None else "writer",
            "waiting_for": self._writer.waiting_for,
            "clock": {"steps": self._steps, "last_step_seconds": self._last_step},
            "symbols": len(self._symbol_table),
            "left_out": self._admission.left_out,
            "refused": self._refusals.report(),
            "two_writers": self._contests.report(),
            "written": self._written,
            "tick": self._tick,
            "checkpoint": self._checkpointer.status(),
        }

    async def _discover(self, client: Client) -> None:
        """Add new symbols to the table every few seconds, and look at Redis's health."""
        early = EARLY_SEARCHES
        async for _look in ticks(self._settings.discovery_seconds, self._clock):
            while not await self._search(client) or (early and not len(self._symbol_table)):
                early = max(0, early - 1)
                await self._clock.sleep(self._settings.tick_seconds)

    async def _search(self, client: Client) -> bool:
        """Do what `_discover` does, once. Returns whether Redis answered."""
        try:
            self._refusals.searching()
            await self._admission.search(client, self._refusals.bad_name)
            self._refusals.searched()
            await self._retirement.compare(client)
            with contextlib.suppress(RedisRefused):  # an ACL may forbid INFO, which feynman does not depend on
                self._check_health(await client.info())
        except RedisError as error:
            self._failed("discovery", error)
            return False
        self._outage.works("discovery")
        return True

    def _check_health(self, info: dict[str, Any]) -> None:
        """Evaluate Redis's INFO; a problem is logged once until it is solved."""
        before = None if self._health.report is None else self._health.report.problem
        report = self._health.take(info)
        metrics.REDIS_MEMORY.set(report.used)
        metrics.REDIS_MEMORY_LIMIT.set(report.limit)
        metrics.REDIS_EVICTED.inc(report.evicted)
        metrics.REDIS_UNWRITTEN.set(len(report.unwritten))
        if report.problem and not before:
            log.warning("redis_unhealthy", reason=report.problem, evicted=report.evicted, used_bytes=report.used)
        elif before and not report.problem:
            log.info("redis_healthy")

    async def _keep_ticking(self, client: Client) -> None:
        interval = self._settings.tick_seconds
        await self._clock.sleep(min(FIRST_TICK_SECONDS, interval / 2))
        async for tick in ticks(interval, self._clock):
            metrics.TICKS.inc()
            metrics.TICK_LATENESS.observe(tick.lateness)
            metrics.TICKS_SKIPPED.inc(tick.skipped)
            if tick.skipped or tick.lateness > LATE_SHARE * interval:
                metrics.TICKS_LATE.inc()
                late = round(tick.lateness, 4)
                self._throttled.warning("tick_late", "", tick=tick.number, seconds=late, skipped=tick.skipped)
            async with self._one_tick:
                worked = await self._attempt(self._tick_of_our_own(client, tick))
            self._marks.own_tick()
            if worked:
                took = self._tick["ms"] / 1000
                await self._warm_start.turn(client, interval, took, self._writer.epoch is not None)

    async def _keep_step(self, client: Client) -> None:
        """Tick on the marks of feeds that run in lock-step, beside the ticks of our own."""

        async def received(payloads: Sequence[bytes]) -> None:
            self._marks.read(payloads, client.database)
            await self._marks.may_tick()
            async with self._one_tick:
                await self._attempt(self._tick_on_marks(client))

        url, timeout = self._settings.redis_url, self._settings.redis_timeout_seconds
        await lock_step.listen(url, keys.MARKET_MARK, received, clock=self._clock, timeout=timeout)

    async def _attempt(self, tick: Awaitable[None]) -> bool:
        """Do a tick; where Redis fails, what was sampled before is kept. Returns whether it did not."""
        try:
            await tick
        except RedisError as error:
            metrics.TICKS_FAILED.inc()
            self._failed("tick", error)
            worked = False
        else:
            worked = True
            # A tick without states publishes nothing, so it proves nothing of heartbeats; a standby sends none.
            beats = self._writer.epoch is not None and not self._tick["written"]
            self._outage.works("tick", *(() if beats else ("heartbeat",)))
        metrics.SYMBOLS.set(len(self._symbol_table))
        metrics.EPOCH.set(self._writer.epoch or 0)
        return worked

    async def _tick_of_our_own(self, client: Client, tick: Tick) -> None:
        """Sample all symbols. Raises RedisError."""
        marks = self._marks.take()
        await self._replayed_record.replace_windows(marks)
        await self._retirement.turn(client)
        await self._admission.admit(client, named(marks))
        self._number = max(self._number, tick.number - 1)
        await self._work(client)
        await self._answer(client, marks)
        self._tick["late_ms"] = round(tick.lateness * 1000, 1)
        report = log.info if tick.number % REPORT_TICKS == 0 else log.debug
        report("states_written" if self._tick["written"] else "sampled", **self._tick)

    async def _tick_on_marks(self, client: Client) -> None:
        """Sample the symbols that marks name, if any wait. Raises RedisError."""
        marks, began = self._marks.take(), self._clock.monotonic()
        await self._replayed_record.replace_windows(marks)
        if symbols := await self._admission.admit(client, named(marks)):
            await self._work(client, symbols)
            self._marks.ticked(self._tick["sampled"], self._clock.monotonic() - began)
        await self._answer(client, marks)

    async def _answer(self, client: Client, marks: Sequence[Mark]) -> None:
        """Say as the writer that there was a tick on these marks. Raises RedisError."""
        if marks and self._writer.epoch is not None:
            taken = (Taken(mark.feed, mark.number, self._settings.shard).to_bytes(client.database) for mark in marks)
            await client.bulk(("PUBLISH", keys.MARKET_MARK_TAKEN, message) for message in taken)

    async def _work(self, client: Client, only: Sequence[str] | None = None) -> None:
        """Read, compute, write: all symbols, or of `only` some those with numbered samples. Raises RedisError."""
        began = self._clock.monotonic()
        if self._undelivered:  # it is issued before more is taken, or no version would say what was taken then
            with contextlib.suppress(RedisError):  # of which the tick tells where it writes
                await self._write(client, [], [], partly=True)
        self._number += 1
        symbols = list(self._symbol_table) if only is None else list(only)
        snapshots = MarketSnapshots(client)
        rows = await snapshots.samples(symbols)
        if only is not None:
            symbols, rows = numbered(symbols, rows)
        fills = await snapshots.fills(self._symbol_table.missed(zip(symbols, rows, strict=True)))
        newcomers = self._symbol_table.newcomers()
        stored = await PhysicsStates(client).many(newcomers)
        redis_now, asked = await self._ask_time(client)
        self._symbol_table.adopt(newcomers, stored, redis_now, asked)
        sampled, refused = self._symbol_table.take(zip(symbols, rows, strict=True), redis_now, asked, fills)
        self._taken += 1
        self._refusals.snapshots(refused, self._symbol_table.refused, only)
        self._refusals.fields(self._symbol_table.doubtful, only)
        contests = {symbol: WriteRefusal("contest", both) for symbol, both in self._symbol_table.contests.items()}
        metrics.REFUSED.labels("source").inc(len(contests))
        self._contests.take((), contests, 0.0)
        self._warm_start.moved_in(self._symbol_table.warmed)
        for symbol in self._symbol_table.forget(began):
            log.info("symbol_forgotten", symbol=symbol, seconds=self._settings.forget_seconds)

        written = await self._write(client, sampled, newcomers, partly=only is not None)
        while more := self._symbol_table.take_rest(redis_now, asked):
            self._number += 1
            written += await self._write(client, more, newcomers, partly=True)
        seconds = self._clock.monotonic() - began
        metrics.TICK_SECONDS.observe(seconds)
        self._tick = {
            "number": self._number,
            "symbols": len(symbols),
            "sampled": len(sampled),
            "written": written,
            "ms": round(seconds * 1000, 1),
        }

    async def _ask_time(self, client: Client) -> tuple[float, float]:
        """Redis's clock, and the monotonic time at which it was asked. If it was set, every sample stays as old as it
        is, and all states are issued again."""
        answer = await self._redis_clock.ask(client, self._clock)
        if answer.step:
            metrics.CLOCK_STEPS.inc()
            self._steps += 1
            self._last_step = round(answer.step, 3)
            self._symbol_table.clock_stepped(answer.step, answer.time, answer.asked_at)
            self._stepped = True
        return answer.time, answer.asked_at

    async def _write(self, client: Client, sampled: list[str], newcomers: list[str], *, partly: bool) -> int:
        """Write every state, or `partly` those that were sampled, if the lease is held or can be acquired. Returns
        how many were written.

        `newcomers`: the symbols whose stored states were adopted in this tick.
        """
        for _attempt in range(2):
            if (self._stepped or self._writer.epoch is None) and not await self._writer.acquire():
                self._undelivered = False  # another process writes what it has taken
                return 0
            self._stepped = False
            epoch = self._writer.epoch
            if epoch is None:  # the connection was made anew meanwhile
                continue
            anew = epoch != self._issued_epoch
            if self._issued_epoch is None and self._taken == 1:
                await self._checkpointer.began(epoch)
            if anew:
                await self._continue_regimes(client, newcomers)
            # The tick's number is the states' seq, so it grows within the epoch whatever happens to a symbol.
            # Acquiring the lease always gives a new epoch, under which all states get a new version, also
            # those that were computed without a lease.
            self._symbol_table.version(
                epoch,
                self._number,
                list(self._symbol_table) if anew else sampled,
                self._writer.database,
            )
            self._issued_epoch, self._undelivered = epoch, True
            try:
                written = await self._writer.write(
                    self._symbol_table.writes(sampled if partly and not anew else None)
                )
            except LeaseLost:
                continue
            self._undelivered = False
            self._symbol_table.published(written.stamps)
            self._written += written.states
            return written.states
        return 0

    async def _continue_regimes(self, client: Client, newcomers: list[str]) -> None:
        """Go on with the regimes that another process has written since our last epoch. Raises RedisError."""
        standing = sorted(set(self._symbol_table).difference(newcomers))
        stored = await PhysicsStates(client).many(standing)
        ours = self._issued_epoch
        self._symbol_table.continue_regimes(
            {symbol: state for symbol, state in stored.items() if state.version and state.version.epoch != ours}
        )

    async def _send_heartbeats(self) -> None:
        """Publish a HEARTBEAT at regular intervals, also when ticks are late; each one renews the lease."""
        async for beat in ticks(self._settings.heartbeat_seconds, self._clock):
            epoch, now = self._writer.epoch, self._redis_clock.now(self._clock.monotonic())
            if epoch is None or now is None:
                continue
            heartbeat = Heartbeat(
                Version(epoch, beat.number),
                now,
                self._settings.shard,
                len(self._symbol_table),
                self._written,
                self._tick.get("number"),
                self._settings.window,
                self._symbol_table.warming.cold,
            )
            timestamp, database = iso_millis(now), self._writer.database
            try:
                await self._writer.publish(heartbeat.to_bytes(timestamp, database))
                if beat.number % REFUSALS_BEATS == 0:
                    refusals = self._refusals.message(self._settings.shard, timestamp, database)
                    if refusals is not None:
                        await self._writer.publish(refusals)
            except LeaseLost:
                continue  # the next tick acquires it again
            except RedisError as error:
                self._failed("heartbeat", error)
            else:
                self._outage.works("heartbeat")

    def _failed(self, during: str, error: RedisError) -> None:
        metrics.REDIS_ERRORS.labels(type(error).__name__).inc()
        self._outage.failed(error, during)
