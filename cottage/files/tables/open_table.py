"""Opens a file of any kind as a table of cells, by what is in it."""

from collections.abc import Iterator, Mapping, Sequence

from cottage.errors import UnusableSource
from cottage.files.cell_table import SYMBOL_NAMES, OnBad, Table
from cottage.files.options import ReadOptions
from cottage.files.tables.columnar_table import ColumnarTable, is_columnar
from cottage.files.tables.json_table import JsonTable, looks_like_json
from cottage.files.tables.members import Member
from cottage.files.tables.text_table import TextTable
from cottage.files.tables.wide_table import long_table

_OTHERS = {
    b"PK\x03\x04": "a zip within another file: unpack it",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it",
    b"Rar!": "a RAR archive: unpack it",
    b"\xd0\xcf\x11\xe0": "a workbook of a spreadsheet program: save its sheet as CSV",
    b"\x89HDF": "HDF5: write it as Parquet or CSV, by pandas.read_hdf(...).to_parquet(...)",
    b"SQLite format 3": "an SQLite database: write the table as CSV",
    b"\x93NUMPY": "a numpy array: write it as CSV, with the names of its columns",
    b"\x80\x04\x95": "a pickle, which may hold a program: write it as Parquet or CSV",
    b"\x80\x05\x95": "a pickle, which may hold a program: write it as Parquet or CSV",
    b"Obj\x01": "Avro: write it as Parquet or CSV",
    b"ORC": "ORC: write it as Parquet or CSV",
    b"FEA1": "the first version of Feather: write it anew, by pandas.read_feather(...).to_feather(...)",
    b"DBN": "Databento's own format: write it as CSV or Parquet, by DBNStore.from_file(...).to_csv(...)",
    b"%PDF": "a PDF",
}
"""How files begin that are known and not read, and what to do with them."""
_TAR = slice(257, 262)


def open_table(member: Member, options: ReadOptions) -> Table:
    """The table in a file. Raises UnusableSource where there is none, MissingExtra, or SourceError."""
    with member.open() as stream:
        head = stream.read1(4096)
    for magic, words in _OTHERS.items():
        if head.startswith(magic):
            raise UnusableSource(f"{member.name} is {words}")
    if head[_TAR] == b"ustar":
        raise UnusableSource(f"{member.name} is a tar archive: unpack it")
    if head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html", b"<?xml")):
        raise UnusableSource(f"{member.name} is a web page or XML: download the file itself")
    if is_columnar(head):
        table: Table = ColumnarTable(member)
    elif looks_like_json(head):
        table = JsonTable(member)
    else:
        table = TextTable(member)
    table = long_table(table, options)
    keys = {name: value for name, value in member.keys.items() if table.names or name.lower() in SYMBOL_NAMES}
    return KeyedTable(table, keys) if keys else table


class KeyedTable:
    """A table in folders that say more of its rows, such as `symbol=SPY`: they are columns before its own. Without
    names, where a column is known by its numbers, only a symbol can be one."""

    def __init__(self, table: Table, keys: Mapping[str, str]) -> None:
        new = {name: value for name, value in keys.items() if name not in (table.names or ())}
        self.name = table.name
        self.names: tuple[str, ...] | None = (*new, *table.names) if table.names else None
        self.spelled = f"{table.spelled}, folders by {', '.join(keys)}"
        self.guesses = table.guesses
        self.plain_numbers = table.plain_numbers
        self._table = table
        self._cells = tuple(new.values())

    def rows(self, on_bad: OnBad) -> Iterator[tuple[int, Sequence[str]]]:
        for number, cells in self._table.rows(on_bad):
            yield number, (*self._cells, *cells)

    def places(self) -> Iterator[Sequence[Sequence[str]]]:
        for rows in self._table.places():
            yield [(*self._cells, *cells) for cells in rows]
