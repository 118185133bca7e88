"""The formats that are known by their columns, or by their files' names, and what their vendors document of them.

Whatever is not in a row of this table is told from the file itself. Only four vendors document the zone of times that
state none.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from cottage.files.columns import keys_of, words

_N = r"-?[\d.]+(?:[eE][-+]?\d+)?"
NEW_YORK = "America/New_York"
EASTERN_STANDARD = "-05:00"
_SECONDS_OHLCV = rf"\d{{8}} \d{{6}}(?:,{_N}){{5}}"
"""Bars as NinjaTrader and HistData write them, both in the same order."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """One format. It is told by all of `names`, by `file`, or by `line`; where several are stated, by all of them."""

    name: str
    names: frozenset[str] = frozenset()
    """Keys (columns.key) that are all among its columns."""
    file: str = ""
    """A regular expression that is found in the file's name."""
    line: str = ""
    """A regular expression that matches the first rows of a file without names, its cells joined by commas."""
    columns: tuple[str, ...] = ()
    """The fields of a file without names, in order; `-` for what is of no use."""
    fields: dict[str, str] = field(default_factory=dict)
    """Which key is which field, where its names mean something else than they do elsewhere."""
    unit_of_time: str = ""
    """What numbers that are times count, one of counts.UNITS, where that is known."""
    zone: str = ""
    stamp: str = ""
    """What a bar is stamped with, where that is known: `open` or `close`."""
    power: int = 0
    """Prices that are whole numbers in the whole sample are multiplied by this power of ten."""
    sentinels: tuple[float, ...] = ()
    keep: frozenset[str] = frozenset()
    """The values of the field `event` that are trades; rows of other events are left out."""
    conditions: str = ""
    """One of conditions.TABLES."""
    unit: str = ""
    """What volume is counted in."""
    carried: bool = False
    """Whether an empty bid or ask means that it is what it was."""
    no_prices: str = ""
    """Why the file cannot be used: what it holds instead of trades, quotes or bars."""


def _fields(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_LEAN_NAME = r"\d{8}_[^/]*_"
_LEAN_FIELDS = {
    "trade bars": "time open high low close volume",
    "quote bars": "time bid_open bid_high bid_low bid_close bid_size ask_open ask_high ask_low ask_close ask_size",
    "trade ticks": "time price size exchange - suspicious",
    "quote ticks": "time bid bid_size ask ask_size exchange - suspicious",
    "trades alone": "time price size",
    "quotes alone": "time bid bid_size ask ask_size",
    "quotes without sizes": "time bid ask",
}


def _lean(what: str, file: str = "", line: str = "", zone: str = NEW_YORK) -> Vendor:
    columns = _fields(_LEAN_FIELDS[what])
    unit = "milliseconds since midnight" if file else ""
    return Vendor("Lean", file=file, line=line, columns=columns, unit_of_time=unit, zone=zone, stamp="open",
                  power=-4)  # fmt: skip


def _lean_of_day(what: str, file: str, shares: str, others: tuple[tuple[str, str], ...]) -> tuple[Vendor, ...]:
    """The layouts of one kind of Lean's files of a day: that of shares, whose prices are whole and whose times New
    York's; those of `others`, whose zone is another for each market: coins, futures and currencies."""
    name = _LEAN_NAME + file
    return (
        _lean(what, file=name, line=shares),
        *(_lean(layout, file=name, line=line, zone="") for layout, line in others),
        _lean(what, file=name, zone=""),
    )


VENDORS = (
    Vendor("HistData", file=r"DAT_(?:ASCII|NT|MS)_[^/]*_M1_", columns=_fields("time open high low close volume"),
           line=_SECONDS_OHLCV, zone=EASTERN_STANDARD, stamp="open"),
    Vendor("HistData", line=rf"\d{{8}} \d{{9}}(?:,{_N}){{2}},0", columns=_fields("time bid ask -"),
           zone=EASTERN_STANDARD),
    Vendor("HistData", file=r"DAT_ASCII_[^/]*_T_", columns=_fields("time bid ask -"), zone=EASTERN_STANDARD),
    Vendor("HistData", file=r"DAT_NT_[^/]*_T_(?:LAST|BID|ASK)_", columns=_fields("time price size"),
           zone=EASTERN_STANDARD),
    Vendor("HistData", file=r"DAT_MT_", columns=_fields("date clock open high low close volume"),
           zone=EASTERN_STANDARD, stamp="open"),
    Vendor("HistData", file=r"DAT_", zone=EASTERN_STANDARD, stamp="open"),
    Vendor("TAQ", names=words("tradeprice tradevolume salecondition participanttimestamp"), zone=NEW_YORK,
           conditions="tapes", unit="shares",
           fields={"time": "receive", "participanttimestamp": "time", "tradeid": "id"}),
    Vendor("TAQ", names=words("timem symroot trscond price size"), zone=NEW_YORK, conditions="tapes", unit="shares",
           fields={"timem": "clock", "symroot": "symbol", "trscond": "conditions", "trcorr": "correction",
                   "trseqnum": "sequence"}),
    Vendor("TAQ", names=words("timem symroot bid ask"), zone=NEW_YORK, unit="shares",
           fields={"timem": "clock", "symroot": "symbol", "bidsiz": "bid_size", "asksiz": "ask_size",
                   "quseqnum": "sequence"}),
    Vendor("TAQ", file=r"EQY_US_ALL_", zone=NEW_YORK, unit="shares"),
    Vendor("LOBSTER", file=r"_message_\d+\.csv", columns=_fields("time event - size price side"), zone=NEW_YORK,
           unit_of_time="seconds since midnight",
           power=-4, sentinels=(9999999999.0, -9999999999.0), keep=words("4 5"), unit="shares"),
    Vendor("LOBSTER", file=r"_orderbook_\d+\.csv", no_prices="an order book without its times"),
    *_lean_of_day("trade ticks", r"(?i:trade_tick|tick_trade)", r"[\d.]+,\d+,[\d.]+(?:,[^,]*){2,}",
                  (("trades alone", rf"{_N}(?:,{_N}){{2}}"),)),
    *_lean_of_day("quote ticks", r"(?i:quote_tick|tick_quote)", r"[\d.]+(?:,\d*,[\d.]*){2}(?:,[^,]*){2,}",
                  (("quotes without sizes", rf"{_N}(?:,{_N}){{2}}"), ("quotes alone", rf"{_N}(?:,(?:{_N})?){{4}}"))),
    *_lean_of_day("trade bars", r"(?i:minute|second)_(?i:trade)", r"\d+(?:,\d+){4},[\d.]+", ()),
    *_lean_of_day("quote bars", r"(?i:minute|second)_(?i:quote)", r"\d+(?:(?:,\d*){4},[\d.]*){2}", ()),
    _lean("trade bars", line=r"\d{8} \d\d:\d\d(?:,\d{5,}){4},\d+"),
    _lean("quote bars", line=r"\d{8} \d\d:\d\d(?:(?:,\d{5,}){4},\d+){2}"),
    _lean("quote bars", line=rf"\d{{8}} \d\d:\d\d(?:(?:,{_N}){{4}},{_N}){{2}}", zone=""),
    Vendor("Databento", names=words("tsevent publisherid instrumentid action"), power=-9, keep=words("T"),
           sentinels=(9223372036854775807.0, 9223372036.854775807)),
    Vendor("Databento", names=words("tsevent publisherid instrumentid"), power=-9, stamp="open",
           sentinels=(9223372036854775807.0, 9223372036.854775807)),
    Vendor("Polygon", names=words("participanttimestamp siptimestamp conditions price"), conditions="polygon",
           unit="shares"),
    Vendor("Polygon", names=words("participanttimestamp siptimestamp"), unit="shares"),
    Vendor("Polygon", names=words("windowstart transactions"), stamp="open"),
    Vendor("Alpaca", names=words("p s x c z t"), conditions="tapes", unit="shares"),
    Vendor("Binance klines", line=rf"\d{{13,16}}(?:,{_N}){{5}},\d{{13,16}},{_N},\d+(?:,{_N}){{3}}", stamp="open",
           columns=_fields("time open high low close volume end quote_volume trades - - -"), unit="base"),
    Vendor("Binance klines", names=words("opentime closetime takerbuyvolume"), stamp="open", unit="base"),
    Vendor("Binance klines", names=words("opentime closetime takerbuybaseassetvolume"), stamp="open", unit="base"),
    Vendor("Binance trades", line=rf"\d+,{_N},{_N},{_N},\d{{13,16}},(?i:true|false)(?:,(?i:true|false))?",
           columns=_fields("id price size quote_volume time side -"), unit="base"),
    Vendor("Binance trades", line=rf"\d+,{_N},{_N},\d+,\d+,\d{{13,16}},(?i:true|false)(?:,(?i:true|false))?",
           columns=_fields("id price size first_id last_id time side -"), unit="base"),
    Vendor("Binance trades", names=words("aggtradeid transacttime"), unit="base"),
    Vendor("OKX candles", line=rf"\d{{13}}(?:,{_N}){{7}},[01]", stamp="open",
           columns=_fields("time open high low close volume - quote_volume finished")),
    Vendor("Gate candles", line=rf"\d{{10}}(?:,{_N}){{6}},(?i:true|false)", stamp="open",
           columns=_fields("time quote_volume close high low open volume finished")),
    Vendor("Huobi candles", names=words("id open close low high amount vol count"), stamp="open",
           fields={"id": "time", "amount": "volume", "vol": "quote_volume", "count": "trades"}),
    Vendor("Kraken", file=r"^[A-Z0-9]+_(?:1|5|15|30|60|240|720|1440)\.csv$", line=rf"\d{{10}}(?:,{_N}){{5}},\d+",
           columns=_fields("time open high low close volume trades"), stamp="open", unit="base"),
    Vendor("MetaTrader 4", line=rf"\d{{4}}\.\d\d\.\d\d,\d\d:\d\d(?:,{_N}){{4}},\d+", stamp="open",
           columns=_fields("date clock open high low close updates")),
    Vendor("MetaTrader 5", names=words("date time open tickvol vol spread"), stamp="open"),
    Vendor("MetaTrader 5", names=words("date open tickvol vol spread"), stamp="open"),
    Vendor("MetaTrader 5", names=words("date time bid ask last volume"), carried=True),
    Vendor("TradeStation", names=words("date time open high low close up down"), stamp="close"),
    Vendor("NinjaTrader", line=rf"\d{{8}} \d{{6}} \d{{7}}(?:,{_N}){{3}},\d+",
           columns=_fields("time price bid ask size")),
    Vendor("NinjaTrader", file=r"\.(?:Last|Bid|Ask)\.txt$", line=_SECONDS_OHLCV, stamp="close",
           columns=_fields("time open high low close volume")),
    Vendor("NinjaTrader", file=r"\.(?:Last|Bid|Ask)\.txt$", stamp="close"),
    Vendor("NinjaTrader or HistData", line=_SECONDS_OHLCV, columns=_fields("time open high low close volume")),
    Vendor("Nautilus", names=words("open high low close volume tsevent tsinit"), stamp="close"),
    Vendor("AlgoSeek", names=words("timestamp eventtype ticker price quantity conditions"), unit="shares",
           keep=frozenset(("TRADE", "TRADE NB")), conditions="tapes"),
    Vendor("Interactive Brokers", names=words("date open high low close volume average barcount"), stamp="open",
           sentinels=(-1.0,)),
    Vendor("Coinbase messages", names=words("type tradeid makerorderid productid price size"), unit="base",
           keep=words("match last_match")),
    Vendor("Upbit", names=words("market candledatetimeutc openingprice highprice lowprice tradeprice"), stamp="open",
           unit="base"),
    Vendor("CoinMarketCap", names=words("timeopen timeclose name open high low close marketcap"), stamp="open",
           fields={"name": "currency"}),
    Vendor("OANDA", names=words("complete volume time o h l c"), stamp="open", fields={"volume": "updates"}),
    Vendor("OANDA", names=words("complete volume time bidc askc"), stamp="open", fields={"volume": "updates"}),
    Vendor("Tardis", names=words("exchange symbol timestamp localtimestamp id side price amount")),
    Vendor("hftbacktest", names=words("event exchtimestamp localtimestamp side price qty"), keep=words("2")),
)  # fmt: skip

NO_MARKET_DATA = (
    (r"liquidations?(?![a-z])", "liquidations"),
    (r"funding[_-]?rates?(?![a-z])", "funding rates"),
    (r"open_?interest(?![a-z])|metrics-", "open interest"),
    (
        r"(?:mark|index)[_-]?prices?(?:k?lines?)?(?![a-z])|premiumindex|-mark(?![a-z])",
        "mark or index prices, at which nothing was traded",
    ),
)
"""What files hold whose columns look like trades or bars, by their names in lower case."""


def vendor_of(names: Sequence[str] | None, first: Sequence[Sequence[str]], file: str) -> Vendor | None:
    """The first format of the table that fits the columns' names, the first rows and the file's name."""
    keys = frozenset(keys_of(names)) if names else frozenset()
    lines = [",".join(cell.strip() for cell in cells) for cells in first]
    return next((vendor for vendor in VENDORS if _fits(vendor, names, keys, lines, file)), None)


def vendor_named(name: str) -> list[Vendor]:
    """The formats of a vendor's name, in any case and with or without blanks."""
    wanted = "".join(name.lower().split())
    return [vendor for vendor in VENDORS if "".join(vendor.name.lower().split()) == wanted]


def _fits(vendor: Vendor, names: Sequence[str] | None, keys: frozenset[str], lines: Sequence[str], file: str) -> bool:
    if names is not None and (vendor.line or (vendor.columns and not vendor.names)):
        return False
    if vendor.file and not re.search(vendor.file, file.rpartition("/")[2]):
        return False
    if vendor.line and not all(re.fullmatch(vendor.line, line) for line in lines):
        return False
    return vendor.names <= keys
