"""`cottage history`, `cottage changes` and `cottage gaps`: print what the physics API answers from the record."""

import csv
import sys
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from cottage.api_client import ARROW, ask, ask_object
from cottage.cli.screen import is_terminal, needing_rich, print_rich
from cottage.errors import StateUnavailable
from cottage.record.questions import history_target, query

STDOUT = "-"
Row = Mapping[str, Any]


def print_history(given: Namespace) -> None:
    """Run `cottage history`. Raises what `ask` raises, and StateUnavailable if some symbols are not in the record,
    after printing the others."""
    names = ("last", "start", "end", "step", "points", "fields", "source", "run", "by")
    path, parameters = history_target(given.symbols, query(**{name: getattr(given, name) for name in names}))
    if given.arrow is not None:
        _write(
            ask(path, parameters, url=given.url, accept=ARROW, timeout=given.timeout, token=given.token), given.arrow
        )
        return
    answer = ask_object(path, parameters, url=given.url, timeout=given.timeout, token=given.token)
    histories = list(answer["symbols"].values()) if "symbols" in answer else [answer]
    if _is_for_program(given):
        _print_rows(_points(histories), as_csv=given.csv)
    elif histories:
        with needing_rich():
            from cottage.cli.history_view import render
        print_rich(lambda width, height: render(histories, width, height))
    if missing := answer.get("missing"):
        raise StateUnavailable(f"the record has nothing of {', '.join(missing)}")


def print_events(given: Namespace) -> None:
    """Run `cottage changes` or `cottage gaps`. Raises what `ask` raises."""
    names = ("last", "start", "end", "kind", "regime")
    wanted = {name: getattr(given, name, None) for name in names}
    parameters = query(**wanted, symbols=given.symbols or None)
    answer = ask_object(f"/v1/{given.command}", parameters, url=given.url, timeout=given.timeout, token=given.token)
    rows = answer[given.command] + [{"kind": "outage", **row} for row in answer.get("outages", ())]
    rows.sort(key=lambda row: row["recorded"])
    if _is_for_program(given):
        _print_rows(rows, as_csv=given.csv)
    else:
        with needing_rich():
            from cottage.cli.events_view import render
        print_rich(lambda _width, _height: render(rows, answer))
    if not answer["complete"]:
        print("cottage: there were more: the older ones are left out; ask for a shorter time", file=sys.stderr)


def _is_for_program(given: Namespace) -> bool:
    return given.json or given.csv or not is_terminal()


def _points(histories: Iterable[Row]) -> list[Row]:
    return [
        {**{name: history[name] for name in ("symbol", "source", "run")}, **point}
        for history in histories
        for point in history["points"]
    ]


def _print_rows(rows: Sequence[Row], *, as_csv: bool) -> None:
    if not as_csv:
        for row in rows:
            print(orjson.dumps(row).decode())
        return
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)


def _cell(value: Any) -> Any:
    """A value as CSV has it: nothing for null, and a list with blanks in between."""
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(map(str, value)) if isinstance(value, list) else value


def _write(stream: bytes, file: str) -> None:
    if file == STDOUT:
        sys.stdout.buffer.write(stream)
    else:
        Path(file).write_bytes(stream)
