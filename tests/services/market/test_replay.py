import dataclasses
import itertools
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cottage.files.rows import Row
from cottage.snapshot import MOST_FILL, MarketSnapshot
from services.market.replay import Replay

RECORDED = 1_378_202_400_000_000  # microseconds: 2013-09-03T10:00:00Z
STARTED = 1_766_318_400_000  # milliseconds


def trade(seconds: float, symbol: str = "ES", price: float = 10.0, size: float = 1.0) -> Row:
    """`seconds` after 10:00:00."""
    time = RECORDED + round(seconds * 1_000_000)
    return Row(time, symbol, price, size, 1, price, price, price, None, None)


def replay(rows: Sequence[Row], speed: float = 1.0) -> Replay:
    begun = Replay(rows, speed)
    begun.begin(STARTED)
    return begun


def at(seconds: float) -> int:
    return STARTED + round(seconds * 1000)


def samples(snapshots: Sequence[MarketSnapshot]) -> list[MarketSnapshot]:
    """Of each snapshot those before it, and then itself."""
    return [
        sample
        for snapshot in snapshots
        for sample in (*(snapshot.fill or ()), dataclasses.replace(snapshot, fill=None))
    ]


def last_of_each_second(rows: Sequence[Row]) -> list[tuple[str, float, float, float, int]]:
    """Symbol, time, price, volume and trades of each sample, in order of time for each symbol."""
    found = []
    for symbol in sorted({row.symbol for row in rows}):
        own = [row for row in rows if row.symbol == symbol]
        for i, row in enumerate(own):
            if i + 1 == len(own) or math.ceil(own[i + 1].time / 1_000_000) > math.ceil(row.time / 1_000_000):
                volume = sum((earlier.volume or 0.0 for earlier in own[: i + 1]), 0.0)
                found.append((symbol, row.time / 1_000_000, row.price, volume, i + 1))
    return found


def test_the_first_row_happens_at_once() -> None:
    (snapshot,) = replay([trade(0, price=1644.75, size=2), trade(1)]).until(STARTED)
    assert snapshot == MarketSnapshot(
        "ES",
        1644.75,
        STARTED / 1000,
        2.0,
        1,
        "replay",
        None,
        None,
        1644.75,
        1644.75,
        1644.75,
        str(STARTED),
        event_time=RECORDED / 1_000_000,
        fill=(),
    )


def test_what_happened_between_two_looks_is_folded() -> None:
    begun = replay([trade(0, price=10), trade(0.1, price=13, size=2), trade(0.2, price=9, size=4), trade(5)])
    (snapshot,) = begun.until(at(1))
    assert (snapshot.price, snapshot.volume, snapshot.trades) == (9.0, 7.0, 3)
    assert (snapshot.open, snapshot.high, snapshot.low) == (10.0, 13.0, 9.0)
    assert snapshot.timestamp == at(0.2) / 1000, "its newest trade's time, not the time of looking"


def test_only_what_changed() -> None:
    begun = replay([trade(0, "ES"), trade(0, "NQ"), trade(1, "NQ"), trade(2, "ES")])
    assert [s.symbol for s in begun.until(at(0.5))] == ["ES", "NQ"]
    assert begun.until(at(0.9)) == []
    assert [(s.symbol, s.trades) for s in begun.until(at(1))] == [("NQ", 2)]
    assert begun.next_at == at(2)


def test_speed() -> None:
    begun = replay([trade(0), trade(10), trade(20)], speed=10.0)
    assert begun.until(at(0.999))[0].trades == 1
    assert begun.until(at(1))[0].timestamp == at(1) / 1000
    assert begun.next_at == at(2)


def test_rows_of_one_moment_belong_together() -> None:
    begun = replay([trade(0), trade(1, size=2), trade(1, size=3), trade(1, size=4)])
    begun.until(at(0.999))
    (snapshot,) = begun.until(at(1))
    assert snapshot.volume == 10.0


def test_a_bar_is_its_close() -> None:
    bars = [
        Row(RECORDED, "ES", 11.0, 500.0, None, 10.0, 12.0, 9.0, None, None),
        Row(RECORDED + 60_000_000, "ES", 12.0, 300.0, None, 11.0, 12.5, 10.5, None, None),
    ]
    begun = replay(bars)
    (first,) = begun.until(STARTED)
    assert (first.price, first.volume, first.trades) == (11.0, 500.0, None)
    (second,) = begun.until(at(60))
    assert (second.price, second.volume, second.trades) == (12.0, 800.0, None)
    assert (second.open, second.high, second.low) == (10.0, 12.5, 9.0)


def test_a_bar_lasts_as_long_as_its_row_says() -> None:
    bars = [
        Row(RECORDED + i * 60_000_000, "ES", 1.0, 5.0, None, 1.0, 1.0, 1.0, None, None, interval=length)
        for i, length in enumerate((60_000_000, None))
    ]
    assert [each.interval for each in samples(replay(bars).until(at(60)))] == [60.0, None]


def test_a_sample_has_the_market_s_own_time_which_never_goes_back() -> None:
    rows = [trade(i)._replace(event_time=RECORDED + event) for i, event in enumerate((-70_000, 900_000, 800_000))]
    found = [each.event_time for each in samples(replay(rows).until(at(2)))]
    assert found == [(RECORDED + event) / 1e6 for event in (-70_000, 900_000, 900_001)]


def test_a_sample_says_when_it_was_received_where_that_is_recorded_beside_the_market_s_own_time() -> None:
    rows = [trade(1)._replace(event_time=RECORDED + 950_000), trade(2), trade(3)._replace(event_time=RECORDED)]
    rows[2] = rows[2]._replace(interval=60_000_000)
    assert [each.received for each in samples(replay(rows).until(at(4)))] == [RECORDED / 1e6 + 1, None, None]


def test_what_a_row_does_not_tell_is_not_known_of_its_sample() -> None:
    sizes = [1.0, None, 4.0, 8.0]
    rows = [trade(i)._replace(volume=size, trades=None if size is None else 1) for i, size in enumerate(sizes)]
    found = samples(replay([*rows, trade(3.5)._replace(volume=None), trade(4, size=2)]).until(at(4)))
    assert [each.volume for each in found] == [1.0, None, 5.0, 13.0, None]
    assert [each.trades for each in found] == [1, None, 2, 3, 5]


def test_notes_are_those_of_the_newest_row_and_of_an_auction_in_the_sample() -> None:
    said = [("mid",), ("auction",), (), ("auction", "mid"), ("mid",), ()]
    rows = [trade(1 + i / 2)._replace(notes=notes) for i, notes in enumerate(said)]
    assert [each.notes for each in samples(replay(rows).until(at(9)))] == [
        ("mid",),
        ("auction",),
        ("mid", "auction"),
        (),
    ]


def test_quotes_are_the_newest_row_s() -> None:
    begun = replay([trade(0)._replace(bid=9.5, ask=10.5), trade(1)._replace(bid=9.6), trade(2)])
    quotes = [(s.bid, s.ask) for i in range(3) for s in begun.until(at(i))]
    assert quotes == [(9.5, 10.5), (9.6, None), (None, None)]


def test_the_end() -> None:
    begun = replay([trade(0), trade(1)])
    assert not begun.finished
    begun.until(at(1))
    assert begun.finished
    assert begun.next_at == math.inf
    assert begun.until(at(100)) == []
    assert (begun.folded, begun.recorded) == (2, RECORDED + 1_000_000)
    assert begun.symbols == ["ES"]


def test_nothing_at_all() -> None:
    empty = replay([])
    assert empty.finished
    assert empty.recorded_from is None
    assert empty.until(at(1)) == []


def test_what_rows_raise_is_raised() -> None:
    def broken() -> list[Row]:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        Replay((row for _ in range(1) for row in broken()), 1.0)


def trades_apart(gaps: Sequence[int], symbols: int) -> list[Row]:
    """A trade after each of these gaps, in microseconds, of several symbols in turn."""
    times = itertools.accumulate(gaps, initial=RECORDED)
    next(times)
    return [
        trade(0, symbol=f"S{i % symbols}", price=1.0 + i, size=2.0**-i)._replace(time=time)
        for i, time in enumerate(times)
    ]


@given(
    gaps=st.lists(st.integers(0, 3_000_000), min_size=1, max_size=60),
    looks=st.lists(st.integers(0, 2_000), min_size=1, max_size=40),
    speed=st.sampled_from([0.001, 0.1, 0.3, 1.0, 7.0, 10.0, 600.0, 100_000.0]),
    symbols=st.integers(1, 3),
)
def test_a_snapshot_holds_exactly_the_rows_up_to_its_event_time(
    gaps: list[int], looks: list[int], speed: float, symbols: int
) -> None:
    rows = trades_apart(gaps, symbols)
    begun = replay(rows, speed)
    now, newest = STARTED, dict.fromkeys((row.symbol for row in rows), 0.0)
    for look in looks:
        now += look
        for snapshot in begun.until(now):
            assert newest[snapshot.symbol] < snapshot.timestamp <= now / 1000
            newest[snapshot.symbol] = snapshot.timestamp
            assert snapshot.event_time is not None
            own = [row for row in rows if row.symbol == snapshot.symbol]
            held = [row for row in own if row.time / 1_000_000 <= snapshot.event_time]
            assert snapshot.price == held[-1].price
            assert snapshot.trades == len(held)
            assert snapshot.volume == sum(row.volume or 0.0 for row in held)
            # As anybody can who reads recorded_from, started_at and speed; half a microsecond for the floats.
            elapsed = (round(snapshot.timestamp * 1000) - STARTED) * 1000 * speed
            assert held[-1].time - rows[0].time <= elapsed + 0.5
            # What else has happened by then is of a later sample, and has happened in the same millisecond.
            later = [r for r in own if held[-1].time < r.time and r.time - rows[0].time <= elapsed - 0.5]
            spacing = min(speed, 1.0) * 1_000_000
            assert all(math.ceil(row.time / spacing) > math.ceil(held[-1].time / spacing) for row in later)
            assert all(row.time - held[-1].time <= 1000 * speed for row in later)


@given(
    gaps=st.lists(st.integers(0, 3_000_000), min_size=1, max_size=60),
    looks=st.lists(st.integers(0, 2_000), min_size=1, max_size=40),
    speed=st.sampled_from([1.0, 7.0, 10.0, 60.0, 100_000.0]),
    symbols=st.integers(1, 3),
)
def test_the_samples_are_the_last_row_of_each_second_at_any_speed(
    gaps: list[int], looks: list[int], speed: float, symbols: int
) -> None:
    rows = trades_apart(gaps, symbols)
    begun, now, snapshots = replay(rows, speed), STARTED, []
    for look in (*looks, 1_000_000):
        now += look
        snapshots += begun.until(now)
    found = [(each.symbol, each.event_time, each.price, each.volume, each.trades) for each in samples(snapshots)]
    assert sorted(found) == last_of_each_second(rows)
    times = [(each.symbol, each.timestamp) for each in samples(snapshots)]
    assert sorted(times) == sorted(times, key=lambda pair: pair[0]), "in order of time, each symbol for itself"


def test_a_second_that_is_not_over_is_no_sample_yet() -> None:
    begun = replay([trade(0.5, price=10), trade(0.9, price=11), trade(1, price=12), trade(1.2, price=13)], speed=1.0)
    assert begun.until(at(0.4)) == []
    (snapshot,) = begun.until(at(0.5))
    assert (snapshot.price, snapshot.event_time, snapshot.fill) == (12.0, RECORDED / 1e6 + 1, ())
    assert [each.price for each in begun.until(at(0.7))] == [13.0], "the recording is over"


def test_a_snapshot_brings_the_samples_before_it_and_no_more_than_there_is_room_for() -> None:
    rows = [trade(i, price=1.0 + i) for i in range(2 * MOST_FILL)]
    begun = replay(rows, speed=60.0)
    (snapshot,) = begun.until(at(0.2))
    assert snapshot.fill is not None
    assert [each.price for each in (*snapshot.fill, snapshot)] == [1.0 + i for i in range(13)]
    assert {each.session for each in snapshot.fill} == {str(STARTED)}
    (snapshot,) = begun.until(at(60))
    assert snapshot.fill is not None
    assert [each.price for each in (*snapshot.fill, snapshot)] == [row.price for row in rows[-MOST_FILL - 1 :]]


def test_in_slow_motion_too_a_sample_is_a_second_of_the_recording() -> None:
    begun = replay([trade(i / 100, price=1.0 + i) for i in range(400)], speed=0.1)
    prices = [each.price for second in range(40) for each in begun.until(at(second) + 5)]
    assert prices == [1.0, 101.0, 201.0, 301.0]


def test_in_lock_step_each_second_with_rows_happens_when_it_is_asked_for() -> None:
    rows = [trade(0, "ES"), trade(0, "NQ"), trade(0.5, "ES"), trade(0.7, "ES"), trade(86_400, "NQ")]
    begun = replay(rows, math.inf)
    steps = [begun.step(now) for now in (at(10), at(10), at(7))]
    assert begun.finished
    assert [[(each.symbol, each.trades, each.timestamp) for each in step] for step in steps] == [
        [("ES", 1, at(10) / 1000), ("NQ", 1, at(10) / 1000)],
        [("ES", 3, at(10.001) / 1000)],
        [("NQ", 2, at(10.002) / 1000)],
    ]
    assert {each.session for step in steps for each in step} == {str(STARTED)}
    assert begun.step(at(11)) == []


@given(
    gaps=st.lists(st.integers(0, 3_000_000), min_size=1, max_size=60),
    symbols=st.integers(1, 3),
)
def test_the_samples_in_lock_step_are_those_of_any_speed(gaps: list[int], symbols: int) -> None:
    rows = trades_apart(gaps, symbols)
    begun, snapshots = replay(rows, math.inf), []
    while not begun.finished:
        snapshots += begun.step(STARTED)
    assert not any(each.fill for each in snapshots)
    found = [(each.symbol, each.event_time, each.price, each.volume, each.trades) for each in snapshots]
    assert sorted(found) == last_of_each_second(rows)
