"""Finds out how the times of a file are written, and reads them: one column or several, in any spelling.

dates.py has the spellings of dates, clocks.py those of times of day, walls.py reads both together, counts.py has times
that are numbers, and zones.py local times.
"""

import operator
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise, repeat
from statistics import median

from cottage.errors import UnusableSource
from cottage.files import clocks
from cottage.files.counts import (
    EXCEL,
    NUMERAL,
    SINCE_1970,
    SINCE_MIDNIGHT,
    UNITS,
    Count,
    excel_reader,
    is_excel,
    is_excel_column,
    is_modern,
)
from cottage.files.dates import ORDERS, DateOrder, day_of
from cottage.files.numbers import is_missing
from cottage.files.options import ReadOptions
from cottage.files.rows import BadRow, shown
from cottage.files.table import Ambiguous, Guess
from cottage.files.walls import CLOCK, MOMENT, Wall
from cottage.files.zones import DAY, MINUTE, SECOND, UTC_ZONE, LocalClock, Zone, is_zone, zone_named

Read = Callable[[Sequence[str]], int]

_SAMPLE = 1000
_MOST_BAD = 0.1
"""A larger share of cells that are no times refuses a column."""
_RESOLUTIONS = (DAY, MINUTE, SECOND, 1000, 1)
_DIGIT_DATES = {8, 10, 12, 14, 17, 20, 23}
"""How long a date and time without anything between is: to the day, hour, minute, second, or a fraction of it."""
_ZONE_IN_NAME = re.compile(r"[\[(]([^\])]+)[\])]")
_UTC_IN_NAME = re.compile(r"(?:utc|gmt)(?![a-z+-])|\[g\]", re.IGNORECASE)
_OFFSET_NAME = re.compile(r"offset|zone|\btz\b|^[<\[]?(?:gmt|utc)[>\]]?$", re.IGNORECASE)
_OFFSET = re.compile(r"([+-]?)(\d{1,2}(?::?\d{2})?)(?::00)?", re.ASCII)
_FRACTIONS = (
    (re.compile(r"milli|^m_?s(?:ec)?s?$", re.IGNORECASE), 1000, 1),
    (re.compile(r"micro|^us(?:ec)?s?$", re.IGNORECASE), 1, 1),
    (re.compile(r"nano|^ns(?:ec)?s?$", re.IGNORECASE), 1, 1000),
)
"""Names of columns of fractions of a second, and the microseconds of one, as multiplier and divisor."""
_WHOLE_SECONDS = re.compile(r"(\d{1,2}:\d{2}:\d{2})([.,])\d{1,9}|(\d{6})()\d{1,9}", re.ASCII)
_WIDTHS = {6: 6, 9: 3, 12: 0, 15: -3}
"""Of digits of a time of day, and the unit, as a power of ten, that would have about as many."""
_FEW = 20
"""So few different texts may all look like times of day by chance."""


@dataclass(frozen=True, slots=True)
class TimeContext:
    """What is known of a file's times besides its cells."""

    zone: str = ""
    """The zone that the vendor documents."""
    zone_from: str = ""
    """Who says so: `HistData's documentation`."""
    day: date | None = None
    """The date in the file's name."""
    unit: str = ""
    """The vendor's unit, one of counts.UNITS."""


@dataclass(slots=True)
class TimeReader:
    """How one file writes its times. `read` is called for its rows in their order."""

    read: Read
    """The moment of a row's cells of time, in microseconds since 1970, UTC. Raises BadRow("timestamp"), and Ambiguous
    where a guess by which earlier rows were read turns out to make a difference."""
    unit: str
    """How times are written, for people: `milliseconds since 1970`, `date and time of day, month first`."""
    zone: str
    """The zone by which local times are read, `UTC` for times that count from 1970, or `as each time states`."""
    zone_from: str
    """Where the zone is from, for people; empty where it was guessed."""
    rule: Zone | None = None
    """The zone by which local times are read; None where times state theirs."""
    guesses: list[Guess] = field(default_factory=list)
    resolution: int = 1
    """The step of the times, in microseconds: 60,000,000 where there are minutes only."""
    newest_first: bool | None = None
    """Whether times mostly go down from row to row; None where they do neither."""


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    cells: Sequence[str]
    texts: Sequence[str]
    """Some of its cells that are not blank, spread over all, stripped."""

    def most(self, fits: Callable[[str], object]) -> bool:
        """Whether more than half of the texts fit."""
        return 2 * sum(1 for text in self.texts if fits(text)) > len(self.texts)


def time_reader(
    columns: Sequence[tuple[str, Sequence[str]]],
    options: ReadOptions | None = None,
    context: TimeContext | None = None,
) -> TimeReader:
    """Find out how times are written, from a file's first rows: each column's name and cells, of one column or of those
    that belong together, in any order (date, time of day, fraction of a second, offset or zone). Raises Ambiguous where
    two readings fit, UnusableSource where none does."""
    made = [_column(name, cells) for name, cells in columns]
    return _Finder(made, options or ReadOptions(), context or TimeContext()).found()


def is_time(text: str) -> bool:
    """Whether a cell is a date, a time of day, both, or a number that counts from 1970 to a time after 1990."""
    bare = text.strip()
    if NUMERAL.fullmatch(bare):
        return is_modern(bare) or _is_digit_date(bare)
    return MOMENT.fullmatch(bare) is not None or (":" in bare and CLOCK.fullmatch(bare) is not None)


class _Finder:
    """Finds the reader of one file's times."""

    def __init__(self, columns: Sequence[_Column], options: ReadOptions, context: TimeContext) -> None:
        self._columns = columns
        self._context = context
        self._stated_zone = options.zone
        self._stated_order = next((ORDERS[word] for word in options.order.split(",") if word in ORDERS), "")
        self._name = " and ".join(column.name for column in columns)
        self._guesses: list[Guess] = []
        self._zone_name = self._zone_from = ""
        self._rule: Zone | None = None

    def found(self) -> TimeReader:
        """The reader of the columns. Raises Ambiguous or UnusableSource."""
        for column in self._columns:
            if not column.texts:
                raise UnusableSource(f"every cell of its column of times, {column.name}, is empty")
        if len(self._columns) > 1:
            return self._several()
        column = self._columns[0]
        if self._context.unit:
            return self._counted(column, UNITS[self._context.unit])
        if column.most(NUMERAL.fullmatch):
            return self._numeric(column)
        if column.most(MOMENT.fullmatch):
            return self._moments(column)
        if column.most(CLOCK.fullmatch):
            return self._of_day(column)
        raise self._no_times(column)

    # One column

    def _numeric(self, column: _Column) -> TimeReader:
        if column.most(_is_digit_date) and (len(column.texts[0]) != 10 or all(map(_is_digit_date, column.texts))):
            return self._digits(column)
        if column.most(is_modern):
            return self._counted(column, self._unit(column))
        if self._context.day is not None and not column.most(lambda text: is_excel(text, self._context.day)):
            return self._of_day(column)
        if is_excel_column(column.texts):
            return self._excel(column)
        if column.most(_is_of_day):
            raise self._no_date(column)
        return self._counted(column, self._unit(column))

    def _unit(self, column: _Column) -> Count:
        """The unit of most numbers of a column. Raises UnusableSource where more than a few have another."""
        held: Counter[Count] = Counter()
        numbers = 0
        for value in _floats(column.cells):
            numbers += 1
            for count in SINCE_1970:
                if count.holds(value):
                    held[count] += 1
                    break
        if not held:
            raise self._no_times(column)
        (unit, _), *others = held.most_common(2)
        if others and others[0][1] > _allowed(numbers):
            raise UnusableSource(
                f"its column of times, {column.name}, is partly in {unit.unit} and partly in {others[0][0].unit}: "
                "split the file"
            )
        return unit

    def _counted(self, column: _Column, unit: Count) -> TimeReader:
        read = unit.reader(column.cells)
        if unit in SINCE_MIDNIGHT:
            return self._of_day(column, unit)
        return self._tried(lambda cells: read(cells[0]), unit.unit, None)

    def _excel(self, column: _Column) -> TimeReader:
        read = excel_reader(column.cells)
        local = LocalClock(self._zone())
        return self._tried(lambda cells: local.utc(read(cells[0])), EXCEL, local)

    def _digits(self, column: _Column) -> TimeReader:
        """A date and time without anything between, such as 20241103013000."""
        wall, local = self._wall(column, [])
        at = _fast(wall, [text[8:] for text in column.texts])
        return self._tried(lambda cells: at(cells[0][:8], cells[0][8:]), "date and time of day", local)

    def _moments(self, column: _Column) -> TimeReader:
        """A date, or a date and a time of day, in one text."""
        found = [match for text in column.texts if (match := MOMENT.fullmatch(text))]
        mark = Counter(match["mark"] for match in found).most_common(1)[0][0]
        one_mark = mark is not None and not any(mark in match["date"] for match in found)
        if one_mark:
            texts = {cell.partition(mark)[0] for cell in column.cells}
        else:
            texts = {match["date"] for cell in column.cells if (match := MOMENT.fullmatch(cell.strip()))}
        wall, local = self._wall(column, [match["zone"] for match in found if match["clock"]], texts)

        def in_full(text: str) -> int:
            match = MOMENT.fullmatch(text.strip())
            if match is None:
                raise ValueError("is no date and time")
            return wall.at(match["date"], f"{match['clock'] or ''}{match['zone'] or ''}")

        def read(cells: Sequence[str]) -> int:
            day, _, clock = cells[0].partition(mark)
            try:
                return at(day, clock)
            except ValueError:
                return in_full(cells[0])

        at = _fast(wall, [text.partition(mark)[2] for text in column.texts]) if one_mark else wall.at
        unit = "date and time of day" if mark else "date"
        return self._tried(read if one_mark else lambda cells: in_full(cells[0]), self._ordered(unit, wall), local)

    def _of_day(self, column: _Column, unit: Count | None = None) -> TimeReader:
        """Times of day, with the date in the file's name."""
        if self._context.day is None:
            raise self._no_date(column)
        day = self._context.day.isoformat()
        clock, unit_name = self._clock(column, unit)
        wall, local = self._wall(column, self._clock_zones(column))
        at = clock(wall)
        return self._tried(lambda cells: at(day, cells[0]), f"{unit_name}, of the date in the file's name", local)

    # Several columns

    def _several(self) -> TimeReader:
        """A date and a time of day, in any order, and perhaps a fraction of a second and an offset or a zone."""
        roles = self._roles()
        dated = roles.get("date") or roles.get("moment")
        if dated is None:
            raise UnusableSource(f"none of its columns of times, {self._name}, has dates")
        clocked, offset, fraction = roles.get("clock"), roles.get("offset"), roles.get("fraction")
        if clocked is None and "moment" not in roles:
            raise UnusableSource(f"none of its columns of times, {self._name}, has times of day")
        matches = [match for text in set(dated.cells) if (match := MOMENT.fullmatch(text.strip()))]
        zones = self._clock_zones(clocked) if clocked else [match["zone"] for match in matches]
        if any(zones) or any(_UTC_IN_NAME.search(column.name) for column in (dated, clocked) if column):
            offset = None
        if offset is not None:
            zones = [_suffix(text) for text in offset.texts]
        wall, local = self._wall(dated, zones, {match["date"] for match in matches})
        unit = "date and time of day"
        if clocked is not None:
            clock, unit = self._clock(clocked, None)
            at, unit = clock(wall), f"date and {unit}"
        day_place = self._columns.index(dated)
        clock_place = self._columns.index(clocked) if clocked is not None else -1
        more = [(self._columns.index(offset), _suffix)] if offset is not None else []
        add = [(self._columns.index(fraction), _fraction(fraction))] if fraction is not None else []

        def read(cells: Sequence[str]) -> int:
            suffix = "".join(made(cells[place]) for place, made in more)
            if clock_place >= 0:
                time = at(cells[day_place], cells[clock_place] + suffix)
            else:
                match = MOMENT.fullmatch(cells[day_place].strip())
                if match is None:
                    raise ValueError("is no date and time")
                time = wall.at(match["date"], f"{match['clock'] or ''}{match['zone'] or ''}{suffix}")
            return time + sum(made(cells[place]) for place, made in add)

        simple = clock_place >= 0 and not more and not add
        fast: Read = lambda cells: at(cells[day_place], cells[clock_place])  # noqa: E731
        return self._tried(fast if simple else read, self._ordered(unit, wall), local)

    def _roles(self) -> dict[str, _Column]:
        """Which column is what. Raises UnusableSource where two are the same."""
        roles: dict[str, _Column] = {}
        for column in self._columns:
            role = _role(column)
            if role == "moment" and "moment" not in roles and column.most(_is_midnight):
                role = "date"
            elif role == "clock" and "clock" in roles:
                role = "fraction"
            if role in roles:
                raise UnusableSource(f"two of its columns of times, {self._name}, are both a {role}")
            roles[role] = column
        return roles

    # What they share

    def _clock(self, column: _Column, unit: Count | None) -> tuple[Callable[[Wall], Callable[[str, str], int]], str]:
        """What reads a column's times of day behind a date, once there is a Wall; and how they are written."""
        if unit is None and not column.most(NUMERAL.fullmatch):
            return lambda wall: _fast(wall, column.texts), "time of day"
        whole = [text.replace(",", ".").partition(".")[0] for text in column.texts]
        width = clocks.digits_width(max(map(len, whole)))
        digits = [text.zfill(width + len(text) - len(part)) for text, part in zip(column.texts, whole, strict=True)]
        counts = [count for count in SINCE_MIDNIGHT if _fills(count, column.texts)]
        if unit is None and _mostly(_is_clock, digits):
            same_scale = [count for count in counts if _WIDTHS.get(width) == count.power]
            if same_scale and len(set(digits)) < _FEW and not any(map(_is_padded_clock, column.texts)):
                raise Ambiguous(
                    Guess(
                        f"{shown(column.texts[0])} in the column {column.name}",
                        "digits of a time of day",
                        same_scale[0].unit,
                        "FORMAT= with a vendor's name, or a file with more rows,",
                    )
                )

            def padded(wall: Wall) -> Callable[[str, str], int]:
                at = _fast(wall, digits)
                return lambda day, text: at(day, text.zfill(width) if text.isdigit() else text)

            return padded, "time of day"
        if unit is None and not counts:
            raise self._no_times(column)
        unit = unit or counts[0]
        read = unit.reader(column.cells)
        return lambda wall: lambda day, text: wall.local(wall.day_of(day) * DAY + read(text)), unit.unit

    def _wall(
        self, column: _Column, zones: Sequence[str | None], texts: Collection[str] = ()
    ) -> tuple[Wall, LocalClock]:
        """What reads dates and times of day. `zones`: those that the cells state, `texts`: all dates of the column."""
        order = DateOrder(column.name, [text.strip() for text in texts], self._stated_order)
        if order.guess is not None:
            self._guesses.append(order.guess)
        stated, labels = "", self._stated_zone != ""
        word = Counter(zones).most_common(1)[0][0] if zones else None
        if word and is_zone(word):
            zone = zone_named(word)
            stated = "offset" if zone.fixed else zone.name
            local = LocalClock(UTC_ZONE if zone.fixed else zone)
            same = len({zone_named(each).name for each in zones if each and is_zone(each)}) == 1
            self._zone_name, self._zone_from = (zone.name if same else "as each time states"), "the times"
            self._rule = None if zone.fixed else zone
        elif word and not labels:
            raise UnusableSource(
                f"its times, in the column {column.name}, state the zone {shown(word)}, which is the name of several or of "
                "none: ZONE=America/Chicago, for example, says which is meant"
            )
        else:
            local = LocalClock(self._zone())
        return Wall(order, local, stated, labels), local

    def _zone(self) -> Zone:
        """The zone of times that state none."""
        zone, self._zone_from = UTC_ZONE, ""
        in_name = next((found for column in self._columns if (found := _zone_in_name(column.name))), None)
        if self._stated_zone:
            zone, self._zone_from = zone_named(self._stated_zone), "ZONE="
        elif in_name is not None:
            zone, self._zone_from = in_name, f"the column's name, {self._name}"
        elif self._context.zone:
            zone, self._zone_from = zone_named(self._context.zone), self._context.zone_from
        else:
            self._guesses.append(
                Guess("the zone of its times", "UTC", "that of the market", "ZONE=America/New_York, for example,")
            )
        self._rule, self._zone_name = zone, zone.name
        return zone

    def _clock_zones(self, column: _Column) -> list[str | None]:
        return [match["zone"] for text in column.texts if (match := CLOCK.fullmatch(text))]

    def _ordered(self, unit: str, wall: Wall) -> str:
        return f"{unit}, {wall.order}" if wall.order else unit

    def _tried(self, read: Callable[[Sequence[str]], int], unit: str, local: LocalClock | None) -> TimeReader:
        """The reader, after a try on all cells. Raises UnusableSource where too many are no times."""

        def moment(cells: Sequence[str]) -> int:
            try:
                return read(cells)
            except ValueError as error:
                text = shown(" ".join(cells).strip())
                raise BadRow("timestamp", f"{text} {error}") from None

        reader = TimeReader(moment, unit, "UTC", "it is counted from 1970", guesses=self._guesses)
        if local is not None:
            reader.rule, reader.zone, reader.zone_from = self._rule, self._zone_name, self._zone_from
        times = self._times(moment)
        if local is not None and not local.zone.fixed:
            local.follow(_newest_first(times) or False, _step(times))
            times = self._times(moment)
        reader.newest_first = _newest_first(times)
        reader.resolution = DAY if unit.startswith("date") and "time" not in unit else _resolution(times)
        return reader

    def _times(self, moment: Read) -> list[int]:
        times: list[int] = []
        bad, first = 0, ""
        for cells in zip(*(column.cells for column in self._columns), strict=True):
            try:
                times.append(moment(cells))
            except BadRow as error:
                if any(cells):
                    bad += 1
                    first = first or error.detail
        if bad > _allowed(bad + len(times)) or not times:
            raise UnusableSource(f"its column of times, {self._name}: {first}")
        return times

    def _no_times(self, column: _Column) -> UnusableSource:
        return UnusableSource(f"its column of times, {column.name}: {shown(column.texts[0])} is no time")

    def _no_date(self, column: _Column) -> UnusableSource:
        return UnusableSource(
            f"its column of times, {column.name}, has times of day such as {shown(column.texts[0])}, and no date: write "
            "it into the file's name, as 2025-01-02"
        )


def _column(name: str, cells: Sequence[str]) -> _Column:
    step = max(1, len(cells) // _SAMPLE)
    texts = [text for cell in cells[::step] if (text := cell.strip()) and not is_missing(text)]
    return _Column(name, cells, texts or [text for cell in cells if (text := cell.strip())][:_SAMPLE])


def _role(column: _Column) -> str:
    if column.most(_OFFSET.fullmatch) and _OFFSET_NAME.search(column.name):
        return "offset"
    if column.most(_is_digit_date) and all(len(text) == 8 for text in column.texts):
        return "date"
    if column.most(NUMERAL.fullmatch):
        return "fraction" if any(pattern.search(column.name) for pattern, _, _ in _FRACTIONS) else "clock"
    if column.most(lambda text: (match := MOMENT.fullmatch(text)) and match["clock"]):
        return "moment"
    if column.most(MOMENT.fullmatch):
        return "date"
    return "offset" if column.most(is_zone) else "clock"


def _fraction(column: _Column) -> Callable[[str], int]:
    """What reads a column of fractions of a second, into microseconds."""
    times, divisor = next(
        ((times, by) for pattern, times, by in _FRACTIONS if pattern.search(column.name)), (1000, 1)
    )
    limit = SECOND * divisor // times

    def read(text: str) -> int:
        value = int(text)
        if not 0 <= value < limit:
            raise ValueError("is no fraction of a second")
        return value * times // divisor

    return read


def _suffix(text: str) -> str:
    """A cell of offsets or zones as it stands behind a time of day: hours without a sign lie east."""
    found = _OFFSET.fullmatch(text.strip())
    return f"{found[1] or '+'}{found[2]}" if found else f" {text.strip()}"


def _fast(wall: Wall, texts: Sequence[str]) -> Callable[[str, str], int]:
    """What reads a date and a time of day, quickly where they look like most of `texts`."""
    shapes: Counter[tuple[str, str]] = Counter()
    for text in texts:
        match = CLOCK.fullmatch(text)
        found = _WHOLE_SECONDS.fullmatch(match["clock"]) if match else None
        if match and found:
            shapes[found[2] or "", text[match.end("clock") :]] += 1
    if 2 * shapes.total() <= len(texts):
        return wall.at
    (mark, suffix), _ = shapes.most_common(1)[0]
    behind = len(suffix)

    def at(day: str, clock: str) -> int:
        if clock.endswith(suffix):
            bare = clock[: len(clock) - behind]
            head, _, digits = bare.partition(mark) if mark else (bare[:6], "", bare[6:])
            if digits:
                return wall.at_fraction(day, head, digits, suffix)
        return wall.at(day, clock)

    return at


def _zone_in_name(name: str) -> Zone | None:
    for word in _ZONE_IN_NAME.findall(name):
        if is_zone(word):
            return zone_named(word)
    return UTC_ZONE if _UTC_IN_NAME.search(name) else None


def _is_digit_date(text: str) -> bool:
    if len(text) not in _DIGIT_DATES or not (text.isdigit() and text.isascii()):
        return False
    try:
        day_of(text[:8])
        return len(text) == 8 or clocks.clock_of(text[8:]) < DAY
    except ValueError:
        return False


def _is_clock(text: str) -> bool:
    try:
        return clocks.clock_of(text) <= DAY
    except ValueError:
        return False


def _is_padded_clock(text: str) -> bool:
    return text.startswith("0") and len(text) > 3 and text.isdigit() and _is_clock(text)


def _is_of_day(text: str) -> bool:
    """Whether a number is a time of day rather than a time of the 1970s: digits of one, or seconds or milliseconds."""
    return _is_padded_clock(text) or (len(text) == 9 and _is_clock(text)) or 3600 <= _float(text) < DAY / 1000


def _is_midnight(text: str) -> bool:
    match = MOMENT.fullmatch(text)
    return (
        match is not None
        and bool(match["clock"])
        and _is_clock(match["clock"])
        and not clocks.clock_of(match["clock"])
    )


def _fills(count: Count, texts: Sequence[str]) -> bool:
    """Whether numbers may count this unit since midnight, and not a coarser one."""
    values = _floats(texts)
    return bool(values) and all(map(count.holds, values)) and (count.power == 6 or max(values) >= count.high / 1000)


def _float(cell: str) -> float:
    return float(cell.replace(",", "."))


def _floats(cells: Sequence[str]) -> list[float]:
    values = []
    for cell in cells:
        with suppress(ValueError):
            values.append(_float(cell))
    return values


def _mostly(fits: Callable[[str], bool], texts: Sequence[str]) -> bool:
    return sum(map(fits, texts)) >= (1 - _MOST_BAD) * len(texts)


def _allowed(rows: int) -> float:
    """How many of so many rows may be no times."""
    return max(_MOST_BAD * rows, 0.5 * rows if rows < _FEW else 0)


def _newest_first(times: Sequence[int]) -> bool | None:
    up = sum(map(operator.lt, times, times[1:]))
    down = sum(map(operator.gt, times, times[1:]))
    return None if up == down else down > up


def _step(times: Sequence[int]) -> float:
    """The median distance of rows that are not of the same time, in microseconds."""
    return median([abs(after - before) for before, after in pairwise(times) if after != before] or [0])


def _resolution(times: Sequence[int]) -> int:
    return next(step for step in _RESOLUTIONS if not any(map(operator.mod, times, repeat(step))))
