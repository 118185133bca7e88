"""Dates as files spell them, and which of a date's numbers is the day."""

import re
from collections.abc import Collection
from datetime import date
from functools import lru_cache

from cottage.errors import UnusableSource
from cottage.files.cell_table import Ambiguous, Guess
from cottage.files.rows import shown

_MONTHS = {
    name: month
    for month, names in enumerate(
        (
            ("jan", "januar", "january"),
            ("feb", "februar", "february"),
            ("mar", "march", "mär", "mrz", "märz"),
            ("apr", "april"),
            ("may", "mai"),
            ("jun", "june", "juni"),
            ("jul", "july", "juli"),
            ("aug", "august"),
            ("sep", "sept", "september"),
            ("oct", "october", "okt", "oktober"),
            ("nov", "november"),
            ("dec", "december", "dez", "dezember"),
        ),
        1,
    )
    for name in names
}
_YEAR_FIRST = r"\d{4}([-/.])\d{1,2}\1\d{1,2}"
_MONTH = r"[A-Za-zäÄ]{3,9}"
SPELLINGS = (
    r"\d{4}(?:-\d{1,2}-|/\d{1,2}/|\.\d{1,2}\.)\d{1,2}"
    r"|\d{1,2}(?:-\d{1,2}-|/\d{1,2}/|\.\d{1,2}\.)(?:\d{4}|\d{2})(?!\d)"
    r"|\d{8}"
    rf"|\d{{1,2}}(?:st|nd|rd|th|\.)?[-/ ]?{_MONTH}\.?,?[-/ ]?(?:\d{{4}}|\d{{2}})(?!\d)"
    rf"|{_MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}"
    rf"|\d{{4}}[-/ ]{_MONTH}[-/ ]\d{{1,2}}"
)
"""A pattern of every date that day_of may read."""
_SHORT = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})", re.ASCII)
"""A date whose year is not first, or has two digits: day_of needs to know its order."""
_NUMBERS = re.compile(r"(\d{4})([-/.]?)(\d{1,2})\2(\d{1,2})", re.ASCII)
_NAMED = re.compile(
    rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.)?[-/ ]?(?P<month>{_MONTH})\.?,?[-/ ]?(?P<year>\d{{4}}|\d{{2}})"
    rf"|(?P<month2>{_MONTH})\.? (?P<day2>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<year2>\d{{4}})"
    rf"|(?P<year3>\d{{4}})[-/ ](?P<month3>{_MONTH})[-/ ](?P<day3>\d{{1,2}})",
    re.ASCII,
)

ORDERS = {"month-first": "mdy", "day-first": "dmy", "year-first": "ymd"}
_WORDS = {order: word for word, order in ORDERS.items()}
_ORIGIN = date(1970, 1, 1).toordinal()
LAST_DAY = date(2100, 1, 1).toordinal() - _ORIGIN
_PIVOT = 69
"""A year of two digits is of this century below it, as POSIX has it."""
_MOST_AGAINST = 0.01
"""So large a share of a column's dates may contradict its order: they are bad rows. More of them refuse the
column."""


@lru_cache(4096)
def day_of(text: str, order: str = "") -> int:
    """The day of a date, counted from 1970. `order` says what its numbers are where the year is not first with four
    digits: `dmy`, `mdy` or `ymd`. Raises ValueError if there is no such day from 1970 to 2099."""
    if (short := _SHORT.fullmatch(text)) is not None:
        if not order:
            raise ValueError("may have the day or the month first")
        numbers = dict(zip(order, (short[1], short[3], short[4]), strict=True))
        year, month, day = _year(numbers["y"]), int(numbers["m"]), int(numbers["d"])
    elif (found := _NUMBERS.fullmatch(text)) is not None and (found[2] or len(text) == 8):
        year, month, day = int(found[1]), int(found[3]), int(found[4])
    elif (named := _NAMED.fullmatch(text)) is not None:
        parts = {name.rstrip("23"): value for name, value in named.groupdict().items() if value is not None}
        month = _MONTHS.get(parts["month"].lower(), 0)
        year, day = _year(parts["year"]), int(parts["day"])
    else:
        raise ValueError("is no date")
    since = date(year, month, day).toordinal() - _ORIGIN
    if not 0 <= since < LAST_DAY:
        raise ValueError("does not lie between 1970 and 2100")
    return since


class DateOrder:
    """Which of the numbers in a column's dates is the day: settled by all its dates, stated, or guessed."""

    def __init__(self, name: str, texts: Collection[str], stated: str = "") -> None:
        """`texts`: the different dates of the column called `name`. `stated`: `dmy`, `mdy`, `ymd` or empty. Raises
        Ambiguous where nothing settles it, UnusableSource where the dates contradict one another or what is
        stated."""
        self.order = ""
        self.guess: Guess | None = None
        self._name = name
        self._apart: dict[str, int] = {}
        """By how many days each other reading lies apart from the one that is guessed."""
        shorts = [text for text in texts if _SHORT.fullmatch(text)]
        if not shorts:
            return
        orders = [order for order in ("mdy", "dmy", "ymd") if _enough(shorts, order)]
        if stated and stated not in orders:
            raise UnusableSource(
                f"the dates of the column {name}, such as {shown(shorts[0])}, do not have ORDER={_WORDS[stated]}"
            )
        if not orders:
            raise UnusableSource(
                f"the dates of the column {name} are neither all with the day nor with the month first"
            )
        if stated or len(orders) == 1:
            self.order = stated or orders[0]
        elif "dmy" in orders and all("." in text for text in shorts):
            self.order = "dmy"  # who writes dots has the day first
        else:
            self._guessed(orders, shorts)

    @property
    def word(self) -> str:
        """The order for people: `day first`; empty where dates have the year first with four digits, or a month's
        name."""
        return _WORDS.get(self.order, "").replace("-", " ")

    def day_of(self, text: str) -> int:
        """The day of a date, counted from 1970. Raises ValueError; Ambiguous where a date is not as far from its
        other reading as all before, so that the guess makes a difference."""
        day = day_of(text, self.order)
        if self._apart:
            self._same_apart(text, day)
        return day

    def _guessed(self, orders: list[str], shorts: list[str]) -> None:
        """Take the month first if every reading has the days equally far apart."""
        self.order = orders[0]
        example = next((text for text in shorts if len({day_of(text, order) for order in orders}) > 1), shorts[0])
        taken = day_of(example, self.order)
        self._apart = {order: day_of(example, order) - taken for order in orders[1:]}
        self.guess = Guess(
            f"the date {shown(example)}",
            f"{_date(taken)} ({_WORDS[self.order]})",
            " or ".join(f"{_date(day_of(example, order))} ({_WORDS[order]})" for order in orders[1:]),
            " or ".join(f"ORDER={_WORDS[order]}" for order in orders[1:]),
        )
        if "mdy" not in orders:
            raise self._ambiguous(self.guess)
        for text in shorts:
            self._same_apart(text, day_of(text, self.order))

    def _same_apart(self, text: str, day: int) -> None:
        assert self.guess is not None
        for order, days in self._apart.items():
            try:
                apart = day_of(text, order) - day
            except ValueError:
                apart = None
            if apart != days and _SHORT.fullmatch(text):
                raise self._ambiguous(self.guess)

    def _ambiguous(self, guess: Guess) -> Ambiguous:
        option = f"ORDER={_WORDS[self.order]} or {guess.option}"
        return Ambiguous(Guess(f"{guess.what} in the column {self._name}", guess.taken, guess.other, option))


def _enough(texts: list[str], order: str) -> bool:
    """Whether all dates, or all but a few, have this order."""
    if order == "ymd" and any(len(text) > 8 for text in texts):
        return False
    bad = 0
    for text in texts:
        try:
            day_of(text, order)
        except ValueError:
            bad += 1
    return bad <= _MOST_AGAINST * len(texts)


def _year(text: str) -> int:
    return int(text) if len(text) == 4 else int(text) + (2000 if int(text) < _PIVOT else 1900)


def _date(day: int) -> str:
    return date.fromordinal(day + _ORIGIN).isoformat()
