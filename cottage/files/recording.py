"""Reads a recorded market: the rows of a CSV file, plain or compressed with gzip, as a stream."""

import csv
import errno
import gzip
import io
import math
import stat
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cottage.errors import InvalidMessage, SourceError, UnusableSource
from cottage.files.rows import BadRow, Columns, Row

OnBad = Callable[[int, BadRow], None]
"""A callback for each bad row. It gets the number of the line, counted from 1, and what is wrong with it."""

LONGEST_LINE = 64 * 1024
MOST_LINES = 10
"""So many bad lines are remembered for each reason."""
BUFFER_BYTES = 256 * 1024
"""What is read from the file at once: rows for well over 5 ms, CPython's switch interval. A thread that gives the GIL
up for a read more often takes it back each time before another gets it, and a service's loop stands still."""
_MAY_PASS = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOMEM, errno.ENFILE, errno.EMFILE, errno.EINTR}
"""Of a disk, a file server or a machine in trouble. Any other error is the file's, and stays."""
_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # byte order marks of UTF-16, which spreadsheets write as "Unicode text"


class Recording:
    """One pass over a CSV file; iterate over it for its usable rows. The market service's replay reads one.

    Each row is one line, so a quote that is never closed spoils only its own line. A row that cannot be used is
    skipped and counted by its reason. Rows must be in order of time: a row that is earlier than the one before it is
    skipped. A row that is ahead of the next one is skipped too, if that next one is in order with the rows before:
    a single wrong date would otherwise stop a replay for a century.
    """

    def __init__(self, path: Path, symbols: frozenset[str] = frozenset(), on_bad: OnBad | None = None) -> None:
        """Open the file and read its header; raises UnusableSource, or SourceError where a later try may help. If
        `symbols` are given, only their rows are read."""
        self.path = path
        self.rows = 0
        """How many rows were read so far; the header and blank lines do not count."""
        self.bad: Counter[str] = Counter()
        """How many rows were skipped, by reason."""
        self.bad_lines: dict[str, list[int]] = {}
        """The first lines that were skipped for each reason, counted from 1."""
        self.filtered = 0
        """How many rows were of symbols that are not wanted."""
        self.doubtful: Counter[str] = Counter()
        """How many quotes were left out of rows that were used, `bid` or `ask`."""
        self._symbols = symbols
        self._on_bad = on_bad
        self._line = 0
        self._abandoned = False
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise UnusableSource(f"{path} is not a regular file: set MARKET_FILE to a CSV file")
            self._raw = io.BufferedReader(io.FileIO(path), BUFFER_BYTES)
        except OSError as error:
            kind = SourceError if error.errno in _MAY_PASS else UnusableSource
            raise kind(f"cannot read {path} ({error.strerror}): set MARKET_FILE to a CSV file") from error
        except ValueError as error:
            raise UnusableSource("MARKET_FILE is no file's name") from error
        self._size = max(1, path.stat().st_size)
        # Its first bytes decide whether it is compressed, since the name of a file may be wrong.
        zipped = self._raw.peek(2)[:2] == _GZIP
        self._stream: io.BufferedReader[Any] = self._raw
        if zipped:
            self._stream = io.BufferedReader(gzip.GzipFile(fileobj=self._raw), BUFFER_BYTES)
        try:
            self._columns = self._header()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._stream.close()
        self._raw.close()

    def abandon(self) -> None:
        """End the iteration early, even within a long line. Another thread calls it, and discards the rows it has."""
        self._abandoned = True

    @property
    def share(self) -> float:
        """The share of the file that has been read, from 0 to 1. It is ahead of the rows by one read buffer."""
        return 1.0 if self._raw.closed else min(1.0, self._raw.tell() / self._size)

    def __iter__(self) -> Iterator[Row]:
        """Yield the usable rows in order of time. Raises SourceError or UnusableSource if the rest cannot be read."""
        held: tuple[int, Row] | None = None
        newest = -math.inf
        for line, row in self._parsed():
            if held is None or row.time >= held[1].time:
                if held is not None:
                    newest = held[1].time
                    yield held[1]
                held = line, row
            elif row.time >= newest:
                self._skip(held[0], BadRow("order", "its time is ahead of the next row's"))
                held = line, row
            else:
                self._skip(line, BadRow("order", "its time goes back: the file must be sorted by timestamp"))
        if held is not None:
            yield held[1]

    def _parsed(self) -> Iterator[tuple[int, Row]]:
        for line, text in self._lines():
            if not text.strip():
                continue
            self.rows += 1
            try:
                row = self._columns.parse(_fields(text))
            except BadRow as error:
                self._skip(line, error)
                continue
            if self._symbols and row.symbol not in self._symbols:
                self.filtered += 1
                continue
            yield line, row

    def _doubt(self, error: InvalidMessage) -> None:
        self.doubtful[error.reason] += 1

    def _skip(self, line: int, error: BadRow) -> None:
        self.bad[error.reason] += 1
        lines = self.bad_lines.setdefault(error.reason, [])
        if len(lines) < MOST_LINES:
            lines.append(line)
        if self._on_bad is not None:
            self._on_bad(line, error)

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield every line with its number. A line that is too long is cut and marked, so that it is a bad row."""
        while not self._abandoned and (line := self._next_line()):
            self._line += 1
            while not (line.endswith(b"\n") or self._abandoned) and (rest := self._next_line()):
                line = line[:LONGEST_LINE] + b"\0" + rest[-1:]
            yield self._line, line

    def _next_line(self) -> bytes:
        try:
            return self._stream.readline(LONGEST_LINE)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UnusableSource(
                f"{self.path} after line {self._line}: its gzip data is broken or cut short ({error}): "
                "get the file again"
            ) from error
        except OSError as error:
            raise SourceError(f"{self.path} after line {self._line}: it cannot be read ({error})") from error

    def _header(self) -> Columns:
        first = self._next_line()
        self._line = 1
        if not first:
            raise UnusableSource(f"{self.path} is empty: set MARKET_FILE to a CSV file")
        try:
            if len(first) == LONGEST_LINE:
                raise BadRow("encoding", "its first line has no end")
            if first.startswith(_UTF_16):
                raise BadRow("encoding", "UTF-16")
            return Columns(_fields(first.removeprefix(_BOM)), self._doubt)
        except BadRow as error:
            raise UnusableSource(
                f"{self.path} is no CSV text in UTF-8 ({error.detail}): set MARKET_FILE to one"
            ) from None
        except UnusableSource as error:
            raise UnusableSource(f"{self.path}: {error}") from None


def _fields(line: bytes) -> list[str]:
    """The fields of one line. Raises BadRow if it is not text in UTF-8, or if its quotes are wrong."""
    if b"\0" in line:
        raise BadRow("encoding", "it holds NUL bytes or is too long")
    try:
        text = line.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise BadRow("encoding", f"not UTF-8 from byte {error.start}") from None
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise BadRow("quotes", str(error)) from None
