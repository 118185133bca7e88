"""The clock by which the market service stamps its snapshots: Redis's, so that all samples are judged by one clock.

Between two looks the own monotonic clock carries it on, so no step of this machine's clock is ever in a timestamp.
"""

from common.logs import get_logger
from cottage.clock import Clock, RemoteClock, step_in_words
from cottage.redis import Client

log = get_logger()


class RedisTime:
    """A Clock whose `time` is Redis's. The service asks Redis about once a second; its source uses this clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._redis = RemoteClock()

    async def ask(self, client: Client) -> None:
        """Ask Redis for the time, and say if its clock was set since the last answer. Raises RedisError."""
        sent = self._clock.monotonic()
        now = await client.now()
        step = self._redis.answered(now, sent, self._clock.monotonic())
        if step:
            log.warning("clock_stepped", of="redis", seconds=round(step, 3), reason=step_in_words(step))

    def time(self) -> float:
        """Redis's time, in seconds since 1970; this machine's before the first answer."""
        now = self._redis.now(self._clock.monotonic())
        return self._clock.time() if now is None else now

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
