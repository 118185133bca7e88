"""Runs: a source that begins anew, such as a replay of the same file, begins a new run. Pure.

A run of a source begins with the first symbol of which the market's time goes back. The others follow, each with its
own first sample of the new run: within some seconds where theirs goes back too, and later where it does not, since
they are traded less often. Times are in microseconds since 1970.
"""

from typing import NamedTuple

TOGETHER = 5_000_000
"""The symbols of a source begin its next run within so long."""
MOST_RUNS = 16
"""So many runs of a source are known."""


class _Run(NamedTuple):
    number: int
    """When its first row was recorded."""
    begun: int
    """When Redis wrote the version of its first row."""


class Runs:
    """The runs of each source."""

    def __init__(self) -> None:
        self._known: dict[str | None, list[_Run]] = {}
        """Oldest first."""

    def restore(self, source: str | None, number: int) -> None:
        """The record has rows of this run."""
        known = self._known.setdefault(source, [])
        if number not in (run.number for run in known):
            self._known[source] = sorted([*known, _Run(number, number)])[-MOST_RUNS:]

    def newest(self, source: str | None, written: int, recorded: int) -> int:
        """The run of a symbol's first sample from this source: the newest that had begun; it begins now if there is
        none."""
        known = self._known.setdefault(source, [])
        if not known:
            known.append(_Run(recorded, written))
        return next((run.number for run in reversed(known) if run.begun <= written), known[-1].number)

    def following(self, source: str | None, number: int, written: int, recorded: int, *, back: bool) -> int:
        """The run of a sample of a symbol whose last one was of this run. `written`, `recorded`: of its version.
        `back`: whether the market's time went back, so that it is of another run."""
        known = self._known.setdefault(source, [])
        if known and known[-1].number == number and not back:
            return number  # as almost always
        later = [run for run in known if run.number > number]
        near = [run for run in later if abs(run.begun - written) <= TOGETHER]
        past = [run for run in later if run.begun < written - TOGETHER]
        if back and near:
            return near[0].number
        if past:
            return past[-1].number
        if not back:
            return number
        begun = _Run(max(recorded, number + 1, *(run.number + 1 for run in known)), written)
        self._known[source] = [*known, begun][-MOST_RUNS:]
        return begun.number
