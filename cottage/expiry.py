"""Which keys outlive their holders: leases and feeds that Redis keeps longer than their lifetime. Pure.

Redis expires keys by its wall clock. If that goes back by an hour, the lease of a writer that died has an hour to
live, and a key without a lifetime lives for ever. So the value of a lease or a feed says its lifetime in ms. Its
holder renews the key for no more than that, so a key that Redis would keep longer at every look over one such
lifetime has no holder. Standbys, the reader and the bridge ask this.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

LONGEST_MS = 60_000
"""The longest lifetime of the suite's leases and feeds: that of a value that says none, or says a longer one."""


class ExpiryLook(NamedTuple):
    """What one look at a key found, in milliseconds."""

    lifetime_ms: int
    """The lifetime that its value says: see `lifetime_ms`."""
    pttl_ms: int
    """The answer to PTTL: how long Redis would keep it; -1 without end, -2 if there is no such key."""

    @property
    def too_long(self) -> bool:
        return self.pttl_ms == -1 or self.pttl_ms > self.lifetime_ms


class OutlivingKeys:
    """The keys that Redis keeps longer than their holders asked for, each with the time since which it does so."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self.in_doubt = False
        """Whether the last look found keys that Redis keeps too long, but not for a whole lifetime yet."""

    def dead(self, looks: Mapping[str, ExpiryLook], now: float) -> frozenset[str]:
        """Take note of one look at all keys that matter to the caller. Returns those whose holders are dead: every
        look over a whole lifetime found that Redis would keep them longer. A key that is not in `looks` is forgotten.

        `now`: monotonic time in seconds, from before Redis was asked.
        """
        self._since = {key: self._since.get(key, now) for key, look in looks.items() if look.too_long}
        dead = frozenset(key for key, since in self._since.items() if now - since >= looks[key].lifetime_ms / 1000)
        self.in_doubt = len(dead) < len(self._since)
        return dead


def lifetime_ms(value: Mapping[str, Any], otherwise: int = LONGEST_MS) -> int:
    """The lifetime in milliseconds that the value of a lease or a feed says; `otherwise` if it says none. A longer
    one than both `otherwise` and the longest is not believed."""
    stated = value.get("lifetime_ms")
    return min(stated, max(LONGEST_MS, otherwise)) if type(stated) is int and stated > 0 else otherwise
