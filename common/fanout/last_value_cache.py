"""The last value cache: the newest PHYSICS_UPDATE of every symbol, by (epoch, seq). Hub and distributors have one."""

from collections.abc import Iterator
from typing import NamedTuple

from cottage.version import Version


class Entry(NamedTuple):
    version: Version | None
    payload: bytes
    """The PHYSICS_UPDATE as it was published."""


class LastValueCache:
    """Keeps one PHYSICS_UPDATE per symbol: the one with the greatest (epoch, seq).

    Updates without a version, of other publishers, replace one another in order of arrival, but never one that has a
    version.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self.bytes = 0
        """How many all payloads have."""

    def offer(self, symbol: str, version: Version | None, payload: bytes) -> bool:
        """Store an update if it is newer than the stored one. Returns whether it was."""
        current = self._entries.get(symbol)
        if current is not None and current.version is not None and (version is None or version <= current.version):
            return False
        self.bytes += len(payload) - (0 if current is None else len(current.payload))
        self._entries[symbol] = Entry(version, payload)
        return True

    def remove(self, symbol: str) -> bool:
        """Remove a symbol. Returns whether it was there."""
        entry = self._entries.pop(symbol, None)
        self.bytes -= 0 if entry is None else len(entry.payload)
        return entry is not None

    def copy(self) -> "LastValueCache":
        """A cache of its own with the same entries."""
        copied = LastValueCache()
        copied._entries = self.entries()
        copied.bytes = self.bytes
        return copied

    def get(self, symbol: str) -> Entry | None:
        return self._entries.get(symbol)

    def entries(self) -> dict[str, Entry]:
        """A copy of all entries, by symbol."""
        return self._entries.copy()

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
