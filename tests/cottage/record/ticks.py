"""Records with rows that a test makes up, and checkpoints with nothing but names, for tests of what replays them."""

import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from cottage.record.arrow_schema import arrow_schema
from cottage.record.checkpoints import CheckpointName
from cottage.record.folder_layout import AHEAD
from cottage.record.manifest import MANIFEST, Manifest
from cottage.record.write_ahead import WriteAhead
from tests.cottage.record.rows_of_samples import BEGIN, SECOND

Row = Mapping[str, Any]


def row(symbol: str, epoch: int, seq: int, number: int = 0, /, **more: Any) -> dict[str, Any]:
    """A row of a version that replaced the one before of its epoch; a sample a second, by its seq."""
    at = BEGIN + seq * SECOND
    usual = {"source": "live", "feed": "FEED", "run": BEGIN, "last": True, "reissued": False, "healed": False}
    times = {"at": at, "sampled": at, "written": at + 2_000, "recorded": at + 5_000}
    which = {"symbol": symbol, "epoch": epoch, "seq": seq, "number": number, "prev_epoch": epoch, "prev_seq": seq - 1}
    return {**usual, **times, **which, "price": 100.0 + seq, "lost": False, **more}


def record(folder: Path, rows: Iterable[Row]) -> Path:
    """A record whose rows are still written ahead: it takes no process to make one."""
    (folder / AHEAD).mkdir(parents=True)
    (folder / MANIFEST).write_bytes(Manifest().to_bytes())
    schema = arrow_schema("samples")
    names = set(schema.names)
    whole = [{name: each.get(name) for name in names} for each in rows]
    written = WriteAhead(folder, 1)
    written.write("samples", pa.RecordBatch.from_pylist(whole, schema=schema))
    written.close()
    return folder


def checkpoint(folder: Path, name: CheckpointName, versions: Mapping[str, Sequence[int] | None]) -> None:
    path = name.path(folder)
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        if versions:
            part = {"symbols": [*versions], "sources": ["live"] * len(versions), "versions": [*versions.values()]}
            file.writestr("0/symbols.json", json.dumps(part))
        file.writestr("manifest.json", "{}")
