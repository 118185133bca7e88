"""Market snapshots: what a feed reports about one symbol, stored as the hash `market:snapshot:{SYMBOL}`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cottage import keys
from cottage.clock import FUTURE_SECONDS, LATEST_SECONDS
from cottage.errors import InvalidMessage

UNKNOWN_SOURCE = "unknown"
LONGEST_NUMBER = 64
"""Characters; the longest that a float prints as is 24."""

NUMERALS = b"+-.0123456789Ee"
"""What a number may be written with."""
_NUMERALS_TEXT = NUMERALS.decode()

SAMPLE_FIELDS = ("price", "timestamp", "volume", "trades", "source")
RawSample = Sequence[str | bytes | None]
"""The SAMPLE_FIELDS of a hash, None where there is none."""

OPTIONAL_FIELDS = ("bid", "ask", "open", "high", "low")


@dataclass(frozen=True, slots=True)
class MarketSnapshot:
    """What a feed reports about one symbol now."""

    symbol: str
    price: float
    """The price of the last trade, above 0. All prices are in the market's currency."""
    timestamp: float
    """The time in seconds since 1970, with a fraction."""
    volume: float = 0.0
    """Shares, contracts or coins, cumulative over the session."""
    trades: float = 0.0
    """Number of trades, cumulative over the session."""
    source: str = UNKNOWN_SOURCE
    """The feed: `simulate`, `replay`, `live`, or a feed's own name."""
    bid: float | None = None
    ask: float | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None

    def to_hash(self) -> dict[str, str | float]:
        """The fields of the hash, those that are known."""
        known = {name: getattr(self, name) for name in (*SAMPLE_FIELDS, *OPTIONAL_FIELDS)}
        return {name: value for name, value in known.items() if value is not None}

    @classmethod
    def from_hash(cls, symbol: str, fields: Mapping[str, str], now: float) -> "MarketSnapshot":
        """Check what a feed wrote. `now` is Redis's clock, in seconds since 1970.

        Raises InvalidMessage, whose reason is the field's name. Optional quotes that are no numbers
        are left out: the physics does not need them.
        """
        sample = parse_sample([fields.get(name) for name in SAMPLE_FIELDS], now)
        bid, ask, open_, high, low = (_quote(fields.get(name), name) for name in OPTIONAL_FIELDS)
        return cls(keys.symbol(symbol), *sample, bid, ask, open_, high, low)


class Sample(NamedTuple):
    """What the physics needs of a snapshot, checked; the fields of MarketSnapshot by those names."""

    price: float
    timestamp: float
    volume: float
    trades: float
    source: str


def parse_sample(row: RawSample, now: float) -> Sample:
    """Check what a feed wrote, as far as the physics needs it. `now` is Redis's clock.

    Raises InvalidMessage, whose reason is the field's name.
    """
    price, timestamp, volume, trades, source = row
    value = _number(price, "price")
    if value <= 0:
        raise InvalidMessage("price", f"{value!r} is not above 0")
    moment = _number(timestamp, "timestamp")
    if not 0 <= moment <= latest(now):
        raise InvalidMessage("timestamp", f"{moment!r} lies before 1970 or more than 60 s ahead of Redis's clock")
    return Sample(value, moment, _count(volume, "volume"), _count(trades, "trades"), parse_source(source))


def latest(now: float) -> float:
    """The latest timestamp that a snapshot may have. `now` is Redis's clock."""
    return min(now + FUTURE_SECONDS, LATEST_SECONDS)


def parse_source(word: str | bytes | None) -> str:
    """Parse the source of a snapshot, the name of its feed. Raises InvalidMessage("source")."""
    if word is None:
        return UNKNOWN_SOURCE
    try:
        text = word if isinstance(word, str) else word.decode()
    except UnicodeDecodeError as error:
        raise InvalidMessage("source", "not UTF-8") from error
    if not (0 < len(text) <= 32 and text.isprintable()):
        raise InvalidMessage("source", "not 1 to 32 printable characters")
    return text


def _number(text: str | bytes | None, name: str) -> float:
    if text is None:
        raise InvalidMessage(name, "missing")
    # float() alone also takes "1_000", " 1", other scripts' digits, and a megabyte of them. Stripping stops at
    # a character that is none of a number's, so anything left means that there is one.
    if len(text) > LONGEST_NUMBER or (text.strip(_NUMERALS_TEXT) if isinstance(text, str) else text.strip(NUMERALS)):
        raise InvalidMessage(name, f"{text[:40]!r} is not a number")
    try:
        value = float(text)
    except ValueError as error:
        raise InvalidMessage(name, f"{text[:40]!r} is not a number") from error
    if not math.isfinite(value):
        raise InvalidMessage(name, f"{text[:40]!r} is not finite")
    return value


def _count(text: str | bytes | None, name: str) -> float:
    if text is None:
        return 0.0
    value = _number(text, name)
    if value < 0:
        raise InvalidMessage(name, f"{value!r} is negative")
    return value


def _quote(text: str | None, name: str) -> float | None:
    try:
        return _number(text, name)
    except InvalidMessage:
        return None
