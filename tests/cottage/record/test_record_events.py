from pathlib import Path
from typing import Any

import pytest

from cottage.errors import HistoryRefusal
from cottage.record import record_events
from cottage.record.history import Chosen, History
from cottage.record.history_span import HistorySpan
from cottage.record.record import Record
from cottage.record.record_events import RecordEvents
from tests.cottage.record.recorded_history import (
    BEGIN,
    EPOCH,
    MINUTE,
    RUN,
    SECOND,
    freshness,
    gap,
    outage,
    regime,
    sample,
    write,
)

HOUR = HistorySpan(last=60 * MINUTE)


def events(folder: Path, **tables: Any) -> RecordEvents:
    record = write(folder, **tables)
    return RecordEvents(record, History(record))


def test_spells_of_regimes_also_those_that_began_before_and_last(tmp_path: Path) -> None:
    changes = [
        regime(0, None, "WAIT"),
        regime(60, "WAIT", "Gaussian", alpha=4.0),
        regime(120, "Gaussian", "Critical"),
        regime(10, "WAIT", "Gaussian", symbol="QQQ"),
        regime(20, "WAIT", "Gaussian", source="other"),
    ]
    asked = events(tmp_path, samples=[sample(0), sample(180)], regimes=changes)
    found = asked.regimes("SPY", HistorySpan(since=BEGIN + 70 * SECOND, until=BEGIN + 130 * SECOND))
    told = [(each["regime"], (each["at"] - BEGIN) // SECOND, each["until"]) for each in found.spells]
    assert told == [("Gaussian", 60, BEGIN + 120 * SECOND), ("Critical", 120, None)]
    assert found.spells[0]["alpha"] == 4.0
    assert (found.run.source, found.run.run) == ("simulate", RUN)
    whole = asked.regimes("SPY", HOUR)
    assert [each["regime"] for each in whole.spells] == ["WAIT", "Gaussian", "Critical"]
    assert whole.until == BEGIN + 180 * SECOND + 1
    early = asked.regimes("SPY", HistorySpan(since=BEGIN, until=BEGIN + 60 * SECOND))
    assert [each["regime"] for each in early.spells] == ["WAIT"]


def test_spells_by_when_they_were_written(tmp_path: Path) -> None:
    late = regime(0, "WAIT", "Critical", written=BEGIN + 50 * SECOND)
    asked = events(
        tmp_path, samples=[sample(0), sample(60)], regimes=[late, regime(1, "Critical", "WAIT", written=None)]
    )
    [spell] = asked.regimes("SPY", HOUR, Chosen(by="written")).spells
    assert (spell["written"], spell["until"]) == (BEGIN + 50 * SECOND, None)


def test_of_a_symbol_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HistoryRefusal) as refused:
        events(tmp_path, samples=[sample(0)]).regimes("NONE", HOUR)
    assert refused.value.code == "no_such_symbol"


@pytest.mark.parametrize("symbol", ["NONE", "QQQ"])
def test_nor_in_the_source_that_was_asked_for(tmp_path: Path, symbol: str) -> None:
    rows = [sample(0), sample(5, "QQQ", source="mine", run=BEGIN + 1)]
    with pytest.raises(HistoryRefusal) as refused:
        events(tmp_path, samples=rows).regimes(symbol, HOUR, Chosen(source="simulate"))
    assert refused.value.code == "no_such_symbol"


def test_a_run_that_begins_with_the_regime_of_the_one_before(tmp_path: Path) -> None:
    again: Any = {"run": RUN + 1, "epoch": EPOCH + 1}
    rows = [sample(0), sample(60, **again), sample(90, **again)]
    rows.append(sample(100, regime="Critical", **again))
    before = regime(0, None, "Gaussian")
    later = regime(100, "Gaussian", "Critical", **again)
    [begin, changed] = events(tmp_path / "changed", samples=rows, regimes=[before, later]).regimes("SPY", HOUR).spells
    assert (begin["regime"], begin["before"], begin["at"]) == ("Gaussian", None, BEGIN + 60 * SECOND)
    assert (begin["until"], changed["regime"], changed["until"]) == (BEGIN + 100 * SECOND, "Critical", None)
    [held] = events(tmp_path / "held", samples=rows[:3], regimes=[before]).regimes("SPY", HOUR).spells
    assert (held["regime"], held["at"], held["until"]) == ("Gaussian", BEGIN + 60 * SECOND, None)


def test_no_regime_is_recorded_of_inputs(tmp_path: Path) -> None:
    assert events(tmp_path, samples=[sample(0, regime=None)]).regimes("SPY", HOUR).spells == []


def test_changes_of_all_symbols_the_newest_first(tmp_path: Path) -> None:
    changes = [
        regime(0, None, "Gaussian", "NEW"),  # no change: it was seen for the first time
        regime(5, "WAIT", "Critical"),
        regime(70, "Critical", "WAIT"),
        regime(80, "Gaussian", "Critical", "QQQ"),
    ]
    said = [freshness(75, "stale", "market_quiet", "IWM"), freshness(76, "stale", "redis_down", "*")]
    asked = events(tmp_path, samples=[sample(0)], regimes=changes, freshness=said)
    found = asked.changes(HistorySpan(last=20 * SECOND))
    assert (found.until, found.since) == (BEGIN + 80 * SECOND + 1, BEGIN + 60 * SECOND + 1)
    assert [(each["kind"], each["symbol"]) for each in found.rows] == [
        ("regime", "QQQ"),
        ("freshness", "*"),
        ("freshness", "IWM"),
        ("regime", "SPY"),
    ]
    assert found.complete

    def symbols(**chosen: Any) -> list[str]:
        return [each["symbol"] for each in asked.changes(HOUR, **chosen).rows]

    assert symbols(kind="freshness") == ["*", "IWM"]
    assert symbols(regime="Critical") == ["QQQ", "SPY"]
    assert symbols(symbols=["SPY"]) == ["*", "SPY", "SPY"]
    assert symbols(symbols=["IWM"], kind="regime") == []


def test_too_many_changes_are_the_newest_and_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_events, "MOST_ROWS", 2)
    asked = events(tmp_path, samples=[sample(0)], freshness=[freshness(each, "stale", None) for each in range(3)])
    found = asked.changes(HOUR)
    assert ([each["recorded"] for each in found.rows], found.complete) == (
        [BEGIN + 2 * SECOND, BEGIN + SECOND],
        False,
    )


def test_gaps_of_a_time(tmp_path: Path) -> None:
    gaps = [gap(0, 5, "gap"), gap(10, 65, "missed", "lagged"), gap(60, 66, "lost", symbol="QQQ")]
    asked = events(tmp_path, samples=[sample(70)], gaps=gaps)
    found = asked.gaps(HistorySpan(last=10 * SECOND))
    assert [(each["symbol"], each["kind"]) for each in found.rows] == [("QQQ", "lost"), ("SPY", "missed")]
    assert [each["kind"] for each in asked.gaps(HOUR, ["SPY"]).rows] == ["missed", "gap"]


def test_outages_are_told_once_with_their_end(tmp_path: Path) -> None:
    told = [outage("redis", 10, None, 10), outage("redis", 10, 20, 20), outage("bridge", 15, None, 15)]
    asked = events(tmp_path, samples=[sample(30)], outages=told)

    def hops(begin: float, end: float) -> list[str]:
        return [each["hop"] for each in asked.outages(BEGIN + round(begin * SECOND), BEGIN + round(end * SECOND))]

    assert hops(0, 10) == []
    assert hops(0, 11) == ["redis"]
    assert hops(19, 19.5) == ["redis", "bridge"]
    assert hops(20, 30) == ["bridge"]
    [redis] = asked.outages(BEGIN, BEGIN + 11 * SECOND)
    assert redis["until"] == BEGIN + 20 * SECOND


def test_the_record_reaches_as_far_as_its_newest_row_of_any_table(tmp_path: Path) -> None:
    assert events(tmp_path, samples=[sample(5)]).reach() == BEGIN + 5 * SECOND
    assert events(tmp_path, freshness=[freshness(9, "stale", "market_quiet")]).reach() == BEGIN + 9 * SECOND
    with pytest.raises(HistoryRefusal) as refused:
        RecordEvents(Record(tmp_path / "none"), History(Record(tmp_path / "none"))).reach()
    assert refused.value.code == "no_record"
    assert EPOCH < RUN
