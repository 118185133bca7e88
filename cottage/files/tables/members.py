"""A path, a folder, a glob or a zip as the single files in it, each a stream of decompressed bytes."""

import errno
import glob
import io
import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from cottage.errors import SourceError, UnusableSource
from cottage.files.tables.decompression import BUFFER_BYTES, Bounds, Counted
from cottage.zip_on_disk import ZipOnDisk

_BOUNDED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""The ways to compress within a zip of which zipfile reads no more than it is asked for."""
_MAY_PASS = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOMEM, errno.ENFILE, errno.EMFILE, errno.EINTR}
"""Of a disk, a file server or a machine in trouble. Any other error is the file's, and stays."""
_KEY = re.compile(r"([A-Za-z_]\w*)=(.+)")  # a hive folder: `symbol=SPY`
_NO_DATA = re.compile(  # what lies beside the data in vendors' folders and archives
    r"(readme|licen[cs]e|changelog|checksums?|manifest|metadata|condition|symbology)(\..*)?|thumbs\.db|"
    r".*\.(md|checksum|sha256|sha1|md5|crc|sig|asc|pdf|html?|xml|png|jpe?g|gif|svg|py|ipynb|sh|bat|log|toml|ya?ml|ini)",
    re.IGNORECASE,
)


class Member:
    """One file of market data: on the disk, compressed or not, or within a zip."""

    def __init__(self, path: Path, name: str, keys: Mapping[str, str], inside: zipfile.ZipInfo | None = None) -> None:
        self.path = path
        """The file on the disk: it, or the zip that holds it."""
        self.name = name
        """The file's name for people: below the folder or zip in which it was found."""
        self.keys = keys
        """What the names of its folders say of all its rows: `symbol=SPY`."""
        self.inside = inside
        self.size = inside.file_size if inside else path.stat().st_size
        """Bytes, compressed where it is, not so within a zip."""
        self.seekable = False
        """Whether one may jump in it; known after it was opened first."""
        self._abandoned = False
        self._place: Callable[[], int] = lambda: 0

    @property
    def share(self) -> float:
        """The share of it that its newest stream has read, from 0 to 1; ahead of the rows by a buffer."""
        return min(1.0, self._place() / max(1, self.size))

    def abandon(self) -> None:
        """Let the reading end early, even within a long line. Another thread calls it, and discards what it has."""
        self._abandoned = True

    def progress(self, place: Callable[[], int]) -> None:
        """Take the share from `place`, in bytes of `size`: for a reader that does not use `open`."""
        self._place = place

    def open(self) -> "io.BufferedReader[Any]":
        """A new stream of its bytes, decompressed, whatever its name says. Raises UnusableSource, or SourceError
        where a later try may help; so do its reads, of which `read1` has all that came before a break."""
        with ExitStack() as files:
            try:
                file = self._stored(files)
                file, is_packed = Bounds(self.name, self._stored_bytes).layers(file, files)
                self.seekable = self.inside is None and not is_packed
            except (*_BROKEN, OSError) as error:
                raise self._refusal(error) from error
            return io.BufferedReader(_Stream(self, file, files.pop_all()), BUFFER_BYTES)

    @property
    def _stored_bytes(self) -> int:
        """What it takes on the disk."""
        whole = self.path.stat().st_size
        return whole if self.inside is None else min(whole, self.inside.compress_size)

    def _stored(self, files: ExitStack) -> "io.BufferedReader[Any]":
        stored: Any
        if self.inside is None:
            stored = files.enter_context(io.FileIO(self.path))
        else:
            archive = files.enter_context(files.enter_context(ZipOnDisk(self.path)).directory())
            within = files.enter_context(archive.open(self.inside))
            stored = files.enter_context(Counted(within, Bounds(self.name, self._stored_bytes)))
        size = self.size
        self._place = lambda: size if stored.closed else stored.tell()
        return files.enter_context(io.BufferedReader(stored, BUFFER_BYTES))

    def read1(self, file: Any, size: int) -> bytes:
        """What `file`, opened by `open`, has next; nothing once the reading is to end."""
        if self._abandoned:
            return b""
        try:
            return file.read1(size)  # type: ignore[no-any-return]
        except (*_BROKEN, OSError) as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> SourceError:
        if isinstance(error, OSError) and error.errno is not None:
            return _unreadable(self.path, error)
        return UnusableSource(
            f"{self.name}: its compressed data is broken or cut short ({error}): get the file again"
        )


def _unreadable(path: Path, error: OSError) -> SourceError:
    kind = SourceError if error.errno in _MAY_PASS else UnusableSource
    return kind(f"cannot read {path} ({error.strerror}): set FILE to a recording")


class _Stream(io.RawIOBase):
    """The bytes of a member; closing it closes all that is below it."""

    def __init__(self, member: Member, file: Any, files: ExitStack) -> None:
        self._member = member
        self._file = file
        self._files = files

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._member.seekable

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        data = self._member.read1(self._file, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._files.close()
        super().close()


def members(spec: str | Path, on_left_out: Callable[[str], object] = lambda _name: None) -> list[Member]:
    """The files that `spec` stands for, by name: a file, a zip, a folder with those below it, or a glob of such.
    Names of files in a folder or a zip by which they are no data go to `on_left_out`. Raises UnusableSource if there
    is none, or SourceError."""
    path = Path(spec).expanduser()
    try:
        root = Path(*_until(path.parts[:-1], _KEY.fullmatch))
        paths = [path]
        if path.is_dir():
            root = path
        elif not path.exists() and glob.has_magic(str(path)):
            root = Path(*_until(path.parts, glob.has_magic))
            paths = sorted(root.glob(path.relative_to(root).as_posix()))
        files = {file: file.relative_to(root).as_posix() for each in paths for file in _files(each, on_left_out)}
        found = [member for file, name in files.items() for member in _expanded(file, name, on_left_out)]
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:
        raise UnusableSource("FILE is no file's name") from error
    if not found:
        raise UnusableSource(f"{spec} holds no file of data: set FILE to a recording")
    return sorted(found, key=lambda member: PurePosixPath(member.name).parts)


def _until(parts: Sequence[str], ends: Callable[[str], object]) -> Sequence[str]:
    return parts[: next((i for i, part in enumerate(parts) if ends(part)), len(parts))]


def _files(path: Path, on_left_out: Callable[[str], object]) -> Iterator[Path]:
    """The regular files at a path or below it."""
    if path.is_dir():
        below = sorted(each.relative_to(path).as_posix() for each in path.rglob("*") if each.is_file())
        for name in _data_of(below, on_left_out):
            yield path / name
    elif stat.S_ISREG(path.stat().st_mode):
        yield path
    else:
        raise UnusableSource(f"{path} is not a regular file: set FILE to a recording")


def _expanded(path: Path, name: str, on_left_out: Callable[[str], object]) -> Iterator[Member]:
    """The member that a file is, or those of a zip."""
    keys = {}
    for part in path.parts[:-1]:
        if (key := _KEY.fullmatch(part)) is not None:
            keys[key[1]] = "" if key[2] == "__HIVE_DEFAULT_PARTITION__" else unquote(key[2])
    with path.open("rb") as file:
        magic = file.read(4)
        if magic not in (b"PK\x03\x04", b"PK\x05\x06"):
            yield Member(path, name, keys)
            return
        try:
            with ZipOnDisk(path) as raw, raw.directory() as archive:
                entries = {each.filename: each for each in archive.infolist() if not each.is_dir()}
        except zipfile.BadZipFile as error:
            raise UnusableSource(f"{name}: this zip is broken or cut short ({error}): get the file again") from error
    if "[Content_Types].xml" in entries:
        raise UnusableSource(f"{name} is a workbook of a spreadsheet program: save its sheet as CSV")
    for entry in _data_of(sorted(entries), on_left_out):
        if entries[entry].flag_bits & 1:
            raise UnusableSource(f"{name}: {entry} is encrypted: unpack it first")
        if entries[entry].compress_type not in _BOUNDED:
            raise UnusableSource(f"{name}: {entry} is compressed in a way that is rare within a zip: unpack it first")
        yield Member(path, f"{name}/{entry}", keys, entries[entry])


def _data_of(names: list[str], on_left_out: Callable[[str], object]) -> Iterator[str]:
    """Those of the names in a folder or a zip that are files of data."""
    stems = {name.removesuffix(".csv") for name in names if name.endswith(".csv")}
    for name in names:
        path = PurePosixPath(name)
        hidden = any(part.startswith((".", "_")) for part in path.parts)  # of macOS, Spark, and Windows' kin
        report = name.endswith(".txt") and name.removesuffix(".txt") in stems  # HistData's, of gaps
        if hidden or report or _NO_DATA.fullmatch(path.name):
            on_left_out(name)
        else:
            yield name


_BROKEN = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError)
