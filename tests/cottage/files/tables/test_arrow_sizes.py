"""Arrow files whose batches unfold to more than is there."""

import gzip
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
