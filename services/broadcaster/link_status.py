"""The status of the link to the bridge, and the freshness of everything that comes over it. Pure."""

from dataclasses import dataclass

from cottage.freshness import Freshness, Thresholds, assess_hops


@dataclass(slots=True)
class LinkStatus:
    """What the broadcaster knows of its link and its bridge. Times are of one monotonic clock."""

    started: float
    thresholds: Thresholds
    linked: bool = False
    """Whether the link is up and its SNAPSHOT was received."""
    stated: Freshness | None = None
    """The freshness that the bridge stated last."""
    stated_at: float = 0.0
    current: bool = False
    """Whether `stated` came over the present connection; if it is of an earlier one, it does not hold any more."""

    def state(self, upstream: Freshness, now: float) -> None:
        self.stated, self.stated_at, self.current = upstream, now, True

    @property
    def up(self) -> bool:
        """Whether what the bridge states is valid now."""
        return self.linked and self.current

    def lost(self) -> None:
        self.linked = self.current = False

    def upstream(self, now: float) -> Freshness:
        """The freshness that the bridge states, aged; while the link is down, that the bridge is down."""
        silent = now - (self.started if self.stated is None else self.stated_at)
        stated = None if self.stated is None else self.stated.aged(silent)
        if stated is not None and self.up:
            return stated
        return assess_hops("bridge_down", silent, None if stated is None else stated.age, self.thresholds)
