"""How fresh what comes from the bridge is: what it said last, aged by our own clock. Pure."""

from dataclasses import dataclass

from common.fanout.protocol import Upstream

EXPIRED_SECONDS = 60.0


@dataclass(slots=True)
class LinkState:
    """`connected`: the link is up and its SNAPSHOT was whole."""

    started: float
    connected: bool = False
    stated: Upstream | None = None
    stated_at: float = 0.0

    def state(self, upstream: Upstream, now: float) -> None:
        self.stated, self.stated_at = upstream, now

    def upstream(self, now: float) -> Upstream:
        if self.stated is None:
            silent = now - self.started
            return Upstream("expired" if silent >= EXPIRED_SECONDS else "stale", "bridge_down", None)
        since = now - self.stated_at
        age_ms = None if self.stated.age_ms is None else self.stated.age_ms + round(since * 1000)
        if self.connected:
            return Upstream(self.stated.status, self.stated.cause, age_ms)
        return Upstream("expired" if since >= EXPIRED_SECONDS else "stale", "bridge_down", age_ms)
