"""What is told by a file's name: symbol, length of bars, and date."""

from datetime import date

import pytest

from cottage.files.meaning.file_names import DAY, MINUTE, from_name


@pytest.mark.parametrize(
    ("name", "symbol", "length"),
    [
        ("BTCUSDT-1m-2024-12-31.csv", "BTCUSDT", MINUTE),
        ("BINANCE_BTCUSDT, 60.csv", "BTCUSDT", 60 * MINUTE),
        ("BTC_USDT-5m.json", "BTC/USDT", 5 * MINUTE),
        ("BTC_USDT_USDT-1h-futures.feather", "BTC/USDT:USDT", 60 * MINUTE),
        ("BTC-USDT-SWAP-trades-2023-03-01.csv", "BTC-USDT-SWAP", None),
        ("BTCUSD_PERP-1m-2024.csv", "BTCUSD_PERP", MINUTE),
        ("EURUSD1440.csv", "EURUSD", DAY),
        ("EURUSD_M5_202501020000_202501312359.csv", "EURUSD", 5 * MINUTE),
        ("EURUSD_Candlestick_1_M_BID_01.01.2020-31.12.2020.csv", "EURUSD", MINUTE),
        ("Bitcoin_Historical_Data.csv", "BITCOIN", None),
        ("aapl.us.txt", "AAPL.US", None),
        ("BRK-B.csv", "BRK-B", None),
        ("^GSPC.csv", "^GSPC", None),
        ("@ES.txt", "@ES", None),
        ("ES 03-25.Last.txt", "ES 03-25", None),
        ("T.csv", "T", None),
        ("my_export_AAPL.csv", "AAPL", None),
        ("archive.zip/20250102_spy_minute_trade.csv", "SPY", MINUTE),
        ("aapl_us_d.csv", "AAPL", None),
        ("jpyusd_barchartdotcom.csv", "JPYUSD", None),
        ("Download Data - STOCK_US_XNAS_AAPL.csv", "AAPL", None),
        ("CME_MINI_ES1!, 5.csv", "ES1!", 5 * MINUTE),
        ("XRP_ETH-trades.json.gz", "XRP/ETH", None),
        ("ETH_USDT-1m.feather", "ETH/USDT", MINUTE),
        ("GATE_USDT-1h.csv", "GATE/USDT", 60 * MINUTE),
        ("btcusdt_1h_mine.csv", "BTCUSDT", 60 * MINUTE),
        ("tBTCUSD_1m.json", "BTCUSD", MINUTE),
        ("okx_api.json", None, None),
        ("trades.csv", None, None),
        ("coinbase_candles.csv", None, None),
    ],
)
def test_symbol_and_length(name: str, symbol: str | None, length: int | None) -> None:
    found = from_name(name)
    assert (found.symbol, found.length) == (symbol, length)


def test_the_date_of_times_without_one() -> None:
    assert from_name("SPY_2025-01-02_34200000_57600000_message_1.csv").day == date(2025, 1, 2)
    assert from_name("EQY_US_ALL_TRADE_20250102.psv").day == date(2025, 1, 2)
    assert from_name("BTCUSDT-1m-2025-01.csv").day is None


def test_what_may_be_the_symbol_too_is_told() -> None:
    assert from_name("gold silver.csv").symbol is None
    assert from_name("gold silver.csv").others == ("gold", "silver")
