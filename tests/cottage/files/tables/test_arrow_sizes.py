"""Arrow files whose batches unfold to more than is there."""

import gzip
import io
import struct
from pathlib import Path

import pyarrow
import pytest
from pyarrow import feather

from cottage.errors import UnusableSource
from cottage.files.tables import arrow_sizes, columnar_table
from cottage.files.tables.members import Member
from tests.cottage.files.tables.test_decompression import MIB, table
from tests.cottage.files.tables.test_members import written


def test_an_arrow_batch_that_unfolds_to_gigabytes_is_refused_before_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "trades.arrow"
    feather.write_feather(pyarrow.table({"price": [1.0] * 500_000}), path, compression="zstd", chunksize=500_000)
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(arrow_sizes, "MOST_BATCH_BYTES", 2 * MIB)
    with pytest.raises(UnusableSource, match=r"a batch takes 4,0.* bytes in memory"):
        columnar_table.ColumnarTable(Member(path, path.name, {}))
    written(tmp_path / "packed.arrow.gz", gzip.compress(path.read_bytes()))
    with pytest.raises(UnusableSource, match="a batch takes"):
        columnar_table.ColumnarTable(Member(tmp_path / "packed.arrow.gz", "packed", {}))


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
def test_what_is_written_with_pyarrow_is_measured_right(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "trades.arrow"
    feather.write_feather(table("SPY", 1_000), path, compression=compression)
    found = columnar_table.ColumnarTable(Member(path, path.name, {}))
    assert len(list(found.rows(lambda *_bad: None))) == 1_000


def test_what_hides_from_a_walk_and_stands_in_the_footer_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "trades.arrow"
    feather.write_feather(table("SPY", 1_000), path, compression="zstd")
    hidden = bytearray(path.read_bytes())
    hidden[8:16] = b"\xff\xff\xff\xff\0\0\0\0"  # in place of the schema, which pyarrow has from the footer
    path.write_bytes(hidden)
    assert len(list(columnar_table.ColumnarTable(Member(path, path.name, {})).rows(lambda *_bad: None))) == 1_000
    monkeypatch.setattr(arrow_sizes, "MOST_BATCH_BYTES", 1_000)
    with pytest.raises(UnusableSource, match="a batch takes"):
        columnar_table.ColumnarTable(Member(path, path.name, {}))


def test_a_buffer_before_its_batch_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trades.arrow"
    feather.write_feather(pyarrow.table({"price": [float(each) for each in range(1_000)]}), path, compression="zstd")
    whole = path.read_bytes()
    (place,) = arrow_sizes._places(io.BytesIO(whole), 0, path.name)
    file = io.BytesIO(whole[place:])
    head = file.read(arrow_sizes._head_size(file))
    batch, _length = arrow_sizes._batch(head)
    assert batch is not None
    offset, stored = next(each for each in batch.structs(2, "<qq") if each[1] > 8)
    path.write_bytes(whole.replace(struct.pack("<qq", offset, stored), struct.pack("<qq", -(10**9), stored)))
    with pytest.raises(UnusableSource, match="is broken, cut short or encrypted"):
        list(columnar_table.ColumnarTable(Member(path, path.name, {})).rows(lambda *_bad: None))


def test_a_dictionary_that_unfolds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trades.arrow"
    words = pyarrow.array(["A" * 1_000 + str(each) for each in range(1_000)]).dictionary_encode().slice(0, 5)
    feather.write_feather(pyarrow.table({"symbol": words}), path, compression="zstd")
    monkeypatch.setattr(arrow_sizes, "MOST_BATCH_BYTES", 500_000)
    with pytest.raises(UnusableSource, match="a batch takes"):
        columnar_table.ColumnarTable(Member(path, path.name, {}))


@pytest.mark.parametrize("place", [-8, 2**40, 2**62, 2**63 - 1])
def test_a_batch_outside_of_the_file_is_refused(tmp_path: Path, place: int) -> None:
    path = tmp_path / "trades.arrow"
    feather.write_feather(table("SPY", 1_000), path, compression="zstd")
    whole = path.read_bytes()
    *_others, said = arrow_sizes._places(io.BytesIO(whole), 0, path.name)
    at = whole.rindex(struct.pack("<q", said))
    path.write_bytes(whole[:at] + struct.pack("<q", place) + whole[at + 8 :])
    with pytest.raises(UnusableSource):
        list(columnar_table.ColumnarTable(Member(path, path.name, {})).rows(lambda *_bad: None))
