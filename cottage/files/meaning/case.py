"""One file while it is being understood: what each step of understanding.py has found out, for the next."""

from collections import Counter

from cottage.errors import UnusableSource
from cottage.files.cell_table import Table
from cottage.files.cells.times import TimeReader
from cottage.files.columns import (
    Roles,
)
from cottage.files.meaning import file_names
from cottage.files.meaning.row_reader import (
    Parts,
    Symbols,
)
from cottage.files.meaning.sample import Excerpt
from cottage.files.meaning.vendors import Vendor, vendor_named, vendor_of
from cottage.files.options import ReadOptions


class Case:
    """What is known of one file. Each step reads what those before it have found, and adds to it."""

    kind: str
    """`trades`, `bars` or `quotes`."""
    roles: Roles
    reader: TimeReader
    main: tuple[int, ...]
    """The columns of the market's own time."""
    stamps: list[int | None]
    """The market's own time of each row of the sample; None where it has none."""
    published_by: str
    median_lag: float | None
    symbols_from: str
    newest_first: bool | None

    def __init__(self, sample: Excerpt, table: Table, options: ReadOptions) -> None:
        """Raises UnusableSource for columns that FORMAT= states and the file does not have."""
        self.sample = sample
        self.table = table
        self.options = options
        self.guesses = list(table.guesses)
        self.notes: list[str] = []
        self.symbol_in_names: str | None = None
        self.named = file_names.from_name(table.name)
        self.stated = tuple(word.strip() for word in options.layout.split(",")) if "," in options.layout else ()
        """The columns, as FORMAT= states them."""
        self.vendor = None if self.stated else self._vendor()
        self.symbols = Symbols()
        self.parts = Parts(left_out=Counter(), doubtful=Counter(), by_condition=Counter())
        if self.stated and len(self.stated) != sample.width:
            raise UnusableSource(
                f"{sample.name} has {sample.width} columns, FORMAT= names {len(self.stated)}: {sample.first_line()}"
            )

    def _vendor(self) -> Vendor | None:
        """The format that is stated, else the one that fits."""
        found = vendor_of(self.sample.names, self.sample.rows[:20], self.sample.name)
        named = vendor_named(self.options.layout) if self.options.layout else []
        if not named or found in named:
            return found
        width = self.sample.width
        return next((each for each in named if not each.columns or len(each.columns) == width), named[0])


def choose(case: Case, field_name: str, name: str, roles: Roles | None = None) -> None:
    """Take the column that an option names: by its name, or by its number where there are none."""
    if name:
        (case.roles if roles is None else roles)[field_name] = place_of(case, field_name, name)


def place_of(case: Case, option: str, name: str) -> int:
    names = [each.strip().lower() for each in case.sample.names or ()]
    if name.lower() in names:
        return names.index(name.lower())
    if name.isdigit() and 1 <= int(name) <= case.sample.width:
        return int(name) - 1
    raise UnusableSource(
        f"{case.sample.name} has no column {name!r} as {option.upper()}= states; it has "
        + (", ".join(case.sample.names) if case.sample.names else f"{case.sample.width} without names")
    )
