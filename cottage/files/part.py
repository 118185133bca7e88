"""One file of a recording: its cells, what they mean, and whether they are in order of time. recording.py uses it."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from statistics import median

from cottage.files.cell_table import OnBad, Table
from cottage.files.meaning.understanding import Understanding, understand
from cottage.files.options import ReadOptions
from cottage.files.ordering.order import (
    SAMPLE_ROWS,
    TIME,
    Entry,
    are_too_many,
    entries,
    reordered,
    without_strays,
)
from cottage.files.rows import BadRow, Row
from cottage.files.tables.members import Member
from cottage.files.tables.open_table import open_table

OnProgress = Callable[[str, float], None]
"""A callback for work that takes long: what is done, and which share of it is done."""
_PROGRESS_ROWS = 10_000


class Pass:
    """One pass over a file; iterate over it for the usable rows of wanted symbols, with their lines."""

    def __init__(
        self,
        table: Table,
        understanding: Understanding,
        wanted: frozenset[str],
        on_bad: OnBad,
        most: int | None = None,
    ) -> None:
        """`most`: no more rows than these are read."""
        self.rows = 0
        """How many rows were read so far, those that cannot be used too."""
        self.filtered = 0
        """How many rows were of symbols that are not wanted."""
        self.is_finished = False
        self._table = table
        self._understanding = understanding
        self._wanted = wanted
        self._on_bad = on_bad
        self._most = most

    def __iter__(self) -> Iterator[tuple[int, Row]]:
        """Raises SourceError or UnusableSource where the rest cannot be read."""
        self._understanding.restart()
        parse, wanted = self._understanding.row, self._wanted
        for line, cells in islice(self._table.rows(self._torn), self._most):
            self.rows += 1
            try:
                row = parse(line, cells)
            except BadRow as error:
                self._on_bad(line, error)
                continue
            if row is None:
                continue
            if wanted and row.symbol not in wanted:
                self.filtered += 1
                continue
            yield line, row
        self.is_finished = True

    def _torn(self, line: int, error: BadRow) -> None:
        self.rows += 1
        self._on_bad(line, error)


class Part:
    """A file that is opened and understood; `look` finds out about its order."""

    def __init__(self, member: Member, options: ReadOptions, wanted: frozenset[str]) -> None:
        """Raises UnusableSource, or SourceError where a later try may help."""
        self.name = member.name
        self.member = member
        self.table = open_table(member, options)
        self.understanding = understand(self.table, options)
        self.first = self.last = -1
        """The times of its first and its last row, as far as its beginning tells them and some places in it."""
        self.symbols: set[str] = set()
        """The symbols at its beginning."""
        self.is_numbered = False
        """Whether its rows have ids or sequence numbers."""
        self.newest_first = bool(self.understanding.newest_first)
        self.is_ordered = True
        self._wanted = wanted
        self._to_be_sorted = "sort" in options.order.split(",")

    def rows(self, on_bad: OnBad, most: int | None = None) -> Pass:
        return Pass(self.table, self.understanding, self._wanted, on_bad, most)

    def look(self, on_progress: OnProgress) -> None:
        """Read its beginning, and where that does not tell its order, all of it."""
        rows = self.rows(_ignore, SAMPLE_ROWS)
        sample = list(entries(rows, 0))
        if not sample:
            return
        refused: list[Entry] = []
        kept = list(reordered(sample, lambda entry, _error: refused.append(entry)))
        in_order = not are_too_many(len(refused), len(sample))
        kept = list(without_strays(kept if in_order else sorted(sample), _forget))
        self.first, self.last = kept[0][TIME], kept[-1][TIME]
        self.symbols = {row.symbol for *_, row in sample}
        self.is_numbered = any(row.sequence for *_, row in sample)
        self.is_ordered = in_order and not self.newest_first and not self._to_be_sorted
        if self.is_ordered and rows.rows == SAMPLE_ROWS:
            self.is_ordered = self._goes_on(on_progress)

    def _goes_on(self, on_progress: OnProgress) -> bool:
        """Whether the rest is in order too, as far as some places in it tell; where one cannot jump there, and it
        may be sorted by symbol, all of it."""
        middles: list[float] = []
        for times in self._times_at_places():
            middles.append(median(times))
            self.last = max(self.last, int(middles[-1]))
        if middles:
            return middles == sorted(middles)
        return not self._may_be_by_symbol() or self._is_all_ordered(on_progress)

    def _times_at_places(self) -> Iterator[list[int]]:
        for rows in self.table.places():
            if times := [row.time for cells in rows if (row := self._row_of(cells)) is not None]:
                yield times

    def _row_of(self, cells: Sequence[str]) -> Row | None:
        try:
            return self.understanding.row(0, cells)
        except BadRow:
            return None

    def _may_be_by_symbol(self) -> bool:
        """One symbol may be followed by others, unless the file's name has it."""
        name = _letters(self.name)
        symbol = next(iter(self.symbols))
        return len(self.symbols) == 1 != len(self._wanted) and _letters(symbol) not in name

    def _is_all_ordered(self, on_progress: OnProgress) -> bool:
        refused: list[Entry] = []
        tried = reordered(entries(self.rows(_ignore), 0), lambda entry, _error: refused.append(entry))
        for rows, entry in enumerate(tried):
            if are_too_many(len(refused), rows):
                return False
            self.last = entry[TIME]
            if rows % _PROGRESS_ROWS == 0:
                on_progress(f"looking through {self.name}, which may be sorted by symbol", self.member.share)
        return True


def _ignore(_line: int, _error: BadRow) -> None:
    pass


def _forget(_entry: Entry, _error: BadRow) -> None:
    pass


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text)).upper()
