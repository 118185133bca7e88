"""`cottage verify`: its report and its exit status."""

from pathlib import Path

import pytest

from cottage.cli import main
from cottage.record.manifest import read_manifest
from cottage.record.record_writer import RecordWriter
from tests.cottage.record.rows_of_samples import BEGIN, samples


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with RecordWriter(tmp_path / "record", clock=lambda: BEGIN / 1e6 + 7200) as record:
        record.append("samples", samples(seqs=range(1, 4)))
    return tmp_path / "record"


def test_a_whole_record_and_its_head(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = read_manifest(folder).head
    assert main(["verify", str(folder), "--head", head]) == 0
    assert capsys.readouterr().out == f"as it was written: files: 1, rows: 6, head: {head}\n"


def test_what_is_wrong_is_named_and_another_head_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file,) = (folder / "samples").rglob("*.parquet")
    file.unlink()
    assert main(["verify", str(folder), "--head", "5d0c1f" + "0" * 58]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["chain rewritten", "file missing"]


def test_a_folder_that_is_no_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tmp_path)]) == 2
    assert "is no record: it has no manifest.json" in capsys.readouterr().err


@pytest.mark.parametrize("head", ["5d0c1f", "", "g" * 64, "0" * 65])
@pytest.mark.parametrize("command", ["verify", "proof"])
def test_what_is_no_head_is_a_wrong_argument(
    folder: Path, command: str, head: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(folder)] if command == "verify" else ["SPY", "--dir", str(folder)]
    with pytest.raises(SystemExit) as ended:
        main([command, *given, "--head", head])
    assert ended.value.code == 2
    shown = capsys.readouterr()
    assert "head must be the 64 hexadecimal digits" in shown.err
    assert shown.out == ""


def test_a_head_may_be_in_capitals(folder: Path) -> None:
    assert main(["verify", str(folder), "--head", read_manifest(folder).head.upper()]) == 0
