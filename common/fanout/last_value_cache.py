"""The last value cache: the newest version of every symbol's PHYSICS_UPDATE, by (epoch, seq)."""

from collections.abc import Iterator
from typing import NamedTuple

from cottage.version import Version


class Entry(NamedTuple):
    version: Version | None
    payload: bytes
    """The PHYSICS_UPDATE as it was published."""


class LastValueCache:
    """Keeps one PHYSICS_UPDATE a symbol: the one with the greatest (epoch, seq).

    One without a version (a foreign publisher's) counts in order of arrival, but never over one that has it.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def offer(self, symbol: str, version: Version | None, payload: bytes) -> bool:
        """Take it if it is newer than what is there; whether it was taken."""
        current = self._entries.get(symbol)
        if current is not None and current.version is not None and (version is None or version <= current.version):
            return False
        self._entries[symbol] = Entry(version, payload)
        return True

    def remove(self, symbol: str) -> bool:
        """Forget a symbol; whether it was there."""
        return self._entries.pop(symbol, None) is not None

    def copy(self) -> "LastValueCache":
        """Another one, which holds the same now."""
        copied = LastValueCache()
        copied._entries = self.entries()
        return copied

    def get(self, symbol: str) -> Entry | None:
        return self._entries.get(symbol)

    def entries(self) -> dict[str, Entry]:
        """All of them as they are now."""
        return self._entries.copy()

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
