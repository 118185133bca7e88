"""What a text that is no number seems to be, and what to write instead: for the messages of refused fields.

The parsers of snapshots and of recordings use it, where a number cannot be read.
"""

import contextlib
import math
import re
import unicodedata
from datetime import UTC, datetime
from functools import lru_cache

LONGEST = 64
"""Characters of a text that is looked at closely; the longest number that a float prints as is has 24."""

_NOTHING = frozenset({"none", "null", "nil", "nan", "na", "n/a", "#n/a", "undefined", "missing", "-", "--", "–", "—"})
_QUOTED = re.compile(r"b?([\"'])(.*)\1")
_CURRENCY = re.compile(r"(?:[A-Z]{1,3}\s*(?=[-+.\d])|(?<=[.\d])\s*[A-Z]{3}$)")
_UNIT = re.compile(r"[-+]?[\d.]+\s*[^\W\d_]+")
_PLAIN = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_THOUSANDS = re.compile(r"[-+]?\d{1,3}([,'’_\s])(?:\d{2,3}\1)*\d{3}(?:\.\d*)?|[-+]?\d{1,3}(?:\.\d{3}){2,}")
_DECIMAL_COMMA = re.compile(r"[-+]?(?:\d*|\d{1,3}(?:[.'’_\s]\d{3})+),\d+")
_ONE_COMMA = re.compile(r"[-+]?\d{1,3},\d{3}")
_SEPARATORS = re.compile(r"[,'’_\s]")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\b.*")

_UNITS = (
    (1e11, 1e14, "milliseconds", "1,000"),
    (1e14, 1e17, "microseconds", "1,000,000"),
    (1e17, 1e20, "nanoseconds", "1,000,000,000"),
)
"""From which number on below which one a time seems to be in a unit, and by what it is to be divided."""
_QUARTER, _FARTHEST_ZONE = 900.0, 14 * 3600.0


@lru_cache(1024)
def _told(text: str) -> str:
    plain, beside = _number_within(text)
    if plain is None:
        alone = "write the number alone, in full" if _UNIT.fullmatch(text) else ""
        return f"is not a number{': ' if alone else ''}{alone}"
    instead = f"write {plain}"
    if _ONE_COMMA.fullmatch(text):
        instead += f", or {text.replace(',', '.')} if the comma is a decimal one"
    return f"is not a number: without {' and '.join(beside)} {instead}"


def not_a_number(text: str) -> str:
    """What is wrong with the text of a number, for a message: it is shown, and what to write instead is said."""
    if len(text) > LONGEST:
        return f"{_shown(text)} is not a number: it has {len(text)} characters"
    bare = text.strip()
    if not bare:
        return f"{_shown(text)} is not a number: leave the field out while there is no value"
    if bare.lower() in _NOTHING:
        return f"{_shown(text)} is not a number: leave the field out (HDEL) while there is no value"
    return f"{_shown(text)} {_told(bare)}"


def not_a_time(text: str) -> str:
    """The same of a timestamp, which counts the seconds since 1970."""
    bare = text.strip()[:LONGEST]
    try:
        moment = datetime.fromisoformat(bare)
        zone = "" if moment.tzinfo is not None else " if it is UTC"
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        seconds = f"{moment.timestamp():.6f}".rstrip("0").rstrip(".")
    except (ValueError, OverflowError):
        if _DATE.fullmatch(bare) or any(each.isalpha() for each in bare[:3]):
            return f"{_shown(text)} is not a number: write the seconds since 1970, such as 1703174400.25"
        return not_a_number(text)
    return f"{_shown(text)} is a date: write the seconds since 1970, {seconds}{zone}"


def too_far(time: float, ahead: float) -> str:
    """What a time that lies too far ahead seems to be. `ahead`: by how many seconds it does."""
    if 1e13 <= time < 1e14:
        with contextlib.suppress(ValueError):
            moment = datetime.strptime(f"{time:.0f}", "%Y%m%d%H%M%S").replace(tzinfo=UTC)
            return f": it looks like a date: write the seconds since 1970, {moment.timestamp():.0f} if it is UTC"
    for least, most, unit, divisor in _UNITS:
        if least <= time < most:
            return f": it looks like {unit}: divide by {divisor}"
    off = abs(ahead - _QUARTER * round(ahead / _QUARTER)) if math.isfinite(ahead) else math.inf
    if _QUARTER / 2 < ahead < _FARTHEST_ZONE + _QUARTER and off < 60:
        return ": it looks like local time: seconds since 1970 count in UTC"
    return ""


def _shown(text: str) -> str:
    """Its beginning in quotes, printable, in at most 60 characters."""
    shown = repr(text[:40])
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _number_within(text: str) -> tuple[str | None, list[str]]:
    """The number that a text seems to mean, None if it means none, and what there is beside it, in words."""
    beside = []

    def take(name: str, changed: str) -> str:
        if changed != text:
            beside.append(name)
        return changed

    if quoted := _QUOTED.fullmatch(text):
        text = take("quotes", quoted[2].strip())
    text = take("a typographic minus", text.replace("\N{MINUS SIGN}", "-"))
    text = take("digits of another script", "".join(str(unicodedata.digit(each, each)) for each in text))
    without_sign = "".join(each for each in text if unicodedata.category(each) != "Sc")
    text = take("a currency", _CURRENCY.sub("", without_sign).strip())
    text = take("a percent sign", text.removesuffix("%").strip())
    if _DECIMAL_COMMA.fullmatch(text) and not _ONE_COMMA.fullmatch(text):
        whole, _, part = text.rpartition(",")
        text = take("a decimal comma", f"{_SEPARATORS.sub('', whole).replace('.', '')}.{part}")
    elif _THOUSANDS.fullmatch(text):
        bare = _SEPARATORS.sub("", text)
        text = take("thousands separators", bare.replace(".", "") if bare.count(".") > 1 else bare)
    return (text, beside) if beside and _PLAIN.fullmatch(text) else (None, beside)
