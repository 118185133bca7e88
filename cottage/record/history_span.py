"""What time a question to the record is about, and the buckets in it. Pure. Times are microseconds since 1970."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from cottage.errors import HistoryRefusal

MOST_POINTS = 5000
"""The most buckets of one symbol in one answer."""
USUAL_LAST = 3_600_000_000
"""What is answered where nobody says for what time: the last hour."""
_USUAL_POINTS = 1000
_SECOND = 1_000_000
_STEPS = tuple(seconds * _SECOND for seconds in (1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400, 604_800))
_SHORTEST, _LONGEST = 1000, 366 * 86_400 * _SECOND
_LATEST = 7_258_118_400 * _SECOND
_UNITS = {"": _SECOND, "ms": 1000, "s": _SECOND, "m": 60 * _SECOND, "h": 3600 * _SECOND, "d": 86_400 * _SECOND}
_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?", re.ASCII)
DURATION_PATTERN = r"^([0-9]{1,12}(\.[0-9]{1,6})?)(ms|s|m|h|d)?$"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def duration(text: str, name: str) -> int:
    """A length of time in microseconds: `90s`, `10m`, `1.5h`, `7d`, `250ms`, or a number of seconds. `name`: of the
    parameter, for the HistoryRefusal that is raised otherwise."""
    match = re.fullmatch(DURATION_PATTERN[1:-1], text, re.ASCII)
    if match is None:
        raise HistoryRefusal("bad_parameter", f"{name} must be a length of time such as 90s, 10m, 1h or 7d")
    micros = round(float(match[1]) * _UNITS[match[3] or ""])
    if not _SHORTEST <= micros <= _LONGEST:
        raise HistoryRefusal("bad_parameter", f"{name} must be from 1 ms to 366 days")
    return micros


def moment(text: str, name: str) -> int:
    """A time: RFC 3339 with its zone, or a number of seconds since 1970. See `duration` for `name`."""
    try:
        if _SECONDS.fullmatch(text):
            micros = round(float(text) * _SECOND)
        else:
            micros = (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)
    except (TypeError, ValueError, OverflowError) as error:  # TypeError: a time without its zone
        why = f"{name} must be a time with its zone such as 2025-12-21T14:31:07Z, or seconds since 1970"
        raise HistoryRefusal("bad_parameter", f"{why} (a + in a URL is %2B)") from error
    if not 0 <= micros <= _LATEST:
        raise HistoryRefusal("bad_parameter", f"{name} must lie between the years 1970 and 2200")
    return micros


@dataclass(frozen=True, slots=True)
class BucketGrid:
    """Buckets [begin + i · step, begin + (i + 1) · step), whose ends are whole steps since 1970."""

    begin: int
    step: int
    count: int

    @property
    def end(self) -> int:
        return self.begin + self.count * self.step


@dataclass(frozen=True, slots=True)
class HistorySpan:
    """The time that a question is about: between two times, or so long before the newest event."""

    since: int | None = None
    until: int | None = None
    last: int | None = None
    step: int | None = None
    """The length of a bucket, or else …"""
    points: int | None = None
    """… into how many buckets the time is divided, at most."""

    @classmethod
    def asked(
        cls,
        since: str | None,
        until: str | None,
        last: str | None,
        step: str | None = None,
        points: int | None = None,
    ) -> Self:
        """Read what was asked for: `from`, `to`, `last`, `step` and `points`. Raises HistoryRefusal."""
        span = cls(
            None if since is None else moment(since, "from"),
            None if until is None else moment(until, "to"),
            None if last is None else duration(last, "last"),
            None if step is None else duration(step, "step"),
            points,
        )
        if span.last is not None and (since is not None or until is not None):
            raise HistoryRefusal("bad_parameter", "last counts back from the newest event: leave out from and to")
        if span.since is not None and span.until is not None and span.since >= span.until:
            raise HistoryRefusal("bad_parameter", "from must be before to")
        timed = not (span.last is None and since is None and until is None)
        if span.step is not None and points is not None and timed:
            raise HistoryRefusal("bad_parameter", "step and points: give one of them")
        return span

    def between(self, newest: int) -> tuple[int, int]:
        """The time as [since, until), given the newest event."""
        if self.since is not None:
            return self.since, max(newest + 1, self.since + 1) if self.until is None else self.until
        if self.until is not None:
            return max(0, self.until - USUAL_LAST), self.until
        last = self.last
        if last is None:
            last = self.step * self.points if self.step and self.points else USUAL_LAST
        return max(0, newest + 1 - last), newest + 1

    def grid(self, newest: int) -> BucketGrid:
        """The buckets, given the newest event: whole ones, so the first and the last reach beyond the time asked for.
        What counts back from the newest event ends with the bucket that is running. Raises HistoryRefusal."""
        since, until = self.between(newest)
        is_counted_back = self.since is None and self.until is None
        step = self._step_of(since, until, is_counted_back)
        end = -(-until // step) * step
        begin = max(0, end - -(-(until - since) // step) * step) if is_counted_back else since // step * step
        count = (end - begin) // step
        if count > MOST_POINTS:
            detail = f"{count:,} points a symbol; at most {MOST_POINTS:,}: ask for a longer step or a shorter time"
            raise HistoryRefusal("too_many_points", detail)
        return BucketGrid(begin, step, count)

    def _step_of(self, since: int, until: int, is_counted_back: bool) -> int:
        span = until - since
        if self.step is not None:
            return self.step
        if self.points is None:
            return next((step for step in _STEPS if span <= step * _USUAL_POINTS), _whole(span / _USUAL_POINTS))
        step = _whole(span / self.points)
        beyond = 0 if is_counted_back else since % step
        return step if beyond + span <= step * self.points else _whole(span / max(self.points - 1, 1))


def _whole(micros: float) -> int:
    """Rounded up to whole milliseconds, in which times are told."""
    return max(1, math.ceil(micros / 1000)) * 1000
