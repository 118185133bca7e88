"""Times and lengths of time as people type them on a command line. Pure."""

import argparse
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cottage.errors import HistoryRefusal
from cottage.record import history_span

_TIME_OF_DAY = re.compile(r"\d{1,2}:\d{2}(:\d{2}([.,]\d{1,6})?)?", re.ASCII)


def typed_moment(text: str, clock: Callable[[], float] = time.time) -> str:
    """A time as the API takes it, of RFC 3339, of one without a zone, which is UTC, of a time of day, which is the
    last such time in UTC that has passed, or of seconds since 1970. Raises ArgumentTypeError."""
    text = text.strip()
    try:
        if _TIME_OF_DAY.fullmatch(text):
            return _last(text, datetime.fromtimestamp(clock(), UTC)).isoformat()
        history_span.moment(told := _in_utc(text), "it")
        return told
    except (ValueError, HistoryRefusal) as error:
        raise argparse.ArgumentTypeError(
            "must be a time such as 14:31:07, 2025-12-21T14:31:07 (both UTC) or 2025-12-21T15:31:07+01:00"
        ) from error


def typed_duration(text: str) -> str:
    """A length of time as the API takes it. Raises ArgumentTypeError."""
    try:
        history_span.duration(text, "it")
    except HistoryRefusal as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _last(text: str, now: datetime) -> datetime:
    hour, _, rest = text.partition(":")
    moment = datetime.combine(now.date(), datetime.fromisoformat(f"2000-01-01T{int(hour):02d}:{rest}").time(), UTC)
    return moment if moment <= now else moment - timedelta(days=1)


def _in_utc(text: str) -> str:
    """A day or a time without a zone as one in UTC; anything else as it is."""
    if "-" not in text:
        return text
    moment = datetime.fromisoformat(text)
    return text if moment.tzinfo is not None else moment.replace(tzinfo=UTC).isoformat()
