"""RedisBridge: subscribes, decides what is newest, heals after a loss, and feeds any number of broadcasters.

The channel forgets what it says while nobody listens, so it is never trusted alone: with every
subscription, on a new epoch and every 30 s, all states are read as well, and (epoch, seq) decides.
"""

import asyncio
import contextlib
from time import perf_counter
from typing import Any

from common import logs
from common.fanout.hub import Hub
from common.fanout.last_value_cache import Entry
from common.fanout.limits import Limits
from common.fanout.server import FanoutServer
from common.ops import listening_socket
from common.settings import redacted
from cottage import keys
from cottage.backoff import Backoff
from cottage.cancellation import cancellation_kept
from cottage.clock import Clock, from_iso
from cottage.errors import InvalidMessage, RedisError, RedisUnavailable, leaves
from cottage.freshness import Freshness
from cottage.log import Throttled
from cottage.messages import MAX_BYTES, AgentUpdate, Heartbeat, PhysicsUpdate, parse_state_update
from cottage.redis import ChannelSubscription, Client, connect, subscribe
from cottage.state import PhysicsState
from cottage.store import PhysicsStates, batches, scan
from cottage.version import check_epoch
from services.bridge import metrics
from services.bridge.freshness_monitor import FreshnessMonitor
from services.bridge.liveness import WriterLiveness
from services.bridge.settings import BridgeSettings

PING_SECONDS = 1.0
REREAD_PAUSE_SECONDS = 1.0
"""New epochs, true or forged, make nobody read all states more often than that."""
log = logs.get_logger()
throttled = Throttled(log)


class RedisBridge:
    def __init__(self, settings: BridgeSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._thresholds = settings.thresholds()
        self._hearing = WriterLiveness(clock.monotonic(), self._thresholds)
        self._judge = FreshnessMonitor(self._hearing, self._thresholds, clock)
        self._hub = Hub(clock, self.upstream, self._judge.redis_now)
        self._epoch = 0
        self._reread = asyncio.Event()
        self._absent: set[str] = set()
        """Symbols whose state was gone at the last full read."""
        self._problem: str | None = "not subscribed yet"

    async def run(self, stopping: asyncio.Event) -> None:
        settings = self._settings
        link = listening_socket(settings.host, settings.port, "BRIDGE_PORT")
        log.info("listening", host=settings.host, port=link.getsockname()[1])
        gateway = FanoutServer(self._hub, self._clock, Limits(), heartbeat_seconds=settings.heartbeat_seconds)
        self._judge.judge(self._hub)  # nobody is to think that we know anything yet
        async with gateway.serve(link), asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._follow(), name="follow"),
                group.create_task(self._judge.keep_judging(self._hub), name="freshness"),
            ]
            await stopping.wait()
            for task in tasks:
                task.cancel()

    def not_ready(self) -> str | None:
        return self._problem

    def status(self) -> dict[str, Any]:
        upstream, now = self.upstream(), self._clock.monotonic()
        return {
            "redis": {"url": redacted(self._settings.redis_url), "problem": self._problem},
            "upstream": upstream.as_dict(),
            "epoch": self._epoch,
            "writers": sorted(f"{index}/{shards}" for index, shards in self._hearing.writers(now)),
            "feeds": None if self._judge.feeds is None else [feed.source for feed in self._judge.feeds],
            "symbols": len(self._hub.table),
            "not_live": len(self._hub.standing.apart) if upstream.status == "live" else len(self._hub.table),
            "broadcasters": len(self._hub),
        }

    def upstream(self) -> Freshness:
        return self._hearing.upstream(self._clock.monotonic())

    async def _follow(self) -> None:
        """Subscribe, and again whenever the subscription is lost."""
        backoff = Backoff()
        while True:
            began = self._clock.monotonic()
            lost: BaseException | None = None
            with cancellation_kept():
                try:
                    await self._listen()
                except* RedisError as group:
                    lost = leaves(group)[0]
                    self._hearing.redis_answers = False
                    self._problem = f"Redis: {lost}"
                    throttled.warning("redis_lost", type(lost).__name__, error=str(lost))
            await self._clock.sleep(backoff.after(self._clock.monotonic() - began, lost))

    async def _listen(self) -> None:
        """One subscription's life. Raises RedisError when it is lost."""
        url = self._settings.redis_url
        timeout = self._settings.redis_timeout_seconds
        async with (
            subscribe(url, keys.STATE_UPDATE, timeout=timeout) as subscription,
            connect(url, timeout=timeout) as client,
        ):
            metrics.SUBSCRIPTIONS.inc()
            await self._read_all(client)
            self._hearing.redis_answers = True
            self._problem = None
            log.info("subscribed", url=redacted(url), symbols=len(self._hub.table))
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._keep_reading(client), name="reread"),
                    group.create_task(self._judge.keep_looking(client), name="feeds"),
                ]
                try:
                    await self._take_messages(subscription)
                finally:
                    for task in tasks:
                        task.cancel()

    async def _take_messages(self, subscription: ChannelSubscription) -> None:
        silent = self._thresholds.silent
        while True:
            payloads = await subscription.messages(silent)
            for payload in payloads:
                self._take(payload)
            if not payloads and not await subscription.answers(min(PING_SECONDS, silent)):
                raise RedisUnavailable("the channel is silent and the server does not answer a PING")

    def _take(self, payload: bytes) -> None:
        """One message of the channel; what cannot be trusted is counted, logged and dropped."""
        try:
            self._apply(payload)
        except InvalidMessage as error:
            self._drop("message_dropped", payload[:60].decode(errors="replace"), error)

    def _apply(self, payload: bytes) -> None:
        match parse_state_update(payload, self._judge.redis_now()):
            case PhysicsUpdate(symbol=symbol, version=version) as update:
                metrics.PHYSICS_UPDATES.inc()
                self._check_room(symbol)
                if self._hub.update(symbol, version, payload):
                    self._judge.samples.taken(symbol, update.timestamp, update.source)
                if version is not None:
                    self._note_epoch(version.epoch)
            case Heartbeat(version=version, shard=shard):
                metrics.HEARTBEATS.inc()
                self._hearing.heard_writer(shard, self._clock.monotonic())
                self._note_epoch(version.epoch)
            case AgentUpdate():
                metrics.AGENT_UPDATES.inc()
                self._hub.agent_update(payload)

    def _note_epoch(self, epoch: int) -> None:
        if epoch > self._epoch:
            if self._epoch:
                self._reread.set()
            self._epoch = epoch

    async def _keep_reading(self, client: Client) -> None:
        pause = min(REREAD_PAUSE_SECONDS, self._settings.reread_seconds / 2)
        while True:
            await self._clock.sleep(pause)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.reread_seconds - pause):
                    await self._reread.wait()
            if self._reread.is_set():
                log.info("new_epoch", epoch=self._epoch)
            self._reread.clear()
            await self._read_all(client)

    async def _read_all(self, client: Client) -> None:
        """Read every state: what the channel did not bring is healed, what is gone twice is removed."""
        started = perf_counter()
        now = await self._judge.ask_time(client)
        held = self._hub.table.entries()
        present: set[str] = set()
        """A state that cannot be trusted is not gone: the last good one stands."""

        def bad(symbol: str, error: InvalidMessage) -> None:
            present.add(symbol)
            self._drop("state_dropped", symbol, error)

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
            self._judge.samples.removed(symbol)
        if gone:
            metrics.REMOVED.inc(len(gone))
            log.info("states_removed", count=len(gone), symbols=gone[:20])
        self._absent = absent
        metrics.FULL_READS.inc()
        metrics.HEALED.inc(healed)
        log.debug("states_read", symbols=len(present), healed=healed, ms=round((perf_counter() - started) * 1e3))

    def _heal(self, symbol: str, state: PhysicsState, before: Entry | None, now: float) -> bool:
        """Take a state that was read, if it is newer than what is held; whether it was taken.

        `before`: what was held when the read began. Raises InvalidMessage for a state that cannot be trusted.
        """
        current = self._hub.table.get(symbol)
        if state.version is not None:
            check_epoch(state.version.epoch, now)
            if current is not None and current.version is not None and state.version <= current.version:
                return False
        elif current is not before:
            return False  # without versions the order of arrival counts, and the channel's came during the read
        payload = state.update(symbol)
        if len(payload) > MAX_BYTES:
            raise InvalidMessage("size", f"its update has {len(payload)} bytes, at most {MAX_BYTES} are allowed")
        if current is not None and current.payload == payload:
            return False
        self._check_room(symbol)
        if not self._hub.update(symbol, state.version, payload):
            return False
        self._judge.samples.taken(
            symbol, None if state.timestamp is None else from_iso(state.timestamp), state.source
        )
        return True

    def _check_room(self, symbol: str) -> None:
        """Raises InvalidMessage where one more symbol would be too many."""
        most = self._settings.max_symbols
        if symbol not in self._hub.table and len(self._hub.table) >= most:
            raise InvalidMessage("room", f"{most} symbols are held already: see BRIDGE_MAX_SYMBOLS")

    def _drop(self, event: str, what: str, error: InvalidMessage) -> None:
        metrics.DROPPED.labels(error.reason).inc()
        throttled.warning(event, error.reason, reason=error.reason, error=error.detail, what=what)
