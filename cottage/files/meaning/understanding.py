"""What the columns of a file mean: told by their names, their numbers and the file's name, as far as these tell it.

    sample.py       the first rows
    case.py         what is found out of one file, step by step
    roles.py        which field each column is: columns.py by names, layout.py, time_layout.py by numbers, vendors.py
    moments.py      the times of rows, and their order
    naming.py       symbols; file_names.py has what a file's name tells
    kinds.py        trades, bars or quotes
    amounts.py      prices, volumes and counts
    publication.py  when bars are published; bars.py has how long they last and when they end
    leaving_out.py  which rows are left out; conditions.py has which prints count
    row_reader.py   makes rows

Whatever two readings fit is refused with both of them, or taken in the safer way and noted as a guess.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from cottage.files.cell_table import Guess, Table
from cottage.files.cells.times import TimeReader
from cottage.files.meaning.amounts import drop_running_total, read_numbers, spreads, swap_volumes
from cottage.files.meaning.case import Case, choose
from cottage.files.meaning.kinds import kind_of
from cottage.files.meaning.layout import roles_by_numbers
from cottage.files.meaning.leaving_out import leave_out, read_conditions
from cottage.files.meaning.moments import find_order, find_times, rows_of_symbols
from cottage.files.meaning.naming import find_symbol, refuse_several_classes, refuse_several_markets
from cottage.files.meaning.publication import are_dates, publish_bars
from cottage.files.meaning.roles import drop_empty, fields_by_names, is_priced, refuse_other_data
from cottage.files.meaning.row_reader import (
    Cells,
    Parts,
    ReadRow,
    bar_reader,
    quote_reader,
    trade_reader,
)
from cottage.files.meaning.sample import Excerpt
from cottage.files.options import ReadOptions
from cottage.files.rows import BadRow, Row

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

    @property
    def left_out(self) -> Counter[str]:
        """How many rows were left out on purpose since `restart`, by why."""
        return self._parts.left_out

    @property
    def doubtful(self) -> Counter[str]:
        """How many quotes were left out of rows that were used, `bid` or `ask`."""
        return self._parts.doubtful

    @property
    def by_condition(self) -> Counter[str]:
        """How many rows since `restart` have each cell of sale conditions, where there are such."""
        return self._parts.by_condition

    def restart(self) -> None:
        """A pass over the file begins: what rows tell the rows after them is forgotten, and the counts begin at 0."""
        self._parts.restart()

    def row(self, _line: int, cells: Cells) -> Row | None:
        """Read the cells of a row; None if it is left out on purpose, which left_out counts. Raises BadRow."""
        parts = self._parts
        try:
            if why := parts.why_left_out(cells):
                parts.left_out[why] += 1
                return None
            return self._read(cells)
        except IndexError:
            raise BadRow("fields", f"{len(cells)} of them") from None

    def stamp(self, row: Row) -> int:
        """The time of a row as it is written: the exchange's where there are two, a bar's open where that is
        stamped."""
        if row.event_time is not None:
            return row.event_time
        if self._parts.date is not None:
            return self._parts.date(row.time)
        return row.time - (row.interval or 0) if self.stamped == "open" else row.time


def understand(table: Table, options: ReadOptions) -> Understanding:
    """Find out what a table holds, by its first rows. Raises Ambiguous where two readings fit and a wrong one would
    change prices, order or symbols, and UnusableSource where none does."""
    case = Case(Excerpt(table), table, options)
    refuse_other_data(case)
    case.roles = fields_by_names(case)
    find_times(case)  # other questions need the order of rows
    is_named = is_priced(case)
    find_symbol(case)
    if not is_named:
        case.roles = roles_by_numbers(case.sample, case.roles, rows_of_symbols(case))
        choose(case, "price", options.price if options.price != "adj" else "")
        choose(case, "size", options.size)
    drop_empty(case)
    case.kind = kind_of(case)
    drop_running_total(case)
    swap_volumes(case)
    read_numbers(case)
    find_order(case)
    refuse_several_classes(case)
    refuse_several_markets(case)
    stamped, stamp_from, length = publish_bars(case) if case.kind == "bars" else (None, "", None)
    if case.kind != "bars" and are_dates(case):
        case.notes.append("its times are dates alone: all rows of a day have one time")
    read_conditions(case)
    leave_out(case)
    if case.kind == "quotes":
        case.parts.spreads = spreads(case)
        case.notes.append("no trades: the price is the middle of bid and ask")
    case.parts.now = int(time.time() * 1e6)
    return Understanding(
        name=case.sample.name,
        kind=case.kind,
        vendor=case.vendor.name if case.vendor else None,
        columns=_described(case),
        time=case.reader,
        stamped=stamped,
        stamp_from=stamp_from,
        symbols_from=case.symbols_from,
        bar_length=length.micros if length else None,
        length_name=str(length) if length else "",
        volume_unit=_volume_unit(case),
        newest_first=case.newest_first,
        published_by=case.published_by,
        median_lag=case.median_lag,
        guesses=case.guesses + case.reader.guesses,
        notes=case.notes,
        _parts=case.parts,
        _read=_READERS[case.kind](case.parts),
    )


def _volume_unit(case: Case) -> str:
    """What volumes count, as far as the vendor or a column of money beside them tells it."""
    if case.vendor and case.vendor.unit:
        return case.vendor.unit
    return "what is traded, not money" if {"volume", "quote_volume"} <= case.roles.keys() else ""


def fields_known(table: Table, options: ReadOptions) -> dict[str, str]:
    """The fields that columns are by their names alone, of a file that is refused. Raises UnusableSource."""
    case = Case(Excerpt(table), table, options)
    case.roles = fields_by_names(case)
    return {name: what for name, what, _ in _described(case)}


def _described(case: Case) -> list[tuple[str, str, str]]:
    """Each column that is used, in the file's order."""
    remarks = {"receive": "published by it", "id": "", "updates": "quote updates, no volume"}
    used = sorted((place, name) for name, place in case.roles.items())
    return [(case.sample.label(place), name, remarks.get(name, "")) for place, name in used]
