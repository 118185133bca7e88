"""When the bars of a file are published: their length, and what their times are."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, tzinfo

from cottage.files.cell_table import Ambiguous, Guess
from cottage.files.cells.walls import is_date
from cottage.files.meaning import bars
from cottage.files.meaning.case import Case
from cottage.files.meaning.file_names import DAY
from cottage.files.meaning.moments import reader_of, stamps_of_symbols


def publish_bars(case: Case) -> tuple[str, str, bars.BarLength | None]:
    """What is stamped, and from where that is known; the length of a bar. Rows come at the ends of bars."""
    stamped, source = _stamped(case)
    length = bars.length_by_gaps(stamps_of_symbols(case), stated_length(case))
    if length is None and stamped == "open" and are_dates(case):
        length = bars.BarLength(DAY)
        case.notes.append("no symbol has rows of two dates: bars stamped with a date are taken to last a day")
    case.parts.length = length.micros if length else None
    rule = case.reader.rule.rule if case.reader.rule else UTC
    if stamped == "close":
        if are_dates(case):
            _publish_after_dates(case, rule)
        return stamped, source, length
    if length is None:
        raise Ambiguous(
            Guess(
                f"{case.sample.name}: when a bar ends, since bars have no one length and are stamped with their "
                f"open, such as {case.sample.first_line()}",
                "a bar's time is its open",
                "its close, as of bars by ticks or by volume",
                "STAMP=close",
            )
        )
    case.parts.end = bars.end_of(length, rule)
    if "finished" not in case.roles:
        case.notes.append("whether the last bar is finished, the file does not say")
    return stamped, source, length


def _publish_after_dates(case: Case, rule: tzinfo) -> None:
    """A date alone that is a bar's close is its last day: it is published when that day ends, in the zone."""
    times, end = case.parts.times, bars.end_of(bars.BarLength(DAY), rule)

    def ends(cells: Sequence[str]) -> tuple[int, int | None]:
        date, event_time = times(cells)
        return end(date), event_time

    case.parts.times, case.parts.date = ends, bars.date_before(rule)
    case.notes.append("a date alone is a bar's last day: bars are published when that day ends")


def are_dates(case: Case) -> bool:
    """Whether times are dates alone."""
    return len(case.main) == 1 and all(map(is_date, case.sample.examples(case.main[0])))


def _stamped(case: Case) -> tuple[str, str]:
    if case.options.stamp:
        return case.options.stamp, "STAMP="
    if "time" not in case.roles and "date" not in case.roles and "end" in case.roles:
        return "close", f"column {case.sample.label(case.roles['end'])}"
    if case.vendor and case.vendor.stamp:
        return case.vendor.stamp, case.vendor.name
    case.guesses.append(Guess("what a bar's time is", "its open", "its close", "STAMP=close"))
    return "open", "the safe side"


def stated_length(case: Case) -> int | None:
    """The length by a column of ends, else by the file's name."""
    place = case.roles.get("end")
    if place is not None and case.main != (place,):
        ends = reader_of(case, [place]).times
        spans = [b - a for a, b in zip(case.stamps, ends, strict=True) if a is not None and b is not None and b > a]
        if spans:
            span = Counter(spans).most_common(1)[0][0]
            return span + 1 if span % 1000 else span if span % 1_000_000 == 0 else span + 1000
    return case.named.length
