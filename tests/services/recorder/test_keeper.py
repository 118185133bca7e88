"""What is kept of each version: rows, changes of regime, gaps, runs, and samples that are issued again."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from cottage.errors import InvalidMessage
from cottage.record.state_rows import said_by_update
from cottage.state import CRITICAL, PhysicsState, TakenSample
from cottage.version import Version
from services.recorder.confirmation import Confirmed
from services.recorder.keeper import REMEMBERED, Held, Keeper
from tests.services.recorder.states import BEGINNING, EPOCH, state

S = "SPY"
US = 1_000_000


def confirmed(version: PhysicsState, **others: Any) -> Confirmed:
    assert version.version is not None
    said = said_by_update(orjson.loads(version.update(S)))
    return Confirmed(
        version.version, version.prev, said, version.written is not None, others.pop("healed", False), **others
    )


def keep(keeper: Keeper, *versions: PhysicsState, recorded: int = 7, **others: Any) -> None:
    for each in versions:
        assert keeper.keep(S, confirmed(each, **others), recorded)


def rows(keeper: Keeper, table: str) -> list[dict[str, Any]]:
    """The rows of a table, of all that waits."""
    return list(each_row(keeper.take().get(table, {})))


def each_row(columns: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


@pytest.fixture
def keeper() -> Keeper:
    """One that has recorded the tick 1 of SPY, and whose rows are on the disk."""
    keeper = Keeper()
    keep(keeper, state(1))
    keeper.take()
    keeper.take_missed()
    return keeper


def test_a_version_that_follows_has_no_gap_before_it(keeper: Keeper) -> None:
    keep(keeper, state(2, 1), state(3, 2))
    assert keeper.held(S) == Version(EPOCH, 3)
    taken = keeper.take()
    assert taken["samples"]["seq"] == [2, 3]
    assert "gaps" not in taken
    assert keeper.take() == {}


def test_the_first_of_all_follows_nothing() -> None:
    keeper = Keeper()
    keep(keeper, state(1))
    taken = keeper.take()
    assert "gaps" not in taken
    assert taken["samples"]["run"] == [7]


def test_a_version_that_does_not_follow_has_a_gap_before_it(keeper: Keeper) -> None:
    keeper.missed_because(S, "lagged")
    keep(keeper, state(5, 4), recorded=9)
    (gap,) = rows(keeper, "gaps")
    assert gap == {
        "symbol": S,
        "source": "simulate",
        "run": 7,
        "kind": "missed",
        "cause": "lagged",
        "since": round((BEGINNING + 1) * US),
        "until": round((BEGINNING + 5) * US),
        "epoch": EPOCH,
        "seq": 5,
        "prev_epoch": EPOCH,
        "prev_seq": 4,
        "held_epoch": EPOCH,
        "held_seq": 1,
        "recorded": 9,
    }
    assert keeper.missed == {"lagged": 1}
    assert keeper.take_missed() == {"lagged": [S]}
    assert keeper.take_missed() == {}


def test_names_that_somebody_invents_are_not_remembered(keeper: Keeper) -> None:
    keeper.missed_because("FORGED", "lagged")
    assert keeper.keep("FORGED", confirmed(state(5, 4)), 7)
    assert [gap["cause"] for gap in rows(keeper, "gaps")] == ["recorder_down"]


def test_the_cause_is_what_is_known(keeper: Keeper) -> None:
    keep(keeper, state(5, 4))
    keep(keeper, state(7, 6), contradicted=True)
    keep(keeper, state(9))  # of which Redis says that it replaced nothing
    keeper.interrupted("redis_lost")
    keep(keeper, state(12, 11))
    keep(keeper, state(15, 14))
    causes = [(gap["cause"], gap["held_seq"]) for gap in rows(keeper, "gaps")]
    assert causes == [("unknown", 1), ("contradicted", 5), ("state_gone", 7), ("redis_lost", 9), ("unknown", 12)]


def test_what_an_earlier_recorder_held_is_followed() -> None:
    keeper = Keeper()
    known = Held(Version(EPOCH, 3), 0, None, "simulate", 5, "Gaussian", ())
    keeper.restore(S, known)
    keep(keeper, state(4, 3))
    taken = keeper.take()
    assert "gaps" not in taken
    assert "regimes" not in taken
    assert taken["samples"]["run"] == [5]
    keeper = Keeper()
    keeper.restore(S, Held(Version(EPOCH, 3), 0, None, "simulate", 5, "Gaussian", ()))
    keep(keeper, state(6, 5))
    assert [(gap["cause"], gap["held_seq"]) for gap in rows(keeper, "gaps")] == [("recorder_down", 3)]


def test_a_version_without_a_stamp_says_nothing_of_what_is_missing(keeper: Keeper) -> None:
    keep(keeper, state(9, written=None))
    assert rows(keeper, "gaps") == []


def test_a_change_of_regime_is_a_row(keeper: Keeper) -> None:
    keep(keeper, state(2, 1), state(3, 2, alpha_low=3.0, alpha_high=5.0))
    critical = state(4, 3)
    keep(keeper, PhysicsState(*(0.5,) * 5, CRITICAL, 1.5, **{**_fields(critical), "alpha_low": 1.0}))
    (change,) = rows(keeper, "regimes")
    assert (change["before"], change["regime"], change["seq"]) == ("Gaussian", CRITICAL, 4)
    assert (change["alpha"], change["alpha_low"], change["alpha_high"]) == (1.5, 1.0, None)
    assert change["at"] == round((BEGINNING + 4) * US)
    assert change["written"] == critical.written


def _fields(made: PhysicsState) -> dict[str, Any]:
    names = ("price", "source", "feed", "timestamp", "step", "written", "version", "prev")
    return {name: getattr(made, name) for name in names}


def test_the_first_regime_that_is_seen_is_a_row_too() -> None:
    keeper = Keeper()
    keep(keeper, state(1))
    assert [(row["before"], row["regime"]) for row in rows(keeper, "regimes")] == [(None, "Gaussian")]


def test_a_sample_that_a_new_epoch_issues_again_is_marked(keeper: Keeper) -> None:
    again = state(1, (EPOCH, 1), epoch=EPOCH + 5)
    new = state(2, (EPOCH + 5, 1), epoch=EPOCH + 5)
    keep(keeper, again, new)
    assert [row["reissued"] for row in rows(keeper, "samples")] == [True, False]


def test_so_are_earlier_ones_that_it_takes_again(keeper: Keeper) -> None:
    """As from a checkpoint that is older than what was recorded."""
    keep(keeper, state(2, 1), state(3, 2))
    keeper.take()
    prices = {seq: (state(seq).price or 0.0, state(seq).timestamp or "") for seq in (2, 3)}
    taken = tuple(TakenSample(price, time) for price, time in prices.values())
    keep(keeper, state(4, (EPOCH, 3), epoch=EPOCH + 5, taken=taken))
    assert [(row["number"], row["reissued"]) for row in rows(keeper, "samples")] == [(0, True), (1, True), (2, False)]


def test_within_an_epoch_nothing_is_issued_again(keeper: Keeper) -> None:
    """Two trades at one price within a millisecond are two."""
    keep(keeper, state(2, 1, price=state(1).price, timestamp=state(1).timestamp))
    assert [row["reissued"] for row in rows(keeper, "samples")] == [False]


def test_but_where_its_window_was_filled_with_older_ones(keeper: Keeper) -> None:
    """By a warm start between two samples of a slow feed: the state alone is new."""
    keep(keeper, state(100, 1, samples=1, price=5.0))
    keeper.take()
    same: dict[str, Any] = {"price": 5.0, "timestamp": state(100).timestamp}
    keep(keeper, state(101, 100, samples=2, notes=("gap",), **same))
    taken = keeper.take()
    assert taken["samples"]["reissued"] == [True]
    assert taken["gaps"]["kind"] == ["gap"]
    keep(keeper, state(102, 101, samples=3, **same, volume=7.0))
    assert rows(keeper, "samples")[0]["reissued"] is False


def test_so_many_samples_are_remembered(keeper: Keeper) -> None:
    keep(keeper, *(state(seq, seq - 1) for seq in range(2, REMEMBERED + 2)))
    keeper.take()
    keep(keeper, state(2, (EPOCH, REMEMBERED + 1), epoch=EPOCH + 5))
    keep(keeper, state(1, (EPOCH + 5, 2), epoch=EPOCH + 6))
    assert [row["reissued"] for row in rows(keeper, "samples")] == [True, False]


def at_event(seq: int, prev: int | tuple[int, int] | None, second: int, **others: Any) -> PhysicsState:
    return state(seq, prev, event_time=f"2026-03-06T13:{30 + second // 60}:{second % 60:02}.000Z", **others)


def keep_all(keeper: Keeper, symbol: str, *versions: PhysicsState, recorded: int) -> None:
    for each in versions:
        assert keeper.keep(symbol, confirmed(each), recorded)


def runs(keeper: Keeper) -> list[tuple[str, int]]:
    return [(row["symbol"], row["run"]) for row in rows(keeper, "samples")]


def test_a_run_is_begun_anew_where_the_time_of_the_market_goes_back() -> None:
    keeper = Keeper()
    keep(keeper, at_event(1, None, 100), at_event(2, 1, 200), recorded=100)
    keep(keeper, at_event(3, 2, 100), recorded=300)
    keep(keeper, at_event(4, 3, 101), recorded=400)
    assert [run for _, run in runs(keeper)] == [100, 100, 300, 300]


def test_a_sample_that_is_late_is_of_the_same_run_and_one_of_another_session_is_not() -> None:
    keeper = Keeper()
    keep(keeper, at_event(1, None, 100, session="a"), at_event(2, 1, 50, session="a"), recorded=100)
    keep(keeper, at_event(3, 2, 50, session="b"), recorded=300)
    assert [run for _, run in runs(keeper)] == [100, 100, 300]


def test_it_may_begin_in_the_middle_of_a_version() -> None:
    keeper = Keeper()
    keep(keeper, at_event(1, None, 100), recorded=100)
    times = ("2026-03-06T13:31:50.000Z", "2026-03-06T13:30:00.000Z")
    taken = tuple(TakenSample(1.0, time, event_time=time) for time in times)
    keep(keeper, at_event(2, 1, 1, taken=taken), recorded=300)
    assert [run for _, run in runs(keeper)] == [100, 100, 300, 300]


def test_every_symbol_of_the_source_begins_the_same_run_whichever_is_looked_at_first() -> None:
    """Of each look all versions of a symbol are kept, then those of the next."""
    keeper = Keeper()
    for symbol in ("SPY", "QQQ"):
        keep_all(keeper, symbol, at_event(1, None, 100), at_event(2, 1, 200), at_event(3, 2, 10), recorded=100)
    keep_all(keeper, "SPY", at_event(4, 3, 11), recorded=200)
    keep_all(keeper, "QQQ", at_event(4, 3, 11), recorded=200)
    assert runs(keeper) == [
        *(("SPY", run) for run in (100, 100, 101)),
        *(("QQQ", run) for run in (100, 100, 101)),
        ("SPY", 101),
        ("QQQ", 101),
    ]


def test_a_symbol_that_is_traded_less_often_follows_later() -> None:
    """Its time does not go back: its only sample of the run before was an early one."""
    keeper = Keeper()
    keep_all(keeper, "RARE", at_event(1, None, 10), recorded=100)
    keep_all(keeper, "SPY", at_event(1, None, 100), at_event(20, 1, 5), recorded=200)
    keep_all(keeper, "RARE", at_event(60, 1, 45), recorded=300)
    assert runs(keeper) == [("RARE", 100), ("SPY", 100), ("SPY", 200), ("RARE", 200)]


def test_each_source_has_runs_of_its_own() -> None:
    keeper = Keeper()
    keep(keeper, at_event(1, None, 50), recorded=100)
    keep(keeper, state(2, 1, source="live"), recorded=200)
    keep(keeper, at_event(3, 2, 51), recorded=300)
    assert [(row["source"], row["run"]) for row in rows(keeper, "samples")] == [
        ("simulate", 100),
        ("live", 200),
        ("simulate", 100),
    ]


def test_a_sample_that_is_issued_again_begins_no_run() -> None:
    keeper = Keeper()
    keep(keeper, at_event(1, None, 10), at_event(2, 1, 200), recorded=100)
    keep(keeper, at_event(1, (EPOCH, 2), 10, epoch=EPOCH + 5), recorded=300)
    assert [run for _, run in runs(keeper)] == [100, 100, 100]


def test_a_run_has_a_number_of_its_own_though_the_clock_was_set_back() -> None:
    keeper = Keeper()
    keep(keeper, at_event(1, None, 200), recorded=100)
    keep(keeper, at_event(2, 1, 10), recorded=50)
    assert [run for _, run in runs(keeper)] == [100, 101]


def test_notes_that_begin_are_rows_and_those_that_last_are_not(keeper: Keeper) -> None:
    keep(keeper, state(2, 1, notes=("gap", "jump")), state(3, 2, notes=("gap", "break")), state(4, 3))
    keep(keeper, state(5, 4, notes=("correction",)))
    told = [(gap["kind"], gap["cause"], gap["seq"], gap["since"], gap["until"]) for gap in rows(keeper, "gaps")]
    times = {seq: round((BEGINNING + seq) * US) for seq in range(1, 6)}
    assert told == [
        ("gap", "gap", 2, times[1], times[2]),
        ("break", "break", 3, times[2], times[3]),
        ("correction", "correction", 5, times[4], times[5]),
    ]


def test_a_second_gap_within_the_window_is_a_row_too(keeper: Keeper) -> None:
    keep(keeper, state(2, 1, notes=("gap",)), state(3, 2, notes=("gap",)), state(100, 3, notes=("gap",)))
    assert [gap["seq"] for gap in rows(keeper, "gaps")] == [2, 100]


def test_a_gap_does_not_end_before_it_began() -> None:
    """A replay begins anew: its first sample is a gap after the last one, of a market's time that is later."""
    keeper = Keeper()
    keep(keeper, at_event(1, None, 600), at_event(2, 1, 0, notes=("gap",)))
    [gap] = rows(keeper, "gaps")
    assert (gap["kind"], gap["since"]) == ("gap", None)


def test_a_note_that_the_feed_says_again_is_a_row_again(keeper: Keeper) -> None:
    keep(keeper, state(2, 1, notes=("break",), said=("break",)), state(3, 2, notes=("break",)))
    keep(keeper, state(4, 3, notes=("break",), said=("break",)))
    assert [gap["seq"] for gap in rows(keeper, "gaps")] == [2, 4]


def test_a_window_that_older_samples_fill_has_its_gap_where_it_began(keeper: Keeper) -> None:
    keep(keeper, state(2, 1, samples=64), state(100, 2, samples=1), state(101, 100, samples=2))
    keep(keeper, state(102, 101, samples=66, notes=("gap", "break")), state(103, 102, samples=67, notes=("gap",)))
    told = [(gap["kind"], gap["since"], gap["until"]) for gap in rows(keeper, "gaps")]
    hole = round((BEGINNING + 2) * US), round((BEGINNING + 100) * US)
    assert told == [("gap", *hole), ("break", *hole)]


def test_its_row_is_of_the_version_with_which_it_began_and_of_now(keeper: Keeper) -> None:
    keep(keeper, state(2, 1, samples=64), state(100, 2, samples=1))
    keep(keeper, state(101, 100, samples=65, notes=("gap",)), recorded=9)
    [gap] = rows(keeper, "gaps")
    assert (gap["seq"], gap["prev_seq"], gap["held_seq"], gap["recorded"]) == (100, 2, 2, 9)


def test_what_older_samples_tell_is_not_told_again(keeper: Keeper) -> None:
    old = ("gap", "break")
    keep(keeper, state(2, 1, samples=64, notes=old))
    keeper.take()
    keep(keeper, state(10, 2, samples=1), state(11, 10, samples=66, notes=old))
    assert rows(keeper, "gaps") == []
    keep(keeper, state(12, 11, samples=67, notes=old), state(100, 12, samples=68, notes=old))
    assert [(gap["kind"], gap["seq"]) for gap in rows(keeper, "gaps")] == [("gap", 100)]


def test_a_hole_in_which_versions_were_missed_is_told_once(keeper: Keeper) -> None:
    keep(keeper, state(100, 2, samples=1), state(101, 100, samples=66, notes=("gap",)))
    assert [(gap["kind"], gap["seq"]) for gap in rows(keeper, "gaps")] == [("missed", 100)]


def test_a_window_of_another_source_has_a_gap_of_which_the_beginning_is_not_known(keeper: Keeper) -> None:
    keep(keeper, state(100, 1, samples=1, source="live"))
    keep(keeper, state(101, 100, samples=66, notes=("gap", "break"), source="live"))
    [gap] = rows(keeper, "gaps")
    assert (gap["kind"], gap["seq"], gap["since"]) == ("gap", 100, None)


def test_lost_samples_are_rows(keeper: Keeper) -> None:
    taken = (TakenSample(1.0, "2023-11-14T22:13:21.500Z", lost=True), TakenSample(1.0, "2023-11-14T22:13:21.700Z"))
    keep(keeper, state(2, 1, taken=taken, lost=True))
    found = rows(keeper, "gaps")
    assert [(gap["kind"], (gap["until"] - gap["since"]) / US) for gap in found] == [("lost", 0.5), ("lost", 0.3)]


def test_where_there_is_no_room_a_version_is_missed_and_said() -> None:
    keeper = Keeper(most_rows=3)
    keep(keeper, state(1), state(2, 1))
    assert not keeper.keep(S, confirmed(state(3, 2)), 7, behind=1)
    assert keeper.keep(S, confirmed(state(3, 2)), 7)
    assert not keeper.keep(S, confirmed(state(4, 3)), 7)
    assert keeper.left_out == 2
    keeper.take()
    keep(keeper, state(5, 4))
    assert [(gap["cause"], gap["held_seq"], gap["prev_seq"]) for gap in rows(keeper, "gaps")] == [("disk", 3, 4)]


def test_what_can_be_no_state_changes_nothing(keeper: Keeper) -> None:
    with pytest.raises(InvalidMessage):
        keeper.keep(S, confirmed(state(2, 1))._replace(said={"epoch": EPOCH, "seq": 2, "price": "x"}), 7)
    assert keeper.held(S) == Version(EPOCH, 1)
    assert keeper.take() == {}


def test_inputs_alone_still_have_regimes() -> None:
    keeper = Keeper(inputs_only=True)
    keep(keeper, state(1))
    taken = keeper.take()
    assert taken["samples"]["mass"] == [None]
    assert taken["regimes"]["regime"] == ["Gaussian"]
