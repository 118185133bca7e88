"""What the columns of a file mean: told by their names, their numbers and the file's name, as far as these tell it.

    sample.py       the first rows
    columns.py      fields by the names of columns
    layout.py       fields by numbers, where there are no names
    vendors.py      formats that are known, and what their vendors document
    file_names.py   symbol, length of bars and date by the file's name
    bars.py         how long bars last, and when they end
    conditions.py   which prints count
    row_reader.py   makes rows

Whatever two readings fit is refused with both of them, or taken in the safer way and noted as a guess.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from itertools import pairwise

from cottage.errors import UnusableSource
from cottage.files import bars, conditions, file_names
from cottage.files.columns import (
    ASK_BARS,
    BID_BARS,
    OPEN_TO_CLOSE,
    Roles,
    is_book,
    key,
    roles_by_name,
    time_places,
    without_symbol,
    words,
)
from cottage.files.layout import roles_by_numbers, times_by_numbers
from cottage.files.numbers import number_styles, style_for
from cottage.files.options import ReadOptions
from cottage.files.row_reader import (
    Bar,
    Cells,
    Number,
    Parts,
    ReadRow,
    Symbols,
    Times,
    bar_reader,
    correction_of,
    quote_reader,
    trade_reader,
)
from cottage.files.rows import BadRow, Row
from cottage.files.sample import Sample, middle
from cottage.files.table import Ambiguous, Guess, Table
from cottage.files.times import TimeContext, TimeReader, is_time, time_reader
from cottage.files.vendors import NO_MARKET_DATA, Vendor, vendor_named, vendor_of

_PRICES = frozenset((*OPEN_TO_CLOSE, *BID_BARS, *ASK_BARS, "price", "bid", "ask", "adj_close", "vwap"))
_NUMBERS = _PRICES | words("size volume quote_volume trades updates up_volume down_volume first_id last_id")
_OF_SESSION = words("open high low volume quote_volume trades vwap")
_FEWEST_OF_SESSION = 10
_UNFINISHED = words("0 false no n f")
_READERS: dict[str, Callable[[Parts], ReadRow]] = {
    "trades": trade_reader,
    "bars": bar_reader,
    "quotes": quote_reader,
}


@dataclass(slots=True)
class Understanding:
    """What a file was understood as. `row` reads each of its rows, in the file's order."""

    name: str
    """The file's name."""
    kind: str
    """`trades`, `bars` or `quotes`."""
    vendor: str | None
    columns: list[tuple[str, str, str]]
    """Each column that is used: its name, the field that it is, and a remark."""
    time: TimeReader
    """How its times are written, and their zone."""
    stamped: str | None
    """What a bar's time is, `open` or `close`; None for trades and quotes."""
    stamp_from: str
    symbols_from: str
    bar_length: int | None
    """Microseconds; of months some 30 days each."""
    length_name: str
    """The length of a bar for people: `1 minute`."""
    volume_unit: str
    newest_first: bool | None
    """Whether the sample's rows go back in time; None if its times are all the same."""
    published_by: str
    """The column by whose time rows are published: the receive time's, where there is one."""
    median_lag: float | None
    """Seconds from the exchange's time to the receive time, at the median of the sample."""
    guesses: list[Guess]
    notes: list[str]
    _parts: Parts
    _read: ReadRow
    conditions: Counter[str] = field(default_factory=Counter)

    @property
    def left_out(self) -> Counter[str]:
        """How many rows were left out on purpose since `restart`, by why."""
        return self._parts.left_out

    @property
    def doubtful(self) -> Counter[str]:
        """How many quotes were left out of rows that were used, `bid` or `ask`."""
        return self._parts.doubtful

    def restart(self) -> None:
        """A pass over the file begins: what rows tell the rows after them is forgotten, and the counts begin at 0."""
        self._parts.restart()

    def row(self, _line: int, cells: Cells) -> Row | None:
        """Read the cells of a row; None if it is left out on purpose, which left_out counts. Raises BadRow."""
        try:
            return self._read(cells)
        except IndexError:
            raise BadRow("fields", f"{len(cells)} of them") from None

    def stamp(self, row: Row) -> int:
        """The time of a row as it is written: the exchange's where there are two, a bar's open where that is
        stamped."""
        if row.event_time is not None:
            return row.event_time
        return row.time - (row.interval or 0) if self.stamped == "open" else row.time


def understand(table: Table, options: ReadOptions) -> Understanding:
    """Find out what a table holds, by its first rows. Raises Ambiguous where two readings fit and a wrong one would
    change prices, order or symbols, and UnusableSource where none does."""
    return _Inquiry(Sample(table), table, options).result()


class _Inquiry:
    """What is found out about one file, step by step."""

    def __init__(self, sample: Sample, table: Table, options: ReadOptions) -> None:
        self.sample = sample
        self.table = table
        self.options = options
        self.guesses = list(table.guesses)
        self.notes: list[str] = []
        self.symbol_in_names: str | None = None
        self.named = file_names.from_name(table.name)
        self.vendor = self._vendor()
        self._refuse_other_data()
        self.symbols = Symbols()
        self.parts = Parts(times=lambda _cells: (0, None), symbol=lambda _cells: ("", None), left_out=Counter(),
                           doubtful=Counter())  # fmt: skip

    def result(self) -> Understanding:
        """Everything in its order: times first, since other questions need the order of rows."""
        self.roles = self._roles_by_names()
        self._times()
        self._symbol()
        if not self._is_priced():
            self.roles = roles_by_numbers(self.sample, self.roles, self._groups())
            self._choose("price", self.options.price if self.options.price != "adj" else "")
            self._choose("size", self.options.size)
        self._drop_empty()
        self.kind = self._kind()
        self._numbers()
        self._order()
        stamped, stamp_from, length = self._bars() if self.kind == "bars" else (None, "", None)
        self._conditions()
        self._filters()
        if self.kind == "quotes":
            self.parts.spreads = self._spreads()
            self.notes.append("no trades: the price is the middle of bid and ask")
        self.parts.now = int(time.time() * 1e6)
        return Understanding(
            name=self.sample.name,
            kind=self.kind,
            vendor=self.vendor.name if self.vendor else None,
            columns=self._described(),
            time=self.reader,
            stamped=stamped,
            stamp_from=stamp_from,
            symbols_from=self.symbols_from,
            bar_length=length.micros if length else None,
            length_name=str(length) if length else "",
            volume_unit=self.vendor.unit if self.vendor else "",
            newest_first=self.newest_first,
            published_by=self.published_by,
            median_lag=self.median_lag,
            guesses=self.guesses + self.reader.guesses,
            notes=self.notes,
            _parts=self.parts,
            _read=_READERS[self.kind](self.parts),
        )

    # ---- what it is

    def _vendor(self) -> Vendor | None:
        """The format that was stated, else the one that fits."""
        self.stated: tuple[str, ...] = ()
        text = self.options.layout
        found = vendor_of(self.sample.names, self.sample.rows[:20], self.sample.name)
        if text and "," in text:
            self.stated = tuple(word.strip() for word in text.split(","))
            if len(self.stated) != self.sample.width:
                raise UnusableSource(
                    f"{self.sample.name} has {self.sample.width} columns, and FORMAT= names {len(self.stated)}: "
                    f"{self.sample.first_line()}"
                )
            return None
        if text and (named := vendor_named(text)):
            return (
                found
                if found in named
                else next(
                    (each for each in named if not each.columns or len(each.columns) == self.sample.width), named[0]
                )
            )
        return found

    def _refuse_other_data(self) -> None:
        name = self.sample.name.rpartition("/")[2].lower()
        held = next((what for pattern, what in NO_MARKET_DATA if re.search(pattern, name)), "")
        if self.sample.names and is_book(self.sample.names):
            held = "updates of an order book, which are no trades"
        if self.vendor and self.vendor.no_prices:
            held = self.vendor.no_prices
        if held and not self.stated:
            raise UnusableSource(
                f"{self.sample.name} holds {held}: it cannot be replayed; take the trades, quotes or bars"
            )

    def _roles_by_names(self) -> Roles:
        """The fields as far as names, the vendor or FORMAT tell them."""
        sample, vendor = self.sample, self.vendor
        if self.stated:
            columns: Sequence[str] = [_FORMAT_WORDS.get(word.lower(), word.lower()) for word in self.stated]
            roles = {field: place for place, field in enumerate(columns) if field not in ("", "-")}
        elif sample.names is not None:
            names, self.symbol_in_names = without_symbol(sample.names)
            roles = roles_by_name(names, sample.texts())
            self._refuse_twice(names, roles)
            self._vendor_fields(roles)
        elif vendor and vendor.columns:
            if abs(len(vendor.columns) - sample.width) > 1 and sample.width < len(vendor.columns):
                raise UnusableSource(
                    f"{sample.name} has {sample.width} columns, and {vendor.name}'s files {len(vendor.columns)}: "
                    f"{sample.first_line()}"
                )
            roles = {
                field: place for place, field in enumerate(vendor.columns) if field != "-" and place < sample.width
            }
        else:
            roles = times_by_numbers(sample, self.named.day is not None, self.named.symbol)
        self._choose("price", self.options.price if self.options.price != "adj" else "", roles)
        self._choose("size", self.options.size, roles)
        return roles

    def _refuse_twice(self, names: Sequence[str], roles: Roles) -> None:
        """Two columns of one name, of which one is used, do not tell which."""
        exact = [name.strip() for name in names]
        for field_name, place in roles.items():
            again = [other for other, name in enumerate(exact) if name == exact[place] and other != place]
            if any(self.sample.columns[other] != self.sample.columns[place] for other in again):
                raise Ambiguous(
                    Guess(
                        f"{self.sample.name} has the column {names[place]} {len(again) + 1} times",
                        f"column {place + 1} is {field_name}",
                        f"column {again[0] + 1}",
                        f"FORMAT= with the names of all {self.sample.width} columns",
                    )
                )

    def _vendor_fields(self, roles: Roles) -> None:
        """Fields whose columns this vendor calls otherwise than most."""
        assert self.sample.names is not None
        fields = self.vendor.fields if self.vendor else {}
        keys = [key(name) for name in self.sample.names]
        for name, field_name in fields.items():
            if name in keys:
                place = keys.index(name)
                for other in [each for each, at in roles.items() if at == place]:
                    del roles[other]
                roles[field_name] = place

    def _choose(self, field_name: str, name: str, roles: Roles | None = None) -> None:
        """Take the column that an option names: by its name, or by its number where there are none."""
        if name:
            (self.roles if roles is None else roles)[field_name] = self._place(field_name, name)

    def _place(self, option: str, name: str) -> int:
        names = [each.strip().lower() for each in self.sample.names or ()]
        if name.lower() in names:
            return names.index(name.lower())
        if name.isdigit() and 1 <= int(name) <= self.sample.width:
            return int(name) - 1
        raise UnusableSource(
            f"{self.sample.name} has no column {name!r} as {option.upper()}= states; it has "
            + (", ".join(self.sample.names) if self.sample.names else f"{self.sample.width} without names")
        )

    def _is_priced(self) -> bool:
        """Whether names tell the prices; refuses a file whose names do not."""
        roles = self.roles.keys()
        priced = {"bid", "ask"} <= roles or "price" in roles or "close" in roles
        priced = priced or all(name in roles for name in (*BID_BARS, *ASK_BARS))
        if priced or (self.sample.names is None and not self.stated):
            return priced
        columns = ", ".join(self.stated or self.sample.names or ())
        raise UnusableSource(
            f"{self.sample.name}: none of its columns ({columns}) is known as a price or as bid and ask, such as "
            f"in {self.sample.first_line()}: PRICE= and SIZE= name them"
        )

    def _drop_empty(self) -> None:
        """Forget prices, quotes and counts that are empty or 0 on every row: the file does not tell them."""
        for name in ("price", "bid", "ask", "size", "volume", "trades", "updates", "up_volume", "quote_volume"):
            place = self.roles.get(name)
            if place is not None:
                values = self.sample.numbers(place)
                if values is None and name in ("trades", "volume", "quote_volume"):
                    del self.roles[name]
                elif self.sample.is_empty(place) or (
                    values is not None and not any(each > 0 or each < 0 for each in values)
                ):
                    del self.roles[name]
                    if name in ("size", "volume") and not self.sample.is_empty(place):
                        self.notes.append(f"{self.sample.label(place)} is 0 on every row: taken as not told")

    def _kind(self) -> str:
        roles = self.roles.keys()
        if {"bid", "ask"} <= roles and "price" in roles and self._has_no_trades():
            del self.roles["price"]
            return "quotes"
        if "close" in roles and self._are_of_session():
            self.notes.append(
                "open, high, low and volume are those of the session so far: only the last price is taken"
            )
            self.roles = {name: place for name, place in self.roles.items() if name not in _OF_SESSION}
            self.roles["price"] = self.roles.pop("close")
            return "trades"
        if "close" in roles and self._are_ticks():
            self.notes.append(
                "open, high, low and close are the same on every row, at no regular times: these are trades"
            )
            self.roles["price"] = self.roles["close"]
            if "volume" in roles:
                self.roles["size"] = self.roles["volume"]
            return "trades"
        if all(name in roles for name in (*BID_BARS, *ASK_BARS)) or "close" in roles:
            return "bars"
        if "price" in roles:
            return "trades"
        if {"bid", "ask"} <= roles:
            return "quotes"
        raise UnusableSource(f"{self.sample.name}: its price is empty on every row looked at")

    def _has_no_trades(self) -> bool:
        """Whether no row of the sample is a trade, by the vendor's column of events."""
        place = self.roles.get("event")
        keep = self.vendor.keep if self.vendor else frozenset()
        return bool(keep) and place is not None and keep.isdisjoint(self.sample.columns[place])

    def _are_of_session(self) -> bool:
        """Whether open, high and low are those of the day so far, as a ticker reports them: the open stays."""
        if "open" not in self.roles or self.sample.names is None:
            return False
        opens, closes = self.sample.columns[self.roles["open"]], self.sample.columns[self.roles["close"]]
        pairs = [pair for rows in self._groups() for pair in pairwise(rows)]
        stays = sum(opens[a] == opens[b] for a, b in pairs)
        moves = sum(closes[a] != closes[b] for a, b in pairs)
        return len(pairs) >= _FEWEST_OF_SESSION and stays > 0.9 * len(pairs) and moves > 0.2 * len(pairs)

    def _are_ticks(self) -> bool:
        """Whether bars are trades that were written in the form of bars."""
        places = [self.roles[name] for name in OPEN_TO_CLOSE if name in self.roles]
        if len(places) < 4 or self.options.stamp:
            return False
        same = all(len({cells[place] for place in places}) == 1 for cells in self.sample.rows)
        return same and bars.length_by_gaps(self._gapped(), self._stated_length()) is None

    def _gapped(self) -> list[list[int]]:
        """The times of each symbol's rows, oldest first."""
        return [[self.stamps[row] or 0 for row in rows] for rows in self._groups()]

    # ---- times and symbols

    def _times(self) -> None:
        """How its times are read, and which of two decides when a row is published."""
        roles, sample = self.roles, self.sample
        self._choose_time()
        main = self._main_times(roles)
        if not main and "end" in roles:
            main = [roles["end"]]
        if not main and "receive" in roles:
            main = [roles.pop("receive")]
        if not main and (index := self._index()) is not None:
            main = [index]
        if not main:
            raise UnusableSource(
                f"{sample.name}: no column is known as the time, such as in {sample.first_line()}: TIME= names it"
            )
        if (
            "offset" in roles
            and not _COUNTED.fullmatch((sample.examples(main[0]) or [""])[0])
            and not any(re.search(r"(Z|[+-]\d\d:?\d\d)$", text) for text in sample.examples(main[0])[:5])
        ):
            main.append(roles["offset"])
        self.main = tuple(main)
        self.reader = self._reader(main)
        self.stamps = self._read_all(self.reader, main)
        received = roles.get("receive")
        self.median_lag = None
        self.published_by = " and ".join(sample.label(place) for place in main)
        if received is None or sample.is_empty(received):
            self.parts.times = self._one_time(self.reader, main)
            return
        receiver = self._reader([received])
        self.published_by = sample.label(received)
        arrived = self._read_all(receiver, [received])
        lags = [(b - a) / 1e6 for a, b in zip(self.stamps, arrived, strict=True) if a is not None and b is not None]
        self.median_lag = middle(lags) if lags else None
        self.parts.times = self._two_times(self.reader, main, receiver, received)

    def _index(self) -> int | None:
        """The column of times, though its name does not say so: an index without a name, or the only one there is."""
        timed = []
        for place in range(self.sample.width):
            examples = self.sample.examples(place)
            if place not in self.roles.values() and examples and all(map(is_time, examples)):
                timed.append(place)
        names = self.sample.names or ()
        unnamed = [place for place in timed if names and _INDEX.fullmatch(names[place].strip())]
        found = unnamed[0] if unnamed else timed[0] if len(timed) == 1 else None
        if found is not None:
            self.roles["time"] = found
        return found

    def _choose_time(self) -> None:
        """What TIME= states: a column, or one of two times."""
        roles, choice = self.roles, self.options.time
        if choice == "exchange":
            roles.pop("receive", None)
        elif choice and choice != "receive":
            place = self._place("TIME", choice)
            for name in ("time", "receive", "end", "date", "clock"):
                roles.pop(name, None)
            roles["time"] = place

    def _main_times(self, roles: Roles) -> list[int]:
        """The columns of the market's own time: one that has a date in it, else a date and a time of day."""
        named = (
            time_places(self.sample.names) if self.sample.names and not self.options.time and not self.stated else []
        )
        named = [place for place in named if place not in [roles.get(name) for name in ("receive", "end", "date")]]
        candidates = [roles[name] for name in ("time", "clock") if name in roles] + named
        dated = [place for place in candidates if not self._is_clock(place) and self.sample.examples(place)]
        if dated and ("time" not in roles or roles["time"] in dated or "date" not in roles):
            roles["time"] = dated[0]
            return dated[:1]
        date = roles.get("date")
        if date is None:
            return candidates[:1]
        if not candidates and self._is_clock(date) and (index := self._index()) is not None:
            return [index, date]  # a header that names date and time of day once: its names stand one to the right
        return [date, *candidates[:1]]

    def _is_clock(self, place: int) -> bool:
        """Whether a column has times of day without a date."""
        examples = self.sample.examples(place)
        return sum(bool(_CLOCK.fullmatch(text)) for text in examples) >= 0.9 * len(examples)

    def _reader(self, places: Sequence[int]) -> TimeReader:
        zone = self.vendor.zone if self.vendor else ""
        context = TimeContext(
            zone=zone, zone_from=f"{self.vendor.name}'s documentation" if zone and self.vendor else "",
            day=self.named.day,
            unit=self.vendor.unit_of_time if self.vendor else "",
        )  # fmt: skip
        columns = [(self.sample.label(place), self.sample.columns[place]) for place in places]
        return time_reader(columns, self.options, context, self._farther(places))

    def _farther(self, places: Sequence[int]) -> list[list[str]]:
        """Some cells of these columns from further on in a large file."""
        if self.sample.whole:
            return []
        rows = (cells for some in self.table.places() for cells in some if len(cells) == self.sample.width)
        return [[cells[place] for place in places] for cells in rows]

    def _read_all(self, reader: TimeReader, places: Sequence[int]) -> list[int | None]:
        return [_or_none(reader.read, [cells[place] for place in places]) for cells in self.sample.rows]

    def _one_time(self, reader: TimeReader, places: Sequence[int]) -> Callable[[Cells], Times]:
        read = reader.read
        if len(places) == 1:
            place = places[0]
            return lambda cells: (read((cells[place],)), None)
        return lambda cells: (read([cells[place] for place in places]), None)

    def _two_times(
        self, reader: TimeReader, places: Sequence[int], receiver: TimeReader, received: int
    ) -> Callable[[Cells], Times]:
        """Rows are published when they were received; where that is empty, or before they happened, when they did."""
        read, read_received = reader.read, receiver.read

        def both(cells: Cells) -> Times:
            arrived = cells[received]
            happened_cells = [cells[place] for place in places]
            if not any(cell.strip(" 0") for cell in happened_cells):
                return read_received((arrived,)), None
            happened = read(happened_cells)
            if not arrived.strip() or arrived.strip() == "0":
                return happened, None
            time_ = read_received((arrived,))
            return (time_, happened) if time_ != happened else (time_, None)

        return both

    def _symbol(self) -> None:
        """Where symbols are from: the option, a column, the file's name."""
        roles, stated = self.roles, self.options.symbol
        names = [name.strip().lower() for name in self.sample.names or ()]
        if stated and stated.lower() in names:
            roles["symbol"] = names.index(stated.lower())
        elif stated:
            roles.pop("symbol", None)
            self._same_symbol(stated, "SYMBOL=")
            return
        place = roles.get("symbol")
        if place is not None and not self.sample.is_empty(place):
            read = self.symbols.read
            self.parts.symbol = lambda cells: read(cells[place])
            self.symbols_from = f"column {self.sample.label(place)}"
            return
        roles.pop("symbol", None)
        if self.symbol_in_names:
            self._same_symbol(self.symbol_in_names, "the columns' names")
            return
        named, others = self.named.symbol, self.named.others
        if named is None:
            likely = others[0] if others else "BTC-USD"
            maybe = f" (is it one of {', '.join(others)}?)" if others else ""
            raise Ambiguous(
                Guess(
                    f"{self.sample.name}: no column and no file's name tells the symbol{maybe}",
                    likely,
                    "any other",
                    f"SYMBOL={likely}",
                )
            )
        self._same_symbol(named, "the file's name")
        if others or self.sample.names is not None or self.vendor is None:
            other = " or ".join(others) or "any other"
            self.guesses.append(
                Guess("the symbol, from the file's name", self.symbols.read(named)[0], other, "SYMBOL=")
            )

    def _same_symbol(self, text: str, source: str) -> None:
        found = self.symbols.read(text)
        self.parts.symbol = lambda _cells: found
        self.symbols_from = source

    # ---- order

    def _symbol_of(self, row: int) -> str:
        place = self.roles.get("symbol")
        return self.sample.rows[row][place] if place is not None else ""

    def _groups(self) -> list[list[int]]:
        """The rows of each symbol that have a time, oldest first."""
        groups: dict[str, list[int]] = {}
        for row, stamp in enumerate(self.stamps):
            if stamp is not None:
                groups.setdefault(self._symbol_of(row), []).append(row)
        down = self._goes_down(groups)
        return [rows[::-1] if down else rows for rows in groups.values()]

    def _goes_down(self, groups: dict[str, list[int]]) -> bool | None:
        """Whether times fall from row to row of a symbol; None if they do neither."""
        up = down = 0
        for rows in groups.values():
            for before, after in pairwise(rows):
                a, b = self.stamps[before], self.stamps[after]
                assert a is not None
                assert b is not None
                up += b > a
                down += b < a
        return None if up == down else down > up

    def _order(self) -> None:
        """Which way rows go, and whether ids or sequence numbers go with them."""
        groups: dict[str, list[int]] = {}
        for row, stamp in enumerate(self.stamps):
            if stamp is not None:
                groups.setdefault(self._symbol_of(row), []).append(row)
        if not groups:
            raise UnusableSource(
                f"{self.sample.name}: no time can be read in {self.sample.first_line()}: TIME= names its column"
            )
        down = self._goes_down(groups)
        words = self.options.order.split(",")
        self.newest_first = True if "newest-first" in words else False if "oldest-first" in words else down
        self.parts.carries_prices = not self.newest_first
        for name in ("sequence", "id"):
            place = self.roles.get(name)
            if place is not None and self._counts_rows(place, list(groups.values())):
                self.parts.sequence = _whole_number(place)
                self.sequence_from = name
                return

    def _counts_rows(self, place: int, groups: list[list[int]]) -> bool:
        """Whether a column's whole numbers go up or down with time, nearly always."""
        with_time = against = 0
        for rows in groups:
            column = [(self.stamps[row], self.sample.rows[row][place].strip()) for row in rows]
            if not all(text.isdigit() for _, text in column):
                return False
            for (a, one), (b, other) in pairwise(column):
                assert a is not None
                assert b is not None
                if a != b and int(one) != int(other):
                    agree = (a < b) == (int(one) < int(other))
                    with_time += agree
                    against += not agree
        return against <= 0.01 * (with_time + against)

    # ---- bars

    def _bars(self) -> tuple[str, str, bars.BarLength | None]:
        """What is stamped, and from where that is known; the length of a bar. Rows come at the ends of bars."""
        stamped, source = self._stamped()
        length = bars.length_by_gaps(self._gapped(), self._stated_length())
        self.parts.length = length.micros if length else None
        if stamped == "close":
            return stamped, source, length
        if length is None:
            raise Ambiguous(
                Guess(
                    f"{self.sample.name}: when a bar ends, since bars have no one length and are stamped with their "
                    f"open, such as {self.sample.first_line()}",
                    "a bar's time is its open",
                    "its close, as of bars by ticks or by volume",
                    "STAMP=close",
                )
            )
        rule = self.reader.rule.rule if self.reader.rule else UTC
        self.parts.end = bars.end_of(length, rule)
        if "finished" not in self.roles:
            self.notes.append("whether the last bar is finished, the file does not say")
        return stamped, source, length

    def _stamped(self) -> tuple[str, str]:
        if self.options.stamp:
            return self.options.stamp, "STAMP="
        if "time" not in self.roles and "date" not in self.roles and "end" in self.roles:
            return "close", f"column {self.sample.label(self.roles['end'])}"
        if self.vendor and self.vendor.stamp:
            return self.vendor.stamp, self.vendor.name
        self.guesses.append(Guess("what a bar's time is", "its open", "its close", "STAMP=close"))
        return "open", "the safe side"

    def _stated_length(self) -> int | None:
        """The length by a column of ends, else by the file's name."""
        place = self.roles.get("end")
        if place is not None and self.main != (place,):
            ends = self._read_all(self._reader([place]), [place])
            spans = [
                b - a for a, b in zip(self.stamps, ends, strict=True) if a is not None and b is not None and b > a
            ]
            if spans:
                span = Counter(spans).most_common(1)[0][0]
                return span + 1 if span % 1000 else span if span % 1_000_000 == 0 else span + 1000
        return self.named.length

    # ---- numbers

    def _numbers(self) -> None:
        """How each number is read, and what a row is made of."""
        used = {name: place for name, place in self.roles.items() if name in _NUMBERS}
        columns = {self.sample.label(place): self.sample.columns[place] for place in used.values()}
        likely = "." if self.table.plain_numbers or self.vendor else ""
        styles = number_styles(columns, self.options.decimal, likely)
        self.guesses += [style.guess for style in styles.values() if style.guess is not None]
        vendor = self.vendor
        prices = [place for name, place in used.items() if name in _PRICES]
        power = vendor.power if vendor and vendor.power and self._are_whole(prices) else 0
        if power and vendor:
            self.notes.append(f"prices are whole numbers of 1e{power}, as {vendor.name} has them")
        readers: dict[str, Number] = {}
        for name, place in used.items():
            style = styles[self.sample.label(place)]
            sentinels = vendor.sentinels if vendor else ()
            style = style_for(style, name, power if name in _PRICES else 0, sentinels)
            readers[name] = _cell_reader(style.read, place)
        self._fill(readers)

    def _are_whole(self, places: Sequence[int]) -> bool:
        return all("." not in text for place in places for text in self.sample.examples(place))

    def _fill(self, readers: dict[str, Number]) -> None:
        parts, roles = self.parts, self.roles
        parts.price, parts.bid, parts.ask = (readers.get(name) for name in ("price", "bid", "ask"))
        if "close" in readers:
            close = readers["close"]
            parts.bar = Bar(*(readers.get(name, close) for name in OPEN_TO_CLOSE))
            self._adjusted(readers)
        if all(name in readers for name in (*BID_BARS, *ASK_BARS)):
            parts.bid_bar = Bar(*(readers[name] for name in BID_BARS))
            parts.ask_bar = Bar(*(readers[name] for name in ASK_BARS))
            self.notes.append("bars of bids and asks: the price is the middle of both")
        parts.size = readers.get("volume" if self.kind == "bars" else "size")
        if "up_volume" in readers and "down_volume" in readers and "volume" not in readers:
            up, down = readers["up_volume"], readers["down_volume"]
            parts.size = lambda cells: (up(cells) or 0.0) + (down(cells) or 0.0)
            self.notes.append("volume is that of rises and that of falls together")
        if "size" in roles and self.kind == "trades":
            sizes = self.sample.numbers(roles["size"]) or []
            parts.signed = sum(each < 0 for each in sizes) > len(sizes) / 50
            if parts.signed:
                self.notes.append("a size below 0 is taken as a sale's")
        parts.trades = readers.get("trades") or readers.get("updates") or readers.get("last_id")
        if "trades" not in readers and "updates" not in readers and "last_id" in readers:
            parts.first_id = readers.get("first_id")
        if "trades" not in readers and "updates" in readers:
            label = self.sample.label(roles["updates"])
            self.notes.append(f"{label} counts quote updates: it goes to trades, and is no volume")
            if self.sample.names is None:
                self.guesses.append(
                    Guess(f"what {label} counts", "quote updates", "volume", f"SIZE={roles['updates'] + 1}")
                )
        parts.carried = bool(self.vendor and self.vendor.carried)

    def _adjusted(self, readers: dict[str, Number]) -> None:
        """PRICE=adj; and where close and adjusted close are in a ratio that changes, that is said with its dates."""
        wanted = self.options.price == "adj"
        place = self.roles.get("adj_close")
        if place is None:
            if wanted:
                raise UnusableSource(f"{self.sample.name} has no adjusted close: PRICE=adj needs one")
            return
        if wanted:
            self.parts.adjusted = readers["adj_close"]
            return
        closes, adjusted = self.sample.numbers(self.roles["close"]), self.sample.numbers(place)
        if closes is None or adjusted is None:
            return
        ratios = [
            (b / a, self._day(row))
            for row, (a, b) in enumerate(zip(closes, adjusted, strict=True))
            if a > 0 and b > 0 and self.stamps[row] is not None
        ]
        changes = [day for (before, _), (after, day) in pairwise(ratios) if abs(after / before - 1) > 1e-3]
        if changes:
            shown = ", ".join(changes[:5]) + (f" and {len(changes) - 5} more" if len(changes) > 5 else "")
            self.notes.append(
                f"adjusted close to close changes its ratio on {shown} (a split or dividend): PRICE=adj"
            )
        if ratios and abs(ratios[0][0] - 1) > 1e-6:
            label = self.sample.label(place)
            self.guesses.append(Guess("the price", "the close as it was traded", f"{label}", "PRICE=adj"))

    def _day(self, row: int) -> str:
        return time.strftime("%Y-%m-%d", time.gmtime((self.stamps[row] or 0) / 1e6))

    def _spreads(self) -> dict[str, float]:
        """The median spread of each symbol as a share of its mid, and of all under the empty name."""
        found: dict[str, list[float]] = {"": []}
        bid_of, ask_of = self.parts.bid, self.parts.ask
        assert bid_of is not None
        assert ask_of is not None
        for cells in self.sample.rows:
            try:
                bid, ask, symbol = bid_of(cells), ask_of(cells), self.parts.symbol(cells)[0]
            except BadRow:
                continue
            if bid and ask and 0 < bid < ask:
                share = 2 * (ask - bid) / (ask + bid)
                found[""].append(share)
                found.setdefault(symbol, []).append(share)
        return {symbol: middle(shares) for symbol, shares in found.items() if shares}

    # ---- what is left out

    def _conditions(self) -> None:
        place = self.roles.get("conditions")
        if place is None or self.kind != "trades":
            return
        cells = self.sample.columns[place]
        table = self.vendor.conditions if self.vendor else ""
        if not table and conditions.look_like_tapes(cells):
            table = "tapes"
        if not table:
            if not self.sample.is_empty(place):
                self.notes.append(f"{self.sample.label(place)} is of no known table: every print counts")
            return
        verdict = conditions.verdicts(table, self.options.conditions)
        self.parts.verdict = lambda row: verdict(row[place])
        taken = (
            "all prints that may set a price, and odd lots"
            if not self.options.conditions
            else ("all prints" if self.options.conditions == "all" else "those of the tape's last price")
        )
        if not self.options.conditions:
            self.guesses.append(
                Guess("which prints count", taken, "those of the tape's rule, or all", "CONDITIONS=tape")
            )

    def _filters(self) -> None:
        """Which rows are left out: other events than trades, suspicious ones, corrections, unfinished bars."""
        checks: list[Callable[[Cells], str]] = []
        roles = self.roles
        if "event" in roles and (kept := self._kept_events(roles["event"])):
            checks.append(_unless(roles["event"], kept))
        if "correction" in roles and self.kind == "trades":
            place = roles["correction"]
            checks.append(lambda cells: correction_of(cells[place]))
        if "suspicious" in roles:
            checks.append(_if(roles["suspicious"], frozenset(("1", "true")), "suspicious"))
        if "finished" in roles and self.kind == "bars":
            checks.append(_if(roles["finished"], _UNFINISHED, "unfinished, as the file says"))
        if self.kind == "trades" and self.vendor and self.vendor.name == "TAQ":
            checks.append(lambda cells: "trailer" if cells[0] == "END" else "")
        if len(checks) == 1:
            self.parts.is_kept = checks[0]
        elif checks:
            self.parts.is_kept = lambda cells: next((why for check in checks if (why := check(cells))), "")

    def _kept_events(self, place: int) -> frozenset[str]:
        """The values of a column of events that are of this kind; empty where it is no column of events."""
        values = {cell.strip() for cell in self.sample.columns[place]}
        if self.kind == "trades" and self.vendor and self.vendor.keep:
            kept = values & self.vendor.keep or self.vendor.keep
        else:
            kept = {each for each in values if _EVENTS[self.kind].fullmatch(each)}
            if not any(_EVENTS[other].fullmatch(each) for other in _EVENTS for each in values):
                return frozenset()
        if values - kept:
            self.notes.append(f"of {self.sample.label(place)} only {', '.join(sorted(kept))} is taken")
        return frozenset(kept)

    def _described(self) -> list[tuple[str, str, str]]:
        """Each column that is used, in the file's order."""
        remarks = {"receive": "published by it", "id": "", "updates": "quote updates, no volume"}
        used = sorted((place, name) for name, place in self.roles.items())
        return [(self.sample.label(place), name, remarks.get(name, "")) for place, name in used]


_CLOCK = re.compile(
    r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?:\s*[AaPp][Mm])?|\d{1,6}|\d{6}\.\d+|[012]\d{8}|[012]\d{11}|[012]\d{14}|\d{1,8}"
)
"""A time of day without a date; numbers up to eight digits may be milliseconds since midnight."""
_COUNTED = re.compile(r"\d{9,}(?:\.\d*)?")
_INDEX = re.compile(r"(?i:|unnamed: ?\d+|index|level_0|__index_level_0__|#|x)")
_EVENTS = {
    "trades": re.compile(r"(?i:trades?(?:[ _]nb)?|t|last|execution|fill)"),
    "quotes": re.compile(r"(?i:quotes?|q|bbo|nbbo)"),
    "bars": re.compile(r"(?i:bars?|b|candles?|intraday.*)"),
}
_FORMAT_WORDS = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume", "t": "time", "p": "price"}
_FORMAT_WORDS |= {"timestamp": "time", "ticker": "symbol", "qty": "size", "amount": "size", "_": "-", "": "-"}


def _or_none(read: Callable[[Sequence[str]], int], cells: Sequence[str]) -> int | None:
    try:
        return read(cells)
    except BadRow:
        return None


def _cell_reader(read: Callable[[str], float | None], place: int) -> Number:
    return lambda cells: read(cells[place])


def _whole_number(place: int) -> Callable[[Cells], int]:
    def read(cells: Cells) -> int:
        text = cells[place].strip()
        return int(text) if text.isdigit() and len(text) < 19 else 0

    return read


def _unless(place: int, kept: frozenset[str]) -> Callable[[Cells], str]:
    return lambda cells: "" if cells[place].strip() in kept else f"event {cells[place].strip()}"[:40]


def _if(place: int, values: frozenset[str], why: str) -> Callable[[Cells], str]:
    return lambda cells: why if cells[place].strip().lower() in values else ""
