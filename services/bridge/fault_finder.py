"""What is broken between the markets and the bridge: Redis, a writer, a feed, or a source that fell silent.

Single symbols that are quiet are no fault; a source of which no symbol moves any more may be a feed that died.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from cottage import keys
from cottage.faults import FEWEST, Fault, FaultLog, Found, Patience, is_fault
from cottage.freshness import CAUSES, Cause, Chain, Freshness, Thresholds
from services.bridge.sample_ages import SampleAges
from services.bridge.silent_sources import SilentSources

PATIENCE = 2
"""At a start a hop may take so many times the silence after which it is broken."""


class Look(NamedTuple):
    """What the freshness monitor has found."""

    overall: Freshness
    """Of everything that comes from Redis."""
    exceptions: Mapping[str, Freshness]
    """The symbols that differ from that."""
    chain: Chain
    """The hops behind Redis."""
    symbols: Collection[str]
    """All symbols that have a state."""
    redis_answered_at: float
    """When Redis last told its time, monotonic."""


class FaultFinder:
    """The faults that the bridge finds and logs. `now` is monotonic, in seconds."""

    def __init__(self, thresholds: Thresholds, samples: SampleAges) -> None:
        self._silent = thresholds.silent
        self._samples = samples
        self._log = FaultLog(thresholds.silent)
        self._sources = SilentSources(thresholds.stale)
        patience = PATIENCE * thresholds.silent
        self._redis, self._writer, self._feeds = Patience(patience), Patience(patience), Patience(patience)

    def status(self, now: float) -> list[dict[str, Any]]:
        return self._log.status(now)

    def look(self, look: Look, now: float) -> None:
        """Log what has begun or ended."""
        overall = look.overall
        redis_answers, live = overall.cause != "redis_down", overall.status == "live"
        redis_due = self._redis.ends(True, redis_answers, now)
        writer_due = self._writer.ends(redis_answers, live, now)
        feeds_due = self._feeds.ends(live, False, now)
        found: dict[Fault, Found]
        judged: set[Cause]
        if not redis_answers:
            found, judged = {Fault("redis_down"): Found(look.symbols, due=redis_due)}, {"redis_down"}
        elif not live:
            # A Redis that hangs brings no heartbeats either: it must have answered since they are missed.
            silent = overall.age or 0.0
            answered = overall.age is None or look.redis_answered_at >= now - silent + self._silent
            found = {Fault("writer_down"): Found(look.symbols, silent, writer_due and answered)}
            judged = {"redis_down", "writer_down"}
        else:
            found, judged = dict(self._behind_redis(look, feeds_due, now)), set(CAUSES)
        self._log.look(found, judged, now)

    def _behind_redis(self, look: Look, due: bool, now: float) -> Iterator[tuple[Fault, Found]]:
        """What is broken behind Redis, by source or shard."""
        sources = self._samples.by_source()
        silent = self._sources.look({source: each.heard_at for source, each in sources.items()}, now)
        groups: dict[Fault, list[str]] = defaultdict(list)
        for symbol, each in look.exceptions.items():
            assert each.cause is not None
            groups[Fault(each.cause, self._of(each.cause, symbol, look.chain))].append(symbol)
        moving = set(filter(self._sources.has_moved, sources))
        for fault, symbols in groups.items():
            source = self._samples.source(symbols[0])
            usual = fault.cause == "market_quiet" and source not in silent
            # A feed that says that it lives has not died: of its only symbol the market may be quiet.
            fewest = FEWEST if any(feed.source == source for feed in look.chain.feeds or ()) else 1
            if usual or not is_fault(fault.cause, len(symbols), sources[source].symbols, fewest):
                continue
            # What another run left in Redis, such as one with another feed, is not what went wrong in this one.
            left = fault.cause != "writer_down" and bool(moving) and source not in moving
            detail = "so it was when this process began" if left else ""
            wrong = not left and fault.cause != "feed_ended"  # a feed that has done its work has no fault
            yield fault, Found(symbols, self._samples.youngest(symbols, now), due, wrong, detail)

    def _of(self, cause: Cause, symbol: str, chain: Chain) -> str:
        """The source of the symbol, or its shard where that is what is broken."""
        if cause != "writer_down":
            return self._samples.source(symbol)
        shards = max(shards for _index, shards in chain.writers)
        return f"{keys.shard_index(symbol, shards)}/{shards}"
