"""The bridge consumes the channel `state_update`, keeps the newest state of every symbol, and serves broadcasters.

The subscription and how it heals after a gap are in cottage/consumer.py. What the channel brings is believed as far
as Redis bears it out: see leases.py and reconciler.py. Whether states are stale is decided in freshness_monitor.py.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from common import logs
from common.auth.link_secret import LinkSecret
from common.fanout.hub import Hub
from common.fanout.limits import Limits
from common.fanout.server import FanoutServer
from common.ops import listening_socket
from cottage import keys
from cottage.cancellation import background
from cottage.clock import Clock
from cottage.consumer import ChannelConsumer, ChannelHandler
from cottage.errors import InvalidMessage, InvalidName, RedisError
from cottage.events import Event
from cottage.freshness import Freshness
from cottage.log import Throttled
from cottage.messages import Heartbeat, PhysicsUpdate, parse_state_update
from cottage.redis import Client
from cottage.urls import redacted
from services.bridge import metrics
from services.bridge.freshness_monitor import FreshnessMonitor
from services.bridge.leases import LivingLeases
from services.bridge.liveness import WriterLiveness
from services.bridge.reconciler import Reconciler
from services.bridge.settings import BridgeSettings

MOST_BROADCASTERS = 500
"""So many connections are served at a time: one of these that was taken over cannot fill the bridge's memory."""

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
        self._leases = LivingLeases()
        self._reconciler = Reconciler(
            self._hub, self._monitor, self._leases, clock, settings.max_symbols, self._consumer.reconcile_soon
        )

    async def run(self, stopping: asyncio.Event) -> None:
        settings = self._settings
        certificate = settings.certificate()
        link = listening_socket(settings.host, settings.port, "BRIDGE_PORT")
        log.info("listening", host=settings.host, port=link.getsockname()[1])
        access = settings.access(settings.host)
        secrets = settings.link_secrets()
        server = FanoutServer(
            self._hub,
            self._clock,
            Limits(connections=MOST_BROADCASTERS),
            access,
            heartbeat_seconds=settings.heartbeat_seconds,
            certificate=certificate,
            authentication=LinkSecret(secrets) if secrets else None,
        )
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
            "epoch": max(self._leases.epochs.values(), default=0),
            "writers": sorted(f"{index}/{shards}" for index, shards in self._liveness.live_shards(now)),
            "feeds": None if self._monitor.feeds is None else [feed.source for feed in self._monitor.feeds],
            "symbols": len(self._hub.last_values),
            "not_live": self._hub.not_live,
            "faults": self._monitor.faults(),
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
        async with background(self._monitor.watch_feeds(client)):
            await self._reconciler.keep_looking(client)

    async def received(self, payloads: Sequence[bytes]) -> None:
        self._handle(payloads)

    def _handle(self, payloads: Sequence[bytes]) -> None:
        """Apply messages of the channel; one that cannot be trusted is counted, logged and dropped."""
        redis_now, now, updates = self._monitor.redis_now(), self._clock.monotonic(), 0
        for payload in payloads:
            try:
                updates += self._apply(payload, redis_now, now)
            except InvalidMessage as error:
                metrics.DROPPED.labels(error.reason).inc()
                if error.reason == "db":
                    continue  # a suite on another database does nothing wrong: channels belong to no database
                start = payload[:60].decode(errors="replace")
                throttled.warning(
                    "message_dropped", error.reason, reason=error.reason, error=error.detail, payload=start
                )
        metrics.PHYSICS_UPDATES.inc(updates)

    def _apply(self, payload: bytes, redis_now: float, now: float) -> bool:
        """Apply one message. `now`: monotonic. Returns whether it was a PHYSICS_UPDATE. Raises InvalidMessage."""
        match parse_state_update(payload, redis_now, self._consumer.database):
            case PhysicsUpdate() as update:
                self._reconciler.heard(update, now)
                return True
            case Heartbeat() as heartbeat:
                metrics.HEARTBEATS.inc()
                self._take_heartbeat(heartbeat, now)
            case Event(topic=topic) as event:
                metrics.MESSAGES.labels(topic).inc()
                self._hub.event(event)
        return False

    def _take_heartbeat(self, heartbeat: Heartbeat, now: float) -> None:
        """What it says is looked up in Redis where it is news: another writer, or another time."""
        try:
            shard = keys.shard(heartbeat.shard)
        except InvalidName as error:
            raise InvalidMessage("shard", str(error)) from error
        sent_at = self._monitor.sent_at(heartbeat.timestamp, now)
        counts = self._liveness.heartbeat(shard, heartbeat.version.epoch, sent_at)
        if not counts:
            self._leases.expect(shard)
        if not counts or self._monitor.contradicts(heartbeat.timestamp):
            self._reconciler.wake()

    async def reconcile(self, client: Client) -> None:
        await self._reconciler.read_all(client)
