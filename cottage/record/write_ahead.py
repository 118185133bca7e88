"""The write-ahead files: what was recorded last, on the disk a flush after it came.

`ahead/NUMBER.TABLE.arrow` is a stream of Arrow's, one batch a flush, uncompressed, so that a reader that maps it into
memory touches only what it wants: some columns, and of a batch, which is sorted, the rows of some symbols. Each batch
bears the digest of its rows. A file that a crash cut short,
or that is being written just now, ends behind its last whole batch: what follows is left aside.
"""

import contextlib
import mmap
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cottage.files.tables.arrow_sizes import uncompressed
from cottage.folder_sync import sync_folder
from cottage.record.arrow_schema import arrow_schema, pyarrow
from cottage.record.digest import as_text, digest_of
from cottage.record.folder_layout import AHEAD

AHEAD_NAME = re.compile(r"(\d{8})\.([a-z]+)\.arrow")
_DIGEST = b"digest"


class AheadFile(NamedTuple):
    number: int
    table: str
    path: Path


class AheadBatch(NamedTuple):
    """A whole batch of a write-ahead file."""

    rows: Any
    """pyarrow.RecordBatch"""
    digest: str
    """As it was when the rows were recorded."""
    end: int
    """Where it ends in the file."""


class WriteAhead:
    """The write-ahead files of one number, for writing. Not for two threads at a time."""

    def __init__(self, record: Path, number: int) -> None:
        self.number = number
        self.bytes = 0
        """What is on the disk, whole."""
        self._folder = record / AHEAD
        self._files: dict[str, _Growing] = {}

    def write(self, table: str, rows: Any) -> None:
        """Append a pyarrow.RecordBatch of the table, and return when it is on the disk. Raises OSError, such as for a
        full disk: then it is not in the file, and the same rows may be written again."""
        message = _message(rows, table)
        if table not in self._files:
            path = self._folder / f"{self.number:08}.{table}.arrow"
            self._files[table] = _Growing(path, bytes(arrow_schema(table).serialize()))
        self._files[table].append(message)
        self.bytes += len(message)

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()


class _Growing:
    """A file that whole messages are appended to, each on the disk when `append` returns."""

    def __init__(self, path: Path, head: bytes) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._head = head
        """What comes before the first message, as long as that is not written."""
        self._length = 0
        """What is on the disk, whole."""
        self._torn = True

    def append(self, message: bytes) -> None:
        if self._torn:  # nothing is written behind a torn message: it would be out of a reader's reach
            os.ftruncate(self._descriptor, self._length)
        self._torn = True
        place = self._length
        content = memoryview(self._head + message)
        while content:
            written = os.pwrite(self._descriptor, content, place)
            place += written
            content = content[written:]
        os.fsync(self._descriptor)
        if self._head:
            sync_folder(self._path.parent)
        self._length, self._head, self._torn = place, b"", False

    def close(self) -> None:
        if self._torn:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._length)
        os.close(self._descriptor)


def _message(rows: Any, table: str) -> bytes:
    """A batch as it stands in a stream, with its digest."""
    arrow = pyarrow()
    schema = arrow_schema(table)
    sink = arrow.BufferOutputStream()
    stream = arrow.ipc.new_stream(sink, schema)
    stream.write_batch(rows, custom_metadata={_DIGEST: as_text(digest_of(rows, table))})
    content = memoryview(sink.getvalue())
    return bytes(content[schema.serialize().size :])


def ahead_files(record: Path, rolled: int) -> list[AheadFile]:
    """The write-ahead files of a record with a number above `rolled`, oldest first."""
    found = []
    for path in (record / AHEAD).glob("*.arrow"):
        name = AHEAD_NAME.fullmatch(path.name)
        if name and int(name[1]) > rolled:
            found.append(AheadFile(int(name[1]), name[2], path))
    return sorted(found)


def mapped(path: Path) -> mmap.mmap | None:
    """A write-ahead file mapped into memory, as long as it is now; None while nothing is in it. Raises
    FileNotFoundError."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) if path.stat().st_size else None


def whole_batches(content: mmap.mmap | None, columns: Sequence[str] | None = None) -> Iterator[AheadBatch]:
    """The whole batches of a write-ahead file, with all columns or these. Their rows are where the file is mapped,
    and sorted by sorted_runs.order_of the table."""
    if content is None:
        return
    arrow = pyarrow()
    try:
        buffer = arrow.py_buffer(content)
        # A batch of kilobytes that is compressed may unfold to gigabytes, and is none of ours.
        file = arrow.BufferReader(buffer.slice(0, uncompressed(arrow.BufferReader(buffer))))
        stream = arrow.ipc.open_stream(file)
        if columns is not None:
            fields = [stream.schema.get_field_index(name) for name in columns]
            file.seek(0)
            options = arrow.ipc.IpcReadOptions(included_fields=[field for field in fields if field >= 0])
            stream = arrow.ipc.open_stream(file, options=options)
        while True:
            batch = stream.read_next_batch_with_custom_metadata()
            if batch.custom_metadata is None or _DIGEST not in batch.custom_metadata:
                return  # none of ours
            batch.batch.validate()
            yield AheadBatch(batch.batch, batch.custom_metadata[_DIGEST].decode(), file.tell())
    except (StopIteration, arrow.ArrowInvalid, arrow.ArrowNotImplementedError, OSError, ValueError):
        return  # its end, or a torn one
