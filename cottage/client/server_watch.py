"""Whether what a server says can be believed now. Pure. StateReplica and the broadcaster's link have one.

A connection that is silent is asked, with a ping, before it is given up. Somebody who stood still is in doubt: what
waited in the queue meanwhile says nothing of the present; only the answer to a ping that was sent afterwards does.
In all methods `now` is the time of a LocalClock in seconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from cottage.clock import RemoteClock

ASK_SHARE = 2 / 3
"""A ping is sent after this share of the silence that makes states stale, since a server speaks only every 5 s."""
LOST_TIMES = 2.0
"""A client gives up its connection after this many times that silence."""


@dataclass(slots=True)
class ServerWatch:
    """When a server was heard, what it was asked, and what time it is there."""

    silent: float
    """The seconds of silence after which nothing that came over the connection is live."""
    lost_times: float = LOST_TIMES
    """The connection is given up after this many times that silence, of which the ping's share is at the end."""
    server_clock: RemoteClock = field(default_factory=RemoteClock)
    heard_at: float = 0.0
    """When the server last said something that is of the present."""
    doubted: bool = False
    """Whether what comes may have waited in a queue, so that nothing is live until the answer to a new ping."""
    missed: float = 0.0
    """The seconds that our monotonic clock may have missed since the server's was last known."""
    agreed_at: float = 0.0
    """When the server last told a time that agreed with what was known of its clock."""
    ids: Iterator[int] = field(default_factory=lambda: count(1))
    """The ids of requests on all connections."""
    _arrived_at: float = 0.0
    """When anything arrived."""
    _dialled_at: float | None = None
    """When the present connection was dialled, until the server has told its time over it."""
    _unsure: bool = False
    """Whether the server's clock is to be asked for, since a message contradicts what is known of it."""
    _ping: int | None = None
    """The id of the ping that is not answered."""
    _pinged_at: float = 0.0

    def connected(self, now: float, dialled_at: float) -> None:
        """Take note of a new connection."""
        self._arrived_at, self._dialled_at, self._ping = now, dialled_at, None

    def doubt(self, missed: float = 0.0) -> None:
        """Take note of a gap in one's own running, of which our monotonic clock may have missed so many seconds. What
        was asked before it proves nothing after it."""
        self.doubted, self._ping = True, None
        self.missed += missed

    def silence(self, now: float) -> float:
        """The seconds since the server said something that was of the present."""
        return now + self.missed - self.heard_at

    def arrived(self, now: float) -> None:
        """Take note of a message."""
        self._arrived_at = now
        if not self.doubted:
            self.heard_at = now

    def told(self, time: float, now: float) -> float:
        """A message carries the time of its sending, in seconds since 1970. Returns by how many seconds the server's
        clock turned out to have been set; 0.0 if it was not."""
        dialled_at, self._dialled_at = self._dialled_at, None
        if dialled_at is not None:  # the first of a connection answers its handshake
            self.agreed_at = now
            return self.server_clock.answered(time, dialled_at, now)
        before = self.server_clock.now(now)
        if self.server_clock.heard(time, now):
            late = 0.0 if before is None else before - time
            self._unsure = True
            # It was on its way for so long that it says nothing of the present; or one of the clocks was set.
            self.doubted = self.doubted or not 0 < late < self.silent
        elif not self.doubted:
            self.agreed_at = now
        return 0.0

    def answered(self, ping: object, time: float, now: float) -> float:
        """A PONG with this id and time; it counts if it answers the ping that was sent last. Returns the same as
        `told`."""
        if ping is None or ping != self._ping:
            return 0.0
        step = self.server_clock.answered(time, self._pinged_at, now)
        self._dialled_at = self._ping = None
        self.doubted = now - self._pinged_at >= self.silent  # then it may have waited in a queue too
        self._unsure = False
        self.missed = 0.0
        self.heard_at, self.agreed_at = self._pinged_at, now
        return step

    def ping(self, now: float) -> dict[str, Any] | None:
        """The ping that is to be sent now; None if there is no need, or one is not answered yet."""
        silent = now - self._arrived_at >= self.silent * ASK_SHARE
        if self._ping is not None or not (silent or self.doubted or self._unsure):
            return None
        self._ping, self._pinged_at = next(self.ids), now
        return {"action": "ping", "id": self._ping}

    def given_up(self, now: float) -> bool:
        """Whether nothing has arrived for so long, and since it was asked, that the connection is lost."""
        ask_after, lost_after = self.silent * ASK_SHARE, self.silent * self.lost_times
        waiting = now - max(self._pinged_at, self._arrived_at + ask_after)
        return self._ping is not None and waiting >= lost_after - ask_after
