"""Where staleness is decided: the bridge's freshness monitor finds stale and expired states, and publishes changes.

It considers feynman's heartbeats and whether Redis answers (liveness.py), the age of each symbol's newest sample
(sample_ages.py), and which feeds are alive (`market:feed:*`). All ages are by Redis's clock, so that no process
downstream has to compare clocks. The rules themselves, with their thresholds, are in cottage/freshness.py. What is
broken is said in the log by fault_finder.py.
"""

from typing import Any

from common import logs
from common.fanout.hub import Hub
from cottage.clock import Clock
from cottage.errors import InvalidMessage
from cottage.freshness import Chain, Feed, Freshness, Thresholds
from cottage.log import Throttled
from cottage.redis import Client
from cottage.redis_clock import RedisClock
from cottage.store import MarketFeeds
from services.bridge import metrics
from services.bridge.fault_finder import FaultFinder, Look
from services.bridge.liveness import WriterLiveness
from services.bridge.sample_ages import SampleAges

HOPS_SHARE = 2 / 3
"""Interval at which the feeds are read, as a share of the silence after which one is broken."""
CHECKS = 12
"""How often the overall freshness is checked within that silence; every SYMBOL_CHECKS-th check also assesses each
symbol."""
SYMBOL_CHECKS = 4

log = logs.get_logger()
throttled = Throttled(log)


class FreshnessMonitor:
    """Assesses the freshness of all states. The bridge records samples and heartbeats with it, and it publishes
    through the bridge's hub."""

    def __init__(self, liveness: WriterLiveness, thresholds: Thresholds, clock: Clock) -> None:
        self.liveness = liveness
        self._thresholds = thresholds
        self._clock = clock
        self._redis_clock = RedisClock()
        self._clock_was_set = False
        """Whether Redis's clock was set and broadcasters have not been told."""
        self.samples = SampleAges(thresholds, self._redis_clock)
        self.feeds: tuple[Feed, ...] | None = None
        """The feeds that were alive when they were last read; None if that is not known."""
        self._faults = FaultFinder(thresholds, self.samples)

    def redis_now(self) -> float:
        """The time by Redis's clock, in seconds since 1970; by the local clock until Redis has been asked."""
        redis_time = self._redis_clock.now(self._clock.monotonic())
        return self._clock.time() if redis_time is None else redis_time

    async def sync_clock(self, client: Client) -> float:
        """Ask Redis for its time, set the local copy of its clock, and return the time. Raises RedisError."""
        answer = await self._redis_clock.ask(client, self._clock)
        if answer.step:
            self._clock_was_set = True
            self.samples.clock_was_set(answer.unset_until)
        return answer.time

    def contradicts(self, time: float) -> bool:
        """Whether this time (seconds since 1970) of a message is not what Redis's clock should show by now."""
        return abs(time - self.redis_now()) > RedisClock.DOUBT_SECONDS

    def sent_at(self, time: float, now: float) -> float:
        """When a message of this time was sent, which is read `now`; both monotonic. It may have waited in a queue
        while this process or its connection stood still."""
        redis_time = self._redis_clock.now(now)
        return now if redis_time is None else now - max(0.0, redis_time - time)

    async def watch_feeds(self, client: Client) -> None:
        """Keep the list of live feeds up to date until cancelled. Raises RedisError.

        They are read only while some state is so old that it matters whether its feed is alive.
        """
        feeds = MarketFeeds(client)  # one for all looks: it finds out which of them outlive their holders
        while True:
            await self._clock.sleep(self._thresholds.silent * HOPS_SHARE)
            if self.samples.any_quiet(self._clock.monotonic()):
                self.feeds = tuple(map(Feed.from_fields, (await feeds.alive(_bad_feed)).values()))

    async def keep_publishing(self, hub: Hub) -> None:
        """Publish changes of freshness until cancelled: of all symbols soon, of single symbols a little later."""
        checks = 0
        while True:
            await self._clock.sleep(self._thresholds.silent / CHECKS)
            checks += 1
            changed = self._clock_was_set or not self._overall().alike(hub.freshness_board.overall)
            if changed or checks % SYMBOL_CHECKS == 0:
                self.publish(hub)

    def publish(self, hub: Hub) -> None:
        """Assess every symbol now, and have the hub send a FRESHNESS for each change since the last time; and a
        HEARTBEAT where Redis's clock was set, so that all ask for its time at once."""
        if self._clock_was_set:
            self._clock_was_set = False
            hub.heartbeat()
        now, overall = self._clock.monotonic(), self._overall()
        chain = Chain(self.liveness.live_shards(now), self.feeds)
        exceptions = self.samples.exceptions(overall, chain, now)
        for statement in hub.freshness_board.differences(
            overall, exceptions, lambda symbol: self.samples.age(symbol, now)
        ):
            hub.freshness(statement)
            metrics.FRESHNESS.labels(statement.freshness.status).inc()
            symbols = len(hub.last_values if statement.symbols is None else statement.symbols)
            log.debug("freshness", **statement.freshness.as_dict(), symbols=symbols)
        answered_at = self._redis_clock.confirmed_at
        self._faults.look(Look(overall, exceptions, chain, hub.last_values, answered_at), now)

    def faults(self) -> list[dict[str, Any]]:
        """The faults that last, for /status."""
        return self._faults.status(self._clock.monotonic())

    def _overall(self) -> Freshness:
        return self.liveness.upstream(self._clock.monotonic())


def _bad_feed(feed_id: str, error: InvalidMessage) -> None:
    throttled.warning("feed_dropped", error.reason, feed=feed_id[:32], reason=error.reason, error=error.detail)
