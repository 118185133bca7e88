"""Whether a file holds trades, quotes or bars: some bars are trades or tickers in the form of bars."""

from itertools import pairwise

from cottage.errors import UnusableSource
from cottage.files.columns import (
    ASK_BARS,
    BID_BARS,
    OPEN_TO_CLOSE,
    words,
)
from cottage.files.meaning import bars
from cottage.files.meaning.case import Case
from cottage.files.meaning.moments import rows_of_symbols, stamps_of_symbols
from cottage.files.meaning.publication import stated_length

_OF_SESSION = words("open high low volume quote_volume trades vwap")
_FEWEST_OF_SESSION = 10


def kind_of(case: Case) -> str:
    roles = case.roles.keys()
    if {"bid", "ask"} <= roles and "price" in roles and _has_no_trades(case):
        del case.roles["price"]
        return "quotes"
    if "close" in roles and _are_of_session(case):
        case.notes.append("open, high, low and volume are those of the session so far: only the last price is taken")
        case.roles = {name: place for name, place in case.roles.items() if name not in _OF_SESSION}
        case.roles["price"] = case.roles.pop("close")
        return "trades"
    if "close" in roles and _are_ticks(case):
        case.notes.append(
            "open, high, low and close are the same on every row, at no regular times: these are trades"
        )
        case.roles["price"] = case.roles["close"]
        if "volume" in roles:
            case.roles["size"] = case.roles["volume"]
        return "trades"
    if all(name in roles for name in (*BID_BARS, *ASK_BARS)) or "close" in roles:
        return "bars"
    if "price" in roles:
        return "trades"
    if {"bid", "ask"} <= roles:
        return "quotes"
    raise UnusableSource(f"{case.sample.name}: its price is empty on every row looked at")


def _has_no_trades(case: Case) -> bool:
    """Whether no row of the sample is a trade, by the vendor's column of events."""
    place = case.roles.get("event")
    keep = case.vendor.keep if case.vendor else frozenset()
    return bool(keep) and place is not None and keep.isdisjoint(case.sample.columns[place])


def _are_of_session(case: Case) -> bool:
    """Whether open, high and low are those of the day so far, as a ticker reports them: the open stays."""
    if "open" not in case.roles or case.sample.names is None:
        return False
    opens, closes = case.sample.columns[case.roles["open"]], case.sample.columns[case.roles["close"]]
    pairs = [pair for rows in rows_of_symbols(case) for pair in pairwise(rows)]
    stays = sum(opens[a] == opens[b] for a, b in pairs)
    moves = sum(closes[a] != closes[b] for a, b in pairs)
    return len(pairs) >= _FEWEST_OF_SESSION and stays > 0.9 * len(pairs) and moves > 0.2 * len(pairs)


def _are_ticks(case: Case) -> bool:
    """Whether bars are trades that were written in the form of bars."""
    places = [case.roles[name] for name in OPEN_TO_CLOSE if name in case.roles]
    if len(places) < 4 or case.options.stamp:
        return False
    same = all(len({cells[place] for place in places}) == 1 for cells in case.sample.rows)
    return same and bars.length_by_gaps(stamps_of_symbols(case), stated_length(case)) is None
