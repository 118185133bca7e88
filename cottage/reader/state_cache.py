"""The state cache of a reader: the last valid states that it read, for when Redis does not answer. Pure, bounded."""

from collections.abc import Container
from dataclasses import dataclass

from cottage.sample_age import SampleAge
from cottage.state import PhysicsState

CAPACITY = 16_384
"""The most symbols in the cache: enough for the whole US equity market, in some 20 MB."""


@dataclass(frozen=True, slots=True)
class CachedState:
    """A state, and what is known of its age."""

    state: PhysicsState
    sample: SampleAge | None
    """The age of its sample; None if the state does not tell its time."""
    read_at: float
    """When it was read last, by this process's monotonic clock."""


class StateCache:
    """Keeps the `capacity` states that were read last."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._held: dict[str, CachedState] = {}

    def __len__(self) -> int:
        return len(self._held)

    def keep(self, symbol: str, held: CachedState) -> None:
        self._held.pop(symbol, None)  # a dict keeps the order of insertion: the first is the one longest unread
        self._held[symbol] = held
        if len(self._held) > self._capacity:
            del self._held[next(iter(self._held))]

    def forget(self, symbol: str) -> None:
        self._held.pop(symbol, None)

    def get(self, symbol: str) -> CachedState | None:
        return self._held.get(symbol)

    def newest(self, other_than: Container[str] = ()) -> str | None:
        """The symbol that was read last, `other_than` some; None if there is none."""
        return next((symbol for symbol in reversed(self._held) if symbol not in other_than), None)

    def symbols(self) -> list[str]:
        return sorted(self._held)
