"""How fresh what comes from the bridge is: what it said last, aged by our own clock. Pure."""

from dataclasses import dataclass

from cottage.freshness import Status
from cottage.protocol import Upstream


@dataclass(slots=True)
class LinkStatus:
    """The link as it is seen from here. Times are of one monotonic clock."""

    started: float
    expired_seconds: float
    linked: bool = False
    """The link is up and its SNAPSHOT has come."""
    stated: Upstream | None = None
    stated_at: float = 0.0
    current: bool = False
    """`stated` is of this link: an earlier one's says nothing about now."""

    def state(self, upstream: Upstream, now: float) -> None:
        self.stated, self.stated_at, self.current = upstream, now, True

    @property
    def up(self) -> bool:
        """The bridge is heard, and what it says holds."""
        return self.linked and self.current

    def lost(self) -> None:
        self.linked = self.current = False

    def upstream(self, now: float) -> Upstream:
        """What the bridge states, as long as it does; else that it is down."""
        if self.stated is None:
            return Upstream(self._after(now - self.started), "bridge_down", None)
        since = now - self.stated_at
        age_ms = None if self.stated.age_ms is None else self.stated.age_ms + round(since * 1000)
        if self.up:
            return Upstream(self.stated.status, self.stated.cause, age_ms)
        return Upstream(self._after(since), "bridge_down", age_ms)

    def _after(self, silent: float) -> Status:
        return "expired" if silent >= self.expired_seconds else "stale"
