"""The status of the link to the bridge, and the freshness of everything that comes over it. Pure."""

from dataclasses import dataclass, field

from cottage.client.server_watch import ServerWatch
from cottage.freshness import Freshness, Thresholds, assess_hops


@dataclass(slots=True)
class LinkStatus:
    """What the broadcaster knows of its link and its bridge. Times are of its LocalClock."""

    started: float
    thresholds: Thresholds
    linked: bool = False
    """Whether the link is up and its SNAPSHOT was received."""
    stated: Freshness | None = None
    """The freshness that the bridge stated last."""
    stated_at: float = 0.0
    current: bool = False
    """Whether `stated` came over the present connection; if it is of an earlier one, it does not hold any more."""
    watch: ServerWatch = field(init=False)
    """When the bridge was heard, and what it was asked."""

    def __post_init__(self) -> None:
        self.watch = ServerWatch(self.thresholds.silent, lost_times=1.0, heard_at=self.started)

    def state(self, upstream: Freshness, now: float) -> None:
        self.stated, self.stated_at, self.current = upstream, now, True

    @property
    def up(self) -> bool:
        """Whether what the bridge states is valid now."""
        return self.linked and self.current and not self.watch.doubted

    def lost(self) -> None:
        self.linked = self.current = False

    def upstream(self, now: float) -> Freshness:
        """The freshness that the bridge states, aged; while the link is down, that the bridge is down."""
        silent = now - (self.started if self.stated is None else self.stated_at)
        if self.watch.doubted:
            silent = max(silent, self.watch.silence(now))
        stated = None if self.stated is None else self.stated.aged(silent)
        if stated is not None and self.up:
            return stated
        return assess_hops("bridge_down", silent, None if stated is None else stated.age, self.thresholds)
