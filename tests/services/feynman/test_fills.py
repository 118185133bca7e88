"""What a feed hands over beyond one snapshot is taken once, in order, so that numbers do not depend on its speed."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from cottage.clock import iso_micros, iso_millis
from cottage.files.rows import Row as TradeRow
from cottage.snapshot import MOST_FILL, SAMPLE_FIELDS, MarketSnapshot
from cottage.state import PILLARS, PhysicsState
from services.feynman.symbol_table import SymbolTable
from services.market.replay import Replay
from tests.services.feynman.test_symbol_table import NOW, Row, state, table_of


class Lists:
    """What a feed writes: the newest snapshot, and the lists `market:fill:{SYMBOL}`."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.elements: dict[str, list[bytes]] = {}
        self.read: list[dict[str, int]] = []
        """What `missed` asked for at each tick."""

    def write(self, snapshots: Sequence[MarketSnapshot]) -> None:
        for each in snapshots:
            elements = self.elements.setdefault(each.symbol, [])
            for sample in (*(each.fill or ()), each):
                elements.append(sample.element(4711 + len(elements)))
            fields = {**each.to_hash(), "fill": 4710 + len(elements)}
            texts = (fields.get(name) for name in SAMPLE_FIELDS)
            self.rows[each.symbol] = tuple(None if text is None else str(text).encode() for text in texts)

    def tick(self, table: SymbolTable, now: float) -> list[str]:
        rows = [(symbol, self.rows[symbol]) for symbol in table if symbol in self.rows]
        self.read.append(table.missed(rows))
        fills = {symbol: self.elements[symbol][-2 * number - 64 :] for symbol, number in self.read[-1].items()}
        sampled = table.take(rows, now, now, fills)[0]
        while table.take_rest(now, now):
            pass
        return sampled


def sigma(table: SymbolTable, symbol: str) -> float:
    return float(table._windows.statistics(np.array([table._entries[symbol].row])).sigma[0])


def recording(seconds: int, halt: float = 0.0, seed: int = 7, heavy: bool = False) -> list[TradeRow]:
    """Trades of two symbols, some seven a second, from 7 October 2013 on; after half of it, a halt. Moves are normal,
    or else have the tail index 1.7."""
    generator, rows, price = random.Random(seed), [], {"ES": 1680.0, "NQ": 3200.0}
    start, end = 1_381_143_600_000_000, 1_381_143_600_000_000 + seconds * 1_000_000
    time = start
    while (time := time + round(generator.expovariate(7) * 1e6)) < end:
        symbol = generator.choice(["ES", "NQ"])
        size = (
            min(generator.paretovariate(1.7), 90.0) * generator.choice((1, -1)) if heavy else generator.gauss(0, 1.5)
        )
        price[symbol] += 0.25 * round(size)
        at, p = time + (round(halt * 1e6) if time > (start + end) / 2 else 0), price[symbol]
        rows.append(TradeRow(at, symbol, p, generator.randint(1, 9), 1, p, p, p, None, None))
    return rows


def replayed(
    rows: Sequence[TradeRow],
    speed: float,
    tick: float = 1.0,
    window: int = 1000,
    seen: list[PhysicsState] | None = None,
) -> tuple[SymbolTable, Lists]:
    """A table that has seen a recording at this speed: the feed writes five times a second, and a tick comes late by
    up to half a second. `seen` gets the states of ES."""
    table, lists, replay, late = table_of("ES", "NQ", window=window), Lists(), Replay(rows, speed), random.Random(3)
    replay.begin(round(NOW * 1000))
    writes = 0
    while not replay.finished:
        for _ in range(round(tick / 0.2)):
            lists.write(replay.until(round(NOW * 1000) + 200 * writes))
            writes += 1
        sampled = lists.tick(table, NOW + 0.2 * writes + 0.5 * late.random())
        if seen is not None and "ES" in sampled:
            seen.append(state(table, "ES"))
    return table, lists


@pytest.mark.parametrize(("window", "speeds"), [(1000, (2.5, 10.0, 60.0)), (150, (60.0, 1000.0, 100_000.0))])
def test_a_recording_gives_the_same_numbers_at_any_speed(window: int, speeds: tuple[float, ...]) -> None:
    rows, told = recording(1200), (*PILLARS, "alpha_coefficient", "samples", "nonzero", "price")
    as_recorded, _lists = replayed(rows, 1.0, window=window)
    for speed in speeds:
        table, lists = replayed(rows, speed, window=window)
        for symbol in ("ES", "NQ"):
            one, other = state(as_recorded, symbol), state(table, symbol)
            assert (one.regime, one.notes, one.void) == (other.regime, other.notes, other.void)
            # Where a feed had more samples than it hands over, the same ones have other places in the ring.
            expected = pytest.approx([getattr(one, name) for name in told], rel=1e-12)
            assert [getattr(other, name) for name in told] == expected, (speed, symbol)
            assert sigma(table, symbol) == pytest.approx(sigma(as_recorded, symbol), rel=1e-12)
        assert sum(max(each.values(), default=0) for each in lists.read) >= 800, "nearly all were handed over so"


@pytest.mark.parametrize("speed", [0.5, 0.3])
def test_a_recording_gives_the_same_numbers_in_slow_motion(speed: float) -> None:
    rows = recording(300)
    one, other = (state(replayed(rows, each, window=150)[0], "ES") for each in (1.0, speed))
    for name in (*PILLARS, "alpha_coefficient", "alpha_low", "alpha_high", "samples", "nonzero", "price"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-12), name
    assert (one.regime, one.step, one.holes) == (other.regime, other.step, other.holes)


def test_a_regime_is_kept_from_sample_to_sample_at_any_speed() -> None:
    rows, as_recorded = recording(900, heavy=True), list[PhysicsState]()
    replayed(rows, 1.0, window=80, seen=as_recorded)
    told = {each.event_time: (each.regime, each.regime_since) for each in as_recorded}
    assert len(set(told.values())) >= 8, "it changes often"
    for speed in (10.0, 60.0, 600.0):
        seen: list[PhysicsState] = []
        replayed(rows, speed, window=80, seen=seen)
        found = {each.event_time: (each.regime, each.regime_since) for each in seen if each.event_time in told}
        assert found == {time: told[time] for time in found}, speed
        assert len(found) >= 2


def handed_over(numbers: int, start: float = 1000.0) -> MarketSnapshot:
    """A snapshot that is the last of so many samples, a second apart by the market's time."""
    times = [start + i for i in range(numbers)]
    *before, newest = (
        MarketSnapshot("ES", 100.0 + at % 7, NOW + at / 100, volume=at, trades=at, event_time=at, fill=())
        for at in times
    )
    return replace(newest, fill=tuple(replace(each, fill=None) for each in before))


@pytest.mark.parametrize("lost", [0, 1, 2, 7])
def test_samples_that_are_lost_leave_a_hole(lost: int) -> None:
    table, lists = table_of("ES"), Lists()
    lists.write([handed_over(5)])
    lists.tick(table, NOW)
    lists.write([handed_over(12, 1005.0)])
    del lists.elements["ES"][: 5 + lost]
    lists.tick(table, NOW + 1)
    row = table._entries["ES"].row
    windows, found = table._windows, state(table, "ES")
    assert (found.samples, found.holes) == (17 - lost, int(lost > 0))
    assert ("gap" in found.notes, "break" in found.notes) == (lost > 0, False)
    for ring in (windows.log_return, windows.volume):
        unknown = np.isnan(ring[row, 1 : 17 - lost])
        assert np.flatnonzero(unknown).tolist() == ([4] if lost else []), "the first one after them"


def versions(table: SymbolTable, lists: Lists, now: float) -> list[PhysicsState]:
    """The states of ES of all versions of a tick."""
    rows = [("ES", lists.rows["ES"])]
    elements = {symbol: lists.elements[symbol] for symbol in table.missed(rows)}
    found = []
    sampled, _ = table.take(rows, now, now, elements)
    while sampled:
        found.append(state(table, "ES"))
        sampled = table.take_rest(now, now)
    return found


@pytest.mark.parametrize("number", [1, 2, 63, 64, 65, 128, 129, 200])
def test_a_version_has_at_most_64_samples_and_says_all_of_them(number: int) -> None:
    table, lists = table_of("ES"), Lists()
    lists.write([handed_over(1)])
    lists.tick(table, NOW)
    lists.write([handed_over(number, 1001.0)])
    found = versions(table, lists, NOW + 9)
    told = [[*(each.event_time for each in one.taken), one.event_time] for one in found]
    assert [len(each) for each in told] == [64] * (number // 64) + ([number % 64] if number % 64 else [])
    assert [time for each in told for time in each] == [iso_millis(1001.0 + i) for i in range(number)]
    assert [one.samples for one in found] == [1 + min(64 * (i + 1), number) for i in range(len(found))]
    assert not any(one.lost or each.lost for one in found for each in one.taken)


def test_a_version_in_between_is_that_of_its_own_sample() -> None:
    """It is what a tick at that sample would have given, with the sample's own time."""
    table, lists, step = table_of("ES"), Lists(), Lists()
    lists.write([handed_over(150)])
    among = table_of("ES")
    for number in range(150):
        step.write([handed_over(1, 1000.0 + number)])
        step.tick(among, NOW + 30)
        if number == 63:
            alone = state(among, "ES")
    in_one = versions(table, lists, NOW + 30)
    told: tuple[str, ...] = ("price", "volume", "trades", "event_time", "samples", "nonzero", "step", "holes", "grid")
    told += (*PILLARS, "alpha_coefficient", "alpha_low", "alpha_high", "regime")
    assert [getattr(in_one[0], name) for name in told] == [getattr(alone, name) for name in told]
    assert [getattr(in_one[-1], name) for name in told] == [getattr(state(among, "ES"), name) for name in told]
    assert [one.timestamp for one in in_one] == [iso_millis(NOW + at / 100) for at in (1063.0, 1127.0, 1149.0)]


def test_no_version_in_between_is_of_a_time_to_come() -> None:
    table, lists = table_of("ES"), Lists()
    lists.write([handed_over(150)])
    first, *_others = versions(table, lists, NOW + 5)
    assert (first.timestamp, first.feed_time) == (iso_millis(NOW + 5), iso_millis(NOW + 10.63))


def test_what_is_said_of_a_sample_is_said_of_those_taken_too() -> None:
    table, lists = table_of("ES"), Lists()
    first = MarketSnapshot(
        "ES",
        100.0,
        NOW,
        volume=10.0,
        trades=2.0,
        bid=99.5,
        ask=100.5,
        session="day 1",
        notes=("auction", "late"),
        event_time=1000.0,
        received=1000.25,
    )
    second = MarketSnapshot("ES", 101.0, NOW + 1.0005, event_time=1001.000_001)
    own = replace(first, timestamp=NOW + 2, event_time=1002.0, received=1002.25, tick=0.25, interval=60.0)
    lists.write([replace(own, fill=(first, second))])
    (found,) = versions(table, lists, NOW + 2)
    taken, another = found.taken
    assert taken.as_dict() == {
        "price": 100.0,
        "timestamp": iso_millis(NOW),
        "volume": 10.0,
        "trades": 2.0,
        "bid": 99.5,
        "ask": 100.5,
        "event_time": "1970-01-01T00:16:40.000Z",
        "received": "1970-01-01T00:16:40.250Z",
        "session": "day 1",
        "notes": ("auction", "late"),
        "lost": True,
    }
    times = {"timestamp": "2025-12-21T12:00:01.000500Z", "event_time": "1970-01-01T00:16:41.000001Z"}
    assert another.as_dict() == {"price": 101.0, **times}
    assert (found.volume, found.trades, found.bid, found.ask) == (10.0, 2.0, 99.5, 100.5)
    assert (found.tick, found.interval, found.session, found.said) == (0.25, 60.0, "day 1", ("auction", "late"))
    assert (found.event_time, found.received) == ("1970-01-01T00:16:42.000Z", "1970-01-01T00:16:42.250Z")
    assert set(found.notes) >= {"auction", "late"}


@pytest.mark.parametrize("lost", [0, 3])
def test_samples_that_are_lost_are_said_to_be(lost: int) -> None:
    table, lists = table_of("ES"), Lists()
    lists.write([handed_over(5)])
    lists.tick(table, NOW)
    lists.write([handed_over(100, 1005.0)])
    lists.elements["ES"][: 5 + lost] = [b""] * (5 + lost)
    first, second = versions(table, lists, NOW + 1)
    assert [each.lost for each in first.taken] == [bool(lost), *[False] * 62]
    assert (first.lost, second.lost, len(first.taken) + len(second.taken)) == (False, False, 98 - lost)
    lists.write([handed_over(9, 1105.0)])
    lists.elements["ES"][:] = [b""] * len(lists.elements["ES"])
    (found,) = versions(table, lists, NOW + 2)
    assert (found.lost, found.taken) == (True, ())


def test_what_was_left_over_is_taken_at_the_next_tick_where_this_one_failed() -> None:
    table, lists = table_of("ES"), Lists()
    lists.write([handed_over(200)])
    rows = [("ES", lists.rows["ES"])]
    table.take(rows, NOW + 9, 9.0, {"ES": lists.elements["ES"]})
    assert table.missed(rows) == {"ES": 135}
    assert [len(each.taken) for each in versions(table, lists, NOW + 10)] == [63, 63, 7]
    assert table.missed(rows) == {}
    assert state(table, "ES").samples == 200


def test_samples_that_are_all_lost_leave_a_hole_before_the_snapshot() -> None:
    table, lists = table_of("ES"), Lists()
    for start, numbers in ((1000.0, 5), (1005.0, 3), (1008.0, 1)):
        lists.write([handed_over(numbers, start)])
        if numbers == 3:
            lists.elements["ES"].clear()
            lists.elements["ES"] += [b""] * 8  # so that the numbers go on
        lists.tick(table, NOW + start)
    found = state(table, "ES")
    assert (found.samples, found.holes) == (7, 1)
    assert "momentum" not in found.void, "the newest one follows"


def turbulent(seconds: int) -> list[TradeRow]:
    """Trades of two symbols whose moves are normal at first, then of a heavy tail, and then normal again; some of
    them auctions', and with seconds in which there is none."""
    generator, rows, price = random.Random(11), [], {"ES": 100_000.0, "NQ": 300_000.0}
    for second in range(seconds):
        wild = seconds / 3 < second < seconds / 2
        for symbol in price:
            if generator.random() < 0.1:
                continue
            size = generator.paretovariate(1.1) if wild else abs(generator.gauss(0, 2))
            price[symbol] += generator.choice((-1, 1)) * min(round(size), 1000)
            p, notes = price[symbol], ("auction",) if second % 500 == 7 else ()
            at = 1_381_143_600_000_000 + second * 1_000_000
            rows.append(TradeRow(at, symbol, p, generator.randint(1, 9), 1, p, p, p, None, None, notes=notes))
    return rows


def in_step(rows: Sequence[TradeRow], window: int = 1000) -> SymbolTable:
    """A table that has ticked on each second of a recording, and now and then on its own."""
    table, lists, replay = table_of("ES", "NQ", window=window), Lists(), Replay(rows)
    now = NOW
    while not replay.finished:
        lists.write(replay.step(round(now * 1000)))
        for _ in range(1 + (round(now * 1000) % 7 == 0)):
            lists.tick(table, now)
        now += 0.013
    assert all(not each for each in lists.read[2:]), "one sample a tick"
    return table


def test_nothing_that_is_computed_depends_on_the_speed() -> None:
    rows = turbulent(2000)
    told: tuple[str, ...] = (*PILLARS, "alpha_coefficient", "alpha_low", "alpha_high", "regime", "regime_since")
    told += ("event_time", "step", "holes", "samples", "nonzero", "price", "notes", "void")
    tables = {
        "1": replayed(rows, 1.0, window=500)[0],
        "60": replayed(rows, 60.0, window=500)[0],
        "max": in_step(rows, window=500),
    }
    for symbol in ("ES", "NQ"):
        found = {
            speed: {name: getattr(state(table, symbol), name) for name in told} for speed, table in tables.items()
        }
        assert found["60"] == found["1"]
        assert found["max"] == found["1"]
        since = found["1"]["regime_since"]
        assert iso_millis(rows[0].time / 1e6 + 1000) < str(since) < iso_millis(rows[-1].time / 1e6), "it has changed"


def test_at_its_own_speed_a_recording_needs_no_list_but_where_a_tick_is_late() -> None:
    _table, lists = replayed(recording(100), 1.0)
    assert sum(bool(tick) for tick in lists.read[1:]) < 60


def test_a_halt_of_minutes_is_a_gap_at_any_speed_and_a_fast_second_is_none() -> None:
    for speed in (10.0, 60.0):
        table, _lists = replayed(recording(400, halt=300.0), speed)
        windows, row = table._windows, table._entries["ES"].row
        returns = windows.log_return[row, : windows.samples[row]]
        assert np.isnan(returns).sum() == 2, "the first sample has none, and the one after the halt"
        assert "gap" in state(table, "ES").notes
        table, _lists = replayed(recording(400), speed)
        assert "gap" not in state(table, "ES").notes


def test_a_recording_that_begins_anew_has_no_return_across() -> None:
    table, lists = table_of("ES"), Lists()
    for turn in range(3):
        replay = Replay([row for row in recording(100) if row.symbol == "ES"], 60.0)
        replay.begin(round(NOW * 1000) + 3000 * turn)
        for write in range(15):
            lists.write(replay.until(round(NOW * 1000) + 3000 * turn + 200 * write))
    lists.tick(table, NOW + 9)
    windows, row = table._windows, table._entries["ES"].row
    one = len({math.ceil(each.time / 1e6) for each in recording(100) if each.symbol == "ES"})
    assert windows.samples[row] == 3 * one
    assert np.isnan(windows.log_return[row, : 3 * one]).sum() == 3
    assert {"gap", "session"} <= set(state(table, "ES").notes)
    assert lists.read[0] == {"ES": MOST_FILL}


def test_samples_are_taken_once_whatever_is_read_again() -> None:
    table, lists = table_of("ES"), Lists()
    replay = Replay([row for row in recording(100) if row.symbol == "ES"], 60.0)
    replay.begin(round(NOW * 1000))
    taken = []
    for write in range(9):
        lists.write(replay.until(round(NOW * 1000) + 200 * write))
        lists.tick(table, NOW + 0.2 * write)
        lists.tick(table, NOW + 0.2 * write)
        taken.append(int(table._windows.samples[table._entries["ES"].row]))
        assert taken[-1] == len(lists.elements.get("ES", ()))
    restored = table_of("ES")
    restored.remove(["ES"])
    restored.restore(table.saved(["ES"]))
    lists.tick(restored, NOW + 2)
    assert restored._windows.samples[restored._entries["ES"].row] == taken[-1], (
        "its newest sample's number is not known"
    )
    lists.write(replay.until(round(NOW * 1000) + 1900))
    for each in (table, restored):
        lists.tick(each, NOW + 2)
        assert each._windows.samples[each._entries["ES"].row] == len(lists.elements["ES"]) > taken[-1]


def test_a_sample_that_cannot_be_read_is_left_out_and_said() -> None:
    table, lists = table_of("ES"), Lists()
    lists.write([MarketSnapshot("ES", 99.0, NOW - 1, event_time=999.0, fill=())])
    assert lists.tick(table, NOW - 1) == ["ES"]
    fill = tuple(MarketSnapshot("ES", 100.0 + i, NOW, event_time=1000.0 + i) for i in range(4))
    lists.write([MarketSnapshot("ES", 104.0, NOW, event_time=1004.0, fill=fill)])
    lists.elements["ES"][2:4] = [b'{"fill":4713,"price":0,"timestamp":1}', b"{"]
    assert lists.tick(table, NOW) == ["ES"]
    assert table._windows.samples[table._entries["ES"].row] == 3
    assert state(table, "ES").holes == 1
    assert {error.reason for error in table.doubtful["ES"]} == {"fill"}
    assert str(table.doubtful["ES"][0]).startswith("fill: json")


def test_a_state_tells_the_market_s_own_time_and_since_when_its_regime_holds_by_it() -> None:
    rows = recording(400)
    table, _lists = replayed(rows, 60.0)
    found = state(table, "ES")
    assert found.event_time == iso_micros(max(row.time for row in rows if row.symbol == "ES") / 1e6)
    assert found.regime_since is not None
    assert iso_millis(rows[0].time / 1e6) < found.regime_since < found.event_time
    assert found.timestamp is not None
    assert found.timestamp > iso_millis(NOW)
