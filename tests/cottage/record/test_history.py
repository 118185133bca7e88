from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cottage.errors import HistoryRefusal
from cottage.record import history as history_module
from cottage.record.history import Chosen, History, SymbolHistory
from cottage.record.history_span import BucketGrid, HistorySpan
from cottage.record.record import Record
from cottage.record.record_writer import RecordWriter
from cottage.version import Version
from tests.cottage.record.recorded_history import (
    BEGIN,
    EPOCH,
    MINUTE,
    RUN,
    SECOND,
    add,
    freshness,
    gap,
    recorder,
    sample,
    write,
)  # fmt: skip

MINUTES = HistorySpan(last=3 * MINUTE, step=MINUTE)


def of(folder: Path, span: HistorySpan = MINUTES, symbol: str = "SPY", **more: Any) -> SymbolHistory:
    return History(Record(folder)).points([symbol], span, **more)[symbol]


def column(found: SymbolHistory, name: str) -> list[Any]:
    return found.points[name].to_pylist()  # type: ignore[no-any-return]


@pytest.fixture(params=["ahead", "pieces", "hours", "all three"])
def three_minutes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A price a second for three minutes, in each part of a record, while its recorder runs."""
    rows = [sample(second, price=float(second)) for second in range(180)]
    thirds = [rows[:60], rows[60:120], rows[120:]] if request.param == "all three" else [rows]
    with recorder(tmp_path) as writer:
        for place, part in enumerate(thirds):
            add(writer, samples=part)
            if request.param in ("pieces", "hours") or (place < 2 and len(thirds) > 1):
                writer.roll()
            if request.param == "hours" or (place == 0 and len(thirds) > 1):
                writer.compact(unfinished=True)
        yield tmp_path


def test_wherever_the_rows_are(three_minutes: Path) -> None:
    found = of(three_minutes)
    assert (found.source, found.run, found.grid) == ("simulate", RUN, BucketGrid(BEGIN, MINUTE, 3))
    assert column(found, "count") == [60, 60, 60]
    assert column(found, "close") == [59.0, 119.0, 179.0]
    assert column(found, "partial") == [False, False, True]
    assert column(found, "gaps") == [None, None, None]
    assert found.until == Version(EPOCH, 1800)
    assert found.points.column_names[:3] == ["time", "partial", "count"]
    assert not {"symbol", "first_recorded", "last_recorded", "last_time"}.intersection(found.points.column_names)


def test_a_recorder_that_goes_on_is_followed(tmp_path: Path) -> None:
    with recorder(tmp_path) as writer:
        history = History(Record(tmp_path))
        for second in range(5):
            add(writer, samples=[sample(second, price=float(second))])
            found = history.points(["SPY"], HistorySpan(last=SECOND, step=SECOND))["SPY"]
            assert (column(found, "close"), found.until) == ([float(second)], Version(EPOCH, second * 10 + 10))
            if second == 2:
                writer.roll()


def test_a_bucket_never_holds_two_sources_and_the_current_one_is_named(tmp_path: Path) -> None:
    live = [sample(second, source="live", run=RUN + 50, price=5.0) for second in (50, 70)]
    write(tmp_path, samples=[sample(second) for second in (0, 40, 60)] + live)
    current = of(tmp_path)
    assert (current.source, current.run, column(current, "count")) == ("live", RUN + 50, [0, 1, 1])
    older = of(tmp_path, chosen=Chosen(source="simulate"))
    assert (older.source, column(older, "count")) == ("simulate", [0, 2, 1])


def test_nor_two_runs_of_a_replay(tmp_path: Path) -> None:
    again: Any = {"recorded": BEGIN + 3600 * SECOND, "run": RUN + 3600 * SECOND, "epoch": EPOCH + 1}
    write(tmp_path, samples=[sample(0, price=1.0), sample(70, price=2.0), sample(0, price=9.0, **again)])
    assert (column(of(tmp_path), "count"), column(of(tmp_path), "close")) == ([0, 0, 1], [None, None, 9.0])
    first = of(tmp_path, chosen=Chosen(run=RUN))
    assert (first.run, column(first, "close")) == (RUN, [None, 1.0, 2.0])
    assert of(tmp_path, chosen=Chosen(source="simulate")).run == again["run"]  # the newest of them


def test_each_symbol_has_its_own_current_source(tmp_path: Path) -> None:
    write(tmp_path, samples=[sample(0), sample(5, "QQQ", source="mine", run=RUN + 1), sample(7, "OLD", source=None)])
    found = History(Record(tmp_path)).points(["QQQ", "NONE", "SPY", "OLD"], MINUTES)
    assert [(symbol, each.source) for symbol, each in found.items()] == [
        ("QQQ", "mine"), ("SPY", "simulate"), ("OLD", None),
    ]  # fmt: skip
    assert all(column(each, "count")[-1] == 1 for each in found.values())


def test_a_symbol_that_came_long_ago_is_found(tmp_path: Path) -> None:
    day = 86_400
    rows = [sample(0, "OLD"), sample(10 * day), sample(10 * day - 3600, "OLDER")]
    write(tmp_path, samples=rows)
    found = History(Record(tmp_path)).points(["SPY", "OLD", "OLDER"], HistorySpan(since=BEGIN, until=BEGIN + SECOND))
    assert {symbol: sum(column(each, "count")) for symbol, each in found.items()} == {"SPY": 0, "OLD": 1, "OLDER": 0}


def test_last_counts_back_from_the_newest_event_of_the_source(tmp_path: Path) -> None:
    year = 366 * 86_400 * SECOND
    old = {"at": BEGIN - year, "source": "replay"}
    write(
        tmp_path,
        samples=[sample(0), sample(1, "ES", **old), sample(2, "NQ", **{**old, "at": BEGIN - year + 90 * SECOND})],
    )
    found = of(tmp_path, symbol="ES")
    assert found.grid.end == BEGIN - year + 120 * SECOND  # NQ is of that source too
    assert column(found, "count") == [0, 1, 0]
    assert column(found, "partial") == [False, False, True]


def test_an_event_of_the_year_9999_is_not_what_last_counts_back_from(tmp_path: Path) -> None:
    far = sample(1, "BAD", at=253_402_300_799_000_000)
    write(tmp_path, samples=[sample(0), far, sample(170)])
    found = of(tmp_path, HistorySpan(last=10 * MINUTE, step=MINUTE))
    assert sum(column(found, "count")) == 2
    assert found.grid.end == BEGIN + 4 * MINUTE  # at most a minute after the recorder's clock


def test_gaps_are_laid_over(tmp_path: Path) -> None:
    gaps = [
        gap(30, 70, "missed", "recorder_down"), gap(65, 66, "gap"), gap(10, 20, "break", symbol="QQQ"),
        gap(10, 20, "gap", source="other"), gap(-500, -400, "gap"), gap(170, 175, "correction", since=None),
    ]  # fmt: skip
    write(tmp_path, samples=[sample(0), sample(179)], gaps=gaps)
    found = of(tmp_path)
    assert column(found, "gaps") == [["missed"], ["gap", "missed"], ["correction"]]
    assert [(each["kind"], each["cause"]) for each in found.gaps] == [
        ("gap", None), ("missed", "recorder_down"), ("correction", None),
    ]  # fmt: skip


def test_by_when_it_was_written_gaps_lie_where_they_were_recorded(tmp_path: Path) -> None:
    write(tmp_path, samples=[sample(0), sample(179)], gaps=[gap(0, 1, "missed", recorded=BEGIN + 130 * SECOND)])
    assert column(of(tmp_path, chosen=Chosen(by="written")), "gaps") == [None, None, ["missed"]]


def test_the_worst_freshness_also_of_the_silence_at_a_buckets_end(tmp_path: Path) -> None:
    said = [
        freshness(40, "stale", "market_quiet"), freshness(65, "live", None),
        freshness(70, "stale", "redis_down", "*"),
        freshness(71, "live", None, "*"), freshness(75, "expired", None, "QQQ"), freshness(200, "removed", None),
    ]  # fmt: skip
    write(tmp_path, samples=[sample(0), sample(30), sample(64), sample(100)], freshness=said)
    assert column(of(tmp_path), "freshness") == [None, "stale", "stale"]
    write_more = [sample(130)]
    with recorder(tmp_path) as writer:
        add(writer, samples=write_more)
    assert column(of(tmp_path), "freshness") == ["stale", "stale", "live"]


def test_in_a_replay_freshness_is_told_by_the_recorders_clock(tmp_path: Path) -> None:
    """Three minutes of market pass in three seconds."""
    rows = [sample(second, recorded=BEGIN + 1000 * SECOND + second * SECOND // 60) for second in range(0, 180, 10)]
    said = [
        freshness(1001.5, "stale", "writer_down"),
        freshness(1001.75, "live", None),
        freshness(1003.5, "expired", "feed_ended"),
    ]
    write(tmp_path, samples=rows, freshness=said)
    assert column(of(tmp_path), "freshness") == ["live", "stale", "expired"]


def test_parts_of_a_long_time_are_one_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [sample(second, symbol, price=float(second)) for second in range(180) for symbol in ("SPY", "QQQ")]
    write(tmp_path, samples=rows)
    history = History(Record(tmp_path))
    span = HistorySpan(last=3 * MINUTE, step=10 * SECOND)
    whole = history.points(["SPY", "QQQ"], span)
    monkeypatch.setattr(history_module, "_ROWS_AT_A_TIME", 50)
    parted = history.points(["SPY", "QQQ"], span)
    for symbol, each in whole.items():
        assert parted[symbol].points.equals(each.points)
        assert parted[symbol].until == each.until


def test_each_of_many_symbols_has_what_it_has_alone(tmp_path: Path) -> None:
    """QQQ has an empty minute, DIA none of these, and what was said and what is missing differ."""
    write(
        tmp_path,
        samples=[sample(0), sample(70), sample(130), sample(0, "QQQ"), sample(150, "QQQ"), sample(-500, "DIA")],
        gaps=[gap(30, 70, "missed"), gap(130, 140, "gap", symbol="QQQ"), gap(0, 1, "gap", symbol="DIA")],
        freshness=[freshness(40, "stale", "market_quiet"), freshness(140, "expired", "market_quiet", "QQQ")],
    )
    together = History(Record(tmp_path)).points(["QQQ", "DIA", "SPY"], MINUTES)
    assert [column(together[symbol], "freshness") for symbol in ("QQQ", "DIA", "SPY")] == [
        ["live", None, "expired"], [None, None, None], ["stale", "stale", "stale"],
    ]  # fmt: skip
    for symbol, found in together.items():
        alone = of(tmp_path, symbol=symbol)
        assert found.points.equals(alone.points)
        assert (found.gaps, found.until) == (alone.gaps, alone.until)


def refusal(
    folder: Path, *, symbols: tuple[str, ...] = ("SPY",), span: HistorySpan = MINUTES, **chosen: Any
) -> HistoryRefusal:
    with pytest.raises(HistoryRefusal) as refused:
        History(Record(folder)).points(symbols, span, Chosen(**chosen))
    return refused.value


def test_what_cannot_be_answered_says_why(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere").code == "no_record"
    write(tmp_path, samples=[])
    assert refusal(tmp_path).code == "no_record"
    write(tmp_path, samples=[sample(0, written=None)])
    assert "its sources: simulate" in str(refusal(tmp_path, source="live"))
    assert refusal(tmp_path, run=7).code == "not_recorded"
    assert refusal(tmp_path, by="written").code == "not_recorded"
    before = refusal(tmp_path, span=HistorySpan(since=BEGIN - MINUTE, until=BEGIN - SECOND, step=SECOND))
    assert (before.code, "begins at 2025-11-26T13:00:00.000Z" in str(before)) == ("not_recorded", True)
    many = tuple(f"S{number}" for number in range(100))
    write(tmp_path, samples=[sample(0, symbol) for symbol in many])
    assert (
        refusal(tmp_path, symbols=many, span=HistorySpan(last=5000 * SECOND, step=SECOND)).code == "too_many_points"
    )
    assert History(Record(tmp_path)).points(["NONE"], MINUTES) == {}


@pytest.mark.parametrize("chosen", [{"source": "simulate"}, {"run": RUN}])
def test_a_symbol_without_a_row_of_the_chosen_run_has_no_history(tmp_path: Path, chosen: Any) -> None:
    write(tmp_path, samples=[sample(0), sample(5, "QQQ", source="mine", run=RUN + 1)])
    found = History(Record(tmp_path)).points(["SPY", "QQQ", "NONE"], MINUTES, Chosen(**chosen))
    assert [*found] == ["SPY"]


def test_a_symbol_that_comes_again_after_it_was_removed_is_as_all_are(tmp_path: Path) -> None:
    said = [freshness(30, "expired", "market_quiet"), freshness(50, "removed", None)]
    samples = [sample(20), sample(130)]
    write(tmp_path, samples=samples, freshness=said)
    assert column(of(tmp_path), "freshness") == ["removed", None, "live"]


def test_a_record_of_which_a_file_is_gone_is_not_no_record(tmp_path: Path) -> None:
    with RecordWriter(tmp_path, clock=lambda: BEGIN / 1e6 + 7200) as writer:
        add(writer, samples=[sample(0)])
    [path] = (tmp_path / "samples").rglob("*.parquet")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"13\.parquet"):
        of(tmp_path)
