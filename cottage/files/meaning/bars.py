"""How long the bars of a file last, and when each of them ends: that is when it is published."""

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from statistics import median
from typing import NamedTuple

from cottage.files.meaning.file_names import DAY

HOUR = DAY // 24
WEEK = 7 * DAY
MONTH = 30 * DAY
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MONTHS = {1: (27, 32), 3: (88, 93), 6: (180, 185), 12: (364, 367)}
_COMMON = 0.02
"""A gap is the length of a bar if it is so large a share of all gaps, and nearly all are multiples of it."""
_MULTIPLES = 0.98
_COMMON_SECONDS = 0.3
"""The share for lengths below a minute: times of trades, to the second, are often a second apart too."""
_PARTS_OF_A_MINUTE = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
_USUAL = frozenset(
    unit * number
    for unit, numbers in (
        (1_000_000, _PARTS_OF_A_MINUTE),
        (HOUR // 60, (*_PARTS_OF_A_MINUTE, 45)),
        (HOUR, (1, 2, 3, 4, 6, 8, 12)),
    )
    for number in numbers
)


class BarLength(NamedTuple):
    """How long bars last: some microseconds, or some calendar months."""

    micros: int
    months: int = 0

    def __str__(self) -> str:
        if self.months:
            return {1: "1 month", 3: "3 months", 6: "6 months", 12: "1 year"}[self.months]
        for unit, name in (
            (WEEK, "week"),
            (DAY, "day"),
            (HOUR, "hour"),
            (HOUR // 60, "minute"),
            (1_000_000, "second"),
        ):
            if self.micros >= unit and self.micros % unit == 0:
                number = self.micros // unit
                return f"{number} {name}{'s' * (number > 1)}"
        return f"{self.micros / 1e6:g} seconds"


def length_by_gaps(groups: Sequence[Sequence[int]], stated: int | None) -> BarLength | None:
    """The length by the gaps between the stamps of each symbol, µs, where they are regular. `stated`, from the file's
    name, is taken for a file with gaps that are all multiples of it."""
    gaps = [after - before for stamps in groups for before, after in itertools.pairwise(sorted(stamps))]
    gaps = [gap for gap in gaps if gap]
    if not gaps:
        return BarLength(stated) if stated else None
    usual = median(gaps)
    if usual >= 20 * HOUR:
        return _days(gaps, usual)
    counted = Counter(gaps)
    for gap in sorted(counted):
        share = _COMMON if gap >= HOUR // 60 else _COMMON_SECONDS
        if gap in _USUAL and counted[gap] >= share * len(gaps) and _divides(gap, counted, len(gaps)):
            return (
                BarLength(stated)
                if stated and stated < gap and _divides(stated, counted, len(gaps))
                else BarLength(gap)
            )
    return BarLength(stated) if stated and stated < DAY and _divides(stated, counted, len(gaps)) else None


def _divides(length: int, gaps: Counter[int], number: int) -> bool:
    return sum(count for gap, count in gaps.items() if gap % length == 0) >= _MULTIPLES * number


def _days(gaps: Sequence[int], usual: float) -> BarLength:
    for months, (fewest, most) in _MONTHS.items():
        if fewest <= usual / DAY <= most:
            return BarLength(months * MONTH, months)
    shortest = round(min(gaps) / DAY) or 1
    return BarLength(
        WEEK if 5 <= round(usual / DAY) <= 9 and shortest >= 4 else DAY * (1 if usual < 5 * DAY else shortest)
    )


def end_of(length: BarLength, zone: tzinfo) -> Callable[[int], int]:
    """A function from a bar's open to its end, both µs since 1970 UTC. Days and longer end at a midnight of the zone
    if they begin at one, on days of 23 and 25 hours too."""
    micros, months = length

    @lru_cache(4096)
    def by_calendar(opened: int) -> int:
        begin = (_EPOCH + opened * _MICROSECOND).astimezone(zone).replace(tzinfo=None)
        if months:
            month = begin.month - 1 + months
            end = begin.replace(year=begin.year + month // 12, month=month % 12 + 1, day=1)
        else:
            end = begin + micros * _MICROSECOND
        return (end.replace(tzinfo=zone).astimezone(UTC) - _EPOCH) // _MICROSECOND

    return by_calendar if months or micros >= DAY else lambda opened: opened + micros


def date_before(zone: tzinfo) -> Callable[[int], int]:
    """A function from the end of a day, µs since 1970 UTC, to its begin, at midnights of the zone."""

    def begin(end: int) -> int:
        last = (_EPOCH + end * _MICROSECOND - _MICROSECOND).astimezone(zone)
        midnight = last.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        return (midnight.astimezone(UTC) - _EPOCH) // _MICROSECOND

    return begin
