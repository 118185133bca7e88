"""How old each symbol's newest sample is, and what that means for how far its state may be trusted. Pure."""

from typing import NamedTuple

from cottage.clock import FUTURE_SECONDS
from cottage.freshness import Chain, Freshness, Thresholds, assess
from cottage.snapshot import UNKNOWN_SOURCE


class DatedSample(NamedTuple):
    time: float
    """Seconds since 1970."""
    source: str | None


class SampleAges:
    """Of the states that tell their sample's time; nothing is said of others. `now` is Redis's clock."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._newest: dict[str, DatedSample] = {}

    def taken(self, symbol: str, time: float | None, source: str | None) -> None:
        """The state that is held now is of a sample of that time."""
        if time is None:
            self._newest.pop(symbol, None)
        else:
            self._newest[symbol] = DatedSample(time, source)

    def removed(self, symbol: str) -> None:
        self._newest.pop(symbol, None)

    def age(self, symbol: str, now: float) -> float | None:
        sample = self._newest.get(symbol)
        return None if sample is None else max(0.0, now - sample.time)

    def any_doubtful(self, now: float) -> bool:
        """Whether the hops behind Redis matter to how far some may be trusted."""
        latest = now - self._thresholds.silent
        return any(sample.time <= latest for sample in self._newest.values())

    def apart(self, whole: Freshness, chain: Chain, now: float) -> dict[str, Freshness]:
        """Those that may be trusted less than `whole` says of all."""
        thresholds = self._thresholds
        young = now - (thresholds.silent if whole.status == "live" else thresholds.expired)
        apart: dict[str, Freshness] = {}
        for symbol, sample in self._newest.items():
            if young < sample.time <= now + FUTURE_SECONDS:
                continue
            age = now - sample.time
            broken = whole.cause or chain.broken(symbol, sample.source or UNKNOWN_SOURCE)
            # A hop whose key is gone has been silent about as long as the sample is old. One from the future would
            # look live until its time has come.
            freshness = assess(age if age >= 0 else None, broken, age, thresholds)
            if freshness.status != whole.status:
                apart[symbol] = freshness
        return apart
