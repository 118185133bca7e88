"""The bridge consumes the channel `state_update`, keeps the newest state of every symbol, and serves broadcasters.

The subscription and how it heals after a gap are in cottage/consumer.py. This module says how all states are
reconciled with what the channel brought (the greater version wins), which happens after each gap, on a new epoch and
every 30 s, and when a symbol is removed. Whether states are stale is decided in freshness_monitor.py.
"""

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from common import logs
from common.fanout.hub import Hub
from common.fanout.last_value_cache import Entry
from common.fanout.limits import Limits
from common.fanout.server import FanoutServer
from common.ops import listening_socket
from cottage import keys
from cottage.cancellation import background
from cottage.clock import Clock, from_iso
from cottage.consumer import ChannelConsumer, ChannelHandler
from cottage.errors import InvalidMessage, RedisError
from cottage.events import Event
from cottage.freshness import Freshness
from cottage.log import Throttled
from cottage.messages import MAX_BYTES, Heartbeat, PhysicsUpdate, parse_state_update
from cottage.redis import Client
from cottage.state import PhysicsState
from cottage.store import PhysicsStates, batches, scan
from cottage.urls import redacted
from cottage.version import check_epoch
from services.bridge import metrics
from services.bridge.freshness_monitor import FreshnessMonitor
from services.bridge.liveness import WriterLiveness
from services.bridge.settings import BridgeSettings

log = logs.get_logger()
throttled = Throttled(log)


class RedisBridge(ChannelHandler):
    """The service of the bridge. Its ChannelConsumer calls back its methods from `connected` to `reconcile`."""

    def __init__(self, settings: BridgeSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._thresholds = settings.thresholds()
        self._liveness = WriterLiveness(clock.monotonic(), self._thresholds)
        self._monitor = FreshnessMonitor(self._liveness, self._thresholds, clock)
        self._hub = Hub(clock, self.upstream, self._monitor.redis_now)
        self._consumer = ChannelConsumer(
            settings.redis_url,
            [keys.STATE_UPDATE],
            self,
            silence_seconds=self._thresholds.silent,
            reconcile_seconds=settings.reread_seconds,
            timeout=settings.redis_timeout_seconds,
            clock=clock,
        )
        self._epoch = 0
        """The newest epoch that the channel has brought."""
        self._reconciled_epoch = 0
        """The newest epoch at the time of the last full read."""
        self._absent: set[str] = set()
        """Symbols whose state was missing at the last full read."""

    async def run(self, stopping: asyncio.Event) -> None:
        settings = self._settings
        link = listening_socket(settings.host, settings.port, "BRIDGE_PORT")
        log.info("listening", host=settings.host, port=link.getsockname()[1])
        server = FanoutServer(self._hub, self._clock, Limits(), heartbeat_seconds=settings.heartbeat_seconds)
        self._monitor.publish(self._hub)  # until something arrives, everything is stale
        async with server.serve(link), background(self._consumer.run(), self._monitor.keep_publishing(self._hub)):
            await stopping.wait()

    def not_ready(self) -> str | None:
        return self._consumer.problem

    def status(self) -> dict[str, Any]:
        upstream, now = self.upstream(), self._clock.monotonic()
        return {
            "redis": {"url": redacted(self._settings.redis_url), "problem": self._consumer.problem},
            "upstream": upstream.as_dict(),
            "epoch": self._epoch,
            "writers": sorted(f"{index}/{shards}" for index, shards in self._liveness.live_shards(now)),
            "feeds": None if self._monitor.feeds is None else [feed.source for feed in self._monitor.feeds],
            "symbols": len(self._hub.last_values),
            "not_live": self._hub.not_live,
            "broadcasters": len(self._hub),
        }

    def upstream(self) -> Freshness:
        return self._liveness.upstream(self._clock.monotonic())

    def connected(self) -> None:
        metrics.SUBSCRIPTIONS.inc()
        self._liveness.redis_answers = True

    def lost(self, error: RedisError) -> None:
        self._liveness.redis_answers = False

    async def while_connected(self, client: Client) -> None:
        await self._monitor.watch_hops(client)

    async def received(self, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            self._handle(payload)

    def _handle(self, payload: bytes) -> None:
        """Apply one message of the channel; one that cannot be trusted is counted, logged and dropped."""
        try:
            self._apply(payload)
        except InvalidMessage as error:
            metrics.DROPPED.labels(error.reason).inc()
            start = payload[:60].decode(errors="replace")
            throttled.warning("message_dropped", error.reason, reason=error.reason, error=error.detail, payload=start)

    def _apply(self, payload: bytes) -> None:
        match parse_state_update(payload, self._monitor.redis_now()):
            case PhysicsUpdate(symbol=symbol, version=version) as update:
                metrics.PHYSICS_UPDATES.inc()
                self._check_room(symbol)
                if self._hub.update(symbol, version, payload):
                    self._monitor.samples.record(symbol, update.timestamp, update.source)
                if version is not None:
                    self._note_epoch(version.epoch)
            case Heartbeat(version=version, shard=shard):
                metrics.HEARTBEATS.inc()
                self._liveness.heartbeat(shard, self._clock.monotonic())
                self._note_epoch(version.epoch)
            case Event(topic=topic) as event:
                metrics.MESSAGES.labels(topic).inc()
                self._hub.event(event)

    def _note_epoch(self, epoch: int) -> None:
        """A newer epoch means another writer, or the same one after a failure: have all states read again."""
        if epoch > self._epoch > 0:
            self._consumer.reconcile_soon()
        self._epoch = max(epoch, self._epoch)

    async def reconcile(self, client: Client) -> None:
        """Read every state from Redis. A state that is newer than what the channel brought replaces it; a symbol that
        has no state now and had none at the last read is removed."""
        if self._epoch > self._reconciled_epoch:
            log.info("new_epoch", epoch=self._epoch)
            self._reconciled_epoch = self._epoch
        started = perf_counter()
        now = await self._monitor.sync_clock(client)
        held = self._hub.last_values.entries()
        present: set[str] = set()
        """Symbols with a state, even if it is invalid: then the last valid one is kept."""

        def bad(symbol: str, error: InvalidMessage) -> None:
            present.add(symbol)
            metrics.DROPPED.labels(error.reason).inc()
            throttled.warning("state_dropped", error.reason, symbol=symbol, reason=error.reason, error=error.detail)

        healed = 0
        for part in batches(await scan(client, keys.PHYSICS_STATE, bad)):
            for symbol, state in (await PhysicsStates(client).many(part, bad)).items():
                present.add(symbol)
                try:
                    healed += self._heal(symbol, state, held.get(symbol), now)
                except InvalidMessage as error:
                    bad(symbol, error)
        absent = held.keys() - present
        gone = sorted(absent & self._absent)
        for symbol in gone:
            self._hub.remove(symbol)
            self._monitor.samples.forget(symbol)
        if gone:
            metrics.REMOVED.inc(len(gone))
            log.info("states_removed", symbols=len(gone), first=gone[:10])
        self._absent = absent
        metrics.FULL_READS.inc()
        metrics.HEALED.inc(healed)
        log.debug("states_read", symbols=len(present), healed=healed, seconds=round(perf_counter() - started, 4))

    def _heal(self, symbol: str, state: PhysicsState, before: Entry | None, now: float) -> bool:
        """Take over a state that was read, if it is newer than the last value. Returns whether it was.

        `before`: the last value when the read began. Raises InvalidMessage for an invalid state.
        """
        current = self._hub.last_values.get(symbol)
        if state.version is not None:
            check_epoch(state.version.epoch, now)
            if current is not None and current.version is not None and state.version <= current.version:
                return False
        elif current is not before:
            return False  # without versions the order of arrival counts, and an update came during the read
        payload = state.update(symbol)
        if len(payload) > MAX_BYTES:
            raise InvalidMessage("size", f"its update has {len(payload)} bytes, at most {MAX_BYTES} are allowed")
        if current is not None and current.payload == payload:
            return False
        self._check_room(symbol)
        if not self._hub.update(symbol, state.version, payload):
            return False
        self._monitor.samples.record(
            symbol, None if state.timestamp is None else from_iso(state.timestamp), state.source
        )
        return True

    def _check_room(self, symbol: str) -> None:
        """Raises InvalidMessage if the symbol is new and BRIDGE_MAX_SYMBOLS are held already."""
        most = self._settings.max_symbols
        if symbol not in self._hub.last_values and len(self._hub.last_values) >= most:
            raise InvalidMessage("room", f"{most} symbols are held already: see BRIDGE_MAX_SYMBOLS")
