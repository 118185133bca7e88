"""How long a step is, from how far samples lie apart, in plain Python.

Half of a running median of the distances is the step. The state tells the step and not the median, so whoever begins
in the middle follows all medians that a step allows, and drops those that a later step contradicts.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

YOUNG = 64
LONGEST_STEP = 1e9
SLACK = 0.0011
"""Timestamps of states are whole milliseconds, so a distance is known to that."""


class Spacing(NamedTuple):
    """The running median and the step, in seconds."""

    median: float = 2.0
    step: float = 1.0

    @property
    def place(self) -> tuple[int, float]:
        """It but for the last digits: medians are multiples of one another by whole powers of a factor."""
        return round(math.log2(self.median) * 1024), self.step

    def possible(self, seconds: float, young: bool, interval: float | None, slack: float) -> list["Spacing"]:
        """What it may be after a sample that lies so many seconds behind the one before it, to the `slack`."""
        if interval is not None:
            step = min(interval, LONGEST_STEP)
            return [Spacing(2 * step, step)]
        factor = 2 ** (1 / 8) if young else 2 ** (1 / 64)
        off = seconds - self.median
        smaller, greater = self.median / factor, self.median * factor
        medians = (smaller, greater) if slack and abs(off) <= slack else (greater if off > 0 else smaller,)
        return [each for median in medians for each in self._moved(max(2.0, median), off_by=1e-9 if slack else 0.0)]

    def _moved(self, median: float, off_by: float) -> list["Spacing"]:
        """What it may be with this median, which may be off by such a share: where the step just changes, both."""
        half, least, most = median / 2, self.step / 1.5, 1.5 * self.step
        step = float(math.floor(half + 0.5)) if half >= most or half <= least else self.step
        steps = {step}
        if off_by and min(abs(half / least - 1), abs(half / most - 1)) <= off_by:
            steps = {self.step, float(math.floor(half + 0.5))}
        return [Spacing(median, each) for each in steps]


def spacings_of(step: float) -> list[Spacing]:
    """What it may be where the step is known alone."""
    found = [Spacing(base * 2 ** (power / 64), step) for base in {2.0, 2 * step} for power in range(-2000, 2000)]
    return [each for each in found if each.median >= 2 and step / 1.5 < each.median / 2 < 1.5 * step]


class Steps(NamedTuple):
    """The step after each of some samples."""

    steps: list[float]
    contradicted: list[int]
    """The places at which the step that was recorded does not follow from the samples before."""


def follow_steps(
    apart: Sequence[tuple[float, float | None]],
    recorded: Sequence[float | None],
    first: Iterable[Spacing],
    taken: int,
    *,
    slack: float = SLACK,
) -> Steps:
    """The steps of samples of which each lies so many seconds behind the one before it, and states an interval or
    none. `recorded`: those that are known. `first`: what the spacing may be before them; `taken`: how many samples
    the window had had before them. `slack`: to how many seconds distances are known."""
    layers: list[dict[Spacing, Spacing | None]] = [dict.fromkeys(first)]
    contradicted = []
    for place, ((seconds, interval), step) in enumerate(zip(apart, recorded, strict=True)):
        young = taken + place < YOUNG
        after = {
            one.place: (one, before)
            for before in layers[-1]
            for one in before.possible(seconds, young, interval, slack)
        }
        agreeing: dict[Spacing, Spacing | None] = {
            one: before for one, before in after.values() if step in (None, one.step)
        }
        if not agreeing:
            contradicted.append(place)
            agreeing = dict.fromkeys(spacings_of(step or 1.0), next(iter(layers[-1])))
        layers.append(agreeing)
    return Steps(_traced(layers), contradicted)


def _traced(layers: Sequence[dict[Spacing, Spacing | None]]) -> list[float]:
    """The steps along one way through these layers, each of which has what came before."""
    steps = []
    newest = next(iter(layers[-1]), None)
    for layer in reversed(layers[1:]):
        assert newest is not None
        steps.append(newest.step)
        newest = layer[newest]
    return steps[::-1]
