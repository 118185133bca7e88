"""The rows of a version say all that its state says: the state comes back byte for byte."""

from dataclasses import replace
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given

from cottage.errors import InvalidMessage
from cottage.record.arrow_schema import arrow_schema
from cottage.record.schema import SAMPLES
from cottage.record.state_rows import (
    COLUMNS,
    columns,
    microseconds,
    rows_of,
    said_by_stored,
    said_by_update,
    state_of,
)
from cottage.state import WAIT, PhysicsState, TakenSample
from cottage.version import Version
from tests.cottage.strategies import states, whole

STATE = PhysicsState(
    *(0.25, -0.5, 0.5, 1.0, 0.0, WAIT, 2.5),
    price=450.25,
    source="replay",
    feed="REPLAY",
    timestamp="2026-11-26T13:30:00.250Z",
    event_time="2026-03-06T13:30:00.000Z",
    regime_since="2026-03-06T13:29:00.000Z",
    notes=("gap",),
    taken=(
        TakenSample(450.0, "2026-11-26T13:30:00.050Z", volume=7.0, event_time="2026-03-06T13:29:59.000Z"),
        TakenSample(450.5, "2026-11-26T13:30:00.150Z", notes=("mid",), lost=True),
    ),
    version=Version(1_700_000_000_000, 7),
    prev=Version(1_700_000_000_000, 5),
    written=1_795_000_000_000_000,
)


def rows(state: PhysicsState, **options: Any) -> list[dict[str, Any]]:
    said = said_by_update(orjson.loads(state.update("SPY")))
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows_of("SPY", said, run=1, recorded=2, **options)]


def test_the_columns_are_those_of_the_table() -> None:
    assert sorted(COLUMNS) == sorted(column.name for column in SAMPLES)


@given(states(), whole, whole)
def test_a_state_comes_back_from_its_rows_byte_for_byte(state: PhysicsState, epoch: int, seq: int) -> None:
    """Whether they were made of the update or of the stored state, and from Arrow as well."""
    state = replace(state, version=Version(epoch, seq))
    of_update = rows_of("SPY", said_by_update(orjson.loads(state.update("SPY"))), run=1, recorded=2)
    of_state = rows_of("SPY", said_by_stored(orjson.loads(state.to_bytes())), run=1, recorded=2)
    assert of_update == of_state
    table = pa.Table.from_pydict(columns(of_update), schema=arrow_schema("samples"))
    assert state_of(table.to_pylist()).to_bytes() == state.to_bytes()


def test_each_sample_is_a_row_and_the_versions_own_is_the_last() -> None:
    first, second, own = rows(STATE)
    assert [(row["number"], row["last"], row["price"]) for row in (first, second, own)] == [
        (0, False, 450.0),
        (1, False, 450.5),
        (2, True, 450.25),
    ]
    assert {(row["symbol"], row["source"], row["feed"], row["run"], row["recorded"]) for row in rows(STATE)} == {
        ("SPY", "replay", "REPLAY", 1, 2)
    }
    assert {(row["epoch"], row["seq"], row["prev_epoch"], row["prev_seq"]) for row in rows(STATE)} == {
        (*STATE.version, *STATE.prev)  # type: ignore[misc]
    }
    assert second["lost"]
    assert second["notes"] == ["mid"]
    assert own["notes"] == ["gap"]
    assert first["regime"] is first["mass"] is None
    assert own["regime"] == WAIT


def test_the_time_of_the_market_is_the_events_or_else_the_feeds() -> None:
    first, second, own = rows(STATE)
    assert first["at"] == microseconds("2026-03-06T13:29:59.000Z")
    assert second["at"] == second["sampled"] == microseconds("2026-11-26T13:30:00.150Z")
    assert own["at"] == own["event_time"] == microseconds("2026-03-06T13:30:00.000Z")
    (own,) = rows(replace(STATE, taken=(), event_time=None, feed_time="2026-11-26T13:30:07.000Z"))
    assert own["at"] == microseconds("2026-11-26T13:30:07.000Z")
    (own,) = rows(replace(STATE, taken=(), event_time=None, timestamp=None))
    assert own["at"] == STATE.written


def test_inputs_alone_have_no_state() -> None:
    *_taken, own = rows(STATE, inputs_only=True)
    assert own["price"] == 450.25
    assert own["mass"] is own["regime"] is own["samples"] is None
    with pytest.raises(ValueError, match="without its state"):
        state_of(rows(STATE, inputs_only=True))


def test_rows_that_are_not_all_are_no_state() -> None:
    with pytest.raises(ValueError, match="not all rows"):
        state_of(rows(STATE)[1:])
    with pytest.raises(ValueError, match="not all rows"):
        state_of(rows(STATE)[:-1])


def test_a_sample_is_known_by_its_feeds_time_and_its_price() -> None:
    asked = []

    def reissued(named: int | None, price: float | None) -> bool:
        asked.append((named, price))
        return price == 450.5

    feed_time = "2026-11-26T13:30:07.000Z"
    marked = [row["reissued"] for row in rows(replace(STATE, feed_time=feed_time), reissued=reissued)]
    assert marked == [False, True, False]
    assert asked[-1] == (microseconds(feed_time), 450.25)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"price": "450"}, "number"),
        ({"samples": -1}, "number"),
        ({"samples": 2**63}, "number"),
        ({"samples": True}, "number"),
        ({"source": 1}, "type"),
        ({"notes": "gap"}, "notes"),
        ({"void": [1]}, "void"),
        ({"taken": [1]}, "taken"),
        ({"prev": [1]}, "version"),
        ({"prev": [1, 2**63]}, "number"),
        ({"prev": [1, None]}, "version"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": "2026-11-26T13:30:00.250"}, "timestamp"),
        ({"received": []}, "timestamp"),
        ({"regime_since": 7}, "timestamp"),
        ({"mass": True}, "number"),
        ({"session": 7}, "type"),
        ({"taken": [{"price": "450"}]}, "number"),
        ({"epoch": None, "seq": None}, "version"),
    ],
)
def test_what_can_be_no_states_is_refused(wrong: dict[str, Any], reason: str) -> None:
    said = said_by_stored(orjson.loads(STATE.to_bytes()))
    with pytest.raises(InvalidMessage) as refused:
        rows_of("SPY", said | wrong, run=1, recorded=2)
    assert refused.value.reason == reason


def test_a_number_without_a_point_is_one_too() -> None:
    said = said_by_stored(orjson.loads(STATE.to_bytes())) | {"mass": 0, "lost": 1}
    (row,) = rows_of("SPY", said | {"taken": []}, run=1, recorded=2)
    own = dict(zip(COLUMNS, row, strict=True))
    assert type(own["mass"]) is float
    assert own["lost"] is False


def test_times_are_exact() -> None:
    assert microseconds("1970-01-01T00:00:00.000001Z") == 1
    assert microseconds("1970-01-01T01:00:00+01:00") == 0
    assert microseconds("9999-12-31T23:59:59.999Z") == 253_402_300_799_999_000
