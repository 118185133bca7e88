"""The record's folder for writing: rows are on the disk a flush after they came, in five-minute files when `roll` is
called, in files of an hour by `compact`, and go by age and size with `expire`.

    with RecordWriter(Path("data/record")) as record:
        record.append("samples", {"symbol": ["SPY"], …})   # columns by name, lists of the same length
        record.flush()                                     # every 2 s: on the disk when it returns
        record.roll()                                      # every five minutes: sorted Parquet
        record.compact()                                   # then too: files of hours that are over
        record.expire(keep_days=7, max_bytes=2 * 1024**3)

A change becomes true with its entry in the chain (manifest.py). Files come to their place after that, and go a while
after that, so that who reads by the manifest before finds them. `append` and `flush` may be called while another
thread is in `roll`, `compact` or `expire`, of which the first two sort in a child process and wait for it.
"""

import fcntl
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from cottage.clock import iso_millis
from cottage.errors import CottageError
from cottage.log import get_logger
from cottage.record.arrow_schema import arrow_schema, pyarrow
from cottage.record.chain_recovery import place_files, recovered
from cottage.record.compaction_child import CompactionFailed, sort_in_child
from cottage.record.digest import as_text, from_text, together
from cottage.record.folder_layout import AHEAD, HOUR, LOCK, PIECES, READY, STAGING, free_hour_path, piece_path
from cottage.record.manifest import Manifest, RecordFile, paths_of
from cottage.record.s3_archive import ArchiveFailed
from cottage.record.sorted_runs import in_order, order_of
from cottage.record.write_ahead import AheadFile, WriteAhead, ahead_files

GRACE_SECONDS = 60.0
"""A file that is no longer of the record stays so long for those who read by the manifest before."""
MOST_WAITING = 64 * 1024**2
"""Bytes of rows that wait for a disk that takes none."""
DAY_SECONDS = 86_400

log = get_logger(__name__)


class Archive(Protocol):
    """Where copies of files are kept: s3_archive.py."""

    def put(self, path: Path, name: str, checksum: str) -> str:
        """Copy a file and return the URL of the copy, when that is there with the same bytes. Raises
        ArchiveFailed."""


class RecordInUse(CottageError):
    """Another recorder writes to this folder."""


@dataclass(frozen=True, slots=True)
class Flushed:
    """What `flush` did."""

    rows: int = 0
    """That are on the disk now and were not before."""
    waiting: int = 0
    """Rows that are in memory still, since the disk did not take them. The next flush tries again."""
    lost: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """By table, the pyarrow.RecordBatches that were given up, since too many waited."""
    refused: int = 0
    """Rows with a value that is not of its column's kind, or without one that is required. The log says which."""
    error: str | None = None
    """Why rows wait or are lost."""


class RecordWriter:
    """Writes to a folder, which it makes where there is none. One at a time: the next gets RecordInUse."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        grace: float = GRACE_SECONDS,
        most_waiting: int = MOST_WAITING,
        archive: Archive | None = None,
    ) -> None:
        """Open it, and mend what a crash left. Raises RecordInUse, RecordDamaged, NewerFormat, MissingExtra, or
        OSError.

        `clock`: seconds since 1970; an hour is over by it, and an age is reckoned by it. `monotonic`: seconds.
        `archive`: where files of hours are copied by `archive`; then `expire` removes none without a copy.
        """
        pyarrow()
        self.folder = folder.absolute()
        self._clock = clock
        self._monotonic = monotonic
        self._grace = grace
        self._most_waiting = most_waiting
        self._archive = archive
        for name in (AHEAD, PIECES):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.folder / LOCK)
        try:
            self._chain = recovered(self.folder, self._now())
            if not self._chain.manifest.number:
                self._chain.append("began", self._now())
                self._chain.save()
            self._settled = self.manifest.number
        except BaseException:
            os.close(self._lock)
            raise
        self._rows: dict[str, dict[str, list[Any]]] = {}
        self._waiting: list[tuple[str, Any]] = []
        """Tables and batches that are not on the disk yet, oldest first."""
        numbers = [file.number for file in ahead_files(self.folder, 0)]
        self._ahead = WriteAhead(self.folder, max([self._chain.manifest.rolled, *numbers]) + 1)
        self._leaving: list[tuple[float, Path]] = []
        self._rows_lock = threading.Lock()
        self._ahead_lock = threading.Lock()
        self._files_lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def manifest(self) -> Manifest:
        """What is alive, without what is still written ahead."""
        return self._chain.manifest

    @property
    def head(self) -> str:
        """The hash of the newest entry of the chain, which `verify` takes."""
        return self._chain.manifest.head

    def is_in_place(self) -> bool:
        """Whether the folder is the one that was opened. What is written to one that was deleted meanwhile is lost,
        and no error says so."""
        try:
            return os.path.samestat((self.folder / LOCK).stat(), os.fstat(self._lock))
        except FileNotFoundError:
            return False

    def append(self, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Take rows, column by column, as values of Python; columns that are not given are null. They are on the disk
        with the next flush. Raises KeyError for no table of the record, ValueError for a column that the table does
        not have, or one of another length."""
        names = arrow_schema(table).names
        if unknown := columns.keys() - set(names):
            raise ValueError(f"{table} has no column {', '.join(sorted(unknown))}")
        length = max(map(len, columns.values()), default=0)
        if any(len(values) != length for values in columns.values()):
            raise ValueError(f"the columns of {table} are not of the same length")
        with self._rows_lock:
            held = self._rows.setdefault(table, {name: [] for name in names})
            nulls = [None] * length
            for name, values in held.items():
                values.extend(columns.get(name, nulls))

    def flush(self) -> Flushed:
        """Write all rows that were appended, and return when they are on the disk. Where it does not take them, they
        wait for the next flush; beyond MOST_WAITING the newest are given up, and named. Raises nothing for a disk
        that is full or broken."""
        with self._rows_lock:
            appended, self._rows = self._rows, {}
        with self._ahead_lock:
            lost: dict[str, list[Any]] = {}
            error = None
            refused = 0
            for table, columns in appended.items():
                for batch in _batches(table, columns):
                    if batch is None:
                        refused += 1
                    elif sum(each.nbytes for _, each in self._waiting) + batch.nbytes > self._most_waiting:
                        lost.setdefault(table, []).append(batch)
                    else:
                        self._waiting.append((table, batch))
            rows = 0
            while self._waiting:
                table, batch = self._waiting[0]
                try:
                    self._ahead.write(table, batch)
                except OSError as problem:
                    error = str(problem)
                    break
                rows += len(batch)
                del self._waiting[0]
            return Flushed(rows, sum(len(batch) for _, batch in self._waiting), lost, refused, error)

    def roll(self) -> bool:
        """Make sorted Parquet files of all that is written ahead. Returns whether that succeeded; if not, the log
        says why, nothing is lost, and the next call tries again."""
        with self._files_lock:
            self._remove_leaving()
            self.flush()
            with self._ahead_lock:
                finished = self._ahead
                if finished.bytes:
                    self._ahead = WriteAhead(self.folder, finished.number + 1)
                    finished.close()
                until = self._ahead.number - 1
            files = [file for file in ahead_files(self.folder, self.manifest.rolled) if file.number <= until]
            if not files:
                return True
            return self._do("rolled", files, rolled=until)

    def compact(self, *, unfinished: bool = False) -> bool:
        """Make one file of all pieces of each hour that is over, or of any hour. Returns whether that succeeded; if
        not, the log says why, the pieces stay, and the next call tries again."""
        with self._files_lock:
            self._remove_leaving()
            current = int(self._clock() * 1e6) // HOUR
            done = True
            pieces = [file for file in self.manifest.files if file.is_piece and (unfinished or file.hour < current)]
            for hour in sorted({file.hour for file in pieces}):
                sources = [file for file in pieces if file.hour == hour]
                done = self._do("compacted", sources) and done
            return done

    def archive(self) -> bool:
        """Copy files of hours to the archive that have no copy there. Returns whether all have one now, or there is
        no archive; if not, the log says why, and the next call tries again."""
        archive = self._archive
        if archive is None:
            return True
        for file in [file for file in self.manifest.files if not file.is_piece and file.archived is None]:
            try:
                # Long, and nobody else changes a file of an hour: `roll` and the others need not wait.
                url = archive.put(self.folder / file.path, file.path, file.sha256)
                with self._files_lock:
                    self._settle()
                    self._chain.append("archived", self._now(), archived=[{"path": file.path, "to": url}])
                    self._try_to_settle("archived")
            except (ArchiveFailed, OSError) as error:
                log.warning("record_not_archived", path=file.path, error=str(error))
                return False
            log.info("record_archived", path=file.path, url=url, bytes=file.bytes)
        return True

    def expire(self, keep_days: float | None = None, max_bytes: int | None = None) -> int:
        """Remove files whose newest row is older than `keep_days`, and the oldest while the Parquet files take more
        than `max_bytes`; where there is an archive, only those that have a copy there. Returns how many."""
        with self._files_lock:
            self._remove_leaving()
            oldest = 0 if keep_days is None else (self._clock() - keep_days * DAY_SECONDS) * 1e6
            # Nothing else counts: no row is to go for the room of what stays, such as feynman's checkpoints.
            total = sum(file.bytes for file in self.manifest.files)
            expired: list[RecordFile] = []
            for file in sorted(self.manifest.files, key=lambda file: file.recorded[1]):
                if self._archive is not None and file.archived is None:
                    continue
                if file.recorded[1] < oldest or (max_bytes is not None and total > max_bytes):
                    expired.append(file)
                    total -= file.bytes
            if not expired:
                return 0
            try:
                self._settle()
                self._chain.append("expired", self._now(), removed=paths_of(expired))
            except OSError as error:
                log.warning("record_manifest_late", why="expired", error=str(error))
                return 0
            log.info("record_expired", files=len(expired), rows=sum(file.rows for file in expired))
            self._try_to_settle("expired")
            self._leaving += [(self._monotonic(), self.folder / file.path) for file in expired]
            self._remove_leaving()
            return len(expired)

    def size(self) -> int:
        """Bytes of all files in the folder, those included that are about to go."""
        return sum(map(_bytes, self.folder.rglob("*")))

    def close(self) -> None:
        """Write everything, make files of hours of it, and let the next recorder in. Idempotent."""
        if self._closed:
            return
        self._closed = True
        try:
            if self.roll():
                self.compact(unfinished=True)
            if left := sum(len(batch) for _, batch in self._waiting):
                log.warning("record_rows_unwritten", rows=left)
            self._remove_leaving(all_of_them=True)
        finally:
            self._ahead.close()
            os.close(self._lock)

    def _do(self, why: str, sources: Sequence[RecordFile | AheadFile], **facts: Any) -> bool:
        """Have the rows of these files sorted, and put what comes out into the record in their place."""
        began = self._monotonic()
        try:
            self._settle()
            added, damaged = self._sorted(sources)
            removed = [file.path for file in sources if isinstance(file, RecordFile)]
            self._chain.append(why, self._now(), added=added, removed=removed, damaged=damaged, **facts)
        except (CompactionFailed, OSError) as error:
            shutil.rmtree(self.folder / STAGING, ignore_errors=True)
            log.warning("record_compaction_failed", why=why, files=len(sources), error=str(error))
            return False
        due = self._monotonic() + self._grace
        self._leaving += [(due, self.folder / file.path) for file in sources]
        rows = sum(file.rows for file in added)
        log.info("record_files", why=why, files=len(added), rows=rows, ms=round(1000 * (self._monotonic() - began)))
        for each in damaged:
            log.warning("record_torn_end", path=each["path"], offset=each["from"], bytes=each["bytes"])
        self._try_to_settle(why)
        return True

    def _try_to_settle(self, why: str) -> None:
        """A change is true by the chain. If its files and the manifest cannot be put there, the next call does it, or
        the next start."""
        try:
            self._settle()
        except OSError as error:
            log.warning("record_manifest_late", why=why, error=str(error))

    def _settle(self) -> None:
        """Put files and manifest where they belong by the chain. Raises OSError."""
        if self._settled < self.manifest.number:
            place_files(self.folder, self.manifest)
            self._chain.save()
            self._settled = self.manifest.number
            shutil.rmtree(self.folder / STAGING, ignore_errors=True)

    def _sorted(self, sources: Sequence[RecordFile | AheadFile]) -> tuple[list[RecordFile], list[dict[str, Any]]]:
        """Files in READY with the rows of these, and what of them was left aside."""
        inputs: dict[str, list[Path]] = {}
        for source in sources:
            inputs.setdefault(source.table, []).append(self.folder / source.path)
        taken = set(paths_of(self.manifest.files))
        added, damaged = [], []
        for answer in sort_in_child(inputs, self.folder / STAGING / "made"):
            damaged += answer["damaged"]
            _check(answer, [source for source in sources if source.table == answer["table"]])
            for told in answer["files"]:
                if isinstance(sources[0], AheadFile):
                    path = piece_path(told["table"], told["hour"], self.manifest.number + 1)
                else:
                    path = free_hour_path(self.folder, told["table"], told["hour"], taken)
                ready = self.folder / READY / path
                ready.parent.mkdir(parents=True, exist_ok=True)
                Path(told["path"]).replace(ready)
                added.append(RecordFile.of(told | {"path": path}))
        return added, damaged

    def _remove_leaving(self, *, all_of_them: bool = False) -> None:
        now = self._monotonic()
        stay = []
        for due, path in self._leaving:
            if due > now and not all_of_them:
                stay.append((due, path))
                continue
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                log.warning("record_manifest_late", why="leaving", error=str(error))
                stay.append((due, path))
        self._leaving = stay

    def _now(self) -> str:
        return iso_millis(self._clock())


def _bytes(path: Path) -> int:
    """How large a file is; 0 for what is none, or is gone."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def _locked(path: Path) -> int:
    """A descriptor that holds the lock. Raises RecordInUse."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 100, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise RecordInUse(f"another recorder writes to {path.parent} (process {holder})") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _batches(table: str, columns: Mapping[str, list[Any]]) -> Iterator[Any]:
    """The rows as one batch, sorted; or as several around rows that fit no table, with a None for each of these."""
    arrow = pyarrow()
    schema = arrow_schema(table)
    try:
        arrays = [arrow.array(columns[field.name], field.type) for field in schema]
        for field, array in zip(schema, arrays, strict=True):
            if array.null_count and not field.nullable:
                raise ValueError(f"{field.name} is required")
    except (ValueError, TypeError, OverflowError) as error:
        rows = len(columns[schema.names[0]])
        if rows > 1:
            for half in (slice(rows // 2), slice(rows // 2, None)):
                yield from _batches(table, {name: values[half] for name, values in columns.items()})
        else:
            log.warning("record_row_refused", table=table, error=str(error), key=_key(table, columns))
            yield None
    else:
        yield in_order(arrow.RecordBatch.from_arrays(arrays, schema=schema), table)


def _key(table: str, columns: Mapping[str, list[Any]]) -> list[str]:
    return [str(columns[name][0])[:40] for name in order_of(table)]


def _check(answer: Mapping[str, Any], sources: Sequence[RecordFile | AheadFile]) -> None:
    """Raise CompactionFailed where the rows of the files that came out are not those of the sources."""
    pieces = [file for file in sources if isinstance(file, RecordFile)]
    expected = answer["digest"] or as_text(together(*(from_text(file.digest) for file in pieces)))
    found = as_text(together(*(from_text(file["digest"]) for file in answer["files"])))
    if found != expected:
        rows = sum(file["rows"] for file in answer["files"])
        raise CompactionFailed(
            f"what came out of {', '.join(str(file.path) for file in sources)} is not what was recorded: {rows} rows "
            f"of {sum(file.rows for file in pieces) or 'those written ahead'}"
        )
