"""A proof as JSON has it: what the API answers, and what the texts and the page are made of. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from cottage.errors import HistoryRefusal
from cottage.record.history import iso
from cottage.record.proof import Proof
from cottage.record.recomputation import FIELDS
from cottage.record.schema import TABLES
from cottage.version import Version

_TOLD = ("price", "source", "feed", "event_time", "feed_time", "sampled", "received", "written", "recorded", "native")
_OF_INPUT = ("at", "price", "volume", "trades", "source", "epoch", "seq", "number")
_OF_THE_SYMBOL = {"not_recorded", "inputs_only", "rows", "added", "missing", "window", "writers", "differs", "step"}
"""Doubts whose details are of the symbol's own rows."""
_ALTERED = "the record is not what was written: whoever may read all of it learns more"
_OF_THE_CHAIN = {"chain_broken", "chain_rewritten", "manifest_altered"}
_TIMES = {column.name for table in TABLES.values() for column in table if column.kind == "time"} - {"run"}


def report(proof: Proof) -> dict[str, Any]:
    """All that was found; times are RFC 3339 texts."""
    computed, manifest = proof.computed, proof.manifest
    differences: Iterable[Mapping[str, Any]] = () if computed is None else (d._asdict() for d in computed.differences)
    remarks = () if computed is None else computed.remarks
    return {
        "symbol": proof.symbol,
        "version": [*proof.version],
        "proved": proof.proved,
        "doubts": [doubt._asdict() for doubt in proof.doubts],
        "state": None if proof.given is None else _told(proof.given, (*FIELDS, *_TOLD)),
        "window": None if computed is None else _window(proof),
        "recomputed": None if computed is None or computed.fields is None else _told(computed.fields, FIELDS),
        "differences": [_difference(each) for each in differences],
        "remarks": [{"at": iso(remark.at), "words": [*remark.words]} for remark in remarks],
        "gaps": [_told(gap, gap) for gap in proof.gaps],
        "prev": {"versions": proof.versions, "breaks": [_link(*link) for link in proof.links]},
        "files": [
            {"path": file.path, "rows": file.rows, "sha256": file.sha256, "whole": not _doubted(proof, file.path)}
            for file in proof.files
        ],
        "ahead": proof.ahead,
        "chain": {
            "entries": manifest.number,
            "head": manifest.head,
            "kept": proof.head,
            "whole": not any(doubt.code in _OF_THE_CHAIN for doubt in proof.doubts),
        },
        "inputs": [
            {**_told(row, _OF_INPUT), "notes": (row["said"] if row["last"] else row["notes"]) or []}
            for row in proof.inputs
        ],
    }


def limited(report: Mapping[str, Any]) -> dict[str, Any]:
    """The same for whoever may know of this symbol alone. Files and manifests have rows of others besides: their
    names, counts and checksums are left out, and what is said is whether they are whole."""
    doubts = [
        doubt if doubt["code"] in _OF_THE_SYMBOL else {**doubt, "detail": _ALTERED} for doubt in report["doubts"]
    ]
    once = [doubt for place, doubt in enumerate(doubts) if doubt not in doubts[:place]]
    chain = {name: report["chain"][name] for name in ("kept", "whole")}
    return {**report, "doubts": once, "files": [], "chain": chain}


def limited_refusal(refusal: HistoryRefusal) -> HistoryRefusal:
    """The refusal of a proof, for whoever may know of the symbol alone."""
    if refusal.__cause__ is None or refusal.code == "no_record":
        return refusal
    cause = refusal.__cause__
    return HistoryRefusal(refusal.code, f"{cause}; {_ALTERED}" if isinstance(cause, HistoryRefusal) else _ALTERED)


def _doubted(proof: Proof, path: str) -> bool:
    return any(f": {path}: " in doubt.detail for doubt in proof.doubts)


def _told(row: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: _value(name, row[name]) for name in names}


def _value(name: str, value: Any) -> Any:
    return iso(value) if name in _TIMES and value is not None else value


def _difference(difference: Mapping[str, Any]) -> dict[str, Any]:
    name = difference["field"]
    return {"field": name, **{each: _value(name, difference[each]) for each in ("recorded", "recomputed")}}


def _window(proof: Proof) -> dict[str, Any]:
    assert proof.computed is not None
    window, times = proof.computed.window, [row["at"] for row in proof.inputs]
    return {
        "samples": window.samples,
        "from": iso(min(times)) if times else None,
        "to": iso(max(times)) if times else None,
        "sources": sorted({row["source"] or "" for row in proof.inputs}),
        "epochs": sorted({row["epoch"] for row in proof.inputs}),
        "from_beginning": window.from_beginning,
        "settled": window.settled,
    }


def _link(version: Version, prev: Version | None, before: Version) -> dict[str, Any]:
    return {"version": [*version], "prev": None if prev is None else [*prev], "before": [*before]}
