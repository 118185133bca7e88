import zipfile
from pathlib import Path

import pytest

from cottage.record.checkpoints import BEGUN, SAVED, CheckpointName, checkpoints, parse_name, versions
from tests.cottage.record.ticks import checkpoint


def test_names_come_back_as_they_were() -> None:
    for name in (CheckpointName(BEGUN, 7, "0/1"), CheckpointName(SAVED, 1_764_162_000_000_000, "3/16")):
        assert parse_name(str(name)) == name


@pytest.mark.parametrize("text", ["", "begun", "begun-1", "begun-1-0-of-1.npz", "../begun-1-0-of-1", "kept-1-0-of-1"])
def test_what_is_no_name(text: str) -> None:
    assert parse_name(text) is None


def test_those_of_a_record_in_order(tmp_path: Path) -> None:
    assert checkpoints(tmp_path) == []
    names = [CheckpointName(kind, number, "0/1") for kind in (BEGUN, SAVED) for number in (5, 20)]
    for name in reversed(names):
        checkpoint(tmp_path, name, {})
    (tmp_path / "checkpoints" / "other.npz").touch()
    assert checkpoints(tmp_path) == names


def test_its_symbols_and_versions(tmp_path: Path) -> None:
    name = CheckpointName(SAVED, 1, "0/1")
    checkpoint(tmp_path, name, {"SPY": (7, 3), "QQQ": None})
    assert versions(name.path(tmp_path)) == {"SPY": (7, 3), "QQQ": None}


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "none.npz").write_bytes(b"none")
    with pytest.raises(ValueError, match="is no checkpoint"):
        versions(tmp_path / "none.npz")


def test_a_checkpoint_that_is_compressed_is_none(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0/symbols.json", b" " * 1_000_000)
    with pytest.raises(ValueError, match="compressed"):
        versions(tmp_path / "bomb.npz")
