"""How long to wait before the next try."""

import random

from cottage.errors import RedisRefused

REFUSED_SECONDS = 5.0
"""A wrong password does not mend itself within a second."""
LASTING_SECONDS = 5.0
"""What lived so long had succeeded. A server may accept and close at once, and is not to be hammered for it."""


class Backoff:
    """Exponential with full jitter: a crowd that lost the same server does not return as one.

    At most `longest` seconds between two tries (1 s is what the convergence promise allows).
    """

    def __init__(self, first: float = 0.05, longest: float = 1.0, jitter: random.Random | None = None) -> None:
        self._first = first
        self._longest = longest
        self._jitter = jitter or random.Random()
        self._ceiling = first

    def next(self, error: BaseException | None = None) -> float:
        """Seconds to wait now; the ceiling doubles with every call. After a refusal it is REFUSED_SECONDS."""
        if isinstance(error, RedisRefused):
            return REFUSED_SECONDS
        wait = self._jitter.uniform(0, self._ceiling)
        self._ceiling = min(self._longest, self._ceiling * 2)
        return wait

    def after(self, lived: float, error: BaseException | None = None) -> float:
        """As `next`, once what was tried has ended; it starts anew where that had lived for LASTING_SECONDS."""
        if lived >= LASTING_SECONDS:
            self.reset()
        return self.next(error)

    def reset(self) -> None:
        """Call it once a try has succeeded and lasted, not when it was merely accepted."""
        self._ceiling = self._first
