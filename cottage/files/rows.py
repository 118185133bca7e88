"""Parses and checks the rows of a recording, and the columns that its header names. recording.py uses it."""

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from cottage import keys
from cottage.clock import LATEST_SECONDS
from cottage.errors import InvalidMessage, InvalidName, UnusableSource
from cottage.plain_numbers import not_a_number
from cottage.snapshot import OnDoubt, sound_quotes

NAMES = ("timestamp", "symbol")
TRADE = ("price", "size")
BAR = ("open", "high", "low", "close", "volume")
QUOTES = ("bid", "ask")

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)  # float() takes "1_000" and "nan" too
_LARGEST_AMOUNT = 1e18  # shares or coins in one row: more is a mistake, and sums of it would soon be infinite
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LATEST = int(LATEST_SECONDS) * 1_000_000


class BadRow(Exception):
    """Raised for a row that cannot be used. Recording skips it and counts it by `reason`, one of a few words."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Row(NamedTuple):
    """One trade, bar or quote. A trade's open, high and low are its price; a bar's price is its close, a quote's its
    mid."""

    time: int
    """When it is published, in microseconds since 1970, UTC: at its receive time where the file has one, a bar at its
    end."""
    symbol: str
    price: float
    volume: float | None
    """None where the file tells none."""
    trades: int | None
    """The number of trades or of quote updates; None where the file does not tell it."""
    open: float
    high: float
    low: float
    bid: float | None
    ask: float | None
    native: str | None = None
    """The symbol as the file spells it, where that differs."""
    event_time: int | None = None
    """The market's own time, in microseconds since 1970, where it is another one than `time`."""
    sequence: int = 0
    """The id or sequence number by which rows of one time are in order; 0 where the file has none."""
    interval: int | None = None
    """The microseconds that a bar lasts."""
    notes: tuple[str, ...] = ()
    """What is to be said of it, in words of cottage/notes.py: `mid`, `auction`."""


class Columns:
    """The columns that the header of a file names. It parses the rows of that file. Each Recording has one."""

    def __init__(self, header: Sequence[str], on_doubt: OnDoubt = lambda _error: None) -> None:
        """The names may be in any order and case, and unknown ones are ignored. Raises UnusableSource if a required
        name is missing, or a known one is there twice. `on_doubt` gets each quote that `parse` leaves out."""
        self._on_doubt = on_doubt
        self._spellings: dict[str, str] = {}
        """How each symbol was spelled first."""
        names = [name.strip().lower() for name in header]
        known = (*NAMES, *TRADE, *BAR, *QUOTES)
        for name in known:
            if names.count(name) > 1:
                raise UnusableSource(f"the column {name} is there {names.count(name)} times: rename all but one")
        self._place = {name: names.index(name) for name in known if name in names}
        self.number = len(names)
        missing = [name for name in NAMES if name not in self._place]
        self.are_trades = all(name in self._place for name in TRADE)
        if missing or not (self.are_trades or all(name in self._place for name in BAR)):
            raise UnusableSource(
                f"its columns are {shown(','.join(header))}; the first line must name {','.join((*NAMES, *TRADE))} "
                f"(bid,ask optional) for trades, or {','.join((*NAMES, *BAR))} for bars"
            )

    def parse(self, fields: Sequence[str]) -> Row:
        """Parse the fields of one line. Raises BadRow if the row cannot be used."""
        if len(fields) != self.number:
            raise BadRow("fields", f"{len(fields)} of them, not {self.number}")
        place = self._place
        time = micros(fields[place["timestamp"]])
        symbol, spelling = _symbol(fields[place["symbol"]])
        if self.are_trades:
            opened = high = low = price = self._above_zero(fields, "price")
            volume, trades = self._amount(fields, "size"), 1
        else:
            opened, high, low, price = (self._above_zero(fields, name) for name in BAR[:4])
            if not low <= min(opened, price) <= max(opened, price) <= high:
                raise BadRow("range", f"open {opened} and close {price} do not lie within low {low} and high {high}")
            volume, trades = self._amount(fields, "volume"), None
        bid, ask = sound_quotes(price, self._quote(fields, "bid"), self._quote(fields, "ask"), self._on_doubt)
        if (first := self._spellings.setdefault(symbol, spelling)) != spelling:
            raise BadRow("native", f"{shown(spelling)} and {shown(first)} are both {symbol}, so this one is left out")
        native = None if spelling == symbol else spelling
        return Row(time, symbol, price, volume, trades, opened, high, low, bid, ask, native)

    def _above_zero(self, fields: Sequence[str], name: str) -> float:
        value = number(fields[self._place[name]], name)
        if value <= 0:
            raise BadRow(name, f"{value} is not above 0")
        return value

    def _amount(self, fields: Sequence[str], name: str) -> float:
        value = number(fields[self._place[name]], name)
        if not 0 <= value <= _LARGEST_AMOUNT:
            raise BadRow(name, f"{value} is negative or beyond all measure")
        return value

    def _quote(self, fields: Sequence[str], name: str) -> float | None:
        """The bid or ask price; None if the recording has no such column, or the field is empty or no number."""
        if name not in self._place or not fields[self._place[name]].strip():
            return None
        try:
            return number(fields[self._place[name]], name)
        except BadRow as error:
            self._on_doubt(InvalidMessage(name, error.detail))
            return None


def micros(text: str) -> int:
    """Parse a timestamp into microseconds since 1970. It is ISO 8601 (without a zone: UTC), or a number that counts
    from 1970. Raises BadRow("timestamp") for anything else.

    A number below 1e11 is in seconds (up to the year 5138), below 1e14 in milliseconds, below 1e17 in microseconds,
    and above that in nanoseconds; a fraction is allowed. Eight digits are a date, such as 20130903: as seconds they
    would lie before 1974.
    """
    text = text.strip()
    try:
        time = _epoch(Decimal(text)) if _is_epoch(text) else _iso(text)
    except (ValueError, OverflowError):
        raise BadRow("timestamp", f"{shown(text)} is neither ISO 8601 nor epoch seconds or milliseconds") from None
    if not 0 <= time <= _LATEST:
        raise BadRow("timestamp", f"{shown(text)} does not lie between 1970 and 9999")
    return time


def number(text: str, name: str) -> float:
    """Parse a finite number. Raises BadRow(`name`) for anything else."""
    text = text.strip()
    if _NUMBER.fullmatch(text) is None:
        raise BadRow(name, not_a_number(text))
    value = float(text)
    if not math.isfinite(value):
        raise BadRow(name, f"{shown(text)} is not finite")
    return value


def _is_epoch(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None and not (len(text) == 8 and text.isdigit())


def _epoch(value: Decimal) -> int:
    if not abs(value) < Decimal(10) ** 20:  # before it becomes an integer of any length
        raise ValueError
    for limit, scale in ((11, 6), (14, 3), (17, 0)):
        if abs(value) < Decimal(10) ** limit:
            return int(value.scaleb(scale))
    return int(value) // 1000


def _iso(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


def _symbol(text: str) -> tuple[str, str]:
    """The symbol that is made of a name, and how the file spells it. Raises BadRow."""
    try:
        return keys.symbol_of(text), text.strip()
    except InvalidName as error:
        raise BadRow("symbol", str(error)) from None


def shown(text: str) -> str:
    """The text in quotes, printable, cut to 60 characters, for error messages."""
    shown = repr(text)
    return shown if len(shown) <= 60 else shown[:57] + "..."
