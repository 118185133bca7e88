"""Times that are numbers: counted from 1970, from midnight, or in the days of a spreadsheet."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise
from statistics import median

from cottage.files.cells.dates import LAST_DAY
from cottage.files.cells.zones import DAY, MINUTE, SECOND

NUMERAL = re.compile(r"\+?\d+(?:[.,]\d*)?(?:[eE]\+?\d+)?", re.ASCII)
_EXPONENT = re.compile(r"(\d+)(?:[.,](\d*))?[eE]\+?(\d+)", re.ASCII)
_COARSEST = 1000
"""In microseconds: a column in scientific notation that is coarser has lost digits."""
_EXCEL_ORIGIN = -25569
"""Day 0 of a spreadsheet, 1899-12-30, counted from 1970."""
_MATLAB_ORIGIN = -719_529
"""Day 0 of MATLAB's datenum, the day before 0000-01-01."""
_SNAPS = (MINUTE, SECOND, 1000)
"""What the time of a spreadsheet is rounded to: the coarsest that lies within what its digits can tell."""
_NEAR_DATE = 366
"""In days: so near to the date in the file's name, a spreadsheet's days are taken for such."""
_MODERN = 20 * 365 * 86_400
"""Seconds since 1970: a number that is later than this in some unit is no time of day."""


@dataclass(frozen=True, slots=True)
class Count:
    """A unit in which times are counted."""

    unit: str
    """For people: `milliseconds since 1970`."""
    power: int
    """The unit in microseconds as a power of ten: 3 for milliseconds, -3 for nanoseconds."""
    low: int
    """Whole units below which a number is none of these."""
    high: int

    def holds(self, value: float) -> bool:
        """Whether a number lies in the range of this unit."""
        return self.low <= value < self.high

    def reader(self, cells: Sequence[str]) -> Callable[[str], int]:
        """A function that reads a cell of a column into microseconds, truncated. It raises ValueError for what is no
        number in the range of this unit, and for one that has lost its last digits in a spreadsheet."""
        low, high, power, places = self.low, self.high, self.power, "0" * max(self.power, 0)
        exponents = self._finest_exponent(cells)

        def read(text: str) -> int:
            whole, _, part = text.partition(".")
            if not (whole.isdigit() and (part == "" or part.isdigit()) and text.isascii() and len(whole) < 25):
                whole, part = _written_out(text, exponents)
            value = int(whole)
            if not low <= value < high:
                raise ValueError(f"counts no {self.unit}" if value > low else "is out of the range of its column")
            if power < 0:
                return int(value // 10**-power)
            return int(value * 10**power) + (int((part + places)[:power]) if part and power else 0)

        return read

    def _finest_exponent(self, cells: Sequence[str]) -> bool:
        """Whether a column's cells in scientific notation, if it has any, have kept their digits."""
        if "e" not in "".join(cells).lower():
            return True
        finest = max(
            (len(found[2] or "") - int(found[3]) for cell in cells if (found := _EXPONENT.fullmatch(cell.strip()))),
            default=0,
        )
        return self.power - finest <= 3


def _written_out(text: str, exponents: bool) -> tuple[str, str]:
    """The digits before and after the point of a number that is written in an odd way. Raises ValueError."""
    bare = text.strip().replace(",", ".")
    if NUMERAL.fullmatch(bare) is None or len(bare) > 40:
        raise ValueError("is no number")
    if "e" not in bare.lower():
        whole, _, part = bare.lstrip("+").partition(".")
        return whole, part
    if not exponents:
        raise ValueError("has lost its last digits in a spreadsheet: export it as text")
    value = Decimal(bare)
    if value >= 10**24:
        raise ValueError("is no number of this century")
    whole, _, part = f"{value:f}".partition(".")
    return whole, part


SINCE_1970 = (
    Count("seconds since 1970", 6, 0, LAST_DAY * 86_400),
    Count("milliseconds since 1970", 3, 10**11, LAST_DAY * 86_400 * 10**3),
    Count("microseconds since 1970", 0, 10**14, LAST_DAY * 86_400 * 10**6),
    Count("nanoseconds since 1970", -3, 10**17, LAST_DAY * 86_400 * 10**9),
)
SINCE_MIDNIGHT = (
    Count("seconds since midnight", 6, 0, 86_400),
    Count("milliseconds since midnight", 3, 0, 86_400 * 10**3),
    Count("microseconds since midnight", 0, 0, 86_400 * 10**6),
    Count("nanoseconds since midnight", -3, 0, 86_400 * 10**9),
)
UNITS = {count.unit: count for count in (*SINCE_1970, *SINCE_MIDNIGHT)}
EXCEL = "days of a spreadsheet"
MATLAB = "days of MATLAB"


def _origin(day: float) -> int:
    """The day 0 of a spreadsheet, or MATLAB's, whose years from 1970 to 2100 are no days of the other."""
    return _EXCEL_ORIGIN if day < -_MATLAB_ORIGIN else _MATLAB_ORIGIN


def days_of(cells: Sequence[str]) -> str:
    """What days these are, EXCEL or MATLAB, by the first that is a number."""
    first = next((cell for cell in cells if NUMERAL.fullmatch(cell.strip())), "0")
    return EXCEL if _origin(float(first.replace(",", "."))) == _EXCEL_ORIGIN else MATLAB


def excel_reader(cells: Sequence[str]) -> Callable[[str], int]:
    """A function that reads days of a spreadsheet, or MATLAB's, into local microseconds since 1970. It raises
    ValueError where a cell's digits do not tell the time to a second, or to a millisecond with more of them."""
    parts = [cell.strip().replace(",", ".").partition(".")[2] for cell in cells]
    digits = max(map(len, (part for part in parts if part != "0")), default=0)
    within = DAY // 10**digits // 2 + 1 if digits else 0
    origin = _EXCEL_ORIGIN if days_of(cells) == EXCEL else _MATLAB_ORIGIN

    def read(text: str) -> int:
        whole, part = _written_out(text, exponents=False)
        day = int(whole) + origin
        if not 0 <= day < LAST_DAY:
            raise ValueError("does not lie between 1970 and 2100")
        exact = int(int(part or 0) * DAY // 10 ** len(part))
        for snap in _SNAPS:
            nearest = (exact + snap // 2) // snap * snap
            if abs(nearest - exact) <= within < min(snap // 2, SECOND):
                return day * DAY + nearest
        raise ValueError("has lost its last digits in a spreadsheet: export it as text")

    return read


def is_modern(text: str) -> bool:
    """Whether a number counts from 1970 to a time after 1990, in any unit."""
    if NUMERAL.fullmatch(text) is None:
        return False
    value = float(text.replace(",", "."))
    modern = any(count.holds(value) and value >= _MODERN * 10.0 ** (6 - count.power) for count in SINCE_1970)
    return modern and not text.startswith("0")


def is_excel(text: str, near: date | None = None) -> bool:
    """Whether a number may be days of a spreadsheet or of MATLAB, of 1970 to 2100, or near a date."""
    if NUMERAL.fullmatch(text) is None:
        return False
    day = float(text.replace(",", "."))
    day += _origin(day)
    if near is not None:
        return abs(day - (near.toordinal() - date(1970, 1, 1).toordinal())) < _NEAR_DATE
    return 0 <= day < LAST_DAY


def is_excel_column(texts: Sequence[str]) -> bool:
    """Whether numbers look like the days of a spreadsheet: whole days a few days apart, or fractions that are whole
    seconds. Seconds since midnight are neither."""
    if not all(map(is_excel, filter(NUMERAL.fullmatch, texts))):
        return False
    read = excel_reader(texts)
    times = []
    for text in texts:
        try:
            times.append(read(text))
        except ValueError:
            return False
    steps = [abs(after - before) for before, after in pairwise(times) if after != before]
    if all(time % DAY == 0 for time in times):
        return not steps or median(steps) <= 7 * DAY
    return True
