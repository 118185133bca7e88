"""A reading, the result of a reader: a state, its freshness, and where it comes from."""

import importlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from cottage.errors import MissingExtra
from cottage.freshness import Cause, Freshness, absent
from cottage.state import FAIL_SAFE, STORED, PhysicsState

Origin = Literal["redis", "remembered", "fallback"]

COLUMNS = (*STORED, "epoch", "seq", "status", "cause", "age", "origin")
"""The columns of the table that `to_pandas` makes."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One symbol's state as a reader returns it."""

    state: PhysicsState
    freshness: Freshness
    """Its age is in seconds, by Redis's clock."""
    origin: Origin
    """`redis`: what Redis holds now. `remembered`: the last good state that this reader saw, aged. `fallback`:
    no state, but the fallback for one, whose own `source` is `fallback` too."""

    def as_dict(self) -> dict[str, Any]:
        """The state's JSON object with its `freshness`."""
        return {**self.state.as_dict(), "freshness": {**self.freshness.as_dict(), "origin": self.origin}}

    def within(self, max_age: float) -> bool:
        """Whether it is known to be a state, and at most `max_age` seconds old."""
        age = self.freshness.age
        return self.origin != "fallback" and age is not None and age <= max_age


@dataclass(frozen=True, slots=True)
class Readings:
    """The states of many symbols as a reader returns them."""

    states: Mapping[str, Reading]
    """The reading of each symbol."""
    missing: tuple[str, ...]
    """The requested symbols of which Redis has no state."""
    complete: bool
    """False while Redis does not answer: these states are remembered ones or fallbacks; and if all were asked for and
    Redis has more than a reader reads, some 16,000."""

    def to_pandas(self) -> Any:
        """A pandas.DataFrame with a row for each of `states`, indexed by `symbol`.

        Columns: the fields of PhysicsState, `timestamp` as a datetime in UTC; its version as `epoch` and `seq`;
        `status` and `cause` of its Freshness, `age` in seconds; `origin`. What is not known is None, NaN or NaT, and
        so are the pillars in `void`.
        Raises MissingExtra without pandas.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ModuleNotFoundError as error:
            raise MissingExtra("to_pandas() needs pandas: pip install 'curiosity-cottage[pandas]'") from error
        rows = [
            {
                **each.state.as_dict(),
                **dict.fromkeys(each.state.void, math.nan),
                **asdict(each.freshness),
                "origin": each.origin,
            }
            for each in self.states.values()
        ]
        index = pandas.Index(list(self.states), name="symbol", dtype=object)
        frame = pandas.DataFrame(rows, index=index, columns=list(COLUMNS))
        frame["timestamp"] = pandas.to_datetime(frame["timestamp"], utc=True, format="ISO8601")
        return frame


def fallback_reading(broken: Cause | None, state: PhysicsState = FAIL_SAFE) -> Reading:
    """The reading of a fallback instead of a state, marked as such."""
    return Reading(replace(state, source="fallback"), absent(broken), "fallback")
