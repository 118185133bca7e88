"""What a record must say: each version follows another one that is there, or a gap says that it does not; and no row
is there twice."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from cottage.record.record import Record
from cottage.record.state_rows import state_of, version_of
from cottage.version import Version

Rows = Iterable[Mapping[str, Any]]

_COLUMNS = ("symbol", "epoch", "seq", "number", "last", "prev_epoch", "prev_seq", "written")


def wrong(samples: Rows, gaps: Rows) -> Iterator[str]:
    """What is wrong with these rows, whatever order they are in."""
    missed = {(gap["symbol"], version_of(gap)): gap for gap in gaps if gap["kind"] == "missed"}
    versions: dict[str, dict[Version, Mapping[str, Any]]] = defaultdict(dict)
    seen = set()
    for row in samples:
        key = row["symbol"], version_of(row), row["number"]
        if key in seen:
            yield f"{key} is there twice"
        seen.add(key)
        if row["last"]:
            versions[row["symbol"]][version_of(row)] = row
    for symbol, of_symbol in versions.items():
        # The record begins with one that follows nothing. It need not be the lowest: a Redis that loses its data as
        # its clock goes back gives lower epochs.
        begins = (
            version
            for version, row in of_symbol.items()
            if row["written"] is not None and _optional(row, "prev_") is None and (symbol, version) not in missed
        )
        first = next(begins, None)
        for version, row in of_symbol.items():
            before = _optional(row, "prev_")
            follows = before in of_symbol or version == first
            gap = missed.get((symbol, version))
            held = None if gap is None else _optional(gap, "held_")
            if row["written"] is not None and not follows and gap is None:
                yield f"{symbol} {version} does not follow {before}, which is not there, and no gap says so"
            if held is not None and held not in of_symbol:
                yield f"{symbol}: the gap before {version} follows {held}, which is not there"


def wrong_in(folder: Path, payloads: Mapping[str, bytes]) -> list[str]:
    """What is wrong with a record. `payloads`: states that Redis has had, by symbol."""
    record = Record(folder)
    gaps = record.scan("gaps").to_pylist()
    found = list(wrong(record.scan("samples", _COLUMNS).to_pylist(), gaps))
    for symbol, payload in payloads.items():
        version = version_of(orjson.loads(payload))
        rows = [row for row in record.scan("samples", symbols=[symbol]).to_pylist() if version_of(row) == version]
        if rows and _state_in(rows) != payload:
            found.append(f"the record has another state of {symbol} {version} than Redis had")
        if not rows and not any(_covers(gap, symbol, version) for gap in gaps):
            found.append(f"the record lacks {symbol} {version}, which Redis had, and no gap says so")
    return found


def _state_in(rows: list[Mapping[str, Any]]) -> bytes | None:
    """The state of a version's rows as it was stored; None where these are not its rows, each once."""
    try:
        return state_of(rows).to_bytes()
    except ValueError:
        return None


def _covers(gap: Mapping[str, Any], symbol: str, version: Version) -> bool:
    """Whether a gap says that this version may be missing."""
    held = _optional(gap, "held_")
    of_it = gap["kind"] == "missed" and gap["symbol"] == symbol
    return of_it and (held is None or held < version) and version < version_of(gap)


def _optional(row: Mapping[str, Any], prefix: str) -> Version | None:
    return None if row[f"{prefix}epoch"] is None else Version(row[f"{prefix}epoch"], row[f"{prefix}seq"])
