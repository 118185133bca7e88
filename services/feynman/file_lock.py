"""A lock on a file that several processes may want to replace. The checkpointer saves only while it holds it."""

import contextlib
import fcntl
import os
from pathlib import Path


class FileLock:
    """A lock that one process at a time can hold. The kernel releases it when that process ends, in whatever way."""

    def __init__(self, path: Path) -> None:
        """`path`: the file to protect. The lock is a hidden file beside it."""
        self._path = path.with_name(f".{path.name}.lock")
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Try to take the lock. Returns whether this process holds it now. Raises OSError."""
        if self._descriptor is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.ExitStack() as unless_taken, contextlib.suppress(BlockingIOError):
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                unless_taken.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                unless_taken.pop_all()
                self._descriptor = descriptor
        return self._descriptor is not None

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
