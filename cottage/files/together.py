"""Whether the files of a recording may be played together: by one clock, and one kind of rows for each symbol."""

import heapq
from collections.abc import Sequence

from cottage.clock import iso_millis
from cottage.errors import UnusableSource
from cottage.files.cell_table import Ambiguous, Guess
from cottage.files.part import Part


def check_zones(parts: Sequence[Part]) -> None:
    """Raise UnusableSource where the zone of one file's times is taken for UTC, and another's is known: one of them
    may be hours early."""
    assumed = [part for part in parts if _is_assumed(part)]
    known = [part for part in parts if not _is_assumed(part)]
    if assumed and known:
        other = known[0].understanding.time
        raise UnusableSource(
            f"the times of {assumed[0].name} state no zone, and those of {known[0].name} are "
            f"{other.zone or other.unit}{other.zone_from and f' by {other.zone_from}'}: play one alone, or write "
            "ZONE=UTC, or another zone, for times that state none"
        )


def check_dates(parts: Sequence[Part]) -> None:
    """Raise Ambiguous where a file's dates may have the day or the month first, as those of a single day may, and
    other files' dates show that the guess makes a difference: they have the day first, or may be of another day."""
    guesses = {guess.what: guess for part in parts for guess in _guesses_of_dates(part)}
    settled = {part.understanding.time.unit.rpartition(", ")[2] for part in parts if not _guesses_of_dates(part)}
    if guesses and ("day first" in settled or (len(guesses) > 1 and "month first" not in settled)):
        guess = next(iter(guesses.values()))
        what = f"{guess.what}, with other dates in other files"
        raise Ambiguous(Guess(what, guess.taken, guess.other, f"ORDER=month-first or {guess.option}"))


def _guesses_of_dates(part: Part) -> list[Guess]:
    return [guess for guess in part.understanding.time.guesses if guess.option.startswith("ORDER=")]


def _is_assumed(part: Part) -> bool:
    zone = part.understanding.time
    return zone.rule is not None and not zone.zone_from


def check_symbols(parts: Sequence[Part]) -> None:
    """`parts`: in order of their first rows, each after `look`. Raise UnusableSource where two hold rows of different
    kinds for one symbol, or of one time, and nothing would tell which of them are the same."""
    latest: dict[str, Part] = {}
    for part in parts:
        for symbol in part.symbols:
            before = latest.get(symbol)
            if before is not None:
                _check_kind(symbol, before, part)
                _check_overlap(symbol, before, part)
            if before is None or part.last > before.last:
                latest[symbol] = part


def _check_kind(symbol: str, one: Part, other: Part) -> None:
    if _kind(one) != _kind(other):
        raise UnusableSource(
            f"{one.name} holds {_kind(one)} of {symbol}, {other.name} {_kind(other)}: play one of them"
        )


def _kind(part: Part) -> str:
    length = part.understanding.bar_length
    return part.understanding.kind if length is None else f"{part.understanding.kind} of {length / 1e6:g} s"


def _check_overlap(symbol: str, one: Part, other: Part) -> None:
    told = (one.is_numbered and other.is_numbered) or one.understanding.kind == "bars"
    if not told and len(one.symbols) == len(other.symbols) == 1 and other.first < one.last:
        raise UnusableSource(
            f"{one.name} and {other.name} both hold {symbol} at {iso_millis(other.first / 1e6)}, and no ids say "
            "which of their rows are the same: play one of them, or files that do not overlap"
        )


def most_at_once(parts: Sequence[Part]) -> int:
    """How many files are to be read side by side, as far as their last rows are known. `parts`: in order of their
    first rows."""
    most = 0
    lasts: list[int] = []
    for part in parts:
        while lasts and lasts[0] < part.first:
            heapq.heappop(lasts)
        heapq.heappush(lasts, part.last)
        most = max(most, len(lasts))
    return most
