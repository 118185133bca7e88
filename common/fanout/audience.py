"""An audience: what the sessions of a group have in common, and which symbols of it that is. Pure.

What was asked and is granted, and of the grant only what decides which bytes are sent: who the clients are, their
limits and the end of their tokens part no group.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from cottage.grant import EVERY_SYMBOL, Grant, SymbolPatterns
from cottage.protocol import Subscription


@dataclass(frozen=True, slots=True)
class Audience:
    """The key of a group."""

    subscription: Subscription
    """What was asked, of the named symbols only those that are granted."""
    symbols: SymbolPatterns = EVERY_SYMBOL
    """Where all symbols were asked, those that are granted. Named ones are granted, each of them."""
    events: frozenset[str] | None = None
    """The topics of the events that are sent; None means all."""

    @classmethod
    def of(cls, asked: Subscription, grant: Grant) -> "Audience":
        if asked.everything:
            return cls(asked, grant.symbols, grant.events)
        return cls(replace(asked, named=granted(grant.symbols, asked.named)), EVERY_SYMBOL, grant.events)

    @property
    def restricted(self) -> bool:
        """Whether it is all symbols that some patterns name."""
        return self.subscription.everything and not self.symbols.everything

    def has(self, symbol: str) -> bool:
        """Whether its sessions are sent this symbol."""
        if self.subscription.everything:
            return symbol in self.symbols
        return symbol in self.subscription.named

    def among(self, symbols: Collection[str]) -> list[str]:
        """Those of some symbols that its sessions are sent."""
        if self.subscription.everything:
            return _among(self.symbols, symbols)
        return [symbol for symbol in sorted(self.subscription.named) if symbol in symbols]


def granted(patterns: SymbolPatterns, names: frozenset[str]) -> frozenset[str]:
    """Those of some names that the patterns allow."""
    return names if patterns.everything else frozenset(name for name in names if name in patterns)


def _among(patterns: SymbolPatterns, symbols: Collection[str]) -> list[str]:
    if patterns.everything:
        return list(symbols)
    if not patterns.prefixes:  # which is a few, while the symbols may be thousands
        return [name for name in sorted(patterns.names) if name in symbols]
    return [symbol for symbol in symbols if symbol in patterns]
