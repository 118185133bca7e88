from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cottage.record.record import Record
from cottage.record.record_writer import RecordWriter
from tests.cottage.record.rows_of_samples import BEGIN, SECOND, keys_of, samples


@pytest.fixture(params=["ahead", "pieces", "hours"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Seqs 1 to 4 of two symbols, in each state of a record."""
    with RecordWriter(tmp_path, clock=lambda: BEGIN / 1e6) as record:
        record.append("samples", samples(seqs=(1, 2, 3, 4)))
        record.flush()
        if request.param != "ahead":
            record.roll()
        if request.param == "hours":
            record.compact(unfinished=True)
        yield tmp_path


def test_rows_of_symbols_and_times(folder: Path) -> None:
    record = Record(folder)
    rows = record.scan("samples", ["seq"], symbols=["SPY", "NOBODY"])
    assert sorted(rows["seq"].to_pylist()) == [1, 2, 3, 4]
    assert rows.column_names == ["seq"]
    within = (BEGIN + 2 * SECOND, BEGIN + 4 * SECOND)
    assert keys_of(record.scan("samples", at=within, symbols=["SPY"])) == [("SPY", 2), ("SPY", 3)]
    assert keys_of(record.scan("samples", written=within)) == [("QQQ", 2), ("QQQ", 3), ("SPY", 2), ("SPY", 3)]
    assert keys_of(record.scan("samples", recorded=(None, BEGIN))) == []


def test_rows_come_back_as_they_were(folder: Path) -> None:
    expected = samples(seqs=(1, 2, 3, 4))
    rows = Record(folder).scan("samples").sort_by([("seq", "ascending"), ("symbol", "descending")]).to_pydict()
    for name, values in rows.items():
        assert values == expected.get(name, [None] * 8), name


def test_no_record(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Record(tmp_path).scan("samples")


def test_many_symbols_and_the_same_twice(folder: Path) -> None:
    record = Record(folder)
    many = [f"S{number}" for number in range(100)]
    for symbols in (["SPY", "SPY"], ["SPY", *many], [*many, "SPY", "SPY"]):
        assert keys_of(record.scan("samples", ["symbol", "seq"], symbols=symbols)) == [
            ("SPY", seq) for seq in (1, 2, 3, 4)
        ]
    assert keys_of(record.scan("samples", ["symbol", "seq"], symbols=[])) == []


def test_a_reader_while_files_are_replaced(tmp_path: Path) -> None:
    """Every scan has all rows that were flushed before it, each once."""
    with RecordWriter(tmp_path, clock=lambda: BEGIN / 1e6, grace=0.2) as record, ThreadPoolExecutor() as pool:
        record.append("samples", samples(seqs=(1,)))
        record.flush()
        reader = Record(tmp_path)

        def write() -> None:
            for seq in range(2, 7):
                record.append("samples", samples(seqs=(seq,)))
                record.flush()
                flushed.append(seq)
                assert record.roll()
                assert record.compact(unfinished=seq % 2 == 0)

        flushed = [1]
        writing = pool.submit(write)
        while not writing.done():
            before = flushed[-1]
            found = keys_of(reader.scan("samples", ["symbol", "seq"]))
            newest = len(found) // 2
            assert newest >= before
            assert found == [(symbol, seq) for symbol in ("QQQ", "SPY") for seq in range(1, newest + 1)]
        writing.result()
