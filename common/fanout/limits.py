"""Limits on what clients take of a server, and who is let in. Pure: time is passed in, of one monotonic clock."""

import math
from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from cottage.protocol import ANYBODY, Grant

BURST_SECONDS = 10.0
"""A client may do at once what it may do within that time: a page that loads asks for all it wants."""


class TokenBucket:
    """At most `per_second` on average, and `burst` at once."""

    __slots__ = ("_burst", "_full_at", "_per_second")

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._full_at = -math.inf

    def take(self, amount: float, now: float) -> bool:
        """Whether so much may be taken now; if so, it is."""
        full_at = max(now, self._full_at) + amount / self._per_second
        if full_at - now > self._burst / self._per_second:
            return False
        self._full_at = full_at
        return True

    def seconds_until(self, amount: float, now: float) -> float:
        """How long to wait until that much may be taken."""
        return max(0.0, self._full_at + (amount - self._burst) / self._per_second - now)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server allows. 0 is no limit, but for the seconds."""

    connections: int = 0
    connections_per_address: int = 0
    handshakes_per_second: float = 0
    grant: Grant = ANYBODY
    """What each client may do."""
    first_byte_seconds: float = 2.0
    handshake_seconds: float = 5.0
    silence_seconds: float = 20.0
    """A client that has sent nothing for so long is pinged, and given up as long again."""
    slow_seconds: float = 30.0
    """A client that takes no writes for so long, without a break, is closed with 1013."""


def bucket(per_second: float, burst_seconds: float = BURST_SECONDS) -> TokenBucket | None:
    """None where there is no limit."""
    return TokenBucket(per_second, max(1.0, per_second * burst_seconds)) if per_second else None


@dataclass(frozen=True, slots=True)
class Full:
    """Why a handshake is not let in now."""

    why: str
    retry_after: int
    """Whole seconds."""


class Admission:
    """Counts who is in, and says who may come in."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._handshakes = bucket(limits.handshakes_per_second, 1.0)
        self._by_address: Counter[str] = Counter()
        self._inside = 0

    def handshake(self, now: float) -> Full | None:
        """One request more, for a page or a connection."""
        if self._handshakes is None or self._handshakes.take(1, now):
            return None
        return Full("too many handshakes at once", 1 + int(self._handshakes.seconds_until(1, now)))

    def connection(self, address: str) -> Full | None:
        """One connection more. If it may come in, it is inside until `left`."""
        limits, block = self._limits, _block(address)
        if limits.connections and self._inside >= limits.connections:
            return Full("no room for more connections", 5)
        if limits.connections_per_address and self._by_address[block] >= limits.connections_per_address:
            return Full("too many connections from this address", 5)
        self._inside += 1
        self._by_address[block] += 1
        return None

    def left(self, address: str) -> None:
        block = _block(address)
        self._inside -= 1
        self._by_address[block] -= 1
        if not self._by_address[block]:
            del self._by_address[block]


def _block(address: str) -> str:
    """What counts as one address: of IPv6 the network of 64 bits, since whoever has one address has them all."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Address(int(parsed) >> 64 << 64))
