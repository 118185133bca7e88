"""Which columns of a file without names are its times, and which its symbols; layout.py tells the others."""

import re
import time
from itertools import pairwise

from cottage.errors import UnusableSource
from cottage.files.cells.times import is_time
from cottage.files.cells.walls import is_date
from cottage.files.columns import Roles, words
from cottage.files.meaning.layout import Column, is_id
from cottage.files.meaning.sample import Excerpt

_DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_CLOCK = re.compile(r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?:\s*[AaPp][Mm])?")
_DIGITS = re.compile(r"(?:[01]?\d|2[0-3])[0-5]\d(?:[0-5]\d(?:\d{3})?)?")
_UNITS = (1e9, 1e6, 1e3, 1.0)
_FIRST_SECOND = 631_152_000  # 1990
_MIDNIGHTS = 86_400_000
_SYMBOL = re.compile(r"[A-Z0-9^][A-Za-z0-9./:_^-]{1,31}")
_SIDES = words("buy sell true false b s bid ask long short taker maker none")


def times_by_numbers(sample: Excerpt, has_day: bool, named: str | None) -> Roles:
    """The columns of time, and that of symbols, in a file without names. Raises UnusableSource where there is none.
    `has_day`: whether the file's name has a date, so that a time of day is enough."""
    roles = _written_times(sample) or _counted_times(sample) or (_midnight_times(sample) if has_day else {})
    if not roles:
        raise UnusableSource(
            f"{sample.name}: no names, and no column that could be its times, such as in {sample.first_line()}: "
            "state its columns, FORMAT=time,price,size or FORMAT=time,open,high,low,close,volume"
        )
    first_times = min(roles.values()), max(roles.values())
    for place in range(sample.width):
        examples = sample.examples(place)
        if place in roles.values() or not examples or sample.numbers(place) is not None:
            continue
        texts = set(examples)
        likely = place in (0, first_times[0] - 1, first_times[1] + 1) or named in texts
        if likely and all(_SYMBOL.fullmatch(text) and text.lower() not in _SIDES for text in texts):
            return roles | {"symbol": place}
    return roles


def _written_times(sample: Excerpt) -> Roles:
    """Columns of dates, of times of day, or of both."""
    kinds: dict[int, str] = {}
    for place in range(sample.width):
        examples = sample.examples(place)
        if examples and all(_CLOCK.fullmatch(text) for text in examples):
            kinds[place] = "clock"
        elif examples and all(_DATE.fullmatch(text) or (not text.isdigit() and is_date(text)) for text in examples):
            kinds[place] = "date"
        elif examples and sample.numbers(place) is None and all(map(is_time, examples)):
            kinds[place] = "time"
    dated = next((place for place, kind in kinds.items() if kind != "clock"), None)
    if dated is None:
        return {}
    for beside in (dated + 1, dated - 1):
        if kinds.get(beside) == "clock" or (kinds[dated] == "date" and _is_clock(sample, dated, beside)):
            return {"date": dated, "clock": beside}
    return {"time": dated}


def _is_clock(sample: Excerpt, date: int, place: int) -> bool:
    """Whether digits beside a date are a time of day: the same date is on more than one row, then."""
    if not 0 <= place < sample.width or len(set(sample.columns[date])) > len(sample.rows) / 2:
        return False
    return all(_DIGITS.fullmatch(text) for text in sample.examples(place))


def _counted_times(sample: Excerpt) -> Roles:
    """A column that counts from 1970, in the finest unit of those that fit; and a bar's end behind it."""
    latest = time.time() + 366 * 86_400
    for unit in _UNITS:
        fits = [
            place
            for place in range(sample.width)
            if (values := sample.numbers(place)) is not None
            and all(_FIRST_SECOND * unit <= value <= latest * unit for value in values[:_LOOKED_AT])
            and not (unit == 1.0 and is_id(values) and _by_ones(values) and sample.width > 2)
        ]
        if fits:
            first, *others = fits
            ends = [place for place in others if _ends(sample, first, place)]
            return {"time": first} | ({"end": ends[0]} if ends else {})
    return {}


_LOOKED_AT = 1000


def _by_ones(values: Column) -> bool:
    steps = [abs(b - a) for a, b in pairwise(values)]
    return sum(step == 1 for step in steps) > len(steps) / 2


def _ends(sample: Excerpt, first: int, place: int) -> bool:
    opens, ends = sample.numbers(first), sample.numbers(place)
    if opens is None or ends is None:
        return False
    spans = [b - a for a, b in zip(opens, ends, strict=True)]
    return spans[0] > 0 and sum(span == spans[0] for span in spans) >= 0.9 * len(spans)


def _midnight_times(sample: Excerpt) -> Roles:
    """The first column, if it is a time of day in seconds or milliseconds that goes up."""
    values = sample.numbers(0)
    if values is None or not all(0 <= value < _MIDNIGHTS for value in values):
        return {}
    rises = sum(b >= a for a, b in pairwise(values))
    return {"time": 0} if rises >= 0.99 * (len(values) - 1) else {}
