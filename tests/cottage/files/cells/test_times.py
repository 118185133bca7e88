from datetime import UTC, date, datetime, timedelta

import pytest

from cottage.errors import UnusableSource
from cottage.files.cell_table import Ambiguous
from cottage.files.cells.times import TimeContext, TimeReader, is_time, time_reader
from cottage.files.options import ReadOptions
from cottage.files.rows import BadRow

SEPTEMBER = datetime(2013, 9, 3, 10, 0, 0, 291_000)


def micros(moment: datetime) -> int:
    return (moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def reader(*columns: list[str], name: str = "time", zone: str = "", order: str = "", **context: object) -> TimeReader:
    named = [(name if place == 0 else f"{name}{place}", cells) for place, cells in enumerate(columns)]
    return time_reader(named, ReadOptions(zone=zone, order=order), TimeContext(**context))  # type: ignore[arg-type]


def moments(*columns: list[str], **more: object) -> list[datetime | None]:
    """What the reader of some columns reads from them."""
    read = reader(*columns, **more).read  # type: ignore[arg-type]
    found: list[datetime | None] = []
    for cells in zip(*columns, strict=True):
        try:
            found.append(datetime(1970, 1, 1) + timedelta(microseconds=read(cells)))
        except BadRow:
            found.append(None)
    return found


@pytest.mark.parametrize(
    "text",
    [
        "2013-09-03T10:00:00.291Z",
        "2013-09-03 10:00:00.291",
        " 2013-09-03T10:00:00.291+00:00 ",
        "2013-09-03T12:00:00.291+02:00",
        "2013-09-03T05:30:00.291000-04:30",
        "2013-09-03T05:30:00,291-0430",
        "2013-09-03T10:00:00.291+00:00[UTC]",
        "2013-09-03 06:00:00.291 US/Eastern",
        "2013-09-03 06:00:00.291 EDT",
        "2013-09-03 06:00:00.291 -0400 EDT",
        "03SEP2013:10:00:00.291",
        "03.09.2013 11:00:00.291 GMT+0100",
        "2013.09.03D10:00:00.291",
        "20130903 100000291",
        "20130903 10:00:00.291",
        "20130903100000291",
        "Sep 3, 2013 10:00:00.291",
        "03-Sep-2013 10:00:00.291 AM",
        "3. September 2013 10:00:00.291",
        "1378202400.291",
        "1378202400,291",
        "1378202400291",
        "1378202400291.0",
        "1378202400291000",
        "1378202400291000000",
        "1.378202400291e9",
    ],
)
def test_one_moment_in_many_forms(text: str) -> None:
    assert moments([text]) == [SEPTEMBER]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-01-13 11-AM", datetime(2025, 1, 13, 11)),
        ("2025-01-13 12-AM", datetime(2025, 1, 13)),
        ("1/13/2025 9:30", datetime(2025, 1, 13, 9, 30)),
        ("1/13/2025 9:30 PM", datetime(2025, 1, 13, 21, 30)),
        ("13/1/2025, 9:30:05 p.m.", datetime(2025, 1, 13, 21, 30, 5)),
        ("20250102 0930", datetime(2025, 1, 2, 9, 30)),
        ("20241103013000", datetime(2024, 11, 3, 1, 30)),
        ("202411030130", datetime(2024, 11, 3, 1, 30)),
        ("2024110301", datetime(2024, 11, 3, 1)),
        ("Thu Jan 02 2025 09:30:00 GMT+0100 (Central European Standard Time)", datetime(2025, 1, 2, 8, 30)),
        ("2025-01-02 24:00", datetime(2025, 1, 3)),
        ("45659.395833", datetime(2025, 1, 2, 9, 30)),
        ("45659.3958346759", datetime(2025, 1, 2, 9, 30, 0, 116_000)),
        ("45659.50000", datetime(2025, 1, 2, 12)),
        ("45659.0", datetime(2025, 1, 2)),
    ],
)
def test_spellings_to_a_minute_or_so(text: str, moment: datetime) -> None:
    assert moments([text]) == [moment]


def test_microseconds_survive_and_nanoseconds_are_cut_off() -> None:
    assert moments(["2013-09-03T10:00:00.291457Z"]) == [SEPTEMBER + timedelta(microseconds=457)]
    assert moments(["2013-09-03T10:00:00.291457999Z"]) == [SEPTEMBER + timedelta(microseconds=457)]
    assert moments(["1378202400.291457"]) == [SEPTEMBER + timedelta(microseconds=457)]


def test_a_date_is_its_midnight_also_without_dashes() -> None:
    for text in ("2013-09-03", "20130903", "2013-09-03T00:00:00Z", "03-Sep-2013", "45659"):
        assert moments([text])[0] == (datetime(2025, 1, 2) if text == "45659" else datetime(2013, 9, 3))


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "nan", "inf", "-1", "-1378202400", "1e999999", "1e20", "2013-13-03", "10:00"),
        *(
            "1_378_202_400",
            "1969-12-31",
            "2101-01-01",
            "1.7357E+12",
            "45659.40",
            "2025-02-30",
            "2025-01-02 24:01",
            "13:00 PM",
        ),
    ],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UnusableSource):
        reader([text])
    with pytest.raises(BadRow) as bad:
        reader(["2013-09-03", "2013-09-04", "2013-09-05"]).read([text])
    assert bad.value.reason == "timestamp"


@pytest.mark.parametrize(
    ("columns", "moment"),
    [
        ([["20250102"], ["153500"]], datetime(2025, 1, 2, 15, 35)),
        ([["153500"], ["20250102"]], datetime(2025, 1, 2, 15, 35)),
        ([["01/13/2025"], ["09:30"]], datetime(2025, 1, 13, 9, 30)),
        ([["2025.01.02"], ["00:00:00.730"]], datetime(2025, 1, 2, 0, 0, 0, 730_000)),
        ([["20250102"], ["93000"], ["123"]], datetime(2025, 1, 2, 9, 30, 0, 123_000)),
        ([["1/13/2025 0:00"], ["9:30 AM"]], datetime(2025, 1, 13, 9, 30)),
        ([["2025-01-02"], ["09:30:00"], ["-05:00"]], datetime(2025, 1, 2, 14, 30)),
        ([["2025-07-02"], ["09:30:00"], ["America/New_York"]], datetime(2025, 7, 2, 13, 30)),
    ],
)
def test_several_columns(columns: list[list[str]], moment: datetime) -> None:
    assert moments(*columns) == [moment]


def test_an_offset_beside_times() -> None:
    for text, moment in (("2025-01-02 09:30", datetime(2025, 1, 2, 14, 30)), ("2025-01-02 14:30Z", None)):
        found = time_reader([("Date-Time", [text]), ("GMT Offset", ["-5"])]).read([text, "-5"])
        assert found == micros(moment or datetime(2025, 1, 2, 14, 30))


@pytest.mark.parametrize(
    ("cells", "unit", "moment"),
    [
        (["093000289906625"], "", datetime(2025, 1, 2, 9, 30, 0, 289_906)),
        (["34200.449096669", "34202.298599300"], "seconds since midnight", datetime(2025, 1, 2, 9, 30, 0, 449_096)),
        (["34200212", "34260246"], "", datetime(2025, 1, 2, 9, 30, 0, 212_000)),
        (["9:30:00.123 AM"], "", datetime(2025, 1, 2, 9, 30, 0, 123_000)),
    ],
)
def test_times_of_day_with_the_date_in_the_files_name(cells: list[str], unit: str, moment: datetime) -> None:
    assert moments(cells, unit=unit, day=date(2025, 1, 2))[0] == moment
    with pytest.raises(UnusableSource, match="no date"):
        reader(cells, unit=unit)


def test_months_are_no_times_of_day() -> None:
    with pytest.raises(UnusableSource, match="'2025-01' is no time"):
        reader(["2025-01", "2025-02"], day=date(2025, 1, 2))


def test_which_texts_are_times() -> None:
    for text in ("2025-01-02", "9:30", "1735689600000", "20250102", "02.01.2025 00:00:00.000 GMT+0100"):
        assert is_time(text)
    for text in ("", "time", "1.5", "1000", "AAPL", "2025-01", "093000", "2025W01"):
        assert not is_time(text)


def test_a_column_of_two_units_is_refused() -> None:
    with pytest.raises(UnusableSource, match="partly in"):
        reader(["1735689600", "1735689600000"] * 30)


def test_a_few_cells_of_another_unit_are_bad_rows() -> None:
    found = moments([*[f"{1_735_689_600 + second}" for second in range(30)], "1735689600000"])
    assert found[0] == datetime(2025, 1, 1)
    assert found[-1] is None


def test_day_and_month() -> None:
    assert moments(["1/2/2025", "1/13/2025"])[0] == datetime(2025, 1, 2)
    assert moments(["1/2/2025", "13/2/2025"])[0] == datetime(2025, 2, 1)
    assert moments(["1.2.2025", "3.2.2025"])[0] == datetime(2025, 2, 1)
    assert moments(["1/2/2025", "3/2/2025"], order="day-first")[0] == datetime(2025, 2, 1)
    with pytest.raises(Ambiguous, match="ORDER=month-first or ORDER=day-first"):
        reader(["1/2/2025", "3/2/2025"])
    with pytest.raises(UnusableSource, match="ORDER=day-first"):
        reader(["1/13/2025"], order="day-first")
    one_day = reader(["1/2/2025 9:30", "1/2/2025 9:31"])
    assert [guess.option for guess in one_day.guesses] == ["ORDER=day-first", "ZONE=America/New_York, for example,"]
    with pytest.raises(Ambiguous):
        one_day.read(["3/2/2025 9:30"])


def test_numbers_since_midnight_are_of_the_coarsest_unit_and_that_is_told() -> None:
    guess = reader(["34200212", "34261246"], day=date(2025, 1, 2)).guesses[0]
    assert (guess.taken, guess.other) == ("milliseconds since midnight", "microseconds since midnight")
    assert not [
        each for each in reader(["34200.449096669", "34261.5"], day=date(2025, 1, 2)).guesses if "34" in each.what
    ]


@pytest.mark.parametrize("cells", [["930"], ["34200", "34201"]])
def test_digits_of_a_time_of_day_that_may_be_seconds_are_refused(cells: list[str]) -> None:
    with pytest.raises(Ambiguous, match="digits of a time of day, or seconds since midnight"):
        reader(cells, day=date(2025, 1, 2))


def test_digits_of_a_time_of_day_that_may_be_milliseconds_are_told() -> None:
    found = reader(["153500", "153501"], day=date(2025, 1, 2))
    assert [guess.other for guess in found.guesses] == ["milliseconds since midnight", "that of the market"]
    many = reader([f"{15 + minute // 60}{minute % 60:02}00" for minute in range(60)], day=date(2025, 1, 2))
    assert [guess.other for guess in many.guesses] == ["that of the market"]


def test_dates_from_further_on_tell_day_from_month() -> None:
    first = [("time", ["01/02/2025 09:30", "01/02/2025 09:31"])]
    assert time_reader(first).guesses[0].what.startswith("the date")
    settled = time_reader(first, farther=[["15/02/2025 09:30"]])
    assert settled.read(["01/02/2025 09:30"]) == micros(datetime(2025, 2, 1, 9, 30))
    with pytest.raises(Ambiguous):
        time_reader(first, farther=[["02/02/2025 09:30"]])


def test_winter_hours_are_taken_for_what_they_mean_and_that_is_told() -> None:
    summer = ["2025-07-02 09:30 EST", "2025-07-02 09:31 EST"]
    assert moments(summer)[0] == datetime(2025, 7, 2, 14, 30)
    assert [guess.option for guess in reader(summer).guesses] == ["ZONE=America/New_York"]
    assert [guess.option for guess in reader(["2025-07-02 09:30"], name="time (EST)").guesses] == [
        "ZONE=America/New_York"
    ]
    assert moments(summer, zone="America/New_York")[0] == datetime(2025, 7, 2, 13, 30)
    both = ["2025-07-02 09:30 EDT", "2025-01-02 09:31 EST", "2025-01-02 09:32 EST"]
    assert moments(both)[:2] == [datetime(2025, 7, 2, 13, 30), datetime(2025, 1, 2, 14, 31)]
    assert reader(both).guesses == []


def test_a_word_for_several_zones_is_refused_until_one_is_stated() -> None:
    cells = ["2025-07-02 09:30 CST"]
    with pytest.raises(UnusableSource, match="'CST', which is the name of several"):
        reader(cells)
    assert moments(cells, zone="America/Chicago") == [datetime(2025, 7, 2, 14, 30)]


def test_which_zone_counts() -> None:
    for name, zone, documented, found in (
        ("Gmt time", "", "America/New_York", "UTC"),
        ("time (Europe/London)", "", "", "Europe/London"),
        ("Gmt time", "America/Chicago", "", "America/Chicago"),
        ("time", "", "America/New_York", "America/New_York"),
    ):
        made = time_reader([(name, ["2025-07-02 09:30"])], ReadOptions(zone=zone), TimeContext(zone=documented))
        assert made.zone == found
    assert reader(["1735689600"], zone="America/New_York").zone == "UTC"


def test_what_a_reader_tells() -> None:
    minutes = reader(["2025-01-02 09:31", "2025-01-02 09:30"])
    assert (minutes.resolution, minutes.newest_first, minutes.zone_from) == (60_000_000, True, "")
    assert reader(["2025-01-02T09:30:00.001Z", "2025-01-02T09:30:00.002Z"]).resolution == 1000
    assert reader(["2025-01-02", "2025-01-03"]).newest_first is False
    assert reader(["2025-01-02"]).newest_first is None
