from pathlib import Path

import pytest

from cottage.record.record import Record
from cottage.record.record_writer import RecordInUse, RecordWriter
from tests.cottage.record.rows_of_samples import BEGIN, HOUR, SECOND, keys_of, samples

BOTH = ("QQQ", "SPY")


def writer(folder: Path, seconds: float = BEGIN / 1e6 + 60) -> RecordWriter:
    return RecordWriter(folder, clock=lambda: seconds)


def keys(folder: Path) -> list[tuple[str, int]]:
    return keys_of(Record(folder).scan("samples", ["symbol", "seq"]))


def test_rows_are_there_once_after_each_step(tmp_path: Path) -> None:
    with writer(tmp_path) as record:
        record.append("samples", samples(seqs=(1, 2)))
        assert keys(tmp_path) == []
        flushed = record.flush()
        assert (flushed.rows, flushed.waiting, flushed.lost, flushed.error) == (4, 0, {}, None)
        expected = [(symbol, seq) for symbol in BOTH for seq in (1, 2)]
        assert keys(tmp_path) == expected
        assert record.roll()
        assert keys(tmp_path) == expected
        record.append("samples", samples(seqs=(3,)))
        record.flush()
        expected = [(symbol, seq) for symbol in BOTH for seq in (1, 2, 3)]
        assert keys(tmp_path) == expected
        assert record.roll()
        assert record.compact()  # this hour is not over
        assert [file.is_piece for file in record.manifest.files] == [True, True]
        assert record.compact(unfinished=True)
        assert keys(tmp_path) == expected
        assert [file.path for file in record.manifest.files] == ["samples/date=2025-11-26/13.parquet"]


def test_a_clean_stop_leaves_all_of_it_as_files_of_hours(tmp_path: Path) -> None:
    with writer(tmp_path) as record:
        record.append("samples", samples(seqs=(1, 3600)))
        record.append("outages", {"hop": ["redis"], "since": [BEGIN], "recorded": [BEGIN]})
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == [
        "chain.jsonl",
        "lock",
        "manifest.json",
        "outages/date=2025-11-26/13.parquet",
        "samples/date=2025-11-26/13.parquet",
        "samples/date=2025-11-26/14.parquet",
    ]


def test_a_second_recorder_is_refused(tmp_path: Path) -> None:
    with writer(tmp_path), pytest.raises(RecordInUse, match=r"another recorder writes to .* \(process \d+\)"):
        writer(tmp_path)
    writer(tmp_path).close()


def test_what_is_known_of_a_file(tmp_path: Path) -> None:
    with writer(tmp_path) as record:
        record.append("samples", samples(seqs=(1, 2)))
    (file,) = Record(tmp_path).manifest().files
    assert (file.table, file.hour, file.rows, file.sources) == ("samples", HOUR, 4, (("simulate", BEGIN),))
    assert file.at == (BEGIN + SECOND, BEGIN + 2 * SECOND)
    assert file.bytes == (tmp_path / file.path).stat().st_size
