"""One holder at a time, and none once that is gone."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services.feynman.file_lock import FileLock
from tests.support import ROOT

HOLD = """
import sys
from pathlib import Path
from services.feynman.file_lock import FileLock
lock = FileLock(Path(sys.argv[1]))
print(lock.take(), flush=True)
sys.stdin.read()
"""


def test_one_at_a_time(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "new" / "w"), FileLock(tmp_path / "new" / "w")
    assert first.take()
    assert first.take()
    assert not second.take()
    first.release()
    assert second.take()
    assert not first.take()
    second.release()
    second.release()


def test_each_file_has_its_own(tmp_path: Path) -> None:
    locks = [FileLock(tmp_path / name) for name in ("windows-0-of-2.npz", "windows-1-of-2.npz")]
    assert [lock.take() for lock in locks] == [True, True]
    for lock in locks:
        lock.release()


def test_a_killed_holder_holds_it_no_longer(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "w")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "w")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        assert not lock.take()
        holder.send_signal(signal.SIGKILL)
        holder.wait(20)
        assert lock.take()
        lock.release()


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        FileLock(tmp_path / "file" / "w").take()
