"""The watched pair: what is refused at the start, and what never takes the place of one that works."""

import os
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from structlog.typing import EventDict

from common import tls
from common.tls import CertificateRefused, ServerCertificate
from tests.certificates import Authority, Pair


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def said() -> Iterator[list[EventDict]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


def warnings(said: list[EventDict]) -> list[EventDict]:
    return [line for line in said if line["log_level"] == "warning"]


def load(pair: Pair) -> ServerCertificate:
    return ServerCertificate(pair.certificate, pair.key)


def write(path: str, data: bytes) -> None:
    """As a tool does that writes in place; the time of the change differs for certain."""
    before = Path(path).stat().st_mtime_ns if Path(path).exists() else 0
    Path(path).write_bytes(data)
    os.utime(path, ns=(before + 10**9, before + 10**9))


def broken(pair: Pair, authority: Authority, how: str) -> tuple[bytes, bytes]:
    """A certificate and a key with which no server should go on."""
    certificate, key = authority.texts()
    match how:
        case "the certificate ends early":
            return certificate[: len(certificate) // 4], key
        case "the chain ends early":
            return certificate[: -len(certificate) // 4], key
        case "the chain ends in its first line":
            return certificate[: certificate.index(b"-----BEGIN", 1) + 12], key
        case "the key ends early":
            return certificate, key[: len(key) // 2]
        case "the key is another's":
            return certificate, Path(pair.key).read_bytes()
        case "the certificate is empty":
            return b"", key
        case "the key is empty":
            return certificate, b""
        case "no PEM":
            return b"\x00\xff" * 100, key
        case "they are exchanged":
            return key, certificate
        case "expired":
            return authority.texts(begins=-3, days=-1)
        case "not valid yet":
            return authority.texts(begins=1, days=3)
        case "for clients":
            return authority.texts(client=True)
    raise AssertionError(how)


HALF = [
    "the certificate ends early",
    "the chain ends early",
    "the chain ends in its first line",
    "the key ends early",
    "the key is another's",
    "the certificate is empty",
    "the key is empty",
    "no PEM",
    "they are exchanged",
    "expired",
    "not valid yet",
    "for clients",
]


@pytest.mark.parametrize("how", HALF)
def test_what_no_client_would_take_leaves_the_old_pair_in_use(
    authority: Authority, said: list[EventDict], how: str
) -> None:
    pair = authority.issue()
    served = load(pair)
    old = served.context
    certificate, key = broken(pair, authority, how)
    write(pair.certificate, certificate)
    write(pair.key, key)
    for _ in range(5):
        served.look()
    assert served.context is old
    assert len(warnings(said)) == 1, "it is said once"
    assert pair.certificate in warnings(said)[0]["error"] or pair.key in warnings(said)[0]["error"]
    assert "PRIVATE" not in str(said)
    authority.issue()
    served.look()
    assert served.context is not old
    assert served.context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("how", HALF)
def test_no_server_starts_with_it(authority: Authority, how: str) -> None:
    pair = authority.issue()
    certificate, key = broken(pair, authority, how)
    write(pair.certificate, certificate)
    write(pair.key, key)
    with pytest.raises(CertificateRefused, match=r"server\.(pem|key)"):
        load(pair)


def test_a_pair_that_is_written_piece_by_piece_is_never_used_in_part(
    authority: Authority, said: list[EventDict]
) -> None:
    pair = authority.issue()
    served = load(pair)
    old = served.context
    certificate, key = authority.texts()
    for end in range(0, len(certificate), 40):
        write(pair.certificate, certificate[:end])
        served.look()
        assert served.context is old
    write(pair.certificate, certificate)
    served.look()
    assert served.context is old, "the key is still the other's"
    assert len(warnings(said)) == 1
    write(pair.key, key)
    served.look()
    assert served.context is not old
    used = served.context
    served.look()
    assert served.context is used, "what has not changed is not read again"


def test_a_pair_that_is_gone_leaves_the_old_one_in_use(authority: Authority, said: list[EventDict]) -> None:
    pair = authority.issue()
    served = load(pair)
    old = served.context
    Path(pair.key).unlink()
    served.look()
    served.look()
    assert (served.context is old, len(warnings(said))) == (True, 1)
    authority.issue()
    served.look()
    assert served.context is not old


def emptied(path: str) -> None:
    Path(path).write_bytes(b"")


@pytest.mark.parametrize("ends", [os.unlink, emptied])
def test_a_certificate_that_goes_while_it_is_tried_leaves_the_old_one_in_use(
    authority: Authority, said: list[EventDict], monkeypatch: pytest.MonkeyPatch, ends: Callable[[str], None]
) -> None:
    pair = authority.issue()
    served = load(pair)
    old, made = served.context, tls._server_context

    def ended_behind(certificate: str, key: str) -> ssl.SSLContext:
        context = made(certificate, key)
        ends(certificate)
        return context

    authority.issue()
    monkeypatch.setattr(tls, "_server_context", ended_behind)
    served.look()
    assert served.context is old
    assert [line["error"] for line in warnings(said)] == [f"{pair.certificate}: changed while it was read"]
    monkeypatch.undo()
    authority.issue()
    served.look()
    assert served.context is not old


def test_notes_between_key_and_certificate_may_have_any_letters(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.texts()
    both = tmp_path / "both.pem"
    both.write_bytes(key + "friendlyName: Zürich\n".encode() + certificate)
    assert ServerCertificate(str(both), str(both)).context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_pair_behind_a_link_that_is_exchanged(authority: Authority, tmp_path: Path) -> None:
    """As container platforms hand out their secrets."""
    authority.issue("first")
    authority.issue("second")
    for end in ("pem", "key"):
        (tmp_path / f"now.{end}").symlink_to(tmp_path / f"first.{end}")
    served = ServerCertificate(str(tmp_path / "now.pem"), str(tmp_path / "now.key"))
    old = served.context
    for end in ("pem", "key"):
        (tmp_path / f"next.{end}").symlink_to(tmp_path / f"second.{end}")
        (tmp_path / f"next.{end}").replace(tmp_path / f"now.{end}")
    served.look()
    assert served.context is not old


def test_an_encrypted_key_is_refused_and_asks_nobody(authority: Authority, tmp_path: Path) -> None:
    pair = authority.issue()
    locked = str(tmp_path / "e.key")
    command = ["openssl", "ec", "-in", pair.key, "-aes256", "-passout", "pass:secret", "-out", locked]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(CertificateRefused, match=r"e\.key"):
        ServerCertificate(pair.certificate, locked)


@pytest.mark.parametrize("which", ["certificate", "key"])
def test_a_missing_file_is_named(authority: Authority, tmp_path: Path, which: str) -> None:
    pair = authority.issue()
    paths = {"certificate": pair.certificate, "key": pair.key, which: str(tmp_path / "none")}
    with pytest.raises(CertificateRefused, match=r"/none: No such file"):
        ServerCertificate(paths["certificate"], paths["key"])
    with pytest.raises(CertificateRefused, match="is no file"):
        ServerCertificate(str(tmp_path), pair.key)


def test_what_is_no_file_is_not_waited_for_and_a_large_one_not_read(
    authority: Authority, said: list[EventDict]
) -> None:
    served = load(pair := authority.issue())
    old = served.context
    Path(pair.certificate).unlink()
    os.mkfifo(pair.certificate)
    served.look()
    Path(pair.certificate).unlink()
    with Path(pair.certificate).open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(CertificateRefused, match="is larger than"):
        load(pair)
    served.look()
    assert served.context is old
    (line,) = [line for line in said if line["event"] == "certificate_not_taken"]
    assert line["error"].endswith("is no file")


def test_when_it_expires_is_told(authority: Authority, said: list[EventDict]) -> None:
    served = load(authority.issue(days=1))
    authority.issue(days=3)
    served.look()
    assert said[-1]["event"] == "certificate_in_use"
    assert tls.EXPIRES._value.get() > 1e9
