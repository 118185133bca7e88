"""What travels on the channels `state_update` and `trade_signals`: parsed and checked once, at the edge.

A consumer sends on the bytes that it received (`payload`), never a copy that it made.
"""

from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import orjson

from cottage import keys
from cottage.clock import from_iso
from cottage.errors import InvalidMessage, InvalidName
from cottage.snapshot import FUTURE_SECONDS
from cottage.state import PILLARS, Version, finite, load_object, regime, symbol, version

MAX_BYTES = 64 * 1024
MAX_OPENED = 128
"""Brackets and braces that a PHYSICS_UPDATE may open: it goes into SNAPSHOTs, and a parser's depth is limited."""
_NUMBERS = ("alpha", *PILLARS, "price", "samples", "nonzero")


@dataclass(frozen=True, slots=True)
class PhysicsUpdate:
    symbol: str
    version: Version | None
    timestamp: float | None
    """Seconds since 1970 of the newest sample."""
    regime: str
    alpha: float
    source: str | None
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """FeynmanService is alive and may write."""

    version: Version
    timestamp: float
    shard: str
    symbols: int
    written: int

    def to_bytes(self, timestamp: str) -> bytes:
        return orjson.dumps(
            {
                "event": "HEARTBEAT",
                "source": "feynman",
                "timestamp": timestamp,
                "epoch": self.version.epoch,
                "seq": self.version.seq,
                "data": {"shard": self.shard, "symbols": self.symbols, "written": self.written},
            }
        )


@dataclass(frozen=True, slots=True)
class AgentUpdate:
    agent_id: str
    payload: bytes = field(repr=False)

    @classmethod
    def build(cls, agent_id: str, timestamp: str, data: dict[str, Any]) -> "AgentUpdate":
        message = {"event": "AGENT_UPDATE", "agent_id": keys.agent_id(agent_id), "timestamp": timestamp}
        return cls(agent_id, orjson.dumps({**message, "data": data}))


@dataclass(frozen=True, slots=True)
class TradeSignal:
    symbol: str
    timestamp: str
    signal_id: str
    side: str
    confidence: float
    strategy: str

    def to_bytes(self) -> bytes:
        data = {"side": self.side, "confidence": self.confidence, "strategy": self.strategy}
        return orjson.dumps(
            {
                "event": "TRADE_SIGNAL",
                "symbol": keys.symbol(self.symbol),
                "timestamp": self.timestamp,
                "signal_id": self.signal_id,
                "data": data,
            }
        )


StateMessage = PhysicsUpdate | Heartbeat | AgentUpdate


def parse_state_update(payload: bytes, now: float | None) -> StateMessage:
    """One message of the channel `state_update`.

    `now` is Redis's clock in seconds since 1970: an epoch more than 60 s ahead of it is refused, since
    it would outrank every honest one; None where the sender has checked that already. Raises
    InvalidMessage with a reason for counting.
    """
    if len(payload) > MAX_BYTES:
        raise InvalidMessage("size", f"{len(payload)} bytes, at most {MAX_BYTES} are allowed")
    fields = load_object(payload)
    event = fields.get("event")
    if event == "PHYSICS_UPDATE":
        return _physics_update(fields, payload, now)
    if event == "HEARTBEAT":
        return _heartbeat(fields, now)
    if event == "AGENT_UPDATE":
        try:
            return AgentUpdate(keys.agent_id(fields.get("agent_id")), payload)
        except InvalidName as error:
            raise InvalidMessage("agent_id", str(error)) from error
    raise InvalidMessage("event", "not an event of this channel")


def parse_trade_signal(payload: bytes) -> TradeSignal:
    """One message of the channel `trade_signals`. Raises InvalidMessage."""
    if len(payload) > MAX_BYTES:
        raise InvalidMessage("size", f"{len(payload)} bytes, at most {MAX_BYTES} are allowed")
    fields = load_object(payload)
    if fields.get("event") != "TRADE_SIGNAL":
        raise InvalidMessage("event", "not an event of this channel")
    data = _data(fields)
    from_iso(fields.get("timestamp"))
    confidence = data.get("confidence")
    if not finite(confidence):
        raise InvalidMessage("number", "data.confidence is not a finite number")
    texts = {"signal_id": fields.get("signal_id"), "side": data.get("side"), "strategy": data.get("strategy")}
    for name, text in texts.items():
        if not isinstance(text, str):
            raise InvalidMessage("type", f"{name} is not text")
    return TradeSignal(symbol(fields), fields["timestamp"], confidence=confidence, **texts)  # type: ignore[arg-type]


def check_epoch(epoch: int, now: float) -> None:
    """InvalidMessage("epoch") where it lies more than 60 s ahead of Redis's clock `now` (seconds since 1970)."""
    if epoch > (now + FUTURE_SECONDS) * 1000:
        raise InvalidMessage("epoch", f"{epoch} lies in the future")


def _physics_update(fields: dict[str, Any], payload: bytes, now: float | None) -> PhysicsUpdate:
    name = symbol(fields)
    if payload.count(b"{") + payload.count(b"[") > MAX_OPENED:
        raise InvalidMessage("nesting", f"more than {MAX_OPENED} lists and objects")
    if "skipped" in fields:
        raise InvalidMessage("reserved", "skipped is for the fan-out to add")
    data = _data(fields)
    for key in _NUMBERS:
        value = data.get(key, 0)
        # finite(), written out: nine calls would be a third of what a message costs
        if not (type(value) is int or (type(value) is float and isfinite(value))):
            raise InvalidMessage("number", f"data.{key} is not a finite number")
    alpha = data.get("alpha")
    if alpha is None:
        raise InvalidMessage("number", "data.alpha is missing")
    stamp = fields.get("timestamp")
    newness = version(fields)
    if newness is not None and now is not None:
        check_epoch(newness.epoch, now)
    source = data.get("source")
    if not (source is None or type(source) is str):
        raise InvalidMessage("type", "data.source is not text")
    time = None if stamp is None else from_iso(stamp)
    return PhysicsUpdate(name, newness, time, regime(data), alpha, source, payload)


def _heartbeat(fields: dict[str, Any], now: float | None) -> Heartbeat:
    newness = version(fields)
    if newness is None:
        raise InvalidMessage("version", "a heartbeat without epoch and seq")
    if now is not None:
        check_epoch(newness.epoch, now)
    data = _data(fields)
    shard, symbols, written = data.get("shard"), data.get("symbols"), data.get("written")
    if not isinstance(shard, str) or type(symbols) is not int or type(written) is not int:
        raise InvalidMessage("type", "a heartbeat's data needs shard, symbols and written")
    return Heartbeat(newness, from_iso(fields.get("timestamp")), shard, symbols, written)


def _data(fields: dict[str, Any]) -> dict[str, Any]:
    data = fields.get("data")
    if not isinstance(data, dict):
        raise InvalidMessage("type", "data is not an object")
    return data
