from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from cottage.errors import UnusableSource
from cottage.files import recording as recordings
from cottage.files.cell_table import Ambiguous
from cottage.files.options import ReadOptions
from cottage.files.recording import Recording
from cottage.files.rows import Row

TRADES = "timestamp,symbol,price,size,trade_id"
BARS = "open_time,symbol,open,high,low,close,volume"


def folder(path: Path, files: Mapping[str, Sequence[str]]) -> Path:
    for name, lines in files.items():
        (path / name).write_text("\n".join(lines) + "\n")
    return path


def rows_of(path: Path, **options: str) -> list[Row]:
    with closing(Recording(path, options=ReadOptions(**options))) as recording:
        return list(recording)


def trade(second: int, price: float, number: int | str, symbol: str = "BTC-USDT") -> str:
    return f"2025-01-{1 + second // 86_400:02d}T00:00:{second % 60:02d}Z,{symbol},{price},1,{number}"


def bar(minute: int, close: float) -> str:
    high, low = 20 + minute % 3, 5 - minute % 2
    return f"{1_735_689_600 + 60 * minute},BTC-USDT,{10 + minute % 4},{high},{low},{close},7"


@pytest.mark.parametrize("other", ["13/02/2024", "02/02/2024"])
def test_a_day_whose_date_may_have_the_day_first_beside_other_days(tmp_path: Path, other: str) -> None:
    days = ("01/02/2024", other)
    files = {f"SPY-{at}.csv": ["time,price,size", f"{day} 10:00:00,{at},1"] for at, day in enumerate(days, 1)}
    with pytest.raises(Ambiguous, match="ORDER=month-first or ORDER=day-first"):
        Recording(folder(tmp_path, files))
    assert [row.price for row in rows_of(tmp_path, order="day-first")] == [1, 2]


@pytest.mark.parametrize("other", ["01/02/2024", "02/13/2024"])
def test_a_day_whose_date_is_read_month_first_as_other_files_are(tmp_path: Path, other: str) -> None:
    days = ("01/02/2024", other)
    files = {f"S{at}.csv": ["time,price,size", f"{day} 10:00:00,{at},1"] for at, day in enumerate(days, 1)}
    assert [row.price for row in rows_of(folder(tmp_path, files))] == [1, 2]


def test_a_month_a_day_of_it_and_the_next_month(tmp_path: Path) -> None:
    trades = [trade(second, 10 + second, 100 + second) for second in range(50)]
    path = folder(
        tmp_path,
        {
            "2025-01.csv": [TRADES, *trades[:40]],
            "2025-01-15.csv": [TRADES, *trades[10:20]],
            "2025-02.csv": [TRADES, *trades[38:]],
        },
    )
    with closing(Recording(path)) as recording:
        assert [row.price for row in recording] == [10 + second for second in range(50)]
        assert recording.twice == 12
        assert recording.rows == 40 + 10 + 12
        assert recording.share == 1.0


def test_overlapping_files_without_ids_are_refused(tmp_path: Path) -> None:
    trades = [trade(second, 10 + second, "") for second in range(40)]
    path = folder(tmp_path, {"month.csv": [TRADES, *trades], "day.csv": [TRADES, *trades[10:20]]})
    with pytest.raises(UnusableSource, match=r"month\.csv and day\.csv both hold BTC-USDT .*do not overlap"):
        rows_of(path)


def test_overlapping_bars_are_the_same_by_their_times(tmp_path: Path) -> None:
    bars = [bar(minute, 10 + minute / 10) for minute in range(40)]
    path = folder(tmp_path, {"month.csv": [BARS, *bars], "day.csv": [BARS, *bars[10:20]]})
    assert [row.price for row in rows_of(path)] == [10 + minute / 10 for minute in range(40)]
    folder(tmp_path, {"day.csv": [BARS, *bars[10:19], bar(19, 12.5)]})
    with pytest.raises(UnusableSource, match=r"hold different rows of BTC-USDT for 2025-01-01T00:20:00.*12\.5"):
        rows_of(path)


def test_bars_of_two_lengths_for_one_symbol_are_refused(tmp_path: Path) -> None:
    minutes = [bar(minute, 10) for minute in range(40)]
    path = folder(tmp_path, {"1m.csv": [BARS, *minutes], "5m.csv": [BARS, *minutes[::5]]})
    with pytest.raises(UnusableSource, match=r"1m\.csv holds bars of 60 s of BTC-USDT, 5m\.csv bars of 300 s"):
        rows_of(path)


def test_times_of_two_zones_are_refused_unless_one_is_stated(tmp_path: Path) -> None:
    stated = [trade(second, 10, second, "ES") for second in range(10)]
    local = [trade(second, 20, second, "NQ").replace("Z", "") for second in range(10)]
    path = folder(tmp_path, {"a.csv": [TRADES, *stated], "b.csv": [TRADES, *local]})
    with pytest.raises(UnusableSource, match=r"the times of b\.csv state no zone.*ZONE=UTC"):
        rows_of(path)
    assert [row.symbol for row in rows_of(path, zone="UTC")] == ["ES", "NQ"] * 10

    assert len(rows_of(tmp_path / "b.csv")) == 10


@pytest.mark.parametrize("most", [50, 3])
def test_a_file_for_each_symbol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(recordings, "MOST_OPEN", most)
    files = {
        f"S{number}.csv": [TRADES, *(trade(second, 10, second, f"S{number}") for second in range(number, 30))]
        for number in range(10)
    }
    found = [(row.time % 60_000_000 // 1_000_000, row.symbol) for row in rows_of(folder(tmp_path, files))]
    assert found == [(second, f"S{number}") for second in range(30) for number in range(10) if number <= second]


def test_what_is_left_out_is_told_with_its_file(tmp_path: Path) -> None:
    trades = [trade(second, 10, second) for second in range(60)]
    path = folder(tmp_path, {"a.csv": [TRADES, *trades[:30]], "b.csv": [TRADES, *trades[30:], "1,2,3"]})
    complaints = []
    with closing(Recording(path, on_bad=lambda line, error: complaints.append((line, str(error))))) as recording:
        assert len(list(recording)) == 60
        assert recording.bad_lines == {"fields": ["b.csv:32"]}
    assert complaints == [(32, "fields: b.csv: 3 of them, not 5")]
