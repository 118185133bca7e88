"""Puts the rows of a file in order of time as they come: most files are, or nearly. sorting.py sorts those that are
not, merging.py makes one of several; recording.py uses all three.

The key is (time, id or sequence number, place in the file). A file that is told newest first is sorted, with its
places counted backwards: of the rows of one time the last in the file was the first.
"""

from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Final

from cottage.files.rows import BadRow, Row

Entry = tuple[int, int, int, int, int, Row]
"""A row with what it is sorted by: its time, its sequence number, the number of its member, its place there
(backwards where that is newest first); then its line and itself."""
TIME: Final = 0
SEQUENCE: Final = 1
MEMBER: Final = 2
PLACE: Final = 3
LINE: Final = 4
ROW: Final = 5
Refuse = Callable[[Entry, BadRow], None]
"""A callback for each row that is left out."""

REORDER_ROWS = 2048
"""A row may be so many rows from its place; further, it is left out. In 100 ms of a busy market there are no more."""
SAMPLE_ROWS = 20_000
"""So many rows at a file's beginning tell whether it is in order."""
YEAR = 366 * 24 * 3600 * 1_000_000
FAR = 10
"""A stray time lies so many times further from all others than any two of those that follow one another."""
_CHUNK = 1024
_MOST_STRAYS = 0.01


def entries(rows: Iterable[tuple[int, Row]], member: int, *, newest_first: bool = False) -> Iterator[Entry]:
    """The rows of a member, with their lines, as entries."""
    step = -1 if newest_first else 1
    place = 0
    for line, row in rows:
        place += step
        yield row.time, row.sequence, member, place, line, row


def reordered(rows: Iterable[Entry], refuse: Refuse) -> Iterator[Entry]:
    """Put rows in order of which none is further than REORDER_ROWS from its place. Others are refused: one for which
    it is too late, and one that so many rows overtook. So one wrong date in the future stops nothing."""
    held: list[Entry] = []
    newest: Entry | None = None
    place = 0
    for entry in rows:
        place = entry[PLACE]
        if newest is not None and entry < newest:
            refuse(entry, BadRow("order", "its time goes back too far: ORDER=sort sorts the whole file first"))
            continue
        if held and entry < held[-1]:
            insort(held, entry)
        else:
            held.append(entry)
        if len(held) == 2 * REORDER_ROWS:
            _drop_overtaken(held, place, refuse)
            ready = held[:REORDER_ROWS]
            del held[:REORDER_ROWS]
            newest = ready[-1]
            yield from ready
    _drop_overtaken(held, place, refuse)
    yield from held


def _drop_overtaken(held: list[Entry], place: int, refuse: Refuse) -> None:
    """Leave out the last rows that all REORDER_ROWS after them, up to that of `place`, overtook."""
    while held and place - held[-1][PLACE] >= REORDER_ROWS:
        refuse(held.pop(), BadRow("order", f"its time is ahead of the {REORDER_ROWS} rows after it"))


def are_too_many(refused: int, rows: int) -> bool:
    """Whether so many rows out of place show that their file has another order."""
    return refused > rows // 1000 + 1


def without_strays(rows: Iterable[Entry], refuse: Refuse) -> Iterator[Entry]:
    """Leave out the first and the last of rows that are in order where their dates are wild: they lie more than a
    year from all others, and FAR times as far as any two of those that follow one another. A hundredth at most, or
    one row, are taken for such. Otherwise a replay would wait from 1970 until today, or for 2099."""
    iterator = iter(rows)
    held = list(islice(iterator, _CHUNK))
    for _ in range(_strays([entry[TIME] for entry in held], len(held), 0)):
        refuse(held.pop(0), _stray(held[0]))
    number, widest = len(held), 0
    while more := list(islice(iterator, _CHUNK)):
        number += len(more)
        kept = min(_CHUNK, len(held))
        ready = held[:-kept]
        held = held[-kept:] + more
        widest = max(widest, _widest([entry[TIME] for entry in (*ready, held[0])]))
        yield from ready
    strays = _strays([-entry[TIME] for entry in reversed(held)], number, widest)
    end = len(held) - strays
    for entry in held[end:]:
        refuse(entry, _stray(held[end - 1]))
    yield from held[:end]


def _stray(other: Entry) -> BadRow:
    return BadRow("order", f"its time lies more than a year from all others, of which line {other[LINE]} is the next")


def _strays(times: Sequence[int], number: int, widest: int) -> int:
    """How many of the first times are strays; `widest` is the longest time between others than these."""
    for strays in range(min(len(times) - 1, max(1, int(number * _MOST_STRAYS))), 0, -1):
        gap = times[strays] - times[strays - 1]
        if gap > YEAR and gap > FAR * max(widest, _widest(times[strays:])) > 0:
            return strays
    return 0


def _widest(times: Sequence[int]) -> int:
    return max((after - before for before, after in pairwise(times)), default=0)
