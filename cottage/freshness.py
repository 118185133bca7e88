"""Freshness and staleness: the rules that decide when a state is live, stale or expired, and why. Pure.

It depends on the state's age and on which hops between its market and its reader work. By default a state is `live`
for 10 s after its sample, then `stale`, which it also is 3 s after a hop fell silent, and `expired` after 60 s. The
cause is the broken hop nearest to the reader; if there is none, `feed_late` where the feed is late by nature, else
`market_quiet`. Bridge, readers and clients use it. Times are in seconds.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any, Literal, NamedTuple, Self, cast, get_args

from cottage import fields, keys
from cottage.errors import InvalidMessage, InvalidName

Status = Literal["live", "stale", "expired"]
STATUSES: tuple[Status, ...] = ("live", "stale", "expired")
"""From the best to the worst."""
Cause = Literal["bridge_down", "redis_down", "writer_down", "feed_down", "feed_ended", "feed_late", "market_quiet"]
CAUSES: tuple[Cause, ...] = get_args(Cause)

ANNOUNCED_SOURCES = frozenset({"simulate", "replay", "live"})
"""The sources of the suite's market service, which always announces itself (`market:feed:*`). Other feeds need not,
so a missing announcement proves nothing about them."""


class Thresholds(NamedTuple):
    """The times, in seconds, after which states are stale or expired."""

    stale: float = 10.0
    """The age of a sample from which a state is stale."""
    expired: float = 60.0
    """The age of a sample, or the silence of a hop, from which a state is expired."""
    silent: float = 3.0
    """The silence of a hop from which everything that came over it is stale."""

    def of_sample(self, age: float, lag: float = 0.0) -> Status:
        """The status by the age of a sample alone. `lag`: how late its feed is by nature."""
        return "stale" if self.late(age, lag) else _status_after(age, self.stale, self.expired)

    def late(self, age: float, lag: float) -> bool:
        """Whether a sample is too old to be live, but no older than is usual of its feed."""
        return self.stale <= age < self.stale + lag

    def of_silence(self, seconds: float) -> Status:
        """The status of what came over a hop that has been silent for so long."""
        return _status_after(seconds, self.silent, self.expired)


def _status_after(seconds: float, stale: float, expired: float) -> Status:
    return "expired" if seconds >= expired else "stale" if seconds >= stale else "live"


LONGEST_CAUSE = 64
"""Letters of a cause, also of one that is not known here."""


def is_age(age_ms: object) -> bool:
    """Whether it is an age in milliseconds that can be told on: JSON has no greater whole number."""
    return fields.finite(age_ms) and abs(age_ms) < 2**53  # type: ignore[arg-type]  # it is a number


def milliseconds(age: float | None) -> int | None:
    """An age in seconds as messages tell it; None if it is not known."""
    return None if age is None else round(age * 1000)


def worst(*statuses: Status) -> Status:
    return max(statuses, key=STATUSES.index)


USUAL = Thresholds()


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far something can be trusted: the state of one symbol, or everything that comes over some hops."""

    status: Status
    cause: Cause | None
    """None while live."""
    age: float | None
    """Seconds since the state's newest sample, or since the writer's last heartbeat; None if that is not known."""

    def as_dict(self) -> dict[str, Any]:
        """`status`, `cause` and `age_ms`, the age in whole milliseconds, for JSON."""
        return {"status": self.status, "cause": self.cause, "age_ms": milliseconds(self.age)}

    @classmethod
    def from_fields(cls, message: Mapping[str, Any]) -> "Freshness":
        """The inverse of `as_dict`. An unknown cause is accepted as it is. Raises InvalidMessage."""
        age_ms = message.get("age_ms")
        if not (age_ms is None or is_age(age_ms)):
            raise InvalidMessage("number", "age_ms is no age")
        cause = cast("Cause | None", fields.optional_text(message, "cause"))
        if cause is not None and len(cause) > LONGEST_CAUSE:
            raise InvalidMessage("cause", f"it has {len(cause)} letters")
        return cls(fields.one_of(message, "status", STATUSES), cause, None if age_ms is None else age_ms / 1000)

    def aged(self, seconds: float) -> "Freshness":
        """The same freshness so many seconds later."""
        return self if self.age is None else replace(self, age=self.age + seconds)

    def alike(self, other: "Freshness") -> bool:
        """Whether status and cause are the same; the ages may differ."""
        return self.status == other.status and self.cause == other.cause

    @property
    def complete(self) -> bool:
        """Whether what is held downstream of these hops is everything that Redis holds."""
        return self.cause not in ("redis_down", "bridge_down")


@dataclass(frozen=True, slots=True)
class FreshnessStatement:
    """The content of a FRESHNESS message: the freshness of these symbols' states."""

    freshness: Freshness
    """Its age is that of the oldest sample among them; for all symbols, the time since the last heartbeat."""
    symbols: tuple[str, ...] | None = None
    """None means all symbols; earlier statements about single symbols do not hold any more then."""
    ages: tuple[float | None, ...] | None = None
    """The age of each symbol's sample, in the order of `symbols`; None if all are as old as the oldest."""

    @classmethod
    def of_symbols(cls, status: Status, cause: Cause | None, ages: Mapping[str, float | None]) -> Self:
        """The statement about symbols whose samples have these ages."""
        oldest = max((age for age in ages.values() if age is not None), default=None)
        alike = all(age == oldest for age in ages.values())
        return cls(Freshness(status, cause, oldest), tuple(ages), None if alike else tuple(ages.values()))

    def each(self) -> Iterator[tuple[str, float | None]]:
        """Each symbol with the age of its sample; nothing for a statement about all symbols."""
        return zip(self.symbols or (), self.ages or repeat(self.freshness.age), strict=False)

    def about(self, ages: Iterable[tuple[str, float | None]]) -> Self:
        """The same statement about some of its symbols only, which are given as `each` gives them."""
        return self.of_symbols(self.freshness.status, self.freshness.cause, dict(ages))

    def without(self, symbols: Set[str]) -> Self | None:
        """The same statement about the others of its symbols; None if there are none."""
        if self.symbols is None or symbols.isdisjoint(self.symbols):
            return self
        left = [(symbol, age) for symbol, age in self.each() if symbol not in symbols]
        return self.about(left) if left else None

    def aged(self, seconds: float) -> Self:
        """The same statement so many seconds later."""
        ages = self.ages and tuple(None if age is None else age + seconds for age in self.ages)
        return replace(self, freshness=self.freshness.aged(seconds), ages=ages)


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed that has announced itself within the last seconds (`market:feed:*`)."""

    source: str | None
    symbols: frozenset[str] | None
    """The symbols that it brings; None if it does not list all of them."""
    ended: bool = False
    """Whether it says that it has ended, as a replay does at the end of its file: it brings nothing more."""

    @classmethod
    def from_fields(cls, about: dict[str, Any]) -> "Feed":
        source, symbols, count = (about.get(name) for name in ("source", "symbols", "symbol_count"))
        listed = isinstance(symbols, list) and all(isinstance(name, str) for name in symbols)
        if not listed or not symbols or (count is not None and count != len(symbols)):
            symbols = None
        return cls(
            source if isinstance(source, str) else None,
            None if symbols is None else frozenset(symbols),
            about.get("ended_at") is not None,
        )

    def brings(self, symbol: str, source: str | None) -> bool:
        return (source is None or self.source == source) and (self.symbols is None or symbol in self.symbols)


@dataclass(frozen=True, slots=True)
class Chain:
    """The hops behind Redis: feynman, which writes the states, and the feeds, which write the snapshots."""

    writers: frozenset[tuple[int, int]]
    """The shards (i, n) that have a live writer."""
    feeds: tuple[Feed, ...] | None
    """The live feeds; None if they are not known."""

    def writes(self, symbol: str) -> bool:
        return any(keys.in_shard(symbol, index, shards) for index, shards in self.writers)

    def broken(self, symbol: str, source: str | None) -> Cause | None:
        """The broken hop behind Redis for a symbol, the one nearest to Redis; None if none is known to be broken.

        source: the source of the symbol's state; None if it has no state.
        """
        if not self.writes(symbol):
            return "writer_down"
        if self.feeds is None:
            return None
        ended = False
        for feed in self.feeds:
            if feed.brings(symbol, source):
                if not feed.ended:
                    return None
                ended = True
        if ended:
            return "feed_ended"
        return "feed_down" if source is None or source in ANNOUNCED_SOURCES else None


def shards(names: Iterable[str]) -> frozenset[tuple[int, int]]:
    """(i, n) for each "i/n"; other text is ignored."""
    found = set()
    for name in names:
        try:
            found.add(keys.shard(name))
        except InvalidName:
            continue
    return frozenset(found)


def assess(
    age: float | None, broken: Cause | None, silent: float, thresholds: Thresholds = USUAL, lag: float = 0.0
) -> Freshness:
    """The freshness of a state.

    age: seconds since its newest sample; a state without a time counts as expired, since nothing proves that it is
    not. broken: the broken hop nearest to the reader. silent: for how many seconds that hop has been silent. lag: how
    many seconds its feed is late by nature.
    """
    status = "expired" if age is None else thresholds.of_sample(age, lag)
    if status == "live" and broken is not None and silent >= thresholds.silent:
        status = "stale"
    usual: Cause = "feed_late" if age is not None and thresholds.late(age, lag) else "market_quiet"
    return Freshness(status, None if status == "live" else broken or usual, age)


def assess_hops(broken: Cause | None, silent: float, age: float | None, thresholds: Thresholds = USUAL) -> Freshness:
    """The freshness of everything that comes over some hops.

    It is stale as soon as one of them is `broken`, and expired once that hop has been silent for long. `age`: seconds
    since the writer's last heartbeat.
    """
    if broken is None:
        return Freshness("live", None, age)
    return Freshness(worst("stale", thresholds.of_silence(silent)), broken, age)


def unfed(freshness: Freshness, source: str | None) -> bool:
    """Whether no feed brings the symbol of a state any more, so that a display may fold it away.

    It is expired, and its feed, which announces itself, is gone; one that says that it has ended is not. Of a feed
    that does not announce itself it is known only that nothing has come of it for so long. `source`: of the state.
    """
    if freshness.status != "expired" or freshness.age is None:
        return False
    quiet = freshness.cause == "market_quiet" and source not in ANNOUNCED_SOURCES
    return quiet or freshness.cause == "feed_down"


def absent(broken: Cause | None) -> Freshness:
    """The freshness of the fallback for a state that does not exist."""
    return assess(None, broken, 0.0)
