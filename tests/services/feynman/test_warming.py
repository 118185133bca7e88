"""A window that older samples have filled is what it would be had it seen them live."""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from cottage.clock import from_iso
from cottage.errors import InvalidMessage
from cottage.state import PILLARS, PhysicsState
from cottage.warm import WarmSamples
from services.feynman.symbol_table import SymbolTable
from tests.services.feynman.test_symbol_table import NOW, raw, state, table_of

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


def record_row(table: SymbolTable, fields: Mapping[str, Any], made: PhysicsState) -> dict[str, Any]:
    """What the recorder keeps of a version."""
    windows, row = table._windows, table._entries["SPY"].row
    grid, event_time = float(windows.tick(np.array([row]))[0]), fields.get("event_time")
    return {
        "source": made.source,
        "feed": made.feed,
        "native": made.native,
        "reissued": False,
        "last": True,
        "said": (fields["notes"] or b"").decode().split(),
        "notes": list(made.notes),
        "lost": None,
        "price": made.price,
        "sampled": round(from_iso(made.timestamp) * 1e6),
        "event_time": None if event_time is None else round(event_time * 1e6),
        "volume": fields["volume"],
        "trades": fields["trades"],
        "session": fields["session"].decode(),
        "tick": fields.get("tick"),
        "interval": fields.get("interval"),
        "step": made.step,
        "grid": None if math.isnan(grid) else grid,
        "votes": int(windows.against_grid[row]),
        "regime": made.regime,
        "regime_since": None if made.regime_since is None else round(from_iso(made.regime_since) * 1e6),
    }


def live(rows: Sequence[Mapping[str, Any]], window: int = WINDOW) -> tuple[SymbolTable, list[dict[str, Any]]]:
    table, recorded = table_of("SPY", window=window), []
    for fields in rows:
        made = take(table, fields)
        recorded.append(record_row(table, fields, made))
    return table, recorded


def warm_samples(recorded: Sequence[Mapping[str, Any]]) -> WarmSamples:
    found = WarmSamples.recorded({name: [row[name] for row in recorded] for name in recorded[0]})
    assert found is not None
    return WarmSamples.from_bytes(found.to_bytes(), NOW)


def work(table: SymbolTable) -> None:
    while table.warming.work(math.inf, lambda: 0.0):
        pass


def warmed(table: SymbolTable, recorded: Sequence[Mapping[str, Any]]) -> dict[str, InvalidMessage]:
    refused = table.warm({"SPY": warm_samples(recorded)})
    work(table)
    return refused


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
    begun = table_of("SPY", window=WINDOW)
    for fields in rows[-own - 20 : -20]:
        take(begun, fields)
    assert warmed(begun, recorded[-WINDOW - 64 :]) == {}
    assert state(begun, "SPY").samples == own, "until the next tick nothing has changed"
    for fields in rows[-20:]:
        assert_same(take(begun, fields), take(seen, fields))
    assert state(begun, "SPY").samples == WINDOW
