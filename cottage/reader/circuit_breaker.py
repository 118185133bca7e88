"""The circuit breaker of a reader: it knows what Redis does not answer, and when to ask for it again."""

import math
import random
from collections.abc import Callable, Sequence
from itertools import islice

from cottage.backoff import REFUSED_SECONDS, Backoff
from cottage.errors import RedisError
from cottage.redis.outage import RedisOutage

MOST_MISSED = 500
"""The most names of what was not answered."""
GIVEN_UP_SECONDS = 2 * REFUSED_SECONDS
"""What was missed and not asked for again for so long, though there were answers, is asked for by nobody any more."""


class CircuitBreaker:
    """The circuit breaker. What Redis does not answer it lets through only now and then, with backoff; all others are
    answered at once from the state cache, so that a hung server costs one timeout and not one per caller.

    A server may answer some commands and not others: while it loads its data, where an ACL forbids a command, or in a
    cluster without one of its slots. So each activity of the reader, such as "reading", has its own backoff, and an
    outage lasts until all that was missed in it has been answered, or nothing has failed for GIVEN_UP_SECONDS.
    """

    def __init__(self, monotonic: Callable[[], float], jitter: random.Random | None = None) -> None:
        self._monotonic = monotonic
        self._jitter = jitter
        self._outage = RedisOutage(monotonic)
        self._backoffs: dict[str, Backoff] = {}
        self._try_at: dict[str, float] = {}
        self._failed_at = -math.inf
        self.missed: set[str] = set()
        """The names that were asked for in this outage and not answered since."""
        self.asked = False
        """Whether any query has been answered or has failed yet."""
        self.error: RedisError | None = None
        """Why Redis does not answer, or not everything; None while it does, or before the first query."""

    def allows(self, activity: str) -> bool:
        return self._monotonic() >= self._try_at.get(activity, -math.inf)

    def answered(self, activity: str, names: Sequence[str] = ()) -> None:
        """Take note of an answer. `names`: of what was asked for, if there are several that may fail each alone."""
        self.asked = True
        self._try_at.pop(activity, None)
        self._backoffs.pop(activity, None)
        self.missed.discard(activity)
        self.missed.difference_update(names)
        if self.missed and self._monotonic() - self._failed_at < GIVEN_UP_SECONDS:
            return
        self.missed.clear()
        self.error = None
        self._outage.works("reading")

    def failed(self, error: RedisError, activity: str, names: Sequence[str] = ()) -> bool:
        """Take note of a failed query. Returns whether the outage, or its kind, is new."""
        self.asked = True
        self.error = error
        self._failed_at = self._monotonic()
        backoff = self._backoffs.setdefault(activity, Backoff(jitter=self._jitter))
        self._try_at[activity] = self._failed_at + backoff.next(error)
        room = max(0, MOST_MISSED - len(self.missed))
        self.missed.update(islice(names or (activity,), room))
        return self._outage.failed(error, "reading")
