"""Tries a way to read times on all cells of its columns. times.py finds the ways."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, repeat
from statistics import median

from cottage.errors import UnusableSource
from cottage.files.cell_table import Guess
from cottage.files.cells.time_cells import TimeColumn
from cottage.files.cells.zones import DAY, MINUTE, SECOND, Zone, ZoneClock
from cottage.files.rows import BadRow, shown

_MOST_BAD, _MOST_BAD_OF_FEW, _FEW = 0.1, 0.5, 20
"""A larger share of cells that are no times refuses a column; in a file of few rows, the second."""
_RESOLUTIONS = (DAY, MINUTE, SECOND, 1000, 1)


@dataclass(slots=True)
class TimeReader:
    """How one file writes its times. `read` is called for its rows in their order."""

    read: Callable[[Sequence[str]], int]
    """The moment of a row's cells of time, in microseconds since 1970, UTC. Raises BadRow("timestamp"), and Ambiguous
    where a guess by which earlier rows were read turns out to make a difference."""
    unit: str
    """How times are written, for people: `milliseconds since 1970`, `date and time of day, month first`."""
    zone: str = "UTC"
    """The zone by which local times are read, `UTC` for times that count from 1970, or `as each time states`."""
    zone_from: str = "it is counted from 1970"
    """Where the zone is from, for people; empty where it was guessed."""
    rule: Zone | None = None
    """The zone by which local times are read; None where times state how far they are from UTC."""
    guesses: list[Guess] = field(default_factory=list)
    resolution: int = 1
    """The step of the times, in microseconds: 60,000,000 where there are minutes only."""
    newest_first: bool | None = None
    """Whether times mostly go down from row to row; None where they do neither."""
    times: list[int | None] = field(default_factory=list)
    """The moments of the cells by which it was found out, None where a cell is no time; whoever takes them may leave
    an empty list."""


def tried(reader: TimeReader, columns: Sequence[TimeColumn], local: ZoneClock | None = None) -> TimeReader:
    """Complete a reader, whose `read` raises ValueError, by all cells of its columns. Raises UnusableSource where too
    many are no times."""
    read = reader.read

    def moment(cells: Sequence[str]) -> int:
        try:
            return read(cells)
        except ValueError as error:
            raise BadRow("timestamp", f"{shown(' '.join(cells).strip())} {error}") from None

    reader.read = moment
    reader.times = _times(moment, columns)
    times = [time for time in reader.times if time is not None]
    if local is not None and local.changes:
        local.follow(_newest_first(times) or False, _step(times))
        reader.times = _times(moment, columns)
        times = [time for time in reader.times if time is not None]
    reader.newest_first = _newest_first(times)
    reader.resolution = _resolution(times)
    return reader


def most_bad(rows: int) -> float:
    """How many of so many rows may be no times."""
    return max(_MOST_BAD * rows, _MOST_BAD_OF_FEW * rows if rows < _FEW else 0)


def _times(moment: Callable[[Sequence[str]], int], columns: Sequence[TimeColumn]) -> list[int | None]:
    times: list[int | None] = []
    bad, first, empty = 0, "", 0
    for cells in zip(*(column.cells for column in columns), strict=True):
        try:
            times.append(moment(cells))
        except BadRow as error:
            times.append(None)
            if any(cells):
                bad += 1
                first = first or error.detail
            else:
                empty += 1
    told = len(times) - empty
    if bad > most_bad(told) or bad == told:
        raise UnusableSource(f"its column of times, {' and '.join(column.name for column in columns)}: {first}")
    return times


def _newest_first(times: Sequence[int]) -> bool | None:
    up = sum(map(operator.lt, times, times[1:]))
    down = sum(map(operator.gt, times, times[1:]))
    return None if up == down else down > up


def _step(times: Sequence[int]) -> float:
    """The median distance of rows that are not of the same time, in microseconds."""
    return median([abs(after - before) for before, after in pairwise(times) if after != before] or [0])


def _resolution(times: Sequence[int]) -> int:
    return next(step for step in _RESOLUTIONS if not any(map(operator.mod, times, repeat(step))))
