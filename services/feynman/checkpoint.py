"""The checkpoint file: the windows of all symbols, so that feynman goes on with them after a restart.

The file is a ZIP of arrays in numpy's own format: some hundred symbols a part, and last a manifest, which names the
format, its version, and the settings with which the windows were sampled. Each member has its checksum. A file gets
its name when it is whole and on the disk, so a process that is killed, whenever that is, leaves the one before.
"""

import contextlib
import fcntl
import io
import json
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from cottage import keys
from cottage.clock import FUTURE_SECONDS
from cottage.errors import CottageError
from cottage.formats import NewerFormat, migrated
from services.feynman.windows import NEWEST, RINGS, SAVED

FORMAT = "curiosity cottage windows"
FORMAT_1 = "curiosity cottage windows 1"
"""Version 1 had its number in the name."""

MANIFEST = "manifest.json"
SYMBOLS = "symbols.json"
LARGEST_RETURN = 1500.0
"""Above the logarithm of the largest ratio of two floats."""

_BROKEN = (
    zipfile.BadZipFile,  # no ZIP, or a checksum that is wrong
    zlib.error,
    AttributeError,  # a manifest of other types
    EOFError,
    LookupError,
    MemoryError,  # an array that says it is larger than any machine
    OSError,  # a place outside of the file
    OverflowError,
    RuntimeError,  # a bit of a member's header fell, and asks for a password, or for another compression
    TypeError,
    ValueError,
    struct.error,
)


ReadMember = Callable[[str], bytes]
"""Gives a member's content by its name."""


def _version_apart(read_1: ReadMember) -> ReadMember:
    """From version 1 to 2: the manifest names the format and its version apart."""

    def read_2(name: str) -> bytes:
        content = read_1(name)
        return json.dumps(json.loads(content) | {"format": FORMAT}).encode() if name == MANIFEST else content

    return read_2


MIGRATIONS = (_version_apart,)
"""From version 1 to 2, from 2 to 3, …: each gives the members of a file as the next version has them. A change of the
format comes with one more, and with a file of the version before in the tests."""
VERSION = len(MIGRATIONS) + 1


class CheckpointRefused(CottageError):
    """The file cannot be used; the message says why."""


class CheckpointTooOld(CheckpointRefused):
    """Nothing is wrong with it."""


class CheckpointPart(NamedTuple):
    """The windows of some symbols."""

    symbols: list[str]
    sources: list[str]
    arrays: dict[str, npt.NDArray[Any]]
    """Each of SAVED: rings of shape (n, columns), where columns are at most W, and the others of shape (n,)."""


class CheckpointWriter:
    """One file, part by part. It counts from `finish` on; before that it has another name."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._path = path
        self._settings = dict(settings)
        self._parts = self._symbols = 0
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{self._path.name}.", suffix=".tmp", dir=self._path.parent)
        self._temporary = Path(name)
        self._file = os.fdopen(descriptor, "wb")
        fcntl.flock(self._file, fcntl.LOCK_EX)  # as long as we live: see `sweep`
        self._zip = zipfile.ZipFile(self._file, "w")

    def add(self, part: CheckpointPart) -> None:
        """Raises OSError."""
        names = {"symbols": part.symbols, "sources": part.sources}
        self._zip.writestr(f"{self._parts}/{SYMBOLS}", json.dumps(names))
        for name, array in part.arrays.items():
            with self._zip.open(f"{self._parts}/{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
        self._parts += 1
        self._symbols += len(part.symbols)

    def finish(self, now: float) -> int:
        """Put the file in the place of the one before; its size in bytes. `now` is epoch seconds. Raises OSError."""
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "settings": self._settings,
            "saved_at": now,
            "parts": self._parts,
            "symbols": self._symbols,
        }
        self._zip.writestr(MANIFEST, json.dumps(manifest))
        self._zip.close()
        assert self._file is not None
        with self._file as file:
            file.flush()
            os.fsync(file.fileno())
            self._temporary.replace(self._path)
            size = file.tell()
        _sync_folder(self._path.parent)
        return size

    def abandon(self) -> None:
        """Leave nothing of it. It may be called at any time; after `finish` it does nothing."""
        if self._file is not None and not self._file.closed:
            with contextlib.suppress(OSError):
                self._temporary.unlink(missing_ok=True)
            with contextlib.suppress(OSError, ValueError):
                self._zip.close()  # else it would try when it is collected
            with contextlib.suppress(OSError):
                self._file.close()


def read(path: Path, settings: Mapping[str, Any], now: float, oldest: float) -> Generator[CheckpointPart, None, None]:
    """The parts of a file, each checked before it is given out. `now` is epoch seconds, `oldest` an age in seconds.

    A file of an older version is migrated. Raises CheckpointRefused for a file that is torn, foreign, too old, of a
    newer version, or sampled with other settings; FileNotFoundError and other OSErrors.
    """
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                read_member: ReadMember = archive.read
                read_member = migrated(read_member, _version(json.loads(read_member(MANIFEST))), MIGRATIONS)
                manifest = json.loads(read_member(MANIFEST))
                _check_manifest(manifest, settings, now, oldest)
                window = int(settings["window"])
                for number in range(manifest["parts"]):  # of a file that is damaged anywhere nothing is used
                    _part(read_member, number, window)
                for number in range(manifest["parts"]):
                    yield _part(read_member, number, window)
        except NewerFormat as error:
            raise CheckpointRefused(str(error)) from error
        except _BROKEN as error:
            raise CheckpointRefused(f"it is damaged, or no checkpoint: {error or type(error).__name__}") from error


def sweep(path: Path) -> int:
    """Remove what killed processes have left of `path`; how many files. Living ones hold a lock on theirs."""
    removed = 0
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        with contextlib.suppress(OSError), left.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()
            removed += 1
    return removed


def leave_aside(path: Path) -> Path:
    """Give a file that was refused a name of its own, which nothing replaces; that name. Raises OSError."""
    aside = path.with_name(path.name + ".refused")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.refused-{number}")
    return path.replace(aside)


def _version(manifest: Any) -> int:
    name = manifest.get("format") if isinstance(manifest, dict) else None
    if name not in (FORMAT, FORMAT_1):
        raise CheckpointRefused("it is none of ours")
    return 1 if name == FORMAT_1 else int(manifest["version"])


def _check_manifest(manifest: dict[str, Any], settings: Mapping[str, Any], now: float, oldest: float) -> None:
    for name, value in settings.items():
        found = manifest["settings"].get(name)
        if found != value:
            raise CheckpointRefused(f"it was sampled with {name} {found}, now it is {value}")
    age = now - manifest["saved_at"]
    if not age >= -FUTURE_SECONDS:  # nor nan
        raise CheckpointRefused(f"it was saved {-age:.0f} s in the future")
    if age > oldest:
        raise CheckpointTooOld(f"it is {age:.0f} s old")


def _part(read_member: ReadMember, number: int, window: int) -> CheckpointPart:
    names = json.loads(read_member(f"{number}/{SYMBOLS}"))
    # Read whole, and so against its checksum, before anything is made of it.
    contents = {name: io.BytesIO(read_member(f"{number}/{name}.npy")) for name in SAVED}
    arrays = {name: np.lib.format.read_array(content, allow_pickle=False) for name, content in contents.items()}
    part = CheckpointPart(names["symbols"], names["sources"], arrays)
    check(part, window)
    return part


def check(part: CheckpointPart, window: int) -> None:
    """That windows of this length can hold it. Raises ValueError."""
    arrays, number = part.arrays, len(part.symbols)
    for name in part.symbols:
        keys.symbol(name)
    _must(len(set(part.symbols)) == number == len(part.sources), "symbols")
    _must(all(isinstance(source, str) for source in part.sources), "sources")

    columns = arrays["price"].shape[1]
    for name in RINGS:
        _must(arrays[name].dtype == np.float64 and arrays[name].shape == (number, columns), name)
    for name in NEWEST:
        whole = name in ("samples", "newest")
        _must(arrays[name].dtype == (np.int64 if whole else np.float64) and arrays[name].shape == (number,), name)

    samples, newest = arrays["samples"], arrays["newest"]
    _must(bool(((samples >= 1) & (samples <= window)).all()) and columns <= window, "samples")
    _must(bool((samples <= columns).all() and ((newest >= 0) & (newest < samples)).all()), "newest")
    _must(bool((newest == samples - 1)[samples < window].all()), "newest")
    for name in ("price", "last_price"):
        _must(bool(np.isfinite(arrays[name]).all() and (arrays[name] > 0).all()), name)
    for name in ("volume", "trades", "session_volume", "session_trades", "last_timestamp"):
        _must(bool(np.isfinite(arrays[name]).all() and (arrays[name] >= 0).all()), name)
    _must(bool((np.abs(np.nan_to_num(arrays["log_return"], nan=0.0)) < LARGEST_RETURN).all()), "log_return")


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"its {what} cannot be")


def _sync_folder(folder: Path) -> None:
    """A file's name is the folder's content, and on the disk when the folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
