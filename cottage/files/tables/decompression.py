"""Compressed files of strangers as streams of bytes, within bounds: gzip, Zstandard, bzip2, xz, one in another.

A file that is made to fill memory or a disk says little of itself: kilobytes may hold terabytes, ask for gigabytes
before the first byte, or hold themselves. So what comes out of each layer is counted, layers are, and no single step
takes more than some 200 MB, whatever the file says.
"""

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from cottage.errors import MissingExtra, UnusableSource

BUFFER_BYTES = 256 * 1024
"""What is read from the file at once: rows for well over 5 ms, CPython's switch interval. A thread that gives the GIL
up for a read more often takes it back each time before another gets it, and a service's loop stands still."""
MOST_LAYERS = 3
MOST_TIMES = 250
"""A file may hold so many times what it takes on the disk: market data is compressed 5 to 50 times."""
ALWAYS_ALLOWED = 1024 * 1024 * 1024
"""So many bytes a file may hold however small it is."""
MOST_WINDOW_BYTES = 128 * 1024 * 1024
"""What a .zst or an .xz may ask to be kept in memory: as much as `zstd -22` and `xz -9` do, with a margin."""
_PACKED_BYTES = 1024
"""Taken of a .zst at once: each four bytes may hold 128 KiB, so that one step gives 32 MiB at most."""


class Bounds:
    """How much may come out of each layer of one file."""

    def __init__(self, name: str, stored: int) -> None:
        """`name`: the file's, for people. `stored`: the bytes that it takes on the disk."""
        self.name = name
        self.most = max(ALWAYS_ALLOWED, MOST_TIMES * stored)

    def layers(self, file: Any, files: ExitStack) -> tuple[Any, bool]:
        """What is within `file`, an io.BufferedReader, below all layers of compression, and whether there are any.
        Raises UnusableSource, and whatever the decompressors raise."""
        number = 0
        while (opener := _decompressor(file)) is not None:
            number += 1
            if number > MOST_LAYERS:
                raise UnusableSource(f"{self.name} is compressed more than {MOST_LAYERS} times over: unpack it first")
            inner = files.enter_context(opener(file))
            file = files.enter_context(io.BufferedReader(Counted(inner, self), BUFFER_BYTES))
        return file, number > 0

    def refusal(self) -> UnusableSource:
        return UnusableSource(
            f"{self.name} holds more than {self.most:,} bytes, {MOST_TIMES} times what it takes on the disk: it is "
            "made to fill one, or is to be unpacked first"
        )


class Counted(io.RawIOBase):
    """The bytes of one layer, which end with a refusal where there are too many."""

    def __init__(self, file: Any, bounds: Bounds) -> None:
        self._file = file
        self._bounds = bounds
        self._came = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read1(len(buffer))
        self._came += len(data)
        if self._came > self._bounds.most:
            raise self._bounds.refusal()
        buffer[: len(data)] = data
        return len(data)

    def tell(self) -> int:
        return self._came


class _Zstandard(io.RawIOBase):
    """A decompressed .zst of any number of frames. The package's own reader takes a cut file for a whole one."""

    def __init__(self, file: Any) -> None:
        try:
            import zstandard
        except ImportError as error:
            raise MissingExtra("a .zst file needs zstandard: pip install 'curiosity-cottage[files]'") from error
        self._file = file
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=MOST_WINDOW_BYTES)
        self._error = zstandard.ZstdError
        self._frame: Any = None
        self._packed = b""
        self._data = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._data:
            self._packed = self._packed or self._file.read1(_PACKED_BYTES)
            if not self._packed and self._frame is not None:
                raise EOFError("it ends within a frame")
            if not self._packed:
                return 0
            self._decompress()
        size = min(len(buffer), len(self._data))
        buffer[:size], self._data = self._data[:size], self._data[size:]
        return size

    def _decompress(self) -> None:
        self._frame = self._frame or self._decompressor.decompressobj()
        try:
            self._data = memoryview(self._frame.decompress(self._packed))
        except self._error as error:
            raise EOFError(str(error)) from error
        self._packed = self._frame.unused_data
        if self._frame.eof:
            self._frame = None


class _Xz(io.RawIOBase):
    """A decompressed .xz of any number of streams. LZMAFile would take as much memory as a file asks for."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._stream: lzma.LZMADecompressor | None = None
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            if self._stream is None:
                if not (packed := self._behind_padding()):
                    return 0
                self._stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, MOST_WINDOW_BYTES)
            elif not self._stream.needs_input:
                packed = b""
            elif not (packed := self._file.read1(BUFFER_BYTES)):
                raise EOFError("it ends within a stream")
            data = self._stream.decompress(packed, len(buffer))
            if self._stream.eof:
                self._rest, self._stream = self._stream.unused_data, None
            if data:
                buffer[: len(data)] = data
                return len(data)

    def _behind_padding(self) -> bytes:
        """What comes after a stream: streams are padded with zeros."""
        while True:
            rest, self._rest = (self._rest or self._file.read1(BUFFER_BYTES)), b""
            if not rest or (rest := rest.lstrip(b"\0")):
                return bytes(rest)


def _decompressor(file: Any) -> Callable[[Any], Any] | None:
    """What decompresses a file that begins like this one."""
    head = file.peek(6)
    return next((opener for magic, opener in _COMPRESSED.items() if head.startswith(magic)), None)


_COMPRESSED: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file, mode="rb"),
    b"\x28\xb5\x2f\xfd": lambda file: io.BufferedReader(_Zstandard(file), BUFFER_BYTES),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lambda file: io.BufferedReader(_Xz(file), BUFFER_BYTES),
}
