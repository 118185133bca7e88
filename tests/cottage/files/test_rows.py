import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cottage.errors import InvalidMessage, UnusableSource
from cottage.files.rows import BadRow, Columns, Row, micros, number

TRADES = Columns(["timestamp", "symbol", "price", "size"])
BARS = Columns(["timestamp", "symbol", "open", "high", "low", "close", "volume"])
SEPTEMBER = 1_378_202_400_291_000  # 2013-09-03T10:00:00.291Z


@pytest.mark.parametrize(
    "text",
    [
        "2013-09-03T10:00:00.291Z",
        "2013-09-03 10:00:00.291",
        " 2013-09-03T10:00:00.291+00:00 ",
        "2013-09-03T12:00:00.291+02:00",
        "2013-09-03T05:30:00.291000-04:30",
        "1378202400.291",
        "1378202400291",
        "1378202400291.0",
        "1378202400291000",
        "1378202400291000000",
        "1.378202400291e9",
    ],
)
def test_one_moment_in_many_forms(text: str) -> None:
    assert micros(text) == SEPTEMBER


def test_microseconds_survive() -> None:
    assert micros("2013-09-03T10:00:00.291457Z") == SEPTEMBER + 457
    assert micros("1378202400.291457") == SEPTEMBER + 457


def test_a_date_is_its_midnight_also_without_dashes() -> None:
    assert micros("2013-09-03") == micros("20130903") == micros("2013-09-03T00:00:00Z")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "nan",
        "inf",
        "-1",
        "-1378202400",
        "1e999999",
        "1e20",
        "2013-13-03",
        "10:00",
        "1_378_202_400",
        "1969-12-31",
    ],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(BadRow) as bad:
        micros(text)
    assert bad.value.reason == "timestamp"


@pytest.mark.parametrize("text", ["", "nan", "inf", "-Infinity", "1_000", "0x10", "1,5", "١٢", "1e999", "--1", "1 2"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(BadRow) as bad:
        number(text, "price")
    assert bad.value.reason == "price"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_that_python_prints_is_a_number(value: float) -> None:
    assert number(repr(value), "price") == value


def test_a_trade() -> None:
    row = TRADES.parse(["2013-09-03T10:00:00.291Z", "ES", "1644.75", "2"])
    assert row == Row(SEPTEMBER, "ES", 1644.75, 2.0, 1, 1644.75, 1644.75, 1644.75, None, None)


def test_a_bar_counts_no_trades_and_its_price_is_its_close() -> None:
    row = BARS.parse(["1378202400.291", "ES", "10", "12", "9", "11", "500"])
    assert row == Row(SEPTEMBER, "ES", 11.0, 500.0, None, 10.0, 12.0, 9.0, None, None)


def test_columns_in_any_order_and_case_with_others_between() -> None:
    columns = Columns(["Exchange", "SIZE", " Price", "Symbol", "Timestamp ", "bid", "ask"])
    row = columns.parse(["CME", "2", "1644.75", "ES", "1378202400.291", "1644.5", ""])
    assert (row.symbol, row.price, row.volume, row.bid, row.ask) == ("ES", 1644.75, 2.0, 1644.5, None)


def test_trades_where_a_file_could_be_both() -> None:
    assert Columns(["timestamp", "symbol", "open", "high", "low", "close", "volume", "price", "size"]).are_trades


@pytest.mark.parametrize(
    ("header", "word"),
    [
        ("timestamp,price,size", "symbol"),
        ("symbol,price,size", "timestamp"),
        ("timestamp,symbol,price", "size"),
        ("timestamp,symbol,open,high,low,close", "volume"),
        ("timestamp,symbol,price,size,Price", "price is there 2 times"),
        ("timestamp;symbol;price;size", "timestamp;symbol"),
    ],
)
def test_missing_and_doubled_columns(header: str, word: str) -> None:
    with pytest.raises(UnusableSource, match=word):
        Columns(header.split(","))


@pytest.mark.parametrize(
    ("text", "symbol", "native"),
    [
        ("BTC/USD", "BTC-USD", "BTC/USD"),
        (" BRK.B ", "BRK.B", None),
        ("6E", "6E", None),
        (" es ", "ES", "es"),
        ("AAPL  240119C00150000", "AAPL_240119C00150000", "AAPL  240119C00150000"),
    ],
)
def test_symbols_as_venues_write_them(text: str, symbol: str, native: str | None) -> None:
    row = Columns(["timestamp", "symbol", "price", "size"]).parse(["0", text, "1", "1"])
    assert (row.symbol, row.native) == (symbol, native)


def test_two_spellings_of_one_symbol_are_not_mixed() -> None:
    columns = Columns(["timestamp", "symbol", "price", "size"])
    assert columns.parse(["0", "BRK/B", "1", "1"]).native == "BRK/B"
    with pytest.raises(BadRow, match=r"native: 'BRK-B' and 'BRK/B' are both BRK-B"):
        columns.parse(["1", "BRK-B", "1", "1"])
    assert columns.parse(["2", "BRK/B", "1", "1"]).symbol == "BRK-B"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (["1", "ES", "10"], "fields"),
        (["1", "ES", "10", "1", ""], "fields"),
        (["x", "ES", "10", "1"], "timestamp"),
        (["1", "e\x1bs", "10", "1"], "symbol"),
        (["1", "", "10", "1"], "symbol"),
        (["1", "A" * 65, "10", "1"], "symbol"),
        (["1", "ES", "ten", "1"], "price"),
        (["1", "ES", "0", "1"], "price"),
        (["1", "ES", "-10", "1"], "price"),
        (["1", "ES", "1e-999", "1"], "price"),
        (["1", "ES", "10", "-1"], "size"),
        (["1", "ES", "10", ""], "size"),
        (["1", "ES", "10", "1e300"], "size"),
    ],
)
def test_a_bad_trade(fields: list[str], reason: str) -> None:
    with pytest.raises(BadRow) as bad:
        TRADES.parse(fields)
    assert bad.value.reason == reason


@pytest.mark.parametrize(
    ("prices", "reason"),
    [
        (["10", "9", "8", "9"], "range"),
        (["10", "12", "11", "11"], "range"),
        (["10", "12", "9", "13"], "range"),
        (["10", "12", "0", "11"], "low"),
    ],
)
def test_a_bad_bar(prices: list[str], reason: str) -> None:
    with pytest.raises(BadRow) as bad:
        BARS.parse(["1", "ES", *prices, "500"])
    assert bad.value.reason == reason


@pytest.mark.parametrize(
    ("bid", "ask", "sound", "doubtful"),
    [
        ("9.99", "10.01", (9.99, 10.01), []),
        ("x", "11", (None, 11.0), ["bid"]),
        ("-1", "11", (None, 11.0), ["bid"]),
        ("0", "0", (None, None), ["bid", "ask"]),
        ("11", "10", (None, None), ["bid", "ask"]),
        ("0.01", "200000", (None, None), ["bid", "ask"]),
        ("1e999", "nan", (None, None), ["bid", "ask"]),
        ("", " ", (None, None), []),
    ],
)
def test_a_doubtful_quote_is_left_out_and_its_trade_is_kept(
    bid: str, ask: str, sound: tuple[float | None, float | None], doubtful: list[str]
) -> None:
    doubts: list[InvalidMessage] = []
    columns = Columns(["timestamp", "symbol", "price", "size", "bid", "ask"], doubts.append)
    row = columns.parse(["1", "ES", "10", "1", bid, ask])
    assert (row.price, row.volume, row.bid, row.ask) == (10.0, 1.0, *sound)
    assert [doubt.reason for doubt in doubts] == doubtful


def test_what_a_complaint_shows_is_short() -> None:
    with pytest.raises(BadRow) as bad:
        micros("x" * 10_000)
    assert len(str(bad.value)) < 200


@given(st.tuples(*[st.text() | st.sampled_from(["1", "ES", "10.5", "1e18", "2e18", "nan", "-0"])] * 4))
def test_nothing_else_than_a_row_or_a_bad_row(fields: tuple[str, ...]) -> None:
    try:
        row = TRADES.parse(fields)
    except BadRow:
        return
    assert row.price > 0
    assert math.isfinite(row.price + row.volume)
