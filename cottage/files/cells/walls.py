"""Reads dates with times of day, as clocks on a wall show them, into moments. times.py finds out how a file has
them."""

import re
from collections import Counter
from collections.abc import Callable, Sequence

from cottage.errors import UnusableSource
from cottage.files.cells import clocks, dates
from cottage.files.cells.dates import DateOrder
from cottage.files.cells.zones import DAY, SECOND, Zone, ZoneClock, is_abbreviation, zone_named

_ZONE = r"(?P<zone>[A-Za-z+\u2212-].*?)"
MOMENT = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?\s+)?"
    rf"(?P<date>{dates.SPELLINGS})"
    rf"(?:(?P<mark>,?\s+|[TD_,;:-])(?P<clock>{clocks.SPELLINGS})\s*{_ZONE}?(?:\s*\(.*\))?)?",
    re.ASCII,
)
"""A date, or a date and a time of day, with a zone or without."""
CLOCK = re.compile(rf"(?P<clock>{clocks.SPELLINGS})\s*{_ZONE}?(?:\s*\(.*\))?", re.ASCII)
"""A time of day, with a zone or without."""
_MOST_CLOCKS = 200_000
"""So many times of day are remembered: each second of a day with two offsets from UTC."""
_SCALE = tuple(10 ** max(6 - digits, 0) for digits in range(10))

_WHOLE_SECONDS = re.compile(r"(\d{1,2}:\d{2}:\d{2})([.,])\d{1,9}|(\d{6})()\d{1,9}", re.ASCII)
At = Callable[[str, str], int]
"""What reads a date and what is behind it into a moment, in microseconds since 1970. It raises ValueError."""


def is_date(text: str) -> bool:
    """Whether a cell is a date alone, without a time of day."""
    found = MOMENT.fullmatch(text)
    return found is not None and found["clock"] is None


class Wall:
    """Reads dates and times of day, with a zone in the cells or one for all."""

    def __init__(self, order: DateOrder, local: ZoneClock, stated: str, labels: bool) -> None:
        """`stated`: what the cells state, `offset` from UTC, the name of a zone, or nothing. `labels`: words that
        name no known zone stand for the zone of all."""
        self._order = order
        self._local = local
        self._stated = stated
        self._labels = labels
        self._dates: dict[str, int] = {}
        self._clocks: dict[str, int] = {}
        self._days: dict[str, int] = {}

    @property
    def order(self) -> str:
        """What the numbers of its dates are, for people: `day first`; empty where the year is first."""
        return self._order.word

    def at(self, day: str, clock: str) -> int:
        """The moment of a date and of what is behind it. Raises ValueError."""
        try:
            return self._dates[day] + self._clocks[clock]
        except KeyError:
            return self._slowly(day, clock)

    def in_full(self, text: str) -> int:
        """The moment of a date and a time of day in one text, or of a date alone. Raises ValueError."""
        found = MOMENT.fullmatch(text.strip())
        if found is None:
            raise ValueError("is no date and time")
        return self.at(found["date"], f"{found['clock'] or ''}{found['zone'] or ''}")

    def at_fraction(self, day: str, head: str, digits: str, suffix: str) -> int:
        """The same, of a time of day to the second, the digits of its fraction, and what is behind them."""
        if not (digits.isdigit() and digits.isascii() and len(digits) < 10):
            raise ValueError("is no time")
        fraction = int(digits) * _SCALE[len(digits)] if len(digits) <= 6 else int(digits[:6])
        try:
            return self._dates[day] + self._clocks[head + suffix] + fraction
        except KeyError:
            return self._at_second(day, head, suffix) + fraction

    def _at_second(self, day: str, head: str, suffix: str) -> int:
        """The moment of a second, from that of its minute: most rows are of another second than those before."""
        second = head[-2:]
        if not (second.isdigit() and second.isascii() and second < "60"):
            return self.at(day, head + suffix)
        minute, micros = f"{head[:-2]}00{suffix}", int(second) * SECOND
        time = self.at(day, minute) + micros
        if minute in self._clocks and len(self._clocks) < _MOST_CLOCKS:
            self._clocks[head + suffix] = self._clocks[minute] + micros
        return time

    def day_of(self, text: str) -> int:
        """The day of a date, counted from 1970. A time of day behind it has to be midnight."""
        if (day := self._days.get(text)) is None:
            found = MOMENT.fullmatch(text.strip())
            if found is None or (found["clock"] and clocks.clock_of(found["clock"]) != 0):
                raise ValueError("is no date")
            day = self._days[text] = self._order.day_of(found["date"])
        return day

    def local(self, local: int) -> int:
        """The moment of a local time in the zone for all."""
        return self._local.utc(local)

    def _zone(self, word: str) -> Zone | None:
        """The zone of a word in a cell; None where a zone is stated for the file, and the word no more than a
        label."""
        if self._labels and is_abbreviation(word):
            return None
        try:
            return zone_named(word)
        except UnusableSource:
            if self._labels:
                return None
            raise ValueError("states a zone of no known name") from None

    def _slowly(self, day_text: str, clock_text: str) -> int:
        day = self.day_of(day_text)
        found = CLOCK.fullmatch(clock_text.strip()) if clock_text else None
        if clock_text and found is None:
            raise ValueError("is no time of day")
        micros = clocks.clock_of(found["clock"]) if found else 0
        zone = self._zone(found["zone"]) if found and found["zone"] else None
        if zone is None and self._stated:
            raise ValueError("states no zone, unlike the others")
        remember = micros < DAY and len(self._clocks) < _MOST_CLOCKS
        if zone is not None and zone.fixed:
            offset = zone.offset
            if self._stated == "offset" and remember and day:
                self._dates[day_text] = day * DAY
                self._clocks[clock_text] = micros - offset
            return _since_1970(day * DAY + micros - offset)
        if zone is not None and zone != self._local.zone:
            return _since_1970(ZoneClock(zone).utc(day * DAY + micros))
        constant = self._local.offset_of_day(day)
        if constant is not None and remember and day:
            self._dates[day_text] = day * DAY - constant
            self._clocks[clock_text] = micros
        return _since_1970(self._local.utc(day * DAY + micros))


def _since_1970(micros: int) -> int:
    if micros < 0:
        raise ValueError("does not lie between 1970 and 2100")
    return micros


def fast(wall: Wall, texts: Sequence[str]) -> At:
    """What reads a date and a time of day, quickly where they look like most of `texts`."""
    shapes: Counter[tuple[str, str]] = Counter()
    for text in texts:
        found = CLOCK.fullmatch(text)
        clock = _WHOLE_SECONDS.fullmatch(found["clock"]) if found else None
        if found and clock:
            shapes[clock[2] or "", text[found.end("clock") :]] += 1
    if 2 * shapes.total() <= len(texts):
        return wall.at
    (mark, suffix), _ = shapes.most_common(1)[0]
    behind = len(suffix)

    def at(day: str, clock: str) -> int:
        if clock.endswith(suffix):
            bare = clock[: len(clock) - behind]
            head, _, digits = bare.partition(mark) if mark else (bare[:6], "", bare[6:])
            if digits and len(head) > 5:
                return wall.at_fraction(day, head, digits, suffix)
        return wall.at(day, clock)

    return at
