"""Clocks, which are passed in so that tests need not wait; ticks at regular times; times as text."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from cottage.errors import InvalidMessage

FUTURE_SECONDS = 60.0
"""How far ahead of Redis's clock a timestamp or an epoch may lie before it is refused."""
LATEST_SECONDS = 253_402_300_799.0  # 9999-12-31T23:59:59Z, the last that RFC 3339 can write


class Clock(Protocol):
    def time(self) -> float:
        """Seconds since 1970, UTC; may jump."""

    def monotonic(self) -> float:
        """Seconds since some start; never goes back."""

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class RemoteClock:
    """The clock of another machine, estimated from its messages, so that all ages are by one clock.

    The time that it told last is carried on by our monotonic clock. A message that was long on its way must not set
    the clock back, or old values would look new; a larger step is believed, since that clock was set.
    """

    STEP_SECONDS = 10.0
    """A greater step back means that the clock was set, not that a message was late."""
    DRIFT = 1e-3
    """By how many seconds per second two clocks may drift apart; a crystal drifts at most a tenth of that."""

    def __init__(self) -> None:
        self._offset: float | None = None
        """The difference between the other clock and the local monotonic clock."""
        self._observed_at = 0.0
        self._trusted = False

    @property
    def known(self) -> bool:
        return self._offset is not None

    def distrust(self) -> None:
        """Accept the next observed time as it is, since it may be that of another machine."""
        self._trusted = False

    def observe(self, time: float, now: float) -> None:
        """A message carried this `time` (seconds since 1970). `now`: local monotonic time, here and below."""
        offset = time - now
        if self._trusted and self._offset is not None:
            kept = self._offset - self.DRIFT * (now - self._observed_at)
            if 0 < kept - offset < self.STEP_SECONDS:
                offset = kept
        self._offset, self._observed_at, self._trusted = offset, now, True

    def now(self, now: float) -> float | None:
        """The other clock's time, in seconds since 1970; None before the first message."""
        return None if self._offset is None else self._offset + now


def iso_millis(epoch_seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds and Z, as every message carries it."""
    millis = round(epoch_seconds * 1000)
    text = datetime.fromtimestamp(millis // 1000, UTC).isoformat()
    return f"{text[:19]}.{millis % 1000:03d}Z"


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
