"""The folder of `make run`: it makes sure that there is one run at a time, and tells the runbook its URLs.

.run/lock        a lock that the run and its Redis hold, with the run's process id
.run/urls.env    the URLs of the run as NAME=value lines for a shell; removed when the run ends
.run/NAME.reason why the service NAME ended by itself the last time
.run/feynman/    feynman's checkpoints
.run/record/     the record
.run/redis-7/    Redis's data and log, a folder for each kind of server
"""

import contextlib
import os
import shlex
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from common import logs
from cottage.errors import CottageError, SettingsError
from cottage.variables import value_of

DEFAULT_FOLDER = ".run"
URLS = "urls.env"
LOCK = "lock"
LEFTOVER_SECONDS = 12.0  # a Redis whose supervisor was killed saves and ends within this

log = logs.get_logger()


def run_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of `make run`: RUN_DIR, by default `.run`."""
    return Path(value_of(environment, "RUN_DIR") or DEFAULT_FOLDER)


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Raises a SettingsError where the folder cannot be written, as on a full disk."""
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"RUN_DIR: {folder} cannot be written ({error.strerror}): free it, or set another one"
        ) from error


@contextlib.contextmanager
def only_run(folder: Path) -> Iterator[int]:
    """Make `folder` and hold its lock. Yields the lock's file descriptor.

    Redis inherits the descriptor and so holds the lock too: two servers on the same files would destroy them, so a
    new run waits for a Redis that has lost its supervisor and is still saving. Raises CottageError if another run has
    the lock, and SettingsError where the folder cannot be written.
    """
    import fcntl  # does not exist on Windows, where run.py exits before this

    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline = time.monotonic() + LEFTOVER_SECONDS
        reported = False
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            holder = os.pread(lock, 32, 0).decode(errors="replace").strip()
            if _alive(holder):
                raise CottageError(
                    f"it is running here already (process {holder}, {folder}); "
                    "for a second one choose other ports and another RUN_DIR"
                )
            if not reported:
                log.info("waiting", reason="the Redis of an earlier run is still saving", folder=str(folder))
                reported = True
            if time.monotonic() > deadline:
                raise CottageError(f"the Redis of an earlier run still uses {folder}; end it, or set RUN_DIR")
            time.sleep(0.1)
        with _writing(folder):
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield lock
    finally:
        os.close(lock)


def write_urls(folder: Path, urls: Mapping[str, str]) -> None:
    """Write urls.env atomically, readable for this user only, since the Redis URL may contain a password. Raises
    SettingsError where the folder cannot be written."""
    new = folder / f"{URLS}.new"
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in {**urls, "RUN_PID": str(os.getpid())}.items()]
    with _writing(folder):
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.writelines(lines)
        new.replace(folder / URLS)


def remove_urls(folder: Path) -> None:
    (folder / URLS).unlink(missing_ok=True)


def read_urls(folder: Path) -> dict[str, str] | None:
    """The contents of urls.env if the run that wrote it is alive, else None."""
    try:
        lines = (folder / URLS).read_text().splitlines()
        urls = dict(shlex.split(line)[0].split("=", 1) for line in lines if line)
    except (OSError, ValueError, IndexError):
        return None
    return urls if _alive(urls.get("RUN_PID", "")) else None


def _alive(pid: str) -> bool:
    if not pid.isdigit() or int(pid) <= 0:
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
