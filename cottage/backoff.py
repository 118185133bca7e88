"""Exponential backoff: how long to wait before the next try. Everything that reconnects uses it, and `cottage.js` has
the same rule."""

import random

from cottage.errors import RedisRefused

REFUSED_SECONDS = 5.0
"""The wait after a refusal, such as a wrong password, which will not be corrected within a second."""
LASTING_SECONDS = 5.0
"""A connection that delivered for so long was a success. A server may accept connections and close them at once, or
accept them and say nothing."""
LONG_OUTAGE_SECONDS = 60.0
"""An outage that has lasted for so long is a long one."""
CLIENT_SECONDS = 15.0
"""The longest wait of a client library in a long outage. Links within the suite always wait a second at most."""


class Backoff:
    """Exponential backoff with full jitter, so that many clients of one server do not all return at once.

    At most `longest` seconds between two tries (1 s is what the convergence promise allows), and at most `patient`
    seconds in a long outage.
    """

    def __init__(
        self,
        first: float = 0.05,
        longest: float = 1.0,
        jitter: random.Random | None = None,
        *,
        patient: float | None = None,
    ) -> None:
        self._first = first
        self._longest = longest
        self._patient = longest if patient is None else patient
        self._jitter = jitter or random.Random()
        self._ceiling = first
        self._outage = 0.0
        """The seconds of this outage that were waited, or spent on tries in vain."""

    def next(self, error: BaseException | None = None) -> float:
        """The seconds to wait now; their upper limit doubles with every call. After a refusal: REFUSED_SECONDS."""
        if isinstance(error, RedisRefused):
            return REFUSED_SECONDS
        wait = self._jitter.uniform(0, self._ceiling)
        self._outage += wait
        longest = self._longest if self._outage < LONG_OUTAGE_SECONDS else self._patient
        self._ceiling = min(longest, self._ceiling * 2)
        return wait

    def after(self, lived: float, error: BaseException | None = None, *, vain: float = 0.0) -> float:
        """The seconds to wait after a connection that delivered for `lived` seconds; short again after
        LASTING_SECONDS. `vain`: the seconds of a try that delivered nothing. They count like waits: all who gave up a
        server that hangs at the same moment would else try it again together."""
        if lived >= LASTING_SECONDS:
            self.reset()
        self._outage += vain
        self._ceiling = max(self._ceiling, min(vain, self._longest))
        return self.next(error)

    def after_try(
        self, began: float, delivering_since: float | None, now: float, error: BaseException | None = None
    ) -> float:
        """The same, by the times of the try: when it began, and when its connection delivered the first thing; None
        if it never did."""
        if delivering_since is None:
            return self.after(0.0, error, vain=now - began)
        return self.after(now - delivering_since, error)

    def reset(self) -> None:
        """Begin again with short waits. To be called once a connection has lasted, not when it was accepted."""
        self._ceiling = self._first
        self._outage = 0.0
