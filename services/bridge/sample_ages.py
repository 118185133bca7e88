"""The age of each symbol's newest sample, and which symbols are less fresh than all others because of it. Pure."""

from typing import NamedTuple

from cottage.clock import FUTURE_SECONDS
from cottage.freshness import Chain, Freshness, Thresholds, assess
from cottage.snapshot import UNKNOWN_SOURCE


class DatedSample(NamedTuple):
    time: float
    """Seconds since 1970."""
    source: str | None


class SampleAges:
    """The newest sample of each symbol. The freshness monitor uses it. Symbols whose state has no time are left out.

    `now` is the time by Redis's clock, in seconds since 1970.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._newest: dict[str, DatedSample] = {}

    def record(self, symbol: str, time: float | None, source: str | None) -> None:
        """Record the time (seconds since 1970) and the source of the sample from which the newest state was made."""
        if time is None:
            self._newest.pop(symbol, None)
        else:
            self._newest[symbol] = DatedSample(time, source)

    def forget(self, symbol: str) -> None:
        """Remove a symbol that has no state any more."""
        self._newest.pop(symbol, None)

    def age(self, symbol: str, now: float) -> float | None:
        """Seconds since the symbol's newest sample; None if that is not known."""
        sample = self._newest.get(symbol)
        return None if sample is None else max(0.0, now - sample.time)

    def any_quiet(self, now: float) -> bool:
        """Whether any symbol has had no new sample for so long that a hop behind Redis may be broken."""
        latest = now - self._thresholds.silent
        return any(sample.time <= latest for sample in self._newest.values())

    def exceptions(self, overall: Freshness, chain: Chain, now: float) -> dict[str, Freshness]:
        """The symbols whose status differs from the overall one, with their freshness. `chain`: the hops behind Redis
        as they are now."""
        thresholds = self._thresholds
        young = now - (thresholds.silent if overall.status == "live" else thresholds.expired)
        found: dict[str, Freshness] = {}
        for symbol, sample in self._newest.items():
            if young < sample.time <= now + FUTURE_SECONDS:
                continue
            age = now - sample.time
            broken = overall.cause or chain.broken(symbol, sample.source or UNKNOWN_SOURCE)
            # A hop whose key has expired has been silent for about the age of the sample. A sample from the future
            # would look live until its time has come, so its age counts as unknown.
            freshness = assess(age if age >= 0 else None, broken, age, thresholds)
            if freshness.status != overall.status:
                found[symbol] = freshness
        return found
