"""Reads the numbers of a column as people and spreadsheets write them, and finds out how a column writes them.

`1.234` is a thousand in one country and a fraction in another. A column settles it by its other cells, the columns of
one file settle it for one another, and what stays open is refused.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cottage.errors import UnusableSource
from cottage.files.cell_table import Ambiguous, Guess
from cottage.files.rows import BadRow, shown
from cottage.plain_numbers import not_a_number

MISSING = frozenset(
    (
        *(
            "",
            "-",
            "--",
            "---",
            "–",
            "—",
            ".",
            "..",
            "?",
            "null",
            "none",
            "nil",
            "nan",
            "-nan",
            "nat",
            "na",
            "n/a",
            "n.a.",
        ),
        *(
            "#n/a",
            "#n/a n/a",
            "#na",
            "#value!",
            "#div/0!",
            "#ref!",
            "#null!",
            "#num!",
            "#name?",
            "<na>",
            "\\n",
            "(null)",
        ),
        *("undefined", "missing", "unknown", "void", "9223372036854775807", "9223372036.854775807"),
        *("18446744073709551615", "-9223372036854775808", "1.7976931348623157e+308"),
    )
)
"""Texts, in lower case, that stand for no value: also the largest integers and the largest float, which programs
write for it."""

_SPACES = " \u00a0\u2009\u202f"
_GROUPS = f"{_SPACES}'’"
"""What separates thousands and is never a decimal mark."""
_POWERS = {None: 0, "": 0, "K": 3, "k": 3, "M": 6, "B": 9, "T": 12}
_CURRENCY = r"(?:[A-Z]{0,3}[$€£¥₹₽₩₿₺₫฿]|[A-Z]{3,4}(?![A-Za-z]))"
_CELL = re.compile(
    rf"(?P<open>\()?(?P<sign>[-+\u2212])?\s*(?:{_CURRENCY}\s*(?P<inner>[-+\u2212])?)?"
    rf"(?P<digits>[.,]?\d[\d.,{_GROUPS}]*?)(?P<power>[eE][-+]?\d+)?\s*(?P<times>[KkMBT](?![A-Za-z]))?"
    rf"\s*(?P<percent>%)?\s*{_CURRENCY}?(?P<close>\))?(?P<minus>-)?",
    re.ASCII,
)
_BODIES = {
    mark: re.compile(
        rf"(\d*|\d{{1,3}}(?P<group>[{other}{_GROUPS}])(?:\d{{2,3}}(?P=group))*\d{{3}})(?:{re.escape(mark)}(\d*))?",
        re.ASCII,
    )
    for mark, other in ((".", ","), (",", "."))
}
_GROUPED = {
    mark: re.compile(
        rf"[$€£]?(\d{{1,3}}(?:(?P<group>{other})\d{{3}})(?:(?P=group)\d{{3}})*)(?:{re.escape(mark)}(\d*))?", re.ASCII
    )
    for mark, other in ((".", ","), (",", re.escape(".")))
}
"""The commonest of _BODIES."""
_EITHER = re.compile(rf"(?<![\d.,])(?<!\d[{_GROUPS}])[1-9]\d{{0,2}}[.,]\d{{3}}(?![\deE])", re.ASCII)
"""What is a thousand and more, or a fraction with three digits."""
_DIGIT = re.compile(r"\d", re.ASCII)
_MANY_GROUPS = 100
"""So many cells of _EITHER beside whole numbers, and none with one or two digits after the mark, are thousands: of
fractions written as short as they can be, a tenth ends in 0 and so has fewer digits."""
_MOST_AGAINST = 0.01
"""So large a share of a column may be written otherwise. Those cells are bad rows; more of them refuse the column."""
_IN_32NDS = re.compile(r"\d{2,3}'(?:[0-2]\d|3[01])(?:[0257]|\.[0-9]+)?")
"""A bond's price: 110'165 is 110 and 16.5 / 32."""
_FEW_CELLS = 50


@dataclass(frozen=True, slots=True)
class NumberStyle:
    """How one column writes its numbers. `read` reads a cell."""

    name: str
    """The reason of a BadRow: the name of the column, or of what it holds."""
    decimal: str = ""
    """The decimal mark, `.` or `,`; empty where the column shows none, and `1.234` is then a bad row."""
    grouped: bool = True
    """Whether the other mark may separate thousands."""
    power: int = 0
    """By which power of ten a number is multiplied: -9 for prices in billionths."""
    sentinels: frozenset[float] = frozenset()
    """Numbers, as written, that stand for no value in the files of this vendor."""
    guess: Guess | None = None
    """What was guessed of the decimal mark."""
    read: Callable[[str], float | None] = field(init=False, repr=False, compare=False)
    """Read a cell: a finite number, or None where it says that there is none. Raises BadRow(name)."""

    def __post_init__(self) -> None:
        plain = self.decimal != "" and self.power == 0
        object.__setattr__(self, "read", _plainly(self) if plain else self._fully)

    def _fully(self, text: str) -> float | None:
        if text.isdigit() and text.isascii() and len(text) < 19:
            return None if float(text) in self.sentinels else float(f"{text}e{self.power}")
        bare = _bare(text)
        if bare.lower() in MISSING:
            return None
        cell = _CELL.fullmatch(bare)
        if cell is None or (cell["open"] is None) is not (cell["close"] is None):
            raise BadRow(self.name, not_a_number(text))
        signs = [sign for sign in (cell["sign"], cell["inner"], cell["minus"], cell["open"]) if sign]
        if len(signs) > 1:
            raise BadRow(self.name, not_a_number(text))
        digits = self._digits(cell, text)
        power = int((cell["power"] or "e0")[1:]) + _POWERS[cell["times"]] - 2 * bool(cell["percent"])
        minus = "" if signs in ([], ["+"]) else "-"
        if self.sentinels and float(f"{minus}{digits}e{power}") in self.sentinels:
            return None
        value = float(f"{minus}{digits}e{power + self.power}")
        if not math.isfinite(value):
            raise BadRow(self.name, f"{shown(text)} is not finite")
        return value

    def _digits(self, cell: "re.Match[str]", text: str) -> str:
        """The digits of a cell as Python writes them. Raises BadRow."""
        digits = cell["digits"]
        decimal = self.decimal or _shows(text)
        if decimal in ("either", "none"):
            if decimal == "either":
                raise BadRow(self.name, f"{shown(text)} may be a thousand or a fraction: no other cell tells which")
            decimal = "."
        body = _BODIES[decimal].fullmatch(digits)
        if body is None or not (body[1] or body[3]) or (body["group"] in (".", ",") and not self.grouped):
            raise BadRow(self.name, not_a_number(text))
        whole = body[1].replace(body["group"], "") if body["group"] else body[1]
        return f"{whole or 0}.{body[3] or 0}"


def number_styles(columns: Mapping[str, Sequence[str]], stated: str = "", likely: str = "") -> dict[str, NumberStyle]:
    """How each column of a file writes its numbers. `stated`: the decimal mark that a user states; `likely`: the one
    that the kind of file has, where no column shows another. Raises Ambiguous, or UnusableSource where a column
    mixes."""
    for name, cells in columns.items():
        _refuse_fractions(name, cells)
    marks = {name: _mark(name, cells) for name, cells in columns.items()}
    seen = {mark for mark in marks.values() if mark in (".", ",")}
    common = stated or (seen.pop() if len(seen) == 1 else "" if seen else likely)
    bare = not common and not seen and any(map(_has_bare_thousands, columns.values()))
    return {name: _style(name, mark, common, bare, columns[name]) for name, mark in marks.items()}


def _refuse_fractions(name: str, cells: Sequence[str]) -> None:
    """Prices of bonds, whose fractions are counted in 32nds and quarters of them, look like thousands."""
    if not any("'" in cell for cell in cells[:_FEW_CELLS]):
        return
    marked = [cell.strip() for cell in cells if "'" in cell]
    if all(map(_IN_32NDS.fullmatch, marked)) and not all(cell.endswith("0") for cell in marked):
        raise UnusableSource(
            f"the column {name} may be in 32nds, such as {shown(marked[0])}, or in thousands: write it with a "
            "decimal mark, or without marks for thousands"
        )


def number_style(name: str, cells: Sequence[str], stated: str = "") -> NumberStyle:
    """How one column writes its numbers: number_styles of it alone."""
    return number_styles({name: cells}, stated)[name]


def style_for(style: NumberStyle, name: str, power: int = 0, sentinels: Iterable[float] = ()) -> NumberStyle:
    """The same style for what a column holds, such as a `price`: in multiples of a power of ten, and with sentinels,
    as a vendor has them."""
    return replace(style, name=name, power=power, sentinels=frozenset(sentinels))


def is_number(text: str) -> bool:
    """Whether a cell is a number in any style. A cell that stands for no value is none."""
    bare = _bare(text)
    cell = _CELL.fullmatch(bare)
    return cell is not None and any(body.fullmatch(cell["digits"]) for body in _BODIES.values())


def is_missing(text: str) -> bool:
    """Whether a cell says that there is no value."""
    return _bare(text).lower() in MISSING


def _plainly(style: NumberStyle) -> Callable[[str], float | None]:
    """A faster `read` for numbers without anything beside them."""
    fully, sentinels, comma = style._fully, style.sentinels, style.decimal == ","
    groups = _GROUPED[style.decimal] if style.grouped else None

    def read(text: str) -> float | None:
        try:
            value = float(text if not comma else "" if "." in text else text.replace(",", "."))
        except ValueError:
            value = math.nan
        # float() takes "1_000", "nan", "inf", digits of other scripts and some of MISSING as well.
        if not -9e9 < value < 9e9 or "_" in text or not text.isascii():
            if groups is None or (found := groups.fullmatch(text)) is None:
                return fully(text)
            value = float(f"{found[1].replace(found[2], '')}.{found[3] or 0}")
        return None if value in sentinels else value

    return read


def _bare(text: str) -> str:
    bare = text.strip()
    return bare[1:-1].strip() if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'" else bare


def _shows(text: str) -> str:
    """What a cell tells of the decimal mark: `.` or `,`, `either` where it could be both, `none` where it has
    none."""
    point, comma = text.rfind("."), text.rfind(",")
    if point == comma:
        return "none"
    mark, other = (".", ",") if point > comma else (",", ".")
    if text.count(mark) > 1:
        return "none" if other in text else other
    if other not in text and _EITHER.search(text) is not None:
        return "either"
    return mark


def _mark(name: str, cells: Sequence[str]) -> str:
    """The decimal mark that a column shows: `.` or `,`; `either` where each cell that has a mark could be both,
    `none` where none has one. Raises UnusableSource where the cells contradict one another."""
    shows: Counter[str] = Counter()
    first: dict[str, str] = {}
    joined = "\0".join(cells)
    plain = _all_floats(cells) or ("." not in joined and _all_floats(joined.replace(",", ".").split("\0")))
    for text in cells:
        if not plain and (not _DIGIT.search(text) or is_missing(text)):
            continue
        shown_mark = _shows(text)
        shows[shown_mark] += 1
        first.setdefault(shown_mark, text)
        if plain and shown_mark in (".", ","):
            return shown_mark
    points, commas, both = shows["."], shows[","], shows["either"]
    if min(points, commas) > _MOST_AGAINST * (points + commas):
        raise UnusableSource(
            f"the column {name} mixes decimal points and decimal commas: {shown(first['.'])} and {shown(first[','])}"
        )
    if points or commas:
        return "." if points > commas else ","
    if not both:
        return "none"
    if both >= _MANY_GROUPS and shows["none"]:
        return "," if "." in first["either"] else "."
    return "either"


def _style(name: str, mark: str, common: str, bare: bool, cells: Sequence[str]) -> NumberStyle:
    """The style of a column that shows `mark`, in a file whose columns have `common` in common. `bare`: the file
    writes thousands without a mark, elsewhere."""
    decimal, guess = mark if mark in (".", ",") else common, None
    if mark == "either" and not common:
        text = next(cell for cell in cells if _EITHER.search(cell)).strip()
        decimal, other = (".", ",") if "." in text else (",", ".")
        words = {".": "point", ",": "comma"}
        taken = f"{text.replace(',', '.')}, with a decimal {words[decimal]}"
        thousand = f"{text.replace(decimal, '')}, with a decimal {words[other]}"
        options = [f"FORMAT=decimal-{words[each]}" for each in (decimal, other)]
        what = f"{shown(text)} in the column {name}"
        if not bare:
            raise Ambiguous(Guess(what, taken, thousand, " or ".join(options)))
        guess = Guess(what, f"{taken}: other numbers have no mark for thousands", thousand, options[1])
    return NumberStyle(name, decimal, grouped=not _contradicted(decimal, cells), guess=guess)


def _has_bare_thousands(cells: Sequence[str]) -> bool:
    """Whether some whole numbers above 999 have no mark for thousands."""
    return any(len(cell) > 3 and cell.isdigit() and cell[0] != "0" for cell in cells)


def _contradicted(decimal: str, cells: Sequence[str]) -> bool:
    """Whether the other mark must not be taken for a separator of thousands: some cells have it as a decimal mark."""
    if not decimal or _all_floats(cells):
        return False
    other = "," if decimal == "." else "."
    return any(_shows(text) == other and not is_missing(text) for text in set(cells) if other in text)


def _all_floats(cells: Sequence[str]) -> bool:
    try:
        for _ in map(float, cells):
            pass
    except ValueError:
        return False
    return True
