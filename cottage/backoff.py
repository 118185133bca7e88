"""Exponential backoff: how long to wait before the next try. Everything that reconnects uses it."""

import random

from cottage.errors import RedisRefused

REFUSED_SECONDS = 5.0
"""The wait after a refusal, such as a wrong password, which will not be corrected within a second."""
LASTING_SECONDS = 5.0
"""A connection that lasted for so long was a success. A server may accept connections and close them at once."""


class Backoff:
    """Exponential backoff with full jitter, so that many clients of one server do not all return at once.

    At most `longest` seconds between two tries (1 s is what the convergence promise allows).
    """

    def __init__(self, first: float = 0.05, longest: float = 1.0, jitter: random.Random | None = None) -> None:
        self._first = first
        self._longest = longest
        self._jitter = jitter or random.Random()
        self._ceiling = first

    def next(self, error: BaseException | None = None) -> float:
        """The seconds to wait now; their upper limit doubles with every call. After a refusal: REFUSED_SECONDS."""
        if isinstance(error, RedisRefused):
            return REFUSED_SECONDS
        wait = self._jitter.uniform(0, self._ceiling)
        self._ceiling = min(self._longest, self._ceiling * 2)
        return wait

    def after(self, lived: float, error: BaseException | None = None) -> float:
        """The seconds to wait after a connection that lasted `lived` seconds; short again after LASTING_SECONDS."""
        if lived >= LASTING_SECONDS:
            self.reset()
        return self.next(error)

    def reset(self) -> None:
        """Begin again with short waits. To be called once a connection has lasted, not when it was accepted."""
        self._ceiling = self._first
