"""An index of patterns: whose patterns a symbol matches, found by the symbol's beginnings. Pure.

Distributors have one of their groups. The time that a symbol takes depends on its length and on how many match it,
and not on how many patterns there are.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Generic, TypeVar

from cottage.grant import SymbolPatterns

T = TypeVar("T")


class PatternIndex(Generic[T]):
    """Items, such as groups, by the symbols that they are for."""

    def __init__(self) -> None:
        self._by_name: dict[str, dict[T, None]] = {}
        self._by_prefix: dict[str, dict[T, None]] = {}
        self._lengths: Counter[int] = Counter()
        """How many entries have prefixes of each length."""
        self._items: dict[T, SymbolPatterns] = {}

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: T, patterns: SymbolPatterns) -> None:
        self._items[item] = patterns
        for name in patterns.names:
            self._by_name.setdefault(name, {})[item] = None
        for prefix in patterns.prefixes:
            self._by_prefix.setdefault(prefix, {})[item] = None
            self._lengths[len(prefix)] += 1

    def remove(self, item: T) -> None:
        patterns = self._items.pop(item)
        for name in patterns.names:
            _drop(self._by_name, name, item)
        for prefix in patterns.prefixes:
            _drop(self._by_prefix, prefix, item)
            self._lengths[len(prefix)] -= 1
            if not self._lengths[len(prefix)]:
                del self._lengths[len(prefix)]

    def matching(self, symbol: str) -> Iterator[T]:
        """The items whose patterns match a symbol, each once."""
        yield from self._by_name.get(symbol, ())
        for length in self._lengths:
            if length <= len(symbol):
                yield from self._by_prefix.get(symbol[:length], ())


def _drop(entries: dict[str, dict[T, None]], key: str, item: T) -> None:
    del entries[key][item]
    if not entries[key]:
        del entries[key]
