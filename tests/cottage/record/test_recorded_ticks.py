"""What of a record is taken again, in which portions, and where windows are others."""

from pathlib import Path
from typing import Any

import pytest

from cottage.errors import UnusableSource
from cottage.record.checkpoints import BEGUN, SAVED, CheckpointName
from cottage.record.recorded_ticks import RecordedTick, RecordedTicks, ReplacedWindows
from tests.cottage.record.rows_of_samples import BEGIN, SECOND
from tests.cottage.record.ticks import checkpoint, record, row

FIRST: dict[str, Any] = {"prev_epoch": None, "prev_seq": None}
EMPTY = CheckpointName(BEGUN, 7, "0/1")


def ticks(folder: Path, rows: Any, *only: str) -> list[RecordedTick]:
    return list(RecordedTicks(record(folder, rows), frozenset(only)))


def prices(found: list[RecordedTick]) -> list[dict[str, list[float]]]:
    return [{each.symbol: [s.price for s in each.samples] for each in tick.versions} for tick in found]


def test_a_tick_is_what_was_taken_under_one_number(tmp_path: Path) -> None:
    found = ticks(tmp_path, [row("SPY", 7, 2), row("QQQ", 7, 2), row("SPY", 7, 1, **FIRST), row("QQQ", 8, 1)])
    assert prices(found) == [{"SPY": [101.0]}, {"QQQ": [102.0], "SPY": [102.0]}, {"QQQ": [101.0]}]
    assert found[0].replaced == (ReplacedWindows(None, ("SPY",)),)
    assert found[1].replaced == (ReplacedWindows(None, ("QQQ",)),), "a symbol begins with an empty window"
    assert found[2].replaced == ()


def test_samples_of_a_version_stay_together_with_what_their_feed_said(tmp_path: Path) -> None:
    taken = row("SPY", 7, 2, 0, last=False, notes=["auction"], price=5.0, lost=True, session="a")
    own = row("SPY", 7, 2, 1, notes=["gap", "mid"], said=["mid"], volume=9.0, tick=0.25, interval=60.0, native="spy")
    (tick,) = ticks(tmp_path, [own, taken])
    (version,) = tick.versions
    assert (version.tick, version.interval, version.writer) == (0.25, 60.0, ("live", "FEED", "spy"))
    assert [(s.price, s.notes, s.lost, s.session, s.volume) for s in version.samples] == [
        (5.0, ("auction",), True, "a", None),
        (102.0, ("mid",), False, None, 9.0),
    ]


def test_what_is_only_issued_again_is_left_out(tmp_path: Path) -> None:
    folder = record(tmp_path, [row("SPY", 7, 1), row("SPY", 8, 1, reissued=True), row("SPY", 8, 2)])
    read = RecordedTicks(folder)
    assert prices(list(read)) == [{"SPY": [101.0]}, {"SPY": [102.0]}]
    assert (read.rows, read.share, read.left_out) == (3, 1.0, {"issued again": 1})


def test_another_writer_begins_a_new_window(tmp_path: Path) -> None:
    found = ticks(tmp_path, [row("SPY", 7, 1), row("SPY", 7, 2, source="replay"), row("SPY", 7, 3, source="replay")])
    assert [tick.replaced for tick in found] == [(ReplacedWindows(None, ("SPY",)),)] * 2 + [()]


def test_only_some_symbols(tmp_path: Path) -> None:
    read = RecordedTicks(record(tmp_path, [row("SPY", 7, 1), row("QQQ", 7, 2)]), frozenset({"QQQ"}))
    assert prices(list(read)) == [{"QQQ": [102.0]}]
    assert read.filtered == 1


def test_a_process_that_began_with_empty_windows_is_replayed_from_its_first_sample_on(tmp_path: Path) -> None:
    checkpoint(tmp_path, EMPTY, {})
    checkpoint(tmp_path, CheckpointName(SAVED, BEGIN + 3 * SECOND, "0/1"), {"SPY": [7, 2]})
    read = RecordedTicks(record(tmp_path, [row("SPY", 7, seq, **(FIRST if seq == 1 else {})) for seq in range(1, 6)]))
    assert len(list(read)) == 5
    assert read.begins_with == []


def test_else_a_replay_begins_with_the_first_checkpoint_since_the_record_began(tmp_path: Path) -> None:
    """Either the recorder came later than the process, or that began with windows of before."""
    checkpoint(tmp_path, EMPTY, {})
    first, second = (CheckpointName(SAVED, BEGIN + seconds * SECOND, "0/1") for seconds in (3, 5))
    checkpoint(tmp_path, CheckpointName(SAVED, BEGIN - SECOND, "0/1"), {"SPY": [6, 9]})
    checkpoint(tmp_path, second, {"SPY": [7, 4]})
    checkpoint(tmp_path, first, {"SPY": [7, 2], "QUIET": [7, 1], "OLD": None})
    rows = [row("SPY", 7, seq) for seq in range(1, 6)] + [row("QUIET", 7, 5), row("NEW", 7, 5)]
    read = RecordedTicks(record(tmp_path, rows))
    found = list(read)
    assert read.begins_with == [first]
    assert prices(found) == [{"SPY": [103.0]}, {"SPY": [104.0]}, {"NEW": [105.0], "QUIET": [105.0], "SPY": [105.0]}]
    assert found[0].replaced == (ReplacedWindows(first, ("SPY", "QUIET", "OLD")),)
    assert found[2].replaced == (ReplacedWindows(None, ("NEW",)),)
    assert read.left_out == {"the checkpoint has it": 2}


def test_a_process_that_takes_over_goes_on_with_its_windows_and_takes_again_what_these_lack(tmp_path: Path) -> None:
    checkpoint(tmp_path, EMPTY, {})
    began = CheckpointName(BEGUN, 8, "0/1")
    checkpoint(tmp_path, began, {"SPY": [7, 2], "QQQ": [7, 3]})
    rows = [row(symbol, 7, seq) for symbol in ("SPY", "QQQ", "NEW") for seq in range(1, 4)]
    rows = [each | (FIRST if each["seq"] == 1 else {}) for each in rows]
    rows += [row(symbol, 8, 1, reissued=True, price=103.0) for symbol in ("SPY", "QQQ", "NEW")]
    rows += [row("SPY", 8, 2, reissued=True), row("QQQ", 8, 3)]
    found = ticks(tmp_path, rows)
    assert found[3].replaced == (ReplacedWindows(began, ("SPY", "QQQ", "NEW")),)
    assert prices(found)[3:] == [{"NEW": [103.0], "SPY": [103.0]}, {"QQQ": [103.0]}], "each once"


def test_samples_that_a_window_lacked_may_come_again_with_others(tmp_path: Path) -> None:
    checkpoint(tmp_path, EMPTY, {})
    checkpoint(tmp_path, CheckpointName(BEGUN, 8, "0/1"), {})
    again = [row("SPY", 8, 1, number, last=number == 1, reissued=True, price=101.0 + number) for number in (0, 1)]
    found = ticks(tmp_path, [row("SPY", 7, 1, **FIRST), row("SPY", 7, 2), *again])
    assert prices(found)[2] == {"SPY": [101.0, 102.0]}


def test_a_record_without_a_sample_cannot_be_replayed(tmp_path: Path) -> None:
    with pytest.raises(UnusableSource, match="without a sample"):
        RecordedTicks(record(tmp_path, []))


def test_it_ends_early_where_it_is_abandoned(tmp_path: Path) -> None:
    read = RecordedTicks(record(tmp_path, [row("SPY", 7, seq) for seq in range(1, 5)]))
    iterator = iter(read)
    next(iterator)
    read.abandon()
    assert len(list(iterator)) <= 1
    read.close()
