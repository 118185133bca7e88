"""What `cottage changes` and `cottage gaps` show on a terminal, made with rich from the API's answers. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.text import Text

from cottage.cli.table import LABELS, REGIMES, bare_table
from cottage.cli.texts import interval_text, moment_text, printable, span_text
from cottage.cli.view import words

Row = Mapping[str, Any]


def render(rows: Sequence[Row], answer: Mapping[str, Any]) -> Group:
    """The rows, oldest first, and from when to when they are, by `from` and `to` of the answer."""
    span = f"{span_text(answer['from'], answer['to'])} UTC"
    if not rows:
        return Group(Text(f"none  {span}", "dim"))
    table = bare_table()
    for heading in ("recorded", "symbol", "kind", "", "α 90 %", "cause"):
        table.add_column(heading, no_wrap=True)
    for row in rows:
        table.add_row(
            moment_text(row["recorded"]),
            Text(printable(row.get("symbol") or row.get("hop")), "bold"),
            printable(row["kind"]),
            _what(row),
            interval_text(row.get("alpha_low"), row.get("alpha_high")),
            words(printable(row.get("cause"))),
        )
    return Group(table, Text(f"{len(rows):,}  {span}", "dim"))


def _what(row: Row) -> Text:
    """What a row tells: a change, or from when to when something was missing."""
    if "regime" in row:
        before, regime = printable(row["before"]), printable(row["regime"])
        return Text.assemble((before, REGIMES.get(before, "")), " → ", (regime, REGIMES.get(regime, "")))
    if "status" in row:
        return Text(status := printable(row["status"]), LABELS.get(status, ""))
    since, until = row.get("since"), row.get("until")
    if since and until:
        return Text(span_text(since, until))
    return Text(f"since {moment_text(since)}" if since else f"until {moment_text(until)}" if until else "")
