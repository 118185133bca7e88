"""Which sources and runs a record has, and how far each of them reaches, without reading all of it.

A closed file says it in the manifest, or is read once; of what is written ahead only what came since is read.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cottage.clock import FUTURE_SECONDS
from cottage.errors import HistoryRefusal
from cottage.record.arrow_schema import pyarrow
from cottage.record.bucketing import By
from cottage.record.manifest import Manifest, RecordFile
from cottage.record.record import Record
from cottage.record.write_ahead import ahead_files, mapped, whole_batches

Extent = tuple[int, int] | None
"""The earliest and the latest of some times, in microseconds since 1970; None where there is none."""
_TIMES = ("at", "written", "recorded")
_COLUMNS = ("source", "run", *_TIMES)


@dataclass(frozen=True, slots=True)
class RunExtent:
    """A run of a source, and how far its rows in `samples` reach."""

    source: str | None
    run: int
    at: Extent
    written: Extent
    recorded: Extent

    def extent(self, by: By) -> tuple[int, int]:
        """From its earliest to its newest event, by this time. An event that lies ahead of the recorder's clock by
        more than a feed's clock may be wrong is none of the newest: nobody's `last=` counts back from it. Raises
        HistoryRefusal where no row has such a time."""
        extent: Extent = getattr(self, by)
        if extent is None or self.recorded is None:
            raise HistoryRefusal("not_recorded", f"no row of {self.source} (run {self.run}) says when it was {by}")
        return extent[0], max(extent[0], min(extent[1], self.recorded[1] + round(FUTURE_SECONDS * 1e6)))

    def joined(self, other: "RunExtent") -> "RunExtent":
        """This and more of the same run."""
        extents = (_joined(getattr(self, name), getattr(other, name)) for name in _TIMES)
        return RunExtent(self.source, self.run, *extents)


def _joined(one: Extent, other: Extent) -> Extent:
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), max(one[1], other[1])


class RunIndex:
    """The runs of a record. It remembers what cannot change, so one is kept for a record."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._closed: dict[str, tuple[RunExtent, ...]] = {}
        self._ahead: dict[str, tuple[int, tuple[RunExtent, ...]]] = {}
        """Of each write-ahead file how many batches were read, and what they have."""

    def runs(self) -> list[RunExtent]:
        """All runs, that with the newest row first. Raises FileNotFoundError where there is no record."""
        manifest = self._record.manifest()
        known = list(self._ahead_extents(manifest))
        for file in self._record.files("samples", manifest):
            if file.path not in self._closed:
                self._closed[file.path] = tuple(self._of_file(file))
            known += self._closed[file.path]
        return sorted(_by_run(known), key=lambda run: (run.recorded or (0, 0))[1], reverse=True)

    def _of_file(self, file: RecordFile) -> Iterable[RunExtent]:
        if len(file.sources) == 1:
            [(source, run)] = file.sources
            return [RunExtent(source, run, file.at, file.written, file.recorded)]
        from pyarrow import parquet

        columns = list(_COLUMNS)
        return _extents(parquet.read_table(self._record.folder / file.path, columns=columns, use_threads=False))

    def _ahead_extents(self, manifest: Manifest) -> Iterator[RunExtent]:
        arrow = pyarrow()
        alive: dict[str, tuple[int, tuple[RunExtent, ...]]] = {}
        for file in ahead_files(self._record.folder, manifest.rolled):
            if file.table == "samples":
                read, known = self._ahead.get(file.path.name, (0, ()))
                batches = [batch.rows for batch in whole_batches(mapped(file.path), _COLUMNS)]
                found = (_extents(arrow.Table.from_batches([batch])) for batch in batches[read:])
                joined = _by_run([*known, *(run for runs in found for run in runs)])
                alive[file.path.name] = len(batches), tuple(joined)
        self._ahead = alive
        return (run for _, runs in alive.values() for run in runs)


def _by_run(extents: Iterable[RunExtent]) -> list[RunExtent]:
    """One for each run."""
    runs: dict[tuple[str | None, int], RunExtent] = {}
    for each in extents:
        key = each.source, each.run
        runs[key] = runs[key].joined(each) if key in runs else each
    return list(runs.values())


def _extents(rows: Any) -> list[RunExtent]:
    """The runs of some rows."""
    found = rows.group_by(["source", "run"], use_threads=False).aggregate(
        [(name, how) for name in _TIMES for how in ("min", "max")]
    )
    return [
        RunExtent(
            each["source"],
            each["run"],
            *(None if each[f"{name}_min"] is None else (each[f"{name}_min"], each[f"{name}_max"]) for name in _TIMES),
        )
        for each in found.to_pylist()
    ]
