"""How far a state may be trusted, by its age and by which hops between its market and its reader work. Pure.

Contract: `live` less than 10 s since the sample; `stale` after that, or 3 s after a hop fell silent;
`expired` after 60 s. The cause is the broken hop nearest to the reader.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from common.freshness import EXPIRED_SECONDS, SILENT_SECONDS, STALE_SECONDS

Status = Literal["live", "stale", "expired"]
Cause = Literal["redis_down", "writer_down", "feed_down", "market_quiet"]

ANNOUNCED_SOURCES = frozenset({"simulate", "replay", "live"})
"""Sources of the suite's own market service, which always says that it lives (`market:feed:*`). Another
feed need not, so that its silence proves nothing."""


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
    """None where it does not list them."""

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> "Feed":
        source, symbols = fields.get("source"), fields.get("symbols")
        listed = isinstance(symbols, list) and all(isinstance(name, str) for name in symbols)
        return cls(source if isinstance(source, str) else None, frozenset(symbols) if listed and symbols else None)

    def brings(self, symbol: str, source: str | None) -> bool:
        return (source is None or self.source == source) and (self.symbols is None or symbol in self.symbols)


@dataclass(frozen=True, slots=True)
class Chain:
    """The hops behind Redis, as Redis tells them."""

    writer: bool
    """Whether a FeynmanService holds a lease."""
    feeds: tuple[Feed, ...]

    @classmethod
    def of(cls, writers: int, feeds: Iterable[dict[str, Any]]) -> "Chain":
        return cls(writers > 0, tuple(Feed.from_fields(fields) for fields in feeds))

    def broken(self, symbol: str, source: str | None) -> Cause | None:
        """The broken hop behind Redis that is nearest to it, as far as that can be told.

        source: of the symbol's state, None where there is no state.
        """
        if not self.writer:
            return "writer_down"
        if any(feed.brings(symbol, source) for feed in self.feeds):
            return None
        return "feed_down" if source is None or source in ANNOUNCED_SOURCES else None


def assess(age: float | None, broken: Cause | None, silent: float) -> Freshness:
    """The freshness of a state.

    age: seconds since its newest sample; a state that does not tell its time counts as expired, since
    nothing proves that it is not. broken: the broken hop nearest to the reader. silent: for how many
    seconds that hop has said nothing.
    """
    status: Status
    if age is None or age >= EXPIRED_SECONDS:
        status = "expired"
    elif age >= STALE_SECONDS or (broken is not None and silent >= SILENT_SECONDS):
        status = "stale"
    else:
        status = "live"
    return Freshness(status, None if status == "live" else broken or "market_quiet", age)


def absent(broken: Cause | None) -> Freshness:
    """The freshness of what stands in for a state that is not there."""
    return assess(None, broken, 0.0)
