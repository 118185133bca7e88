"""The zones of times in files: how their names are spelled, and local times as moments in UTC.

A local time that the clocks skip in spring is no moment. One that they show twice in autumn is settled by the order
of the rows around it, or is none either."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cottage.errors import MissingExtra, UnusableSource

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1)

_OFFSET = re.compile(
    r"(?:UTC|GMT)?\s*([-+\u2212])(\d{1,2})(?::?(\d{2}))?(?::00)?(?:\[.*\]|\s+[A-Z]{2,5})?", re.ASCII | re.IGNORECASE
)
_FARTHEST = timedelta(hours=16)
_HOURS = (
    (0, "Z UTC GMT UT ZULU Z[UTC] Z[GMT] ETC/UTC ETC/GMT WET"),
    (1, "CET MEZ WEST"),
    (2, "CEST MESZ EET"),
    (3, "EEST MSK"),
    (8, "HKT"),
    (9, "JST"),
    (-4, "EDT"),
    (-5, "EST CDT"),
    (-6, "MDT"),
    (-7, "MST PDT"),
    (-8, "PST"),
)
_FIXED = {name: hours for hours, names in _HOURS for name in names.split()}
"""Names of hours from UTC, whatever the date. CST, IST and BST are left out: each is the name of two zones or
more."""
IN_SUMMER = {
    "EST": "America/New_York",
    "MST": "America/Denver",
    "PST": "America/Los_Angeles",
    "CET": "Europe/Berlin",
    "MEZ": "Europe/Berlin",
    "EET": "Europe/Athens",
}
"""Names of winter's hours, which people write all the year round, and the zone that they may mean by them."""
_RULES = {"ET": "America/New_York", "NEW YORK": "America/New_York", "LONDON": "Europe/London"}
_ABBREVIATION = re.compile(r"[A-Za-z]{2,5}")
_NEAR, _FARTHEST_NEAR = 10 * MINUTE, 30 * MINUTE
"""So near to the row before, a row goes on from there: it is not one of an hour later."""
_BACK = MINUTE
"""By more than this a time goes back when the clocks are set back. By less, rows are out of order."""


class Zone:
    """What the clocks of a place show. The same for all readers of files; ZoneClock reads with one."""

    def __init__(self, name: str, rule: tzinfo) -> None:
        self.name = name
        self.rule = rule
        self.fixed = isinstance(rule, timezone)
        """Whether its clocks are never changed."""
        self.offset = self.offsets(0)[0]
        """What is to be subtracted from a local time, in microseconds, if they are not."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Zone) and (self.name == other.name or (self.fixed and self.rule == other.rule))

    def __hash__(self) -> int:
        return hash(self.rule if self.fixed else self.name)

    def offsets(self, local: int) -> tuple[int, int]:
        """What is to be subtracted from a local time, in microseconds, by its first reading and by its second. They
        differ within an hour that is skipped (the second is larger) or shown twice (the first is larger)."""
        moment = EPOCH + timedelta(microseconds=local)
        first = moment.replace(tzinfo=self.rule).utcoffset()
        second = moment.replace(tzinfo=self.rule, fold=1).utcoffset()
        assert first is not None
        assert second is not None
        return first // timedelta(microseconds=1), second // timedelta(microseconds=1)

    def offset_of_day(self, day: int) -> int | None:
        """What is to be subtracted from each local time of a day, counted from 1970; None where it changes within."""
        found = {*self.offsets(day * DAY), *self.offsets((day + 1) * DAY)}
        return found.pop() if len(found) == 1 else None


UTC_ZONE = Zone("UTC", UTC)


class ZoneClock:
    """Turns the local times of one file's rows, in their order, into moments in UTC. Each reader of times has one."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self._sign = 1
        self._near: float = _NEAR
        self._before: int | None = None
        """The local time of the row before, if it was a moment."""
        self._turned = False
        """Whether the clocks have been set back, or forth where rows are newest first, since the repeated hour
        began."""
        self._day_offsets: dict[int, int | None] = {}

    @property
    def changes(self) -> bool:
        """Whether a day was read on which the clocks are changed."""
        return None in self._day_offsets.values()

    def follow(self, newest_first: bool, step: float) -> None:
        """Start again, with rows in this order, mostly `step` microseconds apart."""
        self._sign = -1 if newest_first else 1
        self._near = max(_NEAR, min(1.5 * step, _FARTHEST_NEAR))
        self._before = None

    def offset_of_day(self, day: int) -> int | None:
        """Zone.offset_of_day, remembered."""
        if day not in self._day_offsets:
            self._day_offsets[day] = self.zone.offset_of_day(day)
        return self._day_offsets[day]

    def utc(self, local: int) -> int:
        """The moment of a local time, both in microseconds since 1970. Raises ValueError where there is none, or
        where one of two cannot be told."""
        offset = self.offset_of_day(local // DAY)
        if offset is not None:
            return local - offset
        first, second = self.zone.offsets(local)
        if first < second:
            raise ValueError(f"the clocks of {self.zone.name} skip that time")
        before, self._before = self._before, None
        if first == second:
            self._turned = False
        else:
            forward = None if before is None else (local - before) * self._sign
            turns = forward is not None and forward < -_BACK
            if forward is None or not -HOUR <= forward <= self._near or (turns and self._turned):
                raise ValueError(
                    f"the clocks of {self.zone.name} show that time twice, and the rows do not tell which"
                )
            self._turned = self._turned or turns
            first = first if self._turned is (self._sign < 0) else second
        self._before = local
        return local - first


@lru_cache(256)
def zone_named(text: str, where: str = "ZONE") -> Zone:
    """The zone of a name: `America/New_York`, `UTC`, `-05:00`, `GMT+0100`, `EST`. Raises UnusableSource, whose text
    begins with `where`."""
    bare = text.strip()
    if (offset := _OFFSET.fullmatch(bare)) is not None:
        sign = 1 if offset[1] == "+" else -1
        distance = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        if distance <= _FARTHEST:
            minutes = distance // timedelta(minutes=1)
            name = f"{'+' if sign > 0 else '-'}{minutes // 60:02}:{minutes % 60:02}" if minutes else "UTC"
            return Zone(name, timezone(sign * distance))
    elif (hours := _FIXED.get(bare.upper())) is not None:
        return (
            UTC_ZONE if hours == 0 and bare.upper() != "WET" else Zone(bare.upper(), timezone(timedelta(hours=hours)))
        )
    elif (rule := _rule(_RULES.get(bare.upper(), bare))) is not None:
        return Zone(_RULES.get(bare.upper(), bare), rule)
    raise UnusableSource(f"{where}: {bare[:40]!r} is no zone: write one as America/New_York, UTC or -05:00")


def is_abbreviation(text: str) -> bool:
    """Whether a text abbreviates hours from UTC, such as `EST`."""
    return _FIXED.get(text.strip().upper(), 0) != 0


def is_zone(text: str) -> bool:
    """Whether a text names a zone, or seems to abbreviate one."""
    try:
        zone_named(text)
    except UnusableSource:
        return False
    return True


def _rule(name: str) -> tzinfo | None:
    if _ABBREVIATION.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    try:
        ZoneInfo("America/New_York")
    except ZoneInfoNotFoundError as error:
        raise MissingExtra(
            "this machine has no table of time zones: pip install 'curiosity-cottage[files]'"
        ) from error
    return None
