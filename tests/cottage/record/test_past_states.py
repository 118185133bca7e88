from pathlib import Path
from typing import Any

import pytest

from cottage.errors import HistoryRefusal
from cottage.freshness import Thresholds
from cottage.record.history import History
from cottage.record.past_states import PastState, PastStates
from cottage.record.record import Record
from cottage.record.record_events import RecordEvents
from cottage.version import Version
from tests.cottage.record.recorded_history import BEGIN, EPOCH, SECOND, Row, freshness, outage, sample, write

HOUR = 3600


def past(folder: Path) -> PastStates:
    record = Record(folder)
    return PastStates(record, RecordEvents(record, History(record)))


def at(folder: Path, second: float, symbol: str = "SPY", **more: Any) -> PastState:
    return past(folder).at(symbol, BEGIN + round(second * SECOND), **more)


def chained(*rows: Row) -> list[Row]:
    """The same rows, each of a version that replaced the one before."""
    before: Row = {"epoch": None, "seq": None}
    told = []
    for row in rows:
        told.append({**row, "prev_epoch": before["epoch"], "prev_seq": before["seq"]})
        before = row
    return told


def test_what_held_is_what_was_written_last_until_then(tmp_path: Path) -> None:
    rows = [sample(second, price=100.0 + second, written=BEGIN + second * SECOND + 500_000) for second in range(5)]
    write(tmp_path, samples=[*chained(*rows), sample(2.5, "QQQ")])
    assert at(tmp_path, 2.499999).state.price == 101.0
    held = at(tmp_path, 2.5)
    assert (held.state.price, held.state.version) == (102.0, Version(EPOCH, 30))
    assert (held.state.source, held.state.regime, held.state.samples) == ("simulate", "Gaussian", 500)
    assert held.state.written == BEGIN + 2_500_000
    assert (held.orders, held.replaced, held.outages) == ((), None, [])


def test_its_freshness_is_that_of_a_reader_then_had_every_hop_been_well(tmp_path: Path) -> None:
    down = outage("redis", 5, None, 5)
    write(tmp_path, samples=[sample(0), sample(200, "QQQ")], outages=[down, outage("redis", 5, 20, 20)])
    fresh, stale, expired = (at(tmp_path, second) for second in (3, 12, 70))
    assert (fresh.freshness.status, fresh.freshness.cause, fresh.freshness.age) == ("live", None, 3.0)
    assert (stale.freshness.status, stale.freshness.cause) == ("stale", "market_quiet")
    assert [each["hop"] for each in stale.outages] == ["redis"]
    assert (expired.freshness.status, expired.outages) == ("expired", [])
    assert at(tmp_path, 3, thresholds=Thresholds(2.0, 60.0, 1.0)).freshness.status == "stale"


def test_a_sample_that_came_with_a_version_is_no_version_of_its_own(tmp_path: Path) -> None:
    taken = sample(1, seq=50, number=0, last=False, regime=None, alpha=None, price=99.0)
    write(tmp_path, samples=[taken, sample(1, seq=50, number=1, price=100.0)])
    held = at(tmp_path, 1)
    assert held.state.price == 100.0
    assert [each.price for each in held.state.taken] == [99.0]


def test_where_the_clock_was_set_back_both_orders_are_told(tmp_path: Path) -> None:
    """An hour passes, the clock goes back by that hour, and it passes again under a new epoch."""
    first = [sample(second, price=1.0) for second in range(0, HOUR, 100)]
    again = [sample(second + 50, price=2.0, epoch=EPOCH + 1) for second in range(0, 2 * HOUR, 100)]
    write(tmp_path, samples=chained(*first, *again))
    held = at(tmp_path, 1000)
    assert held.state.price == 1.0  # it was written at 1000, and the other at 950
    assert held.orders == (Version(EPOCH, 10_010), Version(EPOCH + 1, 9_510))
    assert at(tmp_path, 1050).state.price == 2.0
    assert at(tmp_path, HOUR + 500).orders == ()
    write(tmp_path, samples=[sample(0, "QQQ")])
    assert at(tmp_path, HOUR + 500, "QQQ").orders == ()


def test_where_another_server_with_another_clock_took_over(tmp_path: Path) -> None:
    """Its clock is 10 s behind, and it never saw the last version of the old one."""
    before = chained(sample(0), sample(10), sample(20, price=7.0))
    after = sample(15, epoch=EPOCH + 1, seq=1, prev_epoch=EPOCH, prev_seq=110)
    write(tmp_path, samples=[*before, after, sample(100, "QQQ")])
    held = at(tmp_path, 22)
    assert (held.state.price, held.orders) == (7.0, (Version(EPOCH, 210), Version(EPOCH + 1, 1)))
    assert held.replaced == Version(EPOCH, 110)


def test_versions_that_are_missing_after_it_are_told(tmp_path: Path) -> None:
    later = sample(50, prev_epoch=EPOCH, prev_seq=400)
    write(tmp_path, samples=[sample(0), later])
    assert at(tmp_path, 10).replaced == Version(EPOCH, 400)
    assert at(tmp_path, 50).replaced is None


def test_a_symbol_that_has_been_quiet_for_days(tmp_path: Path) -> None:
    days = 5 * 86_400
    write(tmp_path, samples=[sample(0, price=3.0), sample(days, "QQQ")])
    held = at(tmp_path, days)
    assert (held.state.price, held.freshness.age) == (3.0, days)


@pytest.mark.parametrize("second", [0, 30, HOUR * 10])
def test_exactly_one_version(tmp_path: Path, second: int) -> None:
    write(tmp_path, samples=[sample(0, price=0.0), sample(30, price=30.0), sample(HOUR * 10, price=HOUR * 10.0)])
    found = past(tmp_path).version("SPY", Version(EPOCH, second * 10 + 10))
    assert (found.state.price, found.state.version) == (second, Version(EPOCH, second * 10 + 10))
    assert found.asked == BEGIN + second * SECOND
    assert found.freshness.status == "live"


def refusal(ask: Any, *arguments: Any) -> tuple[str, str]:
    with pytest.raises(HistoryRefusal) as refused:
        ask(*arguments)
    return refused.value.code, str(refused.value)


def test_what_the_record_does_not_have(tmp_path: Path) -> None:
    assert refusal(past(tmp_path).at, "SPY", BEGIN)[0] == "no_record"
    assert refusal(past(tmp_path).version, "SPY", Version(1, 1))[0] == "no_record"
    inputs = dict.fromkeys(("regime", "alpha", "mass", "momentum"))
    write(tmp_path, samples=[sample(100), sample(100, "INPUTS", **inputs)])
    asked = past(tmp_path)
    code, why = refusal(asked.at, "SPY", BEGIN)
    assert (code, why) == ("not_recorded", "the record of SPY begins at 2025-11-26T13:01:40.000Z")
    code, why = refusal(asked.at, "SPY", BEGIN + 101 * SECOND)
    assert (code, why) == ("not_recorded", "the record reaches until 2025-11-26T13:01:40.000Z as yet")
    assert refusal(asked.at, "NONE", BEGIN + 100 * SECOND)[0] == "no_such_symbol"
    assert refusal(asked.version, "NONE", Version(EPOCH, 1))[0] == "no_such_symbol"
    assert "1-2 of SPY" in refusal(asked.version, "SPY", Version(1, 2))[1]
    assert "RECORDER_STATES" in refusal(asked.at, "INPUTS", BEGIN + 100 * SECOND)[1]


def test_a_time_long_before_the_record_is_before_it(tmp_path: Path) -> None:
    write(tmp_path, samples=[sample(100)])
    code, why = refusal(past(tmp_path).at, "SPY", BEGIN - 10 * HOUR * SECOND)
    assert (code, why) == ("not_recorded", "the record of SPY begins at 2025-11-26T13:01:40.000Z")


def test_a_begin_that_is_told_is_one_that_can_be_asked_for(tmp_path: Path) -> None:
    write(tmp_path, samples=[sample(100.000246)])
    _, why = refusal(past(tmp_path).at, "SPY", BEGIN)
    assert why == "the record of SPY begins at 2025-11-26T13:01:40.000246Z"


@pytest.mark.parametrize("version", [Version(10**16 - 1, 10**16 - 1), Version(EPOCH, 10**16 - 1), Version(10**16, 0)])
def test_a_version_beyond_all_times_is_not_recorded(tmp_path: Path, version: Version) -> None:
    write(tmp_path, samples=[sample(0)])
    assert refusal(past(tmp_path).version, "SPY", version)[0] == "not_recorded"


def test_a_state_without_a_stamp_counts_from_when_it_was_recorded(tmp_path: Path) -> None:
    rows = [sample(second, price=float(second), written=None) for second in (1, 5, 9)]
    write(tmp_path, samples=rows)
    assert at(tmp_path, 6).state.price == 5.0
    code, why = refusal(past(tmp_path).at, "SPY", BEGIN)
    assert (code, why) == ("not_recorded", "the record of SPY begins at 2025-11-26T13:00:01.000Z")


def test_a_state_that_was_removed_is_not_there_until_it_comes_again(tmp_path: Path) -> None:
    removed = freshness(10, "removed", None)
    again = sample(20, price=7.0)  # it replaced nothing
    write(tmp_path, samples=[*chained(sample(0), sample(5, price=6.0)), again], freshness=[removed])
    assert at(tmp_path, 9.999999).state.price == 6.0
    code, why = refusal(past(tmp_path).at, "SPY", BEGIN + 15 * SECOND)
    assert code == "no_such_symbol"
    assert why == "there was no state of SPY then: it was removed at 2025-11-26T13:00:10.000Z"
    assert at(tmp_path, 15, removed_too=True).state.price == 6.0
    assert at(tmp_path, 20).state.price == 7.0


def test_one_that_was_replaced_had_not_been_removed(tmp_path: Path) -> None:
    """The bridge told late of a removal, after which the state was written anew."""
    write(tmp_path, samples=chained(sample(10, price=6.0), sample(11)), freshness=[freshness(10.1, "removed", None)])
    assert at(tmp_path, 10.5).state.price == 6.0
