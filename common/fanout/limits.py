"""Limits of a fan-out server: token buckets for requests, and the admission of connections. Pure.

The server uses it. `now` is the time of one monotonic clock, passed in by the caller.
"""

from collections import Counter
from dataclasses import dataclass

from common.web.proxies import block
from cottage.grant import ANYBODY, Grant
from cottage.token_bucket import TokenBucket

BURST_SECONDS = 10.0
"""A client may do at once what it may do within this time, since a page that loads sends several requests."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one server. 0 means no limit, except where the unit is seconds."""

    connections: int = 0
    connections_per_address: int = 0
    handshakes_per_second: float = 0
    waiting: int = 1_000
    """How many connections may be open, beside those, that have shown no good token yet, where one is asked for."""
    waiting_per_address: int = 200
    token_seconds: float = 5.0
    """The time that a connection has to show one."""
    grant: Grant = ANYBODY
    """What every client may do."""
    first_byte_seconds: float = 2.0
    handshake_seconds: float = 5.0
    silence_seconds: float = 20.0
    """A client that has sent nothing for so long is pinged, and closed if it stays silent for as long again."""
    slow_seconds: float = 30.0
    """A slow consumer, whose connection takes no writes for so long without a break, is closed with 1013."""


def bucket(per_second: float, burst_seconds: float = BURST_SECONDS) -> TokenBucket | None:
    """A token bucket for this rate; None for 0, which means no limit."""
    return TokenBucket(per_second, max(1.0, per_second * burst_seconds)) if per_second else None


def exchanged(before: TokenBucket | None, per_second: float, now: float) -> TokenBucket | None:
    """The bucket of another rate for the same client, who does not fill it by having it exchanged."""
    after = bucket(per_second)
    if before is not None and after is not None:
        after.follow(before, now)
    return after


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a request is not admitted now, and when to try again."""

    why: str
    retry_after: int
    """The whole seconds to wait before the next try."""


class Admission:
    """Counts the connections, in all and by address, and decides whether another one is admitted."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._handshakes = bucket(limits.handshakes_per_second, 1.0)
        self._by_address: Counter[str] = Counter()
        self._inside = 0

    def handshake(self, now: float) -> Rejected | None:
        """Count a request for a page or a connection. Returns why it is rejected, or None."""
        if self._handshakes is None or self._handshakes.take(1, now):
            return None
        return Rejected("too many handshakes at once", 1 + int(self._handshakes.seconds_until(1, now)))

    def connection(self, address: str) -> Rejected | None:
        """Admit a connection, which counts until `left` is called. Returns why it is rejected, or None."""
        limits, place = self._limits, block(address)
        if limits.connections and self._inside >= limits.connections:
            return Rejected("no room for more connections", 5)
        if limits.connections_per_address and self._by_address[place] >= limits.connections_per_address:
            return Rejected("too many connections from this address", 5)
        self._inside += 1
        self._by_address[place] += 1
        return None

    def left(self, address: str) -> None:
        """A connection that was admitted has ended."""
        place = block(address)
        self._inside -= 1
        self._by_address[place] -= 1
        if not self._by_address[place]:
            del self._by_address[place]
