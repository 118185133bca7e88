"""The age of each symbol's newest sample, and which symbols are less fresh than all others because of it. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from cottage.clock import RemoteClock
from cottage.freshness import Chain, Freshness, Thresholds, assess
from cottage.sample_age import SampleAge
from cottage.snapshot import UNKNOWN_SOURCE


class SourceSamples(NamedTuple):
    """The newest samples of all symbols of one source."""

    symbols: int
    heard_at: float
    """When the newest of them was first heard of, monotonic."""


class SampleAges:
    """The newest sample of each symbol. The freshness monitor uses it. Symbols whose state has no time are left out.

    `clock`: Redis's, of which something must be known before a sample is recorded. `now`: monotonic, in all methods.
    """

    def __init__(self, thresholds: Thresholds, clock: RemoteClock) -> None:
        self._thresholds = thresholds
        self._clock = clock
        self._newest: dict[str, SampleAge] = {}
        self._lags: dict[str, float] = {}
        """By how many seconds the feeds of these symbols are usually late."""

    def record(
        self,
        symbol: str,
        source: str | None,
        timestamp: float | None,
        feed_time: float | None,
        lag: float,
        now: float,
    ) -> None:
        """Record from which sample the newest state was made, as the state tells it: times in seconds since 1970."""
        if timestamp is None:
            self.forget(symbol)
            return
        held = self._newest.get(symbol)
        self._newest[symbol] = SampleAge.heard(held, source, timestamp, feed_time, self._clock, now)
        if lag:
            self._lags[symbol] = lag
        elif self._lags:
            self._lags.pop(symbol, None)

    def forget(self, symbol: str) -> None:
        """Remove a symbol that has no state any more."""
        self._newest.pop(symbol, None)
        self._lags.pop(symbol, None)

    def clock_was_set(self, since: float) -> None:
        """Redis's clock was set at some time after `since`: what was recorded after that is assessed anew."""
        self._newest = {symbol: sample.confirmed(self._clock, since) for symbol, sample in self._newest.items()}

    def age(self, symbol: str, now: float) -> float | None:
        """Seconds since the symbol's newest sample; None if that is not known."""
        sample = self._newest.get(symbol)
        return None if sample is None else sample.age(self._clock, now)

    def source(self, symbol: str) -> str:
        """The source of the symbol's newest sample."""
        sample = self._newest.get(symbol)
        return UNKNOWN_SOURCE if sample is None else sample.source or UNKNOWN_SOURCE

    def youngest(self, symbols: Iterable[str], now: float) -> float:
        """Seconds since the newest sample of these symbols; 0.0 if that is not known."""
        return min((age for symbol in symbols if (age := self.age(symbol, now)) is not None), default=0.0)

    def by_source(self) -> dict[str, SourceSamples]:
        """The samples of each source."""
        symbols: dict[str, int] = {}
        heard: dict[str, float] = {}
        for sample in self._newest.values():  # written out, since it is asked of all symbols each second
            source, at = sample.source or UNKNOWN_SOURCE, sample.heard_at
            if source not in symbols:
                symbols[source], heard[source] = 1, at
            else:
                symbols[source] += 1
                if at > heard[source]:
                    heard[source] = at
        return {source: SourceSamples(symbols[source], heard[source]) for source in symbols}

    def any_quiet(self, now: float) -> bool:
        """Whether any symbol has had no new sample for so long that a hop behind Redis may be broken."""
        return bool(self._as_old_as(self._thresholds.silent, now))

    def exceptions(self, overall: Freshness, chain: Chain, now: float) -> dict[str, Freshness]:
        """The symbols whose status differs from the overall one, with their freshness. `chain`: the hops behind Redis
        as they are now."""
        thresholds = self._thresholds
        found: dict[str, Freshness] = {}
        limit = min(thresholds.silent, thresholds.stale) if overall.status == "live" else thresholds.expired
        for symbol, sample in self._as_old_as(limit, now):
            age = sample.age(self._clock, now)
            broken = overall.cause or chain.broken(symbol, sample.source or UNKNOWN_SOURCE)
            # A hop whose key has expired has been silent for about the age of the sample.
            freshness = assess(age, broken, age or 0.0, thresholds, self._lags.get(symbol, 0.0))
            if freshness.status != overall.status:
                found[symbol] = freshness
        return found

    def _as_old_as(self, seconds: float, now: float) -> list[tuple[str, SampleAge]]:
        """The samples of at least this age, and those of unknown age. Written out, since it is asked of all symbols
        each second."""
        redis_now = self._clock.now(now)
        if redis_now is None:
            return []
        oldest, newest = redis_now - seconds, now - seconds
        return [
            (symbol, sample)
            for symbol, sample in self._newest.items()
            if sample.timestamp <= oldest or sample.heard_at - sample.floor <= newest
        ]
