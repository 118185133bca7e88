"""A process's own clock, which shows where that process stood still.

A process is stopped, an event loop hangs, a machine sleeps: what is read afterwards may have waited for any time.
StateClient and the broadcaster's link have one. Its counterpart in JavaScript is in cottage.js.
"""

from collections.abc import Callable

from cottage.clock import Clock, RemoteClock

GAP_SHARE = 1 / 2
"""The share of the silence that makes states stale after which nothing having run counts as a gap."""
BEAT_SHARE = 1 / 6
"""The share of it after which a timer of one's own looks at the clock again."""


class LocalClock:
    """The monotonic clock of this process, which notices the gaps in its running.

    Everything that its owner does begins with a look at it, and a timer of the owner's looks in between. A gap is
    where nothing looked for too long, or where the monotonic clock and the clock on the wall moved against each
    other: the machine slept while one of them stood still, or one of them was set.
    """

    JUMP_SECONDS = 1.0
    """By so much the two clocks must have moved against each other."""

    def __init__(self, clock: Clock, silent: float, on_gap: Callable[[float], None]) -> None:
        """`silent`: the seconds of silence that make states stale. `on_gap`: called at the first look after a gap,
        with the seconds that the monotonic clock may have missed."""
        self._clock = clock
        self._longest = silent * GAP_SHARE
        self._on_gap = on_gap
        self._looked_at = clock.monotonic()
        self._difference = clock.time() - self._looked_at
        """Between the clock on the wall and the monotonic one."""

    def now(self) -> float:
        """The monotonic time in seconds."""
        now = self._clock.monotonic()
        ran, self._looked_at = now - self._looked_at, now
        moved = self._clock.time() - now - self._difference
        jumped = abs(moved) > self.JUMP_SECONDS
        steered = RemoteClock.DRIFT * ran  # a clock that is not quite right is made slower or faster
        self._difference += moved if jumped else min(steered, max(-steered, moved))
        if jumped or ran > self._longest:
            self._on_gap(max(0.0, moved) if jumped else 0.0)
        return now
