"""The layout of the table of `cottage watch`, made with rich from a View and a size. Pure. terminal.py prints it.

Columns have fixed widths, so that nothing moves from one redraw to the next. Columns that do not fit are left out
from the right, and rows from the bottom; the last line then says so.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from cottage.cli.texts import interval_text, price_text, printable
from cottage.cli.view import SymbolRow, View, words
from cottage.client.replica import Phase
from cottage.fields import finite
from cottage.state import ALPHA_MOST, CRITICAL, LEVY_STABLE, PILLARS, WAIT, WAIT_RETURNS

GAP = 2
"""The characters between two columns, of which one belongs to the box."""
AROUND_ROWS = 5
"""The lines that are not rows: two above the table, its head with a rule, and the last line."""

PHASES = {
    Phase.CONNECTED: "green",
    Phase.CONNECTING: "yellow",
    Phase.RECONNECTING: "red",
    Phase.REFUSED: "red",
    Phase.CLOSED: "red",
}
ROWS = {"live": "", "stale": "yellow dim", "expired": "red dim", "undated": "dim", "missing": "dim"}
LABELS = {"live": "green", "stale": "yellow not dim", "expired": "red not dim", "undated": "dim", "missing": "dim"}
REGIMES = {WAIT: "dim", LEVY_STABLE: "cyan", CRITICAL: "bold magenta"}


class Column(NamedTuple):
    """A column of the table: its heading, its width, and the text of its cell in a row."""

    heading: str
    width: int
    text: Callable[[SymbolRow], Text]
    justify: Literal["left", "right"] = "right"


def render(view: View, width: int, height: int | None = None) -> Group:
    """The table for a terminal of `width` and `height` characters. If `height` is None, all rows are shown."""
    symbols = view.symbols
    columns, hidden = _fitting(symbols, width)
    shown = symbols if height is None else symbols[: max(1, height - AROUND_ROWS)]
    table = bare_table()
    for column in columns:
        table.add_column(column.heading, width=column.width, justify=column.justify, no_wrap=True)
    for symbol in shown:
        row = view.row(symbol)
        table.add_row(*(column.text(row) for column in columns), style=ROWS[row.freshness])
    notes = [f"and {len(symbols) - len(shown)} more"] if len(shown) < len(symbols) else []
    if hidden:
        notes.append(f"a wider terminal shows {', '.join(column.heading for column in hidden)} too")
    if not shown:
        notes.append("no states yet" if view.phase is Phase.CONNECTED else "waiting for the server")
    last = [_line(("; ".join(notes), "dim"))] if notes else []
    problem = _line((printable(view.problem or ""), "bold yellow"))
    return Group(_summary(view, symbols), problem, table, *last)


def bare_table() -> Table:
    """A table without columns as yet, whose head a rule parts from its rows."""
    return Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, GAP - 1, 0, 0), pad_edge=False)


def _fitting(symbols: Sequence[str], width: int) -> tuple[list[Column], list[Column]]:
    """The columns that fit into `width`, counted from the left, and those that do not."""
    columns = [Column("symbol", max(map(len, ("symbol", *symbols))), lambda row: Text(row.symbol), "left"), *COLUMNS]
    while len(columns) > 2 and sum(column.width + GAP for column in columns) - GAP > width:
        columns.pop()
    return columns, COLUMNS[len(columns) - 1 :]


def _line(*parts: str | Text | tuple[str, str]) -> Text:
    """A line of text that is cut to the width of the terminal."""
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _summary(view: View, symbols: Sequence[str]) -> Text:
    total = len(symbols)
    found = view.counts(symbols)
    counts = Text(", ").join(Text(f"{found[name]} {name}", LABELS[name]) for name in ROWS if found[name])
    return _line(
        (f"● {view.phase}", f"bold {PHASES[view.phase]}"),
        (f" {view.url}  ", "dim"),
        (f"{total} symbol{'' if total == 1 else 's'}", "bold"),
        ": " if found else "",
        counts,
    )


def _freshness(row: SymbolRow) -> Text:
    text = {"undated": "no time", "missing": "no state"}.get(row.freshness, row.freshness)
    if row.cause is not None:
        text += f": {words(row.cause)}"
    return Text(printable(text), LABELS[row.freshness])


def _waits(row: SymbolRow) -> bool:
    """Whether the window has too few returns for a tail index."""
    nonzero = _field(row, "nonzero")
    return _field(row, "regime") == WAIT and not (finite(nonzero) and nonzero >= WAIT_RETURNS)


def _regime(row: SymbolRow) -> Text:
    regime, nonzero = _field(row, "regime"), _field(row, "nonzero")
    text = printable(regime)
    if _waits(row) and finite(nonzero):
        text = f"{WAIT} {nonzero} of {WAIT_RETURNS}"
    return Text(text, REGIMES.get(text.partition(" ")[0] if regime == WAIT else text, ""))


def _age(row: SymbolRow) -> Text:
    return Text("" if row.age is None else _duration(row.age, ".1f"))


def _held(row: SymbolRow) -> Text:
    held = None if row.state is None else row.state.regime_held
    return Text("" if held is None or _waits(row) else _duration(held, ".0f"))


def _duration(seconds: float, form: str) -> str:
    """`form`: of seconds, below 100 of them."""
    for limit, unit, name in ((100.0, 1.0, "s"), (6000.0, 60.0, "min"), (172_800.0, 3600.0, "h")):
        if seconds < limit:
            return f"{seconds:{form}} s" if name == "s" else f"{seconds // unit:.0f} {name}"
    return f"{seconds // 86_400:.0f} d"


def _price(row: SymbolRow) -> Text:
    return Text(price_text(_field(row, "price")))


def _number(name: str, form: str = ".2f") -> Callable[[SymbolRow], Text]:
    def text(row: SymbolRow) -> Text:
        if name in _list(row, "void"):
            return Text("–")
        value = _field(row, name)
        return Text(f"{round(value, 2) + 0.0:{form}}" if finite(value) else "")  # + 0.0: no "-0.00"

    return text


def _alpha(row: SymbolRow) -> Text:
    """The tail index; a dash where it is its bound, and only what it is not below is known."""
    bound = finite(_field(row, "alpha_low")) and _field(row, "alpha") == ALPHA_MOST
    return Text("–") if bound else _number("alpha")(row)


def _interval(row: SymbolRow) -> Text:
    low, high = _field(row, "alpha_low"), _field(row, "alpha_high")
    return Text("" if _waits(row) else interval_text(low, high))


def _field(row: SymbolRow, name: str) -> Any:
    return None if row.state is None else row.state.data.get(name)


def _list(row: SymbolRow, name: str) -> list[Any]:
    value = _field(row, name)
    return value if isinstance(value, list) else []


def _notes(row: SymbolRow) -> Text:
    return Text(", ".join(words(printable(note)) for note in _list(row, "notes")))


COLUMNS = [
    Column("price", 12, _price),
    Column("age", 7, _age),
    Column("freshness", 21, _freshness, justify="left"),
    Column("regime", 13, _regime, justify="left"),
    Column("α", 5, _alpha),
    Column("α 90 %", 9, _interval),
    *(Column(name, max(len(name), 7), _number(name, "+.2f" if name == "momentum" else ".2f")) for name in PILLARS),
    Column("source", 10, lambda row: Text(printable(_field(row, "source"))), justify="left"),
    Column("held", 7, _held),
    Column("notes", 24, _notes, justify="left"),
]
