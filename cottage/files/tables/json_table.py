"""JSON and JSON lines: messages as they came from a websocket, answers of an HTTP API, what pandas writes."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from cottage.errors import UnusableSource
from cottage.files.cell_table import Guess, OnBad
from cottage.files.cells.times import is_time
from cottage.files.rows import BadRow
from cottage.files.tables.json_records import NoRecords, Record, decoded, records, widths
from cottage.files.tables.members import Member
from cottage.files.tables.text_lines import blocks_of, head_of, lines_of, shown_line, unicode_of

LARGEST_DOCUMENT = 256 * 1024 * 1024
"""Bytes of one JSON value, which has to be in memory as a whole, in several times as many bytes."""
MOST_VALUES = 32 * 1024 * 1024
"""Values in it, each of which takes some 60 bytes: rows of prices that fill a document have no more, but brackets
alone would."""
_SAMPLE_BYTES = 32 * 1024 * 1024
"""So much text tells the columns, where that is less than _SAMPLE rows: each may be as long as _LONGEST_LINE."""
_LONGEST_LINE = 4 * 1024 * 1024
_SAMPLE = 10_000
"""So many rows of JSON lines tell the columns."""
_STAMPED = re.compile(r"([^{\[]+?)\s+(?=[{\[])")
RECEIVED = "local_timestamp"
"""The column of the time that a recorder writes before each message."""
_WHY_TOO_LONG = "write it as JSON lines, one object or list a line, which may be of any size"


class JsonTable:
    """The cells of a JSON file. Where each line is a value by itself, what is wrong with one costs that line only."""

    plain_numbers = True

    def __init__(self, member: Member) -> None:
        """Find out where its rows are. Raises UnusableSource, or SourceError where a later try may help."""
        self.name = member.name
        self.guesses: list[Guess] = []
        self._member = member
        with member.open() as stream:
            head, whole = head_of(stream)
        self._encoding, _ = unicode_of(head) or ("utf-8", 0)
        self._has_lines = _are_lines(head.decode(self._encoding, "replace"), whole)
        self.spelled = "JSON lines" if self._has_lines else "JSON"
        found = self._records(lambda *_bad: None)
        rows = list(_sampled(found) if self._has_lines else (record for _, record in found))
        if not rows:
            raise UnusableSource(
                f"{self.name} holds no rows: it begins with {shown_line(head.decode(errors='replace'))}"
            )
        self._width = widths(rows)
        self.names = None if self._width else tuple(dict.fromkeys(name for row in rows for name in row))

    def rows(self, on_bad: OnBad) -> Iterator[tuple[int, Sequence[str]]]:
        names = self.names
        known = set(names or ())
        for number, record in self._records(on_bad):
            if isinstance(record, list):
                if len(record) == self._width:
                    yield number, record
                else:
                    on_bad(number, BadRow("fields", f"{len(record)} of them, not {self._width or 'by name'}"))
            elif names is None:
                on_bad(number, BadRow("fields", "by name, where others are in order"))
            elif record.keys() <= known:
                yield number, [record.get(name, "") for name in names]
            else:
                new = ", ".join(record.keys() - known)
                on_bad(number, BadRow("fields", f"{new}: none of the first {_SAMPLE} rows has such a field"))

    def places(self) -> Iterator[Sequence[Sequence[str]]]:
        return iter(())

    def _records(self, on_bad: OnBad) -> Iterator[tuple[int, Record]]:
        with self._member.open() as stream:
            if not self._has_lines:
                yield from self._of_document(stream.read(LARGEST_DOCUMENT + 1))
                return
            number = 0
            for lines, _is_plain, _has_end in lines_of(blocks_of(stream), self._encoding, longest=_LONGEST_LINE):
                for line in lines:
                    number += 1
                    try:
                        message, received = _unstamped(line)
                        for value in decoded(message):
                            for record in records(value, is_message=True, around=received):
                                yield number, record
                    except NoRecords as error:
                        on_bad(number, BadRow("fields", str(error)))
                    except (ValueError, RecursionError) as error:
                        on_bad(number, BadRow("json", f"{error}: {shown_line(line)}"))

    def _of_document(self, content: bytes) -> Iterator[tuple[int, Record]]:
        if len(content) > LARGEST_DOCUMENT:
            raise UnusableSource(
                f"{self.name} is one JSON value of more than {LARGEST_DOCUMENT} bytes: {_WHY_TOO_LONG}"
            )
        if sum(map(content.count, (b",", b"[", b"{"))) > MOST_VALUES:
            raise UnusableSource(f"{self.name} is one JSON value of more than {MOST_VALUES} values: {_WHY_TOO_LONG}")
        text = content.decode(self._encoding, "replace").removeprefix("\ufeff")
        number = 0
        try:
            for value in decoded(text):
                for record in records(value, is_message=False):
                    number += 1
                    yield number, record
        except NoRecords as error:
            raise UnusableSource(f"{self.name}: {error}; it begins with {shown_line(text)}") from None
        except (ValueError, RecursionError) as error:
            raise UnusableSource(f"{self.name} is broken or cut short ({error}): get the file again") from None


def _sampled(found: Iterator[tuple[int, Record]]) -> Iterator[Record]:
    """The first rows, by which the columns are told."""
    size = 0
    for _, record in islice(found, _SAMPLE):
        yield record
        cells = record if isinstance(record, list) else [*record, *record.values()]
        size += sum(map(len, cells))
        if size > _SAMPLE_BYTES:
            return


def looks_like_json(head: bytes) -> bool:
    """Whether a text that begins so is JSON: an object or a list, also behind the time at which it was received."""
    encoding, _ = unicode_of(head) or ("utf-8", 0)
    text, _ = _unstamped(head[:4096].decode(encoding, "replace").removeprefix("\ufeff").lstrip())
    return text[:1] == "{" or (text[:1] == "[" and text[1:].lstrip()[:1] in set('[{"]-0123456789tfn'))


def _unstamped(line: str) -> tuple[str, dict[str, str]]:
    """A message without the time that a recorder wrote before it, and that time by its name."""
    if line[:1] in ("{", "[") or (found := _STAMPED.match(line)) is None or not is_time(found[1]):
        return line, {}
    return line[found.end() :], {RECEIVED: found[1]}


def _are_lines(text: str, whole: bool) -> bool:
    """Whether most lines are values by themselves."""
    lines = [line for line in text.removeprefix("\ufeff").splitlines() if line.strip()]
    if not whole:
        lines.pop()
    tried = lines[:100]
    return len(lines) > 1 and sum(map(_is_value, tried)) > len(tried) / 2


def _is_value(line: str) -> bool:
    try:
        return bool(list(decoded(_unstamped(line)[0]))) and line.rstrip()[-1:] != ","
    except (ValueError, RecursionError):
        return False
