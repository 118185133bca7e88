"""What a file's name tells: the symbol, the length of its bars, and the date of times that state none."""

import re
from datetime import date
from typing import NamedTuple

from cottage.files.columns import words

SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE

_LENGTHS = (
    (re.compile(r"(\d+)[ _-]?(s|sec|secs|second|seconds)", re.IGNORECASE), SECOND),
    (re.compile(r"(\d+)[ _-]?(m|min|mins|minute|minutes|t)", re.IGNORECASE), MINUTE),
    (re.compile(r"M(\d+)"), MINUTE),
    (re.compile(r"(\d+)[ _-]?(h|hr|hrs|hour|hours)", re.IGNORECASE), 60 * MINUTE),
    (re.compile(r"H(\d+)"), 60 * MINUTE),
    (re.compile(r"(\d+)[ _-]?(d|day|days)", re.IGNORECASE), DAY),
    (re.compile(r"(\d+)[ _-]?(w|week|weeks|wk)", re.IGNORECASE), 7 * DAY),
)
_WORDS = {"minute": MINUTE, "hourly": 60 * MINUTE, "hour": 60 * MINUTE, "daily": DAY, "day": DAY, "weekly": 7 * DAY}
_WORDS |= {"d1": DAY, "w1": 7 * DAY, "eod": DAY, "second": SECOND}
_MINUTES = words("1 2 3 5 10 15 20 30 60 120 240 360 480 720 1440")

_NO_SYMBOLS = words(
    "historicaldata historicalprices yahoo finance tradingview investing com mt4 mt5 metatrader dukascopy "
    "firstrate firstratedata kibot yfinance stooq alphavantage ccxt tardis polygon binance bybit okx okex kraken "
    "coinbase coinbasepro bitstamp bitfinex kucoin gate gateio huobi htx bitmex deribit gemini gdax "
    "cryptodatadownload cryptofeed cdd alpaca databento histdata truefx oanda fxcm ib ibkr tws thinkorswim schwab "
    "tradestation ninjatrader multicharts quantconnect lean zipline quandl wiki backtrader freqtrade nautilus "
    "refinitiv bloomberg algoseek tickdata lobster taq iex nasdaq nyse amex arca cme cboe excel historical "
    "history data dataset price prices trade trades tick ticks quote quotes candle candles candlestick "
    "candlesticks ohlcv ohlc ohlcvt kline klines bar bars full intraday daily hourly weekly monthly minute "
    "minutes min hour hours day days week month second seconds sec bid ask mid last adjusted unadjusted adj unadj "
    "adjsplitdiv adjsplit split spot futures future um cm message messages orderbook aggtrades aggs agg export "
    "exported csv txt json jsonl parquet feather zip gz utf16 utf8 ascii nt ms dat xlsx t v1 v2 v3 raw pretty all "
    "eqy sample test clean local localtime gmt utc time download output result results file market stock stocks "
    "equity equities forex fx crypto semicolon decimalcomma sep line series timeseries chart table tickbidask "
    "bidask eod new old copy final american nbbo bbo sip updates update snapshot snapshots rth session sorted "
    "merged combined from to us mini xnas xnys arcx xase barchart barchartdotcom marketwatch wsj googlefinance d w "
    "api live ws websocket stream streams recording advanced transactions match matches "
    "ticker tickers bookticker df dataframe kaggle jesse hummingbot hftbacktest poloniex coingecko coinmarketcap "
    "bitget mexc upbit bithumb hyperliquid dydx cryptocompare coinmetrics ftx bnce cbse tv main my backtest "
    "backtesting training train research feature features hist cmc histominute histohour histoday "
    "linear inverse allspot allswap "
    "allfutures python pandas hb recorder recorded"
)
_PAIR = re.compile(r"[A-Za-z0-9]{2,9}(?:(?i:USDT|USDC|BUSD|FDUSD|TUSD|USD|EUR|GBP|JPY|KRW|BTC|ETH))")
"""Two currencies in one word, `btcusdt`."""
_OF_PAIR = re.compile(r"[_-](?:USD[TC]?|EUR|GBP|JPY|KRW|TRY)(?![A-Za-z])")
"""What follows a word in capitals that is a currency, even if it otherwise is none: `GATE_USDT`."""
_BITFINEX = re.compile(r"t(?=[A-Z0-9]{6,10}$)")
"""The letter that Bitfinex writes before a pair, `tBTCUSD`."""
_QUOTE_CURRENCIES = words(
    "USD USDT USDC EUR GBP JPY CHF AUD CAD NZD BTC ETH BNB BUSD FDUSD TUSD DAI KRW TRY BRL CNY CNH HKD SGD SEK "
    "NOK MXN ZAR INR XBT USDE PERP"
)
_EXTENSION = re.compile(
    r"(?:\.(?:csv|tsv|txt|psv|prn|asc|dat|json|jsonl|ndjson|parquet|feather|arrow|ipc|gz|bz2|xz|zst|zip|7z|last|bid|ask))+$",
    re.IGNORECASE,
)
_DATES = re.compile(
    r"(?<!\d)(?:\d{4}[-._]\d{1,2}[-._]\d{1,2}|\d{1,2}[-._]\d{1,2}[-._]\d{4}|\d{4}[-._]\d{2}|(?:19|20)\d{6}(?:\d{4}(?:\d\d)?)?|"
    r"(?:19|20)\d{4}|(?:19|20)\d\d)(?!\d)"
)
_CONTRACT = re.compile(r"[A-Z0-9]{1,4} \d\d-\d\d|\S+ [A-Z]{2} Equity")
"""A future as NinjaTrader spells it, `ES 03-25`; a share as Bloomberg does, `AAPL US Equity`."""
_ALONE = re.compile(r"[A-Z]{1,5}")
"""Capitals alone are a symbol, even if they are a word that otherwise is none: `T`, `ALL`, `LOW`."""
_SPLIT_LENGTH = re.compile(r"(?<=_)(\d+)_([SMHD])(?=_)")
"""A length as Dukascopy spells it: `EURUSD_Candlestick_1_M_BID`."""
_DAY = re.compile(r"(?<!\d)(19\d\d|20\d\d)([-._]?)(\d\d)\2(\d\d)(?!\d)")


class FromName(NamedTuple):
    """What was found in a name; None for what was not."""

    symbol: str | None
    length: int | None
    """Of its bars, in microseconds."""
    day: date | None
    others: tuple[str, ...]
    """Words that may be the symbol too, or all those that may be if no one of them is likelier."""


def from_name(name: str) -> FromName:
    """Read a file's name, that of the innermost file of an archive; the archive's where that tells no symbol."""
    parts = [part for part in re.split(r"/", name) if part]
    best = _from_part(parts[-1])
    for part in reversed(parts[:-1]):
        if best.symbol is None and not best.others:
            outer = _from_part(part) if _EXTENSION.search(part) else None
            if outer is not None:
                best = FromName(outer.symbol, best.length or outer.length, best.day or outer.day, outer.others)
    return best


def _from_part(part: str) -> FromName:
    stem = _EXTENSION.sub("", part)
    if _CONTRACT.fullmatch(stem) or _ALONE.fullmatch(stem):
        return FromName(stem, None, None, ())
    day = _day(stem)
    rest = _SPLIT_LENGTH.sub(r"\1\2", _DATES.sub(" ", stem))
    length = None
    kept: list[tuple[int, str]] = []
    for match in re.finditer(r"@?[^\s_,;()\[\]+@-]+", rest):
        token = match[0].strip(".")
        found = _length(token)
        if found is not None and (kept or not token.isdigit()):
            length = length or found
        elif (
            token
            and not token.isdigit()
            and (token.lower() not in _NO_SYMBOLS or (token.isupper() and _OF_PAIR.match(rest, match.end())))
        ):
            kept.append((match.start(), _BITFINEX.sub("", token)))
    glued = re.fullmatch(r"([A-Z]{6,})(\d+)", kept[0][1]) if kept else None
    if glued and glued[2] in _MINUTES and length is None:  # MetaTrader 4: EURUSD1, EURUSD240
        kept[0], length = (kept[0][0], glued[1]), int(glued[2]) * MINUTE
    symbol, others = _symbol(kept, rest)
    return FromName(symbol, length, day, others)


def _symbol(kept: list[tuple[int, str]], text: str) -> tuple[str | None, tuple[str, ...]]:
    """The symbol among the words that may be one, and the others."""
    joined: list[str] = []
    end = -1
    for start, word in kept:
        mark = text[end:start] if joined else ""
        if mark == "-" and (joined[-1] + word).isupper():  # BTC-USDT-SWAP, BRK-B
            joined[-1] += f"-{word}"
        elif mark == "_" and word == "PERP":
            joined[-1] += f"_{word}"
        elif mark == "_" and "/" in joined[-1] and joined[-1].endswith(f"/{word}"):  # ccxt's contracts: BTC_USDT_USDT
            joined[-1] += f":{word}"
        elif mark in ("_", "-") and word.upper() in _QUOTE_CURRENCIES and joined[-1].isalnum():
            joined[-1] = f"{joined[-1]}/{word}".upper()
        else:
            joined.append(word)
        end = start + len(word)
    pairs = [word for word in joined if "/" in word] or [word for word in joined if _PAIR.fullmatch(word)]
    capitals = [word for word in joined if word.upper() == word and any(map(str.isalpha, word))]
    for likely in (joined, pairs, capitals):
        if len(likely) == 1:
            word = likely[0]
            return word.upper() if word.isascii() else word, tuple(each for each in joined if each != word)
    return None, tuple(joined)


def _length(token: str) -> int | None:
    for pattern, unit in _LENGTHS:
        if match := pattern.fullmatch(token):
            return int(match[1]) * unit or None
    if token in _MINUTES:
        return int(token) * MINUTE
    return _WORDS.get(token.lower())


def _day(stem: str) -> date | None:
    """The date in a name that has one."""
    days = []
    for year, _, month, day in _DAY.findall(stem):
        try:
            days.append(date(int(year), int(month), int(day)))
        except ValueError:
            continue
    return days[0] if days else None
