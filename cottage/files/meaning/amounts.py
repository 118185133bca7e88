"""How the numbers of a file are read, and what a row is made of."""

import re
import time
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise

from cottage.errors import UnusableSource
from cottage.files.cell_table import Guess
from cottage.files.cells.numbers import number_styles, style_for
from cottage.files.columns import (
    ASK_BARS,
    BID_BARS,
    OPEN_TO_CLOSE,
    key,
    words,
)
from cottage.files.meaning.case import Case
from cottage.files.meaning.moments import rows_of_symbols
from cottage.files.meaning.row_reader import (
    Bar,
    Number,
)
from cottage.files.meaning.sample import middle
from cottage.files.rows import BadRow

_FEWEST_RISES = 20
_FEWEST_VOLUMES = 3
_ROUNDED = 0.999
"""Volumes are rounded: an average price lies this near to a bar's range."""
_SHOWS_MARK = {
    ",": re.compile(r"-?\d{1,3}(?:\.\d{3})+,\d+|-?\d{1,3}(?:\.\d{3}){2,}"),
    ".": re.compile(r"-?\d{1,3}(?:,\d{3})+\.\d+|-?\d{1,3}(?:,\d{3}){2,}"),
}
"""Numbers that tell the decimal mark by themselves."""
_PRICES = frozenset((*OPEN_TO_CLOSE, *BID_BARS, *ASK_BARS, "price", "bid", "ask", "adj_close", "vwap"))
_NUMBERS = _PRICES | words("size volume quote_volume trades updates up_volume down_volume first_id last_id")


def read_numbers(case: Case) -> None:
    """How each number is read, and what a row is made of."""
    used = {name: place for name, place in case.roles.items() if name in _NUMBERS}
    columns = {case.sample.label(place): case.sample.columns[place] for place in used.values()}
    likely = "." if case.table.plain_numbers or case.vendor else _mark_elsewhere(case, set(used.values()))
    styles = number_styles(columns, case.options.decimal, likely)
    case.guesses += [style.guess for style in styles.values() if style.guess is not None]
    vendor = case.vendor
    prices = [place for name, place in used.items() if name in _PRICES]
    power = vendor.power if vendor and vendor.power and _are_whole(case, prices) else 0
    if power and vendor:
        case.notes.append(f"prices are whole numbers of 1e{power}, as {vendor.name} has them")
    readers: dict[str, Number] = {}
    for name, place in used.items():
        style = styles[case.sample.label(place)]
        sentinels = vendor.sentinels if vendor else ()
        style = style_for(style, name, power if name in _PRICES else 0, sentinels)
        readers[name] = _cell_reader(style.read, place)
    _fill(case, readers)


def _mark_elsewhere(case: Case, used: Collection[int]) -> str:
    """The decimal mark that the columns which are not used show, if they show one: `1.234,50`."""
    unused = [place for place in range(case.sample.width) if place not in used]
    texts = [text for place in unused for text in case.sample.examples(place)]
    shown = {mark for mark, pattern in _SHOWS_MARK.items() if any(map(pattern.fullmatch, texts))}
    return shown.pop() if len(shown) == 1 else ""


def drop_running_total(case: Case) -> None:
    """Forget the volume beside trades if it only rises, or moves by less than a hundredth of itself: a feed's total
    of the day or of the last 24 hours, not what was traded."""
    place = case.roles.get("size") if case.kind == "trades" else None
    values = case.sample.numbers(place) if place is not None else None
    if place is None or values is None or "vol" not in case.sample.label(place).lower():
        return
    pairs = [pair for rows in rows_of_symbols(case) for pair in pairwise(rows)]
    rises = sum(values[after] > values[before] for before, after in pairs)
    falls = sum(values[after] < values[before] for before, after in pairs)
    slow = sum(0 < abs(values[after] - values[before]) < values[before] / 100 for before, after in pairs)
    label = case.sample.label(place)
    if any(key(name).startswith("marketcap") for name in case.sample.names or ()):
        del case.roles["size"]
        case.notes.append(f"{label} stands beside a market capitalisation: a total of the day, taken as not told")
    elif rises >= _FEWEST_RISES and falls <= rises / 100:
        del case.roles["size"]
        case.notes.append(f"{label} only rises, as a total of the day does: taken as not told")
    elif rises + falls >= _FEWEST_RISES and slow >= 0.99 * (rises + falls):
        del case.roles["size"]
        case.notes.append(f"{label} hardly moves, as a total of the last 24 hours does: taken as not told")


def swap_volumes(case: Case) -> None:
    """Volume and what was paid for it, where names give them the other way round: what was paid for one unit lies
    between a bar's low and its high."""
    places = [case.roles.get(name) for name in ("volume", "quote_volume", "low", "high")]
    columns = [case.sample.numbers(place) for place in places if place is not None]
    if len(columns) < len(places) or None in columns:
        return
    rows = [row for row in zip(*columns, strict=True) if row[0] > 0 and row[1] > 0]
    swapped = sum(low * _ROUNDED <= volume / paid <= high / _ROUNDED for volume, paid, low, high in rows)
    as_named = sum(low * _ROUNDED <= paid / volume <= high / _ROUNDED for volume, paid, low, high in rows)
    if len(rows) >= _FEWEST_VOLUMES and swapped > 0.9 * len(rows) > as_named:
        case.roles["volume"], case.roles["quote_volume"] = case.roles["quote_volume"], case.roles["volume"]
        volume, paid = (case.sample.label(case.roles[name]) for name in ("volume", "quote_volume"))
        case.notes.append(f"{paid} is what was paid for {volume}, by their numbers")


def _are_whole(case: Case, places: Sequence[int]) -> bool:
    return all("." not in text for place in places for text in case.sample.examples(place))


def _fill(case: Case, readers: dict[str, Number]) -> None:
    parts, roles = case.parts, case.roles
    parts.price, parts.bid, parts.ask = (readers.get(name) for name in ("price", "bid", "ask"))
    if "close" in readers:
        close = readers["close"]
        parts.bar = Bar(*(readers.get(name, close) for name in OPEN_TO_CLOSE))
        _adjusted(case, readers)
    if all(name in readers for name in (*BID_BARS, *ASK_BARS)):
        parts.bid_bar = Bar(*(readers[name] for name in BID_BARS))
        parts.ask_bar = Bar(*(readers[name] for name in ASK_BARS))
        case.notes.append("bars of bids and asks: the price is the middle of both")
    parts.size = readers.get("volume" if case.kind == "bars" else "size")
    if "up_volume" in readers and "down_volume" in readers and "volume" not in readers:
        up, down = readers["up_volume"], readers["down_volume"]
        parts.size = lambda cells: (up(cells) or 0.0) + (down(cells) or 0.0)
        case.notes.append("volume is that of rises and that of falls together")
    if "size" in roles and case.kind == "trades":
        sizes = case.sample.numbers(roles["size"]) or []
        parts.signed = sum(each < 0 for each in sizes) > len(sizes) / 50
        if parts.signed:
            case.notes.append("a size below 0 is taken as a sale's")
    parts.trades = readers.get("trades") or readers.get("updates") or readers.get("last_id")
    if "trades" not in readers and "updates" not in readers and "last_id" in readers:
        parts.first_id = readers.get("first_id")
    if "trades" not in readers and "updates" in readers:
        label = case.sample.label(roles["updates"])
        case.notes.append(f"{label} counts quote updates: it goes to trades, and is no volume")
        if case.sample.names is None:
            case.guesses.append(
                Guess(f"what {label} counts", "quote updates", "volume", f"SIZE={roles['updates'] + 1}")
            )
    parts.carried = bool(case.vendor and case.vendor.carried)


def _adjusted(case: Case, readers: dict[str, Number]) -> None:
    """PRICE=adj; and where close and adjusted close are in a ratio that changes, that is said with its dates."""
    wanted = case.options.price == "adj"
    place = case.roles.get("adj_close")
    if place is None:
        if wanted:
            raise UnusableSource(f"{case.sample.name} has no adjusted close: PRICE=adj needs one")
        return
    if wanted:
        case.parts.adjusted = readers["adj_close"]
        return
    closes, adjusted = case.sample.numbers(case.roles["close"]), case.sample.numbers(place)
    if closes is None or adjusted is None:
        return
    ratios = [
        (b / a, _day(case, row))
        for row, (a, b) in enumerate(zip(closes, adjusted, strict=True))
        if a > 0 and b / a > 0 and case.stamps[row] is not None
    ]
    changes = [day for (before, _), (after, day) in pairwise(ratios) if abs(after / before - 1) > 1e-3]
    if changes:
        shown = ", ".join(changes[:5]) + (f" and {len(changes) - 5} more" if len(changes) > 5 else "")
        case.notes.append(f"adjusted close to close changes its ratio on {shown} (a split or dividend): PRICE=adj")
    if ratios and abs(ratios[0][0] - 1) > 1e-6:
        label = case.sample.label(place)
        case.guesses.append(Guess("the price", "the close as it was traded", f"{label}", "PRICE=adj"))


def _day(case: Case, row: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime((case.stamps[row] or 0) / 1e6))


def spreads(case: Case) -> dict[str, float]:
    """The median spread of each symbol as a share of its mid, and of all under the empty name."""
    found: dict[str, list[float]] = {"": []}
    bid_of, ask_of = case.parts.bid, case.parts.ask
    assert bid_of is not None
    assert ask_of is not None
    for cells in case.sample.rows:
        try:
            bid, ask, symbol = bid_of(cells), ask_of(cells), case.parts.symbol(cells)[0]
        except BadRow:
            continue
        if bid and ask and 0 < bid < ask:
            share = 2 * (ask - bid) / (ask + bid)
            found[""].append(share)
            found.setdefault(symbol, []).append(share)
    return {symbol: middle(shares) for symbol, shares in found.items() if shares}


def _cell_reader(read: Callable[[str], float | None], place: int) -> Number:
    return lambda cells: read(cells[place])
