import os
import threading
import time
from pathlib import Path

import pytest

from cottage.errors import SettingsError
from cottage.secret_values import MOST_BYTES, is_set, secret_of


def test_a_secret_comes_from_its_variable_or_from_nowhere() -> None:
    assert secret_of({"X": " s3cret "}, "X") == "s3cret"
    assert secret_of({"x": "s3cret", "X": ""}, "X") == "s3cret"
    assert secret_of({"X": "", "X_FILE": " "}, "X") is None


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"s3cret", "s3cret"),
        (b"s3cret\n", "s3cret"),
        (b"s3cret\r\n", "s3cret"),
        (b"s3cret\n\n", "s3cret\n"),
        (b"s3cret\r", "s3cret\r"),
        (b" s3cret \n", " s3cret "),
        (b'"s3cret"\n', '"s3cret"'),
        ("pä@/:%#?".encode(), "pä@/:%#?"),
        (b"x" * MOST_BYTES, "x" * MOST_BYTES),
    ],
)
def test_of_a_file_one_newline_at_the_end_is_cut_off(tmp_path: Path, content: bytes, secret: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    for name in ("X_FILE", "x_file"):
        assert secret_of({name: str(path)}, "X") == secret
    assert is_set({"X_FILE": str(path)}, "X")


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n", b"s3cret\xff", b"s3cret" * 20_000])
def test_a_file_without_a_secret_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"^X_FILE: the file is ") as refused:
        secret_of({"X_FILE": str(path)}, "X")
    assert "s3c" not in str(refused.value)
    assert refused.value.__cause__ is None, "a traceback shows what a cause has"


def test_a_file_with_a_byte_order_mark_is_refused(tmp_path: Path) -> None:
    """Nobody sees it, and whoever else reads the file, such as a server, would take it for a part of the secret."""
    (tmp_path / "secret").write_text("s3cret\n", encoding="utf-8-sig")
    with pytest.raises(SettingsError, match=r"^X_FILE: the file begins with a byte order mark.*: save it") as refused:
        secret_of({"X_FILE": str(tmp_path / "secret")}, "X")
    assert "s3c" not in str(refused.value)


@pytest.mark.parametrize("path", ["/nowhere/at/all", "/", "", "/dev/zero"])
def test_what_is_no_file_of_a_secret_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(SettingsError, match=r"^X_FILE: "):
        secret_of({"X_FILE": path or str(tmp_path)}, "X")


def test_a_pipe_is_a_file_too() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"s3cret\n")
    os.close(writing)
    assert secret_of({"X_FILE": f"/dev/fd/{reading}"}, "X") == "s3cret"
    os.close(reading)


def test_a_pipe_into_which_nobody_writes_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cottage.secret_values.PIPE_SECONDS", 0.2)
    os.mkfifo(tmp_path / "secret")
    with pytest.raises(SettingsError, match=r"^X_FILE: nothing came out of the pipe in 0\.2 s$"):
        secret_of({"X_FILE": str(tmp_path / "secret")}, "X")


def test_a_pipe_whose_writer_comes_late_is_read_to_its_end(tmp_path: Path) -> None:
    os.mkfifo(path := tmp_path / "secret")

    def write() -> None:
        time.sleep(0.2)
        with path.open("wb", buffering=0) as pipe:
            pipe.write(b"s3c")
            time.sleep(0.2)
            pipe.write(b"ret\n")

    writer = threading.Thread(target=write)
    writer.start()
    assert secret_of({"X_FILE": str(path)}, "X") == "s3cret"
    writer.join()


def test_both_are_refused_and_neither_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("s3cret of the file")
    with pytest.raises(SettingsError, match=r"^X_FILE: X is set as well: leave one of them out$"):
        secret_of({"X_FILE": str(path), "X": "s3cret"}, "X")
