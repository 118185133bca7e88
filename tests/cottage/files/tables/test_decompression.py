"""Files that are made to fill memory or a disk are refused by what they are, in little memory."""

import bz2
import gzip
import io
import lzma
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow
import pytest
import zstandard
from pyarrow import feather, parquet

from cottage import zip_on_disk
from cottage.errors import SourceError, UnusableSource
from cottage.files.recording import Recording
from cottage.files.tables import columnar_table, decompression, json_table, members
from cottage.files.tables.members import Member
from tests.cottage.files.tables.test_members import written

MIB = 1024 * 1024


@contextmanager
def memory_below(most: int) -> Iterator[None]:
    """Python's own memory; what a library takes beside it is looked at where it would."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def drained(path: Path) -> int:
    (member,) = members.members(path)
    came = 0
    with member.open() as stream:
        while data := stream.read1(MIB):
            came += len(data)
    return came


PACKED: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gz", gzip.compress),
    ("zst", zstandard.compress),
    ("bz2", bz2.compress),
    ("xz", lzma.compress),
]


@pytest.mark.parametrize(("suffix", "compress"), PACKED)
def test_what_holds_too_much_is_refused_by_name_in_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(decompression, "ALWAYS_ALLOWED", 24 * MIB)
    bomb = written(tmp_path / f"trades.csv.{suffix}", compress(b"\n" * (48 * MIB)))
    assert bomb.stat().st_size * decompression.MOST_TIMES < 48 * MIB
    with memory_below(40 * MIB), pytest.raises(UnusableSource, match=r"trades\.csv.* times what it takes"):
        drained(bomb)
    monkeypatch.setattr(decompression, "ALWAYS_ALLOWED", 64 * MIB)
    assert drained(bomb) == 48 * MIB


@pytest.mark.parametrize(("suffix", "compress"), PACKED)
def test_one_in_another_counts_by_what_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(decompression, "ALWAYS_ALLOWED", 8 * MIB)
    twice = written(tmp_path / f"t.{suffix}.gz", gzip.compress(compress(b"\n" * (16 * MIB))))
    with pytest.raises(UnusableSource, match="on the disk"):
        drained(twice)
    small = written(tmp_path / f"s.{suffix}.gz", gzip.compress(compress(b"a\n")))
    assert drained(small) == 2


def test_a_file_that_holds_itself_for_ever_is_refused(tmp_path: Path) -> None:
    content = b"a\n"
    for _ in range(decompression.MOST_LAYERS):
        content = gzip.compress(content)
    assert drained(written(tmp_path / "three.gz", content)) == 2
    with pytest.raises(UnusableSource, match="more than 3 times over"):
        drained(written(tmp_path / "four.gz", gzip.compress(content)))


def test_a_few_bytes_of_a_zst_give_no_half_gigabyte_at_once(tmp_path: Path) -> None:
    """A block that repeats one byte takes four and gives 128 KiB."""
    frame = struct.pack("<IBB", 0xFD2FB528, 0, 0x38)  # a window of 128 KiB, of no stated length
    block = int.to_bytes(0b010 | 131_072 << 3, 3, "little") + b"\n"
    last = int.to_bytes(0b011 | 131_072 << 3, 3, "little") + b"\n"
    bomb = written(tmp_path / "trades.zst", frame + block * 1500 + last)
    with memory_below(70 * MIB):
        assert drained(bomb) == 1501 * 131_072


@pytest.mark.parametrize("kind", ["zst", "xz"])
def test_a_file_may_not_ask_for_a_gigabyte_to_begin_with(tmp_path: Path, kind: str) -> None:
    if kind == "zst":
        content = struct.pack("<IBB", 0xFD2FB528, 0, 0xA8) + int.to_bytes(0b001 | 1 << 3, 3, "little") + b"\n"
    else:
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 20}]
        content = lzma.compress(b"a\n", filters=filters)
        assert drained(written(tmp_path / "small.xz", content)) == 2
        head = bytearray(content)
        at = content.index(bytes([0x21, 0x01]), 12) + 2  # the size of the dictionary, of 4 GiB less a byte
        head[at] = 40
        size = (head[12] + 1) * 4
        import zlib

        head[12 + size - 4 : 12 + size] = struct.pack("<I", zlib.crc32(bytes(head[12 : 12 + size - 4])))
        content = bytes(head)
    with pytest.raises(UnusableSource, match=r"[Mm]emory"):
        drained(written(tmp_path / f"trades.{kind}", content))


@pytest.mark.parametrize("way", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_of_ways_to_compress_within_a_zip_those_without_a_bound_are_refused(tmp_path: Path, way: int) -> None:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", way) as archive:
        archive.writestr("trades.csv", b"\n" * MIB)
    with pytest.raises(UnusableSource, match="rare within a zip: unpack it"):
        members.members(written(tmp_path / "trades.zip", into.getvalue()))


def test_a_zip_whose_list_of_entries_is_endless_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        for number in range(200):
            archive.writestr(f"{number}.csv", b"a\n")
    path = written(tmp_path / "trades.zip", into.getvalue())
    assert len(members.members(path)) == 200
    monkeypatch.setattr(zip_on_disk, "MOST_DIRECTORY_BYTES", 5_000)
    with pytest.raises(UnusableSource, match="list of entries has more than"):
        members.members(path)


def test_a_zip_that_holds_too_much_is_refused_as_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decompression, "ALWAYS_ALLOWED", MIB)
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("trades.csv", b"\n" * (8 * MIB))
    with pytest.raises(UnusableSource, match="on the disk"):
        drained(written(tmp_path / "trades.zip", into.getvalue()))


def table(cell: str, rows: int) -> pyarrow.Table:
    names = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * rows, pyarrow.int32()), pyarrow.array([cell]))
    times = [1_795_694_400_000 + 1000 * row for row in range(rows)]
    return pyarrow.table({"timestamp": times, "symbol": names, "price": [100.0 + row % 7 for row in range(rows)]})


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_one_long_text_of_many_rows_is_cut_before_it_is_here(tmp_path: Path, form: str) -> None:
    """A text of 4 MiB that stands there once is the cell of 3,000 rows: 12 GB."""
    path = tmp_path / f"trades.{form}"
    write = parquet.write_table if form == "parquet" else feather.write_feather
    write(table("A" * 4 * MIB, 3_000), path, compression="zstd")
    assert path.stat().st_size < MIB
    bad: list[int] = []
    with memory_below(200 * MIB), pytest.raises(SourceError):
        list(Recording(path, on_bad=lambda line, _error: bad.append(line)))
    found = columnar_table.ColumnarTable(Member(path, path.name, {}))
    assert list(found.rows(lambda line, _error: bad.append(line))) == []
    assert len(bad) >= 3_000


def test_a_json_document_of_brackets_alone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_table, "MOST_VALUES", 10_000)
    path = written(tmp_path / "trades.json", b"[" + b"[]," * 20_000 + b"[]]")
    with pytest.raises(UnusableSource, match="more than 10000 values: write it as JSON lines"):
        Recording(path)


def test_the_first_lines_of_json_are_not_all_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_table, "_SAMPLE_BYTES", 100_000)
    line = b'{"timestamp":"2026-11-26T12:00:00Z","symbol":"SPY","price":"1.5","junk":"%b"}\n' % (b"x" * 50_000)
    path = written(tmp_path / "trades.json", line * 300)
    with memory_below(8 * MIB):
        json_table.JsonTable(Member(path, path.name, {}))
