"""The state cache of a reader: the last valid states that it read, for when Redis does not answer. Pure, bounded."""

from dataclasses import dataclass

from cottage.state import PhysicsState

CAPACITY = 16_384
"""The most symbols in the cache: enough for the whole US equity market, in some 20 MB."""


@dataclass(frozen=True, slots=True)
class CachedState:
    """A state and its age at a moment of this process's monotonic clock."""

    state: PhysicsState
    age_then: float | None
    """Its age in seconds by Redis's clock; None if the state does not tell its time."""
    then: float
    """That moment."""

    def age(self, monotonic: float) -> float | None:
        return None if self.age_then is None else self.age_then + max(0.0, monotonic - self.then)


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

    def symbols(self) -> list[str]:
        return sorted(self._held)
