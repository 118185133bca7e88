"""Reads a recorded market: a file, a folder or a zip of files of any kind, as one stream of rows in order of time."""

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path

from cottage.files.cell_table import OnBad
from cottage.files.options import ReadOptions
from cottage.files.ordering.merging import Overlap, Series, merged, newest_of_bars
from cottage.files.ordering.order import LINE, MEMBER, ROW, Entry, entries, reordered, without_strays
from cottage.files.ordering.sorting import Sorter
from cottage.files.part import OnProgress, Part, Pass
from cottage.files.rows import BadRow, Row
from cottage.files.tables.members import members
from cottage.files.together import check_dates, check_symbols, check_zones, most_at_once

MOST_LINES = 10
"""So many bad lines are remembered for each reason."""
MOST_OPEN = 50
"""So many files may be read side by side; more are sorted."""
_PROGRESS_ROWS = 10_000


class Recording:
    """One pass over recorded market data; iterate over it for its usable rows, in order of time. The market
    service's replay reads one, and so does `cottage inspect`.

    A row that cannot be used is skipped and counted by its reason. Files in order of time, or nearly, are read as
    they are, in a few MB; others are sorted first. Of several files each is opened when its first row is due.
    """

    def __init__(
        self,
        path: Path,
        symbols: frozenset[str] = frozenset(),
        on_bad: OnBad | None = None,
        *,
        options: ReadOptions | None = None,
        on_progress: OnProgress = lambda _what, _share: None,
    ) -> None:
        """Open the files and find out what they mean; raises UnusableSource, or SourceError where a later try may
        help. If `symbols` are given, only their rows are read. `on_progress` is told of work that takes long, here
        and before the first row."""
        self.path = path
        self.bad: Counter[str] = Counter()
        """How many rows were skipped, by reason."""
        self.bad_lines: dict[str, list[int | str]] = {}
        """The first lines that were skipped for each reason, counted from 1; of several files with their names."""
        self._on_bad = on_bad
        self._on_progress = on_progress
        self._abandoned = False
        self._ended = False
        self._passes: dict[Part, Pass] = {}
        self._sorter = Sorter()
        self._again = Counter[str]()
        """How many bars were left out since they come again, by why."""
        self._came = 0
        """How many rows came out so far."""
        self._overlap = Overlap(lambda number: self.parts[number].name)
        self._iterator = self._played()
        self.parts: list[Part] = []
        """The files; once the first row was read, in order of their first rows."""
        self.unread: list[str] = []
        """Files in a folder or a zip that are no data by their names."""
        found = members(path, self.unread.append)
        for number, member in enumerate(found):
            if number:
                on_progress("opening files", number / len(found))
            self.parts.append(Part(member, options or ReadOptions(), symbols))
        check_zones(self.parts)
        check_dates(self.parts)

    @property
    def rows(self) -> int:
        """How many rows were read so far; headers and blank lines do not count."""
        return sum(rows.rows for rows in self._passes.values())

    @property
    def filtered(self) -> int:
        """How many rows were of symbols that are not wanted."""
        return sum(rows.filtered for rows in self._passes.values())

    @property
    def twice(self) -> int:
        """How many rows were left out since two files hold them."""
        return self._overlap.twice

    @property
    def left_out(self) -> Counter[str]:
        """How many rows were left out on purpose so far, by why."""
        return sum((part.understanding.left_out for part in self._passes), self._again)

    @property
    def doubtful(self) -> Counter[str]:
        """How many quotes were left out of rows that were used, `bid` or `ask`."""
        return sum((part.understanding.doubtful for part in self._passes), Counter())

    @property
    def share(self) -> float:
        """The share that came out, from 0 to 1: of the bytes that were read, those of the rows that still wait in a
        buffer or to be sorted left out."""
        if self._ended:
            return 1.0
        whole = sum(part.member.size for part in self.parts)
        read = sum(
            part.member.size * (1.0 if rows.is_finished else part.member.share) for part, rows in self._passes.items()
        )
        usable = self.rows - self.filtered - self.twice - self.bad.total() - self.left_out.total()
        return read / max(1, whole) * min(1.0, self._came / max(1, usable))

    def abandon(self) -> None:
        """End the iteration early, even within a long line. Another thread calls it, and discards the rows it has."""
        self._abandoned = True
        for part in self.parts:
            part.member.abandon()
        self._sorter.abandon()

    def close(self) -> None:
        self._ended = True
        self._iterator.close()
        self._sorter.close()

    def __iter__(self) -> Iterator[Row]:
        """Yield the usable rows in order of time. Raises SourceError or UnusableSource if the rest cannot be read,
        and MissingExtra where rows must be sorted and are too many for memory."""
        return self._iterator

    def _played(self) -> Generator[Row]:
        rows = merged(self._streams())
        if any(part.understanding.kind == "bars" for part in self.parts):
            rows = newest_of_bars(rows, self._again)
        if len(self.parts) > 1:
            rows = self._overlap.once(rows)
        for entry in rows:
            if self._abandoned:
                return
            self._came += 1
            yield entry[ROW]
        self._ended = True

    def _streams(self) -> list[Series]:
        """The rows of each file that is in order; those of all others together."""
        for number, part in enumerate(self.parts):
            if number:
                self._on_progress("looking at files", number / len(self.parts))
            part.look(self._on_progress)
        self.parts.sort(key=lambda part: (part.first, part.name))
        check_symbols(self.parts)
        together = most_at_once(self.parts) > MOST_OPEN
        for part in self.parts:
            part.is_ordered = part.is_ordered and not together
        streams = [Series(part.first, partial(self._in_order, part)) for part in self.parts if part.is_ordered]
        if unordered := [part for part in self.parts if not part.is_ordered]:
            streams.append(Series(-1, partial(self._sorted, unordered)))
        return streams

    def _entries(self, part: Part) -> Iterator[Entry]:
        self._passes[part] = rows = part.rows(partial(self._bad, part))
        return entries(rows, self.parts.index(part), newest_first=part.newest_first)

    def _in_order(self, part: Part) -> Iterator[Entry]:
        return without_strays(reordered(self._entries(part), self._refuse), self._refuse)

    def _sorted(self, parts: Sequence[Part]) -> Iterator[Entry]:
        for number, part in enumerate(parts):
            for entry in self._entries(part):
                self._sorter.add(entry)
                if self._sorter.rows % _PROGRESS_ROWS == 0:
                    self._on_progress("sorting", (number + part.member.share) / len(parts))
        yield from without_strays(self._sorter.sorted(), self._refuse)

    def _refuse(self, entry: Entry, error: BadRow) -> None:
        self._bad(self.parts[entry[MEMBER]], entry[LINE], error)

    def _bad(self, part: Part, line: int, error: BadRow) -> None:
        self.bad[error.reason] += 1
        lines = self.bad_lines.setdefault(error.reason, [])
        if len(lines) < MOST_LINES:
            lines.append(line if len(self.parts) == 1 else f"{part.name}:{line}")
        if self._on_bad is not None:
            told = error if len(self.parts) == 1 else BadRow(error.reason, f"{part.name}: {error.detail}")
            self._on_bad(line, told)
