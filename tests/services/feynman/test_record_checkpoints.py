"""Which checkpoints are kept in a record."""

import os
from pathlib import Path

import pytest

from cottage.record.checkpoints import BEGUN, SAVED, CheckpointName, checkpoints, versions, want_checkpoint
from cottage.record.manifest import MANIFEST
from cottage.version import Version
from services.feynman import record_checkpoints
from services.feynman.checkpoint import CheckpointPart, CheckpointWriter, read
from services.feynman.record_checkpoints import RecordCheckpoints
from tests.services.feynman.test_checkpoint import NOW, SETTINGS, parts


@pytest.fixture
def record(tmp_path: Path) -> Path:
    (tmp_path / MANIFEST).touch()
    return tmp_path


def saved(path: Path) -> Path:
    """A checkpoint, of which one symbol has not been issued yet."""
    writer = CheckpointWriter(path, SETTINGS)
    writer.open()
    _, several = parts()
    issued: list[Version | None] = [Version(7, 3), None, Version(8, 1)]
    for part in several:
        writer.add(CheckpointPart(part.symbols, part.sources, part.arrays, issued[: len(part.symbols)]))
        issued = issued[len(part.symbols) :]
    writer.finish(NOW)
    return path


def test_a_process_that_loaded_a_file_began_with_it(record: Path) -> None:
    loaded = saved(record / "windows.npz")
    kept = RecordCheckpoints(record, "0/1", SETTINGS)
    kept.begin(loaded)
    assert checkpoints(record) == [], "nothing was issued yet"
    loaded.unlink()
    kept.began(77, NOW)
    (name,) = checkpoints(record)
    assert name == CheckpointName(BEGUN, 77, "0/1")
    assert list(versions(name.path(record)).values()) == [(7, 3), None, (8, 1)]
    assert [part.symbols for part in read(name.path(record), SETTINGS, NOW, 3600)] == [p.symbols for p in parts()[1]]


def test_a_process_that_loaded_none_began_with_nothing(record: Path) -> None:
    RecordCheckpoints(record, "0/1", SETTINGS).begin(saved(record / "windows.npz"))
    kept = RecordCheckpoints(record, "0/1", SETTINGS)  # the one before had not issued anything
    kept.begin(None)
    kept.began(77, NOW)
    (name,) = checkpoints(record)
    assert versions(name.path(record)) == {}
    assert list(read(name.path(record), SETTINGS, NOW, 3600)) == []


def test_one_is_kept_each_hour_and_where_the_recorder_asks(record: Path) -> None:
    kept = RecordCheckpoints(record, "1/2", SETTINGS)
    kept.begin(None)
    path = saved(record / "windows.npz")
    kept_at = []
    for minute in range(130):
        now = NOW + 60 * minute
        if minute == 30:
            want_checkpoint(record)
        if kept.wants(now):
            kept.saved(path, now)
            kept_at.append(minute)
    assert kept_at == [0, 30, 90]
    assert [name.number for name in checkpoints(record)] == [round((NOW + 60 * minute) * 1e6) for minute in kept_at]
    assert {(name.kind, name.shard) for name in checkpoints(record)} == {(SAVED, "1/2")}


def test_what_the_recorder_asks_while_one_is_saved_is_for_the_next(record: Path) -> None:
    kept = RecordCheckpoints(record, "0/1", SETTINGS)
    kept.begin(None)
    path = saved(record / "windows.npz")
    assert kept.wants(NOW)
    want_checkpoint(record)
    kept.saved(path, NOW + 5)
    assert kept.wants(NOW + 60)
    kept.saved(path, NOW + 65)
    assert not kept.wants(NOW + 120)


def test_nothing_is_kept_where_nobody_records(tmp_path: Path) -> None:
    assert not RecordCheckpoints(tmp_path, "0/1", SETTINGS).wants(NOW)


def test_the_oldest_go(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = RecordCheckpoints(record, "0/1", SETTINGS)
    kept.begin(None)
    path = saved(record / "windows.npz")
    monkeypatch.setattr(record_checkpoints, "MOST_BYTES", 2 * path.stat().st_size)
    for number in range(4):
        saved(path)
        os.utime(path, (NOW + number, NOW + number))
        kept.saved(path, NOW + number)
    assert [name.number for name in checkpoints(record)] == [round((NOW + number) * 1e6) for number in (2, 3)]


def test_on_another_disk_it_is_a_copy(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_paths: Path) -> None:
        raise OSError("another disk")

    monkeypatch.setattr(os, "link", refuses)
    kept = RecordCheckpoints(record, "0/1", SETTINGS)
    kept.begin(saved(record / "windows.npz"))
    kept.began(77, NOW)
    (name,) = checkpoints(record)
    assert name.path(record).read_bytes() == (record / "windows.npz").read_bytes()
    assert not list((record / "checkpoints").glob("*.part"))
