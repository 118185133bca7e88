"""How fresh what comes from the bridge is: what it said last, aged by our own clock. Pure."""

from dataclasses import dataclass

from cottage.freshness import Freshness, Thresholds, assess_hops


@dataclass(slots=True)
class LinkStatus:
    """The link as it is seen from here. Times are of one monotonic clock."""

    started: float
    thresholds: Thresholds
    linked: bool = False
    """The link is up and its SNAPSHOT has come."""
    stated: Freshness | None = None
    stated_at: float = 0.0
    current: bool = False
    """`stated` is of this link: an earlier one's says nothing about now."""

    def state(self, upstream: Freshness, now: float) -> None:
        self.stated, self.stated_at, self.current = upstream, now, True

    @property
    def up(self) -> bool:
        """The bridge is heard, and what it says holds."""
        return self.linked and self.current

    def lost(self) -> None:
        self.linked = self.current = False

    def upstream(self, now: float) -> Freshness:
        """What the bridge states, as long as it does; else that it is down."""
        silent = now - (self.started if self.stated is None else self.stated_at)
        stated = None if self.stated is None else self.stated.aged(silent)
        if stated is not None and self.up:
            return stated
        return assess_hops("bridge_down", silent, None if stated is None else stated.age, self.thresholds)
