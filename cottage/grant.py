"""What a client may do: which symbols and events it may be sent, within which limits, and until when. Pure.

A server gives every connection a `Grant`. Without authentication everybody's is ANYBODY's; a token states one
(common/auth/claims.py).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from cottage import keys
from cottage.errors import InvalidName

ALL = "*"
MAX_NAMED_SYMBOLS = 4096
"""The most symbols that a client may name; for more it subscribes to all."""
MAX_PATTERNS = 256
"""The most symbols and patterns of symbols in a token."""

_PREFIX = re.compile(f"[A-Z0-9][A-Z0-9._-]{{0,{keys.LONGEST_SYMBOL - 1}}}")


@dataclass(frozen=True, slots=True)
class SymbolPatterns:
    """A set of symbols: some by name, and all that begin with one of some prefixes.

    Two that mean the same are equal, however they were written. Make one by `parse`.
    """

    names: frozenset[str] = frozenset()
    """None of them begins with one of the prefixes."""
    prefixes: tuple[str, ...] = ()
    """Sorted; none begins with another. The empty one is the prefix of every symbol."""

    @classmethod
    def parse(cls, patterns: Iterable[object]) -> "SymbolPatterns":
        """The symbols that `patterns` name: symbols such as BRK.B, or prefixes with a star, such as BTC-*; * is all.

        Raises InvalidName for anything else.
        """
        texts = {_pattern(pattern) for pattern in patterns}
        prefixes: list[str] = []
        for prefix in sorted(text[:-1] for text in texts if text.endswith(ALL)):
            if not prefixes or not prefix.startswith(prefixes[-1]):
                prefixes.append(prefix)
        beginnings = tuple(prefixes)
        names = frozenset(text for text in texts if not text.endswith(ALL) and not text.startswith(beginnings))
        return cls(names, beginnings)

    @property
    def everything(self) -> bool:
        return self.prefixes == ("",)

    def __contains__(self, symbol: object) -> bool:
        return symbol in self.names or (isinstance(symbol, str) and symbol.startswith(self.prefixes))

    def written(self) -> list[str]:
        """The patterns as they are written in a token, sorted."""
        return sorted([*self.names, *(prefix + ALL for prefix in self.prefixes)])


def _pattern(pattern: object) -> str:
    if isinstance(pattern, str) and pattern.endswith(ALL):
        if pattern == ALL or _PREFIX.fullmatch(pattern[:-1]):
            return pattern
        raise InvalidName(f"{pattern[:40]!r} is no pattern: a prefix of symbols ends in one *, such as BTC-*")
    return keys.symbol(pattern)


EVERY_SYMBOL = SymbolPatterns(prefixes=("",))
NO_SYMBOL = SymbolPatterns()


@dataclass(frozen=True, slots=True)
class Grant:
    """What a client may do. The server assigns a grant to every connection.

    Without authentication everybody gets the same: all symbols, all events and no end, within the server's limits.
    """

    principal: str = "anybody"
    """Who the client is."""
    symbols: SymbolPatterns = EVERY_SYMBOL
    """The symbols of which it may know; of others it is told nothing."""
    events: frozenset[str] | None = None
    """The topics of the events that it is sent (cottage/events.py); None means all."""
    max_symbols: int = MAX_NAMED_SYMBOLS
    """How many symbols it may name; for more it subscribes to all."""
    requests_per_second: float = 0
    """How many requests it may send on average; 0 means no limit, here and below."""
    bytes_per_second: float = 0
    expires_at: float | None = None
    """When the grant expires, in seconds since 1970; None means never."""
    token_id: str = ""
    """The name of the token that states it (`jti`), by which it can be denied."""

    def receives(self, topic: str) -> bool:
        """Whether it is sent the events of this topic."""
        return self.events is None or topic in self.events


ANYBODY = Grant()
