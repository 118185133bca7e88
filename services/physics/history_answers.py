"""What the history engine answers: a question is a JSON object, an answer a media type and the bytes of its body.

Each question has `ask`, one of the names in `HistoryAnswers.answer`, and the parameters of its endpoint as they were
given (history_api.py), which the service has checked.
"""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from cottage.api_client import ARROW, JSON
from cottage.errors import HistoryRefusal
from cottage.freshness import Thresholds
from cottage.grant import EVERY_SYMBOL, SymbolPatterns
from cottage.record.answer_table import HEAD_KEY
from cottage.record.arrow_schema import pyarrow
from cottage.record.bucketing import USUAL_FIELDS
from cottage.record.history import Chosen, History, SymbolHistory, iso
from cottage.record.history_span import HistorySpan, moment
from cottage.record.past_states import PastStates
from cottage.record.proof import proof_of, wanted_version
from cottage.record.proof_page import HTML, page
from cottage.record.proof_report import limited, limited_refusal, report
from cottage.record.record import Record
from cottage.record.record_events import RecordedRows, RecordEvents
from cottage.record.schema import TABLES

Question = Mapping[str, Any]


class HistoryAnswers:
    def __init__(self, folder: Path) -> None:
        self._record = record = Record(folder)
        self._history = History(record)
        self._events = RecordEvents(record, self._history)
        self._past = PastStates(record, self._events)

    def answer(self, question: Question) -> tuple[str, bytes]:
        """Media type and body. Raises HistoryRefusal."""
        ask = {
            "points": self._points,
            "regimes": self._regimes,
            "changes": self._changes,
            "gaps": self._gaps,
            "proof": self._proof,
            "state": self._state,
        }[question["ask"]]
        return ask(question)

    def _points(self, question: Question) -> tuple[str, bytes]:
        symbols = question["symbols"]
        fields = question.get("fields") or USUAL_FIELDS
        chosen = _chosen(question)
        found = self._history.points(symbols, span_of(question), chosen, fields)
        heads = {symbol: _head(symbol, each) for symbol, each in found.items()}
        if question.get("single"):
            [symbol] = symbols
            if symbol not in found:
                raise HistoryRefusal("no_such_symbol", f"there is no row of {symbol} in the record")
            _reaches(found[symbol], question.get("known"))
            answer = {"by": chosen.by, **heads[symbol]}
        else:
            answer = {"by": chosen.by, "symbols": heads, "missing": [each for each in symbols if each not in found]}
        if question.get("arrow"):
            return ARROW, _stream(found, answer)
        if found:
            rows = iter(_rows(pyarrow().concat_tables(each.points for each in found.values())))
            for symbol, head in heads.items():
                head["points"] = [*islice(rows, len(found[symbol].points))]
        return JSON, orjson.dumps(answer | heads[symbols[0]] if question.get("single") else answer)

    def _regimes(self, question: Question) -> tuple[str, bytes]:
        symbol, chosen = question["symbol"], _chosen(question)
        found = self._events.regimes(symbol, span_of(question), chosen)
        names = ("regime", "before", "alpha", "alpha_low", "alpha_high")
        spells = [
            {
                **{name: each[name] for name in names},
                "since": iso(each[chosen.by]),
                "until": _iso(each["until"]),
                "version": [each["epoch"], each["seq"]],
            }
            for each in found.spells
        ]
        head = {"symbol": symbol, "source": found.run.source, "run": found.run.run, "by": chosen.by}
        return JSON, orjson.dumps({**head, "from": iso(found.since), "to": iso(found.until), "spells": spells})

    def _changes(self, question: Question) -> tuple[str, bytes]:
        kind, regime = question.get("kind"), question.get("regime")
        found = self._events.changes(span_of(question), question.get("symbols"), kind, regime, _within(question))
        tables = {"regime": "regimes", "freshness": "freshness"}
        rows = [{"kind": row.pop("kind"), **_told(row, tables[kind])} for row in found.rows if (kind := row["kind"])]
        symbols = sorted({row["symbol"] for row in rows})
        return JSON, orjson.dumps({**_frame(found), "symbols": symbols, "changes": rows})

    def _gaps(self, question: Question) -> tuple[str, bytes]:
        found = self._events.gaps(span_of(question), question.get("symbols"), _within(question))
        outages = self._events.outages(found.since, found.until)
        gaps = [_told(row, "gaps") for row in found.rows]
        told = [_told(row, "outages") for row in outages]
        return JSON, orjson.dumps({**_frame(found), "gaps": gaps, "outages": told})

    def _proof(self, question: Question) -> tuple[str, bytes]:
        at, version, head = (question.get(name) for name in ("at", "version", "head"))
        is_limited = question.get("limited", False)
        try:
            found = report(proof_of(self._record, question["symbol"], at, version, head, question["widening"]))
        except HistoryRefusal as refusal:
            raise limited_refusal(refusal) if is_limited else refusal from None
        found = limited(found) if is_limited else found
        return (HTML, page(found).encode()) if question["page"] else (JSON, orjson.dumps(found))

    def _state(self, question: Question) -> tuple[str, bytes]:
        symbol, past = question["symbol"], self._past
        thresholds = Thresholds(*question["thresholds"])
        version = wanted_version(question["version"])
        if version is not None:
            found = past.version(symbol, version, thresholds)
        else:
            found = past.at(symbol, moment(question["at"], "at"), thresholds)
        answer = {
            **found.state.as_dict(),
            "freshness": {**found.freshness.as_dict(), "origin": "recorded"},
            "at": iso(found.asked),
            "recorded": iso(found.recorded),
            "run": found.run,
            "outages": [_told(row, "outages") for row in found.outages],
        }
        if found.orders:
            answer["orders"] = [[*version] for version in found.orders]
        if found.replaced is not None:
            answer["replaced"] = [*found.replaced]
        return JSON, orjson.dumps(answer)


def span_of(question: Question) -> HistorySpan:
    """The time that a question is about. Raises HistoryRefusal."""
    since, until, last, step = (question.get(name) for name in ("from", "to", "last", "step"))
    return HistorySpan.asked(since, until, last, step, question.get("points"))


def _within(question: Question) -> SymbolPatterns:
    """The symbols of which the asker may know."""
    patterns = question.get("within")
    return EVERY_SYMBOL if patterns is None else SymbolPatterns.parse(patterns)


def _reaches(found: SymbolHistory, known: str | None) -> None:
    """Raise HistoryRefusal where the asker has a newer version than the record."""
    version = wanted_version(known)
    if version is not None and (found.until is None or found.until < version):
        raise HistoryRefusal("not_yet", f"the record does not reach version {known} as yet")


def _chosen(question: Question) -> Chosen:
    return Chosen(question.get("by") or "at", question.get("source"), question.get("run"))


def _head(symbol: str, found: SymbolHistory) -> dict[str, Any]:
    grid = found.grid
    return {
        "symbol": symbol,
        "source": found.source,
        "run": found.run,
        "from": iso(grid.begin),
        "to": iso(grid.end),
        "step": grid.step / 1e6,
        "until": None if found.until is None else [*found.until],
        "gaps": [_told(gap, "gaps") for gap in found.gaps],
    }


def _rows(points: Any) -> list[dict[str, Any]]:
    """The points as JSON objects."""
    columns = {name: _values(points[name]) for name in points.column_names}
    times = _values(points["time"].cast("int64"))
    told = {time: iso(time) for time in set(times)}
    columns["time"] = [told[time] for time in times]
    return [dict(zip(columns, row, strict=False)) for row in zip(*columns.values(), strict=True)]


def _values(column: Any) -> list[Any]:
    """What orjson takes for the values of a column."""
    types = pyarrow().types
    values: list[Any]
    if types.is_list(column.type) or (types.is_integer(column.type) and column.null_count):
        values = column.to_pylist()
    else:
        values = column.to_numpy().tolist()  # far faster; a null among numbers is NaN, which JSON tells as null
    return values


def _stream(found: Mapping[str, SymbolHistory], head: Mapping[str, Any]) -> bytes:
    """The points of all symbols as one table in Arrow's streaming format."""
    arrow = pyarrow()
    if not found:
        raise HistoryRefusal("no_such_symbol", "there is no row of these symbols in the record")
    tables = [
        each.points.add_column(0, "symbol", arrow.array([symbol] * len(each.points), arrow.string()))
        for symbol, each in found.items()
    ]
    table = arrow.concat_tables(tables).replace_schema_metadata({HEAD_KEY: orjson.dumps(head)})
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def _iso(micros: int | None) -> str | None:
    return None if micros is None else iso(micros)


def _frame(found: RecordedRows) -> dict[str, Any]:
    return {"from": iso(found.since), "to": iso(found.until), "complete": found.complete}


def _told(row: Mapping[str, Any], table: str) -> dict[str, Any]:
    """A row of a table of the record as JSON has it."""
    times = {column.name for column in TABLES[table] if column.kind == "time"} - {"run"}
    return {name: _iso(value) if name in times else value for name, value in row.items()}
