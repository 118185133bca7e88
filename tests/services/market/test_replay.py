import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cottage.files.rows import Row
from cottage.snapshot import MarketSnapshot
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


def test_the_first_row_happens_at_once() -> None:
    (snapshot,) = replay([trade(0, price=1644.75, size=2), trade(1)]).until(STARTED)
    assert snapshot == MarketSnapshot(
        "ES", 1644.75, STARTED / 1000, 2.0, 1, "replay", None, None, 1644.75, 1644.75, 1644.75, str(STARTED)
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


@given(
    gaps=st.lists(st.integers(0, 3_000_000), min_size=1, max_size=60),
    looks=st.lists(st.integers(0, 2_000), min_size=1, max_size=40),
    speed=st.sampled_from([0.001, 0.1, 0.3, 1.0, 7.0, 10.0, 600.0, 100_000.0]),
    symbols=st.integers(1, 3),
)
def test_a_snapshot_holds_exactly_the_rows_up_to_its_timestamp(
    gaps: list[int], looks: list[int], speed: float, symbols: int
) -> None:
    rows, time = [], RECORDED
    for i, gap in enumerate(gaps):
        time += gap
        rows.append(trade(0, symbol=f"S{i % symbols}", price=1.0 + i, size=2.0**-i)._replace(time=time))
    begun = replay(rows, speed)
    now, newest = STARTED, dict.fromkeys((row.symbol for row in rows), 0.0)
    for look in looks:
        now += look
        for snapshot in begun.until(now):
            assert newest[snapshot.symbol] < snapshot.timestamp <= now / 1000
            newest[snapshot.symbol] = snapshot.timestamp
            # As anybody can who reads recorded_from, started_at and speed; half a microsecond for the floats.
            elapsed = (round(snapshot.timestamp * 1000) - STARTED) * 1000 * speed
            held = [r for r in rows if r.symbol == snapshot.symbol and r.time - rows[0].time <= elapsed + 0.5]
            assert snapshot.price == held[-1].price
            assert snapshot.trades == len(held)
            assert snapshot.volume == sum(row.volume for row in held)
