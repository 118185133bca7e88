import os
import time
from pathlib import Path

import pytest

from common.auth.deny_list import DenyList
from common.auth.key_ring import KeyRing
from common.auth.watched_file import MOST_BYTES, WatchedFile, _mark
from cottage.errors import SettingsError
from tests.common.auth.issuer import Issuer, SetClock


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The events that were logged, with their levels."""
    events: list[tuple[str, str]] = []

    class Log:
        def info(self, event: str, **_fields: str) -> None:
            events.append(("info", event))

        def warning(self, event: str, **_fields: str) -> None:
            events.append(("warning", event))

    monkeypatch.setattr("common.auth.watched_file.log", Log())
    return events


def numbers(text: bytes) -> int:
    if not text.endswith(b"."):
        raise ValueError("has no end")
    return int(text[:-1])


def watched(path: Path, clock: SetClock) -> WatchedFile[int]:
    return WatchedFile("THE_FILE", str(path), numbers, clock.monotonic)


def test_it_is_looked_at_once_a_second(tmp_path: Path) -> None:
    path, clock = tmp_path / "f", SetClock()
    path.write_text("1.")
    file = watched(path, clock)
    path.write_text("2.")
    clock.passes(0.9)
    assert file.content() == 1
    clock.passes(0.1)
    assert file.content() == 2


@pytest.mark.parametrize("change", ["in place", "replaced", "linked"])
def test_every_way_to_change_a_file_is_seen(tmp_path: Path, change: str) -> None:
    clock, path, new = SetClock(), tmp_path / "f", tmp_path / "new"
    (tmp_path / "old").write_text("1.")
    path.symlink_to(tmp_path / "old")  # as Kubernetes and many tools hand files over
    file = watched(path, clock)
    old = (tmp_path / "old").stat()
    new.write_text("2.")
    os.utime(new, ns=(old.st_atime_ns, old.st_mtime_ns))
    if change == "in place":
        path.write_text("2.")
        os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
    elif change == "replaced":
        new.replace(path)
    else:
        path.unlink()
        path.symlink_to(new)
    clock.passes(1)
    assert file.content() == 2


def test_two_changes_within_a_tick_of_the_file_system_are_both_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.auth.watched_file._mark", lambda _found: (1, 1, 1, 1))
    path, clock = tmp_path / "f", SetClock()
    path.write_text("1.")
    file = watched(path, clock)
    path.write_text("2.")
    clock.passes(1)
    assert file.content() == 2


def test_what_cannot_be_used_leaves_the_last_in_force_and_is_said_once(
    tmp_path: Path, said: list[tuple[str, str]]
) -> None:
    path, clock = tmp_path / "f", SetClock()
    path.write_text("1.")
    file = watched(path, clock)
    for half in ("", "2", "2"):
        path.write_text(half)
        clock.passes(1)
        assert file.content() == 1
    path.unlink()
    clock.passes(1)
    assert file.content() == 1
    path.mkdir()
    clock.passes(1)
    assert file.content() == 1
    path.rmdir()
    os.mkfifo(path)
    clock.passes(1)
    assert file.content() == 1  # and did not wait for somebody to write into it
    path.unlink()
    path.write_bytes(b"2" * (MOST_BYTES + 1) + b".")
    clock.passes(1)
    assert file.content() == 1
    assert said == [("warning", "file_not_taken")]
    path.write_text("2.")
    clock.passes(1)
    assert file.content() == 2
    assert said == [("warning", "file_not_taken"), ("info", "file_taken")]


def test_new_permissions_are_a_change(tmp_path: Path) -> None:
    path, clock = tmp_path / "f", SetClock()
    path.write_text("1.")
    before = _mark(path.stat())
    time.sleep(0.02)  # longer than a tick of the file system's clock
    path.chmod(0o600)
    assert _mark(path.stat()) != before
    assert watched(path, clock).content() == 1


@pytest.mark.parametrize("make", ["missing", "folder", "half"])
def test_what_cannot_be_used_at_the_start_is_a_bad_setting(tmp_path: Path, make: str) -> None:
    path = tmp_path / "f"
    if make == "folder":
        path.mkdir()
    elif make == "half":
        path.write_text("the content")
    with pytest.raises(SettingsError, match=r"THE_FILE: .*/f: ") as caught:
        watched(path, SetClock())
    assert "the content" not in str(caught.value)


def test_a_half_written_key_file_leaves_the_keys_in_force(tmp_path: Path, said: list[tuple[str, str]]) -> None:
    issuer, clock, path = Issuer(), SetClock(), tmp_path / "jwks.json"
    whole = issuer.file(path).read_bytes()
    file = WatchedFile("AUTH_JWKS_FILE", str(path), KeyRing.parse, clock.monotonic)
    kept = file.content()
    for length in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        clock.passes(1)
        assert file.content() is kept
        assert file.content_now() is kept
    assert said == [("warning", "file_not_taken")]


def test_a_deny_list_that_is_written_anew_denies_all_the_time(tmp_path: Path) -> None:
    clock, path = SetClock(), tmp_path / "denied"
    path.write_text("one\ntwo\n")
    denied = DenyList("AUTH_DENY_FILE", str(path), clock.monotonic)
    for half in ("", "one", "one\nt", "one\ntwo\nthree\n"):  # a program that writes it in place, slowly
        path.write_text(half)
        clock.passes(0.5)
        assert "two" in denied
        clock.passes(0.5)
        assert "two" in denied
    assert "three" in denied


def test_a_denial_is_lifted_when_the_file_stays_without_it(tmp_path: Path) -> None:
    clock, path = SetClock(), tmp_path / "denied"
    path.write_text("one\r\n\n two \nthree")
    denied = DenyList("AUTH_DENY_FILE", str(path), clock.monotonic)
    assert all(name in denied for name in ("one", "two", "three"))
    assert "" not in denied
    path.write_text("three")
    clock.passes(1)
    assert "one" in denied
    clock.passes(1)
    assert "one" not in denied
    assert "three" in denied
    path.unlink()
    clock.passes(5)
    assert "three" in denied


@pytest.mark.parametrize("text", [b"\xff\n", b"one\n\0\0\0\n", b"x" * 300])
def test_what_is_no_deny_list_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "denied"
    path.write_bytes(text)
    with pytest.raises(SettingsError, match="AUTH_DENY_FILE"):
        DenyList("AUTH_DENY_FILE", str(path), SetClock().monotonic)
