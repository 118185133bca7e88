"""The estimators from the middle on: over the samples of a window, with what is remembered beside them.

A window's samples tell nearly all of a state. Beside them feynman remembers, from sample to sample, the grid that
was voted for, how many votes have failed since, and the regime with its time. A recorded state tells these, and
whoever goes on from them gets the next state without all that was before the window.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from cottage.reference.plain_grid import GRIDS, HIDDEN, UNIT, PlainGrid, Price
from cottage.reference.plain_regime import regimes, tail
from cottage.reference.plain_samples import Increment
from cottage.reference.plain_vector import Vector, vector_of_increments


class Memory(NamedTuple):
    """What a state tells of what is remembered beside the window."""

    regime: str = "WAIT"
    regime_since: float | None = None
    """In seconds since 1970."""
    grid: float | None = None
    """δ."""
    votes: int = 0


class Continued(NamedTuple):
    """The state after the newest sample."""

    vector: Vector
    regime_since: float | None
    grid: float | None
    votes: int | None
    """None where it is not known, since a stated tick hides the grid that was voted for."""


def go_on(
    every: Sequence[Increment],
    times: Sequence[float],
    new: int,
    window: int,
    memory: Memory,
    stated: float | None = None,
    widening: float = 1.0,
) -> Continued:
    """Take the last `new` of these increments after the others, with the memory of the sample before them.

    `every`: those of all samples that the windows hold, one sample earlier for each of the `new`. `times`: the event
    time of each. `stated`: the tick that was stated last before all of them. `window`: W.
    """
    old = every[: len(every) - new]
    stated = next((i.stated_tick for i in reversed(old) if i.stated_tick is not None), stated)
    grid = _remembered(window, [_priced(i) for i in old], stated, memory)
    known, regime, since = grid.grid != HIDDEN, memory.regime, memory.regime_since
    for end in range(len(old) + 1, len(every) + 1):
        increment = every[end - 1]
        grid.see(_priced(increment), increment.stated_tick)
        said = tail(every[max(0, end - window) : end], grid.found(), widening)
        before, regime = regime, regimes([said], regime)[0]
        if regime != before or since is None:
            since = times[end - 1]
    found = grid.found()
    vector = vector_of_increments(every[-window:], found, widening)
    tick = None if found.tick is None else float(found.tick)
    votes = grid.against if known or grid.against == 0 else None
    return Continued(vector._replace(regime=regime), since, tick, votes)


def _priced(increment: Increment) -> Price:
    return Price(increment.price, increment.before, increment.mid)


def _remembered(window: int, prices: Sequence[Price], stated: float | None, memory: Memory) -> PlainGrid:
    """The grid of the window that has these prices."""
    grid = PlainGrid.remembering(window, prices, stated, None, memory.votes)
    delta = None if memory.grid is None else Fraction(memory.grid) * grid.scale
    voted = next((each for each in GRIDS if delta is not None and float(each * UNIT) == float(delta)), None)
    is_stated = stated is not None and delta is not None and float(delta) == stated
    if voted is not None and not is_stated:
        grid.grid = voted
    elif prices:
        # A stated tick, or no tick at all, hides what was voted for; but without failed votes it is the last vote's.
        elected = grid.elected() if memory.votes == 0 else None
        grid.grid = elected if elected is not None else None if delta is None else HIDDEN
    return grid
