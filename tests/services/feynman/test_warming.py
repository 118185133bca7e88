"""A window that older samples have filled is what it would be had it seen them live."""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest

from cottage.errors import InvalidMessage
from cottage.record.state_rows import COLUMNS, rows_of, said_by_stored
from cottage.state import PILLARS, PhysicsState
from cottage.warm import KEPT_SECONDS, WarmSamples
from services.feynman.symbol_table import SymbolTable
from tests.services.feynman.test_symbol_table import NOW, raw, state, table_of, whole

WINDOW = 100
NUMBERS = (*PILLARS, "alpha_coefficient", "alpha_low", "alpha_high", "price", "step")
WORDS = ("regime", "regime_since", "samples", "nonzero", "holes", "snapped", "notes", "void", "source", "timestamp")


def market(number: int, kind: str = "trades", seed: int = 5) -> list[dict[str, Any]]:
    """The fields of so many snapshots: times in whole milliseconds, holes and gaps, sessions, corrections, auctions,
    and words of the feed; bars, whose length is stated; or quotes, by event time."""
    generator, price, at = random.Random(seed), 10_000, NOW - 200_000.0
    volume, trades, rows = 1e6, 1e4, []
    for i in range(number):
        at += generator.choice([1, 1, 1, 1, 1.25, 2, 3, 4, 9, 70] if kind != "bars" else [60, 60, 60, 120, 300])
        price += round(generator.gauss(0, 4) * generator.paretovariate(2))
        volume, trades = volume + generator.randint(1, 90), trades + generator.randint(1, 9)
        if generator.random() < 0.02:
            volume -= 95.0  # a correction
        row: dict[str, Any] = {
            "price": max(price, 100) / 100,
            "timestamp": round(at, 3),
            "volume": volume,
            "trades": trades,
        }
        row["session"] = b"a" if i < number - 60 else b"b"
        said = [word for word, often in (("auction", 0.02), ("two_writers", 0.005)) if generator.random() < often]
        row["notes"] = " ".join(said).encode() or None
        if kind == "bars":
            row["interval"] = 60.0
        if kind == "quotes":
            row |= {"event_time": round(at - 0.5, 3), "volume": None, "trades": None, "tick": 0.01}
        rows.append(row)
    return rows


def take(table: SymbolTable, fields: Mapping[str, Any]) -> PhysicsState:
    sampled, refused = table.take([("SPY", raw(**fields))], NOW, fields["timestamp"])
    assert (sampled, refused) == (["SPY"], [])
    return state(table, "SPY")


def record_row(table: SymbolTable) -> dict[str, Any]:
    """What the recorder keeps of the newest version."""
    (stored,) = [write.state + b"}" for write in table.writes()]
    (row,) = rows_of("SPY", said_by_stored(orjson.loads(stored)), run=1, recorded=1)
    return dict(zip(COLUMNS, row, strict=True))


def live(rows: Sequence[Mapping[str, Any]], window: int = WINDOW) -> tuple[SymbolTable, list[dict[str, Any]]]:
    table, recorded = table_of("SPY", window=window), []
    for fields in rows:
        take(table, fields)
        recorded.append(record_row(table))
    return table, recorded


def warm_samples(recorded: Sequence[Mapping[str, Any]]) -> WarmSamples:
    found = WarmSamples.recorded({name: [row[name] for row in recorded] for name in recorded[0]})
    assert found is not None
    return WarmSamples.from_bytes(found.to_bytes(), NOW)


def begun(rows: Sequence[Mapping[str, Any]], table: SymbolTable | None = None) -> SymbolTable:
    """A table that has seen these alone."""
    table = table or table_of("SPY", window=WINDOW)
    for fields in rows:
        take(table, fields)
    return table


def work(table: SymbolTable) -> None:
    while table.warming.work(math.inf, lambda: 0.0):
        pass


def warmed(table: SymbolTable, recorded: Sequence[Mapping[str, Any]]) -> str | None:
    """Have a table's window of SPY filled; the reason where that is refused."""
    try:
        table.warm("SPY", warm_samples(recorded))
    except InvalidMessage as error:
        return error.reason
    table.warming.begin()
    work(table)
    return None


def assert_same(found: PhysicsState, expected: PhysicsState, but: Sequence[str] = ()) -> None:
    for name in NUMBERS:
        if name not in but:
            assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-9, abs=1e-12), name
    for name in WORDS:
        if name not in but:
            assert getattr(found, name) == getattr(expected, name), name


@pytest.mark.parametrize("kind", ["trades", "bars", "quotes"])
@pytest.mark.parametrize("own", [1, 5, 80])
def test_a_warmed_window_has_the_numbers_of_one_that_saw_all(kind: str, own: int) -> None:
    rows = market(330, kind)
    _table, recorded = live(rows[: -own - 20])
    seen, _recorded = live(rows[:-20])
    table = begun(rows[-own - 20 : -20])
    assert warmed(table, recorded[-WINDOW - 64 :]) is None
    assert state(table, "SPY").samples == own, "until the next tick nothing has changed"
    for fields in rows[-20:]:
        assert_same(take(table, fields), take(seen, fields))
    assert state(table, "SPY").samples == WINDOW


def test_regimes_are_decided_after_each_sample_where_the_record_has_no_states() -> None:
    """And the grid, its votes and the step, which has to settle, are those of the samples alone."""
    rows = market(330)
    _seen, recorded = live(rows[:200])
    unknown = dict.fromkeys(("step", "grid", "votes", "regime", "regime_since"))
    table = begun(rows[-6:-1])
    assert warmed(table, [{**row, **unknown} for row in recorded]) is None
    again = live(rows[200 - WINDOW - 64 : 200])[0]
    for fields in rows[-6:-1]:
        take(again, fields)
    assert_same(take(table, rows[-1]), take(again, rows[-1]))


def test_what_lies_between_is_a_hole() -> None:
    rows = market(330)
    seen, recorded = live(rows[:200])
    table = begun(rows[230:232])
    assert warmed(table, recorded) is None
    for fields in rows[230:232]:
        take(seen, fields)
    after, expected = take(table, rows[232]), take(seen, rows[232])
    assert_same(after, expected)
    assert "gap" in after.notes
    assert (after.holes or 0) > 0


def test_a_snapshot_that_is_not_new_is_enough_for_it() -> None:
    """A market that trades once an hour need not trade for its window to be filled."""
    rows = market(200)
    _seen, recorded = live(rows[:-1])
    table = begun(rows[-1:])
    before = state(table, "SPY", (1, 7))
    assert warmed(table, recorded) is None
    after = take(table, rows[-1])
    assert (before.samples, after.samples) == (1, WINDOW)
    assert table.warmed == ["SPY"]
    assert table.take([("SPY", raw(**rows[-1]))], NOW, 0.0) == ([], []), "and once"
    assert table.warmed == []


@pytest.mark.parametrize("other", [{"source": "replay"}, {"feed": "OTHER"}, {"native": "spy"}])
def test_samples_of_somebody_else_are_refused(other: dict[str, str]) -> None:
    rows = market(200)
    _seen, recorded = live(rows[:-10])
    table = begun(rows[-10:])
    assert warmed(table, [{**row, **other} for row in recorded]) == "source"
    assert not table.warming.busy


def test_only_older_samples_are_taken() -> None:
    rows = market(330)
    seen, recorded = live(rows)
    table = begun(rows[-30:])
    assert warmed(table, recorded) is None
    work(table)
    assert_same(take(table, rows[-1]), state(seen, "SPY"))
    late = begun(rows[:5])
    assert warmed(late, recorded[5:]) == "order"


def test_samples_that_are_too_old_are_refused_unless_steps_are_as_long() -> None:
    rows = market(200)
    _seen, recorded = live(rows[:-1])
    later = {**rows[-1], "timestamp": rows[-1]["timestamp"] + 3700.0}
    assert warmed(begun([later]), recorded) == "age"
    hourly = [{**row, "step": 3600.0} for row in recorded]
    assert warmed(begun([later]), hourly) is None


def test_a_window_from_a_checkpoint_is_left_as_it_is() -> None:
    rows = market(200)
    _seen, recorded = live(rows[:100])
    table = SymbolTable(WINDOW, 3600.0)
    assert table.restore(begun(rows[100:130]).saved(["SPY"])) == 1
    take(table, rows[130])
    assert table.warmable(0.0) == []
    assert warmed(table, recorded) == "window"


@pytest.mark.parametrize("what", ["another source", "the clock is set", "it is removed"])
def test_a_window_that_begins_anew_meanwhile_is_not_filled(what: str) -> None:
    rows = market(200)
    _seen, recorded = live(rows[:150])
    table = begun(rows[150:160])
    assert warmed(table, recorded) is None
    if what == "another source":
        sampled, _refused = table.take([("SPY", raw(**rows[160], source=b"other"))], NOW, rows[160]["timestamp"])
        assert sampled == ["SPY"]
    elif what == "the clock is set":
        table.clock_stepped(100.0, NOW, 0.0)
    else:
        table.remove(["SPY"])
        table.add(["SPY"])
    assert not table.warming.busy
    made = take(table, {**rows[161], **({"source": b"other"} if what == "another source" else {})})
    assert (made.samples or 0) < 20


def test_windows_of_several_lengths_are_filled_together_in_slices() -> None:
    rows, clock = market(330), iter(range(10**6))
    seen, recorded = live(rows[:-1])
    table = table_of("SPY", "QQQ", "IWM", "DIA", window=WINDOW)
    for fields in rows[-5:-1]:
        for symbol in ("SPY", "QQQ", "IWM"):
            table.take([(symbol, raw(**fields))], NOW, fields["timestamp"])
    assert table.warmable(0.0) == ["SPY", "QQQ", "IWM"]
    for symbol, number in (("SPY", 329), ("QQQ", 40), ("IWM", 90)):
        table.warm(symbol, warm_samples(recorded[:-4][-number:]))
    table.warming.begin()
    slices = 0
    while table.warming.work(slices * 10.0, lambda: float(next(clock))):
        slices += 1
    assert slices > 10
    last = [(symbol, raw(**rows[-1])) for symbol in ("SPY", "QQQ")]
    assert table.take(last, NOW, rows[-1]["timestamp"])[0] == ["SPY", "QQQ"]
    assert sorted(table.warmed) == ["QQQ", "SPY"]
    assert_same(state(table, "SPY"), take(seen, rows[-1]))
    assert state(table, "QQQ").samples == 45
    table.warming.give_up()
    assert table.warming.busy, "some have moved in at the last tick"
    table.warming.give_up()
    assert not table.warming.busy, "one has no snapshot any more"
    assert table.warming.cold == 1, "DIA has no sample yet"


def test_own_samples_are_kept_for_so_long_and_so_many_as_there_is_room() -> None:
    rows = market(200)
    table = begun(rows[:10])
    assert table.warmable(0.0) == ["SPY"]
    assert table.warmable(KEPT_SECONDS - 1) == ["SPY"]
    assert table.warmable(KEPT_SECONDS + 1) == []
    assert table.warming.cold == 0


def test_own_samples_are_forgotten_beyond_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.feynman.own_samples.MOST_KEPT", 20)
    table = begun(market(20))
    assert table.warmable(0.0) == ["SPY"]
    begun(market(21)[20:], table)
    assert table.warmable(0.0) == []


def test_so_many_move_in_at_a_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.feynman.warming.MOST_AT_A_TICK", 2)
    rows, names = market(200), ["A", "B", "C", "D", "E"]
    _seen, recorded = live(rows[:-4])
    table = table_of(*names, window=WINDOW)
    filled: list[str] = []
    for fields in rows[-4:]:
        assert table.take([(name, raw(**fields)) for name in names], NOW, fields["timestamp"])[0] == names
        assert len(table.warmed) <= 2
        filled += table.warmed
        table.warming.give_up()
        if not filled and not table.warming.busy:
            for name in names:
                table.warm(name, warm_samples(recorded))
            table.warming.begin()
        work(table)
    assert sorted(filled) == names
    assert not table.warming.busy


def test_what_is_sampled_again_does_not_tell_how_late_its_feed_is() -> None:
    """Bars of a minute are seconds old when windows move in, and no later than ever when they come."""
    rows, names = market(200, "bars"), [f"S{i}" for i in range(12)]
    _seen, recorded = live(rows[:-1])
    table, at = table_of(*names, window=WINDOW), rows[-1]["timestamp"]
    table.take([(name, raw(**rows[-1])) for name in names], at, at)
    for number, name in enumerate(names, 1):
        now = at + 20 + number / 4
        table.warm(name, warm_samples(recorded))
        table.warming.begin()
        work(table)
        assert table.take([(name, raw(**rows[-1]))], now, now)[0] == [name]
        assert table.warmed == [name]
        table.version(1, number, [name])
        made = next(whole(write) for write in table.writes() if write.symbol == name)
        assert (made.samples, made.lag_ms) == (WINDOW, None)
