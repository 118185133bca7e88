"""The cells of a column of times, and what they may be: dates, times of day, fractions of a second, offsets."""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from cottage.files.cells import clocks
from cottage.files.cells.counts import NUMERAL
from cottage.files.cells.dates import day_of
from cottage.files.cells.numbers import is_missing
from cottage.files.cells.walls import MOMENT
from cottage.files.cells.zones import DAY, SECOND, UTC_ZONE, Zone, is_zone, zone_named

_SAMPLE = 1000
_DIGIT_DATES = {8, 10, 12, 14, 17, 20, 23}
"""How long a date and time without anything between is: to the day, hour, minute, second, or a fraction of it."""
_BRACKETS = re.compile(r"[\[(]([^\])]+)[\])]")
_UTC = re.compile(r"(?:utc|gmt)(?![a-z+-])|\[g\]", re.IGNORECASE)
_OFFSET_NAME = re.compile(r"offset|zone|\btz\b|^[<\[]?(?:gmt|utc)[>\]]?$", re.IGNORECASE)
_OFFSET = re.compile(r"([+-]?)(\d{1,2}(?::?\d{2})?)(?::00)?", re.ASCII)
_FRACTIONS = (
    (re.compile(r"milli|^m_?s(?:ec)?s?$", re.IGNORECASE), 1000, 1),
    (re.compile(r"micro|^us(?:ec)?s?$", re.IGNORECASE), 1, 1),
    (re.compile(r"nano|^ns(?:ec)?s?$", re.IGNORECASE), 1, 1000),
)
"""Names of columns of fractions of a second, and the microseconds of one, as multiplier and divisor."""


@dataclass(frozen=True, slots=True)
class TimeColumn:
    """A column, or one of several, that tells the times of a file's rows."""

    name: str
    cells: Sequence[str]
    texts: Sequence[str]
    """Some of its cells that hold something, stripped, spread over all."""
    farther: Sequence[str] = ()
    """Some of its cells from further on in the file."""

    @classmethod
    def of(cls, name: str, cells: Sequence[str], farther: Sequence[str] = ()) -> "TimeColumn":
        """A column of these cells."""
        some = cells[:: max(1, len(cells) // _SAMPLE)]
        texts = [text for cell in some if (text := cell.strip()) and not is_missing(text)]
        texts = texts or [text for cell in cells if (text := cell.strip())][:_SAMPLE]
        return cls(name, cells, texts, farther)

    def mostly(self, fits: Callable[[str], object]) -> bool:
        """Whether more than half of its texts fit."""
        return 2 * sum(1 for text in self.texts if fits(text)) > len(self.texts)

    @property
    def zone(self) -> Zone | None:
        """The zone that its name states: `time (UTC)`, `Gmt time`, `date [Europe/London]`."""
        for word in _BRACKETS.findall(self.name):
            if is_zone(word):
                return zone_named(word)
        return UTC_ZONE if _UTC.search(self.name) and not _OFFSET_NAME.search(self.name) else None

    @property
    def role(self) -> str:
        """What it is among several: `date`, `moment` (a date with a time of day), `clock`, `fraction`, `offset`."""
        if self.mostly(_OFFSET.fullmatch) and _OFFSET_NAME.search(self.name):
            return "offset"
        if self.mostly(is_digit_date) and all(len(text) == 8 for text in self.texts):
            return "date"
        if self.mostly(NUMERAL.fullmatch):
            return "fraction" if any(pattern.search(self.name) for pattern, _, _ in _FRACTIONS) else "clock"
        if self.mostly(MOMENT.fullmatch):
            return "moment" if self.mostly(_has_clock) else "date"
        return "offset" if self.mostly(is_zone) else "clock"

    def fraction(self) -> Callable[[str], int]:
        """What reads its cells as fractions of a second, into microseconds: milliseconds if its name says nothing."""
        found = next(((times, by) for pattern, times, by in _FRACTIONS if pattern.search(self.name)), (1000, 1))
        times, divisor = found

        def read(text: str) -> int:
            value = int(text)
            if not 0 <= value * times < SECOND * divisor:
                raise ValueError("is no fraction of a second")
            return value * times // divisor

        return read


def suffix(text: str) -> str:
    """A cell of offsets or zones as it stands behind a time of day. Hours without a sign lie east."""
    found = _OFFSET.fullmatch(text.strip())
    return f"{found[1] or '+'}{found[2]}" if found else f" {text.strip()}"


def is_digit_date(text: str) -> bool:
    """Whether digits are a date, or a date and a time of day, without anything between."""
    if len(text) not in _DIGIT_DATES or not (text.isdigit() and text.isascii()):
        return False
    try:
        day_of(text[:8])
        return len(text) == 8 or clocks.clock_of(text[8:]) < DAY
    except ValueError:
        return False


def is_clock(text: str) -> bool:
    """Whether a text is a time of day."""
    try:
        return clocks.clock_of(text) <= DAY
    except ValueError:
        return False


def is_padded_clock(text: str) -> bool:
    """Whether digits are a time of day whose hour has a leading zero, so that they are no number."""
    return text.startswith("0") and len(text) > 3 and text.isdigit() and is_clock(text)


def is_of_day(text: str) -> bool:
    """Whether a number is a time of day rather than a time of the 1970s: digits of one, or seconds or
    milliseconds."""
    if is_padded_clock(text) or (len(text) == 9 and is_clock(text)):
        return True
    return NUMERAL.fullmatch(text) is not None and 3600 <= as_float(text) < DAY / 1000


def is_midnight(text: str) -> bool:
    """Whether a text is a date with midnight behind it."""
    found = MOMENT.fullmatch(text)
    return found is not None and is_clock(found["clock"] or "") and clocks.clock_of(found["clock"]) == 0


def as_float(text: str) -> float:
    """A number with a decimal point or comma. Raises ValueError."""
    return float(text.replace(",", "."))


def as_floats(cells: Sequence[str]) -> list[float]:
    """The numbers among some cells."""
    values: list[float] = []
    try:
        values.extend(map(float, cells))
    except ValueError:
        values = []
        for cell in cells:
            with suppress(ValueError):
                values.append(as_float(cell))
    return values


def _has_clock(text: str) -> bool:
    found = MOMENT.fullmatch(text)
    return found is not None and found["clock"] is not None
