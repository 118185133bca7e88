"""How much memory the batches of an Arrow file would take, looked up before pyarrow takes it.

A file of kilobytes may hold a batch of gigabytes, since buffers may be compressed, and says itself how long each is.
The messages of a stream are walked here, and those of a file found by its footer, as pyarrow does it (Arrow's IPC
format, "Encapsulated message format" and "IPC File Format"). Of each only its head is read, a flatbuffer, and the
first eight bytes of each compressed buffer, which are its length afterwards.
"""

import contextlib
import io
import struct
from collections.abc import Iterable
from typing import Any

from cottage.errors import UnusableSource

MOST_BATCH_BYTES = 512 * 1024 * 1024
"""Of one batch in memory. Programs write some thousand to a million rows into each."""
_MOST_HEAD_BYTES = 16 * 1024 * 1024
_MAGIC = b"ARROW1\0\0"
_CONTINUES = 0xFFFFFFFF
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_END_MAGIC = b"ARROW1"
_DICTIONARIES, _BATCHES = 2, 3
"""Fields of a file's footer."""
_BLOCK, _BUFFER = "<qi4xq", "<qq"
"""Where a message is, and the lengths of its head and body; where a buffer is in that body, and its length."""
_NO_MESSAGE = (struct.error, IndexError, OverflowError, OSError)
"""What a place far outside of the file raises as well."""


def check_sizes(file: Any, name: str) -> None:
    """Look at all messages of a file or stream, from its present place, and go back there. `file`: seekable. Raises
    UnusableSource where a batch is too large. What is no message is left to pyarrow, which says it better."""
    begin = file.tell()
    try:
        if file.read(len(_MAGIC)) == _MAGIC:
            # Its batches are where its end says, which need not be where a walk from its begin finds any.
            for place in _places(file, begin, name):
                with contextlib.suppress(*_NO_MESSAGE):
                    file.seek(begin + place)
                    _check_message(file, name)
        else:
            file.seek(begin)
            while (behind := _check_message(file, name)) is not None:
                file.seek(behind)
    except _NO_MESSAGE:
        pass
    finally:
        file.seek(begin)


def _check_message(file: Any, name: str) -> int | None:
    """Look at the message at the file's present place. Returns the place behind it; None if there is none."""
    size = _head_size(file)
    if size <= 0:
        return None
    if size > _MOST_HEAD_BYTES:
        raise UnusableSource(f"{name}: the head of a batch says that it has {size:,} bytes")
    head = file.read(size)
    body: int = file.tell()
    taken, length = _sizes(head, file, body)
    if taken > MOST_BATCH_BYTES:
        raise UnusableSource(
            f"{name}: a batch takes {taken:,} bytes in memory, and {MOST_BATCH_BYTES:,} are allowed: "
            "write it in smaller batches"
        )
    return body + length


def _places(file: Any, begin: int, name: str) -> Iterable[int]:
    """Where the dictionaries and batches of a file are, as its footer says, each once."""
    end = file.seek(0, io.SEEK_END) - len(_END_MAGIC) - 4
    if end < begin:
        raise IndexError
    file.seek(end)
    size = int.from_bytes(file.read(4), "little")
    if end - size < begin:
        raise IndexError
    if size > _MOST_HEAD_BYTES:
        raise UnusableSource(f"{name}: its footer says that it has {size:,} bytes")
    file.seek(end - size)
    footer = file.read(size)
    blocks = _Flat(footer, _Flat.root(footer))
    both = (*blocks.structs(_DICTIONARIES, _BLOCK), *blocks.structs(_BATCHES, _BLOCK))
    return dict.fromkeys(place for place, _head, _body in both if place >= 0)


def uncompressed(file: Any) -> int:
    """How many bytes of a stream, read from its begin, are whole messages before the first one that is compressed,
    that is cut short, or that is none."""
    place = 0
    with contextlib.suppress(*_NO_MESSAGE):
        while 0 < (size := _head_size(file)) <= _MOST_HEAD_BYTES:
            batch, length = _batch(file.read(size))
            if batch is not None and batch.table(3) is not None:
                break
            file.seek(file.tell() + length)
            place = file.tell()
    return place


def _head_size(file: Any) -> int:
    """The length of the next message's head; 0 at the end."""
    word = file.read(4)
    if len(word) == 4 and int.from_bytes(word, "little") == _CONTINUES:
        word = file.read(4)
    return int.from_bytes(word, "little") if len(word) == 4 else 0


def _sizes(head: bytes, file: Any, body: int) -> tuple[int, int]:
    """What a message takes in memory, and the length of its body in the file."""
    batch, length = _batch(head)
    if batch is None or batch.table(3) is None:
        return length, length  # not compressed: it takes what is there
    taken = 0
    for offset, stored in batch.structs(2, _BUFFER):
        if stored > 8:
            if offset < 0:
                raise IndexError
            file.seek(body + offset)
            (told,) = struct.unpack("<q", file.read(8))
            taken += max(told, stored)
    return max(taken, length), length


def _batch(head: bytes) -> tuple["_Flat | None", int]:
    """The record batch that a message holds, if it does, and the length of its body in the file."""
    message = _Flat(head, _Flat.root(head))
    length = message.number(3, "<q")
    if length < 0:
        raise IndexError
    kind, batch = message.number(1, "<B"), message.table(2)
    if kind == _DICTIONARY_BATCH and batch is not None:
        batch = batch.table(1)
    return (batch if kind in (_DICTIONARY_BATCH, _RECORD_BATCH) else None), length


class _Flat:
    """A table of a flatbuffer: its fields by their numbers."""

    def __init__(self, data: bytes, at: int) -> None:
        if not 0 <= at <= len(data) - 4:
            raise IndexError
        self._data = data
        self._at = at
        self._slots = at - struct.unpack_from("<i", data, at)[0]
        if not 0 <= self._slots <= len(data) - 4:
            raise IndexError
        (self._slots_bytes,) = struct.unpack_from("<H", data, self._slots)

    @staticmethod
    def root(data: bytes) -> int:
        return int(struct.unpack_from("<I", data)[0])

    def _place(self, number: int) -> int:
        slot = 4 + 2 * number
        if slot + 2 > self._slots_bytes:
            return 0
        (offset,) = struct.unpack_from("<H", self._data, self._slots + slot)
        return self._at + offset if offset else 0

    def number(self, number: int, form: str) -> int:
        place = self._place(number)
        return int(struct.unpack_from(form, self._data, place)[0]) if place else 0

    def table(self, number: int) -> "_Flat | None":
        place = self._place(number)
        return _Flat(self._data, place + struct.unpack_from("<I", self._data, place)[0]) if place else None

    def structs(self, number: int, form: str) -> list[tuple[int, ...]]:
        """A vector of structs of numbers."""
        place = self._place(number)
        if not place:
            return []
        place += struct.unpack_from("<I", self._data, place)[0]
        (length,) = struct.unpack_from("<I", self._data, place)
        size = struct.calcsize(form)
        content = self._data[place + 4 : place + 4 + size * length]
        return list(struct.iter_unpack(form, content[: len(content) // size * size]))
