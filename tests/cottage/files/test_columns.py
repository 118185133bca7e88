"""Fields by the names of columns."""

import pytest

from cottage.files.columns import is_book, keys_of, roles_by_name, without_symbol


def test_names_are_compared_without_marks_accents_units_and_capitals() -> None:
    names = ["<CLOSE>", "Adj Close", "closePrice", "Stück", "Volume (BTC)", "price/价格", "1. open", "Clôt."]
    assert keys_of(names) == ["close", "adjclose", "closeprice", "stuck", "volume", "price", "1open", "clot"]


def test_nested_names_are_those_of_their_last_part_where_all_have_one_first_part() -> None:
    assert keys_of(["e", "k.open", "k.close", "k.high"]) == ["e", "open", "close", "high"]
    assert keys_of(["bid.open", "ask.open", "bid.close", "ask.close"]) == [
        "bidopen",
        "askopen",
        "bidclose",
        "askclose",
    ]


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        ("Date,Price,Open,High,Low,Vol.,Change %", {"close": 1, "open": 2, "volume": 5}),
        ("Date,Open,High,Low,Last,Change,Settle,Volume", {"close": 6, "volume": 7}),
        ("timestamp,price,qty,quote_qty,is_buyer_maker", {"price": 1, "size": 2, "quote_volume": 3, "side": 4}),
        ("time,high,low,open,volumefrom,volumeto,close", {"volume": 4, "quote_volume": 5}),
        ("unix,date,symbol,open,high,low,close,Volume BTC,Volume USD", {"volume": 7, "quote_volume": 8, "time": 0}),
        ("unix,open,high,low,close,Volume USDT,Volume BTC", {"volume": 6, "quote_volume": 5}),
        ("id,open,close,low,high,amount,vol,count", {"id": 0, "volume": 6, "trades": 7}),
        ("ts,o,h,l,c,vol,volCcy,volCcyQuote,confirm", {"close": 4, "volume": 5, "quote_volume": 7, "finished": 8}),
        ("market,opening_price,high_price,low_price,trade_price", {"open": 1, "high": 2, "low": 3, "close": 4}),
        ("timestamp,start,stop,open,high,low,close", {"time": 1, "end": 2}),
        ("transaction_time,event_time,best_bid_price,best_ask_price", {"time": 0, "bid": 2, "ask": 3}),
        ("snapped_at,price,market_cap,total_volume", {"time": 0, "price": 1}),
        ("Datum,Zeit,Kurs,Stück", {"date": 0, "clock": 1, "price": 2, "size": 3}),
        ("Index,Start Date,Open Price,High Price,Low Price,Close Price,Volume,End Date", {"time": 1, "end": 7}),
        (
            "Date,Open Price,High Price,Low Price,Close Price,WAP,No.of Shares,No. of Trades",
            {"volume": 6, "trades": 7},
        ),
        ("Date,Open,High,Low,Last,Close,Number of Shares,Turnover", {"close": 5, "volume": 6, "quote_volume": 7}),
        ("Time,Open,High,Low,Latest,Change,%Change,Volume", {"close": 4, "volume": 7}),
        ("PERMNO,date,TICKER,PRC,VOL,BIDLO,ASKHI,OPENPRC", {"close": 3, "volume": 4, "low": 5, "high": 6, "open": 7}),
        ("lTid,CurrencyPair,RateDateTime,RateBid,RateAsk", {"id": 0, "symbol": 1, "time": 2, "bid": 3, "ask": 4}),
        ("Ativo,Data,Abertura,Máximo,Mínimo,Fechamento,Volume,Quantidade", {"volume": 7}),
        ("Date,Open,High,Low,Close,Shares Traded,Turnover", {"volume": 5, "quote_volume": 6}),
        ("Datum,Open,Hoog,Laag,Slot,Volume", {"high": 2, "low": 3, "close": 4}),
        (
            "snapshotTime,snapshotTimeUTC,openPrice.bid,openPrice.ask,closePrice.bid,closePrice.ask,highPrice.bid,"
            "highPrice.ask,lowPrice.bid,lowPrice.ask,lastTradedVolume",
            {"time": 1, "bid_open": 2, "ask_close": 5, "bid_low": 8},
        ),
        ("Dates,symbol,PX_LAST", {"date": 0, "symbol": 1, "close": 2}),
        ("Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen", {"open": 1, "high": 2, "low": 3, "close": 4}),
        ("날짜,시가,고가,저가,종가,거래량", {"date": 0, "open": 1, "close": 4, "volume": 5}),
        ("日付,始値,高値,安値,終値,出来高", {"date": 0, "open": 1, "close": 4, "volume": 5}),
    ],
)
def test_roles(names: str, roles: dict[str, int]) -> None:
    assert roles_by_name(names.split(",")).items() >= roles.items()


def test_letters_mean_what_words_beside_them_leave() -> None:
    finnhub = roles_by_name(["p", "s", "t", "v"], texts={1})
    assert finnhub == {"price": 0, "symbol": 1, "time": 2, "size": 3}
    alpaca = roles_by_name(["T", "S", "i", "x", "p", "s", "c", "z", "t"], texts={0, 1, 3, 6, 7, 8})
    assert (alpaca["symbol"], alpaca["price"], alpaca["size"], alpaca["time"]) == (1, 4, 5, 8)


def test_letters_of_the_best_bid_and_ask_and_of_the_last_day() -> None:
    best = roles_by_name(["u", "s", "b", "B", "a", "A", "T", "E"], texts={1})
    assert (best["symbol"], best["bid"], best["bid_size"], best["ask"], best["ask_size"]) == (1, 2, 3, 4, 5)
    assert best["time"] == 6
    day = roles_by_name(["E", "s", "p", "c", "o", "h", "l", "v", "q"], texts={1})
    assert (day["time"], day["symbol"], day["price"]) == (0, 1, 3)
    assert day.keys().isdisjoint({"open", "high", "low", "volume", "size"})


def test_a_symbol_in_all_names() -> None:
    assert without_symbol(["Date", "AAPL.Open", "AAPL.High", "AAPL.Close"]) == (
        ["Date", "Open", "High", "Close"],
        "AAPL",
    )
    assert without_symbol(["stats.volume", "stats.low", "stats.high", "last_price"])[1] is None
    assert without_symbol(["Date", "Adj. Open", "Adj. High", "Adj. Close"])[1] is None


def test_updates_of_an_order_book() -> None:
    assert is_book(["exchange", "symbol", "timestamp", "is_snapshot", "side", "price", "amount"])
    assert not is_book(["exchange", "symbol", "timestamp", "side", "price", "amount"])
