import contextlib
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cottage.clock import LATEST_SECONDS
from cottage.errors import InvalidMessage, InvalidName
from cottage.notes import BITS, NOTES
from cottage.snapshot import SAMPLE_FIELDS, InvalidSnapshot, MarketSnapshot, Sample, parse_sample, sound_quotes

NOW = 1_766_318_400.0
GOOD = {"price": "450.32", "timestamp": "1766318399.5"}


def as_text(snapshot: MarketSnapshot) -> dict[str, str]:
    return {name: str(value) for name, value in snapshot.to_hash().items()}


def test_price_and_timestamp_are_enough() -> None:
    assert MarketSnapshot.from_hash("SPY", GOOD, NOW) == MarketSnapshot("SPY", 450.32, 1766318399.5)
    assert MarketSnapshot.from_hash("SPY", GOOD, NOW).source == "unknown"


def test_a_field_that_is_not_known_is_not_written() -> None:
    assert MarketSnapshot("SPY", 1.0, 2.0, bid=0.5).to_hash() == {
        "price": 1.0,
        "timestamp": 2.0,
        "source": "unknown",
        "bid": 0.5,
    }


_prices = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
_amounts = st.none() | st.floats(min_value=0, allow_infinity=False)
_quotes = st.none() | st.floats(allow_nan=False, allow_infinity=False)
_ranges = st.none() | st.floats(0, exclude_min=True, allow_infinity=False)
_notes = st.lists(st.sampled_from([*NOTES, "a_word_of_the_feed"]), unique=True, max_size=8)
_words = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=32)


@given(
    st.builds(
        MarketSnapshot,
        st.just("SPY"),
        _prices,
        st.floats(0, NOW + 60),
        _amounts,
        _amounts,
        _words,
        _quotes,
        _quotes,
        _ranges,
        _ranges,
        _ranges,
        st.none() | _words,
        _notes.map(lambda words: tuple(sorted(words, key=[*NOTES, "a_word_of_the_feed"].index))),
        st.none(),
        st.none() | st.floats(0, LATEST_SECONDS),
        _ranges,
        _ranges,
    )
)
def test_what_was_written_is_read_to_the_last_bit(snapshot: MarketSnapshot) -> None:
    bid, ask = sound_quotes(snapshot.price, snapshot.bid, snapshot.ask)
    assert MarketSnapshot.from_hash("SPY", as_text(snapshot), NOW) == replace(snapshot, bid=bid, ask=ask)


NO_NUMBERS = [
    "",
    "abc",
    "nan",
    "inf",
    "-inf",
    "Infinity",
    "1_000",
    " ",
    "1 2",
    "1,5",
    "0x10",
    "1e999",
    "٣",
    "1" * 5000,
]


@pytest.mark.parametrize(
    ("field", "text"),
    [
        *[(field, text) for field in ("price", "timestamp", "volume", "trades") for text in NO_NUMBERS],
        *[("price", text) for text in ("0", "-0.0", "-1", "1e-999")],
        *[("timestamp", text) for text in ("-1", str(NOW + 60.1), "1e300")],
        *[(field, text) for field in ("volume", "trades") for text in ("-1", "-1e-9")],
        *[("source", text) for text in ("", "x" * 33, "a\nb", "\x1b[31m", "a\x00")],
    ],
)
def test_a_bad_value_is_refused_by_its_fields_name(field: str, text: str) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        MarketSnapshot.from_hash("SPY", {**GOOD, field: text}, NOW)
    assert refusal.value.reason == field
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("blanks", [" ", "\t", "\r\n", "\N{NO-BREAK SPACE}", "   "])
def test_blanks_around_a_number_are_none_of_it(blanks: str) -> None:
    padded = {name: f"{blanks}{text}{blanks}" for name, text in {**GOOD, "volume": "7", "bid": "450.31"}.items()}
    snapshot = MarketSnapshot.from_hash("SPY", padded, NOW)
    assert (snapshot.price, snapshot.timestamp, snapshot.volume, snapshot.bid) == (450.32, NOW - 0.5, 7.0, 450.31)


def test_all_fields_at_fault_are_named_at_once() -> None:
    fields = {"price": "$1", "timestamp": str((NOW + 3600) * 1000), "volume": "None", "trades": "-1", "source": ""}
    with pytest.raises(InvalidSnapshot) as refusal:
        MarketSnapshot.from_hash("SPY", fields, NOW)
    assert [fault.reason for fault in refusal.value.faults] == ["price", "timestamp", "volume", "trades", "source"]
    assert refusal.value.reason == "price"
    assert all(fault.detail in str(refusal.value) for fault in refusal.value.faults)


@pytest.mark.parametrize(
    ("field", "text", "advice"),
    [
        ("price", "1,234.5", "without thousands separators write 1234.5"),
        ("price", "$450.32", "without a currency write 450.32"),
        ("volume", "None", "leave the field out"),
        ("price", "-37.63", "not above 0"),
        ("timestamp", str(int(NOW * 1e3)), "it looks like milliseconds: divide by 1,000"),
        ("timestamp", str(int(NOW * 1e6)), "it looks like microseconds: divide by 1,000,000"),
        ("timestamp", str(int(NOW * 1e9)), "it looks like nanoseconds: divide by 1,000,000,000"),
        ("timestamp", "2025-12-21T12:00:00Z", "is a date: write the seconds since 1970, 1766318400"),
        ("timestamp", str(NOW + 2 * 3600), "it looks like local time"),
    ],
)
def test_a_refusal_says_what_to_write(field: str, text: str, advice: str) -> None:
    with pytest.raises(InvalidSnapshot) as refusal:
        MarketSnapshot.from_hash("SPY", {**GOOD, field: text}, NOW)
    (fault,) = refusal.value.faults
    assert (fault.reason, advice in fault.detail) == (field, True), fault.detail


@pytest.mark.parametrize("field", ["price", "timestamp"])
def test_what_is_required_is_missed(field: str) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        MarketSnapshot.from_hash("SPY", {name: text for name, text in GOOD.items() if name != field}, NOW)
    assert refusal.value.reason == field


def test_a_minute_ahead_of_redis_is_the_limit() -> None:
    assert MarketSnapshot.from_hash("SPY", {**GOOD, "timestamp": str(NOW + 60)}, NOW).timestamp == NOW + 60


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_a_quote_that_is_no_number_is_left_out(text: str) -> None:
    snapshot = MarketSnapshot.from_hash("SPY", {**GOOD, "bid": text, "ask": "450.33"}, NOW)
    assert (snapshot.bid, snapshot.ask) == (None, 450.33)


def test_fields_of_others_are_ignored() -> None:
    assert MarketSnapshot.from_hash("SPY", {**GOOD, "mood": "calm"}, NOW) == MarketSnapshot("SPY", 450.32, NOW - 0.5)


def test_a_bad_symbol_is_refused() -> None:
    with pytest.raises(InvalidName):
        MarketSnapshot.from_hash("spy", GOOD, NOW)


def test_a_sample_is_read_from_bytes_as_from_text() -> None:
    row = (
        "450.32",
        "1766318399.5",
        "7",
        "3",
        "replay",
        "2025-12-21",
        "late auction",
        "REPLAY",
        "1766318400500 host:1:x TWO",
        "BRK/B",
        "1381143600.25",
        "60",
        "0.25",
        "1381143600.5",
        "450.31",
        "450.33",
        "4711",
    )
    sample = Sample(
        450.32,
        1766318399.5,
        7.0,
        3.0,
        "replay",
        "2025-12-21",
        (BITS["auction"], ("late",)),
        "REPLAY",
        NOW + 0.5,
        "BRK/B",
        1381143600.25,
        60.0,
        0.25,
        1381143600.5,
        450.31,
        450.33,
        4711,
    )
    assert parse_sample(row, NOW) == sample
    assert parse_sample([None if text is None else text.encode() for text in row], NOW) == sample


@pytest.mark.parametrize("told", [b"", b"soon x", b"-1 x", b"1e9 x", b"9" * 1000, "٣ x".encode(), b" 1 x"])
def test_a_rival_that_cannot_be_read_is_none(told: bytes) -> None:
    assert parse_sample((b"1", b"1", *[None] * 6, told, *[None] * 8), NOW).rival_until == 0.0


@pytest.mark.parametrize("feed", [b"", b"myfeed", b"MY FEED", b"F" * 1000, b"\xff"])
def test_a_feed_that_is_no_id_is_none(feed: bytes) -> None:
    assert parse_sample((b"1", b"1", *[None] * 5, feed, *[None] * 9), NOW).feed is None


def test_a_source_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidMessage) as refusal:
        parse_sample((b"1", b"1", None, None, b"\xff\xfe\x00", *[None] * 12), NOW)
    assert refusal.value.reason == "source"


_values = st.none() | st.text() | st.binary() | st.floats().map(str) | st.integers().map(str)


@given(st.tuples(*[_values] * len(SAMPLE_FIELDS)), st.floats(0, 1e11))
def test_any_row_is_a_sound_sample_or_refused(row: Any, now: float) -> None:
    with contextlib.suppress(InvalidMessage):
        sample = parse_sample(row, now)
        assert all(math.isfinite(value) and value >= 0 for value in sample[:2])
        assert not any(value < 0 for value in sample[2:4])  # nan is unknown, inf too great
        assert sample.price > 0
        assert sample.timestamp <= now + 60
        assert sample.source.isprintable()


@pytest.mark.parametrize(
    ("price", "bid", "ask", "sound", "doubtful"),
    [
        (450.0, 449.99, 450.01, (449.99, 450.01), []),
        (450.0, 450.0, 450.0, (450.0, 450.0), []),
        (0.05, 0.01, 0.10, (0.01, 0.10), []),
        (450.0, None, 450.01, (None, 450.01), []),
        (450.0, -5.0, 450.01, (None, 450.01), ["bid"]),
        (450.0, 0.0, 0.0, (None, None), ["bid", "ask"]),
        (450.0, 450.02, 450.01, (None, None), ["bid", "ask"]),
        (450.0, 0.01, 200_000.0, (None, None), ["bid", "ask"]),
        (450.0, 449.99, 4500.1, (449.99, None), ["ask"]),
        (450.0, 45.0, 450.01, (None, 450.01), ["bid"]),
        (450.0, math.nan, math.inf, (None, None), ["bid", "ask"]),
        (5e-324, 5e-324, 0.0, (5e-324, None), ["ask"]),
        (1e308, 1e308, 1.5e308, (1e308, 1.5e308), []),
    ],
)
def test_a_doubtful_quote_is_left_out_and_the_trade_is_kept(
    price: float, bid: float | None, ask: float | None, sound: tuple[float | None, ...], doubtful: list[str]
) -> None:
    doubts: list[InvalidMessage] = []
    assert sound_quotes(price, bid, ask, doubts.append) == sound
    assert [doubt.reason for doubt in doubts] == doubtful
    # Whoever writes with this library writes no such quote, and who reads one that somebody wrote does not get it.
    written = MarketSnapshot("SPY", price, NOW, bid=bid, ask=ask).to_hash()
    assert (written["price"], written.get("bid"), written.get("ask")) == (price, *sound)
    quotes = {"bid": bid, "ask": ask}
    fields = (
        GOOD | {"price": repr(price)} | {name: repr(quote) for name, quote in quotes.items() if quote is not None}
    )
    doubts.clear()
    read = MarketSnapshot.from_hash("SPY", fields, NOW, doubts.append)
    assert (read.price, read.bid, read.ask) == (price, *sound)
    assert sorted(doubt.reason for doubt in doubts) == sorted(doubtful)


@pytest.mark.parametrize("field", ["volume", "trades"])
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9007199254740991", 2.0**53 - 1),
        ("9007199254740992", 2.0**53),
        ("9007199254740993", None),
        ("+9007199254740993.0", None),
        ("9007199254740994", 2.0**53 + 2),
        ("123456789012345678901", None),
        ("18446744073709551616", 2.0**64),
        ("1e300", 1e300),
        ("1.2345678901234568e+20", 1.2345678901234568e20),
    ],
)
def test_a_whole_number_that_a_float_cannot_hold_is_not_known(field: str, text: str, value: float | None) -> None:
    doubts: list[InvalidMessage] = []
    snapshot = MarketSnapshot.from_hash("SPY", {**GOOD, field: text}, NOW, doubts.append)
    assert (getattr(snapshot, field), snapshot.price) == (value, 450.32)
    assert [doubt.reason for doubt in doubts] == ([field] if value is None else [])


@pytest.mark.parametrize("mark", ["", "x" * 33, "a\nb", "\x1b[31m"])
def test_a_session_s_mark_that_is_none_is_left_out(mark: str) -> None:
    assert MarketSnapshot.from_hash("SPY", {**GOOD, "session": mark}, NOW).session is None
    assert MarketSnapshot.from_hash("SPY", {**GOOD, "session": "2025-12-21"}, NOW).session == "2025-12-21"


@pytest.mark.parametrize("field", ["bid", "ask", "open", "high", "low", "interval", "tick"])
@pytest.mark.parametrize("text", ["-5", "0", "nan", "x"])
def test_a_number_beside_the_price_is_above_0_or_left_out(field: str, text: str) -> None:
    doubts: list[InvalidMessage] = []
    snapshot = MarketSnapshot.from_hash("SPY", {**GOOD, field: text}, NOW, doubts.append)
    assert (snapshot.price, getattr(snapshot, field)) == (450.32, None)
    assert [doubt.reason for doubt in doubts] == [field]


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("-1", "between 1970 and 9999"),
        ("1381143600250", "it looks like milliseconds: divide by 1,000"),
        ("2013-10-07T11:00:00Z", "write the seconds since 1970, 1381143600"),
        ("1e999", "not finite"),
    ],
)
def test_an_event_time_that_is_none_is_left_out_and_said(text: str, advice: str) -> None:
    doubts: list[InvalidMessage] = []
    snapshot = MarketSnapshot.from_hash("SPY", {**GOOD, "event_time": text}, NOW, doubts.append)
    assert (snapshot.price, snapshot.event_time) == (450.32, None)
    assert [(doubt.reason, advice in doubt.detail) for doubt in doubts] == [("event_time", True)], doubts


def test_an_event_time_may_be_of_any_year() -> None:
    assert MarketSnapshot.from_hash("SPY", {**GOOD, "event_time": "0"}, NOW).event_time == 0.0
    assert MarketSnapshot.from_hash("SPY", {**GOOD, "event_time": str(NOW + 1e9)}, NOW).event_time == NOW + 1e9
