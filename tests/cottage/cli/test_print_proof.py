"""`cottage proof` on a record in a folder, and over HTTP with what such a proof says."""

import json
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from cottage.cli import main
from cottage.record.record import Record
from tests.cottage.http_answers import HttpAnswers, http_answers
from tests.cottage.record.test_proof import EVERY, LAST, altered, record_of, rewrite

VERSION = f"{LAST['epoch']}-{LAST['seq']}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_of(tmp_path_factory.mktemp("record"), EVERY)


@pytest.fixture
def api(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpAnswers]:
    main(["proof", "SPY", "--dir", str(folder), "--json"])
    with http_answers() as told:
        told.by_path = {"/v1/proof/SPY": capsys.readouterr().out.encode()}
        monkeypatch.setenv("COTTAGE_API_URL", told.url)
        yield told


def test_it_says_first_that_a_state_is_proved(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = Record(folder).manifest().head
    assert main(["proof", "SPY", "--dir", str(folder), "--head", head]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"Proved: the state of SPY in version {VERSION} comes out again")
    text = "\n".join(said)
    for word in (
        "90 % interval",
        "as recorded",
        "computed again",
        "Window",
        "Versions",
        "sha256",
        "unbroken",
        head[:16],
    ):
        assert word in text


def test_it_says_first_that_one_is_not_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = record_of(tmp_path, EVERY)
    rewrite(folder, altered)
    assert main(["proof", "SPY", "--dir", str(folder), "--version", VERSION]) == 1
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("Not proved: the state of SPY")
    assert second.startswith("  ✗ row altered: samples/")


def test_it_takes_a_time(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["proof", "SPY", "--dir", str(folder), "--at", str((LAST["written"] - 1) / 1e6), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["version"] == [LAST["prev_epoch"], LAST["prev_seq"]]
    assert report["proved"]
    assert len(report["inputs"]) == report["state"]["samples"] == 100


def test_it_asks_the_api(api: HttpAnswers, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["proof", "SPY", "--version", VERSION, "--head", "ab" * 32, "--widening", "1.5"]) == 0
    assert api.asked == [f"/v1/proof/SPY?version={VERSION}&head={'ab' * 32}&widening=1.5"]
    assert capsys.readouterr().out.startswith("Proved: ")
    told = orjson.loads(api.by_path["/v1/proof/SPY"])
    api.by_path["/v1/proof/SPY"] = orjson.dumps(told | {"proved": False})
    assert main(["proof", "SPY"]) == 1


def test_it_writes_a_page(folder: Path, tmp_path: Path) -> None:
    assert main(["proof", "SPY", "--dir", str(folder), "--page", str(tmp_path / "proof.html")]) == 0
    assert "<svg" in (tmp_path / "proof.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--version", "1"], 2, "version must be epoch-seq"),
        (["--version", "1-2"], 1, "version 1-2 of SPY is not in the record"),
        (["--at", "1970-01-02"], 1, "the record of SPY begins at 2025-11-24T16:00:01.000Z"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, words: str
) -> None:
    assert main(["proof", "SPY", "--dir", str(folder), *arguments]) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err


def test_a_folder_without_a_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["proof", "SPY", "--dir", str(tmp_path)]) == 1
    assert "there is no record in" in capsys.readouterr().err


def test_a_state_that_was_in_a_file_that_is_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = record_of(tmp_path, EVERY)
    path = max((folder / "samples").rglob("*.parquet"))
    for content, words in ((b"", "file unreadable: samples/"), (None, "file missing: samples/")):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        assert main(["proof", "SPY", "--dir", str(folder)]) == 1
        assert words in capsys.readouterr().err
        path.touch()
