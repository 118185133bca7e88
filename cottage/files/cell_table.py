"""What every kind of file is read as: rows of cells as text, under names or without, whatever they mean.

members.py         a path, a folder, a glob or a zip as its single files, decompressed
dialect.py         how a text file spells its table
text_table.py      CSV and its relatives
json_table.py      JSON and JSON lines
columnar_table.py  Parquet and Arrow
wide_table.py      tables with a column for each symbol, as rows of one symbol each
open_table.py      opens a file as one of these
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from cottage.errors import UnusableSource
from cottage.files.rows import BadRow

SYMBOL_NAMES = frozenset(("symbol", "ticker", "pair", "instid", "instrument", "product_id", "s"))
"""Names, in small letters, under which folders and envelopes say the symbol of rows that have no names themselves."""
OnBad = Callable[[int, BadRow], None]
"""A callback for each bad row. It gets the number of the line, counted from 1, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Guess:
    """Something that the file does not say for certain, and how to say otherwise."""

    what: str
    """What was guessed: `the zone of its times`."""
    taken: str
    other: str
    option: str
    """What a user writes to have the other: `ZONE=America/New_York`."""


class Ambiguous(UnusableSource):
    """Two readings fit a file. The text shows both, and the option that chooses."""

    def __init__(self, guess: Guess) -> None:
        super().__init__(f"{guess.what}: {guess.taken}, or {guess.other}? {guess.option} chooses")
        self.guess = guess


class Table(Protocol):
    """The cells of one file."""

    name: str
    """The file's name, that within a zip included: `2025.zip/BTCUSDT-1m.csv`."""
    names: tuple[str, ...] | None
    """The columns' names as they are spelled, those of several header rows joined by a blank; None without header."""
    spelled: str
    """In a few words how the file is written: `CSV, semicolons, UTF-16, 1 line before the header`."""
    guesses: list[Guess]
    plain_numbers: bool
    """Whether a point in its numbers is a decimal one unless a column shows otherwise: a program wrote them (JSON,
    Parquet), or commas stand between the cells."""

    def rows(self, on_bad: OnBad) -> Iterator[tuple[int, Sequence[str]]]:
        """A pass over the file from its beginning: each row's number (in a text file its line's, counted from 1) and
        its cells, `""` where there is nothing. A row that cannot be cut into cells goes to `on_bad`. Raises
        SourceError or UnusableSource where the rest cannot be read."""

    def places(self) -> Iterator[Sequence[Sequence[str]]]:
        """A few rows each from some places spread over the whole file, in the file's order, where one may jump
        there (plain files); else nothing. They tell whether a large file is in order of time."""
