"""Tables in memory, and what is understood of them, for the tests of the modules behind understanding.py."""

from collections.abc import Iterator, Sequence

from cottage.files.cell_table import Guess, OnBad
from cottage.files.meaning.understanding import Understanding, understand
from cottage.files.options import ReadOptions
from cottage.files.rows import BadRow, Row


class Cells:
    """A table of cells that a test writes: one row a line, `mark` between the cells."""

    def __init__(self, text: str, names: str = "", name: str = "AAPL.csv", mark: str = ",") -> None:
        self.name = name
        self.names: tuple[str, ...] | None = tuple(names.split(mark)) if names else None
        self.spelled = "a test's"
        self.guesses: list[Guess] = []
        self.plain_numbers = mark == ","
        self._rows = [line.split(mark) for line in text.split("\n") if line]

    def rows(self, _on_bad: OnBad) -> Iterator[tuple[int, Sequence[str]]]:
        yield from enumerate(self._rows, 1)

    def places(self) -> Iterator[Sequence[Sequence[str]]]:
        return iter(())


def understood(text: str, names: str = "", name: str = "AAPL.csv", **options: str) -> Understanding:
    return understand(Cells(text, names, name), ReadOptions(**options))


def rows_of(text: str, names: str = "", name: str = "AAPL.csv", **options: str) -> list[Row]:
    """The rows that are sent of it, in the file's order."""
    return read(Cells(text, names, name), **options)[1]


def read(table: Cells, **options: str) -> tuple[Understanding, list[Row], list[BadRow]]:
    """What is understood, the rows that are sent, and what is wrong with the others."""
    found, bad = understand(table, ReadOptions(**options)), list[BadRow]()
    sent = []
    for line, cells in table.rows(lambda _line, error: bad.append(error)):
        try:
            row = found.row(line, cells)
        except BadRow as error:
            bad.append(error)
            continue
        if row is not None:
            sent.append(row)
    return found, sent, bad
