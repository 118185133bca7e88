"""What is understood of whole tables: kind, price, publication, what is left out, and what is refused."""

import pytest

from cottage.errors import UnusableSource
from cottage.files.table import Ambiguous
from tests.cottage.files.understood import Cells, read, rows_of, understood

MINUTE = 60_000_000
START = 1_735_689_600  # 2025-01-01 00:00 UTC

BARS = "".join(f"{START + 60 * at},{100 + at},{102 + at},{99 + at},{101 + at},{10 + at}\n" for at in range(12))


def test_a_bar_is_published_at_its_end() -> None:
    found, rows, _ = read(Cells(BARS, "time,open,high,low,close,volume"))
    assert (found.kind, found.stamped, found.bar_length) == ("bars", "open", MINUTE)
    assert rows[0].time == (START + 60) * 1_000_000
    assert rows[0].interval == MINUTE
    assert found.stamp(rows[0]) == START * 1_000_000
    assert (rows[0].open, rows[0].high, rows[0].low, rows[0].price, rows[0].volume) == (100, 102, 99, 101, 10)


def test_a_bar_that_is_stamped_with_its_close_is_published_then() -> None:
    found, rows, _ = read(Cells(BARS, "time,open,high,low,close,volume"), stamp="close")
    assert rows[0].time == found.stamp(rows[0]) == START * 1_000_000


def test_trades_by_the_names_of_columns() -> None:
    found, rows, bad = read(Cells(f"{START},BTC/USD,buy,7,100.5,2\n{START + 1},BTC/USD,sell,8,100.25,1\n",
                                  "timestamp,symbol,side,id,price,amount"))  # fmt: skip
    assert (found.kind, found.symbols_from, bad) == ("trades", "column symbol", [])
    assert [(row.symbol, row.native, row.price, row.volume, row.trades, row.sequence) for row in rows] == [
        ("BTC-USD", "BTC/USD", 100.5, 2.0, 1, 7),
        ("BTC-USD", "BTC/USD", 100.25, 1.0, 1, 8),
    ]


def test_the_mid_is_the_price_of_quotes_and_a_wide_or_crossed_one_is_none() -> None:
    text = "".join(f"{START + at},100,100.1\n" for at in range(20))
    text += f"{START + 30},100.2,100.1\n{START + 31},0,100.1\n{START + 32},90,110\n"
    found, rows, _ = read(Cells(text, "timestamp,bid,ask"))
    assert found.kind == "quotes"
    assert {(row.price, row.volume, row.notes) for row in rows} == {(100.05, None, ("mid",))}
    assert dict(found.left_out) == {
        "no mid: the bid is above the ask": 1,
        "no mid: bid or ask is missing": 1,
        "no mid: the spread is 20 times its median or more": 1,
    }


def test_rows_are_published_when_they_were_received() -> None:
    found, rows, _ = read(Cells(f"{START}.5,{START}.75,100,1\n{START + 1}.5,{START + 1}.75,101,1\n",
                                "timestamp,local_timestamp,price,amount"))  # fmt: skip
    assert (rows[0].time, rows[0].event_time) == (START * 1_000_000 + 750_000, START * 1_000_000 + 500_000)
    assert found.median_lag == 0.25
    exchange = rows_of(f"{START}.5,{START}.75,100,1\n", "timestamp,local_timestamp,price,amount", time="exchange")
    assert (exchange[0].time, exchange[0].event_time) == (START * 1_000_000 + 500_000, None)


def test_a_symbol_that_nothing_tells_is_asked_for() -> None:
    with pytest.raises(Ambiguous, match="SYMBOL="):
        understood(BARS, "time,open,high,low,close,volume", name="candles.csv")
    assert rows_of(BARS, "time,open,high,low,close,volume", name="candles.csv", symbol="ES")[0].symbol == "ES"


def test_names_that_tell_no_price_are_refused_with_the_first_row() -> None:
    with pytest.raises(UnusableSource, match=r"none of its columns \(time, magic\).*PRICE="):
        understood(f"{START},5\n", "time,magic")
    assert rows_of(f"{START},5\n", "time,magic", price="magic")[0].price == 5
