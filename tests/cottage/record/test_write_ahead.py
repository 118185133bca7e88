from pathlib import Path

import pyarrow as pa
import pytest

from cottage.record.arrow_schema import conform
from cottage.record.digest import as_text, digest_of
from cottage.record.sorted_runs import in_order
from cottage.record.write_ahead import WriteAhead, ahead_files, mapped, whole_batches
from tests.cottage.record.rows_of_samples import samples


def batch(*seqs: int) -> pa.RecordBatch:
    return in_order(conform(pa.RecordBatch.from_pydict(samples(seqs=seqs)), "samples"), "samples")


@pytest.fixture
def record(tmp_path: Path) -> Path:
    (tmp_path / "ahead").mkdir()
    return tmp_path


def test_batches_come_back_with_their_digests(record: Path) -> None:
    ahead = WriteAhead(record, 3)
    for rows in (batch(1, 2), batch(3)):
        ahead.write("samples", rows)
    ahead.close()
    (file,) = ahead_files(record, 2)
    assert (file.number, file.table, file.path.name) == (3, "samples", "00000003.samples.arrow")
    assert ahead_files(record, 3) == []
    found = list(whole_batches(mapped(file.path)))
    assert [each.rows for each in found] == [batch(1, 2), batch(3)]
    assert [each.digest for each in found] == [as_text(digest_of(each.rows, "samples")) for each in found]
    assert found[-1].end == file.path.stat().st_size
    (some, _) = whole_batches(mapped(file.path), ["price", "symbol", "of another version"])
    assert some.rows.to_pydict() == batch(1, 2).select(["symbol", "price"]).to_pydict()


def test_any_program_reads_it_as_a_stream_of_arrow(record: Path) -> None:
    ahead = WriteAhead(record, 1)
    ahead.write("samples", batch(1))
    ahead.write("samples", batch(2))
    ahead.close()
    with pa.ipc.open_stream(record / "ahead/00000001.samples.arrow") as stream:
        assert stream.read_all().num_rows == 4


def test_an_end_at_each_byte(record: Path) -> None:
    ahead = WriteAhead(record, 1)
    ahead.write("samples", batch(1))
    (file,) = ahead_files(record, 0)
    first = file.path.stat().st_size
    ahead.write("samples", batch(2))
    ahead.close()
    whole = file.path.read_bytes()
    for length in [*range(0, len(whole), 97), first - 1, first, len(whole) - 1, len(whole)]:
        file.path.write_bytes(whole[:length])
        expected = (length >= first) + (length == len(whole))
        assert len(list(whole_batches(mapped(file.path)))) == expected, length


@pytest.mark.parametrize("metadata", [None, {"other": "x"}])
def test_a_batch_without_a_digest_is_none_of_ours(record: Path, metadata: dict[str, str] | None) -> None:
    rows = batch(1)
    with pa.OSFile(str(record / "a.arrow"), "wb") as file, pa.ipc.new_stream(file, rows.schema) as stream:
        stream.write_batch(rows, custom_metadata=metadata)
    assert list(whole_batches(mapped(record / "a.arrow"))) == []


@pytest.mark.parametrize("columns", [None, ["price", "symbol"]])
def test_a_batch_that_is_compressed_is_left_aside_before_it_unfolds(record: Path, columns: list[str] | None) -> None:
    rows = batch(1, 2)
    digest = {"digest": as_text(digest_of(rows, "samples"))}
    whole = []
    for codec in (None, "zstd", "lz4"):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as stream:
            stream.write_batch(rows, custom_metadata=digest)
        whole.append(sink.getvalue().to_pybytes()[rows.schema.serialize().size : -8])
    plain, *packed = whole
    head, path = rows.schema.serialize().to_pybytes(), record / "a.arrow"
    for compressed in packed:
        path.write_bytes(head + plain + compressed + plain)
        (found,) = whole_batches(mapped(path), columns)
        assert found.end == len(head + plain)
        path.write_bytes(head + compressed)
        assert list(whole_batches(mapped(path), columns)) == []
    path.write_bytes(head + plain + plain)
    assert len(list(whole_batches(mapped(path), columns))) == 2
