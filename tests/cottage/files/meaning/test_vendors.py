"""The formats of exchanges, brokers, data vendors and backtesters: small files as each of them spells it."""
# ruff: noqa: E501 — a format is shown as the one line that it is

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from tests.cottage.files.understood import Cells, read

ROWS = 40
START = 1_735_828_200  # 2025-01-02 14:30 UTC, 09:30 in New York


class Bar(NamedTuple):
    """A bar of a made market: `s` are the seconds of its open since 1970."""

    s: int
    o: float
    h: float
    lo: float
    c: float
    v: float
    at: datetime


class Trade(NamedTuple):
    """A trade of a made market, its number and its time to the millisecond."""

    n: int
    ms: int
    p: float
    q: float
    at: datetime


def made_bars(step: int = 60, around: float = 42_000.0) -> list[Bar]:
    random.seed(7)
    price, bars = around, []
    for number in range(ROWS):
        close = round(price * (1 + random.gauss(0, 5e-4)), 2)
        high = round(max(price, close) * (1 + random.random() * 3e-4), 2)
        low = round(min(price, close) * (1 - random.random() * 3e-4), 2)
        at = START + step * number
        bars.append(Bar(at, price, high, low, close, round(random.expovariate(0.1) + 0.001, 3),
                        datetime.fromtimestamp(at, UTC)))  # fmt: skip
        price = close
    return bars


def made_trades(around: float = 42_000.0) -> list[Trade]:
    random.seed(8)
    price, ms, trades = around, START * 1000, []
    for number in range(ROWS):
        price = round(price + random.choice((-0.5, 0, 0.5)), 2)
        ms += random.randrange(1, 900)
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
        trades.append(Trade(5_000_000 + number, ms, price, round(random.expovariate(1) + 0.001, 3), at))
    return trades


BARS, TRADES, SHARES = made_bars(), made_trades(), made_trades(190.0)


def half(price: float) -> str:
    return f"{price:.2f}"


BAR_FILES: dict[str, tuple[str, str, Callable[[Bar], str]]] = {
    "Binance": ("BTCUSDT-1m-2025-01-02.csv", "", lambda b:
        f"{b.s}000,{b.o},{b.h},{b.lo},{b.c},{b.v},{b.s + 59}999,{b.v * b.c:.4f},7,1,2,0"),
    "Binance futures": ("BTCUSDT-1m-2025-01.csv", "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
        "taker_buy_volume,taker_buy_quote_volume,ignore", lambda b:
        f"{b.s}000,{b.o},{b.h},{b.lo},{b.c},{b.v},{b.s + 59}999,{b.v * b.c:.4f},7,1,2,0"),
    "OKX, arrays": ("BTC-USDT.json", "", lambda b:
        f"{b.s}000,{b.o},{b.h},{b.lo},{b.c},{b.v},{b.v},{b.v * b.c:.4f},1"),
    "OKX, download": ("BTC-USDT-candlesticks-2025-01-02.csv", "instrument_name,open,high,low,close,vol,vol_ccy,"
        "vol_quote,open_time,confirm", lambda b:
        f"BTC-USDT,{b.o},{b.h},{b.lo},{b.c},{b.v},{b.v},{b.v * b.c:.4f},{b.s}000,1"),
    "Bybit, arrays": ("BTCUSDT.json", "", lambda b: f"{b.s}000,{b.o},{b.h},{b.lo},{b.c},{b.v},{b.v * b.c:.4f}"),
    "Bybit": ("BTCUSDT_1m.csv", "startTime,openPrice,highPrice,lowPrice,closePrice,volume,turnover", lambda b:
        f"{b.s}000,{b.o},{b.h},{b.lo},{b.c},{b.v},{b.v * b.c:.4f}"),
    "Coinbase": ("BTC-USD.json", "", lambda b: f"{b.s},{b.lo},{b.h},{b.o},{b.c},{b.v}"),
    "Coinbase Advanced": ("BTC-USD.json", "start,low,high,open,close,volume", lambda b:
        f"{b.s},{b.lo},{b.h},{b.o},{b.c},{b.v}"),
    "Bitfinex": ("BTCUSD.json", "", lambda b: f"{b.s}000,{b.o},{b.c},{b.h},{b.lo},{b.v}"),
    "KuCoin": ("BTC-USDT.json", "", lambda b: f"{b.s},{b.o},{b.c},{b.h},{b.lo},{b.v},{b.v * b.c:.4f}"),
    "Gate": ("BTC_USDT.json", "", lambda b: f"{b.s},{b.v * b.c:.4f},{b.c},{b.h},{b.lo},{b.o},{b.v},true"),
    "Gate, download": ("BTC_USDT-202501.csv", "", lambda b: f"{b.s},{b.v},{b.c},{b.h},{b.lo},{b.o}"),
    "Huobi": ("btcusdt.json", "id,open,close,low,high,amount,vol,count", lambda b:
        f"{b.s},{b.o},{b.c},{b.lo},{b.h},{b.v},{b.v * b.c:.4f},7"),
    "Kraken": ("XBTUSD_1.csv", "", lambda b: f"{b.s},{b.o},{b.h},{b.lo},{b.c},{b.v},7"),
    "Kraken, arrays": ("XBTUSD.json", "", lambda b:
        f"{b.s},{b.o},{b.h},{b.lo},{b.c},{(b.h + b.lo) / 2:.2f},{b.v},7"),
    "Bitstamp": ("BTCUSD.json", "timestamp,open,high,low,close,volume", lambda b:
        f"{b.s},{b.o},{b.h},{b.lo},{b.c},{b.v}"),
    "BitMEX": ("XBTUSD.json", "timestamp,symbol,open,high,low,close,trades,volume,vwap,lastSize,turnover,homeNotional,"
        "foreignNotional", lambda b:
        f"{b.at:%Y-%m-%dT%H:%M:%S}.000Z,XBTUSD,{b.o},{b.h},{b.lo},{b.c},7,{b.v},{b.c},1,{b.v * b.c:.2f},1,1"),
    "Deribit": ("BTC-PERPETUAL.json", "ticks,open,high,low,close,volume,cost", lambda b:
        f"{b.s}000,{b.o},{b.h},{b.lo},{b.c},{b.v},{b.v * b.c:.4f}"),
    "Binance, websocket": ("x.jsonl", "e,E,s,k.t,k.T,k.s,k.i,k.f,k.L,k.o,k.c,k.h,k.l,k.v,k.n,k.x,k.q,k.V,k.Q,k.B", lambda b:
        f"kline,{b.s + 60}001,BTCUSDT,{b.s}000,{b.s + 59}999,BTCUSDT,1m,1,2,{b.o},{b.c},{b.h},{b.lo},{b.v},7,true,"
        f"{b.v * b.c:.2f},1,1,0"),
    "ccxt": ("BTC_USDT-1m.json", "", lambda b: f"{b.s}000,{b.o},{b.h},{b.lo},{b.c},{b.v}"),
    "freqtrade": ("BTC_USDT-1m.feather", "date,open,high,low,close,volume", lambda b:
        f"{b.at:%Y-%m-%dT%H:%M:%S}Z,{b.o},{b.h},{b.lo},{b.c},{b.v}"),
    "Interactive Brokers": ("AAPL.csv", "date,open,high,low,close,volume,average,barCount", lambda b:
        f"{b.at - timedelta(hours=5):%Y%m%d  %H:%M:%S} US/Eastern,{b.o},{b.h},{b.lo},{b.c},{b.v},{b.c},7"),
    "ib_async": ("AAPL.csv", ",date,open,high,low,close,volume,average,barCount", lambda b:
        f"{(b.s - START) // 60},{b.at - timedelta(hours=5):%Y-%m-%d %H:%M:%S}-05:00,{b.o},{b.h},{b.lo},{b.c},{b.v},{b.c},7"),
    "TradeStation": ("@ES.txt", "Date,Time,Open,High,Low,Close,Up,Down", lambda b:
        f"{b.at:%m/%d/%Y},{b.at + timedelta(minutes=1):%H:%M},{b.o},{b.h},{b.lo},{b.c},{b.v / 2},{b.v / 2}"),
    "NinjaTrader": ("ES 03-25.Last.txt", "", lambda b:
        f"{b.at + timedelta(minutes=1):%Y%m%d %H%M%S},{b.o},{b.h},{b.lo},{b.c},{b.v}"),
    "Schwab": ("AAPL.json", "open,high,low,close,volume,datetime", lambda b:
        f"{b.o},{b.h},{b.lo},{b.c},{b.v},{b.s}000"),
    "Databento": ("glbx-mdp3-20250102.ohlcv-1m.csv", "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,"
        "symbol", lambda b:
        f"{b.s}000000000,33,1,5482,{b.o * 1e9:.0f},{b.h * 1e9:.0f},{b.lo * 1e9:.0f},{b.c * 1e9:.0f},{b.v},ESH5"),
    "Polygon, REST": ("AAPL.json", "v,vw,o,c,h,l,t,n", lambda b: f"{b.v},{b.c},{b.o},{b.c},{b.h},{b.lo},{b.s}000,7"),
    "Alpaca": ("AAPL.json", "t,o,h,l,c,v,n,vw", lambda b:
        f"{b.at:%Y-%m-%dT%H:%M:%SZ},{b.o},{b.h},{b.lo},{b.c},{b.v},7,{b.c}"),
    "FirstRate": ("AAPL_full_1min_adjsplitdiv.txt", "timestamp,open,high,low,close,volume", lambda b:
        f"{b.at:%Y-%m-%d %H:%M:%S},{b.o},{b.h},{b.lo},{b.c},{b.v}"),
    "Kibot": ("AAPL.txt", "", lambda b: f"{b.at:%m/%d/%Y},{b.at:%H:%M},{b.o},{b.h},{b.lo},{b.c},{b.v}"),
    "Refinitiv": ("trth.csv", "#RIC,Domain,Date-Time,GMT Offset,Type,Open,High,Low,Last,Volume,No. Trades,Open Bid,High Bid,"
        "Low Bid,Close Bid,No. Bids,Open Ask,High Ask,Low Ask,Close Ask,No. Asks", lambda b:
        f"AAPL.OQ,Market Price,{b.at:%Y-%m-%dT%H:%M:%S}.000000000Z,-5,Intraday 1Min,{b.o},{b.h},{b.lo},{b.c},{b.v},7"
        ",1,1,1,1,1,1,1,1,1,1"),
    "Bloomberg": ("AAPL US Equity.csv", "Date,PX_OPEN,PX_HIGH,PX_LOW,PX_LAST,PX_VOLUME", lambda b:
        f"{b.at:%m/%d/%Y %H:%M},{b.o},{b.h},{b.lo},{b.c},{b.v}"),
    "AlgoSeek": ("AAPL.csv", "Date,Ticker,TimeBarStart,FirstTradePrice,HighTradePrice,LowTradePrice,LastTradePrice,"
        "VolumeWeightPrice,Volume,TotalTrades", lambda b:
        f"{b.at:%Y%m%d},AAPL,{b.at:%H:%M},{b.o},{b.h},{b.lo},{b.c},{b.c},{b.v},7"),
    "Lean, minutes": ("20250102_spy_minute_trade.csv", "", lambda b:
        f"{(b.s - START + 34_200) * 1000},{b.o * 1e4:.0f},{b.h * 1e4:.0f},{b.lo * 1e4:.0f},{b.c * 1e4:.0f},{b.v}"),
    "backtesting.py": ("EURUSD.csv", ",Open,High,Low,Close,Volume", lambda b:
        f"{b.at:%Y-%m-%d %H:%M:%S},{b.o},{b.h},{b.lo},{b.c},{b.v}"),
    "Backtrader": ("2006-min-001-ES.txt", "Date,Time,Open,High,Low,Close,Volume,OpenInterest", lambda b:
        f"{b.at:%Y-%m-%d},{b.at:%H:%M:%S},{b.o},{b.h},{b.lo},{b.c},{b.v},0"),
    "Nautilus": ("BTCUSDT.parquet", "open,high,low,close,volume,ts_event,ts_init", lambda b:
        f"{b.o},{b.h},{b.lo},{b.c},{b.v},{b.s + 60}000000000,{b.s + 60}000000000"),
    "CoinAPI": ("BTC.csv", "time_period_start,time_period_end,time_open,time_close,price_open,price_high,price_low,"
        "price_close,volume_traded,trades_count", lambda b:
        f"{b.at:%Y-%m-%dT%H:%M:%S}.0000000Z,{b.at + timedelta(minutes=1):%Y-%m-%dT%H:%M:%S}.0000000Z,"
        f"{b.at:%Y-%m-%dT%H:%M:%S}.5Z,{b.at:%Y-%m-%dT%H:%M:%S}.9Z,{b.o},{b.h},{b.lo},{b.c},{b.v},7"),
    "R, quantmod": ("x.csv", ",AAPL.Open,AAPL.High,AAPL.Low,AAPL.Close,AAPL.Volume,AAPL.Adjusted", lambda b:
        f"{b.at:%Y-%m-%d %H:%M:%S},{b.o},{b.h},{b.lo},{b.c},{b.v},{b.c}"),
    "of Germany": ("SAP.csv", "Datum,Zeit,Erster,Hoch,Tief,Schlusskurs,Stücke", lambda b:
        f"{b.at:%Y-%m-%d},{b.at:%H:%M:%S},{b.o},{b.h},{b.lo},{b.c},{b.v}"),
    "of France": ("AIR.csv", "date,heure,ouv,haut,bas,clôt,vol", lambda b:
        f"{b.at:%Y-%m-%d},{b.at:%H:%M:%S},{b.o},{b.h},{b.lo},{b.c},{b.v}"),
    "of Spain": ("SAN.csv", "Fecha,Hora,Último,Apertura,Máximo,Mínimo,Vol.", lambda b:
        f"{b.at:%Y-%m-%d},{b.at:%H:%M:%S},{b.c},{b.o},{b.h},{b.lo},{b.v}"),
}  # fmt: skip


@pytest.mark.parametrize("vendor", BAR_FILES)
def test_bars(vendor: str) -> None:
    name, names, line = BAR_FILES[vendor]
    found, rows, bad = read(Cells("\n".join(line(bar) for bar in BARS), names, name))
    assert (found.kind, bad, dict(found.left_out), len(rows)) == ("bars", [], {}, ROWS)
    assert found.bar_length == 60_000_000
    for bar, row in zip(BARS, rows, strict=True):
        assert (row.open, row.high, row.low, row.price) == pytest.approx((bar.o, bar.h, bar.lo, bar.c), rel=1e-12)
        assert row.volume == pytest.approx(bar.v)
        assert row.time == (bar.s + 60) * 1_000_000, "published at its end"


TRADE_FILES: dict[str, tuple[str, str, Callable[[Trade], str]]] = {
    "Binance": ("BTCUSDT-trades-2025-01-02.csv", "", lambda t:
        f"{t.n},{t.p},{t.q},{t.p * t.q:.6f},{t.ms}000,True,True"),
    "Binance, aggregated": ("BTCUSDT-aggTrades-2025-01-02.csv", "", lambda t:
        f"{t.n},{t.p},{t.q},{t.n},{t.n},{t.ms},true,true"),
    "Binance, websocket": ("x.jsonl", "e,E,s,t,p,q,T,m,M", lambda t:
        f"trade,{t.ms + 3},BTCUSDT,{t.n},{t.p},{t.q},{t.ms},true,true"),
    "Bybit": ("BTCUSDT2025-01-02.csv.gz", "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,"
        "homeNotional,foreignNotional", lambda t:
        f"{t.ms / 1000:.3f},BTCUSDT,Buy,{t.q},{t.p},PlusTick,a-{t.n},1,{t.q},{t.q * t.p}"),
    "Bybit, spot": ("BTCUSDT_2025-01-02.csv.gz", "id,timestamp,price,volume,side,rpi", lambda t:
        f"{t.n},{t.ms},{t.p},{t.q},buy,0"),
    "Bybit, websocket": ("x.jsonl", "T,s,S,v,p,L,i,BT", lambda t: f"{t.ms},BTCUSDT,Buy,{t.q},{t.p},PlusTick,a{t.n},false"),
    "OKX": ("BTC-USDT-trades-2025-01-02.csv", "instrument_name,trade_id,side,price,size,created_time", lambda t:
        f"BTC-USDT,{t.n},buy,{t.p},{t.q},{t.ms}"),
    "OKX, bilingual": ("BTC-USDT-trades-2021-09-01.csv", "trade_id/撮合id,side/交易方向,size/数量,price/价格,created_time/成交时间",
        lambda t: f"{t.n},buy,{t.q},{t.p},{t.ms}"),
    "Coinbase": ("BTC-USD.json", "trade_id,side,size,price,time", lambda t:
        f"{t.n},buy,{t.q},{t.p},{t.at:%Y-%m-%dT%H:%M:%S.%f}Z"),
    "Kraken": ("XBTUSD.csv", "", lambda t: f"{t.ms / 1000:.3f},{t.p},{t.q}"),
    "Kraken, arrays": ("XBTUSD.json", "", lambda t: f"{t.p},{t.q},{t.ms / 1000:.3f},b,l,,{t.n}"),
    "Bitfinex": ("tBTCUSD.json", "", lambda t: f"{t.n},{t.ms},{-t.q if t.n % 2 else t.q},{t.p}"),
    "KuCoin": ("BTCUSDT-trades.csv", "trade_id,trade_time,price,size,side", lambda t:
        f"{t.n},{t.ms},{t.p},{t.q},buy"),
    "Gate": ("BTC_USDT-202501.csv", "", lambda t: f"{t.ms / 1000:.3f},{t.n},{t.p},{t.q},{1 + t.n % 2}"),
    "Huobi": ("BTCUSDT-trades-2025-01-02.csv", "", lambda t: f"{t.n},{t.ms},{t.p},{t.q},buy"),
    "Bitstamp": ("BTCUSD.json", "date,tid,price,type,amount", lambda t: f"{t.ms / 1000:.3f},{t.n},{t.p},{t.n % 2},{t.q}"),
    "BitMEX": ("20250102.csv", "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,"
        "foreignNotional", lambda t:
        f"{t.at:%Y-%m-%dD%H:%M:%S.%f}000,XBTUSD,Buy,{t.q},{t.p},PlusTick,a-{t.n},1,1,1"),
    "Deribit": ("BTC.json", "trade_seq,trade_id,timestamp,tick_direction,price,mark_price,instrument_name,index_price,"
        "direction,amount", lambda t: f"{t.n},BTC-{t.n},{t.ms},0,{t.p},{t.p + 1},BTC-PERPETUAL,{t.p - 1},buy,{t.q}"),
    "Tardis": ("bitmex_trades_2025-01-02_XBTUSD.csv", "exchange,symbol,timestamp,local_timestamp,id,side,price,amount",
        lambda t: f"bitmex,XBTUSD,{t.ms}000,{t.ms}000,{t.n},buy,{t.p},{t.q}"),
    "freqtrade": ("BTC_USDT-trades.json", "", lambda t: f"{t.ms},{t.n},,buy,{t.p},{t.q},{t.p * t.q}"),
    "ccxt": ("BTC_USDT-trades.csv", ",timestamp,id,type,side,price,amount,cost,date", lambda t:
        f"{t.n - 5_000_000},{t.ms},{t.n},,buy,{t.p},{t.q},{t.p * t.q},{t.at:%Y-%m-%d %H:%M:%S.%f}+00:00"),
    "Databento": ("xnas.trades.csv", "ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,depth,price,size,flags,"
        "ts_in_delta,sequence,symbol", lambda t:
        f"{t.ms}000000,{t.ms}000000,0,1,5482,T,A,0,{t.p * 1e9:.0f},{t.q},0,13000,{t.n},BTC"),
    "Kibot": ("AAPL.txt", "", lambda t: f"{t.at:%m/%d/%Y},{t.at:%H:%M:%S}.{t.ms % 1000:03},{t.p},{t.q}"),
    "TickData": ("AAPL.csv", "Date,Time,Price,Volume,Exchange Code,Sales Condition,Correction Indicator,Sequence Number",
        lambda t: f"{t.at:%m/%d/%Y},{t.at:%H:%M:%S}.{t.ms % 1000:03},{t.p},{t.q},T,@ I,00,{t.n}"),
    "AlgoSeek": ("AAPL.csv", "Date,Timestamp,EventType,Ticker,Price,Quantity,Exchange,Conditions", lambda t:
        f"{t.at:%Y%m%d},{t.at:%H:%M:%S}.{t.ms % 1000:03},TRADE NB,AAPL,{t.p},{t.q},NASDAQ,80000001"),
    "Refinitiv": ("trth.csv", "#RIC,Domain,Date-Time,GMT Offset,Type,Price,Volume,Bid Price,Bid Size,Ask Price,Ask Size,"
        "Qualifiers", lambda t: f"AAPL.OQ,Market Price,{t.at:%Y-%m-%dT%H:%M:%S.%f}000Z,-5,Trade,{t.p},{t.q},,,,,x"),
    "Bloomberg": ("AAPL US Equity.csv", "time,type,value,size,condcode", lambda t:
        f"{t.at:%Y-%m-%d %H:%M:%S.%f},TRADE,{t.p},{t.q},"),
    "Polygon": ("AAPL.json", "ev,sym,x,i,z,p,s,c,t,q", lambda t: f"T,AAPL,4,{t.n},3,{t.p},{t.q},,{t.ms},{t.n}"),
    "Finnhub": ("x.jsonl", "p,s,t,v,c", lambda t: f"{t.p},AAPL,{t.ms},{t.q},"),
    "Nautilus": ("BTCUSDT.parquet", "price,size,aggressor_side,trade_id,ts_event,ts_init", lambda t:
        f"{t.p},{t.q},1,{t.n},{t.ms}000000,{t.ms}000000"),
    "hftbacktest": ("btcusdt.csv", "event,exch_timestamp,local_timestamp,side,price,qty", lambda t:
        f"2,{t.ms}000,{t.ms}000,1,{t.p},{t.q}"),
    "NinjaTrader": ("ES 03-25.Last.txt", "", lambda t:
        f"{t.at:%Y%m%d %H%M%S} {t.ms % 1000:03}0000,{t.p},{t.p - 0.5},{t.p + 0.5},{t.q}"),
    "of France": ("AIR.csv", "Date,Heure,Cours,Quantité", lambda t:
        f"{t.at:%Y-%m-%d},{t.at:%H:%M:%S}.{t.ms % 1000:03},{t.p},{t.q}"),
}  # fmt: skip


@pytest.mark.parametrize("vendor", TRADE_FILES)
def test_trades(vendor: str) -> None:
    name, names, line = TRADE_FILES[vendor]
    found, rows, bad = read(Cells("\n".join(line(trade) for trade in TRADES), names, name, mark=","),
                            symbol="BTC")  # fmt: skip
    assert (found.kind, bad, len(rows)) == ("trades", [], ROWS)
    for trade, row in zip(TRADES, rows, strict=True):
        assert row.price == pytest.approx(trade.p, rel=1e-12)
        assert row.volume == pytest.approx(trade.q)
        assert row.time == trade.ms * 1000
        assert row.trades == 1


QUOTE_FILES: dict[str, tuple[str, str, Callable[[Trade], str]]] = {
    "Tardis": ("bitmex_quotes_XBTUSD.csv", "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount",
        lambda t: f"bitmex,XBTUSD,{t.ms}000,{t.ms}000,1,{t.p + 0.5},{t.p - 0.5},2"),
    "Tardis, book": ("bitmex_book_snapshot_5_XBTUSD.csv", "exchange,symbol,timestamp,local_timestamp,asks[0].price,asks[0].amount,"
        "bids[0].price,bids[0].amount,asks[1].price", lambda t:
        f"bitmex,XBTUSD,{t.ms}000,{t.ms}000,{t.p + 0.5},1,{t.p - 0.5},2,{t.p + 9}"),
    "Binance": ("BTCUSDT-bookTicker-2024-01-01.csv", "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,"
        "transaction_time", lambda t: f"{t.n},{t.p - 0.5},1,{t.p + 0.5},2,{t.ms}"),
    "BitMEX": ("20250102.csv", "timestamp,symbol,bidSize,bidPrice,askPrice,askSize", lambda t:
        f"{t.at:%Y-%m-%dD%H:%M:%S.%f}000,XBTUSD,1,{t.p - 0.5},{t.p + 0.5},2"),
    "Polygon": ("quotes.csv", "ticker,ask_exchange,ask_price,ask_size,bid_exchange,bid_price,bid_size,conditions,indicators,"
        "participant_timestamp,sequence_number,sip_timestamp,tape,trf_timestamp", lambda t:
        f"A,4,{t.p + 0.5},1,4,{t.p - 0.5},1,1,,{t.ms}000000,{t.n},{t.ms}000000,1,0"),
    "Alpaca": ("quotes.jsonl", "T,S,bx,bp,bs,ax,ap,as,c,z,t", lambda t:
        f"q,AAPL,V,{t.p - 0.5},1,V,{t.p + 0.5},2,R,C,{t.at:%Y-%m-%dT%H:%M:%S.%f}Z"),
    "Databento": ("mbp-1.csv", "ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,depth,price,size,flags,"
        "ts_in_delta,sequence,bid_px_00,ask_px_00,bid_sz_00,ask_sz_00,symbol", lambda t:
        f"{t.ms}000000,{t.ms}000000,1,1,5,A,B,0,{t.p},1,130,0,{t.n},{t.p - 0.5},{t.p + 0.5},3,4,ESH5"),
    "TrueFX": ("EURUSD-2025-01.csv", "", lambda t: f"EUR/USD,{t.at:%Y%m%d %H:%M:%S}.{t.ms % 1000:03},{t.p - 0.5},{t.p + 0.5}"),
    "Dukascopy": ("EURUSD_Ticks_01.01.2025-02.01.2025.csv", "Gmt time,Ask,Bid,AskVolume,BidVolume", lambda t:
        f"{t.at:%d.%m.%Y %H:%M:%S}.{t.ms % 1000:03},{t.p + 0.5},{t.p - 0.5},1,1"),
    "pandas": ("audusd-ticks.csv", ",bid,ask", lambda t: f"{t.at:%Y-%m-%d %H:%M:%S.%f},{t.p - 0.5},{t.p + 0.5}"),
    "without names, ask first": ("EURUSD.csv", "", lambda t: f"{t.ms},{t.p + 0.5},{t.p - 0.5}"),
    "Lean": ("20250102_spy_quote_tick.csv", "", lambda t:
        f"{t.ms - START * 1000 + 34_200_000},{(t.p - 0.5) * 1e4:.0f},1,{(t.p + 0.5) * 1e4:.0f},2,P,0,0"),
}  # fmt: skip


@pytest.mark.parametrize("vendor", QUOTE_FILES)
def test_quotes(vendor: str) -> None:
    name, names, line = QUOTE_FILES[vendor]
    found, rows, bad = read(Cells("\n".join(line(trade) for trade in TRADES), names, name))
    assert (found.kind, bad, len(rows)) == ("quotes", [], ROWS)
    for trade, row in zip(TRADES, rows, strict=True):
        assert (row.bid, row.ask, row.price) == (trade.p - 0.5, trade.p + 0.5, trade.p)
        assert (row.time, row.volume, row.notes) == (trade.ms * 1000, None, ("mid",))


TWO_SIDED = {
    "FXCM": ("EURUSD.csv", "DateTime,BidOpen,BidHigh,BidLow,BidClose,AskOpen,AskHigh,AskLow,AskClose",
        "{b.at:%m/%d/%Y %H:%M:%S}.000,{b.o},{b.h},{b.lo},{b.c},{a.o},{a.h},{a.lo},{a.c}"),
    "OANDA": ("EUR_USD.json", "complete,volume,time,bid.o,bid.h,bid.l,bid.c,ask.o,ask.h,ask.l,ask.c",
        "true,7,{b.at:%Y-%m-%dT%H:%M:%S}.000000000Z,{b.o},{b.h},{b.lo},{b.c},{a.o},{a.h},{a.lo},{a.c}"),
    "Lean": ("20250102_eurusd_minute_quote.csv", "",
        "{ms},{b.o},{b.h},{b.lo},{b.c},0,{a.o},{a.h},{a.lo},{a.c},0"),
    "without names": ("eurusd.csv", "", "{b.s},{b.o},{b.h},{b.lo},{b.c},0,{a.o},{a.h},{a.lo},{a.c},0"),
}  # fmt: skip


@pytest.mark.parametrize("vendor", TWO_SIDED)
def test_bars_of_bids_and_asks_have_the_mids_of_both(vendor: str) -> None:
    name, names, line = TWO_SIDED[vendor]
    asks = [bar._replace(o=bar.o + 1, h=bar.h + 1, lo=bar.lo + 1, c=bar.c + 1) for bar in BARS]
    text = "\n".join(line.format(b=b, a=a, ms=b.s % 86_400 * 1000) for b, a in zip(BARS, asks, strict=True))
    found, rows, bad = read(Cells(text, names, name))
    assert (found.kind, bad, len(rows)) == ("bars", [], ROWS)
    assert rows[5].price == pytest.approx(BARS[5].c + 0.5)
    assert (rows[5].bid, rows[5].ask, rows[5].volume) == (BARS[5].c, asks[5].c, None)
    assert rows[5].time == (BARS[5].s + 60) * 1_000_000


def test_bars_of_ninjatrader_are_in_its_order_though_opens_do_not_follow_closes() -> None:
    lines = (
        "20250102 093100,5.0,5.4,4.9,5.2,10\n20250102 093200,5.4,5.5,4.8,5.0,20\n20250102 093300,5.2,5.6,5.1,5.4,30"
    )
    found, rows, _ = read(Cells(lines, name="ES 03-25.Last.txt"))
    assert (found.vendor, found.stamped) == ("NinjaTrader", "close")
    assert [(row.open, row.price, row.volume) for row in rows] == [(5.0, 5.2, 10), (5.4, 5.0, 20), (5.2, 5.4, 30)]
    found, rows, _ = read(Cells(lines, name="SPY.csv"))
    assert (found.stamped, rows[0].price) == ("open", 5.2)


def test_ticks_of_ninjatrader_are_last_bid_ask() -> None:
    lines = "20250102 093000 0000000,5.0,5.0,5.25,3\n20250102 093000 5000000,5.25,5.0,5.25,4"
    _, rows, _ = read(Cells(lines, name="ES 03-25.Last.txt"))
    assert [(row.price, row.bid, row.ask, row.volume) for row in rows] == [(5.0, 5.0, 5.25, 3), (5.25, 5.0, 5.25, 4)]


def test_quotes_of_taq_as_wrds_gives_them() -> None:
    names = "date,time_m,time_m_nano,ex,sym_root,sym_suffix,bid,bidsiz,ask,asksiz,qu_cond,qu_seqnum"
    found, rows, _ = read(Cells("2025-01-02,9:30:00.012345,678,N,IBM,,160.0,3,160.02,4,R,1001", names, "quotes.csv"))
    assert (found.vendor, found.kind) == ("TAQ", "quotes")
    assert (rows[0].symbol, rows[0].price, rows[0].time) == ("IBM", 160.01, 1_735_828_200_012_345)


@pytest.mark.parametrize(
    ("name", "line", "kind", "price", "zone"),
    [
        (
            "20250102_spy_minute_trade.csv",
            "1000,1900000,1900200,1899900,1900100,7",
            "bars",
            190.01,
            "America/New_York",
        ),
        ("20250102_es_minute_trade_202503.csv", "1000,5900.25,5900.5,5900.0,5900.5,7", "bars", 5900.5, "UTC"),
        ("20250102_eurusd_minute_quote.csv", "1000,1.1,1.1,1.1,1.1,0,1.2,1.2,1.2,1.2,0", "bars", 1.15, "UTC"),
        ("20250102_eurusd_tick_quote.csv", "1000,1.1,1.2", "quotes", 1.15, "UTC"),
        ("20250102_btcusd_tick_quote.csv", "1000,42000.5,0.1,42001.5,0.2", "quotes", 42001.0, "UTC"),
        ("20250102_btcusd_tick_trade.csv", "1000,42000.5,0.1", "trades", 42000.5, "UTC"),
        (
            "eurusd.csv",
            "20250102 00:00,1.1,1.1,1.1,1.1,0,1.2,1.2,1.2,1.2,0\n20250103 00:00,1.1,1.1,1.1,1.1,0,1.2,1.2,1.2,1.2,0",
            "bars",
            1.15,
            "UTC",
        ),
    ],
)
def test_new_york_is_the_zone_of_the_shares_of_lean_alone(
    name: str, line: str, kind: str, price: float, zone: str
) -> None:
    found, rows, _ = read(Cells(line, name=name))
    assert (found.vendor, found.kind, found.time.zone) == ("Lean", kind, zone)
    assert rows[0].price == pytest.approx(price)


def test_ticks_of_histdata_are_known_without_its_name() -> None:
    found, rows, _ = read(
        Cells("20250102 093000065,1.1212,1.1218,0\n20250102 093010447,1.1212,1.122,0", name="x.csv")
    )
    assert (found.vendor, found.kind) == ("HistData", "quotes")
    assert (rows[0].bid, rows[0].ask, rows[0].time) == (1.1212, 1.1218, 1_735_828_200_065_000)
