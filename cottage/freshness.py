"""How far a state may be trusted, by its age and by which hops between its market and its reader work. Pure.

Contract: `live` less than 10 s since the sample; `stale` after that, or 3 s after a hop fell silent; `expired`
after 60 s. The cause is the broken hop nearest to the reader, else `market_quiet`. Times are in seconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, cast

from cottage import fields, keys
from cottage.errors import InvalidName

Status = Literal["live", "stale", "expired"]
STATUSES: tuple[Status, ...] = ("live", "stale", "expired")
"""From good to bad."""
Cause = Literal["bridge_down", "redis_down", "writer_down", "feed_down", "market_quiet"]

ANNOUNCED_SOURCES = frozenset({"simulate", "replay", "live"})
"""Sources of the suite's own market service, which always says that it lives (`market:feed:*`). Another
feed need not, so that its silence proves nothing."""


class Thresholds(NamedTuple):
    """From how many seconds on something is not trusted any more."""

    stale: float = 10.0
    """Since the sample."""
    expired: float = 60.0
    """Since the sample, or since a hop fell silent."""
    silent: float = 3.0
    """How long a hop is silent before what came through it is stale."""

    def of_sample(self, age: float) -> Status:
        """How far a sample of that age may be trusted, as far as its age tells."""
        return _status_after(age, self.stale, self.expired)

    def of_silence(self, seconds: float) -> Status:
        """How far what came over a hop may be trusted that has been silent for so long."""
        return _status_after(seconds, self.silent, self.expired)


def _status_after(seconds: float, stale: float, expired: float) -> Status:
    return "expired" if seconds >= expired else "stale" if seconds >= stale else "live"


def worst(*statuses: Status) -> Status:
    return max(statuses, key=STATUSES.index)


USUAL = Thresholds()


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far something may be trusted: the state of one symbol, or all that comes over the hops up to the writer."""

    status: Status
    cause: Cause | None
    """None while live."""
    age: float | None
    """Seconds since the state's newest sample, or since the writer was heard; None where that is not known."""

    def as_dict(self) -> dict[str, Any]:
        """`status`, `cause` and `age_ms`, the age in whole milliseconds, for JSON."""
        return {
            "status": self.status,
            "cause": self.cause,
            "age_ms": None if self.age is None else round(self.age * 1000),
        }

    @classmethod
    def from_fields(cls, said: Mapping[str, Any]) -> "Freshness":
        """What `as_dict` gave. A cause that is not known here is taken as it is. Raises InvalidMessage."""
        age_ms = fields.optional_number(said, "age_ms")
        cause = cast("Cause | None", fields.optional_text(said, "cause"))
        return cls(fields.one_of(said, "status", STATUSES), cause, None if age_ms is None else age_ms / 1000)

    def aged(self, seconds: float) -> "Freshness":
        """The same, so many seconds later."""
        return self if self.age is None else replace(self, age=self.age + seconds)

    def alike(self, other: "Freshness") -> bool:
        """Whether it says the same, but for the age."""
        return self.status == other.status and self.cause == other.cause

    @property
    def complete(self) -> bool:
        """Whether what is held downstream of such hops is all that Redis has."""
        return self.cause not in ("redis_down", "bridge_down")


@dataclass(frozen=True, slots=True)
class FreshnessStatement:
    """What a FRESHNESS message says: so far may the states of these symbols be trusted."""

    freshness: Freshness
    """Its age is that of the oldest sample among them; of all, the seconds since the writer was heard."""
    symbols: tuple[str, ...] | None = None
    """None is all that there are, whatever was said of some before."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed that said within the last seconds that it lives."""

    source: str | None
    symbols: frozenset[str] | None
    """None where it does not list them all."""

    @classmethod
    def from_fields(cls, about: dict[str, Any]) -> "Feed":
        source, symbols, count = (about.get(name) for name in ("source", "symbols", "symbol_count"))
        listed = isinstance(symbols, list) and all(isinstance(name, str) for name in symbols)
        if not listed or not symbols or (count is not None and count != len(symbols)):
            symbols = None
        return cls(
            source if isinstance(source, str) else None,
            None if symbols is None else frozenset(symbols),
        )

    def brings(self, symbol: str, source: str | None) -> bool:
        return (source is None or self.source == source) and (self.symbols is None or symbol in self.symbols)


@dataclass(frozen=True, slots=True)
class Chain:
    """The hops behind Redis."""

    writers: frozenset[tuple[int, int]]
    """Shards (i of n) whose FeynmanService lives."""
    feeds: tuple[Feed, ...] | None
    """None where they are not known."""

    def writes(self, symbol: str) -> bool:
        return any(keys.in_shard(symbol, index, shards) for index, shards in self.writers)

    def broken(self, symbol: str, source: str | None) -> Cause | None:
        """The broken hop behind Redis that is nearest to it, as far as that can be told.

        source: of the symbol's state, None where there is no state.
        """
        if not self.writes(symbol):
            return "writer_down"
        if self.feeds is None or any(feed.brings(symbol, source) for feed in self.feeds):
            return None
        return "feed_down" if source is None or source in ANNOUNCED_SOURCES else None


def shards(names: Iterable[str]) -> frozenset[tuple[int, int]]:
    """(i, n) of each "i/n"; what is none is passed over."""
    found = set()
    for name in names:
        try:
            found.add(keys.shard(name))
        except InvalidName:
            continue
    return frozenset(found)


def assess(age: float | None, broken: Cause | None, silent: float, thresholds: Thresholds = USUAL) -> Freshness:
    """The freshness of a state.

    age: seconds since its newest sample; a state that does not tell its time counts as expired, since
    nothing proves that it is not. broken: the broken hop nearest to the reader. silent: for how many
    seconds that hop has said nothing.
    """
    status = "expired" if age is None else thresholds.of_sample(age)
    if status == "live" and broken is not None and silent >= thresholds.silent:
        status = "stale"
    return Freshness(status, None if status == "live" else broken or "market_quiet", age)


def assess_hops(broken: Cause | None, silent: float, age: float | None, thresholds: Thresholds = USUAL) -> Freshness:
    """The freshness of all that comes over some hops.

    It is stale as soon as one of them is `broken`, and expired once that one has been silent for long. `age`: seconds
    since the writer was heard.
    """
    if broken is None:
        return Freshness("live", None, age)
    return Freshness(worst("stale", thresholds.of_silence(silent)), broken, age)


def absent(broken: Cause | None) -> Freshness:
    """The freshness of what stands in for a state that is not there."""
    return assess(None, broken, 0.0)
