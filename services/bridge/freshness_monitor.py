"""Decides where states are stale: of all symbols at once and of each alone, and publishes what changes.

What it decides by: the heartbeats of feynman and whether Redis answers (liveness.py), the age of each symbol's newest
sample (sample_ages.py), and which feeds live (`market:feed:*`). All ages are by Redis's clock, so that nobody
downstream compares clocks. The rules themselves, with their thresholds, are cottage/freshness.py.
"""

from common import logs
from common.fanout.hub import Hub
from cottage.clock import Clock, RemoteClock
from cottage.freshness import Chain, Feed, Freshness, Thresholds
from cottage.redis import Client
from cottage.store import MarketFeeds
from services.bridge import metrics
from services.bridge.liveness import WriterLiveness
from services.bridge.sample_ages import SampleAges

SLOW_SECONDS = 1.0
"""An answer to TIME that took longer does not set the clock: nobody knows when in that time it was given."""
HOPS_SHARE = 2 / 3
"""The hops behind Redis are looked at this often, as a share of the silence after which one counts as broken."""
CHECKS = 12
"""So often in that silence it is checked what holds for all symbols; each SYMBOL_CHECKS-th check looks at every
symbol as well."""
SYMBOL_CHECKS = 4

log = logs.get_logger()


class FreshnessMonitor:
    """Used by the bridge, which tells it of every sample and heartbeat and has it publish to the hub."""

    def __init__(self, liveness: WriterLiveness, thresholds: Thresholds, clock: Clock) -> None:
        self._liveness = liveness
        self._thresholds = thresholds
        self._clock = clock
        self._redis_clock = RemoteClock()
        self.samples = SampleAges(thresholds)
        self.feeds: tuple[Feed, ...] | None = None
        """The feeds that lived when they were read last; None where that is not known."""

    def redis_now(self) -> float:
        """The time by Redis's clock, in seconds since 1970; by ours until Redis has been asked."""
        told = self._redis_clock.now(self._clock.monotonic())
        return self._clock.time() if told is None else told

    async def sync_clock(self, client: Client) -> float:
        """Ask Redis for its time, set our copy of its clock by it, and return it. Raises RedisError."""
        sent = self._clock.monotonic()
        now = await client.now()
        if not self._redis_clock.known or self._clock.monotonic() - sent < SLOW_SECONDS:
            self._redis_clock.distrust()  # of an answer that came at once, any step is to be believed
            self._redis_clock.observe(now, sent)
        return now

    async def watch_hops(self, client: Client) -> None:
        """Keep Redis's clock and the list of live feeds up to date until cancelled. Raises RedisError.

        The feeds are read only while some state is so old that it matters whether its feed lives.
        """
        while True:
            await self._clock.sleep(self._thresholds.silent * HOPS_SHARE)
            now = await self.sync_clock(client)
            if self.samples.any_quiet(now):
                self.feeds = tuple(map(Feed.from_fields, (await MarketFeeds(client).alive()).values()))

    async def keep_publishing(self, hub: Hub) -> None:
        """Publish what changes until cancelled: what holds for all symbols soon, what holds for single ones later."""
        checks = 0
        while True:
            await self._clock.sleep(self._thresholds.silent / CHECKS)
            checks += 1
            if checks % SYMBOL_CHECKS == 0 or not self._overall().alike(hub.freshness_board.overall):
                self.publish(hub)

    def publish(self, hub: Hub) -> None:
        """Assess every symbol now, and have the hub send a FRESHNESS for each change since the last time."""
        now, overall = self.redis_now(), self._overall()
        chain = Chain(self._liveness.live_shards(self._clock.monotonic()), self.feeds)
        exceptions = self.samples.exceptions(overall, chain, now)
        for statement in hub.freshness_board.differences(
            overall, exceptions, lambda symbol: self.samples.age(symbol, now)
        ):
            hub.freshness(statement)
            metrics.FRESHNESS.labels(statement.freshness.status).inc()
            of_all = statement.symbols is None
            symbols = len(hub.last_values) if of_all else len(statement.symbols or ())
            fine = statement.freshness.status == "live" or not symbols
            # A market has quiet symbols all day: single ones are told at debug.
            report = log.debug if not of_all else log.info if fine else log.warning
            report("freshness", **statement.freshness.as_dict(), symbols=symbols)

    def _overall(self) -> Freshness:
        return self._liveness.upstream(self._clock.monotonic())
