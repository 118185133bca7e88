"""How fresh what comes from Redis is, by what was heard last. Pure: the clock is passed in."""

from cottage.freshness import Status, Thresholds, shards
from cottage.protocol import Upstream


class WriterLiveness:
    """Keeps when each shard of feynman was heard last, and whether Redis answers. Times are monotonic, in seconds."""

    def __init__(self, started: float, thresholds: Thresholds) -> None:
        self._started = started
        self._thresholds = thresholds
        self._heartbeats: dict[str, float] = {}
        self.redis_answers = False

    def heard_writer(self, shard: str, now: float) -> None:
        if shard not in self._heartbeats:  # what anybody may publish must not fill memory
            oldest = now - self._thresholds.expired
            self._heartbeats = {name: at for name, at in self._heartbeats.items() if at >= oldest}
        self._heartbeats[shard] = now

    def writers(self, now: float) -> frozenset[tuple[int, int]]:
        """The shards (i of n) that were heard just now."""
        silent = self._thresholds.silent
        return shards(name for name, at in self._heartbeats.items() if now - at < silent)

    def upstream(self, now: float) -> Upstream:
        """Status live, stale or expired; the cause is the broken hop nearest to the reader."""
        heard = max(self._heartbeats.values(), default=None)
        age_ms = None if heard is None else round((now - heard) * 1000)
        silent = now - (self._started if heard is None else heard)
        writer_silent = heard is None or silent >= self._thresholds.silent
        if self.redis_answers and not writer_silent:
            return Upstream("live", None, age_ms)
        status: Status = "expired" if silent >= self._thresholds.expired else "stale"
        return Upstream(status, "writer_down" if self.redis_answers else "redis_down", age_ms)
