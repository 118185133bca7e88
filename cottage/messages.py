"""Parses and builds the messages of the channels `state_update` and `trade_signals`, which are checked here once.

A consumer sends on the bytes that it received (`payload`), never a copy that it made.
"""

from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import orjson

from cottage import fields, keys
from cottage.clock import from_iso
from cottage.errors import InvalidMessage
from cottage.events import Event, parse_event
from cottage.state import PILLARS, REGIMES, taken_samples
from cottage.version import Version, check_epoch

MAX_BYTES = 64 * 1024
MAX_OPENED = 128
"""The deepest nesting of a PHYSICS_UPDATE: it is put into SNAPSHOTs, and JSON parsers have a limit."""
_NUMBERS = (
    *("alpha", "alpha_low", "alpha_high", *PILLARS, "price", "volume", "trades", "bid", "ask"),
    *("samples", "nonzero", "step", "holes", "snapped", "grid", "votes", "tick", "interval"),
)
_ZEROS = (0,) * len(_NUMBERS)
_KINDS = frozenset((int, float))


@dataclass(frozen=True, slots=True)
class PhysicsUpdate:
    """A symbol's new state, on the channel `state_update`."""

    symbol: str
    version: Version | None
    timestamp: float | None
    """The time of the newest sample in seconds since 1970; None if the message does not tell it."""
    regime: str
    alpha: float
    """The tail index."""
    source: str | None
    payload: bytes = field(repr=False)
    """The whole message, JSON, as it was received."""
    feed_time: float | None = None
    """The sample's time as its feed wrote it, where that differs from `timestamp`."""
    lag: float = 0.0
    """By how many seconds samples of this feed are usually late."""
    prev: Version | None = None
    """The version that this one replaced in Redis; None where there was none, or without `written`."""
    written: int | None = None
    """When Redis wrote this version, in microseconds since 1970; None where its writer does not say so."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A HEARTBEAT on the channel `state_update`: this writer is alive and holds the lease of its shard."""

    version: Version
    """The epoch of the writer's lease, and the number of this heartbeat."""
    timestamp: float
    """The time of sending, in seconds since 1970."""
    shard: str
    """`i/n`: it computes the i-th of n parts of the symbols, counted from 0."""
    symbols: int
    """Number of symbols in the last tick."""
    written: int
    """Number of states that changed in it."""
    tick: int | None = None
    """The number of the writer's newest tick, which is the seq of the states of that tick; None if it is not told."""
    window: int | None = None
    """How many samples a window holds; None if it is not told."""
    cold: int = 0
    """How many windows have just begun and may be filled from the record."""

    def to_bytes(self, timestamp: str, database: int = 0) -> bytes:
        """The message, JSON. `timestamp`: its own as ISO 8601 text in UTC. `database`: the one it is sent from."""
        head = {"event": "HEARTBEAT", "source": "feynman", "timestamp": timestamp}
        data = {"shard": self.shard, "symbols": self.symbols, "written": self.written}
        told = {"tick": self.tick, "window": self.window, "cold": self.cold or None}
        data |= {name: number for name, number in told.items() if number is not None}
        return orjson.dumps(fields.with_database({**head, **self.version._asdict(), "data": data}, database))


@dataclass(frozen=True, slots=True)
class TradeSignal:
    """A signal of a strategy to trade, on the channel `trade_signals`."""

    symbol: str
    timestamp: str
    """ISO 8601 text in UTC."""
    signal_id: str
    side: str
    """The side in the strategy's own words, such as BUY."""
    confidence: float
    """Any finite number; the strategy defines its meaning."""
    strategy: str

    def to_bytes(self, database: int = 0) -> bytes:
        """The message, JSON. `database`: the one it is sent from. Raises InvalidName for a bad symbol."""
        message = {
            "event": "TRADE_SIGNAL",
            "symbol": keys.symbol(self.symbol),
            "timestamp": self.timestamp,
            "signal_id": self.signal_id,
            "data": {"side": self.side, "confidence": self.confidence, "strategy": self.strategy},
        }
        return orjson.dumps(fields.with_database(message, database))


StateMessage = PhysicsUpdate | Heartbeat | Event


def agent_update(agent_id: str, timestamp: str, data: dict[str, Any], database: int = 0) -> Event:
    """An AGENT_UPDATE. `database`: the one it is sent from. Raises InvalidName."""
    message = {"event": "AGENT_UPDATE", "agent_id": keys.agent_id(agent_id), "timestamp": timestamp, "data": data}
    return parse_event(message, orjson.dumps(fields.with_database(message, database)))


def feed_refusals(shard: str, timestamp: str, data: dict[str, Any], database: int = 0) -> Event:
    """A FEED_REFUSALS: what the feynman of this shard refuses now. `database`: the one it is sent from."""
    message = {"event": "FEED_REFUSALS", "source": "feynman", "timestamp": timestamp, "shard": shard, "data": data}
    return parse_event(message, orjson.dumps(fields.with_database(message, database)))


def parse_state_update(payload: bytes, now: float | None, database: int = 0) -> StateMessage:
    """One message of the channel `state_update`.

    `now` is Redis's clock in seconds since 1970: an epoch more than two days ahead of it is refused, since
    it would outrank every honest one; None where the sender has checked that already. `database`: the number of the
    subscriber's; a message from another one is refused with the reason `db`. Raises InvalidMessage with a reason for
    counting.
    """
    message = _message(payload, database)
    event = message.get("event")
    if event == "PHYSICS_UPDATE":
        return _physics_update(message, payload, now)
    if event == "HEARTBEAT":
        return _heartbeat(message, now)
    return parse_event(message, payload)


def parse_trade_signal(payload: bytes, database: int = 0) -> TradeSignal:
    """One message of the channel `trade_signals`, as `parse_state_update`. Raises InvalidMessage."""
    message = _message(payload, database)
    if message.get("event") != "TRADE_SIGNAL":
        raise InvalidMessage("event", "not an event of this channel")
    data = fields.mapping(message, "data")
    from_iso(message.get("timestamp"))
    return TradeSignal(
        fields.symbol(message),
        message["timestamp"],
        fields.text(message, "signal_id"),
        fields.text(data, "side"),
        fields.number(data, "confidence"),
        fields.text(data, "strategy"),
    )


def _message(payload: bytes, database: int) -> dict[str, Any]:
    if len(payload) > MAX_BYTES:
        raise InvalidMessage("size", f"{len(payload)} bytes, at most {MAX_BYTES} are allowed")
    message = fields.load_object(payload)
    fields.check_database(message, database)
    return message


def _physics_update(message: dict[str, Any], payload: bytes, now: float | None) -> PhysicsUpdate:
    symbol = fields.symbol(message)
    opened = payload.count(b"{") + payload.count(b"[")
    # Objects of a list are beside one another, however many: for each `},{` there is one that does not nest.
    if opened > MAX_OPENED and opened - payload.count(b"},{") > MAX_OPENED:
        raise InvalidMessage("nesting", f"more than {MAX_OPENED} lists and objects")
    if "skipped" in message:
        raise InvalidMessage("reserved", "skipped is for the fan-out to add")
    data = fields.mapping(message, "data")
    numbers = tuple(map(data.get, _NUMBERS, _ZEROS))
    # Each by itself would be half of what a message costs. A sum that is finite is one of finite numbers.
    if not (_KINDS.issuperset(map(type, numbers)) and isfinite(sum(numbers))):
        for name, number in zip(_NUMBERS, numbers, strict=True):
            if not fields.finite(number):
                raise InvalidMessage("number", f"data.{name} is not a finite number")
    alpha = data.get("alpha")
    if alpha is None:
        raise InvalidMessage("number", "data.alpha is missing")
    version = _version(message, now)
    told, told_by_feed = message.get("timestamp"), message.get("feed_time")
    time = None if told is None else from_iso(told)
    feed_time = None if told_by_feed is None else from_iso(told_by_feed)
    regime, source = fields.one_of(data, "regime", REGIMES), fields.optional_text(data, "source")
    _check_remarks(data)
    lag = (fields.optional_count(data, "lag_ms") or 0) / 1000
    stamp = fields.previous(message), fields.optional_count(message, "written")
    return PhysicsUpdate(symbol, version, time, regime, alpha, source, payload, feed_time, lag, *stamp)


def _check_remarks(data: fields.Fields) -> None:
    """Check what only some updates have. Raises InvalidMessage."""
    for name in ("notes", "void", "said"):
        fields.words(data, name)
    for name in ("native", "session", "feed"):
        if name in data:
            fields.optional_text(data, name)
    for name in ("regime_since", "event_time", "received"):
        if name in data:
            fields.optional_time(data, name)
    if "lost" in data:
        fields.flag(data, "lost")
    if "taken" in data:
        taken_samples(data)


def _heartbeat(message: dict[str, Any], now: float | None) -> Heartbeat:
    version = _version(message, now)
    if version is None:
        raise InvalidMessage("version", "a heartbeat without epoch and seq")
    data = fields.mapping(message, "data")
    return Heartbeat(
        version,
        from_iso(message.get("timestamp")),
        fields.text(data, "shard"),
        fields.whole(data, "symbols"),
        fields.whole(data, "written"),
        fields.optional_count(data, "tick"),
        fields.optional_count(data, "window"),
        fields.optional_count(data, "cold") or 0,
    )


def _version(message: dict[str, Any], now: float | None) -> Version | None:
    version = fields.version(message)
    if version is not None and now is not None:
        check_epoch(version.epoch, now)
    return version
