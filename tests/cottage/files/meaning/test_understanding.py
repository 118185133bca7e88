"""What is understood of whole tables: kind, price, publication, what is left out, and what is refused."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from cottage.errors import UnusableSource
from cottage.files.cell_table import Ambiguous
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


@pytest.mark.parametrize("newest_first", [False, True])
def test_times_of_day_that_pass_midnight_need_a_date_in_their_rows(newest_first: bool) -> None:
    rows = [f"23:59:{at:02},SPY,{100 + at},3\n" for at in range(40, 60)]
    day = "SPY_2025-01-02_trades.csv"
    order = slice(None, None, -1) if newest_first else slice(None)
    assert understood("".join(rows[order]), "time,symbol,price,size", day).kind == "trades"
    over = [*rows, *(f"00:00:{at:02},SPY,{100 + at},3\n" for at in range(9))]
    with pytest.raises(UnusableSource, match=r"SPY_2025-01-02_trades\.csv: its times of day pass midnight"):
        understood("".join(over[order]), "time,symbol,price,size", day)


@pytest.mark.parametrize(
    ("kinds", "what"),
    [
        (("trade", "aggTrade"), "the same ones twice"),
        (("markPriceUpdate",), "mark prices"),
        (("trade", "forceOrder"), "liquidations"),
    ],
)
def test_messages_of_binance_that_are_no_trades_or_all_of_them_twice_are_refused(
    kinds: tuple[str, ...], what: str
) -> None:
    text = "".join(f"{kind},BTCUSDT,{100 + at % 3},2,{START + at}000\n" for at in range(12) for kind in kinds)
    with pytest.raises(UnusableSource, match=what):
        understood(text, "e,s,p,q,T")


def test_a_candle_of_upbit_is_stamped_with_its_open_not_with_its_last_trade() -> None:
    names = (
        "market,candle_date_time_utc,opening_price,high_price,low_price,trade_price,timestamp,candle_acc_trade_volume"
    )
    text = "".join(
        f"KRW-BTC,2025-01-01T00:{at:02}:00,100,102,99,101,{START + 60 * at + 57}123,7\n" for at in range(12)
    )
    found, rows, _ = read(Cells(text, names))
    assert (found.kind, rows[0].time, rows[0].volume) == ("bars", (START + 60) * 1_000_000, 7)


def test_bars_without_names_and_minutes_without_trades() -> None:
    prices = [100.0 + at * 7 % 5 for at in range(60)]
    text = "".join(
        f"{START + 60 * at},{100 * b},{a},{max(a, b) + 1},{min(a, b) - 1},{b},9\n"
        f"{START + 60 * at + 30},0,null,null,null,null,0\n"
        for at, (a, b) in enumerate(pairwise(prices))
    )
    found, rows, _ = read(Cells(text))
    assert (found.kind, found.bar_length, len(rows)) == ("bars", MINUTE // 2, 59)
    assert [(row.open, row.price) for row in rows] == list(pairwise(prices))


def test_a_bar_that_is_stamped_with_its_close_is_published_then() -> None:
    found, rows, _ = read(Cells(BARS, "time,open,high,low,close,volume"), stamp="close")
    assert rows[0].time == found.stamp(rows[0]) == START * 1_000_000


def test_a_date_that_is_a_bars_close_is_over_before_the_bar_is_published() -> None:
    dates = [datetime(2024, 11, day, tzinfo=UTC) for day in (1, 2, 3, 4)]
    text = "".join(f"{date:%Y-%m-%d},100,102,99,101,10\n" for date in dates)
    found, rows, _ = read(Cells(text, "date,open,high,low,close,volume"), stamp="close", zone="America/New_York")
    published = [datetime.fromtimestamp(row.time / 1e6, UTC) for row in rows]
    assert [(time.day, time.hour) for time in published] == [(2, 4), (3, 4), (4, 5), (5, 5)]
    stamps = [datetime.fromtimestamp(found.stamp(row) / 1e6, UTC) for row in rows]
    assert [(time.day, time.hour) for time in stamps] == [(1, 4), (2, 4), (3, 4), (4, 5)]
    weekly = text.replace("11-02", "11-08").replace("11-03", "11-15").replace("11-04", "11-22")
    found, rows, _ = read(Cells(weekly, "date,open,high,low,close,volume"), stamp="close")
    assert rows[0].time == found.stamp(rows[0]) + 1440 * MINUTE == (dates[0] + timedelta(1)).timestamp() * 1_000_000
    assert rows[0].interval == 7 * 1440 * MINUTE


def test_classes_of_one_share_are_not_taken_for_one() -> None:
    names = "DATE,TIME_M,SYM_ROOT,SYM_SUFFIX,SIZE,PRICE,TR_SCOND,TR_CORR"
    text = "20240701,9:30:00.1,BRK,B,1,400,@,00\n"
    assert understood(text, names).vendor == "TAQ"
    with pytest.raises(UnusableSource, match="BRK B and BRK A are two shares"):
        understood(text + "20240701,9:30:00.2,BRK,A,1,600000,@,00\n", names)


def test_milliseconds_of_the_day_beside_a_date() -> None:
    text = "".join(f"20240701,{34_200_000 + 61_111 * at},100,5\n" for at in range(60))
    rows = rows_of(text, "date,ms_of_day,price,size")
    assert rows[1].time - rows[0].time == 61_111_000
    assert datetime.fromtimestamp(rows[0].time / 1e6, UTC).hour == 9


def test_trades_whose_times_are_dates_alone_are_noted() -> None:
    found = understood("20240701,34200,100,5\n20240701,34201,100,5\n", "date,moment_of_it,price,size")
    assert "its times are dates alone: all rows of a day have one time" in found.notes


def test_a_year_of_two_digits_is_no_time_of_the_seventies() -> None:
    with pytest.raises(UnusableSource, match="write the year with four"):
        understood("241103013000,100,5\n241103013001,100,5\n", "time,price,size")


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


def test_bars_without_a_regular_length_are_published_only_where_their_stamp_is_their_close() -> None:
    text = "".join(f"{START + at * at * 7},{100 + at},{102 + at},{99 + at},{101 + at},9\n" for at in range(12))
    with pytest.raises(Ambiguous, match="STAMP=close"):
        understood(text, "time,open,high,low,close,volume")
    assert rows_of(text, "time,open,high,low,close,volume", stamp="close")[1].time == (START + 7) * 1_000_000


def test_trades_in_the_form_of_bars_are_trades() -> None:
    text = "".join(
        f"{START + at * at * 7}.5,{100 + at},{100 + at},{100 + at},{100 + at},{at + 1}\n" for at in range(12)
    )
    found, rows, _ = read(Cells(text, "Datetime,Open,High,Low,Close,Volume"))
    assert found.kind == "trades"
    assert (rows[1].time, rows[1].price, rows[1].volume) == ((START + 7) * 1_000_000 + 500_000, 101, 2)


def test_daily_bars_end_at_midnight_of_their_zone_on_short_days_too() -> None:
    text = "".join(f"2025-03-{day:02},100,102,99,101,5\n" for day in range(7, 12))
    rows = rows_of(text, "Date,Open,High,Low,Close,Volume", zone="America/New_York")
    assert [(row.interval or 0) // 3_600_000_000 for row in rows] == [24, 24, 23, 24, 24]
    assert [row.interval for row in rows_of(text, "Date,Open,High,Low,Close,Volume")] == [86_400_000_000] * 5


def test_weekly_and_monthly_bars_last_a_week_and_a_month() -> None:
    weeks = "".join(f"2025-01-{day:02},100,102,99,101,5\n" for day in (6, 13, 20, 27))
    months = "".join(f"2024-{month:02}-01,100,102,99,101,5\n" for month in range(1, 7))
    assert understood(weeks, "Date,Open,High,Low,Close,Volume").length_name == "1 week"
    found, rows, _ = read(Cells(months, "Date,Open,High,Low,Close,Volume"))
    assert found.length_name == "1 month"
    assert (rows[1].interval or 0) // 86_400_000_000 == 29, "February 2024"


def test_an_unfinished_bar_is_left_out_as_the_file_says_or_as_the_clock_does() -> None:
    finished = "".join(f"{START + 60 * at},100,102,99,101,5,{int(at < 4)}\n" for at in range(5))
    found, rows, _ = read(Cells(finished, "ts,open,high,low,close,vol,confirm"))
    assert (len(rows), dict(found.left_out)) == (4, {"unfinished, as the file says": 1})
    today = datetime.now(UTC).date()
    days = "".join(f"{today - timedelta(days=at)},100,102,99,101,5\n" for at in (2, 1, 0))
    found, rows, _ = read(Cells(days, "Date,Open,High,Low,Close,Volume"))
    assert (len(rows), dict(found.left_out)) == (2, {"unfinished: it ends in the future": 1})


def test_rows_without_a_price_are_left_out_and_counted() -> None:
    text = (
        "2025-01-02,100,102,99,101,101,5\n2025-01-03,null,null,null,null,null,null\n2025-01-04,100,102,99,101,101,5\n"
    )
    found, rows, bad = read(Cells(text, "Date,Open,High,Low,Close,Adj Close,Volume"))
    assert (len(rows), bad, dict(found.left_out)) == (2, [], {"no price": 1})


def test_the_close_is_as_it_was_traded_unless_the_adjusted_one_is_asked_for() -> None:
    text = "2025-01-02,100,102,98,100,50,5\n2025-01-03,100,102,98,100,50,5\n2025-01-06,50,51,49,50,50,5\n"
    found, rows, _ = read(Cells(text, "Date,Open,High,Low,Close,Adj Close,Volume"))
    assert [row.price for row in rows] == [100, 100, 50]
    assert any("2025-01-06" in note and "PRICE=adj" in note for note in found.notes)
    adjusted = rows_of(text, "Date,Open,High,Low,Close,Adj Close,Volume", price="adj")
    assert [(row.price, row.high, row.low) for row in adjusted] == [(50, 51, 49), (50, 51, 49), (50, 51, 49)]


def test_odd_lots_count_and_averages_do_not_set_a_price() -> None:
    text = f"{START},AAPL,100,5,@\n{START + 1},AAPL,101,5,@ TI\n{START + 2},AAPL,90,7,@  W\n"
    text += f"{START + 3},AAPL,102,9,@O X\n{START + 4},AAPL,101,3,@  M\n"
    names = "timestamp,symbol,price,size,sale condition"
    found, rows, _ = read(Cells(text, names))
    assert [(row.price, row.volume, row.notes) for row in rows] == [
        (100, 5, ()), (101, 5, ()), (101, 7, ()), (102, 9, ("auction",))
    ]  # fmt: skip
    assert found.left_out["conditions: neither price nor volume"] == 1
    assert found.by_condition == {"@": 1, "@ TI": 1, "@  W": 1, "@O X": 1, "@  M": 1}
    assert [(row.price, row.volume) for row in rows_of(text, names, conditions="tape")] == [
        (100, 5), (100, 5), (100, 7), (102, 9)
    ]  # fmt: skip
    assert [row.price for row in rows_of(text, names, conditions="all")] == [100, 101, 90, 102, 101]


def test_cancels_and_corrections_are_left_out_and_what_they_take_back_was_seen() -> None:
    text = f"A,,07,{START}000000000,100,5,1\nA,,10,{START + 1}000000000,100,5,2\nA,,12,{START + 2}000000000,99,5,3\n"
    names = "ticker,conditions,correction,participant_timestamp,price,size,sequence_number"
    found, rows, _ = read(Cells(text, names))
    assert [row.sequence for row in rows] == [1]
    assert dict(found.left_out) == {"cancels": 1, "corrections": 1}


def test_quote_updates_of_metatrader_are_no_volume() -> None:
    text = "".join(f"2025.01.02,00:0{at},1.08,1.082,1.079,1.081,{13 + at}\n" for at in range(5))
    found, rows, _ = read(Cells(text, name="EURUSD1.csv"))
    assert (found.vendor, found.kind, rows[0].symbol) == ("MetaTrader 4", "bars", "EURUSD")
    assert (rows[0].trades, rows[0].volume) == (13, None)


def test_an_empty_bid_of_metatrader_is_the_bid_before() -> None:
    text = "2025.01.02,00:00:00.1,1.0800,1.0802,,,6\n2025.01.02,00:00:00.2,,1.0804,,,4\n"
    text += "2025.01.02,00:00:00.3,1.0801,,,,2\n"
    found, rows, _ = read(Cells(text, "<DATE>,<TIME>,<BID>,<ASK>,<LAST>,<VOLUME>,<FLAGS>", "EURUSD.csv"))
    assert [(row.bid, row.ask) for row in rows] == [(1.08, 1.0802), (1.08, 1.0804), (1.0801, 1.0804)]
    found.restart()
    assert found.row(2, ["2025.01.02", "00:00:00.2", "", "1.0804", "", "", "4"]) is None, "nothing before it any more"


def test_only_executions_of_order_messages_are_trades() -> None:
    text = "34200.5,1,16,100,5800100,1\n34201.5,4,16,100,5800100,1\n"
    text += "34202.25,5,17,50,5800000,-1\n34203.5,3,17,50,5799000,1\n"
    found, rows, _ = read(Cells(text, name="SPY_2025-01-02_34200000_57600000_message_10.csv"))
    assert (found.vendor, found.kind) == ("LOBSTER", "trades")
    assert [(row.price, row.volume, row.sequence) for row in rows] == [(580.01, 100, 0), (580.0, 50, 0)]
    assert rows[0].time == 1_735_828_201_500_000, "09:30:01.5 in New York"
    assert sum(found.left_out.values()) == 2


def test_a_missing_price_of_databento_is_none() -> None:
    text = f"{START}000000000,1,2,T,5900000000000,3,ESH5\n{START + 1}000000000,1,2,T,9223372036854775807,3,ESH5\n"
    found, rows, _ = read(Cells(text, "ts_event,publisher_id,instrument_id,action,price,size,symbol"))
    assert [row.price for row in rows] == [5900]
    assert dict(found.left_out) == {"no price": 1}


@pytest.mark.parametrize(
    ("name", "names", "what"),
    [
        (
            "binance_incremental_book_L2_BTCUSDT.csv",
            "timestamp,local_timestamp,is_snapshot,side,price,amount",
            "book",
        ),
        ("SPY_2025-01-02_34200000_57600000_orderbook_10.csv", "", "book"),
        ("bitmex_liquidations_2025-01-02_XBTUSD.csv", "timestamp,id,side,price,amount", "liquidations"),
        ("BTC_USDT-8h-mark.json", "time,open,high,low,close", "mark"),
    ],
)
def test_what_looks_like_trades_and_is_none_is_refused(name: str, names: str, what: str) -> None:
    with pytest.raises(UnusableSource, match=what):
        understood(",".join([str(START), "1", "1", "1", "1", "1"][: len(names.split(","))]), names, name)


def test_a_header_that_names_date_and_time_of_day_once_is_read_by_what_is_below_it() -> None:
    text = "".join(f"2025-01-02,09:{at:02}:00,100,102,99,101,5\n" for at in range(5))
    rows = rows_of(text, ",Date,Open,High,Low,Close,Volume")
    assert rows[1].time == 1_735_776_000_000_000 + (9 * 60 + 2) * MINUTE


def test_rows_that_are_wider_than_the_names_are_refused_with_both_widths() -> None:
    with pytest.raises(UnusableSource, match="names 2 columns, and its rows have 3"):
        understood("1,2,3\n", "time,price")


def test_a_total_of_the_day_is_no_size() -> None:
    text = "".join(f"{START + at},100,{1000 + 7 * at},99.9,100.1\n" for at in range(30))
    found, rows, _ = read(Cells(text, "timestamp,last,volume,bid,ask"))
    assert {row.volume for row in rows} == {None}
    assert any("total of the day" in note for note in found.notes)


def test_a_ticker_with_the_days_open_high_and_low_is_no_bar() -> None:
    text = "".join(f"{START + at},{100 + at % 3},100,110,90,7\n" for at in range(30))
    found, rows, _ = read(Cells(text, "timestamp,last,open,high,low,volume"))
    assert found.kind == "trades"
    assert (rows[1].price, rows[1].high, rows[1].volume) == (101, 101, None)


def test_a_column_name_that_is_there_twice_is_refused() -> None:
    with pytest.raises(Ambiguous, match="the column Close 2 times"):
        understood("2025-01-02,1,2,1,2,3\n", "Date,Open,High,Low,Close,Close")


def test_a_time_that_counts_from_1970_goes_before_one_without_a_zone() -> None:
    names = "time,timestamp,open,high,low,close,volume"
    text = f"2024-12-31T19:00:00,{START},5,6,4,5,7\n2024-12-31T19:01:00,{START + 60},5,6,4,5,8\n"
    found, rows, _ = read(Cells(text, names))
    assert found.stamp(rows[0]) == START * 1_000_000
    found, rows, _ = read(Cells(text, names), zone="America/New_York")
    assert found.stamp(rows[0]) == START * 1_000_000


def test_a_time_that_the_names_do_not_tell_is_found_by_its_cells() -> None:
    rows = rows_of(f"{START},100,5\n{START + 1},100,5\n", "moment_of_it,price,size")
    assert [row.time for row in rows] == [START * 1_000_000, (START + 1) * 1_000_000]


def test_volume_and_what_was_paid_are_told_by_numbers_where_names_have_them_the_other_way_round() -> None:
    text = "".join(f"{START + 60 * at},100,102,99,101,{1010 + at},{10 + at / 100}\n" for at in range(12))
    found, rows, _ = read(Cells(text, "unix,open,high,low,close,Volume BTC,Volume ETH"))
    assert (rows[0].volume, rows[1].volume) == (10.0, 10.01)
    assert "Volume BTC is what was paid for Volume ETH, by their numbers" in found.notes


def test_a_currencys_number_is_no_symbol() -> None:
    names = "timeOpen,timeClose,timeHigh,timeLow,name,open,high,low,close,volume,marketCap,timestamp"
    day = "2024-01-{0:02}T00:00:00.000Z,2024-01-{0:02}T23:59:59.999Z,,,2781,100,102,99,101,10,1e9,"
    day += "2024-01-{0:02}T23:59:59.999Z"
    found, rows, _ = read(
        Cells("\n".join(day.format(at) for at in range(1, 15)), names, "Bitcoin_historical_data.csv")
    )
    assert (found.kind, found.vendor, rows[0].symbol) == ("bars", "CoinMarketCap", "BITCOIN")
    assert rows[0].time - found.stamp(rows[0]) == 86_400_000_000
    assert rows[0].time == 1_704_153_600_000_000


def test_what_an_answer_says_of_itself_is_no_symbol() -> None:
    rows = rows_of(f"5,6,4,5,ok,{START},7\n5,6,4,5,ok,{START + 60},8\n", "o,h,l,c,s,t,v")
    assert {row.symbol for row in rows} == {"AAPL"}


def test_bars_of_many_symbols_at_one_date_last_a_day() -> None:
    names = "SYMBOL,OPEN,HIGH,LOW,CLOSE,TOTTRDQTY,TIMESTAMP"
    found, rows, _ = read(Cells("TCS,5,6,4,5,7,02-JAN-2025\nINFY,7,8,6,7,9,02-JAN-2025\n", names))
    assert found.bar_length == 86_400_000_000
    assert any("last a day" in note for note in found.notes)
    assert [row.volume for row in rows] == [7, 9]
    with pytest.raises(Ambiguous, match="when a bar ends"):
        understood("TCS,5,6,4,5,7,2025-01-02 09:30\nINFY,7,8,6,7,9,2025-01-02 09:30\n", names)


def test_bars_of_several_markets_that_no_column_tells_apart_are_refused() -> None:
    text = "".join(f"{START + 60 * at},{n},{100 * n + at},{102 * n + at},{99 * n + at},{101 * n + at}\n"
                   for at in range(12) for n in (1, 2))  # fmt: skip
    with pytest.raises(UnusableSource, match=r"several markets.*SYMBOL= names the column"):
        understood(text, "time,venue_number,open,high,low,close")
    _, rows, _ = read(Cells(text, "time,venue_number,open,high,low,close"), symbol="venue_number")
    assert {row.symbol for row in rows} == {"1", "2"}


def test_a_total_of_the_last_24_hours_is_no_size() -> None:
    text = "".join(f"{START + at},{100 + at % 3},{3000 + at % 7 / 10}\n" for at in range(60))
    found, rows, _ = read(Cells(text, "timestamp,last_price,volume"))
    assert {row.volume for row in rows} == {None}
    assert any("as a total of the last 24 hours does" in note for note in found.notes)


def test_columns_without_a_price_are_refused_before_a_symbol_is_asked_for() -> None:
    with pytest.raises(UnusableSource, match="is known as a price"):
        understood("2025-01-02,7\n2025-01-03,8\n", "date,cases", "deaths by_day.csv")


def test_the_volume_beside_a_market_capitalisation_is_no_size() -> None:
    text = "".join(f"{START + 86400 * at},{100 + at % 3},{1e9 + at},{3000 * (1 + at % 7)}\n" for at in range(9))
    found, rows, _ = read(Cells(text, "timestamp,price,market_cap,volume"))
    assert {row.volume for row in rows} == {None}
    assert any("beside a market capitalisation" in note for note in found.notes)


@pytest.mark.parametrize("names", ["", "Date,Time,Open,High,Low,Close,Volume"])
def test_hours_and_minutes_without_a_mark_are_told_where_an_hour_ends(names: str) -> None:
    prices = [100 + at * at % 17 for at in range(31)]
    text = "".join(
        f"01/13/2025,{1450 + at + 40 * (at > 9)},{a},{max(a, b) + 1},{min(a, b) - 1},{b},{7 + at * at % 50}\n"
        for at, (a, b) in enumerate(pairwise(prices))
    )
    rows = rows_of(text, names)
    assert [row.time for row in rows[9:12]] == [1_736_780_400_000_000 + 60_000_000 * at for at in range(3)]


def test_a_bid_that_mostly_stays_is_a_bid() -> None:
    text = "".join(f"{START + 7 * at},{1.12 + at // 9 * 1e-5:.5f},{1.121 + at % 3 * 1e-5:.5f}\n" for at in range(30))
    found, rows, _ = read(Cells(text))
    assert (found.kind, rows[0].bid, rows[0].ask) == ("quotes", 1.12, 1.121)


def test_the_decimal_mark_of_a_column_that_is_not_used_is_that_of_all() -> None:
    lines = "13/01/2025;134.350;134.385;134.345;134.375;8.129.956.250,00;60502\n"
    lines += "14/01/2025;134.395;134.395;134.355;134.355;7.516.356.120,00;55944\n"
    found, rows, _ = read(Cells(lines, "Data;Abertura;Máximo;Mínimo;Fechamento;Volume;Quantidade", mark=";"))
    assert [(row.price, row.volume) for row in rows] == [(134_375, 60_502), (134_355, 55_944)]
    assert not any("decimal" in guess.other for guess in found.guesses)


def test_bars_of_two_exchanges_of_one_symbol_are_refused() -> None:
    text = "".join(f"{START + 60 * at},{venue},BTC/USD,{100 + at + n},{102 + at + n},{99 + at + n},{101 + at + n}\n"
                   for at in range(12) for n, venue in enumerate(("kraken", "okx")))  # fmt: skip
    with pytest.raises(UnusableSource, match="several markets, and column symbol does not tell which"):
        understood(text, "time,exchange,symbol,open,high,low,close")


def test_volumes_of_buys_and_sells_are_the_volume() -> None:
    text = "".join(f"{START + 60 * at},100,102,99,101,{7 + at},{3 + at}\n" for at in range(12))
    assert rows_of(text, "time,open,high,low,close,buy_volume,sell_volume")[0].volume == 10


def test_dollars_alone_are_no_volume_of_a_currency() -> None:
    text = "".join(f"{START + 60 * at},100,102,99,101,{1000 + at}\n" for at in range(12))
    assert rows_of(text, "time,open,high,low,close,volume_usd")[0].volume is None
    assert rows_of(text, "time,open,high,low,close,volume_btc")[0].volume == 1000


def test_orders_among_the_messages_of_coinbase_are_no_trades() -> None:
    time = "2025-01-01T00:00:{:02}Z"
    text = "".join(f"received,1.0,9,BTC-USD,{time},,\nmatch,100.5,2,BTC-USD,{time},{at},a\n".format(at, at)
                   for at in range(12))  # fmt: skip
    rows = rows_of(text, "type,price,size,product_id,time,trade_id,maker_order_id")
    assert [(row.price, row.volume) for row in rows] == [(100.5, 2.0)] * 12
