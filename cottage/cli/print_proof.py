"""`cottage proof`: prints whether a recorded state can be believed, and why."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import orjson

from cottage.api_client import ask_object
from cottage.errors import HistoryRefusal, SettingsError
from cottage.record.proof_page import page
from cottage.record.proof_text import lines


def print_proof(given: Namespace) -> bool:
    """Run `cottage proof`. Returns whether the state is proved. Raises HistoryRefusal, what `ask` raises, or
    OSError."""
    report = _asked(given) if given.dir is None else _read(given)
    if given.page is not None:
        Path(given.page).write_text(page(report))
    elif given.json:
        print(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
    else:
        for line in lines(report):
            print(line)
    return bool(report["proved"])


def _asked(given: Namespace) -> dict[str, Any]:
    named = {name: getattr(given, name) for name in ("at", "version", "head")}
    query = {name: value for name, value in named.items() if value is not None}
    if given.widening != 1:
        query["widening"] = str(given.widening)
    return ask_object(f"/v1/proof/{given.symbol}", query, url=given.url, timeout=given.timeout, token=given.token)


def _read(given: Namespace) -> dict[str, Any]:
    from cottage.record.proof import proof_of
    from cottage.record.proof_report import report
    from cottage.record.record import Record

    record = Record(Path(given.dir))
    try:
        return report(proof_of(record, given.symbol, given.at, given.version, given.head, given.widening))
    except HistoryRefusal as refusal:
        if refusal.code == "bad_parameter":
            raise SettingsError(str(refusal)) from refusal
        raise
