"""The checkpoint file: the windows of all symbols, with which feynman continues after a restart.

The checkpointer writes and reads it. It is a ZIP of arrays in numpy's format: parts of some hundred symbols, and last
a manifest with the format, its version, and the settings with which the windows were sampled. Each member has a
checksum. A new file replaces the one before only when it is complete and on the disk, so a process that is killed
leaves the one before, whenever that is.
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
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from cottage import keys
from cottage.errors import CottageError
from cottage.folder_sync import sync_folder
from cottage.formats import NewerFormat, migrated
from cottage.notes import NOTES
from cottage.record.checkpoints import MOST_NAMES_BYTES, SYMBOLS
from cottage.version import FARTHEST_AHEAD_SECONDS, Version
from cottage.zip_on_disk import ZipOnDisk, stored_member
from services.feynman.regime import REGIMES
from services.feynman.windows import (
    FLAGS,
    FLOATS,
    LASTING,
    LEAST_SPACING,
    LEAST_STEP,
    NO_GRID_YET,
    RINGS,
    SAVED,
    WHOLE,
)

FORMAT = "curiosity cottage windows"
FORMAT_1 = "curiosity cottage windows 1"
"""Files of version 1 had the version in the name of the format."""

MANIFEST = "manifest.json"
MOST_PART_SYMBOLS = 4_096
"""A part of a file that says more is refused: it is in memory as a whole. The checkpointer writes some hundred."""
LARGEST_RETURN = 1500.0
"""Greater than the logarithm of the largest ratio of two floats."""

_BROKEN = (
    zipfile.BadZipFile,  # not a ZIP, or a wrong checksum
    zlib.error,
    AttributeError,  # the manifest has other types
    EOFError,
    LookupError,
    MemoryError,  # the header of an array claims an impossible size
    OSError,  # an offset outside of the file
    OverflowError,
    SyntaxError,  # the header of an array is no Python
    TokenError,  # or ends within a text
    RuntimeError,  # a damaged header of a member seems to ask for a password or another compression
    TypeError,
    ValueError,
    struct.error,
)


ReadMember = Callable[[str], bytes]
"""Returns the content of a member of the ZIP by its name."""


def _version_apart(read_1: ReadMember) -> ReadMember:
    """Migrate version 1 to 2, in which the manifest has the format and its version in two fields."""

    def read_2(name: str) -> bytes:
        content = read_1(name)
        return json.dumps(json.loads(content) | {"format": FORMAT}).encode() if name == MANIFEST else content

    return read_2


def _unknown_apart(read_2: ReadMember) -> ReadMember:
    """Migrate version 2 to 3, which holds what version 2 did not know: the arrays that are new are as in an empty
    window. A counter of 0 may have been a missing one, so it is unknown."""

    def read_3(name: str) -> bytes:
        part, _, array = name.rpartition("/")
        column = array.removesuffix(".npy")
        if column in ("session_volume", "session_trades"):
            counter = np.lib.format.read_array(io.BytesIO(read_2(name)), allow_pickle=False)
            return _as_npy(np.where(counter == 0, np.nan, counter))
        if column not in _NEW_IN_3:
            return read_2(name)
        number = len(json.loads(read_2(f"{part}/{SYMBOLS}"))["symbols"])
        return _as_npy(np.full((number, 0) if column == "noted_until" else number, _NEW_IN_3[column]))

    return read_3


_NEW_IN_3 = {
    "feed_time": np.nan,
    **dict.fromkeys(("fell_from_volume", "fell_from_trades"), 0.0),
    **dict.fromkeys(("taken", "session", "score_volume", "score_trades", "tick_notes", "noted_until"), 0),
}


def _regime_grid_and_step_apart(read_3: ReadMember) -> ReadMember:
    """Migrate version 3 to 4, which holds regimes, grids of prices and steps. These begin anew, with the plain rule,
    a vote and a second. What was noted as a break by the rule of then is none: prices went on being compared across
    it."""

    def read_4(name: str) -> bytes:
        part, _, array = name.rpartition("/")
        column = array.removesuffix(".npy")
        if column == "noted_until":
            noted_until = np.lib.format.read_array(io.BytesIO(read_3(name)), allow_pickle=False)
            return _as_npy(np.where(np.arange(noted_until.shape[1]) == LASTING.index("break"), 0, noted_until))
        if column not in _NEW_IN_4:
            return read_3(name)
        return _as_npy(np.full(len(json.loads(read_3(f"{part}/{SYMBOLS}"))["symbols"]), _NEW_IN_4[column]))

    return read_4


_NEW_IN_4 = {
    "event_time": np.nan,
    "waited": 0.0,
    "spacing": LEAST_SPACING,
    "step": LEAST_STEP,
    "regime": 0,
    "regime_since": np.nan,
    "grid": NO_GRID_YET,
    "against_grid": 0,
    "mid_until": 0,
    "stated_tick": 0.0,
}


def _as_npy(array: npt.NDArray[Any]) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array(content, array, allow_pickle=False)
    return content.getvalue()


def _auctions_apart(read_4: ReadMember) -> ReadMember:
    """Migrate version 4 to 5, which holds which samples are of auctions. Version 4 did not tell, so none is."""

    def read_5(name: str) -> bytes:
        part, _, array = name.rpartition("/")
        if array != "auction.npy":
            return read_4(name)
        price = np.lib.format.read_array(io.BytesIO(read_4(f"{part}/price.npy")), allow_pickle=False)
        return _as_npy(np.zeros(price.shape, np.bool_))

    return read_5


MIGRATIONS = (_version_apart, _unknown_apart, _regime_grid_and_step_apart, _auctions_apart)
"""Migrations from version 1 to 2, from 2 to 3, and so on: each returns the members as the next version has them. Who
changes the format adds a migration, and a file of the version before to the tests."""
VERSION = len(MIGRATIONS) + 1


class CheckpointRefused(CottageError):
    """The file cannot be used; the message says why."""


class CheckpointTooOld(CheckpointRefused):
    """The file is valid but too old to be used."""


class CheckpointPart(NamedTuple):
    """The windows of some symbols, as the symbol table hands them out and takes them back."""

    symbols: list[str]
    sources: list[str]
    arrays: dict[str, npt.NDArray[Any]]
    """The arrays that SAVED names: rings of shape (n, columns) with at most W columns, `noted_until` of shape
    (n, words of LASTING), the others of shape (n,)."""
    versions: Sequence[Version | None] = ()
    """In which their newest states were issued, None for a state that was not. They are written for who replays a
    record (cottage/record/checkpoints.py), and not read here."""


class CheckpointWriter:
    """Writes one file, part by part, under a temporary name; `finish` gives it its own."""

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
        fcntl.flock(self._file, fcntl.LOCK_EX)  # held until this process ends: see `sweep`
        self._zip = zipfile.ZipFile(self._file, "w")

    def add(self, part: CheckpointPart) -> None:
        """Raises OSError."""
        names = {"symbols": part.symbols, "sources": part.sources, "versions": part.versions}
        self._zip.writestr(f"{self._parts}/{SYMBOLS}", json.dumps(names))
        for name, array in part.arrays.items():
            with self._zip.open(f"{self._parts}/{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
        self._parts += 1
        self._symbols += len(part.symbols)

    def finish(self, now: float) -> int:
        """Complete the file and replace the one before. Returns its size in bytes. Raises OSError.

        `now`: seconds since 1970.
        """
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
        sync_folder(self._path.parent)
        return size

    def abandon(self) -> None:
        """Remove the temporary file. It may be called at any time; after `finish` it does nothing."""
        if self._file is not None and not self._file.closed:
            with contextlib.suppress(OSError):
                self._temporary.unlink(missing_ok=True)
            with contextlib.suppress(OSError, ValueError):
                self._zip.close()  # or it would try to when it is garbage collected
            with contextlib.suppress(OSError):
                self._file.close()


def read(path: Path, settings: Mapping[str, Any], now: float, oldest: float) -> Generator[CheckpointPart, None, None]:
    """Yield the parts of a file, each one checked. `now`: seconds since 1970; `oldest`: the greatest age in seconds.

    A file of an older version is migrated. Raises CheckpointRefused for a file that is damaged, not a checkpoint, too
    old, of a newer version, or sampled with other settings; also FileNotFoundError and other OSErrors.
    """
    with ZipOnDisk(path) as file:
        try:
            with file.directory() as archive:
                read_member = _bounded(archive, int(settings["window"]))
                read_member = migrated(read_member, _version(json.loads(read_member(MANIFEST))), MIGRATIONS)
                manifest = json.loads(read_member(MANIFEST))
                _check_manifest(manifest, settings, now, oldest)
                window = int(settings["window"])
                for number in range(manifest["parts"]):  # a file that is damaged anywhere is not used at all
                    _part(read_member, number, window)
                for number in range(manifest["parts"]):
                    yield _part(read_member, number, window)
        except NewerFormat as error:
            raise CheckpointRefused(str(error)) from error
        except _BROKEN as error:
            raise CheckpointRefused(f"it is damaged, or no checkpoint: {error or type(error).__name__}") from error


def _bounded(archive: zipfile.ZipFile, window: int) -> ReadMember:
    """Reads members that are no larger than those of a part of MOST_PART_SYMBOLS may be."""
    most_of_array = 8 * MOST_PART_SYMBOLS * max(window, len(LASTING)) + 1024

    def read_member(name: str) -> bytes:
        return stored_member(archive, name, MOST_NAMES_BYTES if name.endswith(".json") else most_of_array)

    return read_member


def sweep(path: Path) -> int:
    """Remove the temporary files of killed processes; returns how many. Running processes hold a lock on theirs."""
    removed = 0
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        with contextlib.suppress(OSError), left.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()
            removed += 1
    return removed


def leave_aside(path: Path) -> Path:
    """Rename a file that was refused, so that the next checkpoint does not replace it. Returns its new path. Raises
    OSError."""
    aside = path.with_name(path.name + ".refused")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.refused-{number}")
    return path.replace(aside)


def _version(manifest: Any) -> int:
    name = manifest.get("format") if isinstance(manifest, dict) else None
    if name not in (FORMAT, FORMAT_1):
        raise CheckpointRefused("it is no checkpoint of this suite")
    return 1 if name == FORMAT_1 else int(manifest["version"])


def _check_manifest(manifest: dict[str, Any], settings: Mapping[str, Any], now: float, oldest: float) -> None:
    for name, value in settings.items():
        found = manifest["settings"].get(name)
        if found != value:
            raise CheckpointRefused(f"it was sampled with {name} {found}, now it is {value}")
    age = now - manifest["saved_at"]
    if not age >= -FARTHEST_AHEAD_SECONDS:  # nor nan; within that the clock may have been set back
        raise CheckpointRefused(f"it was saved {-age:.0f} s in the future")
    if age > oldest:
        raise CheckpointTooOld(f"it is {age:.0f} s old")


def _part(read_member: ReadMember, number: int, window: int) -> CheckpointPart:
    names = json.loads(read_member(f"{number}/{SYMBOLS}"))
    if len(names["symbols"]) > MOST_PART_SYMBOLS:
        raise ValueError(f"a part has more than {MOST_PART_SYMBOLS} symbols")
    # Each member is read completely, which checks its checksum, before it is parsed.
    contents = {name: io.BytesIO(read_member(f"{number}/{name}.npy")) for name in SAVED}
    arrays = {name: np.lib.format.read_array(content, allow_pickle=False) for name, content in contents.items()}
    part = CheckpointPart(names["symbols"], names["sources"], arrays)
    check(part, window)
    return part


def check(part: CheckpointPart, window: int) -> None:
    """Check that a part fits windows of this length. Raises ValueError."""
    arrays, number = part.arrays, len(part.symbols)
    for name in part.symbols:
        keys.symbol(name)
    _require(len(set(part.symbols)) == number == len(part.sources), "symbols")
    _require(all(isinstance(source, str) for source in part.sources), "sources")

    columns = arrays["price"].shape[1]
    for names, kind, shape in (
        (RINGS, np.float64, (number, columns)),
        (FLAGS, np.bool_, (number, columns)),
        (FLOATS, np.float64, (number,)),
        (WHOLE, np.int64, (number,)),
    ):
        for name in names:
            _require(arrays[name].dtype == kind and arrays[name].shape == shape, name)
    words = arrays["noted_until"]
    _require(words.dtype == np.int64 and len(words) == number and words.shape[1] <= len(LASTING), "noted_until")

    samples, newest = arrays["samples"], arrays["newest"]
    _require(bool(((samples >= 1) & (samples <= window)).all()) and columns <= window, "samples")
    _require(bool((samples <= columns).all() and ((newest >= 0) & (newest < samples)).all()), "newest")
    _require(bool((newest == samples - 1)[samples < window].all()), "newest")
    for name in ("price", "last_price"):
        _require(bool(np.isfinite(arrays[name]).all() and (arrays[name] > 0).all()), name)
    for name in ("last_timestamp", "waited", "spacing", "step"):
        _require(bool(np.isfinite(arrays[name]).all()), name)
    _require(bool((arrays["step"] > 0).all()), "step")
    for name in (
        "volume",
        "trades",
        "feed_time",
        "event_time",
        "regime_since",
        "fell_from_volume",
        "fell_from_trades",
    ):
        _require(not np.isinf(arrays[name]).any(), name)
    for name in ("volume", "trades", *FLOATS, *WHOLE, "noted_until"):
        _require(not (arrays[name] < 0).any(), name)  # nan is unknown
    _require(bool((arrays["tick_notes"] < 2 ** len(NOTES)).all()), "tick_notes")
    _require(bool((arrays["regime"] < len(REGIMES)).all()), "regime")
    _require(bool((arrays["grid"] <= NO_GRID_YET).all()), "grid")
    _require(bool(np.isfinite(arrays["stated_tick"]).all()), "stated_tick")
    _require(bool((np.abs(np.nan_to_num(arrays["log_return"], nan=0.0)) < LARGEST_RETURN).all()), "log_return")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"invalid {what}")
