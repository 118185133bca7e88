"""Turns the cells of one row into a Row, once understanding.py knows what each of them is: for trades, bars and
quotes one reader each, made once for a file."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cottage import keys
from cottage.errors import InvalidMessage, InvalidName
from cottage.files.meaning.conditions import CANCELLED, CORRECTED, EVERY, Verdict
from cottage.files.rows import BadRow, Row, shown
from cottage.snapshot import sound_quotes

Cells = Sequence[str]
ReadRow = Callable[[Cells], Row | None]
"""Reads a row; None for one that is left out on purpose, and counted. Raises BadRow."""
Number = Callable[[Cells], float | None]
"""Reads one number of a row; None where it has none. Raises BadRow."""
Times = tuple[int, int | None]

LARGEST_AMOUNT = 1e18  # shares or coins in one row: more is a mistake, and sums of it would soon be infinite
_ROUNDED = 1e-6
"""By so much of itself a close may be beyond its high: prices that were rounded, or that a file holds as 32 bits."""
NO_MID = "no mid"
"""How the reasons begin for which a quote sets no price."""
WIDEST = 20.0
"""A spread that is so many times its median is no market."""


class Bar(NamedTuple):
    """The readers of a bar's prices."""

    open: Number
    high: Number
    low: Number
    close: Number


@dataclass(slots=True)
class Parts:
    """The readers of all that a row may hold, and what they count. What a file does not have reads as None."""

    left_out: Counter[str]
    doubtful: Counter[str]
    by_condition: Counter[str]
    """How many rows have each cell of conditions."""
    times: Callable[[Cells], Times] = lambda _cells: (0, None)
    """When a row is published, and when it happened if that is another time."""
    symbol: Callable[[Cells], tuple[str, str | None]] = lambda _cells: ("", None)
    price: Number | None = None
    bar: Bar | None = None
    bid_bar: Bar | None = None
    ask_bar: Bar | None = None
    adjusted: Number | None = None
    size: Number | None = None
    signed: bool = False
    """Whether a size below 0 is a sale's."""
    trades: Number | None = None
    first_id: Number | None = None
    bid: Number | None = None
    ask: Number | None = None
    sequence: Callable[[Cells], int] = lambda _cells: 0
    why_left_out: Callable[[Cells], str] = lambda _cells: ""
    """Why a row is left out; empty for one that is kept."""
    verdict: Callable[[Cells], Verdict] = lambda _cells: EVERY
    end: Callable[[int], int] | None = None
    """From a bar's open to its end; None where its stamp is its end."""
    date: Callable[[int], int] | None = None
    """From a bar's end to the date that is its stamp; None where its stamp is no date that it is closed on."""
    length: int | None = None
    now: int = 1 << 62
    """Bars that end later than this, in microseconds, are unfinished."""
    spreads: dict[str, float] = field(default_factory=dict)
    """The median spread of each symbol, and under `""` that of all, as a share of the mid."""
    carried: bool = False
    carried_quotes: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    last_prices: dict[str, float] = field(default_factory=dict)
    carries_prices: bool = True
    """Whether rows come oldest first, so that a print without a price can have the one before it."""

    def restart(self) -> None:
        """Forget what one row tells another: a pass over the file begins."""
        self.left_out.clear()
        self.doubtful.clear()
        self.by_condition.clear()
        self.carried_quotes.clear()
        self.last_prices.clear()

    def doubt(self, error: InvalidMessage) -> None:
        self.doubtful[error.reason] += 1

    def amount(self, cells: Cells) -> float | None:
        """The size or volume. Raises BadRow for one that cannot be."""
        value = self.size(cells) if self.size else None
        if value is None:
            return None
        if self.signed:
            value = abs(value)
        if not 0 <= value <= LARGEST_AMOUNT:
            raise BadRow("size", f"{value} is negative or beyond all measure")
        return value

    def count(self, cells: Cells, default: int | None) -> int | None:
        """The number of trades that a row tells."""
        value = self.trades(cells) if self.trades else None
        if value is None or not 0 <= value <= LARGEST_AMOUNT:
            return default
        if self.first_id is not None:
            first = self.first_id(cells)
            return default if first is None or not 0 <= value - first < 1e9 else int(value - first) + 1
        return int(value)


def trade_reader(parts: Parts) -> ReadRow:
    """A reader of trades. A print whose price does not count has the price before it, with its volume."""
    price_of = parts.price
    assert price_of is not None

    def read(cells: Cells) -> Row | None:
        time, event_time = parts.times(cells)
        symbol, native = parts.symbol(cells)
        price = price_of(cells)
        sets_price, counts, auction = parts.verdict(cells)
        if not (sets_price or counts):
            parts.left_out["conditions: neither price nor volume"] += 1
            return None
        if price is None:
            parts.left_out["no price"] += 1
            return None
        check_price(price)
        if sets_price:
            parts.last_prices[symbol] = price
        else:
            before = parts.last_prices.get(symbol) if parts.carries_prices else None
            if before is None:
                parts.left_out["conditions: volume before any price"] += 1
                return None
            price = before
        amount = parts.amount(cells) if counts else 0.0
        bid, ask = _quotes(parts, cells, price)
        notes = ("auction",) if auction else ()
        trades = parts.count(cells, 1) if counts else 0
        sequence = parts.sequence(cells)
        return Row(time, symbol, price, amount, trades, price, price, price, bid, ask, native, event_time, sequence,
                   None, notes)  # fmt: skip

    return read


def bar_reader(parts: Parts) -> ReadRow:
    """A reader of bars, which are published at their ends. One of bids and asks has the mids of both."""
    prices = _mids_of_bars(parts) if parts.bid_bar and parts.ask_bar else _bars(parts)
    notes = ("mid",) if parts.bid_bar else ()

    def read(cells: Cells) -> Row | None:
        stamp, event_time = parts.times(cells)
        symbol, native = parts.symbol(cells)
        found = prices(cells)
        if found is None:
            parts.left_out["no price"] += 1
            return None
        opened, high, low, close, bid, ask = found
        time, interval = stamp, parts.length
        if parts.end is not None:
            time = parts.end(stamp)
            interval = time - stamp
        if time > parts.now:
            parts.left_out["unfinished: it ends in the future"] += 1
            return None
        sequence = parts.sequence(cells)
        return Row(time, symbol, close, parts.amount(cells), parts.count(cells, None), opened, high, low, bid, ask,
                   native, event_time, sequence, interval, notes)  # fmt: skip

    return read


_Prices = tuple[float, float, float, float, float | None, float | None]


def _bars(parts: Parts) -> Callable[[Cells], _Prices | None]:
    bar = parts.bar
    assert bar is not None

    def prices(cells: Cells) -> _Prices | None:
        read = bar.open(cells), bar.high(cells), bar.low(cells), bar.close(cells)
        opened, high, low, close = read
        if opened is None or high is None or low is None or close is None:
            return None
        opened, high, low, close = checked_bar(opened, high, low, close)
        if parts.adjusted is not None:
            adjusted = parts.adjusted(cells)
            if adjusted is None:
                return None
            check_price(adjusted)
            ratio = adjusted / close
            opened, high, low, close = opened * ratio, high * ratio, low * ratio, adjusted
        return opened, high, low, close, *_quotes(parts, cells, close)

    return prices


def _mids_of_bars(parts: Parts) -> Callable[[Cells], _Prices | None]:
    bids, asks = parts.bid_bar, parts.ask_bar
    assert bids is not None
    assert asks is not None

    def prices(cells: Cells) -> _Prices | None:
        lower = [number(cells) for number in bids]
        upper = [number(cells) for number in asks]
        mids = [(a + b) / 2 for a, b in zip(lower, upper, strict=True) if a and b and 0 < a <= b]
        return (*checked_bar(*mids), lower[3], upper[3]) if len(mids) == 4 else None

    return prices


def quote_reader(parts: Parts) -> ReadRow:
    """A reader of quotes: the mid is the price, where there is one."""
    bid_of, ask_of = parts.bid, parts.ask
    assert bid_of is not None
    assert ask_of is not None

    def read(cells: Cells) -> Row | None:
        time, event_time = parts.times(cells)
        symbol, native = parts.symbol(cells)
        bid, ask = bid_of(cells), ask_of(cells)
        if parts.carried:
            before = parts.carried_quotes.get(symbol, (None, None))
            bid, ask = before[0] if bid is None else bid, before[1] if ask is None else ask
            parts.carried_quotes[symbol] = bid, ask
        if not bid or not ask or bid < 0:
            parts.left_out[f"{NO_MID}: bid or ask is missing"] += 1
            return None
        mid = (bid + ask) / 2
        if bid > ask:
            parts.left_out[f"{NO_MID}: the bid is above the ask"] += 1
            return None
        usual = parts.spreads.get(symbol) or parts.spreads.get("", math.inf)
        if usual and ask - bid >= WIDEST * usual * mid:
            parts.left_out[f"{NO_MID}: the spread is {WIDEST:g} times its median or more"] += 1
            return None
        return Row(time, symbol, mid, None, parts.count(cells, 1), mid, mid, mid, bid, ask, native, event_time,
                   parts.sequence(cells), None, ("mid",))  # fmt: skip

    return read


def _quotes(parts: Parts, cells: Cells, price: float) -> tuple[float | None, float | None]:
    """Bid and ask beside a price; a quote that is 0 is none. The row is kept where one cannot be used."""
    if parts.bid is None and parts.ask is None:
        return None, None
    return sound_quotes(price, _quote(parts, parts.bid, cells), _quote(parts, parts.ask, cells), parts.doubt)


def _quote(parts: Parts, number: Number | None, cells: Cells) -> float | None:
    try:
        return (number(cells) or None) if number is not None else None
    except BadRow as error:
        parts.doubt(InvalidMessage(error.reason, error.detail))
        return None


def check_price(price: float) -> None:
    """Raises BadRow for a price that is not above 0."""
    if price <= 0:
        raise BadRow("price", f"{price} is not above 0")


def checked_bar(opened: float, high: float, low: float, close: float) -> tuple[float, float, float, float]:
    """The prices of a bar, its high and low widened where they were rounded. Raises BadRow if they contradict."""
    if low <= 0:
        raise BadRow("low", f"{low} is not above 0")
    top, bottom = max(opened, close), min(opened, close)
    if high < low or top > high * (1 + _ROUNDED) or bottom < low * (1 - _ROUNDED):
        raise BadRow("range", f"open {opened} and close {close} do not lie within low {low} and high {high}")
    return opened, max(high, top), min(low, bottom), close


class Symbols:
    """Brings the spellings of a file to the suite's form. Two spellings of one symbol are not mixed."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str | None]] = {}
        self._spelled: dict[str, str] = {}

    def read(self, text: str) -> tuple[str, str | None]:
        """The symbol, and its spelling where that is another. Raises BadRow."""
        known = self._known.get(text)
        return known if known is not None else self._learn(text)

    def _learn(self, text: str) -> tuple[str, str | None]:
        try:
            symbol, native = keys.symbol_of(text), text.strip()
        except InvalidName as error:
            raise BadRow("symbol", str(error)) from None
        first = self._spelled.setdefault(symbol, native)
        if first != native:
            raise BadRow("native", f"{shown(native)} and {shown(first)} are both {symbol}, so this one is left out")
        self._known[text] = symbol, None if native == symbol else native
        return self._known[text]


def correction_of(cell: str) -> str:
    """Why a row with this correction is left out; empty for a print as it was sent, even if it was corrected
    later."""
    code = cell.strip().upper()
    if code in CANCELLED:
        return "cancels"
    return "corrections" if code in CORRECTED else ""
