"""A market snapshot (§2.2): what a feed says of one symbol now, as the hash `market:snapshot:{SYMBOL}`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from common import keys
from common.clock import LATEST_SECONDS
from common.errors import InvalidMessage

FUTURE_SECONDS = 60.0
"""How far ahead of Redis's clock a timestamp (or an epoch) may lie before it is refused."""

UNKNOWN_SOURCE = "unknown"
_OPTIONAL = ("bid", "ask", "open", "high", "low")


@dataclass(frozen=True, slots=True)
class MarketSnapshot:
    symbol: str
    price: float
    timestamp: float
    """Seconds since 1970, with a fraction."""
    volume: float = 0.0
    """Cumulative over the session."""
    trades: float = 0.0
    """Number of trades, cumulative over the session."""
    source: str = UNKNOWN_SOURCE
    """`simulate`, `replay`, `live`, or a feed's own word."""
    bid: float | None = None
    ask: float | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None

    def to_hash(self) -> dict[str, str | float]:
        """The fields of the hash, those that are known."""
        fields: dict[str, str | float] = {
            "price": self.price,
            "volume": self.volume,
            "trades": self.trades,
            "timestamp": self.timestamp,
            "source": self.source,
        }
        for name in _OPTIONAL:
            value: float | None = getattr(self, name)
            if value is not None:
                fields[name] = value
        return fields

    @classmethod
    def from_hash(cls, symbol: str, fields: Mapping[str, str], now: float) -> "MarketSnapshot":
        """Check what a feed wrote. `now` is Redis's clock, in seconds since 1970.

        Raises InvalidMessage, whose reason is the field's name. Optional quotes that are no numbers
        are left out: the physics does not need them.
        """
        price = _number(fields, "price", None)
        if price <= 0:
            raise InvalidMessage("price", f"{price!r} is not above 0")
        timestamp = _number(fields, "timestamp", None)
        check_timestamp(timestamp, now)
        return cls(
            symbol=keys.symbol(symbol),
            price=price,
            timestamp=timestamp,
            volume=_count(fields, "volume"),
            trades=_count(fields, "trades"),
            source=check_source(fields.get("source", UNKNOWN_SOURCE)),
            **{name: _quote(fields, name) for name in _OPTIONAL},
        )


def check_timestamp(timestamp: float, now: float) -> None:
    """InvalidMessage("timestamp") where it lies before 1970 or more than 60 s ahead of `now`."""
    if not 0 <= timestamp <= min(now + FUTURE_SECONDS, LATEST_SECONDS):
        raise InvalidMessage("timestamp", f"{timestamp!r} lies before 1970 or ahead of Redis's clock")


def check_source(source: str) -> str:
    """The feed's word, if it is 1 to 32 printable characters; InvalidMessage("source") otherwise."""
    if not (0 < len(source) <= 32 and source.isprintable()):
        raise InvalidMessage("source", "not 1 to 32 printable characters")
    return source


def _number(fields: Mapping[str, str], name: str, default: float | None) -> float:
    text = fields.get(name)
    if text is None:
        if default is None:
            raise InvalidMessage(name, "missing")
        return default
    try:
        value = float(text)
    except ValueError as error:
        raise InvalidMessage(name, f"{text[:40]!r} is not a number") from error
    if not math.isfinite(value):
        raise InvalidMessage(name, f"{text[:40]!r} is not finite")
    return value


def _count(fields: Mapping[str, str], name: str) -> float:
    value = _number(fields, name, 0.0)
    if value < 0:
        raise InvalidMessage(name, f"{value!r} is negative")
    return value


def _quote(fields: Mapping[str, str], name: str) -> float | None:
    try:
        return _number(fields, name, None)
    except InvalidMessage:
        return None
