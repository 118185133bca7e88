"""Market snapshots: what a feed reports about one symbol, stored as the hash `market:snapshot:{SYMBOL}`."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

import orjson

from cottage import keys, notes
from cottage.clock import FUTURE_SECONDS, LATEST_SECONDS
from cottage.errors import InvalidMessage, InvalidName
from cottage.plain_numbers import LONGEST, not_a_number, not_a_time, too_far

UNKNOWN_SOURCE = "unknown"
LONGEST_NUMBER = LONGEST
NUMERALS = b"+-.0123456789Ee"
"""What a number may be written with; there may be blanks around it."""
_NUMERALS_TEXT = NUMERALS.decode()
_LONGEST_PADDED = 1024

REPORTED_FIELDS = ("price", "timestamp", "volume", "trades", "source", "session", "notes")
"""What a feed reports of a sample."""
MARKET_FIELDS = ("event_time", "interval", "tick", "received")
"""What a feed may say of its market: its own time, the length of a bar, the grid of its prices; and when it received
the sample."""
QUOTES = ("bid", "ask")
SAMPLE_FIELDS = (*REPORTED_FIELDS, "feed", "rival", "native", *MARKET_FIELDS, *QUOTES, "fill")
"""What the physics reads of a snapshot: also who has written it, who else would like to, its venue's spelling, and
the number of its sample in `market:fill:{SYMBOL}`."""
RawSample = Sequence[str | bytes | None]
"""The SAMPLE_FIELDS of a hash, None where there is none."""

STAMP_FIELDS = ("price", "timestamp", "volume", "trades")
"""From these numbers are computed. By these, its stamp, a stranger's write of a hash is told from its owner's."""
OPTIONAL_FIELDS = (*QUOTES, "open", "high", "low")
_MOVING_FIELDS = (*STAMP_FIELDS, *QUOTES, "event_time", "received")
TIMES = ("event_time", "received")
"""Those of the fields that are times; without them a snapshot has only its `timestamp`."""
_STANDING_FIELDS = ("source", "session", "notes", "open", "high", "low", "native", "interval", "tick")

EXACT_BELOW = 2.0**53
"""Up to here a float holds every whole number."""
FAR = 5.0
"""A quote is far from a price if one is more than so many times the other."""
MOST_FILL = 1000
"""So many samples are handed over at most with one snapshot: a window of the default length holds no more."""
LONGEST_MARK = 32
"""Characters of a session's mark, or of a source."""

OnDoubt = Callable[[InvalidMessage], None]
"""A callback for each field that is left out while the snapshot is used; the error's reason is the field's name."""


def _ignore(_error: InvalidMessage) -> None:
    """The default for `on_doubt`, which does nothing."""


def sound_quotes(
    price: float, bid: float | None, ask: float | None, on_doubt: OnDoubt = _ignore
) -> tuple[float | None, float | None]:
    """The bid and ask that can be true beside a trade's price; None for one that is not known or is left out.

    A quote is doubtful if it is not above 0 or far from the price, and both are if the bid is above the ask. What is
    written to Redis or read from it goes through here, and so do the rows of recordings.
    """
    bid, ask = _near(price, bid, "bid", on_doubt), _near(price, ask, "ask", on_doubt)
    if bid is not None and ask is not None and bid > ask:
        for name in ("bid", "ask"):
            on_doubt(InvalidMessage(name, f"the bid {bid!r} is above the ask {ask!r}"))
        return None, None
    return bid, ask


def _near(price: float, quote: float | None, name: str, on_doubt: OnDoubt) -> float | None:
    if quote is None or (quote > 0 and price / FAR <= quote <= price * FAR):
        return quote
    on_doubt(InvalidMessage(name, f"{quote!r} is not above 0, or far from the price {price!r}"))
    return None


@dataclass(frozen=True, slots=True)
class MarketSnapshot:
    """What a feed reports about one symbol now."""

    symbol: str
    """The symbol. MarketSnapshots.write also takes a venue's own spelling here, and makes `symbol_of` of it."""
    price: float
    """The price of the last trade, above 0. All prices are in the market's currency."""
    timestamp: float
    """The time in seconds since 1970, with a fraction."""
    volume: float | None = None
    """Shares, contracts or coins, cumulative over the session; None if it is not known."""
    trades: float | None = None
    """Number of trades, cumulative over the session; None if it is not known."""
    source: str = UNKNOWN_SOURCE
    """The feed: `simulate`, `replay`, `live`, or a feed's own name."""
    bid: float | None = None
    ask: float | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None
    session: str | None = None
    """A mark that is another one in another session, such as its date: `volume` and `trades` begin anew then."""
    notes: tuple[str, ...] = ()
    """What the feed has to say of this sample, in words of cottage/notes.py or its own."""
    native: str | None = None
    """The symbol as the venue spells it, where that differs; two of one symbol are never mixed."""
    event_time: float | None = None
    """The market's own time, in seconds since 1970, by which returns are spaced; None where it is `timestamp`."""
    interval: float | None = None
    """How many seconds a bar lasts, above 0, of a feed whose samples are bars."""
    tick: float | None = None
    """The step of the grid on which prices lie, above 0."""
    received: float | None = None
    """When the feed's program received the sample, in seconds since 1970, where it knows that."""
    number: int | None = None
    """The number of this sample in `market:fill:{SYMBOL}`, of a feed that has a `fill` and counts by itself: one that
    it leaves out is lost. None: MarketSnapshots counts."""
    fill: "tuple[MarketSnapshot, ...] | None" = None
    """Of a feed that samples by event time and may run faster than its readers: the samples between the snapshot
    before and this one, in order, MOST_FILL at most. None of any other feed."""

    def following(self, earlier: "MarketSnapshot | None") -> "MarketSnapshot":
        """The same, if it replaces `earlier`, if there is one, before anybody has read that."""
        if self.fill is None or earlier is None or earlier.fill is None:
            return self
        fill = (*earlier.fill, replace(earlier, fill=None), *self.fill)
        return replace(self, fill=fill[-MOST_FILL:])

    def named(self) -> "MarketSnapshot":
        """The same, with a symbol made of `symbol` where that is a venue's spelling. Raises InvalidName."""
        symbol = keys.symbol_of(self.symbol)
        spelling = self.symbol.strip() if self.native is None else self.native
        if parse_native(spelling) is None:
            raise InvalidName(f"bad native symbol of {symbol}: 1 to {keys.LONGEST_NATIVE} printable characters")
        native = None if spelling == symbol else spelling
        return self if (symbol, native) == (self.symbol, self.native) else replace(self, symbol=symbol, native=native)

    @property
    def spelling(self) -> str:
        """The symbol as its venue spells it."""
        return self.native or self.symbol

    def moving(self, on_doubt: OnDoubt = _ignore) -> dict[str, str | float]:
        """The fields of the hash that change from sample to sample, those that are known, price and timestamp first;
        quotes that are doubtful are left out."""
        bid, ask = sound_quotes(self.price, self.bid, self.ask, on_doubt)
        values = self.price, self.timestamp, self.volume, self.trades, bid, ask, self.event_time, self.received
        return {name: value for name, value in zip(_MOVING_FIELDS, values, strict=True) if value is not None}

    def element(self, number: int) -> bytes:
        """This sample, by its number, as it is handed over in `market:fill:{SYMBOL}`: in JSON, the fields that change
        from sample to sample, the session and the notes, named as in the hash."""
        session = {} if self.session is None else {"session": self.session}
        said = {"notes": " ".join(self.notes)} if self.notes else {}
        return orjson.dumps({"fill": number, **self.moving(), **session, **said})

    @property
    def standing(self) -> tuple[str | float | tuple[str, ...] | None, ...]:
        """The values of the other fields, which mostly stay."""
        ranges = self.open, self.high, self.low
        return self.source, self.session, self.notes, *ranges, self.native, self.interval, self.tick

    def to_hash(self, on_doubt: OnDoubt = _ignore) -> dict[str, str | float]:
        """The fields of the hash, those that are known; quotes that are doubtful are left out."""
        said = " ".join(self.notes) or None
        ranges = self.open, self.high, self.low
        values = self.source, self.session, said, *ranges, self.native, self.interval, self.tick
        standing = zip(_STANDING_FIELDS, values, strict=True)
        return self.moving(on_doubt) | {name: value for name, value in standing if value is not None}

    @classmethod
    def from_hash(
        cls, symbol: str, fields: Mapping[str, str], now: float, on_doubt: OnDoubt = _ignore
    ) -> "MarketSnapshot":
        """Check what a feed wrote. `now` is Redis's clock, in seconds since 1970.

        Raises InvalidSnapshot, which tells of all fields at fault. Quotes and MARKET_FIELDS that are no numbers or
        doubtful, and counters that are too great, are left out, since the price is good without them.
        """
        sample = parse_sample([fields.get(name) for name in SAMPLE_FIELDS], now)
        market = {name: optional(fields.get(name), name, on_doubt) for name in MARKET_FIELDS}
        counters = {name: _finite(getattr(sample, name), name, on_doubt) for name in ("volume", "trades")}
        quotes = {name: optional(fields.get(name), name, on_doubt) for name in OPTIONAL_FIELDS}
        quotes["bid"], quotes["ask"] = sound_quotes(sample.price, quotes["bid"], quotes["ask"], on_doubt)
        return cls(
            keys.symbol(symbol),
            sample.price,
            sample.timestamp,
            source=sample.source,
            session=sample.session,
            notes=tuple(notes.words(*sample.notes)),
            native=None if sample.native == symbol else sample.native,
            **counters,
            **quotes,
            **market,
            number=None,
            fill=None,
        )


class Sample(NamedTuple):
    """What the physics needs of a snapshot, checked."""

    price: float
    timestamp: float
    volume: float
    """nan where it is missing, inf where it is a whole number that is too great for a float to hold."""
    trades: float
    """As `volume`."""
    source: str
    session: str | None
    notes: tuple[int, tuple[str, ...]]
    """As `cottage.notes.parse` returns them."""
    feed: str | None
    """The ID of the feed; None for one that has none."""
    rival_until: float
    """Until when somebody else would like to write the symbol, in seconds since 1970, by Redis's clock; else 0."""
    native: str | None
    """The symbol as the feed says that its venue spells it."""
    event_time: float
    """The market's own time, in whole microseconds; `timestamp` where that is not stated."""
    interval: float
    """How many seconds a bar lasts; nan where that is not stated, as of `tick`."""
    tick: float
    """The step of the grid of prices."""
    received: float
    """When the feed's program received it, in seconds since 1970."""
    bid: float
    """nan where it is not stated or cannot be true beside the price, as of `ask`."""
    ask: float
    fill: int
    """The number of the sample in `market:fill:{SYMBOL}`, one more than that of the one before; 0 for none."""


class InvalidSnapshot(InvalidMessage):
    """A snapshot that cannot be used. Its reason is the first field at fault, and its text tells of all."""

    def __init__(self, faults: Sequence[InvalidMessage]) -> None:
        first, *others = faults
        super().__init__(first.reason, "; ".join([first.detail, *map(str, others)]))
        self.faults = tuple(faults)
        """What is wrong with each field; the reason is its name."""


def parse_sample(row: RawSample, now: float) -> Sample:
    """Check what a feed wrote, as far as the physics needs it. `now` is Redis's clock. Raises InvalidSnapshot."""
    try:
        return read_sample(row, now)
    except InvalidMessage as first:
        raise InvalidSnapshot(faults(row, now)) from first


def read_sample(row: RawSample, now: float) -> Sample:
    """The same, but raises InvalidMessage for the first field at fault, for callers that ask for all `faults`."""
    price, timestamp, volume, trades, source, session, words, feed, rival, native, *market, bid, ask, fill = row
    value, moment = _price(price), _timestamp(timestamp, now)
    counters = _count(volume, "volume"), _count(trades, "trades")
    mark, said, who = parse_session(session), notes.parse(words), parse_feed(feed)
    named, by, spelling = parse_source(source), parse_until(rival), parse_native(native)
    time, interval, tick, received = map(optional, market, MARKET_FIELDS)
    quotes = sound_quotes(value, optional(bid, "bid"), optional(ask, "ask"))
    market_says = moment if time is None else told_time(time), or_nan(interval), or_nan(tick), or_nan(received)
    beside = (*market_says, or_nan(quotes[0]), or_nan(quotes[1]))
    return Sample(value, moment, *counters, named, mark, said, who, by, spelling, *beside, parse_fill(fill))


def faults(row: RawSample, now: float) -> list[InvalidMessage]:
    """All that is wrong with what a feed wrote; nothing if it is a sample. `now` is Redis's clock."""
    price, timestamp, volume, trades, source, *_others = row
    found = []
    for check in (
        lambda: _price(price),
        lambda: _timestamp(timestamp, now),
        lambda: _count(volume, "volume"),
        lambda: _count(trades, "trades"),
        lambda: parse_source(source),
    ):
        try:
            check()
        except InvalidMessage as error:
            found.append(error.with_traceback(None))  # which would hold this frame, and it this list
    return found


def stamp(values: Sequence[bytes | None]) -> bytes:
    """The stamp of a hash with these STAMP_FIELDS, as a script writes it to `seen` (cottage/write_snapshots.lua)."""
    return b" ".join([value or b"" for value in values])


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
    if not (0 < len(text) <= LONGEST_MARK and text.isprintable()):
        raise InvalidMessage("source", "not 1 to 32 printable characters")
    return text


def parse_session(mark: str | bytes | None) -> str | None:
    """Parse the mark of a session; None if there is none that is 1 to 32 printable characters."""
    text = mark.decode(errors="replace") if isinstance(mark, bytes) else mark
    return text if text and len(text) <= LONGEST_MARK and text.isprintable() else None


def parse_feed(feed_id: str | bytes | None) -> str | None:
    """Parse the ID of a feed; None if there is none, or it is not one."""
    text = feed_id.decode(errors="replace") if isinstance(feed_id, bytes) else feed_id
    return text if keys.is_symbol(text) else None


def parse_native(native: str | bytes | None) -> str | None:
    """Parse a symbol as its venue spells it; None if there is none that is 1 to 64 printable characters."""
    if not native or len(native) > 4 * keys.LONGEST_NATIVE:
        return None
    return _native(native) if isinstance(native, bytes) else _native(native.encode(errors="replace"))


@lru_cache(2**14)
def _native(native: bytes) -> str | None:
    text = native.decode(errors="replace")
    return text if len(text) <= keys.LONGEST_NATIVE and text.isprintable() else None


def parse_fill(number: str | bytes | None) -> int:
    """Parse the number of a sample in `market:fill:{SYMBOL}`; 0 if there is none."""
    return int(number) if number and number.isdigit() and number.isascii() and len(number) <= 16 else 0


def parse_until(told: str | bytes | None) -> float:
    """Parse until when a symbol is owned, or a rival is to be believed: in seconds since 1970; 0 if there is none."""
    if not told:
        return 0.0
    until = (told if isinstance(told, bytes) else told.encode()).partition(b" ")[0]
    return int(until) / 1000 if until.isdigit() and len(until) <= 15 else 0.0


def _price(text: str | bytes | None) -> float:
    value = _number(text, "price")
    if value <= 0:
        raise InvalidMessage("price", f"{value!r} is not above 0, and only such prices have returns")
    return value


def _timestamp(text: str | bytes | None, now: float) -> float:
    moment = _number(text, "timestamp", not_a_time)
    if moment < 0:
        raise InvalidMessage("timestamp", f"{moment!r} lies before 1970")
    if moment > latest(now):
        where = f"{moment!r} lies more than {FUTURE_SECONDS:.0f} s ahead of Redis's clock"
        raise InvalidMessage("timestamp", where + too_far(moment, moment - now))
    return moment


def _number(text: str | bytes | None, name: str, advice: Callable[[str], str] = not_a_number) -> float:
    """Parse a finite number. `advice` tells of a text that is none what to write instead."""
    if text is None:
        raise InvalidMessage(name, "the hash has no field of this name: write it with HSET")
    if len(text) > _LONGEST_PADDED:
        raise InvalidMessage(name, f"not a number: it has {len(text)} characters")
    written = text if isinstance(text, str) else text.decode(errors="replace")
    bare = written.strip()
    # float() alone also takes "1_000", other scripts' digits, and a megabyte of them. Stripping stops at a
    # character that is none of a number's, so anything left means that there is one.
    if len(bare) > LONGEST_NUMBER or bare.strip(_NUMERALS_TEXT):
        raise InvalidMessage(name, advice(written))
    try:
        value = float(bare)
    except ValueError:
        raise InvalidMessage(name, advice(written)) from None
    if not math.isfinite(value):
        raise InvalidMessage(name, f"{bare!r} is not finite")
    return value


def _count(text: str | bytes | None, name: str) -> float:
    if text is None:
        return math.nan
    value = _number(text, name)
    if value < 0:
        raise InvalidMessage(name, f"{value!r} is negative")
    if value < EXACT_BELOW:
        return value
    # Digits that a program with floats would not have written either are lost: 9007199254740993 would be ...992.
    written = Decimal(text if isinstance(text, str) else text.decode())
    return value if written in (Decimal(value), Decimal(repr(value))) else math.inf


def _finite(value: float, name: str, on_doubt: OnDoubt) -> float | None:
    if math.isinf(value):
        on_doubt(InvalidMessage(name, "a whole number beyond 2^53 that a float does not hold"))
    return value if math.isfinite(value) else None


def told_time(event_time: float) -> float:
    """An event time as states tell it, in whole microseconds: numbers are computed by these, so that a record of
    states is enough to compute them again."""
    return round(event_time * 1e6) / 1e6


def or_nan(number: float | None) -> float:
    """The number, nan for none."""
    return math.nan if number is None else number


def optional(text: str | bytes | None, name: str, on_doubt: OnDoubt = _ignore) -> float | None:
    """The number of one of OPTIONAL_FIELDS or MARKET_FIELDS; None where it is missing, or left out as doubtful."""
    if text is None:
        return None
    try:
        return _moment(text, name) if name in TIMES else _above_zero(text, name)
    except InvalidMessage as error:
        on_doubt(error.with_traceback(None))
        return None


def _moment(text: str | bytes, name: str) -> float:
    moment = _number(text, name, not_a_time)
    if not 0 <= moment <= LATEST_SECONDS:
        where = f"{moment!r} does not lie between 1970 and 9999"
        raise InvalidMessage(name, where + too_far(moment, math.inf))
    return moment


def _above_zero(text: str | bytes, name: str) -> float:
    value = _number(text, name)
    if value <= 0:
        raise InvalidMessage(name, f"{value!r} is not above 0")
    return value
