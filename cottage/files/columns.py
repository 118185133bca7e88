"""Which field each named column of a file is: the names as vendors, brokers and spreadsheets of nine languages spell
them. layout.py does it for files without names, by their numbers; understanding.py uses both."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence

Roles = dict[str, int]
"""Fields, such as `price`, and the place of each one's column, counted from 0."""


def words(text: str) -> frozenset[str]:
    """The words of a text, for tables of them."""
    return frozenset(text.split())


OPEN_TO_CLOSE = ("open", "high", "low", "close")
BID_BARS = tuple(f"bid_{name}" for name in OPEN_TO_CLOSE)
ASK_BARS = tuple(f"ask_{name}" for name in OPEN_TO_CLOSE)

_SHARED = {
    "time": "opentime windowstart starttime start startat timeperiodstart timebarstart opentimestamp timeopen "
    "candlebegintime candledatetimeutc microtimestamp timestampns timestampus timestampms createtimems "
    "time timestamp tsevent datetime transacttime transactiontime "
    "tradetime exchtimestamp exchts exchangetime exchangetimestamp eventtime "
    "participanttimestamp unix unixtime unixtimestamp epoch epochtime createdtime createdat gmttime utctime "
    "localtime mts ts ticktime quotetime createtime timens timems timeutc datetimeutc "
    "dateutc timestamputc snappedat begin timekey dtime datetimeg tradetimestamp snapshottimeutc snapshottime "
    "dt periodstart zeitstempel dateheure fechahora horodatage barstart from ticks "
    "startdate ratedatetime",
    "date": "date 날짜 일자 日付 observationdate dates datenum traddt bizdt 日期 交易日期 datum fecha data "
    "jour giorno dtyyyymmdd yyyymmdd tradedate "
    "tradingdate tradingday day "
    "dateg tradedateutc handelstag",
    "clock": "minute time zeit uhrzeit heure hora ora timeofday hhmmss timestamp timeg tradetime utctime times "
    "msofday secondsofday",
    "offset": "gmtoffset utcoffset tzoffset",
    "receive": "localtimestamp tsrecv receipttimestamp receivetime receivetimestamp receivedat receivedtime recvtime "
    "recvts recvtimestamp localts tsinit siptimestamp arrivaltime collectedat capturetime",
    "end": "closetime enddate windowend timeperiodend endtime timeclose closetimestamp barend to stop periodend",
    "symbol": "symbol tckrsymb 代码 股票代码 ticker sym tickersymbol instrument instrumentname instid productid pair "
    "currencypair ric contract tradingsymbol symbole simbolo simbol wertpapier product secid tsym tscode code "
    "isin market marketid stock name asset instrumentid localsymbol rootsymbol item coin tradingpair assetid",
    "bid": "bid bidprice ratebid bidrate bidpx bidpx00 bestbid bestbidprice bp bids0price bid1 bidprice1 "
    "bidp bidpx1 bprice geld "
    "bidclose closebid",
    "ask": "ask askprice rateask askrate askpx askpx00 bestask bestaskprice ap asks0price ask1 askprice1 "
    "askp askpx1 offer "
    "offerprice aprice brief bestoffer bestofferprice askclose closeask ofr",
    "bid_size": "bidsize bidvolume bidqty bidsz00 bidamount bidquantity bs bids0amount bidsize1 bidvol bidsz",
    "ask_size": "asksize askvolume askqty asksz00 askamount askquantity as asks0amount asksize1 askvol offersize "
    "asksz",
    "conditions": "conditions condition salecondition salesconditions saleconditions salescondition tradeconditions "
    "tradecondition conditioncodes condcode cond qualifiers conditioncode saleconditioncode",
    "correction": "tradecorrectionindicator correction correctionindicator corr correctionind update",
    "sequence": "sequence sequencenumber seq seqnum tradeseq seqno sequenceid",
    "id": "id tradeid ltid aggtradeid tid trdmatchid matchid execid dealid tradenumber aggregatetradeid executionid "
    "transactionid tradeno",
    "event": "eventtype type recordtype action msgtype event ticktype messagetype",
    "side": "side direction takerside buysell isbuyermaker tradeside aggressorside aggressor makerside m "
    "takerorderside",
    "suspicious": "suspicious",
    "exchange": "exchange venue exch exchangecode market",
}
_TRADE = {
    "price": "price px lastprice prc tradeprice tradepx last rate kurs preis prix precio cours cotizacion execprice "
    "ultimo dernier zuletzt ultimokurs letzter lastpx close value prezzo preco prices marketprice "
    "priceusd",
    "size": "size qty quantity executed amount volume vol tradevolume tradesize tradeqty lastsize lastqty lastvolume "
    "shares stuck stucke stueck stuecke menge anzahl quantite cantidad "
    "quantidade quantita volumen sz baseqty basevolume "
    "nombre titres umsatz baseamount execqty execsize contracts lots",
    "quote_volume": "quoteqty quotevolume quoteamount foreignnotional turnover cost funds",
    "first_id": "firsttradeid firstid",
    "last_id": "lasttradeid lastid",
    "trades": "tradecount count numtrades",
}
_BAR = {
    "open": "open otwarcie 시가 始値 openprc opnpric 开盘 开盘价 openprice priceopen pxopen o opened first "
    "firsttradeprice "
    "openingprice 1open mido midopen "
    "opentrade eroffnung eroffn eroeffnung erster startkurs anfang ouverture ouv apertura aper abertura openpx",
    "high": "high hoog najwyzszy 고가 高値 askhi hghpric 最高 最高价 highprice pricehigh pxhigh h max maxprice "
    "highest hightradeprice 2high midh midhigh "
    "hightrade hoch hochst hochstkurs hoechst tageshoch haut plushaut maximo maxima massimo max maxi "
    "hightradedprice highpx",
    "low": "low laag najnizszy 저가 安値 bidlo lwpric 最低 最低价 lowprice pricelow pxlow l min minprice lowest "
    "lowtradeprice 3low midl midlow lowtrade "
    "tief tiefst tiefstkurs tagestief bas plusbas minimo minima min mini lowpx",
    "close": "close slot slotkoers zamkniecie 종가 終値 prc latest clspric 收盘 收盘价 closeprice priceclose "
    "pxlast pxclose "
    "closelast c closed lasttradeprice 4close midc "
    "midclose closetrade closingprice schluss schlusskurs zuletzt letzter cloture clot dernier cierre ultimo "
    "fechamento chiusura settle settlement settleprice last lastprice price kurs closepx ult tradeprice",
    "adj_open": "adjopen adjustedopen openadj",
    "adj_high": "adjhigh adjustedhigh highadj",
    "adj_low": "adjlow adjustedlow lowadj",
    "adj_close": "adjclose adjustedclose closeadj adjusted adjcloseprice adjustedcloseprice adj 5adjustedclose",
    "volume": "quantidade volume sharestraded wolumen 거래량 出来高 noofshares numberofshares nbofshares "
    "tottrdqty ttltrdqnty "
    "ttltradgvol 成交量 vol volumetraded basevolume basevol volumebase pxvolume shares "
    "stuck stucke stueck stuecke "
    "volumen umsatz quantite cantidad qty quantity size 5volume 6volume totvolume volumefrom totalvolume "
    "tradevolume tradedvolume amount sharevolume dailyvolume realvolume matchedvolume volumeshares "
    "candleacctradevolume basetokenvolume",
    "quote_volume": "quotevolume tottrdval ttltrfval totalturnover 成交额 quotevol quoteassetvolume turnover "
    "volumequote volquote volccyquote amount "
    "value volumeto quoteqty money quoteamount dollarvolume vol volumenotional "
    "candleacctradeprice usdvolume",
    "trades": "trades count ttlnboftxsexctd tradecount numtrades numberoftrades transactions tradescount "
    "barcount ntrades "
    "totaltrades notrades nooftrades numberoftransactions tradenum n tradesdone numtransactions",
    "updates": "tickvol tickvolume tickcount",
    "up_volume": "up upvolume upvol buyvolume buyvol volumebuy",
    "down_volume": "down downvolume downvol sellvolume sellvol volumesell",
    "finished": "confirm confirmed complete completed isclosed isfinal isfinished closed final finished windowclose",
    "period": "period per interval timeframe resolution rtype timespan",
    "vwap": "vwap average vw weightedaverage avgprice wap volumeweightprice",
}
_QUOTE_BAR = {
    f"{side}_{name}": f"{side}{name} {name}{side} {side}{name[0]} {side}s{name} {side}price{name} {name}price{side}"
    for side in ("bid", "ask")
    for name in OPEN_TO_CLOSE
}
_BOOK = frozenset({"issnapshot", "level", "pricelevel", "updatetype", "booklevel", "orderbookid"})
"""Names that only updates of an order book have: their prices and sizes are no trades."""
_NESTED = re.compile(r"\w+(?:\.\w+)*\.\w+")
_NO_SYMBOLS = words(
    "price prices adj adjusted bid ask mid k kline candle bar last trade ohlc data stats day prevday daily"
)
_AFTER_SLASH = re.compile(r"\s*/\s*[^\x00-\x7f].*")
_UNIT = re.compile(r"\s*[(\[].*?[)\]]\s*$")
_MONEY = words("usd usdt usdc busd eur gbp jpy krw")
_CURRENCY_VOLUME = re.compile(r"volume_?([a-z]{2,6})")


_OF_PRICES = words(" ".join(aliases for table in (_TRADE, _BAR, _QUOTE_BAR) for aliases in table.values()))
_OF_PRICES |= words(" ".join(_SHARED[field] for field in ("bid", "ask", "bid_size", "ask_size")))
_ALIASES = _OF_PRICES | words(" ".join(_SHARED.values()))


def key(name: str) -> str:
    """A name as the tables of aliases have it: letters and digits alone, lower case, accents and units left out."""
    name = _UNIT.sub("", _AFTER_SLASH.sub("", name.strip()))
    folded = unicodedata.normalize("NFKD", name.replace("ß", "ss")).lower()
    return unicodedata.normalize("NFC", "".join(each for each in folded if each.isalnum()))


def keys_of(names: Iterable[str]) -> list[str]:
    """The key of each name; of nested names, such as `k.close`, that of the last part where all of them have the same
    first part."""
    names = [name.strip() for name in names]
    nested = [name for name in names if _NESTED.fullmatch(name)]
    inner = len(nested) >= 3 and len({name.rpartition(".")[0] for name in nested}) == 1
    return [key(name.rpartition(".")[2] if inner and name in nested else name) for name in names]


def is_field(name: str) -> bool:
    """Whether a column of this name is a field by itself."""
    return key(name) in _ALIASES


def is_price_or_amount(name: str) -> bool:
    """Whether a column of this name is a price, a size or a count by itself."""
    return key(name) in _OF_PRICES


def without_symbol(names: Sequence[str]) -> tuple[list[str], str | None]:
    """Names without the symbol that all of them have before or behind the field, and that symbol: `Close SPY` of
    header rows in two levels, `AAPL.Close` of R. None where they have none in common."""
    prices = {key_ for name in (*OPEN_TO_CLOSE, "volume") for key_ in _BAR[name].split()}
    for mark in (" ", "."):
        for place in (0, -1):
            parts = {name: name.strip().rsplit(mark, 1) if place else name.strip().split(mark, 1) for name in names}
            named = {
                name: (pair[place], pair[~place]) for name, pair in parts.items() if len(pair) == 2 and all(pair)
            }
            words = [word for word, rest in named.values() if key(rest) in prices]
            word = max(set(words), key=words.count) if words else ""
            if words.count(word) >= 3 and not word.isdigit() and key(word) not in _NO_SYMBOLS:
                return [
                    named[name][1]
                    if name in named and named[name][0] == word
                    else name.strip().split(" ")[-1]
                    if mark == " "
                    else name
                    for name in names
                ], word
    return list(names), None


def time_places(names: Sequence[str]) -> list[int]:
    """The places of columns whose names say that they are times, the likeliest first."""
    keys = keys_of(names)
    return [place for alias in _SHARED["time"].split() for place, each in enumerate(keys) if each == alias]


def is_book(names: Sequence[str]) -> bool:
    """Whether the columns are those of updates of an order book."""
    return not _BOOK.isdisjoint(keys_of(names))


def roles_by_name(names: Sequence[str], texts: Collection[int] = ()) -> Roles:
    """The fields that columns of these names are. `texts` are the places of columns that hold words, not numbers;
    they decide where single letters mean this or that. The tables' order decides between several columns."""
    keys = keys_of(names)
    quote_bar = _taken(keys, _QUOTE_BAR)
    last_parts = [each.strip().rpartition(".")[2] for each in names]
    if sum(len(name) == 1 for name in last_parts) >= 3 and len(quote_bar) < 8:
        letters = _by_letters(last_parts, texts)
        return _taken(keys, _SHARED, _taken(keys, _BAR, letters) if "open" in letters else letters)
    bar = _taken(keys, {name: _BAR[name] for name in OPEN_TO_CLOSE})
    if len(quote_bar) == 8 and "close" not in bar:
        roles = _taken(keys, _BAR, quote_bar)
    elif all(name in bar for name in OPEN_TO_CLOSE) or _is_close_only(keys, bar):
        roles = _taken(keys, _BAR)
        _volume_of_currencies(keys, roles)
    else:
        roles = _taken(keys, _TRADE)
    return _taken(keys, _SHARED, roles)


def _is_close_only(keys: list[str], bar: Roles) -> bool:
    """Whether the only price is a bar's close, as of a table of closes."""
    return "close" in bar and keys[bar["close"]] in {
        "close",
        "adjclose",
        "closeprice",
        "schlusskurs",
        "settle",
        "pxlast",
    }


def _taken(keys: list[str], table: dict[str, str], roles: Roles | None = None) -> Roles:
    """`roles`, and the fields of the table for which there is a column that no other field has."""
    found = dict(roles or {})
    for field, aliases in table.items():
        if field not in found:
            used = set(found.values())
            for alias in aliases.split():
                places = [place for place, each in enumerate(keys) if each == alias and place not in used]
                if places:
                    found[field] = places[0]
                    break
    return found


def _is_money(name: str) -> bool:
    return name.removeprefix("volume").lstrip("_") in _MONEY


def _volume_of_currencies(keys: list[str], roles: Roles) -> None:
    """`Volume BTC` and `Volume USDT` are the volume and what was paid for it, money after what is no money, else in
    that order; dollars alone are what was paid."""
    places = [place for place, each in enumerate(keys) if _CURRENCY_VOLUME.fullmatch(each)]
    places = [place for place in places if place not in roles.values()]
    places.sort(key=lambda place: _is_money(keys[place]))
    is_paid = len(places) == 1 and _is_money(keys[places[0]])
    if "volume" not in roles and places and not is_paid:
        roles["volume"] = places.pop(0)
    if "quote_volume" not in roles and places:
        roles["quote_volume"] = places.pop(0)


_LETTERS_OF_BARS = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume", "n": "trades", "t": "time"}
_LETTERS_OF_BARS |= {"vw": "vwap", "q": "quote_volume", "x": "finished", "i": "period"}
_LETTERS_OF_TRADES = {"p": "price", "i": "id", "a": "id", "c": "conditions", "f": "first_id", "l": "last_id"}
_LETTERS_OF_TRADES |= {"u": "correction", "m": "side", "x": "exchange", "sym": "symbol"}
_LETTERS_OF_QUOTES = {"bp": "bid", "ap": "ask", "bs": "bid_size", "as": "ask_size", "t": "time", "sym": "symbol"}
_LETTERS_OF_BEST = {"b": "bid", "a": "ask", "B": "bid_size", "A": "ask_size", "T": "time", "E": "time"}
_LETTERS_OF_DAYS = {"c": "price", "b": "bid", "a": "ask", "B": "bid_size", "A": "ask_size", "E": "time"}
"""Of the last 24 hours, each second anew: open, high, low and volume are those of the hours, not of a bar."""


def _by_letters(names: list[str], texts: Collection[int]) -> Roles:
    """The fields of messages whose names are single letters, as websockets send them; capitals differ from others."""
    place = {name: at for at, name in enumerate(names)}

    def where(table: dict[str, str]) -> Roles:
        return {field: place[letter] for letter, field in reversed(table.items()) if letter in place}

    def is_text(letter: str) -> bool:
        return place.get(letter) in texts

    if {"o", "h", "l", "c", "E"} <= place.keys() and "t" not in place:
        roles = where(_LETTERS_OF_DAYS)
    elif {"o", "h", "l", "c"} <= place.keys():
        roles = where(_LETTERS_OF_BARS)
    elif {"bp", "ap"} <= place.keys():
        roles = where(_LETTERS_OF_QUOTES)
    elif {"b", "a"} <= place.keys() and "p" not in place and not is_text("b"):
        roles = where(_LETTERS_OF_BEST)
    else:
        roles = where(_LETTERS_OF_TRADES)
        sizes = [letter for letter in "sqv" if letter in place and not is_text(letter)]
        if sizes:
            roles["size"] = place[sizes[0]]
        if "q" in place and sizes[:1] != ["q"]:
            roles["sequence"] = place["q"]
        times = [
            letter for letter in ("y", "T", "t", "E") if letter in place and (letter == "t" or not is_text(letter))
        ]
        if times:
            roles["time"] = place[times[0]]
        if times[:1] == ["y"] and "t" in place:
            roles["receive"] = place["t"]
        if times[:1] == ["T"] and "t" in place:
            roles["id"] = place["t"]
    symbols = [letter for letter in ("S", "s", "T") if is_text(letter)]
    if "symbol" not in roles and symbols:
        roles["symbol"] = place[symbols["s" in symbols and "S" in symbols]]
    return roles
