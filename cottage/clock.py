"""Clocks, which are passed in so that tests need not wait; ticks at regular times; times as text."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from cottage.errors import InvalidMessage

FUTURE_SECONDS = 60.0
"""How far ahead of Redis's clock the timestamp of a snapshot may lie before it is refused."""
AHEAD_SECONDS = 1.0
"""How far ahead of Redis's clock the timestamp of a state may seem to lie, by two looks at that clock."""
LATEST_SECONDS = 253_402_300_799.0  # 9999-12-31T23:59:59Z, the last that RFC 3339 can write


class Clock(Protocol):
    def time(self) -> float:
        """Seconds since 1970, UTC; may jump."""

    def monotonic(self) -> float:
        """Seconds since some start; never goes back, and goes on while the machine is suspended where it can."""

    async def sleep(self, seconds: float) -> None: ...


# On Linux the usual monotonic clock stands still while the machine is suspended, and nothing would age meanwhile.
monotonic: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)
"""The clock by which ages are carried on, in seconds."""


class SystemClock:
    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class RemoteClock:
    """The clock of another machine, estimated from its messages and answers, so that all ages are by one clock.

    A message may have been on its way for any time, so it proves only that the clock is at least where it says. The
    answer to a question of our own was given between question and answer, so it proves both sides, and only answers
    show that the clock was set. Meanwhile our monotonic clock (`now` in all methods, in seconds) carries it on.
    The estimate is the latest time that the clock may show, so that nothing looks younger than it is.
    """

    DOUBT_SECONDS = 1.0
    """A message whose time differs by more from what is possible is late, or the clock was set: ask."""
    STEP_SECONDS = 0.25
    """By so much an answer must contradict what was possible to be called a step of the clock."""
    DRIFT = 1e-3
    """By how many seconds per second two clocks may drift apart; a crystal drifts at most a tenth of that."""

    def __init__(self) -> None:
        self._earliest = self._latest = 0.0
        """Between these lies the difference between the other clock and the local monotonic clock."""
        self._asked = False
        """Whether `_latest` is known: only an answer tells it."""
        self._observed_at = 0.0
        self._sent = -math.inf
        """When the newest question was asked that has been answered."""
        self.known = False
        self.confirmed_at = -math.inf
        """When the last answer came, by our monotonic clock."""

    def heard(self, time: float, now: float) -> bool:
        """A message carried this `time` (seconds since 1970). Returns whether it contradicts what is known, so that
        the other side should be asked; then it changes nothing."""
        offset = time - now
        if not self.known:
            self._set(offset, offset, now, asked=False)
            return False
        drift = self.DRIFT * (now - self._observed_at)
        if self._asked and offset > self._latest + drift + self.DOUBT_SECONDS:
            return True
        self._earliest = max(self._earliest - drift, offset)
        self._latest = max(self._latest, self._earliest) if self._asked else self._earliest
        self._observed_at = now
        return offset < self._latest - self.DOUBT_SECONDS

    def answered(self, time: float, sent: float, now: float) -> float:
        """What was asked at `sent` was answered with this `time`. Returns by how many seconds the clock was set since
        the last answer, negative for back; 0.0 if it was not, or if a later question has been answered already."""
        if sent < self._sent:
            return 0.0
        self._sent = sent
        earliest, latest = time - now, time - sent
        drift = self.DRIFT * (now - self._observed_at)
        back = self.known and latest < self._earliest - drift - self.STEP_SECONDS
        forward = self._asked and earliest > self._latest + drift + self.STEP_SECONDS
        step = (earliest + latest - self._earliest - self._latest) / 2 if back or forward else 0.0
        if self._asked and not step:
            earliest, latest = max(earliest, self._earliest - drift), min(latest, self._latest + drift)
        self._set(earliest, max(earliest, latest), now, asked=True)
        self.confirmed_at = now
        return step

    def _set(self, earliest: float, latest: float, now: float, *, asked: bool) -> None:
        self._earliest, self._latest, self._observed_at, self._asked = earliest, latest, now, asked
        self.known = True

    def now(self, now: float) -> float | None:
        """The other clock's time, in seconds since 1970; None before the first message."""
        return self._latest + now if self.known else None


def step_in_words(seconds: float) -> str:
    """A step of the clock as it is logged, such as "the clock went back by 3600 s". It is known no better than an
    answer is quick, so what is within 50 ms of whole seconds is told as these."""
    digits = 0 if abs(seconds - round(seconds)) < 0.05 else 2
    return f"the clock went {'back' if seconds < 0 else 'forward'} by {round(abs(seconds), digits):.8g} s"


def iso_millis(epoch_seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds and Z, as every message carries it."""
    millis = round(epoch_seconds * 1000)
    text = datetime.fromtimestamp(millis // 1000, UTC).isoformat()
    return f"{text[:19]}.{millis % 1000:03d}Z"


def iso_micros(epoch_seconds: float) -> str:
    """The same, with microseconds where these are no whole milliseconds."""
    seconds, micros = divmod(round(epoch_seconds * 1_000_000), 1_000_000)
    text = datetime.fromtimestamp(seconds, UTC).isoformat()
    return f"{text[:19]}.{micros:06d}Z" if micros % 1000 else f"{text[:19]}.{micros // 1000:03d}Z"


def from_iso(text: object) -> float:
    """Seconds since 1970 of an RFC 3339 time; InvalidMessage("timestamp") for anything else."""
    try:
        moment = datetime.fromisoformat(text)  # type: ignore[arg-type]  # a TypeError is caught
        if moment.tzinfo is None:
            raise ValueError("no time zone")
        return moment.timestamp()
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidMessage("timestamp", "not an RFC 3339 time with its zone") from error


@dataclass(frozen=True, slots=True)
class Tick:
    number: int
    lateness: float
    """By how many seconds it began after its due time."""
    skipped: int
    """Ticks before it that were left out, because their time had passed."""


async def ticks(interval: float, clock: Clock) -> AsyncIterator[Tick]:
    """Tick on a grid fixed at the start: a late tick delays no other, and a missed one is skipped, never doubled.

    `interval` is in seconds. The first tick comes at once.
    """
    start = clock.monotonic()
    number = 0
    while True:
        now = clock.monotonic()
        due = math.floor((now - start) / interval)
        skipped = max(0, due - number)
        number += skipped
        yield Tick(number, max(0.0, now - start - number * interval), skipped)
        number += 1
        await clock.sleep(max(0.0, start + number * interval - clock.monotonic()))
