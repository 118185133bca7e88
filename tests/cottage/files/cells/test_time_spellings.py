"""A moment in any spelling is read back, or refused, but never as another one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cottage.errors import UnusableSource
from cottage.files.cells.times import TimeContext, time_reader
from cottage.files.options import ReadOptions
from cottage.files.rows import BadRow

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
NEW_YORK = ZoneInfo("America/New_York")

DATES: list[Callable[[datetime], str]] = [
    lambda day: f"{day:%Y-%m-%d}",
    lambda day: f"{day:%Y/%m/%d}",
    lambda day: f"{day:%Y.%m.%d}",
    lambda day: f"{day:%Y%m%d}",
    lambda day: f"{day:%d.%m.%Y}",
    lambda day: f"{day:%m/%d/%Y}",
    lambda day: f"{day:%d/%m/%Y}",
    lambda day: f"{day.month}/{day.day}/{day:%Y}",
    lambda day: f"{day.day}-{day.month}-{day:%y}",
    lambda day: f"{day:%d-%b-%Y}",
    lambda day: f"{day:%b} {day.day}, {day:%Y}",
    lambda day: f"{day:%a, %d %b %Y}",
]
CLOCKS: list[tuple[Callable[[datetime], str], int]] = [
    (lambda time: f"{time:%H:%M}", 60_000_000),
    (lambda time: f"{time:%H:%M:%S}", 1_000_000),
    (lambda time: f"{time.hour}:{time:%M:%S}", 1_000_000),
    (lambda time: f"{time:%H:%M:%S}.{time.microsecond // 1000:03}", 1000),
    (lambda time: f"{time:%H:%M:%S},{time.microsecond // 1000:03}", 1000),
    (lambda time: f"{time:%H:%M:%S}:{time.microsecond // 1000:03}", 1000),
    (lambda time: f"{time:%H:%M:%S.%f}", 1),
    (lambda time: f"{time:%H:%M:%S.%f}789", 1),
    (lambda time: f"{time:%H%M}", 60_000_000),
    (lambda time: f"{time:%H%M%S}", 1_000_000),
    (lambda time: f"{time:%H%M%S}{time.microsecond // 1000:03}", 1000),
    (lambda time: f"{time:%H%M%S.%f}", 1),
    (lambda time: f"{time:%I:%M %p}", 60_000_000),
    (lambda time: f"{int(f'{time:%I}')}:{time:%M:%S %p}", 1_000_000),
    (lambda time: f"{time:%I:%M:%S.%f %p}", 1),
    (lambda time: f"{time:%I-%p}", 3_600_000_000),
]
ZONES: list[tuple[str, timezone | ZoneInfo]] = [
    ("", UTC),
    ("Z", UTC),
    (" UTC", UTC),
    ("+00:00[UTC]", UTC),
    ("+05:30", timezone(timedelta(hours=5, minutes=30))),
    ("-0500", timezone(timedelta(hours=-5))),
    (" GMT+0100", timezone(timedelta(hours=1))),
    (" EST", timezone(timedelta(hours=-5))),
    (" America/New_York", NEW_YORK),
]
COUNTS: list[tuple[Callable[[int], str], int]] = [
    (lambda micros: f"{micros // 1_000_000}", 1_000_000),
    (lambda micros: f"{micros // 1_000_000}.{micros % 1_000_000:06}", 1),
    (lambda micros: f"{micros // 1_000_000}.{micros % 1_000_000:06}".rstrip("0").rstrip("."), 1),
    (lambda micros: f"{micros // 1000}", 1000),
    (lambda micros: f"{micros / 1000}", 1),
    (lambda micros: f"{micros}", 1),
    (lambda micros: f"{micros * 1000}", 1),
    (lambda micros: f"{micros // 1000:.4E}", 1000),
    (lambda micros: f"{micros // 1000:.12E}", 1000),
    (lambda micros: f"{float(micros * 1000)!r}", 1),
    (lambda micros: f"{micros / 86_400_000_000 + 25_569:.6f}", 1_000_000),
    (lambda micros: f"{micros / 86_400_000_000 + 25_569:.10f}", 1000),
    (lambda micros: f"{micros / 86_400_000_000 + 25_569:.4f}", 60_000_000),
    (lambda micros: f"{micros / 86_400_000_000 + 25_569:.2f}", 60_000_000),
    (lambda micros: f"{EPOCH + micros * MICROSECOND:%Y%m%d}", 86_400_000_000),
    (lambda micros: f"{EPOCH + micros * MICROSECOND:%Y%m%d%H}", 3_600_000_000),
    (lambda micros: f"{EPOCH + micros * MICROSECOND:%Y%m%d%H%M}", 60_000_000),
    (lambda micros: f"{EPOCH + micros * MICROSECOND:%Y%m%d%H%M%S}", 1_000_000),
    (lambda micros: f"{EPOCH + micros * MICROSECOND:%Y%m%d%H%M%S%f}", 1),
]

starts = st.integers(946_684_800_000_000, 2_000_000_000_000_000)  # from 2000 to 2033
steps = st.lists(
    st.one_of(st.integers(0, 10**6), st.integers(0, 10**9), st.integers(0, 10**12), st.just(60_000_000)), max_size=40
)


def times_of(start: int, gaps: list[int], resolution: int) -> list[int]:
    """Moments in order, in microseconds, on a grid."""
    found = [start]
    for gap in gaps:
        found.append(found[-1] + gap)
    return [each // resolution * resolution for each in found]


def never_another(columns: list[list[str]], times: list[int], options: ReadOptions, context: TimeContext) -> None:
    """Read columns that spell these times: each is read as it is, or refused."""
    try:
        reader = time_reader([(f"c{place}", column) for place, column in enumerate(columns)], options, context)
        found = [_read(reader.read, cells) for cells in zip(*columns, strict=True)]
    except UnusableSource:
        return
    # A guess may be wrong, as long as it is told and makes no difference to order and spacing.
    dates = [guess for guess in reader.guesses if "date" in guess.what]
    if any("since midnight" in guess.other for guess in reader.guesses):
        return
    read = [(time, right) for time, right in zip(found, times, strict=True) if time is not None]
    apart = {time - right for time, right in read}
    assert apart <= {0} or (dates and len(apart) == 1), (columns, apart)


def _read(read: Callable[[tuple[str, ...]], int], cells: tuple[str, ...]) -> int | None:
    try:
        return read(cells)
    except BadRow:
        return None


def spelled(micros: int, zone: timezone | ZoneInfo) -> datetime:
    return (EPOCH + micros * MICROSECOND).astimezone(zone)


@settings(max_examples=400, deadline=None)
@given(
    start=starts,
    gaps=steps,
    date=st.sampled_from(DATES),
    clock=st.sampled_from(CLOCKS),
    zone=st.sampled_from(ZONES),
    mark=st.sampled_from([" ", "T", "D", "  ", ", "]),
    newest_first=st.booleans(),
)
def test_dates_with_times_of_day(
    start: int,
    gaps: list[int],
    date: Callable[[datetime], str],
    clock: tuple[Callable[[datetime], str], int],
    zone: tuple[str, timezone | ZoneInfo],
    mark: str,
    newest_first: bool,
) -> None:
    assume(clock[1] <= 60_000_000 or zone[0] != "+05:30")  # hours on their own, half an hour from UTC
    times = times_of(start, gaps, clock[1])
    times = times[::-1] if newest_first else times
    moments = [spelled(time, zone[1]) for time in times]
    cells = [f"{date(moment)}{mark}{clock[0](moment)}{zone[0]}" for moment in moments]
    never_another([cells], times, ReadOptions(), TimeContext())


@settings(max_examples=200, deadline=None)
@given(
    start=starts,
    gaps=steps,
    date=st.sampled_from(DATES),
    clock=st.sampled_from(CLOCKS),
    clock_first=st.booleans(),
    lost_zeros=st.booleans(),
)
def test_dates_beside_times_of_day_in_a_zone(
    start: int,
    gaps: list[int],
    date: Callable[[datetime], str],
    clock: tuple[Callable[[datetime], str], int],
    clock_first: bool,
    lost_zeros: bool,
) -> None:
    times = times_of(start, gaps, clock[1])
    moments = [spelled(time, NEW_YORK) for time in times]
    clocks = [clock[0](moment) for moment in moments]
    clocks = [text.lstrip("0") or "0" for text in clocks] if lost_zeros and all(map(str.isdigit, clocks)) else clocks
    columns = [[date(moment) for moment in moments], clocks]
    zone = ReadOptions(zone="America/New_York")
    never_another(columns[::-1] if clock_first else columns, times, zone, TimeContext())


@settings(max_examples=400, deadline=None)
@given(start=starts, gaps=steps, count=st.sampled_from(COUNTS))
def test_numbers(start: int, gaps: list[int], count: tuple[Callable[[int], str], int]) -> None:
    times = times_of(start, gaps, count[1])
    never_another([[count[0](time) for time in times]], times, ReadOptions(), TimeContext())


@settings(max_examples=200, deadline=None)
@given(
    gaps=st.lists(st.integers(0, 2 * 10**9), max_size=40),
    start=st.integers(0, 40_000_000_000),
    power=st.sampled_from([6, 3, 0, -3, None, 2]),
)
def test_times_of_day_with_the_date_in_the_name(gaps: list[int], start: int, power: int | None) -> None:
    # Microseconds of the first 70 minutes of a day are seconds since 1970 as well. No vendor writes them.
    start += 4_200_000_000 if power in (0, -3) else 0
    day = datetime(2025, 1, 2, tzinfo=UTC)
    midnight = (day - EPOCH) // MICROSECOND
    times = [time for time in times_of(midnight + start, gaps, 1_000_000) if time < midnight + 86_400_000_000]
    if power is None:
        cells = [f"{EPOCH + time * MICROSECOND:%H%M%S}".lstrip("0") or "0" for time in times]
    elif power == 2:
        cells = [f"{EPOCH + time * MICROSECOND:%H%M%S%f}" for time in times]
    else:
        cells = [
            f"{(time - midnight) * 10 // 10 ** (power + 1) if power >= 0 else (time - midnight) * 1000}"
            for time in times
        ]
    never_another([cells], times, ReadOptions(), TimeContext(day=day.date()))
