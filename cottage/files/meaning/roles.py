"""Which field each column of one file is, by what is stated, by names and by the vendor's table."""

import re
from collections.abc import Sequence

from cottage.errors import UnusableSource
from cottage.files.cell_table import Ambiguous, Guess
from cottage.files.columns import (
    ASK_BARS,
    BID_BARS,
    Roles,
    is_book,
    key,
    roles_by_name,
    without_symbol,
)
from cottage.files.meaning.case import Case, choose
from cottage.files.meaning.time_layout import times_by_numbers
from cottage.files.meaning.vendors import NO_MARKET_DATA

_MESSAGES = {
    "markPriceUpdate": "mark prices, at which nothing was traded",
    "forceOrder": "liquidations",
    "depthUpdate": "updates of an order book",
}
_FORMAT_WORDS = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume", "t": "time", "p": "price"}
_FORMAT_WORDS |= {"timestamp": "time", "ticker": "symbol", "qty": "size", "amount": "size", "_": "-", "": "-"}


def refuse_other_data(case: Case) -> None:
    name = case.sample.name.rpartition("/")[2].lower()
    held = next((what for pattern, what in NO_MARKET_DATA if re.search(pattern, name)), "")
    if case.sample.names and is_book(case.sample.names):
        held = "updates of an order book, which are no trades"
    held = held or _other_messages(case)
    if case.vendor and case.vendor.no_prices:
        held = case.vendor.no_prices
    if held and not case.stated:
        raise UnusableSource(
            f"{case.sample.name} holds {held}: it cannot be replayed; take the trades, quotes or bars"
        )


def _other_messages(case: Case) -> str:
    """What the messages of Binance's websockets hold that are no trades, quotes or bars, or each trade twice."""
    places = [place for place, name in enumerate(case.sample.names or ()) if name.rpartition(".")[2] == "e"]
    kinds = set(case.sample.columns[places[0]]) if places else set()
    if {"trade", "aggTrade"} <= kinds:
        return "single and aggregated trades, which are the same ones twice"
    return ", ".join(what for kind, what in _MESSAGES.items() if kind in kinds)


def fields_by_names(case: Case) -> Roles:
    """The fields as far as names, the vendor or FORMAT tell them."""
    sample, vendor = case.sample, case.vendor
    if case.stated:
        columns: Sequence[str] = [_FORMAT_WORDS.get(word.lower(), word.lower()) for word in case.stated]
        roles = {field: place for place, field in enumerate(columns) if field not in ("", "-")}
    elif sample.names is not None:
        names, case.symbol_in_names = without_symbol(sample.names)
        roles = roles_by_name(names, sample.texts())
        _refuse_twice(case, names, roles)
        _vendor_fields(case, roles)
    elif vendor and vendor.columns:
        if abs(len(vendor.columns) - sample.width) > 1 and sample.width < len(vendor.columns):
            raise UnusableSource(
                f"{sample.name} has {sample.width} columns, and {vendor.name}'s files {len(vendor.columns)}: "
                f"{sample.first_line()}"
            )
        roles = {field: place for place, field in enumerate(vendor.columns) if field != "-" and place < sample.width}
    else:
        roles = times_by_numbers(sample, case.named.day is not None, case.named.symbol)
    choose(case, "price", case.options.price if case.options.price != "adj" else "", roles)
    choose(case, "size", case.options.size, roles)
    return roles


def _refuse_twice(case: Case, names: Sequence[str], roles: Roles) -> None:
    """Two columns of one name, of which one is used, do not tell which."""
    exact = [name.strip() for name in names]
    for field_name, place in roles.items():
        again = [other for other, name in enumerate(exact) if name == exact[place] and other != place]
        if any(case.sample.columns[other] != case.sample.columns[place] for other in again):
            raise Ambiguous(
                Guess(
                    f"{case.sample.name} has the column {names[place]} {len(again) + 1} times",
                    f"column {place + 1} is {field_name}",
                    f"column {again[0] + 1}",
                    f"FORMAT= with the names of all {case.sample.width} columns",
                )
            )


def _vendor_fields(case: Case, roles: Roles) -> None:
    """Fields whose columns this vendor calls otherwise than most."""
    assert case.sample.names is not None
    fields = case.vendor.fields if case.vendor else {}
    keys = [key(name) for name in case.sample.names]
    for name, field_name in fields.items():
        if name in keys:
            place = keys.index(name)
            for other in [each for each, at in roles.items() if at == place]:
                del roles[other]
            roles[field_name] = place


def is_priced(case: Case) -> bool:
    """Whether names tell the prices; refuses a file whose names do not."""
    roles = case.roles.keys()
    priced = {"bid", "ask"} <= roles or "price" in roles or "close" in roles
    priced = priced or all(name in roles for name in (*BID_BARS, *ASK_BARS))
    if priced or (case.sample.names is None and not case.stated):
        return priced
    columns = ", ".join(case.stated or case.sample.names or ())
    raise UnusableSource(
        f"{case.sample.name}: none of its columns ({columns}) is known as a price or as bid and ask, such as "
        f"in {case.sample.first_line()}: PRICE= and SIZE= name them"
    )


def drop_empty(case: Case) -> None:
    """Forget prices, quotes and counts that are empty or 0 on every row: the file does not tell them."""
    for name in ("price", "bid", "ask", "size", "volume", "trades", "updates", "up_volume", "quote_volume"):
        place = case.roles.get(name)
        if place is not None:
            values = case.sample.numbers(place)
            if values is None and name in ("trades", "volume", "quote_volume"):
                del case.roles[name]
            elif case.sample.is_empty(place) or (
                values is not None and not any(each > 0 or each < 0 for each in values)
            ):
                del case.roles[name]
                if name in ("size", "volume") and not case.sample.is_empty(place):
                    case.notes.append(f"{case.sample.label(place)} is 0 on every row: taken as not told")
