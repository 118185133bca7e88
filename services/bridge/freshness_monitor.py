"""How far the states may be trusted: judged for all, by Redis's clock, and said when it changes."""

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
"""An answer that took longer does not tell what time it is."""
LOOK_SHARE = 2 / 3
"""Of the silence after which a hop counts as broken: so often the hops behind Redis are looked at."""
JUDGED = 12
"""Looks at what holds of all, in that time; each JUDGED_SYMBOLS-th is also at every symbol."""
JUDGED_SYMBOLS = 4

log = logs.get_logger()


class FreshnessMonitor:
    def __init__(self, hearing: WriterLiveness, thresholds: Thresholds, clock: Clock) -> None:
        self._hearing = hearing
        self._thresholds = thresholds
        self._clock = clock
        self._redis_clock = RemoteClock()
        self.samples = SampleAges(thresholds)
        self.feeds: tuple[Feed, ...] | None = None
        """That live, as was seen last; None where that is not known."""

    def redis_now(self) -> float:
        """Redis's clock; ours until it has told."""
        told = self._redis_clock.now(self._clock.monotonic())
        return self._clock.time() if told is None else told

    async def ask_time(self, client: Client) -> float:
        """Redis's clock; what we know of it is set by it. Raises RedisError."""
        sent = self._clock.monotonic()
        now = await client.now()
        if not self._redis_clock.known or self._clock.monotonic() - sent < SLOW_SECONDS:
            self._redis_clock.distrust()  # of an answer that came at once, any step is to be believed
            self._redis_clock.observe(now, sent)
        return now

    async def keep_looking(self, client: Client) -> None:
        """At Redis's clock, and at which feeds live where some state is so old that it matters. Raises RedisError."""
        while True:
            await self._clock.sleep(self._thresholds.silent * LOOK_SHARE)
            now = await self.ask_time(client)
            if self.samples.any_doubtful(now):
                self.feeds = tuple(map(Feed.from_fields, (await MarketFeeds(client).alive()).values()))

    async def keep_judging(self, hub: Hub) -> None:
        """Say what changes: of all at once, of some of them once in a while. Until cancelled."""
        looks = 0
        while True:
            await self._clock.sleep(self._thresholds.silent / JUDGED)
            looks += 1
            if looks % JUDGED_SYMBOLS == 0 or not self._whole().alike(hub.freshness_board.overall):
                self.judge(hub)

    def judge(self, hub: Hub) -> None:
        """Say what has changed."""
        now, whole = self.redis_now(), self._whole()
        chain = Chain(self._hearing.writers(self._clock.monotonic()), self.feeds)
        apart = self.samples.apart(whole, chain, now)
        for statement in hub.freshness_board.differences(whole, apart, lambda symbol: self.samples.age(symbol, now)):
            hub.freshness(statement)
            metrics.FRESHNESS.labels(statement.freshness.status).inc()
            of_all = statement.symbols is None
            say = log.info if of_all else log.debug  # a market has quiet symbols all day
            symbols = len(hub.table) if of_all else len(statement.symbols or ())
            say("freshness", **statement.freshness.as_dict(), symbols=symbols)

    def _whole(self) -> Freshness:
        return self._hearing.upstream(self._clock.monotonic())
