"""Liveness of feynman and of Redis: which shards sent a heartbeat lately, and whether Redis answers. Pure.

Anybody can publish a HEARTBEAT, so one counts only if its epoch is that of its shard's living lease. `upstream` says
what follows for all states; sample_ages.py says what follows for single symbols.
"""

from collections.abc import Mapping

from cottage import keys
from cottage.freshness import Freshness, Thresholds, assess_hops
from services.bridge.leases import Shard


class WriterLiveness:
    """The last heartbeat of each shard. The bridge uses it. `now` is monotonic, in seconds."""

    def __init__(self, started: float, thresholds: Thresholds) -> None:
        self._started = started
        self._thresholds = thresholds
        self._epochs: Mapping[Shard, int] = {}
        """The epochs of the living leases."""
        self._heartbeats: dict[Shard, float] = {}
        self._unproven: dict[Shard, tuple[int, float]] = {}
        """Heartbeats of other epochs, which may be those of leases that have not been read yet."""
        self.redis_answers = False
        """Set by the bridge when its subscription is confirmed or lost."""

    def heartbeat(self, shard: Shard, epoch: int, sent_at: float) -> bool:
        """Record a HEARTBEAT. `sent_at`: monotonic; it may have waited in a queue since then. Returns whether it
        counts; if not, it may do so once the leases have been read."""
        if self._epochs.get(shard) == epoch:
            self._record(shard, sent_at)
            return True
        if len(self._unproven) < keys.MOST_SHARDS:  # what anybody may publish must not fill the memory
            self._unproven[shard] = (epoch, sent_at)
        return False

    def prove(self, epochs: Mapping[Shard, int]) -> None:
        """The leases have been read. `epochs`: those of the living ones."""
        self._epochs = epochs
        unproven, self._unproven = self._unproven, {}
        for shard, (epoch, sent_at) in unproven.items():
            if epochs.get(shard) == epoch:
                self._record(shard, sent_at)

    def _record(self, shard: Shard, sent_at: float) -> None:
        self._heartbeats[shard] = max(sent_at, self._heartbeats.get(shard, sent_at))

    def live_shards(self, now: float) -> frozenset[Shard]:
        """The shards whose last heartbeat is recent enough."""
        silent = self._thresholds.silent
        return frozenset(shard for shard, at in self._heartbeats.items() if now - at < silent)

    def upstream(self, now: float) -> Freshness:
        """The freshness of all that comes from Redis; its cause is the broken hop nearest to the reader."""
        heard = max(self._heartbeats.values(), default=None)
        silent = now - (self._started if heard is None else heard)
        age = None if heard is None else silent
        if not self.redis_answers:
            return assess_hops("redis_down", silent, age, self._thresholds)
        writer_silent = heard is None or silent >= self._thresholds.silent
        return assess_hops("writer_down" if writer_silent else None, silent, age, self._thresholds)
