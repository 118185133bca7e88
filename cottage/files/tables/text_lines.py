"""The bytes of a file as blocks, and its text as lines. text_table.py and json_table.py read with it."""

import codecs
import io
from collections.abc import Iterator
from typing import Any

from cottage.errors import SourceError
from cottage.files.rows import shown
from cottage.files.tables.decompression import BUFFER_BYTES

LONGEST_LINE = 64 * 1024
BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


def blocks_of(stream: "io.BufferedReader[Any]") -> Iterator[bytes]:
    """The bytes of a stream, those before a break too."""
    block = bytearray()
    while True:
        try:
            data = stream.read1(BUFFER_BYTES)
        except SourceError:
            yield bytes(block)
            raise
        block += data
        if len(block) >= BUFFER_BYTES or not data:
            yield bytes(block)
            block.clear()
        if not data:
            return


def head_of(stream: "io.BufferedReader[Any]") -> tuple[bytes, bool]:
    """The first bytes of a stream, and whether they are all. Raises SourceError if a break leaves none."""
    blocks = blocks_of(stream)
    head = next(blocks)
    try:
        rest = next(blocks, b"")
    except SourceError:
        if not head:
            raise
        rest = b"..."
    return head, not rest


def unicode_of(head: bytes) -> tuple[str, int] | None:
    """The codec of a text that begins so, and the length of its byte order mark; None where it may be UTF-8 or in
    single bytes."""
    for bom, encoding in BOMS.items():
        if head.startswith(bom):
            return encoding, len(bom)
    even, odd = head[:4096:2], head[1:4096:2]
    if odd.count(0) > 0.6 * len(odd) and even.count(0) < 0.1 * len(even):
        return "utf-16-le", 0
    if even.count(0) > 0.6 * len(even) and odd.count(0) < 0.1 * len(odd):
        return "utf-16-be", 0
    return None


def lines_of(
    blocks: Iterator[bytes], encoding: str, end: str = "\n", longest: int = LONGEST_LINE
) -> Iterator[tuple[list[str], bool, bool]]:
    """Lines of a file, some at once; whether they are free of quotes and of what is no text; whether they have an
    end. Of a line that is too long the beginning, marked by a NUL, so that it is a bad row."""
    decode = codecs.getincrementaldecoder(encoding)("replace").decode
    rest = ""
    for number, block in enumerate(blocks):
        text = decode(block)
        text = rest + text if number else text.removeprefix("\ufeff")
        if end == "\n" and "\r" in text:
            text = text.replace("\r\n", "\n")
        cut = text.rfind(end)
        rest = text[cut + 1 :]
        if len(rest) > longest:
            rest = rest[:longest] + "\0"
        if cut >= 0:
            text = text[:cut]
            yield text.split(end), not ('"' in text or "\0" in text or "\ufffd" in text), True
    if rest := rest + decode(b"", True):
        yield [rest], False, False


def shown_line(text: str) -> str:
    """A line in quotes, printable, cut to 100 characters."""
    return shown(text, 100)
