"""Where a replay is in its recording, in words: `12:31:07 of 6 h 30, 38 %`. The source Replayed tells it."""

from datetime import UTC, datetime

SECOND = 1_000_000  # microseconds
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND


def place(first: int, newest: int, share: float) -> str:
    """The recorded time of the newest row, in UTC, with its date where the recording lasts for days; how long all of
    it is, if the share tells it; the share of the recording that has been read, from 0 to 1.

    first, newest: the recorded times of the first row and of the newest one, in microseconds since 1970."""
    length = round((newest - first) / share) if share > 0 else 0
    moment = datetime.fromtimestamp(newest // SECOND, UTC)
    time = f"{moment:%Y-%m-%d %H:%M:%S}" if length >= DAY else f"{moment:%H:%M:%S}"
    return f"{time} of {duration(length)}, {share:.0%}".replace("%", " %")


def duration(micros: int) -> str:
    """A time in two units at most: `2 d 3 h`, `6 h 30`, `12 min`, `50 s`."""
    if micros >= DAY:
        return f"{micros // DAY} d {micros % DAY // HOUR} h"
    if micros >= HOUR:
        return f"{micros // HOUR} h {micros % HOUR // MINUTE:02d}"
    return f"{micros // MINUTE} min" if micros >= MINUTE else f"{micros // SECOND} s"
