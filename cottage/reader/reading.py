"""What a reader answers: a state, how far it may be trusted, and where it was found."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from cottage.freshness import Cause, Freshness, absent
from cottage.state import FAIL_SAFE, PhysicsState

Origin = Literal["redis", "remembered", "fallback"]


@dataclass(frozen=True, slots=True)
class Reading:
    state: PhysicsState
    freshness: Freshness
    origin: Origin
    """`redis`: what Redis holds now. `remembered`: the last good state that this reader saw, aged. `fallback`:
    no state at all, but what stands in for one; the state's own `source` says `fallback` too."""

    def as_dict(self) -> dict[str, Any]:
        """The state's JSON object with its `freshness`."""
        return {**self.state.as_dict(), "freshness": {**self.freshness.as_dict(), "origin": self.origin}}

    def within(self, max_age: float) -> bool:
        """Whether it is known to be a state, and at most `max_age` seconds old."""
        age = self.freshness.age
        return self.origin != "fallback" and age is not None and age <= max_age


@dataclass(frozen=True, slots=True)
class Readings:
    states: Mapping[str, Reading]
    """By symbol."""
    missing: tuple[str, ...]
    """Asked for, and Redis says that it has no such state."""
    complete: bool
    """False while Redis does not answer: what is here was remembered, or stands in."""


def stand_in(broken: Cause | None, state: PhysicsState = FAIL_SAFE) -> Reading:
    """A reading that is none, marked as such."""
    return Reading(replace(state, source="fallback"), absent(broken), "fallback")
