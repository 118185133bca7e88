"""The times of a file's rows: which columns they are in, which of two decides, and which way rows go."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from cottage.errors import UnusableSource
from cottage.files.cells.times import TimeContext, TimeReader, is_time, time_reader
from cottage.files.columns import (
    Roles,
    time_places,
)
from cottage.files.meaning.case import Case, place_of
from cottage.files.meaning.row_reader import (
    Cells,
    Times,
)
from cottage.files.meaning.sample import middle
from cottage.files.rows import BadRow

_CLOCK = re.compile(
    r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?:\s*[AaPp][Mm])?|\d{1,6}|\d{6}\.\d+|[012]\d{8}|[012]\d{11}|[012]\d{14}|\d{1,8}"
)
"""A time of day without a date; numbers up to eight digits may be milliseconds since midnight."""
HALF_A_DAY = 12 * 3600 * 1_000_000
"""Times of day that go back by more have passed midnight."""
_LAGS = 1000
"""So many rows, spread over the sample, tell the lag from the market's time to the receive time."""
_ZONED = re.compile(r"(Z|[+-]\d\d:?\d\d)$")
_COUNTED = re.compile(r"\d{9,}(?:\.\d*)?")
_INDEX = re.compile(r"(?i:|unnamed: ?\d+|index|level_0|__index_level_0__|#|x)")


def stamps_of_symbols(case: Case) -> list[list[int]]:
    """The times of each symbol's rows, oldest first."""
    return [[case.stamps[row] or 0 for row in rows] for rows in rows_of_symbols(case)]


def find_times(case: Case) -> None:
    """How its times are read, and which of two decides when a row is published."""
    roles, sample = case.roles, case.sample
    _choose_time(case)
    main = _main_times(case, roles)
    if not main and "end" in roles:
        main = [roles["end"]]
    if not main and "receive" in roles:
        main = [roles.pop("receive")]
    if not main and (index := _index(case)) is not None:
        main = [index]
    if not main:
        raise UnusableSource(
            f"{sample.name}: no column is known as the time, such as in {sample.first_line()}: TIME= names it"
        )
    if (
        "offset" in roles
        and not _COUNTED.fullmatch((sample.examples(main[0]) or [""])[0])
        and not any(map(_ZONED.search, sample.examples(main[0])[:5]))
    ):
        main.append(roles["offset"])
    case.main = tuple(main)
    case.reader = reader_of(case, main)
    case.stamps, case.reader.times = case.reader.times, []
    received = roles.get("receive")
    case.median_lag = None
    case.published_by = " and ".join(sample.label(place) for place in main)
    if received is None or sample.is_empty(received):
        case.parts.times = _one_time(case, case.reader, main)
        return
    receiver = reader_of(case, [received])
    case.published_by = sample.label(received)
    step = len(sample.rows) // _LAGS + 1
    lags = [
        (arrived - happened) / 1e6
        for happened, cells in zip(case.stamps[::step], sample.rows[::step], strict=True)
        if happened is not None and (arrived := _or_none(receiver.read, [cells[received]])) is not None
    ]
    case.median_lag = middle(lags) if lags else None
    case.parts.times = _two_times(case, case.reader, main, receiver, received)


def _index(case: Case) -> int | None:
    """The column of times, though its name does not say so: an index without a name, or the only one there is."""
    timed = []
    for place in range(case.sample.width):
        examples = case.sample.examples(place)
        if place not in case.roles.values() and examples and all(map(is_time, examples)):
            timed.append(place)
    names = case.sample.names or ()
    unnamed = [place for place in timed if names and _INDEX.fullmatch(names[place].strip())]
    found = unnamed[0] if unnamed else timed[0] if len(timed) == 1 else None
    if found is not None:
        case.roles["time"] = found
    return found


def _choose_time(case: Case) -> None:
    """What TIME= states: a column, or one of two times."""
    roles, choice = case.roles, case.options.time
    if choice == "exchange":
        roles.pop("receive", None)
    elif choice and choice != "receive":
        place = place_of(case, "TIME", choice)
        for name in ("time", "receive", "end", "date", "clock"):
            roles.pop(name, None)
        roles["time"] = place


def _main_times(case: Case, roles: Roles) -> list[int]:
    """The columns of the market's own time: one that has a date in it, else a date and a time of day."""
    named = time_places(case.sample.names) if case.sample.names and not case.options.time and not case.stated else []
    named = [place for place in named if place not in [roles.get(name) for name in ("receive", "end", "date")]]
    candidates = [roles[name] for name in ("time", "clock") if name in roles] + named
    dated = [place for place in candidates if not _is_clock(case, place) and case.sample.examples(place)]
    if dated and ("time" not in roles or roles["time"] in dated or "date" not in roles):
        roles["time"] = _without_guess(case, dated) if named else dated[0]
        return [roles["time"]]
    date = roles.get("date")
    if date is None:
        return candidates[:1]
    if not candidates and _is_clock(case, date) and (index := _index(case)) is not None:
        return [index, date]  # a header that names date and time of day once: its names stand one to the right
    return [date, *candidates[:1]]


def _without_guess(case: Case, places: Sequence[int]) -> int:
    """The first of columns of times; if it states no zone, the first that counts from 1970, where there is one."""
    counted = [place for place in places if all(map(_COUNTED.fullmatch, case.sample.examples(place)))]
    first = case.sample.examples(places[0])
    if case.options.zone or case.vendor or not counted or any(map(_ZONED.search, first)):
        return places[0]
    return counted[0]


def _is_clock(case: Case, place: int) -> bool:
    """Whether a column has times of day without a date."""
    examples = case.sample.examples(place)
    return sum(bool(_CLOCK.fullmatch(text)) for text in examples) >= 0.9 * len(examples)


def reader_of(case: Case, places: Sequence[int]) -> TimeReader:
    zone = case.vendor.zone if case.vendor else ""
    context = TimeContext(
        zone=zone, zone_from=f"{case.vendor.name}'s documentation" if zone and case.vendor else "",
        day=case.named.day,
        unit=case.vendor.unit_of_time if case.vendor else "",
    )  # fmt: skip
    columns = [(case.sample.label(place), case.sample.columns[place]) for place in places]
    return time_reader(columns, case.options, context, _farther(case, places))


def _farther(case: Case, places: Sequence[int]) -> list[list[str]]:
    """Some cells of these columns from further on in a large file."""
    if case.sample.whole:
        return []
    rows = (cells for some in case.table.places() for cells in some if len(cells) == case.sample.width)
    return [[cells[place] for place in places] for cells in rows]


def _one_time(case: Case, reader: TimeReader, places: Sequence[int]) -> Callable[[Cells], Times]:
    read = reader.read
    if len(places) == 1:
        place = places[0]
        return lambda cells: (read((cells[place],)), None)
    return lambda cells: (read([cells[place] for place in places]), None)


def _two_times(
    case: Case, reader: TimeReader, places: Sequence[int], receiver: TimeReader, received: int
) -> Callable[[Cells], Times]:
    """Rows are published when they were received; where that is empty, or before they happened, when they did."""
    read, read_received = reader.read, receiver.read

    def both(cells: Cells) -> Times:
        arrived = cells[received]
        happened_cells = [cells[place] for place in places]
        if not any(cell.strip(" 0") for cell in happened_cells):
            return read_received((arrived,)), None
        happened = read(happened_cells)
        if not arrived.strip() or arrived.strip() == "0":
            return happened, None
        time_ = read_received((arrived,))
        return (time_, happened) if time_ != happened else (time_, None)

    return both


def _symbol_of(case: Case, row: int) -> str:
    place = case.roles.get("symbol")
    return case.sample.rows[row][place] if place is not None else ""


def rows_of_symbols(case: Case) -> list[list[int]]:
    """The rows of each symbol that have a time, oldest first."""
    groups: dict[str, list[int]] = {}
    for row, stamp in enumerate(case.stamps):
        if stamp is not None:
            groups.setdefault(_symbol_of(case, row), []).append(row)
    down = _goes_down(case, groups)
    return [rows[::-1] if down else rows for rows in groups.values()]


def _goes_down(case: Case, groups: dict[str, list[int]]) -> bool | None:
    """Whether times fall from row to row of a symbol; None if they do neither."""
    up = down = 0
    for rows in groups.values():
        for before, after in pairwise(rows):
            a, b = case.stamps[before], case.stamps[after]
            assert a is not None
            assert b is not None
            up += b > a
            down += b < a
    return None if up == down else down > up


def find_order(case: Case) -> None:
    """Which way rows go, and whether ids or sequence numbers go with them."""
    groups: dict[str, list[int]] = {}
    for row, stamp in enumerate(case.stamps):
        if stamp is not None:
            groups.setdefault(_symbol_of(case, row), []).append(row)
    if not groups:
        raise UnusableSource(
            f"{case.sample.name}: no time can be read in {case.sample.first_line()}: TIME= names its column"
        )
    down = _goes_down(case, groups)
    words = case.options.order.split(",")
    case.newest_first = True if "newest-first" in words else False if "oldest-first" in words else down
    _check_midnight(case, groups)
    case.parts.carries_prices = not case.newest_first
    for name in ("sequence", "id"):
        place = case.roles.get(name)
        if place is not None and _counts_rows(case, place, list(groups.values())):
            case.parts.sequence = _whole_number(place)
            return


def _check_midnight(case: Case, groups: dict[str, list[int]]) -> None:
    """Raise UnusableSource where times of day, of which the file's name has the date, go on after midnight."""
    if case.named.day is None or not all(_is_clock(case, place) for place in case.main):
        return
    for rows in groups.values():
        for one, other in pairwise(reversed(rows) if case.newest_first else rows):
            if (case.stamps[one] or 0) - (case.stamps[other] or 0) > HALF_A_DAY:
                raise UnusableSource(
                    f"{case.sample.name}: its times of day pass midnight, and only its name has a date: write the "
                    "date into its rows, or make a file of each day"
                )


def _counts_rows(case: Case, place: int, groups: list[list[int]]) -> bool:
    """Whether a column's whole numbers go up or down with time, nearly always."""
    with_time = against = 0
    for rows in groups:
        column = [(case.stamps[row], case.sample.rows[row][place].strip()) for row in rows]
        if not all(text.isdigit() for _, text in column):
            return False
        for (a, one), (b, other) in pairwise(column):
            assert a is not None
            assert b is not None
            if a != b and int(one) != int(other):
                agree = (a < b) == (int(one) < int(other))
                with_time += agree
                against += not agree
    return against <= 0.01 * (with_time + against)


def _or_none(read: Callable[[Sequence[str]], int], cells: Sequence[str]) -> int | None:
    try:
        return read(cells)
    except BadRow:
        return None


def _whole_number(place: int) -> Callable[[Cells], int]:
    def read(cells: Cells) -> int:
        text = cells[place].strip()
        return int(text) if text.isdigit() and len(text) < 19 else 0

    return read
