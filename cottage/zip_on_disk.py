"""Zips that somebody may have made to fill memory: recordings of markets, and checkpoints.

zipfile takes the whole list of entries at once, however long a file says that it is, and a member as a whole,
however much it holds.
"""

import errno
import io
import zipfile

MOST_DIRECTORY_BYTES = 8 * 1024 * 1024
"""60,000 files with long names. In memory its entries take some ten times as much."""


class ZipOnDisk(io.FileIO):
    """A zip on the disk, to be given to zipfile.ZipFile, with a list of entries of MOST_DIRECTORY_BYTES at most."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._most = 0

    def directory(self) -> zipfile.ZipFile:
        """The zip. Raises zipfile.BadZipFile, and OSError."""
        self._most = MOST_DIRECTORY_BYTES
        try:
            return zipfile.ZipFile(self)
        finally:
            self._most = 0

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and 0 < self._most < size:
            raise zipfile.BadZipFile(f"its list of entries has more than {self._most:,} bytes")
        return super().read(-1 if size is None else size) or b""


def stored_member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """A member of a zip of our own, which are written without compression: so a file holds what it takes on the disk.
    Raises KeyError where there is none, zipfile.BadZipFile, and ValueError for one that is compressed, or has more
    than `most` bytes."""
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    if member.file_size > most:
        raise ValueError(f"{name} has {member.file_size:,} bytes, at most {most:,} are allowed")
    try:
        return archive.read(member)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise zipfile.BadZipFile(f"{name} begins outside of the file") from error
