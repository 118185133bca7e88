"""How far a state may be trusted, by its age and by which hops between its market and its reader work. Pure.

Contract: `live` less than 10 s since the sample; `stale` after that, or 3 s after a hop fell silent; `expired`
after 60 s. The cause is the broken hop nearest to the reader, else `market_quiet`. Times are in seconds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from cottage import keys
from cottage.errors import InvalidName

Status = Literal["live", "stale", "expired"]
Cause = Literal["bridge_down", "redis_down", "writer_down", "feed_down", "market_quiet"]

ANNOUNCED_SOURCES = frozenset({"simulate", "replay", "live"})
"""Sources of the suite's own market service, which always says that it lives (`market:feed:*`). Another
feed need not, so that its silence proves nothing."""


class Thresholds(NamedTuple):
    stale: float = 10.0
    """Since the sample."""
    expired: float = 60.0
    """Since the sample, or since a hop fell silent."""
    silent: float = 3.0
    """How long a hop is silent before what came through it is stale."""


USUAL = Thresholds()


@dataclass(frozen=True, slots=True)
class Freshness:
    status: Status
    cause: Cause | None
    """None while live."""
    age: float | None
    """Seconds since the state's newest sample; None where that is not known."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "cause": self.cause,
            "age_ms": None if self.age is None else round(self.age * 1000),
        }


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed that said within the last seconds that it lives."""

    source: str | None
    symbols: frozenset[str] | None
    """None where it does not list them all."""

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> "Feed":
        source, symbols, count = (fields.get(name) for name in ("source", "symbols", "symbol_count"))
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
    status: Status
    if age is None or age >= thresholds.expired:
        status = "expired"
    elif age >= thresholds.stale or (broken is not None and silent >= thresholds.silent):
        status = "stale"
    else:
        status = "live"
    return Freshness(status, None if status == "live" else broken or "market_quiet", age)


def absent(broken: Cause | None) -> Freshness:
    """The freshness of what stands in for a state that is not there."""
    return assess(None, broken, 0.0)
