"""The clock by which the market service stamps its snapshots: Redis's, so that all samples are judged by one clock.

Between two looks the own monotonic clock carries it on, so no step of this machine's clock is ever in a timestamp.
"""

from cottage.clock import Clock
from cottage.redis import Client
from cottage.redis_clock import RedisClock


class RedisTime:
    """A Clock whose `time` is Redis's. The service asks Redis about once a second; its source uses this clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._redis = RedisClock()

    async def ask(self, client: Client) -> None:
        """Ask Redis for the time. Raises RedisError."""
        await self._redis.ask(client, self._clock)

    def time(self) -> float:
        """Redis's time, in seconds since 1970; this machine's before the first answer."""
        now = self._redis.now(self._clock.monotonic())
        return self._clock.time() if now is None else now

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
