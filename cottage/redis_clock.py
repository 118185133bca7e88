"""Redis's clock, by which all samples are judged, as its answers tell it to one process."""

from typing import NamedTuple

from cottage.clock import Clock, RemoteClock, step_in_words
from cottage.log import get_logger
from cottage.redis import Client

log = get_logger(__name__)


class Answer(NamedTuple):
    """What Redis answered when it was asked for the time. Times in seconds; all but `time` monotonic."""

    time: float
    """Since 1970."""
    asked_at: float
    step: float
    """By how much the clock was set since the answer before, negative for back; 0.0 if it was not."""
    unset_until: float
    """When the answer before came, after which the step was; before the first answer -infinity."""


class RedisClock(RemoteClock):
    """Redis's clock. A step of it is logged, once."""

    async def ask(self, client: Client, clock: Clock) -> Answer:
        """Ask Redis for the time. Raises RedisError."""
        asked_at = clock.monotonic()
        time = await client.now()
        unset_until = self.confirmed_at  # not before the question: another task may have asked meanwhile
        return Answer(time, asked_at, self.answered(time, asked_at, clock.monotonic()), unset_until)

    def answered(self, time: float, sent: float, now: float) -> float:
        step = super().answered(time, sent, now)
        if step:
            log.warning("clock_stepped", of="redis", seconds=round(step, 3), reason=step_in_words(step))
        return step
