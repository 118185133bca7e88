"""What the table makes of raw snapshots: samples, refusals, versions, writes."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from prometheus_client import REGISTRY

from cottage import reference
from cottage.clock import from_iso, iso_millis
from cottage.errors import InvalidMessage
from cottage.keys import in_shard
from cottage.reference import PlainSample, plain_vector
from cottage.state import PhysicsState
from services.feynman.symbol_table import StateWrite, SymbolTable
from tests.services.feynman.histories import assert_vector

NOW = 1_766_318_400.0
Row = tuple[bytes | None, ...]


def raw(
    price: object = 100.0,
    timestamp: object = NOW,
    volume: object = 10,
    trades: object = 0,
    source: bytes | None = b"live",
    session: bytes | None = None,
    notes: bytes | None = None,
    feed: bytes | None = None,
    rival: bytes | None = None,
    native: bytes | None = None,
    event_time: object = None,
    interval: object = None,
    tick: object = None,
    fill: object = None,
    received: object = None,
    bid: object = None,
    ask: object = None,
) -> Row:
    """SAMPLE_FIELDS as Redis gives them."""
    numbers, market = (
        tuple(None if value is None else str(value).encode() for value in values)
        for values in ((price, timestamp, volume, trades), (event_time, interval, tick, received, bid, ask, fill))
    )
    return (*numbers, source, session, notes, feed, rival, native, *market)


def table_of(*symbols: str, window: int = 1000, forget: float = 3600.0) -> SymbolTable:
    table = SymbolTable(window, forget)
    table.add(symbols)
    return table


def take(table: SymbolTable, symbol: str, row: Row | InvalidMessage, now: float = 0.0) -> tuple[list[str], list[str]]:
    """One symbol's snapshot; which were sampled, and the fields that were refused."""
    sampled, refused = table.take([(symbol, row)], NOW, now)
    return sampled, [fault.reason for refusal in refused for fault in refusal.faults]


def state(table: SymbolTable, symbol: str, version: tuple[int, int] = (1, 1)) -> PhysicsState:
    table.version(*version, [symbol])
    return whole(next(write for write in table.writes() if write.symbol == symbol))


def whole(write: StateWrite) -> PhysicsState:
    """The state of a new one, which lacks its end."""
    return PhysicsState.from_bytes(write.state + b"}")


def update_of(table: SymbolTable, symbol: str) -> bytes:
    """The update of a new one, likewise."""
    return next(write.update or b"" for write in table.writes() if write.symbol == symbol) + b"}"


def feed(table: SymbolTable, symbol: str, samples: Sequence[PlainSample]) -> None:
    for sample in samples:
        row = raw(sample.price, sample.timestamp, sample.volume, sample.trades)
        assert take(table, symbol, row) == ([symbol], [])


def test_a_state_is_the_vector_of_the_samples_taken() -> None:
    table = table_of("SPY", "QQQ", window=80)
    samples = [
        PlainSample(NOW - 500 + i, 100.0 + math.sin(i * i), 10.0 * i + i % 7, float(2 * i + i % 3))
        for i in range(100)
    ]
    feed(table, "SPY", samples)
    feed(table, "QQQ", samples[:3])
    found = state(table, "SPY")
    assert_vector(found, reference.vector(samples, window=80))
    assert found.regime != "WAIT"
    assert (found.price, found.source) == (samples[-1].price, "live")
    assert found.timestamp == "2025-12-21T11:53:19.000Z"
    assert found.version == (1, 1)
    assert state(table, "QQQ").samples == 3


def test_a_symbol_is_added_once() -> None:
    table = SymbolTable(10, 3600.0)
    assert table.add(["SPY", "SPY", "QQQ"]) == ["SPY", "QQQ"]
    assert table.add(["QQQ", "IWM"]) == ["IWM"]
    assert list(table) == ["SPY", "QQQ", "IWM"]


def test_where_nothing_was_traded_the_state_has_the_same_numbers_as_of_now() -> None:
    table, samples = table_of("SPY", window=80), ordinary(30)
    feed(table, "SPY", samples)
    before = state(table, "SPY")
    last = samples[-1]
    for seconds in (1.0, 2.0):
        after = told(table, last._replace(timestamp=last.timestamp + seconds))
        assert after == replace(before, timestamp=iso_millis(last.timestamp + seconds))
    # The next return spans the two seconds.
    more = [s._replace(timestamp=s.timestamp + 2) for s in ordinary(31)[30:]]
    assert_vector(told(table, more[0]), reference.vector([*samples, *more], window=80))
    assert state(table, "SPY").holes == 0


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0])
def test_a_clock_that_is_set_while_nothing_is_traded_makes_no_hole(seconds: float) -> None:
    table, samples = table_of("SPY"), ordinary(30)
    feed(table, "SPY", samples)
    last = samples[-1]
    told(table, last._replace(timestamp=last.timestamp + 1.0))
    table.clock_stepped(seconds, NOW + seconds, 0.0)
    row = raw(101.0, last.timestamp + 2.0 + seconds, (last.volume or 0) + 1, (last.trades or 0) + 1)
    table.take([("SPY", row)], NOW + seconds, 2.0)
    found = state(table, "SPY")
    assert (found.samples, found.holes) == (31, 0)


@pytest.mark.parametrize(
    ("interval", "apart", "holes"), [(3600, 3600.0, 0), (None, 3600.0, 9), (86_400, 3 * 86_400.0, 0)]
)
def test_hourly_and_daily_bars_have_returns_if_their_feed_says_what_they_are(
    interval: int | None, apart: float, holes: int
) -> None:
    table = table_of("SPY")
    for i in range(10):
        row = raw(100.0 + i, NOW - (10 - i) * apart, 10 * i, i, interval=interval)
        assert take(table, "SPY", row) == (["SPY"], [])
    found = state(table, "SPY")
    assert (found.samples, found.nonzero, found.holes) == (10, 9 - holes, holes)
    assert found.step == (interval or pytest.approx(2.0, abs=1.1))
    assert ("gap" in found.notes) == (interval is None)


def test_returns_are_spaced_by_the_market_s_own_time_where_the_feed_states_it() -> None:
    table = table_of("SPY")
    for i, market in enumerate([0.0, 10.0, 20.0, 320.0, 330.0]):  # at ten times the speed, with a halt
        row = raw(100.0 + i, NOW - 100 + market / 10, 10 * i, i, event_time=1e9 + market, interval=10)
        assert take(table, "SPY", row) == (["SPY"], [])
    assert (state(table, "SPY").nonzero, state(table, "SPY").holes) == (3, 1)


def test_a_snapshot_is_sampled_once() -> None:
    table = table_of("SPY")
    assert take(table, "SPY", raw()) == (["SPY"], [])
    assert take(table, "SPY", raw()) == ([], [])
    assert take(table, "SPY", raw(price=101.0)) == ([], [])  # the time tells a new one, not the price
    assert state(table, "SPY").samples == 1


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (raw(price="abc"), "price"),
        (raw(price="nan"), "price"),
        (raw(price="inf"), "price"),
        (raw(price="1e999"), "price"),
        (raw(price=-1), "price"),
        (raw(price=0), "price"),
        (raw(price="1_000"), "price"),
        (raw(price="1 2"), "price"),
        (raw(price="9" * 1_000_000), "price"),
        (raw(price=None), "price"),
        (raw(price=""), "price"),
        (raw(timestamp=None), "timestamp"),
        (raw(timestamp="now"), "timestamp"),
        (raw(timestamp=NOW + 61), "timestamp"),
        (raw(timestamp=-1), "timestamp"),
        (raw(timestamp=NOW - 101), "timestamp"),  # behind the newest sample
        (raw(volume=-1), "volume"),
        (raw(volume="nan"), "volume"),
        (raw(trades="many"), "trades"),
        (raw(trades=-0.5), "trades"),
        (raw(source=b"x" * 1_000_000), "source"),
        (raw(source=b"live\x1b[31m"), "source"),
        (raw(source=b""), "source"),
        (raw(source=b"\xff\xfe"), "source"),
        (InvalidMessage("type", "market:snapshot:SPY is no hash"), "type"),
    ],
)
def test_a_bad_snapshot_is_refused_by_name_once_and_the_last_state_stands(
    row: Row | InvalidMessage, field: str
) -> None:
    table = table_of("SPY", "QQQ")
    take(table, "SPY", raw(timestamp=NOW - 100))
    before = state(table, "SPY")
    sampled, refused = table.take([("SPY", row), ("QQQ", raw())], NOW, 0.0)
    assert sampled == ["QQQ"]
    (refusal,) = refused
    assert (refusal.symbol, [fault.reason for fault in refusal.faults]) == ("SPY", [field])
    assert len(str(refusal.faults[0])) < 200
    assert take(table, "SPY", row) == ([], [])  # it is counted already
    assert state(table, "SPY") == before
    assert take(table, "SPY", raw()) == (["SPY"], [])
    assert state(table, "SPY").samples == 2


def test_every_field_at_fault_is_told_and_a_new_fault_of_an_unchanged_snapshot_too() -> None:
    table = table_of("SPY")
    row = raw(price="abc", volume="None", timestamp=NOW + 100)
    assert take(table, "SPY", row) == ([], ["price", "timestamp", "volume"])
    assert [fault.reason for fault in table.refused["SPY"]] == ["price", "timestamp", "volume"]
    assert take(table, "SPY", row) == ([], [])
    _sampled, refused = table.take([("SPY", row)], NOW + 90, 0.0)
    assert [fault.reason for fault in refused[0].faults] == ["price", "volume"], "only these are left"
    assert table.take([("SPY", row)], NOW, 0.0)[1][0].faults[1].reason == "timestamp", "a second one, of the same row"


def test_what_looks_like_another_unit_or_zone_is_told_so() -> None:
    table = table_of("SPY")
    for timestamp, advice in ((NOW * 1000, "divide by 1,000"), (NOW + 5 * 3600, "looks like local time")):
        _sampled, (refusal,) = table.take([("SPY", raw(timestamp=timestamp))], NOW, 0.0)
        assert advice in refusal.faults[0].detail


def test_each_other_bad_snapshot_is_told() -> None:
    table = table_of("SPY")
    told = [take(table, "SPY", raw(price=price)) for price in ("a", "a", "b", "b", "a")]
    assert told == [([], ["price"]), ([], []), ([], ["price"]), ([], []), ([], ["price"])]


def test_a_time_that_was_ahead_is_taken_once_it_is_not() -> None:
    table = table_of("SPY")
    row = raw(timestamp=NOW + 61)
    assert take(table, "SPY", row) == ([], ["timestamp"])
    assert table.take([("SPY", row)], NOW + 2, 0.0) == (["SPY"], [])


@pytest.mark.parametrize("extreme", [{"price": 1e308}, {"price": 5e-324}, {"volume": 1e308, "trades": 1e308}])
def test_extreme_but_honest_numbers_give_finite_states(extreme: dict[str, float]) -> None:
    table = table_of("SPY")
    take(table, "SPY", raw(timestamp=NOW - 3))
    take(table, "SPY", raw(timestamp=NOW - 2, **extreme))  # type: ignore[arg-type]  # numbers only
    take(table, "SPY", raw(timestamp=NOW - 1, volume=5))
    assert state(table, "SPY").samples == 3  # from_bytes refuses what is not finite


def test_a_missing_volume_and_source_are_allowed() -> None:
    table = table_of("SPY")
    assert take(table, "SPY", raw(volume=None, trades=None, source=None)) == (["SPY"], [])
    assert state(table, "SPY").source == "unknown"


def test_another_source_begins_a_new_window() -> None:
    table = table_of("SPY")
    for second in range(5):
        take(table, "SPY", raw(price=100 + second, timestamp=NOW - 50 + second, source=b"simulate"))
    # its time may lie before the old one's: they are not the same stream
    assert take(table, "SPY", raw(price=7, timestamp=NOW - 60, source=b"live")) == (["SPY"], [])
    found = state(table, "SPY")
    assert (found.samples, found.nonzero, found.source, found.price) == (1, 0, "live", 7.0)


def test_a_refused_snapshot_of_another_source_clears_nothing() -> None:
    table = table_of("SPY")
    take(table, "SPY", raw(timestamp=NOW - 5))
    assert take(table, "SPY", raw(price=-1, source=b"simulate")) == ([], ["price"])
    take(table, "SPY", raw())
    assert state(table, "SPY").samples == 2


def test_after_a_new_session_volume_counts_again() -> None:
    table = table_of("SPY")
    samples = [
        PlainSample(NOW - 9 + i, 100.0 + i, volume, trades)
        for i, (volume, trades) in enumerate([(1000.0, 50.0), (1400.0, 70.0), (30.0, 2.0), (90.0, 4.0)])
    ]
    feed(table, "SPY", samples)
    assert state(table, "SPY").mass == pytest.approx(reference.vector(samples).mass, rel=1e-12)


def test_a_symbol_without_its_snapshot_is_given_up_and_may_come_back() -> None:
    table = table_of("SPY", "QQQ", forget=10.0)
    gone = raw(None, None, None, None, None)
    table.take([("SPY", raw()), ("QQQ", raw())], NOW, 100.0)
    table.take([("SPY", gone), ("QQQ", raw())], NOW, 101.0)
    assert table.forget(111.0) == []
    assert table.forget(111.1) == ["SPY"]
    assert list(table) == ["QQQ"]
    assert table.add(["SPY"]) == ["SPY"]
    take(table, "SPY", raw(timestamp=NOW - 50))
    assert state(table, "SPY").samples == 1


def test_absence_counts_from_when_it_was_seen_not_through_an_outage() -> None:
    table = table_of("SPY", forget=10.0)
    gone = raw(None, None, None, None, None)
    take(table, "SPY", raw(), now=100.0)
    assert table.forget(5000.0) == []  # nobody could look
    take(table, "SPY", gone, now=5000.0)
    assert table.forget(5009.0) == []
    take(table, "SPY", raw(timestamp=NOW + 1), now=5009.0)
    take(table, "SPY", gone, now=5015.0)
    assert table.forget(5024.0) == []


def test_only_what_was_sampled_is_published_and_everything_is_written() -> None:
    table = table_of("SPY", "QQQ", "IWM")
    sampled, _ = table.take([("SPY", raw()), ("QQQ", raw())], NOW, 0.0)
    assert list(table.writes()) == []  # nothing without a version
    table.version(7, 0, sampled)
    first = {write.symbol: write for write in table.writes()}
    assert first.keys() == {"SPY", "QQQ"}
    for symbol, write in first.items():
        assert update_of(table, symbol) == whole(write).update(symbol)
    assert list(table.writes()) == list(first.values())  # until they have arrived
    table.published([("SPY", b',"prev":null,"written":1}'), ("QQQ", b',"prev":[6,9],"written":1}')])
    spy, qqq = table.writes()
    assert spy == StateWrite("SPY", first["SPY"].state + b',"prev":null,"written":1}', None)
    assert qqq == StateWrite("QQQ", first["QQQ"].state + b',"prev":[6,9],"written":1}', None)
    assert list(table.writes()) == [spy, qqq], "the very same bytes again"
    assert PhysicsState.from_bytes(qqq.state).prev == (6, 9)

    take(table, "SPY", raw(timestamp=NOW + 1))
    table.version(7, 1, ["SPY"])
    spy, unchanged = table.writes()
    assert whole(spy).version == (7, 1)
    assert spy.update is not None
    assert unchanged == qqq


def test_under_a_new_epoch_everything_is_issued_again() -> None:
    table = table_of("SPY", "QQQ", "IWM")
    table.take([("SPY", raw()), ("QQQ", raw())], NOW, 0.0)
    table.version(7, 3, list(table))
    table.published([("SPY", b',"prev":null,"written":1}'), ("QQQ", b',"prev":null,"written":1}')])
    table.version(8, 4, list(table))
    versions = {write.symbol: whole(write).version for write in table.writes()}
    assert versions == {"SPY": (8, 4), "QQQ": (8, 4)}
    assert all(write.update for write in table.writes())


def test_each_symbol_is_one_shards() -> None:
    symbols = [f"S{i}" for i in range(300)]
    parts = [{symbol for symbol in symbols if in_shard(symbol, index, 3)} for index in range(3)]
    assert set.union(*parts) == set(symbols)
    assert sum(map(len, parts)) == len(symbols)
    assert min(map(len, parts)) > 50
    assert in_shard("SPY", 1, 2)  # its CRC-32 is 0x39b7fdff, in every process and version


# --- The age of a sample ---


class Watched:
    """A table that looks at snapshots as time passes, with a clock of Redis that may be set."""

    def __init__(self, *symbols: str, table: SymbolTable | None = None, now: float = 500.0) -> None:
        self.table = table_of(*symbols) if table is None else table
        self.now = now
        """Monotonic."""
        self.redis_ahead = NOW - now
        self._tick = 0

    @property
    def redis_now(self) -> float:
        return self.now + self.redis_ahead

    def after(self, seconds: float) -> "Watched":
        self.now += seconds
        return self

    def steps(self, seconds: float) -> None:
        self.redis_ahead += seconds
        self.table.clock_stepped(seconds, self.redis_now, self.now)

    def takes(self, symbol: str, ahead: float = 0.0, **fields: object) -> list[str]:
        """A snapshot whose timestamp lies so far ahead of Redis's clock. Returns the refused fields."""
        return self.takes_row(symbol, raw(timestamp=self.redis_now + ahead, **fields))  # type: ignore[arg-type]

    def takes_row(self, symbol: str, row: Row) -> list[str]:
        self.refused = self.table.take([(symbol, row)], self.redis_now, self.now)[1]
        return [fault.reason for refusal in self.refused for fault in refusal.faults]

    def state(self, symbol: str = "SPY") -> PhysicsState:
        self._tick += 1
        return state(self.table, symbol, (1, self._tick))

    def age(self, symbol: str = "SPY") -> float:
        """What a reader makes of the state by Redis's clock."""
        timestamp = self.state(symbol).timestamp
        assert timestamp is not None
        return self.redis_now - datetime.fromisoformat(timestamp).timestamp()


def test_a_sample_from_ahead_has_the_time_at_which_it_was_first_seen() -> None:
    watched = Watched("SPY")
    assert watched.takes("SPY", ahead=50.0) == []
    found = watched.state()
    assert (found.timestamp, found.feed_time) == (iso_millis(NOW), iso_millis(NOW + 50))
    assert found.update("SPY") == update_of(watched.table, "SPY")
    watched.after(5.0).takes_row("SPY", raw(timestamp=NOW + 50))
    assert (watched.state().timestamp, watched.state().samples) == (iso_millis(NOW), 1), "it is no new sample"


def test_one_row_from_ahead_blocks_nothing() -> None:
    watched = Watched("SPY")
    watched.takes("SPY")
    watched.after(1.0).takes("SPY", ahead=50.0, price=1.0)
    watched.after(1.0).takes("SPY", ahead=-0.2, price=101.0)
    found = watched.state()
    assert (found.price, found.samples, found.feed_time) == (101.0, 3, None)
    assert watched.age() == pytest.approx(0.2, abs=0.002)


def test_a_feed_that_is_always_ahead_has_every_sample_and_no_gap() -> None:
    watched = Watched("SPY")
    for i in range(10):
        assert watched.after(1.0).takes("SPY", ahead=5.0, price=100.0 + i) == []
    found = watched.state()
    assert (found.samples, found.nonzero) == (10, 9)


def test_a_sample_too_far_ahead_is_as_old_as_its_first_sight_once_it_is_taken() -> None:
    watched = Watched("SPY")
    row = raw(timestamp=NOW + 100)
    assert watched.takes_row("SPY", row) == ["timestamp"]
    assert watched.after(39.0).takes_row("SPY", row) == []  # it is refused still, and was told already
    watched.after(2.0).takes_row("SPY", row)
    assert watched.age() == pytest.approx(41.0, abs=0.002)


@pytest.mark.parametrize("step", [-86_400.0, -3600.0, -50.0, -1.0, 1.0, 50.0, 3600.0, 86_400.0])
def test_a_step_of_the_clock_makes_no_sample_younger_or_older(step: float) -> None:
    watched = Watched("SPY", "QQQ", "IWM")
    watched.takes("SPY", ahead=-3.0)
    watched.takes("QQQ", ahead=20.0)
    before = watched.state()
    watched.after(4.0).steps(step)
    assert watched.age("SPY") == pytest.approx(7.0, abs=0.002)
    assert watched.age("QQQ") == pytest.approx(4.0, abs=0.002)
    after = watched.state()
    assert (after.feed_time, after.price) == (before.timestamp, before.price), "the same sample"
    watched.after(2.0).steps(-step)
    assert watched.age("SPY") == pytest.approx(9.0, abs=0.002)
    assert watched.state().feed_time is None, "its time is that of its feed again"
    assert watched.age("QQQ") == pytest.approx(6.0, abs=0.002)
    assert watched.state("QQQ").feed_time == iso_millis(NOW + 20)


@pytest.mark.parametrize("step", [-86_400.0, -3600.0, -50.0, -1.0, 1.0, 50.0, 3600.0, 86_400.0])
def test_a_feed_that_follows_the_clock_goes_on_without_a_gap(step: float) -> None:
    watched = Watched("SPY")
    for i in range(3):
        watched.after(1.0).takes("SPY", ahead=-0.1, price=100.0 + i)
    watched.after(1.0).steps(step)
    for i in range(3):
        assert watched.takes("SPY", ahead=-0.2, price=200.0 + i) == []
        watched.after(1.0)
    found = watched.state()
    assert (found.samples, found.nonzero, found.feed_time) == (6, 5, None)


@pytest.mark.parametrize("step", [-50.0, -1.0, 1.0, 50.0, 3600.0])
def test_a_feed_that_does_not_follow_the_clock_goes_on_too(step: float) -> None:
    watched = Watched("SPY")
    watched.takes("SPY")
    watched.after(1.0).steps(step)
    for i in range(3):
        assert watched.takes("SPY", ahead=-step, price=200.0 + i) == []
        watched.after(1.0)
    assert watched.state().samples == 4


@pytest.mark.parametrize("step", [-3600.0, -5.0, 70.0, 86_400.0])
def test_a_feed_whose_own_clock_steps_is_refused_by_name_until_it_is_right(step: float) -> None:
    watched = Watched("SPY")
    watched.takes("SPY")
    for _ in range(3):
        assert watched.after(1.0).takes("SPY", ahead=step) == ["timestamp"]
        (refusal,) = watched.refused
        assert refusal.symbol == "SPY"
        assert "the feed live lies" in str(refusal.faults[0])
    assert watched.after(1.0).takes("SPY") == []
    assert watched.state().samples == 2


def test_what_redis_still_holds_after_its_clock_went_back_is_no_news_and_no_fault() -> None:
    watched = Watched("SPY")
    row = raw(timestamp=NOW)
    watched.takes_row("SPY", row)
    watched.after(1.0).steps(-3600.0)
    assert watched.takes_row("SPY", row) == []
    assert watched.age() == pytest.approx(1.0, abs=0.002)


@pytest.mark.parametrize("step", [-86_400.0, -3600.0, -50.0, -1.0])
def test_what_was_written_just_before_the_clock_went_back_is_taken_as_old_as_it_is(step: float) -> None:
    watched = Watched("SPY")
    watched.takes("SPY")
    watched.after(1.0).steps(step)
    assert watched.takes("SPY", ahead=-step - 0.3, price=101.0) == []
    assert watched.state().samples == 2
    assert watched.age() == pytest.approx(0.3, abs=0.002)
    # a feed that asks for the time every two seconds
    assert watched.after(1.0).takes("SPY", ahead=-step - 0.1, price=102.0) == []
    assert watched.age() == pytest.approx(0.1, abs=0.002)
    assert watched.after(1.0).takes("SPY", ahead=-0.05, price=103.0) == []
    assert (watched.state().samples, watched.state().nonzero) == (4, 3)
    assert watched.after(1.0).takes("SPY", ahead=-step - 0.1) == ([] if step > -60 else ["timestamp"])


def test_a_row_from_ahead_is_no_older_because_the_clock_just_went_back() -> None:
    watched = Watched("SPY")
    watched.takes("SPY")
    watched.after(1.0).steps(-3600.0)
    assert watched.after(1.0).takes("SPY", ahead=40.0) == []
    assert watched.age() == pytest.approx(0.0, abs=0.002)


# --- What a table that starts takes over ---


def restarted(watched: Watched, checkpoint: SymbolTable | None = None, clock_stepped: float = 0.0) -> Watched:
    """Another process, which reads the stored states and perhaps a checkpoint; Redis's clock was set meanwhile."""
    stored = {"SPY": watched.state()}
    again = Watched("SPY", table=SymbolTable(1000, 3600.0), now=watched.now + 12_345.0)
    if checkpoint is not None:
        again.table.restore(checkpoint.saved(["SPY"]))
    again.table.add(["SPY"])
    again.redis_ahead = watched.redis_now + clock_stepped - again.now
    assert again.table.newcomers() == ["SPY"]
    again.table.adopt(["SPY"], stored, again.redis_now, again.now)
    assert again.table.newcomers() == []
    return again


@pytest.mark.parametrize("from_checkpoint", [False, True])
@pytest.mark.parametrize("ahead", [-3.0, 0.0004, 50.0])
def test_a_sample_that_a_stored_state_tells_of_is_no_younger_to_the_next_process(
    ahead: float, from_checkpoint: bool
) -> None:
    watched = Watched("SPY")
    watched.takes("SPY", ahead=ahead - 1.0)
    row = raw(timestamp=NOW + 1.0 + ahead)
    watched.after(1.0).takes_row("SPY", row)
    before, age = watched.state(), watched.age()
    again = restarted(watched.after(7.0), watched.table if from_checkpoint else None)
    assert again.takes_row("SPY", row) == []
    after = again.state()
    assert (after.timestamp, after.feed_time) == (before.timestamp, before.feed_time)
    assert again.age() == pytest.approx(age + 7.0, abs=0.002)
    assert after.samples == (2 if from_checkpoint else 1), "it is not sampled twice"
    assert again.after(1.0).takes("SPY", price=101.0) == []
    assert again.state().samples == (3 if from_checkpoint else 2)


@pytest.mark.parametrize("from_checkpoint", [False, True])
@pytest.mark.parametrize("step", [-50.0, -3600.0, -86_400.0])
def test_while_the_clock_went_back_nobody_watched_and_the_sample_is_expired_until_the_next(
    step: float, from_checkpoint: bool
) -> None:
    watched = Watched("SPY")
    watched.takes("SPY", price=99.0)
    row = raw(timestamp=NOW + 1.0)
    watched.after(1.0).takes_row("SPY", row)
    again = restarted(watched, watched.table if from_checkpoint else None, clock_stepped=step)
    again.takes_row("SPY", row)
    if from_checkpoint or step == -50.0:  # else it lies more than a minute ahead: the stored state stays
        assert again.age() >= 60.0
        assert again.state().feed_time == iso_millis(NOW + 1.0)
    assert again.after(1.0).takes("SPY", price=101.0) == []
    found = again.state()
    assert found.price == 101.0
    assert again.age() == pytest.approx(0.0, abs=0.002)
    assert found.samples == (1 if not from_checkpoint and step != -50.0 else 3 if from_checkpoint else 2)
    again.table.restore(again.table.saved(["SPY"]))  # it can be saved


def test_a_quiet_symbol_is_no_younger_where_another_tells_that_the_clock_went_back() -> None:
    """Its own time would have made it 5 s old; really it is 55."""
    watched = Watched("QQQ", "SPY")
    quiet = raw(timestamp=NOW)
    watched.takes_row("QQQ", quiet)
    watched.after(45.0).takes("SPY")
    stored = {name: watched.state(name) for name in ("QQQ", "SPY")}
    again = Watched("QQQ", "SPY", now=watched.now + 12_345.0)
    again.redis_ahead = watched.redis_now + 10.0 - 50.0 - again.now
    again.table.adopt(["QQQ", "SPY"], stored, again.redis_now, again.now)
    assert again.takes_row("QQQ", quiet) == []
    assert again.age("QQQ") >= 60.0
    assert again.after(1.0).takes_row("QQQ", raw(timestamp=again.redis_now)) == []
    assert again.age("QQQ") == pytest.approx(0.0, abs=0.002)


def test_another_sample_than_the_stored_one_has_its_own_age() -> None:
    watched = Watched("SPY")
    watched.takes("SPY", ahead=-30.0)
    again = restarted(watched)
    again.after(1.0).takes("SPY", ahead=-2.0)
    assert again.age() == pytest.approx(2.0, abs=0.002)


@pytest.mark.parametrize("step", [-50.0, -3600.0, -86_400.0])
def test_a_checkpoint_of_ahead_without_a_stored_state_blocks_nothing(step: float) -> None:
    watched = Watched("SPY")
    row = raw(timestamp=NOW)
    watched.takes_row("SPY", row)
    again = Watched(table=SymbolTable(1000, 3600.0))
    again.table.restore(watched.table.saved(["SPY"]))
    again.redis_ahead += step
    again.table.adopt(["SPY"], {}, again.redis_now, again.now)
    assert again.takes_row("SPY", row) == []
    assert (again.state().samples, again.state().feed_time) == (1, iso_millis(NOW))
    assert again.age() >= 60.0, "nobody knows how old it is"
    assert again.after(1.0).takes("SPY", price=101.0) == []
    found = again.state()
    assert (found.samples, found.nonzero) == (2, 0), "nobody knows how long ago the sample before was"


# --- Feeds that are late by nature ---


def test_a_steady_lag_is_told_in_state_and_update() -> None:
    watched = Watched("SPY", "QQQ")
    for i in range(10):
        watched.after(1.0).takes("SPY", ahead=-900.0 - 0.1 * (i % 3), source=b"delayed")
        watched.takes("QQQ", ahead=-0.2, source=b"live")
    assert watched.state().lag_ms == pytest.approx(900_100, abs=101)
    assert watched.state("QQQ").lag_ms is None
    found = watched.state()
    assert found.update("SPY") == update_of(watched.table, "SPY")
    lag = found.lag_ms
    watched.steps(-50.0)
    assert watched.state().lag_ms == lag, "until it is measured by the new clock"
    again = restarted(watched.after(1.0))
    again.takes("SPY", ahead=-900.0, source=b"delayed")
    assert again.state().lag_ms == lag


# --- What the numbers stand on ---
def ordinary(number: int, start: float = 0.0) -> list[PlainSample]:
    """Samples a second apart, with 100 traded in 10 trades in each."""
    return [
        PlainSample(NOW - 2000 + start + i, 100.0 + math.sin(i * i) / 10, 5e6 + 100.0 * i, 1e4 + 10.0 * i)
        for i in range(number)
    ]


def told(table: SymbolTable, sample: PlainSample, symbol: str = "SPY", **fields: object) -> PhysicsState:
    """The state after one more sample; None is a field that is missing."""
    row = raw(sample.price, sample.timestamp, sample.volume, sample.trades, **fields)  # type: ignore[arg-type]
    assert take(table, symbol, row) == ([symbol], [])
    return state(table, symbol)


def test_a_correction_costs_the_volume_of_one_tick() -> None:
    table, samples = table_of("SPY", window=50), ordinary(200)
    feed(table, "SPY", samples[:40])
    corrected = [s._replace(volume=(s.volume or 0.0) - 101.0) for s in samples[40:]]
    fallen = told(table, corrected[0])
    assert (fallen.mass, fallen.momentum, fallen.friction) == (0.0, 0.0, 0.0)
    assert (fallen.notes, fallen.void) == (("correction",), ("mass", "momentum", "friction"))
    for i, sample in enumerate(corrected[1:], 41):
        found = told(table, sample)
        if i % 5 == 0:  # the reference is slow
            assert_vector(found, reference.vector(samples[:40] + corrected[: i - 39], window=50))
        assert found.mass > 0.0
        assert found.notes == (("correction",) if i < 90 else ())


@pytest.mark.parametrize(
    ("missing", "words", "void"),
    [
        (("volume",), ("no_volume",), ("mass", "momentum", "friction")),
        (("trades",), ("no_trades",), ("friction",)),
        (("volume", "trades"), ("no_volume", "no_trades"), ("mass", "momentum", "friction")),
    ],
)
def test_a_missing_field_is_said_of_the_ticks_that_it_costs_and_of_no_other(
    missing: tuple[str, ...], words: tuple[str, ...], void: tuple[str, ...]
) -> None:
    table, samples = table_of("SPY"), ordinary(100)
    feed(table, "SPY", samples[:40])
    before = {name: getattr(state(table, "SPY"), name) for name in ("mass", "friction")}
    lacking = samples[40]
    for name in missing:
        lacking = lacking._replace(volume=None) if name == "volume" else lacking._replace(trades=None)
    for sample in (lacking, samples[41]):
        found = told(table, sample)
        assert (found.notes, found.void) == (words, void)
        assert [getattr(found, name) for name in void] == [0.0] * len(void)
    found = told(table, samples[42])
    assert (found.notes, found.void) == ((), ())
    assert found.friction == pytest.approx(before["friction"], rel=0.02)


def test_a_market_without_volume_and_trades_has_what_needs_neither() -> None:
    table, without = table_of("SPY", window=100), table_of("SPY", window=100)
    for sample in ordinary(120):
        found = told(table, sample._replace(volume=None, trades=None))
        other = told(without, sample._replace(volume=0.0, trades=0.0))
    assert (found.notes, found.void) == (("no_volume", "no_trades"), ("mass", "momentum", "friction"))
    for name in ("entropy", "nash_dist", "alpha_coefficient", "regime", "samples", "nonzero"):
        assert getattr(found, name) == getattr(other, name)
    assert other.void == found.void


def test_the_volume_of_a_gap_is_no_tick_s() -> None:
    table, samples = table_of("SPY", window=60), ordinary(40)
    feed(table, "SPY", samples)
    later = [
        s._replace(volume=(s.volume or 0) + 60_000, trades=(s.trades or 0) + 6000) for s in ordinary(200, 640)[40:]
    ]
    found = told(table, later[0])
    assert (found.mass, found.notes, found.void) == (0.0, ("gap",), ("mass", "momentum", "friction"))
    for i, sample in enumerate(later[1:], 1):
        found = told(table, sample)
        assert 0.0 < found.mass < 0.51  # 100 of 100, but for the first sample, which has traded nothing
        assert (found.notes, found.void) == (("gap",) if i < 60 else (), ())


def test_a_rolling_figure_is_found_out_and_what_it_has_told_is_forgotten() -> None:
    table, samples = table_of("SPY", window=50), ordinary(400)
    told_before = 0
    for i, sample in enumerate(samples):
        found = told(table, sample._replace(volume=1e6 + 1000 * math.sin(i * 1.7)))
        told_before += "rolling" not in found.notes
        if "rolling" in found.notes:
            assert found.void == ("mass", "momentum", "friction")
    assert told_before < 10
    assert found.notes == ("rolling",)  # the corrections have left
    # Nothing is left of it in the volume profile: every sample weighs the same.
    bare = table_of("SPY", window=50)
    for sample in samples:
        other = told(bare, sample._replace(volume=None))
    assert found.nash_dist == other.nash_dist


@pytest.mark.parametrize(("wrong", "costs"), [(0.0, (40, 41)), (5e7, (41,)), (5e5, (40, 41))])
def test_one_wrong_volume_is_never_a_trade(wrong: float, costs: tuple[int, ...]) -> None:
    table, samples = table_of("SPY", window=50), ordinary(60)
    history = [*samples[:40], samples[40]._replace(volume=wrong), *samples[41:]]
    for i, sample in enumerate(history):
        found = told(table, sample)
        assert ("mass" in found.void) == (i in costs or i == 0)
        assert_vector(found, reference.vector(history[: i + 1], window=50))
    # Only the wrong ones are missed: V is 100 wherever it is known, but for the first.
    assert plain_vector.known_mean(i.volume for i in reference.increments(history)) == Fraction(100 * 57, 58)


def test_a_stated_session_is_told_from_a_correction() -> None:
    table, samples = table_of("SPY"), ordinary(40)
    for sample in samples[:20]:
        told(table, sample, session=b"2025-12-20")
    # A mark that is missing once is no new session, and one that comes back neither.
    assert told(table, samples[20]).void == ()
    assert told(table, samples[21], session=b"2025-12-20").void == ()
    found = told(table, samples[22]._replace(volume=7.0, trades=1.0), session=b"2025-12-21")
    assert (found.notes, found.void) == (("session",), ("mass", "momentum", "friction"))
    assert told(table, samples[23]._replace(volume=107.0, trades=11.0), session=b"2025-12-21").void == ()


def test_a_split_stays_in_the_window_and_is_said_as_long_as_it_does() -> None:
    table, samples = table_of("SPY", window=80), ordinary(300)
    feed(table, "SPY", samples[:70])
    assert state(table, "SPY").notes == ()
    split = [s._replace(price=s.price / 10) for s in samples]
    for i in range(70, 200):
        found = told(table, split[i])
        if i % 5 == 0:  # the reference is slow
            assert_vector(found, reference.vector(samples[:70] + split[70 : i + 1], window=80))
        assert found.notes == (("jump",) if i < 150 else ())
    assert found.regime != "WAIT"


def test_a_price_that_jumps_back_or_before_there_is_a_usual_return_is_said_too() -> None:
    table, samples = table_of("SPY", window=60), ordinary(200)
    mistaken = [s._replace(price=s.price / 10) if 10 <= i < 30 else s for i, s in enumerate(samples)]
    for i in range(120):
        found = told(table, mistaken[i])
        if i % 5 == 0:  # the reference is slow
            assert_vector(found, reference.vector(mistaken[: i + 1], window=60))
        assert found.notes == (("jump",) if 10 <= i < 30 + 60 else ()), i  # until the way back has left


@pytest.mark.parametrize(("ratio", "words"), [(0.1, ("break", "gap")), (2.0, ("break", "gap")), (0.9, ("gap",))])
def test_a_split_over_night_is_said_too(ratio: float, words: tuple[str, ...]) -> None:
    table, samples = table_of("SPY", window=40), ordinary(60)
    feed(table, "SPY", samples[:30])
    later = [s._replace(price=s.price * ratio, timestamp=s.timestamp + 1000) for s in samples]
    for i in range(30, 50):
        assert told(table, later[i]).notes == words
    assert_vector(state(table, "SPY"), reference.vector(samples[:30] + later[30:50], window=40))


def test_a_feed_s_own_words_are_handed_through() -> None:
    table, samples = table_of("SPY", window=30), ordinary(40)
    assert told(table, samples[0], notes=b"break, auction, halted_late <b>").notes == (
        "break",
        "auction",
        "halted_late",
    )
    for i, sample in enumerate(samples[1:], 1):
        assert told(table, sample).notes == (("break",) if i < 30 else ())  # the others told of that sample alone


def test_a_counter_beyond_what_a_float_holds_is_named_and_the_price_is_taken() -> None:
    table, samples = table_of("SPY"), ordinary(5)
    feed(table, "SPY", samples[:3])
    row = raw(101.0, samples[3].timestamp, "9007199254740993", samples[3].trades)
    assert take(table, "SPY", row) == (["SPY"], [])
    found = state(table, "SPY")
    assert (found.price, found.notes) == (101.0, ("overflow",))
    assert found.void == ("mass", "momentum", "friction")


def test_what_is_unknown_is_counted_by_its_cause() -> None:
    def count(field: str, cause: str) -> float:
        labels = {"field": field, "cause": cause}
        return REGISTRY.get_sample_value("cottage_feynman_unknown_total", labels) or 0.0

    counted = [("volume", "correction"), ("volume", "missing"), ("trades", "missing"), ("trades", "gap")]
    before = [count(*each) for each in counted]
    table, samples = table_of("SPY", "QQQ"), ordinary(5)
    for symbol in ("SPY", "QQQ"):
        feed(table, symbol, samples[:3])
        told(table, samples[3]._replace(volume=5e6, trades=None), symbol)
        told(table, samples[4]._replace(timestamp=NOW, volume=None), symbol)
    assert [count(*each) - was for each, was in zip(counted, before, strict=True)] == [2, 2, 4, 0]


def test_a_new_source_leaves_nothing_to_be_said_of_the_old_one() -> None:
    table = table_of("SPY")
    feed(table, "SPY", ordinary(3))
    assert told(table, ordinary(5)[4]._replace(volume=1.0)).notes == ("correction",)
    assert told(table, ordinary(6)[5], source=b"other").notes == ()


# --- who writes the snapshots ---


def second(number: int, **fields: bytes | None) -> Row:
    """The snapshot of that second, of a walk of its own for each source."""
    base = 100.0 if fields.get("source") == b"old" else 900.0
    return raw(price=base + number % 7, timestamp=NOW - 500 + number, volume=10 * number, **fields)


def test_a_state_says_which_feed_brought_it() -> None:
    table = table_of("SPY")
    take(table, "SPY", second(1, feed=b"SIM-1"))
    assert state(table, "SPY").feed == "SIM-1"
    take(table, "SPY", second(2, feed=b"SIM-1"))
    assert state(table, "SPY").samples == 2
    take(table, "SPY", second(3, feed=b"SIM-2"))
    assert (state(table, "SPY").feed, state(table, "SPY").samples) == ("SIM-2", 1), "prices of two share no window"
    take(table, "SPY", second(4))
    assert (state(table, "SPY").feed, state(table, "SPY").samples) == (None, 1)


def test_of_two_strangers_that_alternate_one_has_the_symbol_and_the_window_grows() -> None:
    table = table_of("SPY")
    contests = 0
    for number in range(200):
        row = second(number, source=(b"old", b"new")[number % 2])
        take(table, "SPY", row, now=float(number))
        contests += len(table.contests)
        if table.contests:
            assert table.contests == {"SPY": "new beside old"}
    found = state(table, "SPY")
    assert (found.source, found.samples, found.regime) == ("old", 99, "Gaussian")
    assert found.price is not None
    assert found.price < 200
    assert "two_writers" in found.notes
    assert contests == 99

    # One of them has gone.
    taken = [
        number for number in range(200, 300) if take(table, "SPY", second(number, source=b"new"), float(number))[0]
    ]
    assert taken == list(range(258, 300))
    assert (state(table, "SPY").source, state(table, "SPY").notes) == ("new", ())


def test_a_state_says_how_its_venue_spells_the_symbol_where_that_differs() -> None:
    table = table_of("BRK-B")
    take(table, "BRK-B", second(1, native=b"BRK/B"))
    assert state(table, "BRK-B").native == "BRK/B"
    take(table, "BRK-B", second(2, native=b"BRK/B"))
    assert state(table, "BRK-B").samples == 2
    table = table_of("BRK-B")
    take(table, "BRK-B", second(1, native=b"BRK-B"))
    take(table, "BRK-B", second(2))
    assert (state(table, "BRK-B").native, state(table, "BRK-B").samples) == (None, 2)


def test_two_spellings_of_one_symbol_share_no_window() -> None:
    """Of one source, and without the ID of a feed, so that only the spelling tells them apart."""
    table = table_of("BRK-B")
    for number in range(100):
        take(table, "BRK-B", second(number, native=(b"BRK/B", None)[number % 2]), now=float(number))
    assert table.contests == {"BRK-B": "live beside live as BRK/B"}
    found = state(table, "BRK-B")
    assert (found.native, found.samples, "two_writers" in found.notes) == ("BRK/B", 49, True)


@pytest.mark.parametrize(("native", "samples"), [(b"BRK/B", 3), (b"brk/b", 1), (None, 1)])
def test_a_restored_window_goes_on_with_the_spelling_that_its_state_has(native: bytes | None, samples: int) -> None:
    table = table_of("BRK-B")
    for number in (1, 2):
        take(table, "BRK-B", second(number, native=b"BRK/B"))
    stored = {"BRK-B": state(table, "BRK-B")}
    again = SymbolTable(1000, 3600.0)
    again.restore(table.saved(["BRK-B"]))
    again.adopt(again.newcomers(), stored, NOW, 0.0)
    take(again, "BRK-B", second(3, native=native))
    assert state(again, "BRK-B").samples == samples


def test_a_symbol_that_somebody_else_would_like_to_write_has_the_note() -> None:
    for rival, notes in (
        (b"%d host:1:x TWO" % round((NOW + 5) * 1000), ("two_writers",)),
        (b"%d host:1:x TWO" % round((NOW - 0.001) * 1000), ()),
        (b"%d host:1:x TWO" % round((NOW + 3600) * 1000), ()),  # of before Redis's clock was set back
        (b"now", ()),
        (None, ()),
    ):
        table = table_of("SPY")
        take(table, "SPY", second(1, rival=rival))
        assert state(table, "SPY").notes == notes


def test_a_restored_window_goes_on_with_the_feed_that_comes() -> None:
    table = table_of("SPY")
    for number in range(5):
        take(table, "SPY", second(number, feed=b"SIM-1"))
    again = SymbolTable(1000, 3600.0)
    again.restore(table.saved(["SPY"]))
    take(again, "SPY", second(5, feed=b"SIM-1"))
    assert (state(again, "SPY").samples, state(again, "SPY").feed) == (6, "SIM-1")
    take(again, "SPY", second(6, feed=b"SIM-2"))
    assert state(again, "SPY").samples == 1


# --- The tick of the prices ---


def test_a_tick_that_a_snapshot_states_wins_unless_prices_do_not_obey_it() -> None:
    generator, place, samples = random.Random(5), 500_000, []
    for i in range(120):
        place += 2 * round(generator.paretovariate(2) * generator.choice((1, -1)))  # an even number of hundredths
        samples.append(PlainSample(NOW - 200 + i, place / 100, 0.0, 0.0))
    found = {}
    for tick in (None, 0.01, 0.03):
        table = table_of("SPY", window=100)
        for sample in samples:
            found[tick] = told(table, sample, tick=tick)
        stated = [sample._replace(tick=tick) for sample in samples]
        expected = reference.vector(stated, window=100)  # the kept regime is another test's
        assert_vector(found[tick], expected._replace(regime=found[tick].regime))
    assert found[None].alpha_coefficient != found[0.01].alpha_coefficient
    assert found[None].alpha_coefficient == found[0.03].alpha_coefficient
    assert [tick for tick, state in found.items() if "off_tick" in state.notes] == [0.03]


def test_prices_off_the_grid_are_counted_as_long_as_they_are_in_the_window() -> None:
    generator, place, table, snapped = random.Random(5), 50_000, table_of("SPY", window=100), []
    for i in range(300):
        place += generator.choice((1, -1, 3, -3))
        off = 0.005 if i in (120, 150) else 0.0
        found = told(table, PlainSample(NOW - 400 + i, place / 100 + off, 0.0, 0.0))
        snapped.append(found.snapped)
        assert (b"snapped" in found.to_bytes(), b"snapped" in found.update("SPY")) == (bool(found.snapped),) * 2
    assert snapped == [None] * 120 + [1] * 30 + [2] * 70 + [1] * 30 + [None] * 50


# --- The regime, which is kept ---


def heavy(number: int, seed: int = 12) -> list[PlainSample]:
    """Samples a second apart whose returns have the tail index 1.75, so that α is near both thresholds."""
    generator = random.Random(seed)
    price, samples = 100.0, []
    for i in range(number):
        price *= math.exp(1e-5 * generator.paretovariate(1.75) * generator.choice((1, -1)))
        samples.append(PlainSample(NOW - 2000 + i, price, 0.0, 0.0))
    return samples


def test_a_regime_is_kept_from_sample_to_sample() -> None:
    table, samples = table_of("SPY", window=100), heavy(700)
    tails = reference.tails(samples, window=100)
    expected, alone = reference.regimes(tails), [reference.regimes([tail])[0] for tail in tails[300:]]
    since = samples[0].timestamp
    for i, sample in enumerate(samples):
        found = told(table, sample)
        assert found.regime == expected[i]
        since = since if i == 0 or expected[i] == expected[i - 1] else sample.timestamp
        assert found.regime_since == iso_millis(since)
    changes = [sum(one != other for one, other in pairwise(each)) for each in (expected[300:], alone)]
    assert 0 < changes[0] < changes[1] / 3


def test_a_regime_lasts_beyond_a_restart() -> None:
    table, samples = table_of("SPY", window=100), heavy(600)
    tails = reference.tails(samples, window=100)
    expected = reference.regimes(tails)
    # In the middle of a stretch that a window which begins anew would read otherwise.
    cut = next(i for i in range(300, 599) if expected[i] == expected[i + 1] != reference.regimes([tails[i + 1]])[0])
    feed(table, "SPY", samples[: cut + 1])
    before = state(table, "SPY")
    again = SymbolTable(100, 3600.0)
    again.restore(table.saved(["SPY"]))
    after = told(again, samples[cut + 1])
    assert (after.regime, after.regime_since) == (before.regime, before.regime_since)


def undecided(seconds: float = 1.0, event_seconds: float | None = None) -> tuple[SymbolTable, PhysicsState]:
    """A table whose α of SPY keeps whatever regime there is, and the state. Its samples come so many seconds apart,
    as bars where that is more than one, and so many apart by the market's own time, where that is stated."""
    table = table_of("SPY", window=100)
    for i, sample in enumerate(heavy(400)):
        moved = sample._replace(timestamp=NOW - 1e6 + i * seconds)
        event_time = None if event_seconds is None else 1e9 + i * event_seconds
        found = told(table, moved, interval=seconds if seconds > 1 else None, event_time=event_time)
        alpha = found.alpha_coefficient
        assert found.alpha_low is not None
        assert found.alpha_high is not None
        low, high = found.alpha_low, found.alpha_high
        if found.samples == 100 and low <= 1.5 and alpha + (high - alpha) / 5 > 2.0:
            return table, found
    raise AssertionError("there is none")


@pytest.mark.parametrize(
    ("seconds", "change", "is_adopted"),
    [
        *[(seconds, {}, abs(seconds) <= 100.0) for seconds in (0.0, -100.0, 100.0, -101.0, 101.0)],
        (0.0, {"source": "replay"}, False),
        (0.0, {"timestamp": None}, False),
        (0.0, {"regime": "WAIT"}, False),
        (0.0, {"regime_since": None}, True),
    ],
)
def test_who_takes_the_lease_goes_on_with_the_regime_of_the_stored_state(
    seconds: float, change: dict[str, Any], is_adopted: bool
) -> None:
    table, own = undecided()
    sampled_at = from_iso(own.timestamp or "")
    other = "Gaussian" if own.regime == "Critical" else "Critical"
    stored = replace(
        own, regime=other, regime_since=iso_millis(NOW - 7200.0), timestamp=iso_millis(sampled_at + seconds)
    )
    table.continue_regimes({"SPY": replace(stored, **change), "QQQ": stored})
    found = state(table, "SPY")
    assert found.update("SPY") == update_of(table, "SPY")
    since = iso_millis(sampled_at) if "regime_since" in change else stored.regime_since
    adopted = replace(own, regime=other, regime_since=since)
    assert found == (adopted if is_adopted else own)


@pytest.mark.parametrize(
    ("seconds", "event_seconds", "off", "is_adopted"),
    [
        (60.0, None, 5990.0, True),  # 100 bars of a minute
        (60.0, None, 6010.0, False),
        (1 / 60, 1.0, 90 / 60, True),  # 100 seconds of a replay that is 60 times as fast
        (1 / 60, 1.0, 90.0, False),
    ],
)
def test_a_window_is_as_long_as_its_samples_span_by_the_market_s_own_time(
    seconds: float, event_seconds: float | None, off: float, is_adopted: bool
) -> None:
    table, own = undecided(seconds, event_seconds)
    other = "Gaussian" if own.regime == "Critical" else "Critical"
    times = {"timestamp": iso_millis(from_iso(own.timestamp or "") - off)}
    if event_seconds is not None:
        times["event_time"] = iso_millis(from_iso(own.event_time or "") - off / seconds)
    table.continue_regimes({"SPY": replace(own, regime=other, **times)})  # type: ignore[arg-type]
    assert (state(table, "SPY").regime == other) == is_adopted


def test_a_stored_regime_goes_on_only_as_far_as_the_newest_sample_allows() -> None:
    table = table_of("SPY")
    for sample in ordinary(300):
        own = told(table, sample)
    assert (own.regime, own.alpha_coefficient > 4) == ("Gaussian", True)
    table.continue_regimes({"SPY": replace(own, regime="Critical", regime_since=iso_millis(NOW - 7200.0))})
    found = state(table, "SPY")
    assert (found.regime, found.regime_since) == ("Gaussian", own.timestamp)


def test_a_new_symbol_from_a_checkpoint_adopts_the_stored_regime() -> None:
    table, own = undecided()
    other = "Gaussian" if own.regime == "Critical" else "Critical"
    stored = replace(own, regime=other, regime_since=iso_millis(NOW - 7200.0))
    for from_checkpoint, regime in ((True, other), (False, "WAIT")):
        again = SymbolTable(100, 3600.0)
        if from_checkpoint:
            again.restore(table.saved(["SPY"]))
        again.add(["SPY"])
        again.adopt(again.newcomers(), {"SPY": stored}, NOW, 0.0)
        # The sample that the window has already, so that α is the same.
        taken = raw(own.price, from_iso(own.timestamp or ""), 0.0, 0.0)
        assert take(again, "SPY", taken) == (["SPY"], [])
        assert state(again, "SPY").regime == regime


def test_what_the_market_says_of_itself_and_is_doubtful_is_left_out_and_the_sample_is_taken() -> None:
    table = table_of("SPY")
    assert take(table, "SPY", raw(tick=0, interval=60)) == (["SPY"], [])
    assert {name: [str(error) for error in errors] for name, errors in table.doubtful.items()} == {
        "SPY": ["tick: 0.0 is not above 0"]
    }
    assert take(table, "SPY", raw(timestamp=NOW + 1, tick=0.01)) == (["SPY"], [])
    assert table.doubtful == {}
