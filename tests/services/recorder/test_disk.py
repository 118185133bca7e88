"""Where rows go: what the disk does not take waits, is said once, and is written when it does."""

import errno
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from cottage.clock import SystemClock
from cottage.errors import CottageError, SettingsError
from cottage.record import manifest
from cottage.record.manifest import MANIFEST, RecordDamaged
from cottage.record.record import Record
from cottage.record.write_ahead import WriteAhead
from services.recorder.disk import RecordDisk
from services.recorder.settings import RecorderSettings
from tests.services.recorder.states import BEGINNING

ROW: dict[str, list[Any]] = {"hop": ["redis"], "cause": [None], "since": [1], "until": [None], "recorded": [1]}


def disk(folder: Path) -> RecordDisk:
    made = unopened(folder)
    made.open()
    return made


def unopened(folder: Path, **settings: str) -> RecordDisk:
    return RecordDisk(
        RecorderSettings.model_validate({"dir": str(folder), **settings}), SystemClock(), lambda: BEGINNING
    )


async def test_rows_are_on_the_disk_when_write_returns(tmp_path: Path) -> None:
    made = disk(tmp_path / "record")
    assert made.problem is None
    await made.write({"outages": ROW})
    assert made.waiting == 0
    assert Record(tmp_path / "record").scan("outages").num_rows == 1
    await made.close()
    assert made.head()["files"] == 1
    again = disk(tmp_path / "record")
    assert (REGISTRY.get_sample_value("cottage_recorder_bytes") or 0) > 1000, "before files are made anew"
    await again.close()


async def test_what_a_full_disk_does_not_take_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, write = disk(tmp_path / "record"), WriteAhead.write

    def refuse(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(WriteAhead, "write", refuse)
    await made.write({"outages": ROW})
    assert made.waiting == 1
    assert "No space left" in str(made.problem)
    monkeypatch.setattr(WriteAhead, "write", write)
    await made.write({"outages": ROW})
    assert (made.waiting, made.problem) == (0, None)
    await made.close()
    assert Record(tmp_path / "record").scan("outages").num_rows == 2


async def test_a_folder_that_cannot_be_used_is_named_with_its_setting(tmp_path: Path) -> None:
    first = disk(tmp_path / "record")
    with pytest.raises(SettingsError, match=r"RECORDER_DIR"):
        disk(tmp_path / "record")
    await first.close()
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"RECORDER_DIR: .*file cannot be written"):
        disk(tmp_path / "file")


@pytest.mark.parametrize(("begun", "tried_again"), [(True, True), (False, False)])
async def test_a_disk_that_is_full_at_a_restart_ends_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bool, tried_again: bool
) -> None:
    """The supervisor ends all services where one ends with the status of a SettingsError."""
    folder = tmp_path / "record"
    if begun:
        await disk(folder).close()
        (folder / MANIFEST).unlink()  # it is made anew, as after a crash

    def refuse(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(manifest, "replace_file", refuse)
    with pytest.raises(CottageError, match=r"RECORDER_DIR: .*No space left") as raised:
        unopened(folder).open()
    assert isinstance(raised.value, SettingsError) != tried_again


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_folder_that_was_deleted_takes_no_rows(tmp_path: Path, replaced: bool) -> None:
    """They would be lost, and nobody would say so."""
    folder = tmp_path / "record"
    made = disk(folder)
    await made.write({"outages": ROW})
    folder.rename(tmp_path / "elsewhere")
    if replaced:
        await disk(folder).close()
    with pytest.raises(CottageError, match=r"RECORDER_DIR: .*record was deleted or replaced"):
        await made.write({"outages": ROW})


async def test_files_of_hours_go_to_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []

    class Bucket:
        def __init__(self, url: str, endpoint: str) -> None:
            copied.append(f"{url} at {endpoint}")

        def put(self, _path: Path, name: str, _checksum: str) -> str:
            copied.append(name)
            return f"s3://bucket/{name}"

    monkeypatch.setattr("services.recorder.disk.S3Archive", Bucket)
    made = unopened(tmp_path / "record", archive="s3://bucket", archive_endpoint="http://127.0.0.1:9000")
    made.open()
    await made.write({"outages": ROW})
    made._maintain(made._opened)
    assert copied[0] == "s3://bucket at http://127.0.0.1:9000"
    assert [name.split("/")[0] for name in copied[1:]] == ["outages"]
    await made.close()


async def test_before_it_is_open_there_is_nothing_to_say(tmp_path: Path) -> None:
    made = unopened(tmp_path / "record")
    assert made.head() == {}
    assert made.problem == "not opened yet"
    await made.close()


async def test_a_record_that_is_damaged_is_named_with_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "record"
    await disk(folder).close()
    (folder / "manifest.json").unlink()
    (folder / "chain.jsonl").write_bytes(b"{}\n")
    with pytest.raises(RecordDamaged, match=r"RECORDER_DIR: .*: move the folder away, or set another one"):
        disk(folder)
