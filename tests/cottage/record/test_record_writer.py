import errno
from pathlib import Path

import orjson
import pytest

from cottage.record.record import Record
from cottage.record.record_writer import RecordInUse, RecordWriter
from cottage.record.verification import verify
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


def test_a_clock_that_steps_by_an_hour_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """The clock goes forward by an hour and back again: rows are in files by `recorded`, each once."""
    now = BEGIN / 1e6 + 60
    record = RecordWriter(tmp_path, clock=lambda: now)
    with record:
        for seqs, shift in (((1, 2), 0), ((3, 4), 1), ((5, 6), 0), ((7,), -1)):
            now = BEGIN / 1e6 + 60 + shift * 3600
            record.append("samples", samples(seqs=seqs, begin=BEGIN + shift * 3600 * SECOND))
            record.flush()
            assert record.roll()
            assert record.compact()
        assert keys(tmp_path) == [(symbol, seq) for symbol in BOTH for seq in range(1, 8)]
    assert keys(tmp_path) == [(symbol, seq) for symbol in BOTH for seq in range(1, 8)]
    hours = {file.path: (file.hour, file.rows) for file in Record(tmp_path).manifest().files}
    assert hours == {
        "samples/date=2025-11-26/12.parquet": (HOUR - 1, 2),
        "samples/date=2025-11-26/13.parquet": (HOUR, 4),  # its first rows, when the clock was an hour ahead
        "samples/date=2025-11-26/13-1.parquet": (HOUR, 4),
        "samples/date=2025-11-26/14.parquet": (HOUR + 1, 4),
    }
    assert verify(tmp_path) == []


def test_age_and_size(tmp_path: Path) -> None:
    now = BEGIN / 1e6 + 3 * 3600
    with RecordWriter(tmp_path, clock=lambda: now, grace=0) as record:
        for hour in range(3):
            record.append("samples", samples(seqs=(hour + 1,), begin=BEGIN + hour * 3600 * SECOND))
        record.roll()
        record.compact()
        assert record.expire(keep_days=1, max_bytes=2**30) == 0
        now = BEGIN / 1e6 + 86_400 + 60
        assert record.expire(keep_days=1) == 1
        assert keys(tmp_path) == [(symbol, seq) for symbol in BOTH for seq in (2, 3)]
        assert not (tmp_path / "samples/date=2025-11-26/13.parquet").exists()
        assert record.expire(max_bytes=sum(file.bytes for file in record.manifest.files) - 1) == 1
        assert keys(tmp_path) == [(symbol, 3) for symbol in BOTH]
    assert verify(tmp_path) == []
    whys = [orjson.loads(line)["why"] for line in (tmp_path / "chain.jsonl").read_bytes().splitlines()]
    assert whys == ["began", "rolled", "compacted", "compacted", "compacted", "expired", "expired"]


def test_nothing_is_removed_for_the_room_of_files_that_leave_anyway(tmp_path: Path) -> None:
    """What was written ahead is larger than the files that come of it, and stays a minute longer for readers."""
    with writer(tmp_path) as record:
        record.append("samples", samples(seqs=range(200)))
        assert record.roll()
        assert record.compact(unfinished=True)
        alive = sum(file.bytes for file in record.manifest.files)
        assert record.size() > alive + 16_000
        assert record.expire(max_bytes=alive) == 0
        assert record.expire(max_bytes=alive - 1) == 1


def test_no_row_is_removed_for_the_room_of_what_stays(tmp_path: Path) -> None:
    """Such as feynman's checkpoints, which have a limit of their own."""
    with writer(tmp_path) as record:
        record.append("samples", samples(seqs=range(20)))
        assert record.roll()
        (tmp_path / "checkpoints").mkdir()
        (tmp_path / "checkpoints/saved-1-1-of-1.npz").write_bytes(bytes(2**20))
        record.append("samples", samples(seqs=range(20, 400)))
        record.flush()
        assert record.expire(max_bytes=2**15) == 0
        assert len(keys(tmp_path)) == 800


def test_a_file_that_cannot_be_removed_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that was made read-only for a while ends no recorder."""
    with RecordWriter(tmp_path, clock=lambda: BEGIN / 1e6 + 60, grace=0) as record:
        record.append("samples", samples(seqs=(1, 2)))
        assert record.roll()

        def refuse(*_arguments: object, **_options: object) -> None:
            raise OSError(errno.EROFS, "Read-only file system")

        with monkeypatch.context() as read_only:
            read_only.setattr(Path, "unlink", refuse)
            assert record.roll()
            assert record.expire(max_bytes=0) == 1
            assert len(list(tmp_path.rglob("*.arrow"))) == len(list(tmp_path.rglob("*.parquet"))) == 1
        assert record.roll()
        assert [*tmp_path.rglob("*.arrow"), *tmp_path.rglob("*.parquet")] == []
    assert verify(tmp_path) == []


def test_a_row_that_fits_no_table_is_left_out_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = samples(seqs=range(1, 6))
    rows["price"][3] = "dear"
    rows["at"][6] = None
    rows["source"][8] = "\ud800"
    with writer(tmp_path) as record:
        record.append("samples", rows)
        flushed = record.flush()
        assert (flushed.rows, flushed.refused) == (7, 3)
        bad = [("QQQ", 2), ("SPY", 4), ("SPY", 5)]
        assert keys(tmp_path) == [(symbol, seq) for symbol in BOTH for seq in range(1, 6) if (symbol, seq) not in bad]
    assert caplog.text.count("record_row_refused table='samples'") == 3


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"symbol": ["SPY"], "colour": ["red"]}, "samples has no column colour"),
        ({"symbol": [], "seq": [1]}, "length"),
    ],
)
def test_columns_that_are_none_of_the_table(tmp_path: Path, columns: dict[str, list[str]], message: str) -> None:
    with writer(tmp_path) as record:
        with pytest.raises(ValueError, match=message):
            record.append("samples", columns)
        with pytest.raises(KeyError):
            record.append("nothing", {})


def test_replaced_files_stay_a_while_for_readers(tmp_path: Path) -> None:
    now = 0.0
    with RecordWriter(tmp_path, clock=lambda: BEGIN / 1e6, monotonic=lambda: now, grace=60) as record:
        record.append("samples", samples())
        record.roll()
        ahead = tmp_path / "ahead/00000001.samples.arrow"
        assert ahead.exists()
        now = 59
        record.compact(unfinished=True)
        (piece,) = (tmp_path / "pieces").rglob("*.parquet")
        assert ahead.exists()
        now = 60
        record.roll()
        assert not ahead.exists()
        assert piece.exists()
