"""CSV and its relatives: each row is one line of the file."""

import csv
from collections.abc import Iterator, Sequence
from itertools import islice

from cottage.errors import UnusableSource
from cottage.files.cell_table import Guess, OnBad
from cottage.files.rows import BadRow
from cottage.files.tables.dialect import cells_of, dialect_of
from cottage.files.tables.members import Member
from cottage.files.tables.text_lines import LONGEST_LINE, blocks_of, head_of, lines_of

_PLACES = 24
_PLACE_BYTES = 16 * 1024
_SAMPLE = 500
_MANY = 20
"""From so many rows on it is known what last cells look like."""


class TextTable:
    """The cells of a text file, line by line: what is wrong with a line costs that line only."""

    def __init__(self, member: Member) -> None:
        """Find out how the file is written. Raises UnusableSource, or SourceError where a later try may help."""
        self.name = member.name
        self.guesses: list[Guess] = []
        self._member = member
        with member.open() as stream:
            head, whole = head_of(stream)
            tail = head[-4:]
            if not whole and member.seekable:
                stream.seek(member.size - 4)
                tail = stream.read()
        try:
            self.dialect = dialect_of(head, whole)
        except UnusableSource as error:
            raise UnusableSource(f"{member.name} {error}") from None
        self.spelled = self.dialect.spelled
        if (whole or member.seekable) and not tail.strip(b"\0").endswith((b"\n", b"\r")):
            self.spelled += ", the last line without an end"
        self.plain_numbers = self.dialect.delimiter == ","
        header = self.dialect.header
        self.names: tuple[str, ...] | None
        self.names = tuple(" ".join(filter(None, each)) for each in zip(*header, strict=True)) if header else None
        self._names = {cell for cells in header for cell in cells if cell}
        self._ends: list[str] = []
        """The last cells of some rows."""
        ended = head[: head.rfind(self.dialect.line_end.encode()) + 1]
        self._ends = [cells[-1] for _, cells in islice(self._cut(iter([ended]), lambda *_bad: None), _SAMPLE)]

    def rows(self, on_bad: OnBad) -> Iterator[tuple[int, Sequence[str]]]:
        with self._member.open() as stream:
            yield from self._cut(blocks_of(stream), on_bad)

    def places(self) -> Iterator[Sequence[Sequence[str]]]:
        with self._member.open() as stream:
            if not self._member.seekable:
                return
            for place in range(0, self._member.size, max(_PLACE_BYTES, self._member.size // _PLACES // 4 * 4)):
                stream.seek(self.dialect.bom + place)
                text = stream.read(_PLACE_BYTES).decode(self.dialect.encoding, "replace")
                if rows := self._few(text.replace("\r\n", "\n").split(self.dialect.line_end)[1:-1]):
                    yield rows

    def _few(self, lines: Sequence[str]) -> list[Sequence[str]]:
        rows: list[Sequence[str]] = []
        for line in lines:
            try:
                cells = self._cells(line, 0)
            except BadRow:
                continue
            if cells is not None:
                rows.append(cells)
        return rows

    def _cut(self, blocks: Iterator[bytes], on_bad: OnBad) -> Iterator[tuple[int, Sequence[str]]]:
        """The rows of a file that comes in blocks."""
        delimiter, width, skip = self.dialect.delimiter, self.dialect.width, self.dialect.skip
        number = 0
        for lines, is_plain, has_end in lines_of(blocks, self.dialect.encoding, self.dialect.line_end):
            for line in lines:
                number += 1
                if number <= skip:
                    continue
                if is_plain:
                    cells = line.split(delimiter)
                    if len(cells) == width and cells[0] not in self._names:
                        yield number, cells
                        continue
                try:
                    row = self._cells(line, number)
                    if row is not None and not has_end:
                        self._check_end(row)
                except BadRow as error:
                    on_bad(number, error)
                    continue
                if row is not None:
                    yield number, row

    def _cells(self, line: str, number: int) -> list[str] | None:
        """The cells of a line; None where it is no row, but blank, a comment, or the header once more. Raises BadRow,
        or UnusableSource where a header of other columns begins: files were joined that do not fit."""
        if "\0" in line or "\ufffd" in line:
            raise BadRow("encoding", f"no {self.dialect.encoding}, or longer than {LONGEST_LINE} letters")
        try:
            cells = cells_of(line, self.dialect.delimiter)
        except csv.Error as error:
            raise BadRow("quotes", str(error)) from None
        if cells and cells[0].lstrip("# ") in self._names:
            names = tuple(cell.strip("# ") for cell in cells)
            if names in self.dialect.header:
                return None
            if all(name in self._names for name in names if name):
                raise UnusableSource(
                    f"{self.name}, line {number}: a header with the columns in another order: two files, to be split"
                )
        if not line.strip() or line.startswith("#"):
            return None
        if len(cells) != self.dialect.width:
            raise BadRow("fields", f"{len(cells)} of them, not {self.dialect.width}")
        return cells

    def _check_end(self, cells: Sequence[str]) -> None:
        """Raise BadRow if the last line, which has no end, does not end as others do: it is torn."""
        last, ends = cells[-1], set(self._ends)
        if not ends or last in ends:
            return
        is_empty = not last.strip()
        decimals = [len(end.partition(".")[2]) for end in ends]
        is_short = len(last) < min(map(len, ends)) or len(last.partition(".")[2]) < min(decimals)
        if is_empty or (len(self._ends) >= _MANY and (is_short or len(ends) <= 3)):
            raise BadRow("torn", f"the file ends within it: its last cell is {last!r}")
