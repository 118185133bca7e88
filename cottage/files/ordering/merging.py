"""Makes one recording of the rows of several files, each in order of time. recording.py uses it.

Rows of one time come in order of their ids or sequence numbers, those without by the names of their files. Each file
is opened when its first row is due, so that a folder of many days needs no more than one or two at a time.
"""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import NamedTuple

from cottage.clock import iso_millis
from cottage.errors import UnusableSource
from cottage.files.ordering.order import MEMBER, ROW, SEQUENCE, TIME, Entry
from cottage.files.rows import Row


class Series(NamedTuple):
    """The rows of one file, or of several that are sorted together."""

    first: int
    """No row is earlier, in microseconds since 1970."""
    start: Callable[[], Iterator[Entry]]


def merged(streams: Iterable[Series]) -> Iterator[Entry]:
    waiting = sorted(streams, key=lambda stream: stream.first, reverse=True)
    begun: list[tuple[Entry, Iterator[Entry]]] = []  # a heap of what comes next from each
    while begun or waiting:
        while waiting and (not begun or waiting[-1].first <= begun[0][0][TIME]):
            rows = waiting.pop().start()
            _push(begun, next(rows, None), rows)
        if len(begun) == 1:
            entry, rows = begun.pop()
            _push(begun, (yield from _until(waiting[-1].first if waiting else math.inf, entry, rows)), rows)
        elif begun:
            entry, rows = heapq.heappop(begun)
            yield entry
            _push(begun, next(rows, None), rows)


def _push(begun: list[tuple[Entry, Iterator[Entry]]], entry: Entry | None, rows: Iterator[Entry]) -> None:
    if entry is not None:
        heapq.heappush(begun, (entry, rows))


def _until(time: float, entry: Entry | None, rows: Iterator[Entry]) -> Generator[Entry, None, Entry | None]:
    """Yield an entry and those after it up to a time; return the first that is not before it."""
    while entry is not None and entry[TIME] < time:
        yield entry
        entry = next(rows, None)
    return entry


class Overlap:
    """Tells which rows two files both hold, such as a month and one of its days: by their ids, and bars by their
    times. Files of one symbol whose rows alternate, of which none is in both, are refused: each price would be there
    twice, or two markets would be taken for one."""

    def __init__(self, name: Callable[[int], str]) -> None:
        """`name`: that of a member, by its number."""
        self.twice = 0
        """How many rows were left out since another file held them too."""
        self._name = name
        self._owner: dict[str, int] = {}
        """Which member the newest row of a symbol came from."""
        self._left: dict[str, dict[int, int]] = {}
        """Of the members before it, the times of their newest rows."""
        self._alike: set[tuple[int, int]] = set()
        """The pairs of members that were seen to hold the same rows."""

    def once(self, rows: Iterable[Entry]) -> Iterator[Entry]:
        """Yield each row once. Raises UnusableSource."""
        now = -1
        seen: dict[tuple[str, int], Entry] = {}
        for entry in rows:
            if entry[TIME] != now:
                now = entry[TIME]
                seen.clear()
            row = entry[ROW]
            identity = row.symbol, entry[SEQUENCE]
            other = seen.setdefault(identity, entry)
            if other[MEMBER] != entry[MEMBER] and (entry[SEQUENCE] or row.interval is not None):
                self._same(other, entry)
                continue
            owner = self._owner.setdefault(row.symbol, entry[MEMBER])
            if owner != entry[MEMBER]:
                self._follow(row, owner, entry[MEMBER])
            yield entry

    def _same(self, one: Entry, other: Entry) -> None:
        """Both are the same trade or bar; raises UnusableSource if they are not."""
        if _told(one[ROW]) != _told(other[ROW]):
            raise UnusableSource(
                f"{self._name(one[MEMBER])} and {self._name(other[MEMBER])} hold different rows of {one[ROW].symbol} "
                f"for {_shown(one[TIME])}: {_told(one[ROW])}, and {_told(other[ROW])}: play one of them"
            )
        self.twice += 1
        self._alike.add((one[MEMBER], other[MEMBER]))
        self._alike.add((other[MEMBER], one[MEMBER]))

    def _follow(self, row: Row, owner: int, member: int) -> None:
        """Rows of another member follow; raises UnusableSource if some of it came before, and none is in both."""
        left = self._left.setdefault(row.symbol, {})
        if member in left and (member, owner) not in self._alike:
            raise UnusableSource(
                f"{self._name(member)} and {self._name(owner)} both hold {row.symbol} at {_shown(left[member])}, and "
                "no id says which of their rows are the same: play one of them, or files that do not overlap"
            )
        left[owner] = row.time
        self._owner[row.symbol] = member


def _shown(time: int) -> str:
    return iso_millis(time / 1e6)


def newest_of_bars(rows: Iterable[Entry], again: Counter[str]) -> Iterator[Entry]:
    """Yield each bar of a file once, as its last row has it. A recorder writes a bar again and again while it grows,
    and one that asks for pages gets some bars twice. `again` counts the rows before the last, by why. Bars of one
    time that cannot be the same are all yielded."""
    now = -1
    held: list[Entry] = []
    places: dict[tuple[str, int], int] = {}
    for entry in rows:
        if entry[TIME] != now:
            yield from held
            now = entry[TIME]
            held.clear()
            places.clear()
        row = entry[ROW]
        place = places.setdefault((row.symbol, entry[MEMBER]), len(held))
        if place < len(held) and row.interval is not None and (why := _again(held[place][ROW], row)):
            again[why] += 1
            held[place] = entry
        else:
            held.append(entry)
    yield from held


def _again(before: Row, row: Row) -> str:
    """Why a bar may be the one before it, of the same time; empty where it cannot be."""
    if _told(before) == _told(row):
        return "bars that are there twice"
    grown = row.open == before.open and row.high >= before.high and row.low <= before.low
    return "bars that come again, grown" if grown and (row.volume or 0.0) >= (before.volume or 0.0) else ""


def _told(row: Row) -> str:
    told = {"open": row.open, "high": row.high, "low": row.low, "price": row.price, "volume": row.volume}
    return ", ".join(f"{name} {value}" for name, value in told.items())
