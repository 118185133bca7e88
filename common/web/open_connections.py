"""The connections of a port, counted and limited from accept on, before anybody has shown what it wants.

A connection is half-open until a whole request has come on it, through a TLS handshake where there is one. Where
there are too many connections, in all or of one address, the oldest that is half-open is cut off for the new one:
whoever means to ask something does so within moments, so a flood of sockets that say nothing displaces only itself.
"""

import resource
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from common.web.proxies import block

SPARE_FILES = 256
"""How many files a process needs beside its connections."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections may be open. 0 means no limit."""

    in_all: int = 0
    by_address: int = 0
    """Of one address; of an IPv6 one: of its /64 network."""

    def within_files(self) -> "ConnectionLimits":
        """These limits, as far as this process may have so many files open."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        room = max(1, files - SPARE_FILES) if files != resource.RLIM_INFINITY else 0
        return ConnectionLimits(min(self.in_all or room, room or self.in_all), self.by_address)


@dataclass(slots=True)
class _Standing:
    """One connection's place."""

    address: str
    cut_off: Callable[[], object]


class OpenConnections:
    """All connections of one port. Each has a key, whatever the port knows it by."""

    def __init__(self, limits: ConnectionLimits, is_proxy: Callable[[str], bool]) -> None:
        """`is_proxy`: whether an address is a trusted proxy's, whose connections are many clients'."""
        self._limits = limits
        self._is_proxy = is_proxy
        self._places: dict[object, _Standing] = {}
        self._by_address: Counter[str] = Counter()
        self._half_open: OrderedDict[object, None] = OrderedDict()
        self._half_open_by_address: dict[str, OrderedDict[object, None]] = {}

    def __len__(self) -> int:
        return len(self._places)

    @property
    def half_open(self) -> int:
        return len(self._half_open)

    def accepted(self, key: object, address: str, cut_off: Callable[[], object]) -> None:
        """A connection was made. `cut_off` may be called at once, and `gone` must be later."""
        place = _Standing("" if self._is_proxy(address) else block(address), cut_off)
        self._places[key] = place
        self._by_address[place.address] += 1
        self._wait(key, place)
        limits = self._limits
        if limits.in_all and len(self._places) > limits.in_all:
            self._displace(self._half_open)
        elif place.address and limits.by_address and self._by_address[place.address] > limits.by_address:
            self._displace(self._half_open_by_address[place.address])

    def asked(self, key: object) -> None:
        """A whole request has come: the connection keeps its place."""
        place = self._places.get(key)
        if place is not None and key in self._half_open:
            del self._half_open[key]
            of_address = self._half_open_by_address[place.address]
            del of_address[key]
            if not of_address:
                del self._half_open_by_address[place.address]

    def answered(self, key: object) -> None:
        """The connection waits for another request, and may be cut off for a new one again."""
        place = self._places.get(key)
        if place is not None and key not in self._half_open:
            self._wait(key, place)

    def gone(self, key: object) -> None:
        """The connection has ended, or goes on under another key."""
        self.asked(key)
        place = self._places.pop(key, None)
        if place is not None:
            self._by_address[place.address] -= 1
            if not self._by_address[place.address]:
                del self._by_address[place.address]

    def cut_off_half_open(self, kind: type) -> None:
        """End all half-open ones whose key is of this kind: the port is closing."""
        for key in [each for each in self._half_open if isinstance(each, kind)]:
            self.asked(key)
            self._places[key].cut_off()

    def _wait(self, key: object, place: _Standing) -> None:
        self._half_open[key] = None
        self._half_open_by_address.setdefault(place.address, OrderedDict())[key] = None

    def _displace(self, waiting: OrderedDict[object, None]) -> None:
        """Cut off the oldest of these; where nobody else waits, that is the new one."""
        oldest = next(iter(waiting))
        place = self._places[oldest]
        self.asked(oldest)
        place.cut_off()
