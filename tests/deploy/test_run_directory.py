"""The folder of `make run`."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cottage.errors import CottageError, SettingsError
from deploy.run_directory import URLS, only_run, read_urls, remove_urls, run_folder, write_urls


def test_the_folder_is_a_setting() -> None:
    assert run_folder({}) == Path(".run")
    assert run_folder({"RUN_DIR": "/tmp/other"}) == Path("/tmp/other")


def test_what_is_written_is_read_again_and_by_nobody_else(tmp_path: Path) -> None:
    urls = {"PAGE_URL": "http://127.0.0.1:8765/", "REDIS_URL": "redis://:a'b $c@127.0.0.1:6379"}
    write_urls(tmp_path, urls)
    assert read_urls(tmp_path) == {**urls, "RUN_PID": str(os.getpid())}
    assert stat.S_IMODE((tmp_path / URLS).stat().st_mode) == 0o600
    remove_urls(tmp_path)
    assert read_urls(tmp_path) is None
    remove_urls(tmp_path)


def test_a_shell_reads_the_same(tmp_path: Path) -> None:
    write_urls(tmp_path, {"REDIS_URL": "redis://:a'b $c@127.0.0.1:6379"})
    said = subprocess.run(
        ["sh", "-c", f'. {tmp_path}/{URLS}; printf %s "$REDIS_URL"'], capture_output=True, text=True, check=True
    )
    assert said.stdout == "redis://:a'b $c@127.0.0.1:6379"


def test_what_a_killed_run_left_is_not_believed(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / URLS).write_text(f"REDIS_URL=redis://127.0.0.1:6379\nRUN_PID={ended.pid}\n")
    assert read_urls(tmp_path) is None


@pytest.mark.parametrize("content", ["", "no assignment\n", "REDIS_URL='unclosed\n", "RUN_PID=0\n", "RUN_PID=-1\n"])
def test_a_file_that_is_none_is_not_believed(tmp_path: Path, content: str) -> None:
    (tmp_path / URLS).write_text(content)
    assert read_urls(tmp_path) is None


def test_a_folder_that_cannot_be_written_is_said_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    (tmp_path / f"{URLS}.new").mkdir()
    with pytest.raises(SettingsError, match=r"^RUN_DIR: .* cannot be written \("), only_run(tmp_path):
        pass
    with pytest.raises(SettingsError, match=r"^RUN_DIR: .* cannot be written \("):
        write_urls(tmp_path, {})


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with only_run(tmp_path), pytest.raises(CottageError, match=f"process {os.getpid()}"), only_run(tmp_path):
        pass
    with only_run(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
