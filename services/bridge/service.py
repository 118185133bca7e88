"""RedisBridge: subscribes, decides what is newest, heals after a loss, and feeds any number of broadcasters.

The channel forgets what it says while nobody listens, so it is never trusted alone: with every
subscription, on a new epoch and every 30 s, all states are read as well, and (epoch, seq) decides.
"""

import asyncio
import time
from typing import Any

from common import keys, logs
from common.backoff import Backoff
from common.clock import Clock
from common.errors import InvalidMessage, RedisError, RedisRefused, RedisUnavailable, leaves
from common.fanout.gateway import Gateway
from common.fanout.hub import Hub
from common.fanout.protocol import Upstream
from common.messages import AgentUpdate, Heartbeat, PhysicsUpdate, check_epoch, parse_state_update
from common.ops import listening_socket
from common.redis import Client, Subscription, connect, subscribe
from common.settings import redacted
from common.store import PhysicsStates
from services.bridge import metrics
from services.bridge.settings import BridgeSettings
from services.bridge.upstream import Hearing

PING_SECONDS = 1.0
REFUSED_SECONDS = 5.0
"""A wrong password does not mend itself within a second: try slowly."""

log = logs.get_logger()
throttled = logs.Throttled(log)


class RedisBridge:
    def __init__(self, settings: BridgeSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._hearing = Hearing(clock.monotonic(), settings.silence_seconds)
        self._hub = Hub(clock, self.upstream)
        self._redis_ahead = 0.0
        """Redis's clock less our monotonic one, in seconds."""
        self._epoch = 0
        self._reread = asyncio.Event()
        self._absent: set[str] = set()
        self._problem: str | None = "not subscribed yet"

    async def run(self, stopping: asyncio.Event) -> None:
        settings = self._settings
        link = listening_socket(settings.host, settings.port, "BRIDGE_PORT")
        log.info("listening", host=settings.host, port=link.getsockname()[1])
        gateway = Gateway(self._hub, self._clock, heartbeat_seconds=settings.heartbeat_seconds)
        async with gateway.serve(link), asyncio.TaskGroup() as group:
            following = group.create_task(self._follow(), name="follow")
            await stopping.wait()
            following.cancel()

    def not_ready(self) -> str | None:
        return self._problem

    def status(self) -> dict[str, Any]:
        upstream = self.upstream()
        return {
            "redis": {"url": redacted(self._settings.redis_url), "problem": self._problem},
            "upstream": {"status": upstream.status, "cause": upstream.cause, "age_ms": upstream.age_ms},
            "epoch": self._epoch,
            "symbols": len(self._hub.table),
            "broadcasters": len(self._hub),
        }

    def upstream(self) -> Upstream:
        return self._hearing.upstream(self._clock.monotonic())

    async def _follow(self) -> None:
        """Subscribe, and again whenever the subscription is lost."""
        backoff = Backoff()
        while True:
            wait = 0.0
            try:
                await self._listen(backoff)
            except* RedisError as group:
                error = leaves(group)[0]
                self._hearing.redis_answers = False
                self._problem = f"Redis: {error}"
                throttled.warning("redis_lost", type(error).__name__, error=str(error))
                wait = REFUSED_SECONDS if isinstance(error, RedisRefused) else backoff.next()
            await self._clock.sleep(wait)

    async def _listen(self, backoff: Backoff) -> None:
        """One subscription's life. Raises RedisError when it is lost."""
        url = self._settings.redis_url
        async with subscribe(url, keys.STATE_UPDATE) as subscription, connect(url) as client:
            metrics.SUBSCRIPTIONS.inc()
            await self._read_all(client)
            backoff.reset()
            self._hearing.redis_answers = True
            self._problem = None
            log.info("subscribed", url=redacted(url), symbols=len(self._hub.table))
            async with asyncio.TaskGroup() as group:
                rereading = group.create_task(self._keep_reading(client), name="reread")
                try:
                    await self._take_messages(subscription)
                finally:
                    rereading.cancel()

    async def _take_messages(self, subscription: Subscription) -> None:
        while True:
            payload = await subscription.next(self._settings.silence_seconds)
            if payload is not None:
                self._take(payload)
            elif not await subscription.answers(PING_SECONDS):
                raise RedisUnavailable("the channel is silent and the server does not answer a PING")

    def _take(self, payload: bytes) -> None:
        """One message of the channel; what cannot be trusted is counted, logged and dropped."""
        try:
            message = parse_state_update(payload, self._redis_now())
        except InvalidMessage as error:
            self._drop("message_dropped", payload[:60].decode(errors="replace"), error)
            return
        match message:
            case PhysicsUpdate(symbol=symbol, version=version):
                metrics.PHYSICS_UPDATES.inc()
                self._hub.update(symbol, version, payload)
                if version is not None:
                    self._note_epoch(version.epoch)
            case Heartbeat(version=version):
                metrics.HEARTBEATS.inc()
                self._hearing.heard_writer(self._clock.monotonic())
                self._note_epoch(version.epoch)
            case AgentUpdate():
                metrics.AGENT_UPDATES.inc()
                self._hub.agent_update(payload)

    def _note_epoch(self, epoch: int) -> None:
        if epoch > self._epoch:
            if self._epoch:
                log.info("new_epoch", epoch=epoch, before=self._epoch)
                self._reread.set()
            self._epoch = epoch

    async def _keep_reading(self, client: Client) -> None:
        while True:
            try:
                async with asyncio.timeout(self._settings.reread_seconds):
                    await self._reread.wait()
            except TimeoutError:
                pass
            self._reread.clear()
            await self._read_all(client)

    async def _read_all(self, client: Client) -> None:
        """Read every state: what the channel did not bring is healed, what is gone twice is removed."""
        started = time.perf_counter()
        now = await client.now()
        self._redis_ahead = now - self._clock.monotonic()
        known = set(self._hub.table)
        states = await PhysicsStates(client).all(lambda name, error: self._drop("state_dropped", name, error))
        healed = 0
        for symbol, state in states.items():
            try:
                if state.version is not None:
                    check_epoch(state.version.epoch, now)
            except InvalidMessage as error:
                self._drop("state_dropped", symbol, error)
                continue
            healed += self._hub.update(symbol, state.version, state.update(symbol))
        absent = known - states.keys()
        for symbol in absent & self._absent:
            self._hub.remove(symbol)
            metrics.REMOVED.inc()
            log.info("state_removed", symbol=symbol)
        self._absent = absent
        metrics.FULL_READS.inc()
        metrics.HEALED.inc(healed)
        log.debug("states_read", symbols=len(states), healed=healed, ms=round((time.perf_counter() - started) * 1e3))

    def _redis_now(self) -> float:
        return self._redis_ahead + self._clock.monotonic()

    def _drop(self, event: str, what: str, error: InvalidMessage) -> None:
        metrics.DROPPED.labels(error.reason).inc()
        throttled.warning(event, error.reason, reason=error.reason, error=error.detail, what=what)
