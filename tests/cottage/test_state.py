import math
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cottage.errors import InvalidMessage
from cottage.fields import finite, load_object
from cottage.state import FAIL_SAFE, PILLARS, REGIMES, PhysicsState, TakenSample, announces
from cottage.version import Version
from tests.cottage.strategies import json_values, states

AS_PRINTED = b"""{
  "mass": 0.42,
  "momentum": 1.23,
  "friction": 0.15,
  "entropy": 0.08,
  "nash_dist": 0.05,
  "regime": "Gaussian",
  "alpha_coefficient": 2.8
}"""
FULL = PhysicsState(
    mass=0.42,
    momentum=1.23,
    friction=0.15,
    entropy=0.08,
    nash_dist=0.05,
    regime="Lévy Stable",
    alpha_coefficient=1.8,
    alpha_low=1.5,
    alpha_high=2.3,
    price=450.32,
    samples=1000,
    nonzero=812,
    source="live",
    step=60.0,
    holes=3,
    snapped=2,
    timestamp="2025-12-21T12:00:00.000Z",
    version=Version(1766318400000, 4711),
)
FIELDS = orjson.loads(FULL.to_bytes())


def test_a_state_has_the_documented_fields_and_names() -> None:
    assert FULL.to_bytes() == (
        '{"mass":0.42,"momentum":1.23,"friction":0.15,"entropy":0.08,"nash_dist":0.05,'
        '"regime":"Lévy Stable","alpha_coefficient":1.8,"alpha_low":1.5,"alpha_high":2.3,'
        '"price":450.32,"samples":1000,"nonzero":812,"source":"live","step":60.0,"holes":3,"snapped":2,'
        '"timestamp":"2025-12-21T12:00:00.000Z","epoch":1766318400000,"seq":4711}'.encode()
    )


def test_its_update_is_the_documented_message() -> None:
    assert FULL.update("SPY") == (
        '{"event":"PHYSICS_UPDATE","symbol":"SPY","timestamp":"2025-12-21T12:00:00.000Z",'
        '"data":{"alpha":1.8,"regime":"Lévy Stable","mass":0.42,"momentum":1.23,"friction":0.15,"entropy":0.08,'
        '"nash_dist":0.05,"alpha_low":1.5,"alpha_high":2.3,"price":450.32,"samples":1000,"nonzero":812,"source":"live",'
        '"step":60.0,"holes":3,"snapped":2},'
        '"epoch":1766318400000,"seq":4711}'.encode()
    )


def test_what_a_state_stands_on_is_told_where_there_is_something_to_tell() -> None:
    remarks = {"feed_time": "2025-12-21T12:00:58.000Z", "lag_ms": 900_000, "notes": ("jump",), "void": ("mass",)}
    state = replace(FULL, **remarks, feed="LIVE-X")  # type: ignore[arg-type]  # each of its own type
    assert state.to_bytes() == FULL.to_bytes().replace(
        b'"epoch"',
        b'"feed_time":"2025-12-21T12:00:58.000Z","lag_ms":900000,"notes":["jump"],"void":["mass"],"feed":"LIVE-X","epoch"',
    )
    update = state.update("SPY", 3)
    assert update == FULL.update("SPY").replace(
        b'00.000Z",', b'00.000Z","feed_time":"2025-12-21T12:00:58.000Z",'
    ).replace(
        b'"snapped":2}', b'"snapped":2,"lag_ms":900000,"notes":["jump"],"void":["mass"],"feed":"LIVE-X"}'
    ).replace(b'"seq":4711', b'"seq":4711,"db":3')
    assert PhysicsState.from_bytes(state.to_bytes()) == state
    assert (state.market_time, FULL.market_time) == ("2025-12-21T12:00:58.000Z", "2025-12-21T12:00:00.000Z")


def test_a_state_as_the_specification_prints_it_is_a_state() -> None:
    state = PhysicsState.from_bytes(AS_PRINTED)
    assert state == PhysicsState(0.42, 1.23, 0.15, 0.08, 0.05, "Gaussian", 2.8)
    assert orjson.loads(state.to_bytes()) == orjson.loads(AS_PRINTED)
    assert orjson.loads(state.update("SPY")) == {
        "event": "PHYSICS_UPDATE",
        "symbol": "SPY",
        "data": {
            "alpha": 2.8,
            "regime": "Gaussian",
            "mass": 0.42,
            "momentum": 1.23,
            "friction": 0.15,
            "entropy": 0.08,
            "nash_dist": 0.05,
        },
    }


@given(states())
def test_a_state_survives_redis_and_announces_itself_in_the_same_bytes(state: PhysicsState) -> None:
    parsed = PhysicsState.from_bytes(state.to_bytes())
    assert parsed == state
    assert parsed.to_bytes() == state.to_bytes()
    assert parsed.update("SPY") == state.update("SPY")
    assert PhysicsState.from_bytes(state.to_bytes().decode()) == state


def test_the_wait_state_of_a_reader_says_that_it_is_one() -> None:
    assert FAIL_SAFE.as_dict() == {
        **dict.fromkeys(PILLARS, 0.0),
        "regime": "WAIT",
        "alpha_coefficient": 2.5,
        "source": "fallback",
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        *[({name: None}, "number") for name in (*PILLARS, "alpha_coefficient")],
        *[({name: "0.5"}, "number") for name in (*PILLARS, "alpha_coefficient", "price", "samples", "nonzero")],
        *[({name: True}, "number") for name in (*PILLARS, "alpha_coefficient", "price", "samples", "nonzero")],
        ({"samples": -1}, "number"),
        ({"samples": 1.5}, "number"),
        ({"source": 7}, "type"),
        ({"regime_since": "yesterday"}, "timestamp"),
        ({"event_time": "yesterday"}, "timestamp"),
        ({"received": "yesterday"}, "timestamp"),
        *[({name: "0.5"}, "number") for name in ("volume", "trades", "bid", "ask", "tick", "interval", "grid")],
        *[({name: -1}, "number") for name in ("votes", "written")],
        ({"session": 7}, "type"),
        ({"said": "auction"}, "said"),
        ({"lost": 1}, "lost"),
        ({"taken": {}}, "taken"),
        ({"taken": [{"price": 1.0}]}, "timestamp"),
        ({"prev": [1]}, "version"),
        *[({"regime": value}, "regime") for value in (None, "gaussian", "Levy Stable", "", 1, ["Gaussian"])],
        *[({"timestamp": value}, "timestamp") for value in ("yesterday", 1766318400, "2025-12-21T12:00:00")],
        *[({"epoch": value}, "version") for value in (None, -1, 1.5, "1", True)],
        *[({"seq": value}, "version") for value in (None, -1, 1.5, "1", True)],
    ],
)
def test_what_cannot_be_trusted_is_refused_with_its_reason(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        PhysicsState.from_bytes(orjson.dumps({**FIELDS, **change}))
    assert refusal.value.reason == reason


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"01", b"1" * 400])
def test_no_number_that_json_cannot_hold_gets_in(number: bytes) -> None:
    with pytest.raises(InvalidMessage):
        PhysicsState.from_bytes(FULL.to_bytes().replace(b"0.42", number))


def test_unknown_fields_are_ignored() -> None:
    assert PhysicsState.from_bytes(orjson.dumps({**FIELDS, "mood": {"calm": True}})) == FULL


@given(st.binary() | json_values().map(orjson.dumps))
def test_any_bytes_are_a_state_or_refused(payload: bytes) -> None:
    with pytest.raises(InvalidMessage):
        PhysicsState.from_bytes(payload)


@given(st.sampled_from(sorted(FIELDS)), json_values())
def test_any_value_of_any_field_is_sound_or_refused(name: str, value: Any) -> None:
    try:
        state = PhysicsState.from_bytes(orjson.dumps({**FIELDS, name: value}))
    except InvalidMessage:
        return
    assert all(math.isfinite(getattr(state, each)) for each in (*PILLARS, "alpha_coefficient"))
    assert state.regime in REGIMES
    assert PhysicsState.from_bytes(state.to_bytes()) == state
    assert isinstance(state.update("SPY"), bytes)
    assert (state.age(1e10) is None) == (state.timestamp is None)


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff", b'{"a":1}x', "\ud800", b'{"a":"\\ud800"}', b"[" * 5000])
def test_what_is_no_json_is_refused(payload: bytes | str) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        load_object(payload)
    assert refusal.value.reason == "json"


@pytest.mark.parametrize("payload", [b"[]", b"1", b"null", b'"text"', b"true"])
def test_what_is_no_object_is_refused(payload: bytes) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        load_object(payload)
    assert refusal.value.reason == "object"


def test_an_epoch_outranks_every_seq_of_an_older_one() -> None:
    assert Version(1, 1) < Version(1, 2) < Version(1, 10) < Version(2, 0) < Version(2, 1)


def test_a_state_as_another_version_differs_in_nothing_else() -> None:
    other = FULL.at(Version(1766318400001, 1))
    assert other.as_dict() == {**FULL.as_dict(), "epoch": 1766318400001, "seq": 1}


def test_age_is_seconds_since_the_newest_sample() -> None:
    assert FULL.age(1766318402.5) == 2.5
    assert FULL.age(1766318300.0) == 0.0
    assert FAIL_SAFE.age(1766318402.5) is None


@pytest.mark.parametrize(
    ("value", "is_finite"),
    [
        (1, True),
        (-1.5, True),
        (0, True),
        (True, False),
        ("1", False),
        (None, False),
        (math.nan, False),
        (math.inf, False),
    ],
)
def test_only_finite_numbers_are_finite(value: object, is_finite: bool) -> None:
    assert finite(value) is is_finite


@given(states())
def test_an_update_announces_the_state_that_it_was_made_of(state: PhysicsState) -> None:
    assert announces(orjson.loads(state.update("SPY", 3)), orjson.loads(state.to_bytes()))


@pytest.mark.parametrize(
    "other",
    [
        {"price": 450.33},
        {"mass": 0.43},
        {"alpha_coefficient": 1.9},
        {"regime": "Critical"},
        {"source": None},
        {"regime_since": "2025-12-21T12:00:00.000Z"},
        {"event_time": "2013-10-07T11:00:00.000Z"},
        {"timestamp": "2025-12-21T12:00:01.000Z"},
        {"feed_time": "2025-12-21T12:00:01.000Z"},
        {"lag_ms": 1000},
        {"notes": ("jump",)},
        {"void": ("mass",)},
        *[{name: 1.5} for name in ("volume", "trades", "bid", "ask", "tick", "interval", "grid", "step")],
        *[{name: 7} for name in ("votes", "holes", "snapped")],
        {"session": "2025-12-21"},
        {"received": "2025-12-21T12:00:00.000Z"},
        {"said": ("auction",)},
        {"lost": True},
        {"feed": "LIVE-1"},
        {"taken": (TakenSample(450.31, "2025-12-21T11:59:59.000Z"),)},
        {"written": 1766318400212345},
        {"prev": Version(1766318400000, 4710), "written": 1766318400212345},
    ],
)
def test_and_no_other(other: dict[str, Any]) -> None:
    assert not announces(orjson.loads(replace(FULL, **other).update("SPY")), FIELDS)
    assert not announces(orjson.loads(FULL.update("SPY")), orjson.loads(replace(FULL, **other).to_bytes()))
