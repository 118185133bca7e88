"""Times of day as files spell them."""

import re

from cottage.files.cells.zones import DAY, HOUR, SECOND

SPELLINGS = (
    r"\d{1,2}:\d{2}(?::\d{2}(?:[.,:]\d{1,9})?)?(?:\s*[AaPp]\.?\s?[Mm]\b\.?)?"
    r"|\d{1,2}[- ]?[AaPp][Mm]\b"
    r"|\d{6}[., ]\d{1,9}|\d{6,15}|\d{4}|\d{2}(?!\d)"
)
"""A pattern of every time of day that clock_of may read."""
_COLONS = re.compile(
    r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,:](\d{1,9}))?)?(?:\s*([ap])\.?\s?m\.?)?", re.ASCII | re.IGNORECASE
)
_HOUR = re.compile(r"(\d{1,2})()()()[- ]?([ap])m", re.ASCII | re.IGNORECASE)
_DIGITS = re.compile(r"(\d{2})(?:(\d{2})(?:(\d{2})(?:[., ]?(\d{1,9}))?)?)?()", re.ASCII)
_SHAPES = (_COLONS, _HOUR, _DIGITS)


def clock_of(text: str) -> int:
    """The time of day of a text, in microseconds since midnight: `9:30`, `09:30:00.123`, `9:30 AM`, `11-AM`, `0930`,
    `093000123`. Digits beyond microseconds are cut off; 24:00 is a whole day. Raises ValueError."""
    for shape in _SHAPES:
        if (found := shape.fullmatch(text)) is not None:
            break
    else:
        raise ValueError("is no time of day")
    hour, minute, second = int(found[1]), int(found[2] or 0), int(found[3] or 0)
    fraction = int((found[4] or "0")[:6].ljust(6, "0"))
    if found[5]:
        if hour > 12:
            raise ValueError("has an hour above 12 beside AM or PM")
        hour = hour % 12 + 12 * (found[5] in "Pp")
    if minute > 59 or second > 59 or hour > 24:
        raise ValueError("is no time of day")
    micros = hour * HOUR + (minute * 60 + second) * SECOND + fraction
    if micros > DAY:
        raise ValueError("is no time of day")
    return micros


def digits_width(lengths: int) -> int:
    """How many digits a column of times without colons has, the longest of which has `lengths`: spreadsheets take the
    leading zeros away."""
    return next((width for width in (4, 6, 9, 12, 15) if lengths <= width), lengths)
