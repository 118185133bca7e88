"""A recorded state computed again from the samples of the record, and compared field by field."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cottage.notes import BITS
from cottage.record.evidence import Evidence, Row, SampleTaken, Window, memory_of, steps_in, window_of
from cottage.reference.middle import Continued, go_on
from cottage.reference.plain_samples import Increment, increments

EQUAL_WITHIN = 1e-9
"""A number is the same if it differs by no more than this share of it."""
_NEXT_TO_NOTHING = 1e-12
_MILLISECOND = 1000
SETTLING = frozenset({"jump", "correction", "rolling"})
"""Words of `notes` that may come from before the record, where that does not reach back two windows."""
FIELDS = (
    *("mass", "momentum", "friction", "entropy", "nash_dist", "alpha", "alpha_low", "alpha_high"),
    *("regime", "regime_since", "samples", "nonzero", "step", "holes", "snapped", "void", "notes", "grid", "votes"),
)
"""The columns that are computed from samples."""


class FieldDifference(NamedTuple):
    """A field that does not come out as it was recorded."""

    field: str
    recorded: Any
    recomputed: Any


class Remark(NamedTuple):
    """What is to be said of a sample of the window."""

    at: int
    """The market's time, microseconds since 1970."""
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recomputation:
    """The newest state of an Evidence, computed again."""

    window: Window
    taken: Sequence[SampleTaken]
    """The samples that the window holds, as far as they are recorded."""
    fields: Mapping[str, Any] | None = None
    """FIELDS as they come out; None where samples are missing."""
    differences: Sequence[FieldDifference] = ()
    remarks: Sequence[Remark] = ()
    odd_steps: Sequence[Row] = ()
    """The rows of earlier states in the window whose step does not follow from the samples before."""

    @property
    def comes_out(self) -> bool:
        """Whether it was computed, and nothing differs."""
        return self.fields is not None and not self.differences and not self.odd_steps


def recompute(evidence: Evidence, widening: float = 1.0) -> Recomputation:
    """Compute the newest state of the evidence again. `widening`: c of docs/estimators.md."""
    window = window_of(evidence)
    taken = evidence.taken[max(window.oldest, 0) : window.newest + 1]
    if window.missing:
        return Recomputation(window, taken)
    needed = evidence.taken[window.start : window.newest + 1]
    steps, odd = steps_in(evidence, window)
    every = increments([each.sample for each in needed], window.samples, steps)
    remarks = [
        Remark(each.row["at"], words)
        for each, increment in zip(taken, every[-window.samples :], strict=True)
        if (words := _said(increment))
    ]
    times = [each.time for each in needed]
    if not window.from_beginning:  # what the first one says is against one that is not there
        every, times = every[1:], times[1:]
    stated = next((row["tick"] for _, row in reversed(evidence.states) if row["tick"] is not None), None)
    continued = go_on(
        every, times, window.newest - window.base, window.samples, memory_of(evidence, window), stated, widening
    )
    fields = _columns(continued)
    given = evidence.states[-1][1]
    differences = [
        FieldDifference(name, given[name], fields[name])
        for name in FIELDS
        if not _same(name, given[name], fields[name], settled=window.settled)
    ]
    odd_rows = [evidence.taken[place].row for place in odd if window.oldest <= place < window.newest]
    return Recomputation(window, taken, fields, differences, remarks, odd_rows)


def _said(increment: Increment) -> tuple[str, ...]:
    words = increment.words | (increment.of_the_tick & {"mid", "auction"})
    hole = {"hole"} if increment.hole and not words & {"gap", "break"} else set()
    return tuple(sorted(words | hole))


def _columns(continued: Continued) -> dict[str, Any]:
    """A state as the columns of the record have it."""
    values = continued.vector._asdict()
    values["alpha"] = values.pop("alpha_coefficient")
    values["void"], values["notes"] = sorted(values["void"]), sorted(values["notes"], key=list(BITS).index)
    since = continued.regime_since
    values["regime_since"] = None if since is None else round(since * 1e6)
    return values | {"grid": continued.grid, "votes": continued.votes}


def _same(name: str, recorded: Any, recomputed: Any, *, settled: bool) -> bool:
    """Whether a field came out. `settled`: whether all words of `notes` are known."""
    if name in ("void", "notes"):
        unclear = SETTLING if name == "notes" and not settled else frozenset()
        one, other = ({*(words or ())} for words in (recorded, recomputed))
        # The feed's own words do not follow from samples.
        return ((one & BITS.keys() if name == "notes" else one) - unclear) == other - unclear
    if name == "votes" and recomputed is None:
        return True
    if name in ("snapped", "votes", "holes"):
        return bool((recorded or 0) == recomputed)
    if name == "regime_since":
        return recorded is None or (recomputed is not None and abs(recorded - recomputed) <= _MILLISECOND)
    if isinstance(recorded, float) and isinstance(recomputed, float):
        return math.isclose(recorded, recomputed, rel_tol=EQUAL_WITHIN, abs_tol=_NEXT_TO_NOTHING)
    return bool(recorded == recomputed)
