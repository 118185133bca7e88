"""`cottage inspect`: prints what is understood of a recording."""

import argparse
import gc
import sys
import time
from dataclasses import fields
from pathlib import Path

import orjson

from cottage.errors import UnusableSource
from cottage.files.options import ReadOptions
from cottage.files.report import Inspection, refusal
from cottage.files.report import inspect as inspected
from cottage.record.overview import RecordOverview, overview
from cottage.record.record import is_record

PROGRESS_SECONDS = 0.5


def inspect(given: argparse.Namespace) -> None:
    """Print the report, or the object of --json. Raises SettingsError for options that cannot be, and SourceError."""
    options = ReadOptions(**{each.name: getattr(given, each.name) for each in fields(ReadOptions)})
    path = Path(given.file)
    if is_record(path):
        _show(overview(path), as_json=given.json)
        return
    progress = _Progress()
    if not given.all:
        gc.disable()  # there is nothing to collect, and looking for it takes a fifth of the time
    try:
        found = inspected(path, options, whole=given.all, on_progress=progress)
    except UnusableSource as error:
        progress.end()
        _show_refused(refusal(path, options, error), as_json=given.json)
        raise
    progress.end()
    _show(found, as_json=given.json)


def _show(found: Inspection | RecordOverview, *, as_json: bool) -> None:
    if as_json:
        print(orjson.dumps(found.to_json()).decode())
    else:
        print("\n".join(found.lines()))


def _show_refused(told: dict[str, object], *, as_json: bool) -> None:
    """Show how the file is written, for whoever has to state what it means; the error itself is printed last."""
    if as_json:
        print(orjson.dumps(told).decode())
        return
    rows = told.get("first_rows", [])
    assert isinstance(rows, list)
    if rows:
        print(f"written as {told['written']}")
        width = max(map(len, rows))
        names = told["columns"] or [f"column {number}" for number in range(1, width + 1)]
        assert isinstance(names, list)
        fields_of = told["fields"]
        assert isinstance(fields_of, dict)
        for number, name in enumerate(names):
            cells = "  ".join(row[number] for row in rows if number < len(row))
            print(f"  {name:24} {fields_of.get(name, '-'):12} {cells}")


class _Progress:
    """Says on a terminal what takes long."""

    def __init__(self) -> None:
        self._shown = False
        self._last = time.monotonic()

    def __call__(self, what: str, share: float) -> None:
        if sys.stderr.isatty() and time.monotonic() - self._last > PROGRESS_SECONDS:
            self._shown, self._last = True, time.monotonic()
            print(f"\r{what}: {share:.0%} ", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Erase what was said."""
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
