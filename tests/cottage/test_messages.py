from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cottage.errors import InvalidMessage, InvalidName
from cottage.events import Event
from cottage.messages import (
    MAX_BYTES,
    Heartbeat,
    PhysicsUpdate,
    TradeSignal,
    agent_update,
    parse_state_update,
    parse_trade_signal,
)
from cottage.state import MOST_TAKEN, PILLARS, PhysicsState, TakenSample
from cottage.version import Version, check_epoch
from tests.cottage.strategies import json_values, states
from tests.cottage.test_state import FULL

NOW = 1_766_318_400.0
AS_PRINTED = b"""{
  "event": "PHYSICS_UPDATE",
  "symbol": "SPY",
  "timestamp": "2025-12-21T12:00:00Z",
  "data": {
    "alpha": 2.8,
    "regime": "Gaussian"
  }
}"""
UPDATE: dict[str, Any] = {
    "event": "PHYSICS_UPDATE",
    "symbol": "SPY",
    "timestamp": "2025-12-21T12:00:00.000Z",
    "data": {
        **dict.fromkeys(PILLARS, 0.5),
        "alpha": 2.8,
        "regime": "Gaussian",
        "price": 450.32,
        "samples": 1000,
        "nonzero": 812,
        "source": "live",
    },
    "epoch": 1766318400000,
    "seq": 4711,
}
NUMBERS = (*PILLARS, "alpha_low", "alpha_high", "price", "samples", "nonzero")
HEARTBEAT: dict[str, Any] = {
    "event": "HEARTBEAT",
    "source": "feynman",
    "timestamp": "2025-12-21T12:00:00.000Z",
    "epoch": 1766318400000,
    "seq": 86400,
    "data": {"shard": "0/1", "symbols": 503, "written": 43402100},
}
AGENT_UPDATE: dict[str, Any] = {
    "event": "AGENT_UPDATE",
    "agent_id": "analyst_001",
    "timestamp": "2025-12-21T12:00:00.000Z",
    "data": {},
}
SIGNAL: dict[str, Any] = {
    "event": "TRADE_SIGNAL",
    "symbol": "SPY",
    "timestamp": "2025-12-21T12:00:00.000Z",
    "signal_id": "s-1",
    "data": {"side": "BUY", "confidence": 0.7, "strategy": "KalmanMomentum"},
}


def changed(message: dict[str, Any], path: str, value: Any) -> bytes:
    """The message with one field, such as data.alpha, set to another value."""
    *outer, name = path.split(".")
    copy = orjson.loads(orjson.dumps(message))
    place = copy[outer[0]] if outer else copy
    place[name] = value
    return orjson.dumps(copy)


def cases(paths: Iterable[str], values: Iterable[Any], reason: str) -> list[tuple[str, Any, str]]:
    return [(path, value, reason) for path in paths for value in values]


def refusal(payload: bytes, now: float | None = NOW) -> str:
    with pytest.raises(InvalidMessage) as caught:
        parse_state_update(payload, now)
    return caught.value.reason


# --- PHYSICS_UPDATE ---


def test_an_update_as_the_specification_prints_it_is_taken() -> None:
    assert parse_state_update(AS_PRINTED, NOW) == PhysicsUpdate("SPY", None, NOW, "Gaussian", 2.8, None, AS_PRINTED)


def test_an_update_keeps_the_very_bytes_that_came() -> None:
    payload = orjson.dumps(UPDATE, option=orjson.OPT_INDENT_2)
    update = parse_state_update(payload, NOW)
    assert update == PhysicsUpdate("SPY", Version(1766318400000, 4711), NOW, "Gaussian", 2.8, "live", payload)
    assert isinstance(update, PhysicsUpdate)
    assert update.payload is payload


@given(states())
def test_what_a_state_announces_is_an_update_of_it(state: PhysicsState) -> None:
    update = parse_state_update(state.update("SPY"), None)
    assert isinstance(update, PhysicsUpdate)
    assert (update.symbol, update.version) == ("SPY", state.version)
    assert (update.regime, update.alpha) == (state.regime, state.alpha_coefficient)
    assert (update.timestamp is None) == (state.timestamp is None)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        *cases(["symbol"], (None, "", "spy", "A/B", 7, ["SPY"], "S" * 33), "symbol"),
        *cases(["data"], (None, [], "data", 1), "type"),
        *cases(["data.alpha"], (None, "2.8", True, [], {}), "number"),
        *cases([f"data.{name}" for name in NUMBERS], ("1", None, True), "number"),
        *cases(["data.regime"], (None, "gaussian", 1, ["Gaussian"], {}), "regime"),
        *cases(["timestamp"], ("yesterday", 1766318400, "2025-12-21T12:00:00", []), "timestamp"),
        *cases(["epoch", "seq"], (None, -1, 1.0, "1", True, []), "version"),
        ("epoch", 2**53 - 1, "epoch"),
        ("epoch", 2**53, "version"),
        ("epoch", int((NOW + 2 * 86_400) * 1000) + 1, "epoch"),
        *cases(["feed_time", "data.regime_since", "data.event_time"], ("yesterday", 1766318400, []), "timestamp"),
        *cases(["data.lag_ms"], (-1, 1.5, "900"), "number"),
        *cases(["data.notes"], ("jump", [1], {}), "notes"),
        *cases(["data.void"], ("mass", [None], 7), "void"),
        *cases(["data.said"], ("auction", [None], 7), "said"),
        *cases(["data.native", "data.session", "data.feed"], (7, [], {}), "type"),
        *cases(["data.received"], ("yesterday", 1766318400, []), "timestamp"),
        *cases(["data.lost"], (None, 1, "true"), "lost"),
        *cases(["data.taken"], (7, {}, [7], [[]]), "taken"),
        *cases(["data.taken"], ([{}], [{"price": 1.0}], [{"price": 1.0, "timestamp": 7}]), "timestamp"),
        *cases(["data.taken"], ([{"timestamp": "2025-12-21T12:00:00.000Z"}],), "number"),
        *cases(["prev"], (7, [], [1], [1, 2, 3], [1, None], [None, None], [1, -1], [1.5, 2], [True, 1]), "version"),
        *cases(["written"], (-1, 1.5, "1"), "number"),
        *cases(["db"], (1, "0", None, True, 0.0), "db"),
        *cases(["event"], (None, "physics_update", "TRADE_SIGNAL", 1, ["HEARTBEAT"], {}), "event"),
    ],
)
def test_an_update_that_cannot_be_trusted_is_refused(path: str, value: Any, reason: str) -> None:
    assert refusal(changed(UPDATE, path, value)) == reason


def test_an_epoch_up_to_two_days_ahead_is_taken_since_the_clock_may_have_been_set_back() -> None:
    limit = int((NOW + 2 * 86_400) * 1000)
    check_epoch(limit, NOW)
    with pytest.raises(InvalidMessage):
        check_epoch(limit + 1, NOW)


def test_who_checked_the_epoch_already_needs_no_clock() -> None:
    update = parse_state_update(changed(UPDATE, "epoch", 2**52), None)
    assert isinstance(update, PhysicsUpdate)
    assert update.version == Version(2**52, 4711)


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999", b"-1e999"])
def test_numbers_that_are_not_finite_are_refused(number: bytes) -> None:
    assert refusal(orjson.dumps(UPDATE).replace(b"450.32", number)) in ("json", "number")


def test_an_update_tells_of_which_sample_it_is_and_how_late_its_feed_is() -> None:
    message = {**UPDATE, "feed_time": "2025-12-21T12:00:58.000Z"}
    update = parse_state_update(changed(message, "data.lag_ms", 900_000), NOW)
    assert isinstance(update, PhysicsUpdate)
    assert (update.timestamp, update.feed_time, update.lag) == (NOW, NOW + 58, 900.0)


def test_an_update_tells_what_it_replaced_and_when() -> None:
    messages = ({**UPDATE, "prev": prev, "written": 7} for prev in (None, [1766318400000, 4710]))
    updates = [parse_state_update(orjson.dumps(message), NOW) for message in messages]
    assert [(update.prev, update.written) for update in updates if isinstance(update, PhysicsUpdate)] == [
        (None, 7),
        (Version(1766318400000, 4710), 7),
    ]


def test_as_many_samples_as_a_version_may_have_are_no_deep_nesting() -> None:
    words = ["auction", "late"]
    numbers = dict.fromkeys(("price", "volume", "trades", "bid", "ask"), 1e15 / 3)
    times = dict.fromkeys(("timestamp", "event_time", "received"), "2025-12-21T12:00:00.000001Z")
    sample = TakenSample.from_object({**numbers, **times, "session": "é" * 32, "notes": words, "lost": True})
    state = replace(
        FULL, taken=(sample,) * MOST_TAKEN, notes=("jump",), void=("mass",), prev=Version(1, 1), written=7
    )
    assert isinstance(parse_state_update(state.update("SPY"), None), PhysicsUpdate)
    assert refusal(changed(UPDATE, "data.x", orjson.Fragment(b"[" * 127 + b"]" * 127))) == "nesting"
    beside = b'[{"a":1},{"b":' * 64 + b"1" + b"}]" * 64
    assert refusal(changed(UPDATE, "data.x", orjson.Fragment(beside))) == "nesting"


@pytest.mark.parametrize("number", [1, 15])
def test_a_message_from_a_database_is_for_subscribers_of_that_database(number: int) -> None:
    heartbeat = Heartbeat(Version(1766318400000, 1), NOW, "0/1", 1, 1, 7)
    messages = [
        FULL.update("SPY", number),
        heartbeat.to_bytes("2025-12-21T12:00:00.000Z", number),
        agent_update("analyst_001", "2025-12-21T12:00:00.000Z", {}, number).payload,
    ]
    for payload in messages:
        assert payload.endswith(b',"db":%d}' % number)
        parse_state_update(payload, NOW, number)
        for other in (0, number + 1):
            with pytest.raises(InvalidMessage) as caught:
                parse_state_update(payload, NOW, other)
            assert caught.value.reason == "db"
    signal = TradeSignal("SPY", "2025-12-21T12:00:00.000Z", "s-1", "BUY", 0.7, "KalmanMomentum")
    assert parse_trade_signal(signal.to_bytes(number), number) == signal
    with pytest.raises(InvalidMessage):
        parse_trade_signal(signal.to_bytes(number))
    with pytest.raises(InvalidMessage):
        parse_trade_signal(signal.to_bytes(), number)


def test_a_message_has_at_most_64_kib() -> None:
    payload = orjson.dumps(UPDATE)
    longest = payload[:-1] + b" " * (MAX_BYTES - len(payload)) + b"}"
    assert len(longest) == 64 * 1024
    assert isinstance(parse_state_update(longest, NOW), PhysicsUpdate)
    assert refusal(longest + b" ") == "size"


# --- HEARTBEAT ---


def test_a_heartbeat_is_read_as_it_was_written() -> None:
    heartbeat = Heartbeat(Version(1766318400000, 86400), NOW, "0/1", 503, 43402100)
    payload = heartbeat.to_bytes("2025-12-21T12:00:00.000Z")
    assert payload == orjson.dumps(HEARTBEAT)
    assert parse_state_update(payload, NOW) == heartbeat
    for told in (replace(heartbeat, tick=4711), replace(heartbeat, window=1000), replace(heartbeat, cold=503)):
        assert parse_state_update(told.to_bytes("2025-12-21T12:00:00.000Z"), NOW) == told


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        *cases(["timestamp"], (None, "", 1), "timestamp"),
        *cases(["data"], (None, []), "type"),
        *cases(["data.shard"], (None, 0), "type"),
        *cases([f"data.{name}" for name in ("symbols", "written")], (None, 1.5, "1", True), "type"),
        *cases(["epoch", "seq"], (None, -1, "1"), "version"),
        ("epoch", 2**52, "epoch"),
    ],
)
def test_a_heartbeat_that_cannot_be_trusted_is_refused(path: str, value: Any, reason: str) -> None:
    assert refusal(changed(HEARTBEAT, path, value)) == reason


def test_a_heartbeat_has_a_version() -> None:
    unversioned = {name: value for name, value in HEARTBEAT.items() if name not in ("epoch", "seq")}
    assert refusal(orjson.dumps(unversioned)) == "version"


# --- AGENT_UPDATE ---


def test_an_agents_update_is_read_as_it_was_built() -> None:
    update = agent_update("analyst_001", "2025-12-21T12:00:00.000Z", {})
    assert orjson.loads(update.payload) == AGENT_UPDATE
    assert parse_state_update(update.payload, NOW) == update


@pytest.mark.parametrize("value", [None, "", "Analyst", "a-b", 1, ["a"]])
def test_an_agents_update_needs_a_sound_id(value: Any) -> None:
    assert refusal(changed(AGENT_UPDATE, "agent_id", value)) == "agent_id"
    with pytest.raises(InvalidName):
        agent_update(value, "2025-12-21T12:00:00.000Z", {})


# --- TRADE_SIGNAL ---


def test_a_trade_signal_is_read_as_it_was_written() -> None:
    signal = TradeSignal("SPY", "2025-12-21T12:00:00.000Z", "s-1", "BUY", 0.7, "KalmanMomentum")
    assert orjson.loads(signal.to_bytes()) == SIGNAL
    assert parse_trade_signal(signal.to_bytes()) == signal


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("event", "PHYSICS_UPDATE", "event"),
        ("event", None, "event"),
        *cases(["symbol"], (None, "spy", 1), "symbol"),
        *cases(["timestamp"], (None, "soon", 1), "timestamp"),
        *cases(["signal_id"], (None, 1), "type"),
        *cases(["data"], (None, []), "type"),
        *cases(["data.side"], (None, 1), "type"),
        *cases(["data.strategy"], (None, 1), "type"),
        *cases(["data.confidence"], (None, "0.7", True), "number"),
    ],
)
def test_a_trade_signal_that_cannot_be_trusted_is_refused(path: str, value: Any, reason: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        parse_trade_signal(changed(SIGNAL, path, value))
    assert caught.value.reason == reason


def test_a_trade_signal_has_at_most_64_kib() -> None:
    with pytest.raises(InvalidMessage, match="size"):
        parse_trade_signal(b" " * (MAX_BYTES + 1))


# --- whatever comes ---


def parsed_or_refused(payload: bytes) -> None:
    for parse in (lambda: parse_state_update(payload, NOW), lambda: parse_trade_signal(payload)):
        try:
            message = parse()
        except InvalidMessage as error:
            # A label of a metric and a line of a log: few words, and a short text.
            if error.reason not in REASONS:
                raise
            if len(error.detail) > 300:
                raise AssertionError("a stranger can fill the log") from error
        else:
            assert isinstance(message, PhysicsUpdate | Heartbeat | Event | TradeSignal)


REASONS = {
    "size",
    "json",
    "object",
    "event",
    "symbol",
    "type",
    "number",
    "regime",
    "timestamp",
    "version",
    "epoch",
    "agent_id",
}


@given(st.binary())
def test_any_bytes_are_parsed_or_refused(payload: bytes) -> None:
    parsed_or_refused(payload)


@given(json_values())
def test_any_json_is_parsed_or_refused(value: Any) -> None:
    parsed_or_refused(orjson.dumps(value))


_messages = (UPDATE, HEARTBEAT, AGENT_UPDATE, SIGNAL)
_places = [
    (message, path)
    for message in _messages
    for path in (*message, *(f"data.{name}" for name in message["data"]), "epoch", "seq")
]


@given(st.sampled_from(_places), json_values())
def test_any_value_of_any_field_is_parsed_or_refused(place: tuple[dict[str, Any], str], value: Any) -> None:
    parsed_or_refused(changed(*place, value))


@given(st.sampled_from(_messages), st.data())
def test_any_damage_is_parsed_or_refused(message: dict[str, Any], data: st.DataObject) -> None:
    payload = orjson.dumps(message)
    start = data.draw(st.integers(0, len(payload)))
    end = data.draw(st.integers(start, len(payload)))
    parsed_or_refused(payload[:start] + data.draw(st.binary(max_size=8)) + payload[end:])
