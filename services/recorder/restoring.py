"""What an earlier recorder recorded last: the newest rows of each symbol, and the outages without an end."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cottage.log import get_logger
from cottage.record.arrow_schema import arrow_schema, pyarrow
from cottage.record.record import Record
from cottage.record.state_rows import version_of
from cottage.record.write_ahead import ahead_files, mapped, whole_batches
from services.recorder.keeper import KNOWN_BY, Held

_COLUMNS = (
    *("symbol", "epoch", "seq", "at", "source", "run", "regime", "notes", "last", "session", "samples"),
    *KNOWN_BY,
)

log = get_logger(__name__)


def newest_held(folder: Path, symbols: Iterable[str]) -> dict[str, Held]:
    """What is held of these symbols, as far as the record has them. Each is looked for from the newest file on back.
    What is in a file that cannot be read is not held. Raises FileNotFoundError where there is no record."""
    missing, found = set(symbols), dict[str, Held]()
    for newest in _newest_first(Record(folder), missing):
        for row in newest:
            found[row["symbol"]] = _held(row)
        missing.difference_update(found)
        if not missing:
            break
    return found


def newest_recorded(folder: Path) -> int | None:
    """When the newest row was recorded, in microseconds since 1970; None in an empty record."""
    record = Record(folder)
    manifest = record.manifest()
    times = [file.recorded[1] for file in manifest.files]
    compute = pyarrow().compute
    for file in ahead_files(folder, manifest.rolled):
        batches = whole_batches(mapped(file.path), ["recorded"])
        times += [compute.max(batch.rows["recorded"]).as_py() for batch in batches]
    return max(times, default=None)


def outages(folder: Path) -> list[dict[str, Any]]:
    """The rows of the table of outages, oldest first; none where a file of them cannot be read."""
    try:
        rows: list[dict[str, Any]] = Record(folder).scan("outages").to_pylist()
    except (OSError, ValueError) as error:
        log.warning("record_unreadable", table="outages", error=str(error))
        return []
    return sorted(rows, key=lambda row: row["recorded"])


def _newest_first(record: Record, missing: set[str]) -> Iterator[list[dict[str, Any]]]:
    """For each file, or batch of one, the newest rows of the symbols that are `missing` by then."""
    from pyarrow import dataset

    arrow = pyarrow()
    manifest = record.manifest()
    for ahead in reversed(ahead_files(record.folder, manifest.rolled)):
        if ahead.table == "samples":
            for batch in reversed(list(whole_batches(mapped(ahead.path), _COLUMNS))):
                yield list(_newest(batch.rows, missing).values())
    for file in sorted(record.files("samples", manifest), key=lambda each: each.recorded[1], reverse=True):
        wanted = arrow.compute.field("symbol").isin(sorted(missing)) & arrow.compute.field("last")
        found: dict[str, dict[str, Any]] = {}
        try:
            path = str(record.folder / file.path)
            parquet = dataset.dataset([path], schema=arrow_schema("samples"), format="parquet")
            for rows in parquet.to_batches(columns=list(_COLUMNS), filter=wanted, use_threads=False):
                found.update(_newest(rows, missing))  # sorted by symbol and version
        except (OSError, ValueError) as error:  # damaged, or deleted meanwhile
            log.warning("record_unreadable", table="samples", path=file.path, error=str(error))
            continue
        yield list(found.values())


def _newest(rows: Any, missing: set[str]) -> dict[str, dict[str, Any]]:
    """The last rows of these symbols in a batch, in which the rows of each are in order."""
    arrow = pyarrow()
    chosen = arrow.compute.and_(arrow.compute.is_in(rows["symbol"], arrow.array(sorted(missing))), rows["last"])
    names, all_places = rows["symbol"].filter(chosen).to_pylist(), arrow.compute.indices_nonzero(chosen).to_pylist()
    places = dict(zip(names, all_places, strict=True))
    taken = rows.take(arrow.array(list(places.values()), arrow.int64()))
    return {row["symbol"]: row for row in taken.to_pylist()}


def _held(row: dict[str, Any]) -> Held:
    held = Held(
        version_of(row),
        row["at"],
        row["event_time"],
        row["source"],
        row["run"],
        row["regime"],
        row["notes"] or (),
        row["session"],
        row["samples"],
    )
    held.remember(row["sampled"] if row["feed_time"] is None else row["feed_time"], row["price"])
    held.sample = tuple(row[name] for name in KNOWN_BY)
    return held
