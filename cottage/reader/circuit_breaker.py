"""The circuit breaker of a reader: it knows whether Redis answers, and when to try again while it does not."""

import math
import random
from collections.abc import Callable

from cottage.backoff import Backoff
from cottage.errors import RedisError
from cottage.redis.outage import RedisOutage


class CircuitBreaker:
    """The circuit breaker. While Redis does not answer it lets a query through only now and then, with backoff; all
    others are answered at once from the state cache, so that a hung server costs one timeout and not one per caller.
    """

    def __init__(self, monotonic: Callable[[], float], jitter: random.Random | None = None) -> None:
        self._monotonic = monotonic
        self._backoff = Backoff(jitter=jitter)
        self._outage = RedisOutage(monotonic)
        self._answered_at: float | None = None
        self._try_at = -math.inf
        self.error: RedisError | None = None
        """Why Redis does not answer; None while it does, or before the first query."""

    @property
    def asked(self) -> bool:
        return self.error is not None or self._answered_at is not None

    @property
    def silent(self) -> float:
        """The seconds since the last answer of Redis; infinite if it never answered."""
        return math.inf if self._answered_at is None else self._monotonic() - self._answered_at

    def allows_query(self) -> bool:
        return self._monotonic() >= self._try_at

    def answered(self) -> None:
        self._outage.works("reading")
        self._answered_at = self._monotonic()
        self._try_at = -math.inf
        self._backoff.reset()
        self.error = None

    def failed(self, error: RedisError) -> bool:
        """Take note of a failed query. Returns whether the outage, or its kind, is new."""
        news = type(error) is not type(self.error)
        self._outage.failed(error, "reading")
        self.error = error
        self._try_at = self._monotonic() + self._backoff.next(error)
        return news
