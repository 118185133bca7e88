"""How fresh what comes from Redis is, by what was heard last. Pure: the clock is passed in."""

from common.fanout.protocol import Upstream
from common.freshness import EXPIRED_SECONDS


class Hearing:
    """Keeps when feynman was heard last, and whether Redis answers.

    `silence_seconds`: after so long without a heartbeat, what is held counts as stale.
    """

    def __init__(self, started: float, silence_seconds: float) -> None:
        self._started = started
        self._silence_seconds = silence_seconds
        self._heartbeat: float | None = None
        self.redis_answers = False

    def heard_writer(self, now: float) -> None:
        self._heartbeat = now

    def upstream(self, now: float) -> Upstream:
        """Status live, stale or expired; the cause is the broken hop nearest to the reader."""
        age_ms = None if self._heartbeat is None else round((now - self._heartbeat) * 1000)
        silent = now - (self._started if self._heartbeat is None else self._heartbeat)
        writer_silent = self._heartbeat is None or silent >= self._silence_seconds
        if self.redis_answers and not writer_silent:
            return Upstream("live", None, age_ms)
        status = "expired" if silent >= EXPIRED_SECONDS else "stale"
        return Upstream(status, "writer_down" if self.redis_answers else "redis_down", age_ms)
