"""A token bucket, which bounds a rate. Pure. Servers limit their clients with it, and clients limit themselves."""

import math


class TokenBucket:
    """A token bucket: allows `per_second` on average, and `burst` at once. `now` is the time of one monotonic clock
    in seconds, passed in by the caller."""

    __slots__ = ("_burst", "_full_at", "_per_second")

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._full_at = -math.inf

    def take(self, amount: float, now: float) -> bool:
        """Take an amount if it is allowed now. Returns whether it was."""
        full_at = max(now, self._full_at) + amount / self._per_second
        if full_at - now > self._burst / self._per_second:
            return False
        self._full_at = full_at
        return True

    def follow(self, before: "TokenBucket", now: float) -> None:
        """Take over from another bucket, in whose place this one comes: as much is taken of it as was of that one."""
        taken = max(0.0, before._full_at - now) * before._per_second
        self._full_at = now + min(taken, self._burst) / self._per_second

    def seconds_until(self, amount: float, now: float) -> float:
        """How long to wait until this amount is allowed."""
        return max(0.0, self._full_at + (amount - self._burst) / self._per_second - now)
