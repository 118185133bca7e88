"""Finds out how the times of a file are written, and reads them: one column or several, in any spelling.

time_cells.py   what the cells of a column may be
time_trial.py   TimeReader, and the try on all cells
walls.py        dates with times of day, and with zones
dates.py        dates, and which of their numbers is the day
clocks.py       times of day
counts.py       numbers that count from 1970, from midnight, or in the days of a spreadsheet
zones.py        zones, and local times as moments
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import NamedTuple

from cottage.errors import UnusableSource
from cottage.files.cell_table import Ambiguous, Guess
from cottage.files.cells import clocks
from cottage.files.cells.counts import (
    NUMERAL,
    SINCE_1970,
    SINCE_MIDNIGHT,
    UNITS,
    Count,
    days_of,
    excel_reader,
    is_excel,
    is_excel_column,
    is_modern,
)
from cottage.files.cells.dates import ORDERS, DateOrder
from cottage.files.cells.time_cells import (
    TimeColumn,
    as_floats,
    is_clock,
    is_digit_date,
    is_midnight,
    is_of_day,
    is_padded_clock,
    suffix,
)
from cottage.files.cells.time_trial import TimeReader as TimeReader
from cottage.files.cells.time_trial import most_bad, tried
from cottage.files.cells.walls import CLOCK, MOMENT, At, Wall, fast
from cottage.files.cells.zones import DAY, IN_SUMMER, UTC_ZONE, Zone, ZoneClock, is_abbreviation, is_zone, zone_named
from cottage.files.options import ReadOptions
from cottage.files.rows import shown

_SCALES = {4: 6, 6: 6, 9: 3, 12: 0, 15: -3}
"""Of so many digits of a time of day, the unit, as a power of ten, that would have about as many."""
_FEWEST, _SPAN = 20, 200
"""So many different numbers, over so many units, have one above 59 where minutes or seconds would be if they were
digits of a time of day, and are none."""


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


def time_reader(
    columns: Sequence[tuple[str, Sequence[str]]],
    options: ReadOptions | None = None,
    context: TimeContext | None = None,
    farther: Sequence[Sequence[str]] = (),
) -> TimeReader:
    """Find out how times are written, from a file's first rows: each column's name and cells, of one column or of
    those that belong together, in any order (date, time of day, fraction of a second, offset or zone). `farther`:
    rows of them from further on in the file, where dates may tell day from month. Raises Ambiguous where two
    readings fit, UnusableSource where none does."""
    rest = list(zip(*farther, strict=True)) or [()] * len(columns)
    made = [TimeColumn.of(name, cells, more) for (name, cells), more in zip(columns, rest, strict=True)]
    for column in made:
        if not column.texts:
            raise UnusableSource(f"every cell of its column of times, {column.name}, is empty")
    finder = _Finder(made, options or ReadOptions(), context or TimeContext())
    return finder.of_one(made[0]) if len(made) == 1 else finder.of_several()


def is_time(text: str) -> bool:
    """Whether a cell is a date, a time of day, both, or a number that counts from 1970 to a time after 1990."""
    bare = text.strip()
    if NUMERAL.fullmatch(bare):
        return is_modern(bare) or is_digit_date(bare)
    return MOMENT.fullmatch(bare) is not None or _is_time_of_day(bare)


class _Zoned(NamedTuple):
    """By which zone times are read, and who says so."""

    local: ZoneClock
    name: str
    source: str
    rule: Zone | None

    def reader(self, read: Callable[[Sequence[str]], int], unit: str, guesses: list[Guess]) -> TimeReader:
        return TimeReader(read, unit, self.name, self.source, self.rule, guesses)


class _Finder:
    """Finds the reader of one file's times."""

    def __init__(self, columns: Sequence[TimeColumn], options: ReadOptions, context: TimeContext) -> None:
        self._columns = columns
        self._context = context
        self._zone_option = options.zone
        self._order_option = next((ORDERS[word] for word in options.order.split(",") if word in ORDERS), "")
        self._guesses: list[Guess] = []

    def of_one(self, column: TimeColumn) -> TimeReader:
        """The reader of a single column."""
        if self._context.unit:
            unit = UNITS[self._context.unit]
            return self._of_day(column, unit) if unit in SINCE_MIDNIGHT else self._counted(column, unit)
        if column.mostly(NUMERAL.fullmatch):
            return self._numeric(column)
        if column.mostly(MOMENT.fullmatch):
            return self._moments(column)
        if column.mostly(_is_time_of_day):
            return self._of_day(column)
        raise _no_times(column)

    def of_several(self) -> TimeReader:
        """The reader of a date and a time of day, with a fraction of a second or an offset beside them."""
        name = " and ".join(column.name for column in self._columns)
        roles = self._roles(name)
        dated, clocked, offset = roles.get("date") or roles.get("moment"), roles.get("clock"), roles.get("offset")
        if dated is None or (clocked is None and "moment" not in roles):
            raise UnusableSource(f"its columns of times, {name}, have no {'times of day' if dated else 'dates'}")
        matches = _matches(dated)
        zones = _zones_of(clocked) if clocked else [match["zone"] for match in matches]
        if any(zones) or any(column.zone for column in (dated, clocked) if column):
            offset = None
        if offset is not None:
            zones = [suffix(text) for text in offset.texts]
        wall, zoned = self._wall(dated, zones, {match["date"] for match in matches})
        unit = "date and time of day"
        if clocked is not None:
            make, clock_unit = self._clock(clocked)
            at, unit = make(wall), f"date and {clock_unit}"
            place, clock_place = self._columns.index(dated), self._columns.index(clocked)

            def clock_read(cells: Sequence[str], behind: str = "") -> int:
                return at(cells[place], cells[clock_place] + behind if behind else cells[clock_place])

        else:
            place = self._columns.index(dated)

            def clock_read(cells: Sequence[str], behind: str = "") -> int:
                return wall.in_full(cells[place] + behind)

        read = self._with_more(clock_read, offset, roles.get("fraction"))
        return tried(zoned.reader(read, _ordered(unit, wall), self._guesses), self._columns, zoned.local)

    # One column

    def _numeric(self, column: TimeColumn) -> TimeReader:
        day = self._context.day
        # 2025010209 is an hour of 2025 and a second of 2034: only if all are hours.
        if column.mostly(is_digit_date) and (len(column.texts[0]) != 10 or all(map(is_digit_date, column.texts))):
            return self._digits(column)
        if column.mostly(is_modern):
            return self._counted(column, _unit(column))
        if day is not None and not column.mostly(lambda text: is_excel(text, day)):
            return self._of_day(column)
        if is_excel_column(column.texts):
            zoned, read = self._zone(), excel_reader(column.cells)
            utc = zoned.local.utc
            made = zoned.reader(lambda cells: utc(read(cells[0])), days_of(column.texts), self._guesses)
            return tried(made, self._columns, zoned.local)
        if column.mostly(is_of_day):
            raise _no_date(column)
        if all(len(text) == 12 and is_digit_date(f"20{text}") for text in column.texts):
            raise UnusableSource(
                f"its column of times, {column.name}: {shown(column.texts[0])} is a date whose year has two digits, "
                "or milliseconds since 1970: write the year with four"
            )
        return self._counted(column, _unit(column))

    def _counted(self, column: TimeColumn, unit: Count) -> TimeReader:
        read = unit.reader(column.cells)
        return tried(TimeReader(lambda cells: read(cells[0]), unit.unit), self._columns)

    def _digits(self, column: TimeColumn) -> TimeReader:
        """A date and time without anything between, such as 20241103013000."""
        wall, zoned = self._wall(column, [])
        at = fast(wall, [text[8:] for text in column.texts])
        made = zoned.reader(lambda cells: at(cells[0][:8], cells[0][8:]), "digits of a date", self._guesses)
        return tried(made, self._columns, zoned.local)

    def _moments(self, column: TimeColumn) -> TimeReader:
        """A date, or a date and a time of day, in one text."""
        found = [match for text in column.texts if (match := MOMENT.fullmatch(text))]
        mark = Counter(match["mark"] or "" for match in found).most_common(1)[0][0]
        one_mark = mark != "" and not any(mark in match["date"] for match in found)
        if one_mark:
            texts = {cell.partition(mark)[0] for cells in (column.cells, column.farther) for cell in cells}
        else:
            texts = {match["date"] for match in _matches(column)}
        wall, zoned = self._wall(column, [match["zone"] for match in found if match["clock"]], texts)
        at = fast(wall, [text.partition(mark)[2] for text in column.texts]) if one_mark else wall.at

        def in_full(cells: Sequence[str]) -> int:
            return wall.in_full(cells[0])

        def read(cells: Sequence[str]) -> int:
            day, _, clock = cells[0].partition(mark)
            try:
                return at(day, clock)
            except ValueError:
                return wall.in_full(cells[0])

        unit = _ordered("date and time of day" if mark else "date", wall)
        made = zoned.reader(read if one_mark else in_full, unit, self._guesses)
        return tried(made, self._columns, zoned.local)

    def _of_day(self, column: TimeColumn, unit: Count | None = None) -> TimeReader:
        """Times of day, with the date in the file's name."""
        if self._context.day is None:
            raise _no_date(column)
        day = self._context.day.isoformat()
        make, unit_name = self._clock(column, unit)
        wall, zoned = self._wall(column, _zones_of(column))
        at = make(wall)
        made = zoned.reader(lambda cells: at(day, cells[0]), f"{unit_name}, date from the name", self._guesses)
        return tried(made, self._columns, zoned.local)

    # Several columns

    def _roles(self, name: str) -> dict[str, TimeColumn]:
        """Which column is what. Raises UnusableSource where two are the same."""
        roles: dict[str, TimeColumn] = {}
        for column in self._columns:
            role = column.role
            if role == "moment" and column.mostly(is_midnight):
                role = "date"
            elif role == "clock" and "clock" in roles:
                role = "fraction"
            if role in roles:
                raise UnusableSource(f"two of its columns of times, {name}, seem to be a {role}")
            roles[role] = column
        return roles

    def _with_more(
        self, read: Callable[..., int], offset: TimeColumn | None, fraction: TimeColumn | None
    ) -> Callable[[Sequence[str]], int]:
        """What reads a row with an offset or a fraction of a second beside the rest."""
        if offset is not None:
            place, bare = self._columns.index(offset), read

            def read(cells: Sequence[str]) -> int:
                return bare(cells, suffix(cells[place]))

        if fraction is not None:
            fraction_place, whole, part = self._columns.index(fraction), read, fraction.fraction()
            return lambda cells: whole(cells) + part(cells[fraction_place])
        return read

    # What they share

    def _clock(self, column: TimeColumn, unit: Count | None = None) -> tuple[Callable[[Wall], At], str]:
        """What reads a column's times of day behind a date, once there is a Wall; and how they are written."""
        if unit is None and not column.mostly(NUMERAL.fullmatch):
            return lambda wall: fast(wall, column.texts), "time of day"
        unit = unit or self._since_midnight(column)
        if unit is not None:
            read = unit.reader(column.cells)
            return lambda wall: lambda day, text: wall.local(wall.day_of(day) * DAY + read(text)), unit.unit
        width, digits = _padded(column.texts)

        def make(wall: Wall) -> At:
            at = fast(wall, digits)
            return lambda day, text: at(day, text.zfill(width) if text.isdigit() else text)

        return make, "time of day"

    def _since_midnight(self, column: TimeColumn) -> Count | None:
        """The unit in which numbers count from midnight; None where they are digits of a time of day."""
        values = as_floats(column.cells)
        width, digits = _padded(column.texts)
        clock_like = sum(map(is_clock, digits)) >= len(digits) - most_bad(len(digits)) / 2
        units = [unit for unit in SINCE_MIDNIGHT if all(map(unit.holds, values))]
        rivals = [unit for unit in units if _SCALES.get(width) == unit.power]
        if not clock_like or (rivals and not all(map(is_clock, digits))):
            return self._coarsest(column, units)
        few = len(set(values)) < _FEWEST
        if units and not any(map(is_padded_clock, column.texts)):
            guess = self._numbers(column, "digits of a time of day", (rivals or units)[0].unit)
            narrow = few or max(values) - min(values) < _SPAN * 10 ** (6 - rivals[0].power) if rivals else False
            if narrow and not _goes_by_minutes(values):
                raise Ambiguous(guess)
            if few:
                self._guesses.append(guess)
        return None

    def _coarsest(self, column: TimeColumn, units: Sequence[Count]) -> Count:
        """The coarsest of some units, with a guess if the numbers are whole: they may be of the next one as well, in
        a file that ends a minute after midnight."""
        if not units:
            raise _no_times(column)
        if len(units) > 1 and not any("." in text or "," in text for text in column.texts):
            self._guesses.append(self._numbers(column, units[0].unit, units[1].unit))
        return units[0]

    def _numbers(self, column: TimeColumn, taken: str, other: str) -> Guess:
        what = f"{shown(column.texts[0])} in the column {column.name}"
        return Guess(what, taken, other, "FORMAT= with the vendor's name")

    def _wall(
        self, column: TimeColumn, zones: Sequence[str | None], texts: Collection[str] = ()
    ) -> tuple[Wall, _Zoned]:
        """What reads dates and times of day. `zones`: those that cells state, `texts`: all dates of the column."""
        order = DateOrder(column.name, [text.strip() for text in texts], self._order_option)
        if order.guess is not None:
            self._guesses.append(order.guess)
        word = Counter(zones).most_common(1)[0][0] if zones else None
        if word and is_zone(word) and not (self._zone_option and is_abbreviation(word)):
            zone = zone_named(word)
            same = len({zone_named(each).name for each in zones if each and is_zone(each)}) == 1
            name = zone.name if same else "as each time states"
            rule = None if zone.fixed else zone
            self._guess_winter(zone if same else None)
            zoned = _Zoned(ZoneClock(rule or UTC_ZONE), name, "the times", rule)
            return Wall(order, zoned.local, rule.name if rule else "offset", self._zone_option != ""), zoned
        if word and not self._zone_option:
            raise UnusableSource(
                f"its times, in the column {column.name}, state the zone {shown(word)}, which is the name of several "
                "or of none: ZONE=America/Chicago, for example, says which is meant"
            )
        zoned = self._zone()
        return Wall(order, zoned.local, "", self._zone_option != ""), zoned

    def _zone(self) -> _Zoned:
        """The zone of times that state none."""
        named = next((column for column in self._columns if column.zone), None)
        if self._zone_option:
            zone, source = zone_named(self._zone_option), "ZONE="
        elif named is not None and named.zone is not None:
            zone, source = named.zone, f"the column's name, {named.name}"
            self._guess_winter(zone)
        elif self._context.zone:
            zone, source = zone_named(self._context.zone), self._context.zone_from
        else:
            zone, source = UTC_ZONE, ""
            guess = Guess("the zone of its times", "UTC", "that of the market", "ZONE=America/New_York, for example,")
            self._guesses.append(guess)
        return _Zoned(ZoneClock(zone), zone.name, source, zone)

    def _guess_winter(self, zone: Zone | None) -> None:
        """Say that a zone such as EST is taken for what it means."""
        if zone is not None and zone.name in IN_SUMMER:
            other = IN_SUMMER[zone.name]
            taken = f"{zone.name} all the year round"
            self._guesses.append(Guess("the zone of its times", taken, f"{other}, with its summer", f"ZONE={other}"))


def _unit(column: TimeColumn) -> Count:
    """The unit of most numbers of a column. Raises UnusableSource where more than a few have another."""
    values = as_floats(column.cells)
    for unit in SINCE_1970:
        if values and unit.holds(min(values)) and unit.holds(max(values)):
            return unit
    held = Counter(unit.unit for value in values for unit in SINCE_1970 if unit.holds(value))
    if not held:
        raise _no_times(column)
    (name, _), *others = held.most_common(2)
    if others and others[0][1] > most_bad(len(values)):
        raise UnusableSource(
            f"its column of times, {column.name}, is partly in {name} and partly in {others[0][0]}: split the file"
        )
    return UNITS[name]


def _matches(column: TimeColumn) -> list["re.Match[str]"]:
    """The dates in a column's different cells."""
    texts = {*column.cells, *column.farther}
    return [match for text in texts if (match := MOMENT.fullmatch(text.strip()))]


def _goes_by_minutes(values: Sequence[float]) -> bool:
    """Whether numbers such as 1459 and 1500 are as far apart, as hours and minutes, as all others are."""
    steps = {abs(after - before) for before, after in pairwise(values)} - {0}
    return len(steps) == 2 and max(steps) - min(steps) == 40 and 60 % min(steps) == 0


def _padded(texts: Sequence[str]) -> tuple[int, list[str]]:
    """How many digits times of day without colons have, and the texts with their leading zeros."""
    whole = [text.replace(",", ".").partition(".")[0] for text in texts]
    width = clocks.digits_width(max(map(len, whole)))
    return width, [text.zfill(width + len(text) - len(part)) for text, part in zip(texts, whole, strict=True)]


def _is_time_of_day(text: str) -> bool:
    """Whether a text that is no number is a time of day. 2025-01 is none, though 20:25 with an offset is one."""
    return not text[:4].isdigit() and CLOCK.fullmatch(text) is not None


def _zones_of(column: TimeColumn) -> list[str | None]:
    return [match["zone"] for text in column.texts if (match := CLOCK.fullmatch(text))]


def _ordered(unit: str, wall: Wall) -> str:
    return f"{unit}, {wall.order}" if wall.order else unit


def _no_times(column: TimeColumn) -> UnusableSource:
    return UnusableSource(f"its column of times, {column.name}: {shown(column.texts[0])} is no time")


def _no_date(column: TimeColumn) -> UnusableSource:
    return UnusableSource(
        f"its column of times, {column.name}, has times of day such as {shown(column.texts[0])}, and no date: write "
        "it into the file's name, as 2025-01-02"
    )
