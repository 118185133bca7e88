"""The digest of a set of rows, whatever order and however many files they are in.

A row is encoded as bytes that follow from its values alone, and hashed with BLAKE2b: 64 bytes, read as a
little-endian number. The digest of a set is the sum of these modulo 2^512, so the digest of two sets together is the
sum of theirs, and a row that is there twice counts twice. It can be computed from a Parquet file alone.

The encoding of a row: first the columns of the kinds whole, time, flag (0 or 1) and number, in the order of
schema.py, 8 bytes each, little-endian; then those of the kinds text and words in that order, in UTF-8, with the byte
1E between two of them and 1F between the words of one. What is null is the 8 bytes FF FF FF FF FF FF FF 7F, or as
text the byte 00. Each column counts, and a file that lacks one has nulls in it.
"""

from hashlib import blake2b
from itertools import repeat
from typing import Any

from cottage.record.arrow_schema import pyarrow
from cottage.record.schema import TABLES

MODULUS = 2**512
_NULL = 2**63 - 1
_WORD = 8
_NULL_TEXT, _BETWEEN_TEXTS, _BETWEEN_WORDS = b"\x00", b"\x1e", b"\x1f"
_AT_ONCE = 2_048
"""So many rows are encoded at once: what a cache holds."""


def digest_of(rows: Any, table: str) -> int:
    """The digest of a pyarrow.Table or RecordBatch that has the table's columns by name."""
    arrow = pyarrow()
    batches = [rows] if isinstance(rows, arrow.RecordBatch) else rows.to_batches()
    total = 0
    for batch in batches:
        for start in range(0, len(batch), _AT_ONCE):
            total += _digest(batch.slice(start, _AT_ONCE), table)
    return total % MODULUS


def together(*digests: int) -> int:
    """The digest of several sets as one."""
    return sum(digests) % MODULUS


def as_text(digest: int) -> str:
    return f"{digest:0128x}"


def from_text(text: str) -> int:
    """Raises ValueError."""
    return int(text, 16)


def _digest(batch: Any, table: str) -> int:
    words, width = _words(batch, table)
    ends = range(width, len(words) + width, width)
    return sum(
        int.from_bytes(blake2b(words[end - width : end] + text).digest(), "little")
        for end, text in zip(ends, _texts(batch, table), strict=True)
    )


def _words(batch: Any, table: str) -> tuple[bytes, int]:
    """The fixed part of all rows, one after another, and the length of one."""
    arrow = pyarrow()
    columns = [column for column in TABLES[table] if column.kind not in ("text", "words")]
    encoded = memoryview(bytearray(len(batch) * len(columns) * _WORD)).cast("q")
    for place, column in enumerate(columns):
        array = _column(batch, column.name)
        if array is None:
            array = arrow.nulls(len(batch), arrow.int64())
        array = array.cast(arrow.int64()) if column.kind == "flag" else array.view(arrow.int64())
        array = arrow.compute.fill_null(array, _NULL)
        values = memoryview(array.buffers()[1]).cast("q")
        encoded[place :: len(columns)] = values[array.offset : array.offset + len(array)]
    return encoded.tobytes(), len(columns) * _WORD


def _texts(batch: Any, table: str) -> Any:
    """The variable part of each row, as bytes."""
    arrow = pyarrow()
    columns = []
    for column in TABLES[table]:
        if column.kind not in ("text", "words"):
            continue
        array = _column(batch, column.name)
        if array is None:
            array = arrow.nulls(len(batch), arrow.binary())
        elif column.kind == "words":
            array = arrow.compute.binary_join(array, _BETWEEN_WORDS.decode())
        columns.append(arrow.compute.fill_null(array.cast(arrow.binary()), _NULL_TEXT))
    if not columns:
        return repeat(b"", len(batch))
    return arrow.compute.binary_join_element_wise(*columns, _BETWEEN_TEXTS).to_pylist()


def _column(batch: Any, name: str) -> Any:
    place = batch.schema.get_field_index(name)
    return None if place < 0 else batch.column(place)
