"""Keeps checkpoints in the folder of a record, from which its replay goes on (cottage/record/checkpoints.py).

Feynman keeps them itself, since it alone knows with which windows it began, and with which epoch; and as links to the
files that it saves anyway, since windows of 10,000 symbols are 330 MB.
"""

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cottage.record.checkpoints import BEGUN, CHECKPOINTS, SAVED, WANTED, CheckpointName, checkpoints
from cottage.record.record import is_record
from services.feynman.checkpoint import CheckpointWriter

EVERY_SECONDS = 3600.0
"""Between two that are kept, unless the recorder asks for one."""
MOST_BYTES = 2**30
"""Beyond this the oldest go, but never the newest."""


class RecordCheckpoints:
    """Those of one process, whose windows are of one shard. All methods raise OSError."""

    def __init__(self, record: Path, shard: str, settings: Mapping[str, Any]) -> None:
        """`settings`: those with which the windows are sampled."""
        self._record = record
        self._shard = shard
        self._settings = settings
        self._folder = record / CHECKPOINTS
        self._began_with = self._folder / f"loaded-{shard.replace('/', '-of-')}"
        self._kept_at = 0.0
        """When one was kept last, in seconds since 1970."""
        self._wanted = self._answered = 0
        """When one was asked for last, and of the one that was kept last, as the file system has it."""

    def begin(self, loaded: Path | None) -> None:
        """The process has loaded this file, or none."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._began_with.unlink(missing_ok=True)
        if loaded is not None:
            _link(loaded, self._began_with)

    def began(self, epoch: int, now: float) -> None:
        """It issues its first states under this epoch, with the windows with which it began. `now`: seconds since
        1970."""
        if not self._began_with.exists():
            writer = CheckpointWriter(self._began_with, self._settings)
            try:
                writer.open()
                writer.finish(now)
            finally:
                writer.abandon()
        self._began_with.replace(CheckpointName(BEGUN, epoch, self._shard).path(self._record))

    def wants(self, now: float) -> bool:
        """Whether a file that is begun to be saved now is to be kept. `now`: seconds since 1970."""
        if not is_record(self._record):
            return False  # nobody records
        with contextlib.suppress(FileNotFoundError):
            self._wanted = (self._folder / WANTED).stat().st_mtime_ns
        return self._wanted != self._answered or now - self._kept_at >= EVERY_SECONDS

    def saved(self, path: Path, now: float) -> None:
        """Keep this file, which was wanted. `now`: seconds since 1970."""
        _link(path, CheckpointName(SAVED, round(now * 1e6), self._shard).path(self._record))
        self._kept_at, self._answered = now, self._wanted
        self._remove_oldest()

    def _remove_oldest(self) -> None:
        paths = [name.path(self._record) for name in checkpoints(self._record) if name.shard == self._shard]
        facts = sorted((path.stat().st_mtime_ns, path.stat().st_size, path) for path in paths)
        total = sum(size for _time, size, _path in facts)
        for _time, size, path in facts[:-1]:
            if total > MOST_BYTES:
                path.unlink(missing_ok=True)
                total -= size


def _link(path: Path, to: Path) -> None:
    """Make `to` the same file; a copy where it lies on another disk."""
    to.unlink(missing_ok=True)
    try:
        os.link(path, to)
    except OSError:
        part = to.with_name(f"{to.name}.part")
        with contextlib.ExitStack() as stack:
            stack.callback(part.unlink, missing_ok=True)
            shutil.copyfile(path, part)
            part.replace(to)
