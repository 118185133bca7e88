"""How fresh what comes from the bridge is: what it said last, aged by our own clock. Pure."""

from dataclasses import dataclass

from common.fanout.protocol import Upstream
from common.freshness import EXPIRED_SECONDS


@dataclass(slots=True)
class LinkState:
    """The link as it is seen from here. Times are of one monotonic clock."""

    started: float
    linked: bool = False
    """The link is up and its SNAPSHOT has come."""
    stated: Upstream | None = None
    stated_at: float = 0.0
    current: bool = False
    """`stated` is of this link: an earlier one's says nothing about now."""

    def state(self, upstream: Upstream, now: float) -> None:
        self.stated, self.stated_at, self.current = upstream, now, True

    def lost(self) -> None:
        self.linked = self.current = False

    def upstream(self, now: float) -> Upstream:
        """What the bridge states, as long as it does; else that it is down."""
        if self.stated is None:
            silent = now - self.started
            return Upstream("expired" if silent >= EXPIRED_SECONDS else "stale", "bridge_down", None)
        since = now - self.stated_at
        age_ms = None if self.stated.age_ms is None else self.stated.age_ms + round(since * 1000)
        if self.linked and self.current:
            return Upstream(self.stated.status, self.stated.cause, age_ms)
        return Upstream("expired" if since >= EXPIRED_SECONDS else "stale", "bridge_down", age_ms)
