from pathlib import Path
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cottage.record import compaction
from cottage.record.arrow_schema import conform
from cottage.record.compaction import sort_table
from cottage.record.compaction_child import CompactionFailed, sort_in_child
from cottage.record.digest import as_text, digest_of
from cottage.record.sorted_runs import in_order
from cottage.record.write_ahead import WriteAhead
from tests.cottage.record.rows_of_samples import BEGIN, HOUR, SECOND, samples


def batch(*seqs: int, begin: int = BEGIN) -> pa.RecordBatch:
    return in_order(conform(pa.RecordBatch.from_pydict(samples(seqs=seqs, begin=begin)), "samples"), "samples")


@pytest.fixture
def ahead(tmp_path: Path) -> Path:
    """Rows of two hours, mixed, in three flushes."""
    (tmp_path / "ahead").mkdir()
    file = WriteAhead(tmp_path, 1)
    for rows in (batch(3, 4), batch(1, 2), batch(5, begin=BEGIN + 3600 * SECOND)):
        file.write("samples", rows)
    file.close()
    return tmp_path / "ahead/00000001.samples.arrow"


def test_a_file_an_hour_sorted_and_told(tmp_path: Path, ahead: Path) -> None:
    told = sort_table("samples", [ahead], tmp_path)
    first, second = told["files"]
    rows = pq.read_table(first["path"])
    assert list(zip(rows["symbol"].to_pylist(), rows["seq"].to_pylist(), strict=True)) == [
        (symbol, seq) for symbol in ("QQQ", "SPY") for seq in (1, 2, 3, 4)
    ]
    assert (first["hour"], first["rows"], second["hour"], second["rows"]) == (HOUR, 8, HOUR + 1, 2)
    assert first["at"] == (BEGIN + SECOND, BEGIN + 4 * SECOND)
    assert first["sources"] == [("simulate", BEGIN)]
    assert first["digest"] == as_text(digest_of(rows, "samples"))
    assert told["damaged"] == []
    (tmp_path / "again").mkdir()
    together = sort_table("samples", [Path(first["path"]), Path(second["path"])], tmp_path / "again")
    assert together["digest"] is None
    assert [file["digest"] for file in together["files"]] == [first["digest"], second["digest"]]


def test_row_groups_are_bounded(tmp_path: Path, ahead: Path) -> None:
    with mock.patch.object(compaction, "_SMALLEST_GROUP", 3), mock.patch("cottage.record.sorted_runs.AT_ONCE", 3):
        (first, _) = sort_table("samples", [ahead], tmp_path)["files"]
    with pq.ParquetFile(first["path"]) as file:
        sizes = [file.metadata.row_group(place).num_rows for place in range(file.num_row_groups)]
    assert sizes == [3, 3, 2]


def test_a_flush_that_is_not_what_was_recorded_is_left_aside_with_what_follows(tmp_path: Path, ahead: Path) -> None:
    content = ahead.read_bytes()
    place = content.rindex(b"SPY", 0, content.rindex(b"SPY"))
    ahead.write_bytes(content[:place] + b"SPX" + content[place + 3 :])
    told = sort_table("samples", [ahead], tmp_path)
    assert sum(file["rows"] for file in told["files"]) < 10
    assert [each["path"] for each in told["damaged"]] == [ahead.name]


def test_a_child_does_it_and_says_why_it_could_not(tmp_path: Path, ahead: Path) -> None:
    (told,) = sort_in_child({"samples": [ahead]}, tmp_path / "made")
    assert [file["rows"] for file in told["files"]] == [8, 2]
    with pytest.raises(CompactionFailed, match="ended with 1: FileNotFoundError"):
        sort_in_child({"samples": [tmp_path / "nothing.arrow"]}, tmp_path / "made")
