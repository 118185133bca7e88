"""Wide tables, with a column for each symbol or several: as rows of one symbol each."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile
from typing import NamedTuple

from cottage.files.cell_table import Guess, OnBad, Table
from cottage.files.cells.numbers import is_missing, is_number
from cottage.files.cells.times import is_time
from cottage.files.columns import is_field, is_price_or_amount, key, words
from cottage.files.options import ReadOptions

_SAMPLE = 200
_MARKS = (" ", "_", ".", ":", "-", "/")
_PAIR = re.compile(r"\('(.*)', '(.*)'\)")  # a name of two levels, as pandas writes it to Parquet
_SYMBOL = re.compile(r"[A-Z0-9^=./:&_ -]{1,32}")
_NAME = re.compile(r"[A-Z][a-z]{1,20}|[a-z]{1,5}")
_STATISTICS = words(
    "return returns rsi macd sma ema wma atr adx cci obv mfi signal momentum std stdev mean median change diff "
    "spread ratio weight weights score sentiment position pnl profit loss balance cash nav drawdown yield rate "
    "rates cases deaths count value total target label prediction actual dividend dividends split splits "
    "stocksplits volatility"
)
_NO_SYMBOLS = words(
    "price close volume vol size qty quantity amount bid ask vwap symbol ticker buy sell buyer seller taker maker"
)
_ZERO = re.compile(r"-.*|[0.,]+")

Fields = dict[str, int]
"""Fields of one symbol, and the place of each one's column."""


class _Layout(NamedTuple):
    times: tuple[int, ...]
    symbols: dict[str, Fields]
    guesses: list[Guess]


def long_table(table: Table, options: ReadOptions) -> Table:
    """The table itself, or its rows of one symbol each if its columns are symbols: if they are named after a field
    and a symbol (`Close AAPL` of yfinance, `BTCUSDT_close`), or after symbols alone."""
    if table.names is None or "," in options.layout:
        return table
    names = [_PAIR.sub(r"\1 \2", name.strip()) for name in table.names]
    sample = [cells for _, cells in islice(table.rows(lambda _line, _error: None), _SAMPLE)]
    times = _times(names, sample)
    values = [place for place in range(len(names)) if times and place not in times and names[place]]
    if not values:
        return table
    symbols = _by_field_and_symbol(names, values)
    guesses: list[Guess] = []
    if symbols and not any(" " in names[place] for place in values):
        guesses = [_guess(list(symbols))]
    if symbols is None and not options.price and _are_symbols([names[place] for place in values], values, sample):
        symbols = {names[place]: {"close": place} for place in values}
        guesses = [_guess(list(symbols))]
    return WideTable(table, _Layout(times, symbols, guesses)) if symbols else table


class WideTable:
    """A table of rows of one symbol each, made of one whose columns are symbols. A symbol without any value at a time
    has no row there. All that come of one row have its number."""

    def __init__(self, table: Table, layout: _Layout) -> None:
        self._table = table
        self._layout = layout
        fields = list(dict.fromkeys(field for each in layout.symbols.values() for field in each))
        names = table.names or ()
        self.names: tuple[str, ...] | None
        self.names = (*(names[place].split(" ")[-1] or "time" for place in layout.times), "symbol", *fields)
        self.name = table.name
        self.spelled = f"{table.spelled}, columns by symbol"
        self.guesses = table.guesses + layout.guesses
        self.plain_numbers = table.plain_numbers
        self._columns = [
            (symbol, tuple(each.get(field) for field in fields)) for symbol, each in layout.symbols.items()
        ]

    def rows(self, on_bad: OnBad) -> Iterator[tuple[int, Sequence[str]]]:
        for number, cells in self._table.rows(on_bad):
            for row in self._long(cells):
                yield number, row

    def places(self) -> Iterator[Sequence[Sequence[str]]]:
        for rows in self._table.places():
            yield [row for cells in rows for row in self._long(cells)]

    def _long(self, cells: Sequence[str]) -> Iterator[Sequence[str]]:
        times = [cells[place] for place in self._layout.times]
        for symbol, places in self._columns:
            values = ["" if place is None else cells[place] for place in places]
            if any(value[:1].isdigit() or not is_missing(value) for value in values):
                yield [*times, symbol, *values]


def _times(names: Sequence[str], sample: Sequence[Sequence[str]]) -> tuple[int, ...]:
    """The places of the columns of time with which rows begin, behind an index of numbers that has no name; or with
    which they end, as pandas writes an index to Parquet."""

    def is_of_times(place: int) -> bool:
        cells = [cells[place] for cells in sample if cells[place].strip()]
        return bool(cells) and all(map(is_time, cells))

    first = 1 if names and not names[0] and not is_of_times(0) else 0
    places = range(first, len(names))
    return tuple(takewhile(is_of_times, places)) or tuple(takewhile(is_of_times, reversed(places)))


def _by_field_and_symbol(names: Sequence[str], values: Sequence[int]) -> dict[str, Fields] | None:
    """The columns by symbol, if each one's name is a field and a symbol, in the same order and with the same mark
    between; None if not, or if all have the same symbol."""
    if all(is_field(names[place]) for place in values):
        return None
    for mark in _MARKS:
        for field_first in (True, False):
            symbols: dict[str, Fields] = {}
            for place in values:
                field, symbol = _split(names[place], mark, field_first)
                symbols.setdefault(symbol, {})[field] = place
            fields = Counter(field for each in symbols.values() for field in each)
            shared = {field for field, number in fields.items() if number > 1 and is_price_or_amount(field)}
            are_known = all(shared & each.keys() for each in symbols.values())  # units would share none
            if all(key(symbol) in _NO_SYMBOLS or is_price_or_amount(symbol) for symbol in symbols):
                continue  # bid_px, bid_sz, ask_px, ask_sz
            is_whole = "" not in symbols and sum(map(len, symbols.values())) == len(values)
            if (
                len(symbols) > 1
                and is_whole
                and are_known
                and sum(map(is_price_or_amount, fields)) >= len(fields) / 2
            ):
                return symbols
    return None


def _split(name: str, mark: str, field_first: bool) -> tuple[str, str]:
    """The field and the symbol of a name; no symbol if it is not made of both."""
    parts = name.split(mark)
    splits = [(mark.join(parts[:i]), mark.join(parts[i:])) for i in range(len(parts) - 1, 0, -1)]
    pairs = splits if field_first else [(field, symbol) for symbol, field in reversed(splits)]
    return next((pair for pair in pairs if is_price_or_amount(pair[0])), pairs[0] if pairs else (name, ""))


def _are_symbols(names: Sequence[str], values: Sequence[int], sample: Sequence[Sequence[str]]) -> bool:
    """Whether these columns are symbols' prices: their names are in capitals, or several short ones or names; most
    are no fields and no statistics, and all that is in them is numbers above zero."""
    some_are_named = len(names) > 1 and all(_SYMBOL.fullmatch(name) or _NAME.fullmatch(name) for name in names)
    if not (some_are_named or all(map(_SYMBOL.fullmatch, names))):
        return False
    if 2 * sum(key(name) in _STATISTICS for name in names) >= len(names):
        return False
    if sum(map(is_field, names)) >= max(1, len(names) / 2):
        return False
    if any(key(name) in _NO_SYMBOLS for name in names):
        return False
    cells = [cells[place] for cells in sample for place in values if not is_missing(cells[place])]
    return bool(cells) and all(is_number(cell) and not _ZERO.fullmatch(cell.strip()) for cell in cells)


def _guess(symbols: Sequence[str]) -> Guess:
    others = f" and {len(symbols) - 3} others" if len(symbols) > 3 else ""
    return Guess(
        f"what {', '.join(symbols[:3])}{others} in the columns' names are",
        "symbols, each with prices of its own",
        "fields of one symbol",
        "FORMAT=time,price,... (all columns in order)",
    )
