"""The first rows of a table, by which understanding.py tells what its columns mean."""

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import islice
from statistics import median

from cottage.errors import UnusableSource
from cottage.files.cell_table import Table
from cottage.files.cells.numbers import is_number, number_style
from cottage.files.rows import BadRow

MOST_ROWS = 100_000
_EXAMPLES = 200
"""So many cells, spread over the sample, are looked at to tell a column of numbers from one of words."""


class Excerpt:
    """The first MOST_ROWS rows of a table, column by column."""

    def __init__(self, table: Table) -> None:
        """Read them. Raises UnusableSource for a table without a row."""
        self.name = table.name
        self.names = table.names
        self.bad: list[tuple[int, BadRow]] = []
        read = list(islice(table.rows(lambda line, error: self.bad.append((line, error))), MOST_ROWS))
        if not read:
            why = f", such as line {self.bad[0][0]}: {self.bad[0][1]}" if self.bad else ""
            raise UnusableSource(f"{table.name} has no row that can be read{why}")
        self.whole = len(read) < MOST_ROWS
        """Whether these are all rows."""
        width = len(table.names) if table.names else _commonest([len(cells) for _, cells in read])
        self.rows = [cells for _, cells in read if len(cells) == width]
        if not self.rows:
            raise UnusableSource(f"{table.name} names {width} columns, and its rows have {len(read[0][1])}")
        self.width = width
        self.decimal = "." if table.plain_numbers else ""
        """The decimal mark, where the file's format tells it."""
        self._numbers: dict[int, list[float] | None] = {}

    @cached_property
    def columns(self) -> list[Sequence[str]]:
        return list(zip(*self.rows, strict=True))

    def label(self, place: int) -> str:
        """What a column is called in a message: its name, else its number, counted from 1."""
        return self.names[place].strip() or "(unnamed)" if self.names else f"column {place + 1}"

    def examples(self, place: int) -> list[str]:
        """Some cells of a column that are not empty, spread over the sample."""
        column = self.columns[place]
        step = max(1, len(column) // _EXAMPLES)
        return [text for cell in column[::step] if (text := cell.strip())] or [
            text for cell in column if (text := cell.strip())
        ]

    def is_empty(self, place: int) -> bool:
        return not any(self.columns[place])

    def numbers(self, place: int) -> list[float] | None:
        """A column as numbers, NaN where a cell holds none; None for a column of words."""
        if place not in self._numbers:
            self._numbers[place] = self._as_numbers(place)
        return self._numbers[place]

    def _as_numbers(self, place: int) -> list[float] | None:
        column = self.columns[place]
        try:
            return list(map(float, column))
        except ValueError:
            pass
        examples = self.examples(place)
        try:
            style = number_style(self.label(place), examples, self.decimal)
            unread = sum(_unread(style.read, text) for text in examples)
        except (BadRow, UnusableSource):
            return None
        if not examples or unread > len(examples) / 50:
            return None
        return [_or_nan(style.read, text) for text in column]

    def texts(self) -> set[int]:
        """The places of columns that hold words."""
        return {place for place in range(self.width) if not any(map(is_number, self.examples(place)[:20]))}

    def first_line(self) -> str:
        """The first row as it is shown in messages."""
        shown = ",".join(self.rows[0])
        return repr(shown if len(shown) <= 120 else shown[:117] + "...")


def positive(values: Sequence[float]) -> list[float]:
    return [value for value in values if value > 0]


def middle(values: Sequence[float]) -> float:
    """The median; NaN of nothing."""
    return median(values) if values else math.nan


def _commonest(values: list[int]) -> int:
    return max(set(values), key=values.count)


def _unread(read, text: str) -> bool:  # type: ignore[no-untyped-def]
    try:
        read(text)
    except BadRow:
        return True
    return False


def _or_nan(read, text: str) -> float:  # type: ignore[no-untyped-def]
    try:
        value = read(text)
    except BadRow:
        return math.nan
    return math.nan if value is None else value
