"""The recorder consumes the channel `state_update`, and writes what Redis bears out to its record.

The subscription and how it heals are in cottage/consumer.py; which messages are true, in confirmation.py; what is
kept of a version, in keeper.py. What the bridge says of freshness comes by bridge_listener.py, and disk.py writes.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common import logs
from cottage import keys
from cottage.cancellation import background
from cottage.clock import Clock
from cottage.consumer import ChannelConsumer, ChannelHandler
from cottage.daemon_thread import in_daemon_thread
from cottage.errors import InvalidMessage, RedisError
from cottage.log import Throttled
from cottage.record.checkpoints import want_checkpoint
from cottage.redis import Client
from cottage.redis_clock import RedisClock
from cottage.store import PhysicsStates, batches, scan
from cottage.urls import redacted
from services.recorder import metrics
from services.recorder.bridge_listener import BridgeListener
from services.recorder.confirmation import Confirmation, Confirmed, symbol_of_update
from services.recorder.disk import RecordDisk
from services.recorder.freshness_notes import FreshnessNotes
from services.recorder.keeper import AT_ONCE, WRITTEN_TOGETHER, Keeper
from services.recorder.restoring import newest_held, newest_recorded, outages
from services.recorder.settings import RecorderSettings
from services.recorder.warmer import Warmer

RECONCILE_SECONDS = 30.0
ON_THEIR_WAY_SECONDS = 0.05
"""Messages of the states that a look has read come within this."""
LAST_LOOK_SECONDS = 2.0
"""What a look may take when this is to stop."""

log = logs.get_logger()
throttled = Throttled(log)


class NothingRecorded:
    """What runs where RECORDER is off: nothing, so that whoever starts all services need not know of it."""

    async def run(self, stopping: asyncio.Event) -> None:
        log.info("recorder_off", reason="RECORDER is off: nothing is recorded")
        await stopping.wait()

    def not_ready(self) -> str | None:
        return None

    def status(self) -> dict[str, Any]:
        return {"recorder": "off"}


class StateRecorder(ChannelHandler):
    """The service of the recorder. Its ChannelConsumer calls back its methods from `lost` to `reconcile`."""

    def __init__(self, settings: RecorderSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._redis_clock = RedisClock()
        self._folder = Path(settings.dir)
        self._symbols = frozenset(settings.symbols)
        self._confirmation = Confirmation()
        self._keeper = Keeper(inputs_only=settings.states == "inputs")
        self._notes = FreshnessNotes(self._symbols)
        self._listener = BridgeListener(
            settings.bridge_url,
            self._notes,
            clock,
            settings.silence_seconds,
            self._recorded,
            settings.link_ca_file,
            settings.link_secrets(),
        )
        self._disk = RecordDisk(settings, clock, self._now)
        self._consumer = ChannelConsumer(
            settings.redis_url,
            [keys.STATE_UPDATE],
            self,
            silence_seconds=settings.silence_seconds,
            reconcile_seconds=RECONCILE_SECONDS,
            timeout=settings.redis_timeout_seconds,
            clock=clock,
        )
        self._warmer = Warmer(self._folder, clock.monotonic) if settings.warm else None
        self._looking = asyncio.Lock()
        self._due = asyncio.Event()
        self._asked_to_look = asyncio.Event()
        self._looked = asyncio.Event()
        self._known: set[str] = set()
        """Symbols that were looked for in what an earlier recorder wrote."""
        self._began = False
        """Whether all stored states were looked at once."""

    async def run(self, stopping: asyncio.Event) -> None:
        self._settings.check_link()
        await in_daemon_thread(self._disk.open)
        await self._note_own_outage()
        work = self._consumer.run(), self._disk.maintain(), self._disk.tell()
        try:
            async with background(*work, self._keep_writing()):
                async with background(self._listener.follow()):
                    await stopping.wait()
                await self._look_once_more()
        finally:
            await self._write()
            await self._disk.close()

    def not_ready(self) -> str | None:
        return self._consumer.problem or self._disk.problem or self._listener.problem

    def status(self) -> dict[str, Any]:
        return {
            "redis": {"url": redacted(self._settings.redis_url), "problem": self._consumer.problem},
            "bridge": {"url": redacted(self._settings.bridge_url), "problem": self._listener.problem},
            "record": {"folder": str(self._folder), "problem": self._disk.problem, **self._disk.head()},
            "symbols": len(self._keeper),
            "missed": dict(self._keeper.missed),
            "left_out": self._keeper.left_out,
            "unborne": self._confirmation.unborne,
            "lag_seconds": round(self._disk.lag, 3),
            "waiting_rows": self._keeper.waiting + self._disk.waiting,
            "warm_starts": None if self._warmer is None else self._warmer.offered,
        }

    async def received(self, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            symbol = symbol_of_update(payload)
            if symbol is None and self._warmer is not None:
                self._warmer.heartbeat(payload, self._consumer.database)
            if symbol is None or (self._symbols and symbol not in self._symbols):
                continue
            if not self._confirmation.heard(symbol, payload, self._consumer.database):
                self._keeper.missed_because(symbol, "lagged")

    def lost(self, error: RedisError) -> None:
        self._confirmation.interrupted()
        self._keeper.interrupted("redis_lost")

    async def while_connected(self, client: Client) -> None:
        """Have what Redis bears out written, and deleted what is not: at regular times."""
        seconds = self._settings.flush_seconds
        async with background(*([] if self._warmer is None else [self._warmer.run(client, seconds)])):
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._asked_to_look.wait()
                self._asked_to_look.clear()
                await self._look(client, self._confirmation.symbols)
                self._looked.set()

    async def _look_once_more(self) -> None:
        """Have what has come until now borne out, before this ends."""
        if self._consumer.problem is None:
            self._looked.clear()
            self._asked_to_look.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_LOOK_SECONDS):
                    await self._looked.wait()

    async def reconcile(self, client: Client) -> None:
        most = self._settings.max_symbols
        names = self._symbols or await scan(client, keys.PHYSICS_STATE, self._bad, most + 1)
        if len(names) > most:
            throttled.warning("states_left_out", "", limit=most)
        await self._look(client, {*list(names)[:most], *self._confirmation.symbols})
        if len(names) <= most:
            self._confirmation.looked_at_all()
        if not self._began:
            self._began = True
            await self._want_checkpoint()

    async def _look(self, client: Client, symbols: Iterable[str]) -> None:
        """Look at the stored states of these symbols, and keep all versions that they bear out. Raises RedisError."""
        async with self._looking:
            names = list(symbols)
            self._confirmation.begin_look()
            redis_now = (await self._redis_clock.ask(client, self._clock)).time
            stored: dict[str, bytes] = {}
            for part in batches(names):
                stored |= await PhysicsStates(client).stored(part, self._bad)
            await self._restore([name for name in stored if name not in self._known])
            await self._clock.sleep(ON_THEIR_WAY_SECONDS)
            for part in batches(names, AT_ONCE):
                self._settle(part, stored, redis_now)
                if self._keeper.waiting >= WRITTEN_TOGETHER:
                    self._due.set()  # while the others are settled, so that not all wait in memory at once
                await asyncio.sleep(0)
            self._due.set()
            metrics.SYMBOLS.set(len(self._keeper))
            if self._report_missed():
                await self._want_checkpoint()

    def _report_missed(self) -> bool:
        """Say which versions were missed since the last look; returns whether there were some."""
        of_causes = self._keeper.take_missed()
        for cause, missed in of_causes.items():
            log.warning("versions_missed", cause=cause, symbols=len(missed), first=missed[:10])
        return bool(of_causes)

    async def _want_checkpoint(self) -> None:
        """From now on nothing is missing: a replay may begin with windows as they will be."""
        with contextlib.suppress(OSError):  # of a disk that is told of where it is written to
            await in_daemon_thread(want_checkpoint, self._folder)

    def _settle(self, symbols: Sequence[str], stored: Mapping[str, bytes], redis_now: float) -> None:
        """Keep what the stored states of these symbols bear out: first this is found of all, then all is kept, which
        takes a fifth less time than one symbol after the other."""
        keeper, recorded, behind = self._keeper, self._recorded(), self._disk.waiting
        borne_out: list[tuple[str, Confirmed]] = []
        room = self._settings.max_symbols - len(keeper)
        for symbol in symbols:
            held, state = keeper.held(symbol), stored.get(symbol)
            if held is None and room <= 0:
                throttled.warning("states_left_out", "", limit=self._settings.max_symbols)
                state = None
            try:
                found = self._confirmation.settle(symbol, state, held, redis_now)
            except InvalidMessage as error:
                self._bad(symbol, error)
                continue
            borne_out += [(symbol, confirmed) for confirmed in found]
            room -= held is None and bool(found)
        for symbol, confirmed in borne_out:
            try:
                if keeper.keep(symbol, confirmed, recorded, behind=behind) and self._warmer is not None:
                    self._warmer.saw(symbol, confirmed.said, *keeper.when(symbol))
            except InvalidMessage as error:
                self._bad(symbol, error)

    async def _restore(self, symbols: Sequence[str]) -> None:
        """Take over what an earlier recorder has recorded of these symbols."""
        if not symbols:
            return
        for symbol, held in (await in_daemon_thread(newest_held, self._folder, symbols)).items():
            self._keeper.restore(symbol, held)
        self._known.update(symbols)

    async def _note_own_outage(self) -> None:
        """Note since when nothing was recorded."""
        self._notes.restore(await in_daemon_thread(outages, self._folder))
        if (last := await in_daemon_thread(newest_recorded, self._folder)) is not None:
            now = max(last, self._recorded())
            self._notes.broken("recorder", "it was not running", last, now)
            self._notes.mended("recorder", now)

    async def _keep_writing(self) -> None:
        """Write what is kept whenever that is due, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):  # what the bridge says is written without Redis too
                async with asyncio.timeout(2 * self._settings.flush_seconds):
                    await self._due.wait()
            self._due.clear()
            await self._write()

    async def _write(self) -> None:
        await self._disk.write(self._keeper.take() | self._notes.take())

    def _now(self) -> float:
        """The time by Redis's clock, in seconds since 1970; by the local clock until Redis has been asked."""
        redis_time = self._redis_clock.now(self._clock.monotonic())
        return self._clock.time() if redis_time is None else redis_time

    def _recorded(self) -> int:
        return round(self._now() * 1e6)

    def _bad(self, symbol: str, error: InvalidMessage) -> None:
        metrics.DROPPED.labels(error.reason).inc()
        throttled.warning("state_dropped", error.reason, symbol=symbol, reason=error.reason, error=error.detail)
