"""What is written of a record's ticks: which snapshots, with which numbers, times and notes."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from cottage.record.checkpoints import SAVED, CheckpointName
from cottage.record.recorded_ticks import RecordedSample, RecordedTick, RecordedVersion, ReplacedWindows
from services.market.record_replay import RecordReplay

RECORDED = 1_378_202_400_000_000  # microseconds
STARTED = 1_766_318_400_000  # milliseconds
NEW = (ReplacedWindows(None, ("ES", "NQ")),)


def sample(second: float, price: float = 10.0, *, lost: bool = False) -> RecordedSample:
    at = RECORDED + round(second * 1e6)
    return RecordedSample(at, price, 5.0, None, 9.5, None, at + 7, "a session", ("auction",), lost)


def version(*samples: RecordedSample, symbol: str = "ES") -> RecordedVersion:
    return RecordedVersion(symbol, ("live", "FEED", None), 0.25, 60.0, samples)


def tick(*versions: RecordedVersion, replaced: Sequence[ReplacedWindows] = ()) -> RecordedTick:
    return RecordedTick(tuple(replaced), versions)


def begun(ticks: Sequence[RecordedTick], speed: float = math.inf) -> RecordReplay:
    replay = RecordReplay(ticks, speed)
    replay.begin(STARTED)
    replay.replaced()
    return replay


def test_a_snapshot_has_what_was_taken_for_a_version() -> None:
    replay = begun([tick(version(sample(1, 8.0), sample(2, 9.0), sample(2.5)), replaced=NEW)])
    (snapshot,) = replay.step(STARTED + 5)
    assert (snapshot.symbol, snapshot.source, snapshot.timestamp) == ("ES", "replay", (STARTED + 5) / 1000)
    assert (snapshot.price, snapshot.volume, snapshot.trades, snapshot.bid, snapshot.ask) == (
        10.0,
        5.0,
        None,
        9.5,
        None,
    )
    assert (snapshot.tick, snapshot.interval, snapshot.session, snapshot.notes) == (
        0.25,
        60.0,
        "a session",
        ("auction",),
    )
    assert snapshot.event_time == RECORDED / 1e6 + 2.5
    assert snapshot.received == (RECORDED + 2_500_007) / 1e6
    assert snapshot.fill is not None
    assert [(each.price, each.number, each.fill) for each in snapshot.fill] == [(8.0, 1, None), (9.0, 2, None)]
    assert snapshot.number == 3
    assert replay.finished
    assert (replay.folded, replay.symbols, replay.recorded) == (3, ["ES", "NQ"], RECORDED + 2_500_000)


def test_a_number_is_left_out_before_a_sample_of_which_the_one_before_was_lost() -> None:
    replay = begun(
        [tick(version(sample(1), sample(2, lost=True)), replaced=NEW), tick(version(sample(3, lost=True)))]
    )
    (first,), (second,) = replay.step(STARTED), replay.step(STARTED)
    assert first.fill is not None
    assert [first.fill[0].number, first.number, second.number] == [1, 3, 5]
    assert second.timestamp > first.timestamp


def test_samples_of_one_time_are_told_apart_and_later_ones_keep_theirs() -> None:
    replay = begun([tick(version(sample(1), sample(1), sample(1)), replaced=NEW), tick(version(sample(2)))])
    (first,), (second,) = replay.step(STARTED), replay.step(STARTED)
    times = [each.event_time for each in (*(first.fill or ()), first, second)]
    assert times == [(RECORDED + micros) / 1e6 for micros in (1_000_000, 1_000_001, 1_000_002, 2_000_000)]


def test_where_windows_are_replaced_numbers_and_times_begin_anew() -> None:
    checkpoint = (ReplacedWindows(CheckpointName(SAVED, 1, "0/1"), ("ES",)),)
    replay = begun([tick(version(sample(1)), replaced=NEW), tick(version(sample(1)), replaced=checkpoint)])
    assert replay.replaced() == (), "what was told once is not told again"
    (first,) = replay.step(STARTED)
    assert replay.replaced() == checkpoint
    (second,) = replay.step(STARTED)
    assert (first.number, second.number) == (1, 1)
    assert first.event_time == second.event_time


def test_at_a_speed_ticks_happen_as_the_market_s_time_goes_by() -> None:
    ticks = [tick(version(sample(second)), replaced=NEW if second == 0 else ()) for second in (0, 10, 20, 5, 8)]
    replay = begun(ticks, 10.0)
    assert replay.next_at == STARTED
    assert [each.event_time for each in replay.until(STARTED + 999)] == [RECORDED / 1e6]
    (snapshot,) = replay.until(STARTED + 2000)
    assert [each.number for each in (*(snapshot.fill or ()), snapshot)] == [2, 3, 4]
    assert replay.next_at == STARTED + 2300, "time that goes back stands still"
    (last,) = replay.until(STARTED + 2300)
    assert last.timestamp == (STARTED + 2300) / 1000
    assert replay.finished
    assert replay.next_at == math.inf


def test_at_a_speed_it_stops_where_windows_are_replaced() -> None:
    ticks = [tick(version(sample(second)), replaced=NEW) for second in (0, 1, 2)]
    replay = begun(ticks, 10.0)
    assert [each.number for each in replay.until(STARTED + 1000)] == [1]
    assert replay.until(STARTED + 1000) == []
    replay.replaced()
    assert [each.number for each in replay.until(STARTED + 1000)] == [1]


@pytest.mark.parametrize("first", [True, False])
def test_another_spelling_is_the_snapshot_s(first: bool) -> None:
    other = replace(version(sample(1)), writer=("live", None, "es" if first else None))
    (snapshot,) = begun([tick(other, replaced=NEW)]).step(STARTED)
    assert snapshot.native == ("es" if first else None)
