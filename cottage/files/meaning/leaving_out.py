"""Which rows of a file are left out on purpose: by conditions, corrections, events, and unfinished bars."""

import re
from collections.abc import Callable

from cottage.files.cell_table import Guess
from cottage.files.columns import (
    words,
)
from cottage.files.meaning import conditions
from cottage.files.meaning.case import Case
from cottage.files.meaning.row_reader import (
    Cells,
    correction_of,
)

_UNFINISHED = words("0 false no n f")
_EVENTS = {
    "trades": re.compile(r"(?i:trades?(?:[ _]nb)?|t|last|execution|fill)"),
    "quotes": re.compile(r"(?i:quotes?|q|bbo|nbbo)"),
    "bars": re.compile(r"(?i:bars?|b|candles?|intraday.*)"),
}


def read_conditions(case: Case) -> None:
    place = case.roles.get("conditions")
    if place is None or case.kind != "trades":
        return
    cells = case.sample.columns[place]
    table = case.vendor.conditions if case.vendor else ""
    if not table and conditions.look_like_tapes(cells):
        table = "tapes"
    if not table:
        if not case.sample.is_empty(place):
            case.notes.append(f"{case.sample.label(place)} is of no known table: every print counts")
        return
    verdict = conditions.verdicts(table, case.options.conditions)
    counted = case.parts.by_condition

    def counted_verdict(row: Cells) -> conditions.Verdict:
        counted[row[place]] += 1
        return verdict(row[place])

    case.parts.verdict = counted_verdict
    taken = (
        "all prints that may set a price, and odd lots"
        if not case.options.conditions
        else ("all prints" if case.options.conditions == "all" else "those of the tape's last price")
    )
    if not case.options.conditions:
        case.guesses.append(Guess("which prints count", taken, "those of the tape's rule, or all", "CONDITIONS=tape"))


def leave_out(case: Case) -> None:
    """Which rows are left out: other events than trades, suspicious ones, corrections, unfinished bars."""
    checks: list[Callable[[Cells], str]] = []
    roles = case.roles
    if "event" in roles and (kept := _kept_events(case, roles["event"])):
        checks.append(_unless(roles["event"], kept))
    if "correction" in roles and case.kind == "trades":
        place = roles["correction"]
        checks.append(lambda cells: correction_of(cells[place]))
    if "suspicious" in roles:
        checks.append(_if(roles["suspicious"], frozenset(("1", "true")), "suspicious"))
    if "finished" in roles and case.kind == "bars":
        checks.append(_if(roles["finished"], _UNFINISHED, "unfinished, as the file says"))
    if case.kind == "trades" and case.vendor and case.vendor.name == "TAQ":
        checks.append(lambda cells: "trailer" if cells[0] == "END" else "")
    if len(checks) == 1:
        case.parts.why_left_out = checks[0]
    elif checks:
        case.parts.why_left_out = lambda cells: next((why for check in checks if (why := check(cells))), "")


def _kept_events(case: Case, place: int) -> frozenset[str]:
    """The values of a column of events that are of this kind; empty where it is no column of events."""
    values = {cell.strip() for cell in case.sample.columns[place]}
    if case.kind == "trades" and case.vendor and case.vendor.keep:
        kept = values & case.vendor.keep or case.vendor.keep
    else:
        kept = {each for each in values if _EVENTS[case.kind].fullmatch(each)}
        if not any(_EVENTS[other].fullmatch(each) for other in _EVENTS for each in values):
            return frozenset()
    if values - kept:
        case.notes.append(f"of {case.sample.label(place)} only {', '.join(sorted(kept))} is taken")
    return frozenset(kept)


def _unless(place: int, kept: frozenset[str]) -> Callable[[Cells], str]:
    return lambda cells: "" if cells[place].strip() in kept else f"event {cells[place].strip()}"[:40]


def _if(place: int, values: frozenset[str], why: str) -> Callable[[Cells], str]:
    return lambda cells: why if cells[place].strip().lower() in values else ""
