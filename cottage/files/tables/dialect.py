"""How a text file spells its table: encoding, delimiter, what comes before the rows. Told from its first bytes."""

import codecs
import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from cottage.errors import UnusableSource
from cottage.files.cells.numbers import is_number
from cottage.files.cells.times import is_time
from cottage.files.columns import is_field
from cottage.files.tables.text_lines import LONGEST_LINE, shown_line, unicode_of

DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "pipes", None: "blanks"}
"""What stands between cells; None for any run of blanks."""
_DECLARED = re.compile(r'"?sep=(.)"?')  # a line for Excel
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f]")
_MOST_LINES = 500
"""So many lines are looked at."""
_MOST_HEADERS = 5
_EAST_ASIAN = ("gb18030", "cp932", "cp949")
"""The codecs of Chinese, Japanese and Korean spreadsheets. Each reads the bytes of the others as other signs."""
_FEWEST_NAMES = 3
_MOST_LINES_BEFORE = 20
_LETTER = re.compile(rb"[A-Za-z][\x80-\xff]|[\x80-\xff][A-Za-z]")
_DIGIT = re.compile(rb"\d")
_MISSING = {"", "-", "--", "nan", "nat", "null", "none", "na", "n/a", "#n/a", "<na>", "\\n"}
_LEVELS = {"ticker", "tickers", "symbol", "symbols"}
"""What the first cell of a header line says whose cells are symbols, so that `7203` is a name in it."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a text file spells its table."""

    encoding: str
    bom: int
    """The bytes of its byte order mark."""
    line_end: str
    delimiter: str | None
    """None for runs of blanks."""
    width: int
    """The cells of a row."""
    header: tuple[tuple[str, ...], ...]
    """The cells of each header line; none where there is no header."""
    skip: int
    """The lines before the first row."""
    spelled: str


def dialect_of(head: bytes, whole: bool) -> Dialect:
    """The dialect of a file that begins with `head`, and ends with it if `whole`. Raises UnusableSource, whose text
    is to be told with the file's name."""
    encoding, bom = _encoding(head)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head[bom:], final=whole)
    if len(_CONTROLS.findall(text[:4096])) > len(text[:4096]) / 20:
        raise UnusableSource(f"is no text, nor a kind of file that is known: it begins with {shown_line(text)}")
    text = text.replace("\r\n", "\n")
    line_end = "\r" if "\r" in text and "\n" not in text else "\n"
    lines = text.split(line_end)
    if not (whole or len(lines) > 1) or len(lines[0]) > LONGEST_LINE:
        raise UnusableSource("is no table of text: its first line has no end")
    if not whole or not lines[-1]:
        lines.pop()
    numbered = [(number, line) for number, line in enumerate(lines[:_MOST_LINES], 1) if line.strip()]
    if not numbered:
        raise UnusableSource("is empty")
    delimiters: Sequence[str | None] = tuple(DELIMITERS)
    if (declared := _DECLARED.fullmatch(numbered[0][1].strip())) is not None:
        delimiters = [declared[1]]
    told = numbered[1:] if declared else numbered
    delimiter, width = _delimiter([line for _, line in told if not line.startswith("#")] or [""], delimiters)
    header, skip = _header(told, delimiter, width)
    spelled = _spelled(encoding, delimiter, header, numbered, skip)
    return Dialect(encoding, bom, line_end, delimiter, width, header, skip, spelled)


def cells_of(line: str, delimiter: str | None) -> list[str]:
    """The cells of one line. Raises csv.Error where its quotes are wrong."""
    if '"' not in line:
        return line.split(delimiter)
    return next(csv.reader([line], delimiter=delimiter or " ", skipinitialspace=True, strict=True))


def _encoding(head: bytes) -> tuple[str, int]:
    """The codec of a text, and the length of its byte order mark."""
    if (found := unicode_of(head)) is not None:
        return found
    return next(filter(partial(_names_fields, head), _EAST_ASIAN), "cp1252" if _is_single_byte(head) else "utf-8"), 0


def _names_fields(head: bytes, encoding: str) -> bool:
    """Whether a line before the rows, that is no UTF-8, names several fields in this codec."""
    for line in re.split(rb"[\r\n]+", head)[:_MOST_LINES_BEFORE]:
        try:
            line.decode()
        except UnicodeDecodeError:
            cells = re.split(r"[,;\t|]", line.decode(encoding, "replace"))
            named = [cell for cell in cells if not cell.isascii() and is_field(cell.strip().strip('"'))]
            if len(named) >= _FEWEST_NAMES:
                return True
    return False


def _is_single_byte(head: bytes) -> bool:
    """Whether bytes that are no UTF-8 are the file's way to write letters: in words without a digit before the rows,
    or in many lines. In a few rows they are damage."""
    lines = re.split(rb"[\r\n]+", head)[:-1] or [head]
    plain = damaged = 0
    for number, line in enumerate(lines):
        try:
            plain += not line.decode().isascii()
        except UnicodeDecodeError:
            if number < _MOST_LINES_BEFORE and _LETTER.search(line) and not _DIGIT.search(line):
                return True
            damaged += 1
    return damaged > plain and damaged > 2 and damaged > len(lines) / 20


def _delimiter(lines: Sequence[str], delimiters: Sequence[str | None]) -> tuple[str | None, int]:
    """What stands between the cells of these lines, and how many cells a row has: it cuts most of them into equally
    many, of which none holds another delimiter. Blanks come last: they are within times."""
    best: tuple[float, int, str | None] = (0.0, 0, None)
    for delimiter in delimiters:
        rows = [_cells_or_none(line, delimiter) for line in lines]
        widths = Counter(len(row) for row in rows if len(row) > 1)
        if not widths:
            continue
        width, number = widths.most_common(1)[0]
        cells = [cell for row in rows if len(row) == width for cell in row]
        clean = sum(_is_clean(cell, delimiter) for cell in cells) / len(cells)
        fit = clean**3 * number / len(lines) * (0.9 if delimiter is None else 1)
        best = max(best, (round(fit, 2), width, delimiter), key=lambda each: each[:2])
    if best[1] < 2:
        raise UnusableSource(f"is no table: nothing separates cells in it; its first line is {shown_line(lines[0])}")
    return best[2], best[1]


def _is_clean(cell: str, delimiter: str | None) -> bool:
    if not cell.strip() or is_number(cell) or is_time(cell):
        return True
    return any(map(str.isalpha, cell)) and not any(other in cell for other in ",;|\t" if other != delimiter)


def _cells_or_none(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None and "\t" in line:
        return []
    try:
        return cells_of(line, delimiter)
    except csv.Error:
        return []


def _header(
    numbered: Sequence[tuple[int, str]], delimiter: str | None, width: int
) -> tuple[tuple[tuple[str, ...], ...], int]:
    """The header lines' cells, and the number of lines before the first row."""
    rows = [(number, _cells_or_none(line, delimiter)) for number, line in numbered if not line.startswith("#")]
    fitting = [(number, row) for number, row in rows if len(row) == width]
    typed = _Typed([row for _, row in fitting[-max(1, len(fitting) // 2) :]])
    if not typed.columns:
        raise UnusableSource(f"holds no rows of numbers or times: it begins with {shown_line(numbered[0][1])}")
    first = fitting[0][0]
    headers: list[tuple[str, ...]] = []
    place = 0
    while place < len(fitting) and len(headers) < _MOST_HEADERS:
        number, cells = fitting[place]
        if headers and number > fitting[place - 1][0] + 1 and typed.is_header(cells):
            headers = []  # what a blank line separates from the header stands before it: Bloomberg's settings
        if not (typed.is_header(cells) if not headers else typed.continues_header(cells, headers)):
            break
        headers.append(tuple(cell.strip() for cell in cells))
        place += 1
    if headers:
        return tuple(headers), _last_before_rows(numbered, fitting[place - 1][0], fitting[place][0], delimiter)
    if _counts(fitting[0][1]):
        place = 1  # pandas' names of columns that have none
    else:
        before = [line for number, line in numbered if number < first]
        headers = _other_header(before, delimiter, width, fitting[0][1], typed)
    return tuple(headers), fitting[place][0] - 1


def _last_before_rows(numbered: Sequence[tuple[int, str]], header: int, row: int, delimiter: str | None) -> int:
    """The number of the last line that is no row, between a header and the first row of the usual width. A line
    there that begins as rows do is a row: one that is torn, which counts."""
    for number, line in numbered:
        if header < number < row and line.strip():
            begin = line.split(delimiter)[0].strip('"')
            if is_time(begin) or is_number(begin):
                return number - 1
    return row - 1


def _other_header(
    before: Sequence[str], delimiter: str | None, width: int, row: Sequence[str], typed: "_Typed"
) -> list[tuple[str, ...]]:
    """The header of rows whose first is `row`, in the line before it: behind a `#`, or of a cell more or less."""
    if not before:
        return []
    cells = [cell.strip() for cell in _cells_or_none(before[-1].lstrip("#").strip("\n\r "), delimiter)]
    is_header = row[0].strip() in ("0", "1") or not any(" " in cell for cell in cells)  # else it is a sentence
    if len(cells) == width - 1 and all(cells) and is_header:
        cells = [*cells, ""] if not row[-1].strip() else ["", *cells]  # rows that end in a delimiter; R's row names
    elif len(cells) == width + 1 and not cells[-1]:
        cells.pop()
    elif len(cells) > 2 and len(cells) != width and is_header and not before[-1].startswith("#"):
        raise UnusableSource(
            f"has rows of {width} cells, such as {shown_line(str(delimiter or ' ').join(row))}, behind a line of "
            f"{len(cells)}, {shown_line(before[-1])}: make both equal, or take that line out"
        )
    return [tuple(cells)] if len(cells) == width and typed.is_header(cells) else []


def _counts(cells: Sequence[str]) -> bool:
    """Whether these are the numbers of columns, from 0."""
    numbers = [str(i) for i in range(len(cells))]
    return len(cells) > 1 and list(cells) in (numbers, ["", *numbers[:-1]])


class _Typed:
    """Which columns hold times or numbers, by some rows."""

    def __init__(self, rows: Sequence[Sequence[str]]) -> None:
        self._times: list[int] = []
        self.columns: list[int] = []
        for place in range(len(rows[0])):
            cells = [cell for row in rows if not _is_missing(cell := row[place])]
            times = sum(is_time(cell) for cell in cells)
            numbers = sum(is_number(cell) for cell in cells)
            if cells and times >= len(cells) / 2:
                self._times.append(place)
            if cells and times + numbers >= len(cells) / 2:
                self.columns.append(place)

    def is_header(self, cells: Sequence[str]) -> bool:
        """Whether these name columns: words stand where others have times and numbers. A word may look like a number
        (`7203` is a share in Tokyo), so one in the first such column is enough."""
        if not self.columns or any(is_time(cells[place]) for place in self._times):
            return False
        words = [place for place in self.columns if _is_word(cells[place])]
        numbers = sum(is_number(cells[place]) for place in self.columns)
        return bool(words) and (words[0] == self.columns[0] or len(words) > numbers)

    def continues_header(self, cells: Sequence[str], headers: Sequence[Sequence[str]]) -> bool:
        """Whether these go on naming columns after a first header line, as units or symbols do."""
        if cells[0].strip().lower() in _LEVELS or list(cells) == list(headers[0]):
            return self.is_header(cells)
        return self.is_header(cells) and not any(is_number(cells[place]) for place in self.columns)


def _is_missing(cell: str) -> bool:
    return cell.strip().lower() in _MISSING


def _is_word(cell: str) -> bool:
    return not (_is_missing(cell) or is_number(cell) or is_time(cell))


def _spelled(
    encoding: str,
    delimiter: str | None,
    header: Sequence[Sequence[str]],
    numbered: Sequence[tuple[int, str]],
    skip: int,
) -> str:
    words = [f"text, cells between {DELIMITERS.get(delimiter, repr(delimiter))}"]
    if encoding != "utf-8":
        words.append({"cp1252": "Latin-1"}.get(encoding, encoding.upper()))
    words.append({0: "no header", 1: "a header"}.get(len(header), f"{len(header)} header lines"))
    if before := sum(number <= skip for number, _ in numbered) - len(header):
        words.append(f"{before} {'line' if before == 1 else 'lines'} before {'it' if len(header) == 1 else 'that'}")
    return ", ".join(words)
