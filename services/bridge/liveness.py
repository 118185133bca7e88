"""Liveness of feynman and of Redis: which shards of feynman sent a heartbeat lately, and whether Redis answers. Pure.

What that means for all states is in `upstream`; what it means for one symbol is in sample_ages.py.
"""

from cottage.freshness import Freshness, Thresholds, assess_hops, shards


class WriterLiveness:
    """The last heartbeat of each shard. Used by the bridge. Times are monotonic, in seconds, and passed in."""

    def __init__(self, started: float, thresholds: Thresholds) -> None:
        self._started = started
        self._thresholds = thresholds
        self._heartbeats: dict[str, float] = {}
        self.redis_answers = False
        """Set by whoever holds the connection."""

    def heartbeat(self, shard: str, now: float) -> None:
        """Note a HEARTBEAT of a shard, named as it names itself ("0/1")."""
        if shard not in self._heartbeats:  # what anybody may publish must not fill memory
            oldest = now - self._thresholds.expired
            self._heartbeats = {name: at for name, at in self._heartbeats.items() if at >= oldest}
        self._heartbeats[shard] = now

    def live_shards(self, now: float) -> frozenset[tuple[int, int]]:
        """The shards (i of n) whose last heartbeat is not older than a hop may be silent."""
        silent = self._thresholds.silent
        return shards(name for name, at in self._heartbeats.items() if now - at < silent)

    def upstream(self, now: float) -> Freshness:
        """How far all that comes from Redis may be trusted; the cause is the broken hop nearest to the reader."""
        heard = max(self._heartbeats.values(), default=None)
        silent = now - (self._started if heard is None else heard)
        age = None if heard is None else silent
        if not self.redis_answers:
            return assess_hops("redis_down", silent, age, self._thresholds)
        writer_silent = heard is None or silent >= self._thresholds.silent
        return assess_hops("writer_down" if writer_silent else None, silent, age, self._thresholds)
