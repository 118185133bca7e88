"""Charts of text for a terminal, a column of characters for each span of time. Pure."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
Number = float | None

BARS = "▁▂▃▄▅▆▇█"
_HALVES = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}


def columns(values: Sequence[T], width: int) -> Iterator[Sequence[T]]:
    """The values in `width` parts of about the same size, in order; each value alone where there are fewer."""
    parts = min(width, len(values))
    for number in range(parts):
        yield values[number * len(values) // parts : (number + 1) * len(values) // parts]


def squeezed(values: Sequence[Number], width: int, how: Callable[[Sequence[float]], float]) -> list[Number]:
    """At most `width` values, each made by `how` (min, max, …) of a part; None where all of a part are None."""
    parts = ([value for value in part if value is not None] for part in columns(values, width))
    return [how(known) if known else None for known in parts]


def span(*series: Sequence[Number]) -> tuple[float, float] | None:
    """The least and the greatest of all values; None if there are none."""
    known = [value for values in series for value in values if value is not None and math.isfinite(value)]
    return (min(known), max(known)) if known else None


def sparkline(values: Sequence[Number]) -> str:
    """A line of bars, the least of the values with the lowest; blank where there is none."""
    limits = span(values) or (0.0, 0.0)
    return "".join(" " if value is None else BARS[_level(value, limits, len(BARS))] for value in values)


def band(lows: Sequence[Number], highs: Sequence[Number], limits: tuple[float, float], rows: int) -> list[str]:
    """Lines, the top one first, in which each column is filled from its low to its high, by half characters; what
    lies outside the limits is cut off, and a column without both is blank."""
    levels = [
        None if low is None or high is None else (_level(low, limits, 2 * rows), _level(high, limits, 2 * rows))
        for low, high in zip(lows, highs, strict=True)
    ]

    def filled(column: tuple[int, int] | None, level: int) -> bool:
        return column is not None and column[0] <= level <= column[1]

    return [
        "".join(_HALVES[filled(column, 2 * row + 1), filled(column, 2 * row)] for column in levels)
        for row in reversed(range(rows))
    ]


def _level(value: float, limits: tuple[float, float], count: int) -> int:
    """On which of `count` levels a value lies; all on a middle one where the limits are one value."""
    least, most = limits
    if most <= least:
        return (count - 1) // 2
    share = (value - least) / (most - least)
    return min(max(int(share * count), 0), count - 1)
