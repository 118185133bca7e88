"""Which prints set a price, which count only towards the volume, and which are neither, by their sale conditions.

The consolidated tapes of American shares (CTA and UTP) mark prints whose price is not the market's at that moment: an
average, one agreed before, one that is late. By the tape's rule a last price is not set by odd lots and by prints
outside of the session either. Here those two are in, unless the tape's rule is chosen: they are trades at their
price."""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

from cottage.files.columns import words


class Verdict(NamedTuple):
    """What a print with some conditions counts for."""

    price: bool
    volume: bool
    auction: bool


EVERY = Verdict(price=True, volume=True, auction=False)


class _Codes(NamedTuple):
    """The codes of a vendor by what they do; a code that is not in it does nothing."""

    no_price: frozenset[str]
    """The price is an average's, agreed earlier, or reported late; the volume counts."""
    nothing: frozenset[str]
    """Official opens and closes, which repeat a print."""
    no_volume: frozenset[str]
    off_tape: frozenset[str]
    """Odd lots and prints outside of the session: no last price by the tape's rule."""
    auction: frozenset[str]


_TAPES = _Codes(
    no_price=frozenset("BCGHNPRUVWZ47"),
    nothing=frozenset("MQ"),
    no_volume=frozenset("9"),
    off_tape=frozenset("IT"),
    auction=frozenset("OX56"),
)
_POLYGON = _Codes(
    no_price=words("2 5 7 10 13 20 21 22 29 32 33 52 53"),
    nothing=words("15 16"),
    no_volume=words("38"),
    off_tape=words("12 37"),
    auction=words("8 9 17 18 19 25 28 55"),
)
TABLES = {"tapes": _TAPES, "polygon": _POLYGON}

_TAPES_CELL = re.compile(r"[@A-Z0-9 ](?:,?[@A-Z0-9 ]){0,7}")
CANCELLED = words("10 11 C CANCEL CANCELED CANCELLED BUSTED INCORRECT")
"""Corrections that take a print back. What they take back has been seen, so only they themselves are left out."""
CORRECTED = words("12 CORRECTED")
"""A print is stated again, later than it was traded."""


def look_like_tapes(cells: Iterable[str]) -> bool:
    """Whether cells are conditions of the consolidated tapes, such as `@ TI` or `@,I`."""
    filled = [cell for cell in cells if cell.strip()]
    return any("@" in cell for cell in filled) and all(_TAPES_CELL.fullmatch(cell) for cell in filled)


def verdicts(table: str, choice: str) -> Callable[[str], Verdict]:
    """What a cell of conditions means, by one of TABLES and the option CONDITIONS (`all`, `tape`, or empty)."""
    codes = TABLES[table]

    @lru_cache(4096)
    def verdict(cell: str) -> Verdict:
        found = _codes_of(cell, table)
        auction = not found.isdisjoint(codes.auction)
        if choice == "all":
            return Verdict(price=True, volume=True, auction=auction)
        if not found.isdisjoint(codes.nothing):
            return Verdict(price=False, volume=False, auction=auction)
        silent = codes.no_price | (codes.off_tape if choice == "tape" else frozenset())
        return Verdict(found.isdisjoint(silent), found.isdisjoint(codes.no_volume), auction)

    return verdict


def _codes_of(cell: str, table: str) -> set[str]:
    if table == "tapes":
        return set(cell.upper()) - set(" ,@[]'\"")
    return set(re.findall(r"\d+", cell))
