"""The disk of the recorder: rows go to the record's writer in threads, so that a slow disk delays nobody.

Rows that the disk does not take yet wait in memory, in bounded room: see `waiting`. Files are sorted, merged, copied
and deleted beside, every five minutes.
"""

import errno
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common import logs
from cottage.clock import Clock
from cottage.daemon_thread import in_daemon_thread
from cottage.errors import CottageError, SettingsError
from cottage.record.manifest import CHAIN, RecordDamaged
from cottage.record.record_writer import RecordInUse, RecordWriter
from cottage.record.s3_archive import S3Archive
from services.recorder import metrics
from services.recorder.settings import RecorderSettings

ROLL_SECONDS = 300.0
HEAD_SECONDS = 60.0
"""How often the head of the record's chain is logged."""
GIB = 2**30
MOST_WAITING = 2**28
"""Bytes that wait in the writer: more than the rows take for which the keeper has room, so that it gives up none."""

PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
"""What keeps a disk from being written that was: a later try may succeed."""

log = logs.get_logger()

Columns = Mapping[str, list[Any]]


class RecordDisk:
    """Where rows go. `now`: gives the time by Redis's clock, in seconds since 1970."""

    def __init__(self, settings: RecorderSettings, clock: Clock, now: Callable[[], float]) -> None:
        self._settings = settings
        self._folder = Path(settings.dir)
        self._clock = clock
        self._now = now
        self._writer: RecordWriter | None = None
        self._under_way = 0
        self._waiting = 0
        self.lag = 0.0
        """How old the oldest version was that the last flush brought to the disk, in seconds."""
        self.problem: str | None = "not opened yet"
        """Why the disk takes no rows; None if it does."""

    def open(self) -> None:
        """Raises SettingsError where nothing can be recorded there, another CottageError where a record is there and
        cannot be written now."""
        try:
            place = self._settings.archive
            archive = S3Archive(place, self._settings.archive_endpoint) if place else None
            self._writer = RecordWriter(
                self._folder,
                clock=self._now,
                monotonic=self._clock.monotonic,
                most_waiting=MOST_WAITING,
                archive=archive,
            )
        except RecordInUse as error:
            raise SettingsError(f"RECORDER_DIR: {error}") from error
        except RecordDamaged as error:
            todo = "move the folder away, or set another one, and a new record begins"
            raise RecordDamaged(f"RECORDER_DIR: {error}: {todo}") from error
        except CottageError:
            raise
        except OSError as error:
            reason = f"RECORDER_DIR: {self._folder} cannot be written ({error.strerror}): free it, or set another one"
            # A recorder that was killed must not end all others, as what is wrong for good does.
            passes = error.errno in PASSING and (self._folder / CHAIN).exists()
            raise (CottageError if passes else SettingsError)(reason) from error
        self.problem = None
        metrics.BYTES.set(self._writer.size())

    @property
    def waiting(self) -> int:
        """Rows that are not on the disk yet."""
        return self._under_way + self._waiting

    async def write(self, tables: Mapping[str, Columns]) -> None:
        """Have these rows written, and return when the disk has them, or does not take them for now. Raises
        CottageError where the folder has been deleted: who starts again begins a new record."""
        writer = self._opened
        self._under_way = sum(_length(columns) for columns in tables.values())
        began = self._clock.monotonic()
        done = await in_daemon_thread(_write, writer, tables)
        metrics.FLUSH.observe(self._clock.monotonic() - began)
        self._under_way, self._waiting = 0, done.waiting
        metrics.WAITING.set(done.waiting)
        self._note_lag(tables)
        for table, columns in tables.items():
            metrics.ROWS.labels(table).inc(_length(columns))
        if done.error != self.problem:
            if done.error is not None:
                log.warning("disk_takes_nothing", folder=str(self._folder), error=done.error)
            else:
                log.info("disk_takes_rows_again", folder=str(self._folder))
        self.problem = done.error

    def _note_lag(self, tables: Mapping[str, Columns]) -> None:
        written = [time for time in tables.get("samples", {}).get("written", ()) if time is not None]
        if written:
            self.lag = max(0.0, self._now() - min(written) / 1e6)
            metrics.LAG.set(self.lag)

    async def maintain(self) -> None:
        """Make files of what was written, copy them, and delete what is too old or too much, until cancelled."""
        while True:
            await self._clock.sleep(ROLL_SECONDS)
            await in_daemon_thread(self._maintain, self._opened)

    async def tell(self) -> None:
        """Log the head of the chain at regular times, until cancelled."""
        while True:
            about = self.head()
            log.info(
                "record_head",
                number=about["number"],
                head=about["head"],
                files=about["files"],
                rows=about["rows"],
                bytes=about["bytes"],
            )
            await self._clock.sleep(HEAD_SECONDS)

    def head(self) -> dict[str, Any]:
        """The newest entry of the chain, and how much is in files by it; empty before the record is open."""
        if self._writer is None:
            return {}
        manifest = self._writer.manifest
        return {
            "number": manifest.number,
            "head": manifest.head,
            "files": len(manifest.files),
            "rows": sum(file.rows for file in manifest.files if file.table == "samples"),
            "bytes": sum(file.bytes for file in manifest.files),
        }

    async def close(self) -> None:
        """Make files of everything, and let another recorder in."""
        if self._writer is not None:
            await in_daemon_thread(self._writer.close)

    @property
    def _opened(self) -> RecordWriter:
        assert self._writer is not None
        return self._writer

    def _maintain(self, writer: RecordWriter) -> None:
        writer.roll()
        writer.compact()
        writer.archive()
        writer.expire(self._settings.keep_days, round(self._settings.max_gib * GIB))
        metrics.BYTES.set(writer.size())


def _write(writer: RecordWriter, tables: Mapping[str, Columns]) -> Any:
    if not writer.is_in_place():
        raise CottageError(f"RECORDER_DIR: {writer.folder} was deleted or replaced, with what was recorded there")
    for table, columns in tables.items():
        writer.append(table, columns)
    return writer.flush()


def _length(columns: Columns) -> int:
    return len(next(iter(columns.values()), ()))
