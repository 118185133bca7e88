import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cottage.files.meaning.understanding import Understanding
from cottage.files.rows import BadRow, Row
from tests.cottage.files.understood import understood

SEPTEMBER = 1_378_202_400_291_000  # 2013-09-03T10:00:00.291Z
TRADE = "timestamp,symbol,price,size"
BAR = "timestamp,symbol,open,high,low,close,volume"
QUOTED = f"{TRADE},bid,ask"


def trades(names: str = TRADE, more: str = "") -> Understanding:
    """What is understood of some ordinary trades."""
    return understood(
        "".join(f"{1_378_202_400 + second}.5,ES,10.25,{second + 1}{more}\n" for second in range(30)), names
    )


def row_of(found: Understanding, text: str) -> Row:
    row = found.row(1, text.split(","))
    assert row is not None
    return row


def test_a_trade() -> None:
    row = row_of(trades(), "1378202400.291,ES,1644.75,2")
    assert row == Row(SEPTEMBER, "ES", 1644.75, 2.0, 1, 1644.75, 1644.75, 1644.75, None, None)


def test_a_bar_counts_no_trades_and_its_price_is_its_close() -> None:
    bars = understood("".join(f"{1_378_202_400 + 60 * bar},ES,10,12,9,11,500\n" for bar in range(30)), BAR)
    row = row_of(bars, "1378202400.291,ES,10,12,9,11,500")
    assert row[1:10] == ("ES", 11.0, 500.0, None, 10.0, 12.0, 9.0, None, None)
    assert row.time == SEPTEMBER + 60_000_000
    for prices, reason in (
        ("10,9,8,9", "range"),
        ("10,12,11,11", "range"),
        ("10,12,9,13", "range"),
        ("10,12,0,11", "low"),
    ):
        with pytest.raises(BadRow) as bad:
            bars.row(1, ["1378202400", "ES", *prices.split(","), "500"])
        assert bad.value.reason == reason


def test_columns_in_any_order_and_case_with_others_between() -> None:
    names = "Exchange,SIZE, Price,Symbol,Timestamp ,bid,ask"
    found = understood("CME,2,1644.75,ES,1378202400.291,1644.5,\n" * 3, names)
    row = row_of(found, "CME,2,1644.75,ES,1378202400.291,1644.5,")
    assert (row.symbol, row.price, row.volume, row.bid, row.ask) == ("ES", 1644.75, 2.0, 1644.5, None)


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
    row = row_of(trades(), f"1378202400.5,{text},1.5,1")
    assert (row.symbol, row.native) == (symbol, native)


def test_two_spellings_of_one_symbol_are_not_mixed() -> None:
    found = trades()
    assert row_of(found, "1378202400.5,BRK/B,1.5,1").native == "BRK/B"
    with pytest.raises(BadRow, match=r"native: 'BRK-B' and 'BRK/B' are both BRK-B"):
        found.row(1, ["1378202400.5", "BRK-B", "1.5", "1"])
    assert row_of(found, "1378202400.5,BRK/B,1.5,1").symbol == "BRK-B"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (["1378202400", "ES", "10"], "fields"),
        (["x", "ES", "10", "1"], "timestamp"),
        (["1378202400", "e\x1bs", "10", "1"], "symbol"),
        (["1378202400", "", "10", "1"], "symbol"),
        (["1378202400", "A" * 65, "10", "1"], "symbol"),
        (["1378202400", "ES", "ten", "1"], "price"),
        (["1378202400", "ES", "0", "1"], "price"),
        (["1378202400", "ES", "-10", "1"], "price"),
        (["1378202400", "ES", "1e-999", "1"], "price"),
        (["1378202400", "ES", "10", "-1"], "size"),
        (["1378202400", "ES", "10", "1e300"], "size"),
    ],
)
def test_a_bad_trade(fields: list[str], reason: str) -> None:
    with pytest.raises(BadRow) as bad:
        trades().row(1, fields)
    assert bad.value.reason == reason


@pytest.mark.parametrize(
    ("bid", "ask", "sound", "doubtful"),
    [
        ("9.99", "10.01", (9.99, 10.01), []),
        ("x", "11", (None, 11.0), ["bid"]),
        ("-1", "11", (None, 11.0), ["bid"]),
        ("11", "10", (None, None), ["bid", "ask"]),
        ("0.01", "200000", (None, None), ["bid", "ask"]),
        ("", " ", (None, None), []),
    ],
)
def test_a_doubtful_quote_is_left_out_and_its_trade_is_kept(
    bid: str, ask: str, sound: tuple[float | None, float | None], doubtful: list[str]
) -> None:
    found = trades(QUOTED, ",10.2,10.3")
    row = row_of(found, f"1378202400.5,ES,10.0,1,{bid},{ask}")
    assert (row.price, row.volume, row.bid, row.ask) == (10.0, 1.0, *sound)
    assert sorted(found.doubtful.elements()) == sorted(doubtful)


@given(st.tuples(*[st.text() | st.sampled_from(["1", "ES", "10.5", "1e18", "2e18", "nan", "-0"])] * 4))
def test_nothing_else_than_a_row_or_a_bad_row(fields: tuple[str, ...]) -> None:
    try:
        row = TRADES.row(1, fields)
    except BadRow:
        return
    if row is None:
        assert sum(TRADES.left_out.values())
        return
    assert row.price > 0
    assert row.volume is None or math.isfinite(row.price + row.volume)


TRADES = trades()
