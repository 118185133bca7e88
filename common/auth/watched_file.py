"""A file that is read again when it changes: keys and the list of denied tokens can change without a restart.

It is looked at when it is used, once a second at most. What cannot be read, or is written by half, leaves in force
what was read before, and is said once.
"""

import math
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from common import logs
from cottage.errors import SettingsError

LOOK_SECONDS = 1.0
MOST_BYTES = 4 * 1024 * 1024

Content = TypeVar("Content")
_Mark = tuple[int, int, int, int]

log = logs.get_logger()


def _newer(_before: Content, now: Content) -> Content:
    return now


class WatchedFile(Generic[Content]):
    """The content of the file that a setting names.

    After each change it is read twice, a second or more apart: a file may change twice within one tick of the file
    system's clock, and a file without a syntax does not show that only half of it is written.
    """

    def __init__(
        self,
        setting: str,
        path: str,
        parse: Callable[[bytes], Content],
        monotonic: Callable[[], float],
        meanwhile: Callable[[Content, Content], Content] = _newer,
    ) -> None:
        """`parse` raises ValueError for what the file may not be. `meanwhile`: what holds between the two readings,
        of what held before and what was read. Raises SettingsError if the file cannot be read or used."""
        self._setting = setting
        self._path = Path(path)
        self._parse = parse
        self._monotonic = monotonic
        self._meanwhile = meanwhile
        try:
            self._mark, self._content = self._read()
        except (OSError, ValueError) as error:
            raise SettingsError(f"{setting}: {path}: {_why(error)}") from error
        self._is_settled = False
        self._is_doubtful = False
        """Whether the newest look failed."""
        self._looked_at = monotonic()
        self._asked_at = -math.inf

    def content(self) -> Content:
        """What the file has, or had when it could last be used."""
        if self._monotonic() - self._looked_at >= LOOK_SECONDS:
            self._look()
        return self._content

    def content_now(self) -> Content:
        """The same; the file is read in any case, unless that was done less than a second ago."""
        now = self._monotonic()
        if now - self._asked_at >= LOOK_SECONDS:
            self._asked_at = now
            self._is_settled = False
            self._look()
        return self._content

    def _look(self) -> None:
        self._looked_at = self._monotonic()
        try:
            if self._is_settled and not self._is_doubtful and _mark(self._path.stat()) == self._mark:
                return
            mark, content = self._read()
        except (OSError, ValueError) as error:
            if not self._is_doubtful:
                log.warning("file_not_taken", setting=self._setting, path=str(self._path), error=_why(error))
            self._is_doubtful = True
            return
        has_changed = mark != self._mark or self._is_doubtful
        self._is_settled, self._is_doubtful = mark == self._mark, False
        self._content = content if self._is_settled else self._meanwhile(self._content, content)
        self._mark = mark
        if has_changed:
            log.info("file_taken", setting=self._setting, path=str(self._path))

    def _read(self) -> tuple[_Mark, Content]:
        with open(self._path, "rb", opener=_without_waiting) as file:
            mark = _mark(os.fstat(file.fileno()))
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise ValueError(f"has more than {MOST_BYTES} bytes")
        return mark, self._parse(text)


def _without_waiting(path: str, flags: int) -> int:
    """Open a file, and nothing that would wait for a writer."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("is no file")
    return descriptor


def _mark(found: os.stat_result) -> _Mark:
    """What differs after a change. The time of the last change of its attributes tells of new permissions as well."""
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def _why(error: OSError | ValueError) -> str:
    """Without what the file has: it may be a secret in the wrong place."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "is no UTF-8 text" if isinstance(error, UnicodeError) else str(error)
