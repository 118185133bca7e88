"""The age of each symbol's newest sample, and which symbols are therefore stale while others are not. Pure."""

from typing import NamedTuple

from cottage.clock import FUTURE_SECONDS
from cottage.freshness import Chain, Freshness, Thresholds, assess
from cottage.snapshot import UNKNOWN_SOURCE


class DatedSample(NamedTuple):
    time: float
    """Seconds since 1970."""
    source: str | None


class SampleAges:
    """Used by the freshness monitor. A state that does not tell its sample's time is left out.

    `now` is Redis's clock, in seconds since 1970.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._newest: dict[str, DatedSample] = {}

    def record(self, symbol: str, time: float | None, source: str | None) -> None:
        """Note the time (seconds since 1970) and the source of the sample that the symbol's newest state is of."""
        if time is None:
            self._newest.pop(symbol, None)
        else:
            self._newest[symbol] = DatedSample(time, source)

    def forget(self, symbol: str) -> None:
        """The symbol has no state any more."""
        self._newest.pop(symbol, None)

    def age(self, symbol: str, now: float) -> float | None:
        """Seconds since the symbol's newest sample; None where that is not known."""
        sample = self._newest.get(symbol)
        return None if sample is None else max(0.0, now - sample.time)

    def any_quiet(self, now: float) -> bool:
        """Whether some symbol is without a new sample for so long that a hop behind Redis may be broken."""
        latest = now - self._thresholds.silent
        return any(sample.time <= latest for sample in self._newest.values())

    def exceptions(self, overall: Freshness, chain: Chain, now: float) -> dict[str, Freshness]:
        """The symbols that may be trusted less than `overall` says of all, with how far. `chain`: the hops behind
        Redis as they are now."""
        thresholds = self._thresholds
        young = now - (thresholds.silent if overall.status == "live" else thresholds.expired)
        found: dict[str, Freshness] = {}
        for symbol, sample in self._newest.items():
            if young < sample.time <= now + FUTURE_SECONDS:
                continue
            age = now - sample.time
            broken = overall.cause or chain.broken(symbol, sample.source or UNKNOWN_SOURCE)
            # A hop whose key is gone has been silent about as long as the sample is old. One from the future would
            # look live until its time has come.
            freshness = assess(age if age >= 0 else None, broken, age, thresholds)
            if freshness.status != overall.status:
                found[symbol] = freshness
        return found
