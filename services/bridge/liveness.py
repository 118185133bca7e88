"""Liveness of feynman and of Redis: which shards sent a heartbeat lately, and whether Redis answers. Pure.

`upstream` says what follows for all states; sample_ages.py says what follows for single symbols.
"""

from cottage.freshness import Freshness, Thresholds, assess_hops, shards


class WriterLiveness:
    """The last heartbeat of each shard. The bridge uses it. `now` is monotonic, in seconds."""

    def __init__(self, started: float, thresholds: Thresholds) -> None:
        self._started = started
        self._thresholds = thresholds
        self._heartbeats: dict[str, float] = {}
        self.redis_answers = False
        """Set by the bridge when its subscription is confirmed or lost."""

    def heartbeat(self, shard: str, now: float) -> None:
        """Record a HEARTBEAT of a shard, which names itself as in "0/1"."""
        if shard not in self._heartbeats:  # a faulty publisher must not fill the memory
            oldest = now - self._thresholds.expired
            self._heartbeats = {name: at for name, at in self._heartbeats.items() if at >= oldest}
        self._heartbeats[shard] = now

    def live_shards(self, now: float) -> frozenset[tuple[int, int]]:
        """The shards (i, n) whose last heartbeat is recent enough."""
        silent = self._thresholds.silent
        return shards(name for name, at in self._heartbeats.items() if now - at < silent)

    def upstream(self, now: float) -> Freshness:
        """The freshness of all that comes from Redis; its cause is the broken hop nearest to the reader."""
        heard = max(self._heartbeats.values(), default=None)
        silent = now - (self._started if heard is None else heard)
        age = None if heard is None else silent
        if not self.redis_answers:
            return assess_hops("redis_down", silent, age, self._thresholds)
        writer_silent = heard is None or silent >= self._thresholds.silent
        return assess_hops("writer_down" if writer_silent else None, silent, age, self._thresholds)
