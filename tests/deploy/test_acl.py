"""The ACL files of `make acl`, on the servers that are here."""

import hashlib
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cottage.errors import RedisRefused, SettingsError
from cottage.redis import connect_blocking
from cottage.urls import with_login
from deploy import acl
from deploy.redis_server import Server, ServerError, find_servers, free_port, start
from deploy.redis_users import USERS
from deploy.secret_folder import SecretFolder
from tests.conftest import KINDS
from tests.support import IN_MEMORY, ROOT

NAMES = {"feynman", "market", "physics", "bridge", "recorder", "feed", "agent", "reader", "operator", "health"}


def server_of(kind: str, servers: dict[str, Server]) -> Server:
    if kind not in servers:
        pytest.skip(f"no {kind}-server on this machine")
    return servers[kind]


def made(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "deploy.acl", *arguments, str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def test_all_users_have_a_password_in_a_file_of_its_own_and_keep_it(tmp_path: Path) -> None:
    done = made(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for server in find_servers():
        assert f"{acl.file_for(server)}  tried on {server.kind} {server.version}" in done.stdout
    secrets = {path.name: path.read_text().strip() for path in (tmp_path / "secrets").iterdir()}
    assert secrets.keys() == {*NAMES, "replica", "sentinel"} == USERS.keys()
    assert len(set(secrets.values())) == len(secrets)
    assert all(len(each) >= 32 for each in secrets.values())
    assert all(each.isalnum() for each in secrets.values()), "none begins as an option of redis-cli does"
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "secrets").iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    files = {path.name: path.read_text() for path in tmp_path.glob("*.acl")}
    assert files.keys() == {version.acl_name for version in acl.VERSIONS}
    for text in files.values():
        assert text.startswith("user default off\n")
        assert "broadcaster" not in text
        assert not [each for each in secrets.values() if each in text], "their hashes alone"
    assert made(tmp_path).returncode == 0
    assert {path.name: path.read_text() for path in tmp_path.glob("*.acl")} == files


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_first_line_everybody_may_do_everything(
    kind: str, server_binaries: dict[str, Server], tmp_path: Path
) -> None:
    """Why each file begins with it, and why `requirepass` beside a file is refused: the server ignores it."""
    server = server_of(kind, server_binaries)
    whole, without = tmp_path / "whole.acl", tmp_path / "without.acl"
    passwords = {user: [user * 8] for user in USERS}
    version = next(each for each in acl.VERSIONS if each.acl_name == acl.file_for(server))
    whole.write_text(acl.acl_file(version, passwords))
    without.write_text(whole.read_text().removeprefix("user default off\n"))
    for path, serves in ((whole, False), (without, True)):
        options = (*IN_MEMORY, "--requirepass", "secret", "--aclfile", str(path))
        with (
            start(server, tmp_path / path.stem, free_port(), config=None, arguments=options) as running,
            connect_blocking(running.url) as stranger,
            connect_blocking(with_login(running.url, "health", passwords["health"][0])) as health,
        ):
            assert health.ping()
            if serves:
                assert stranger.acl_getuser("default")["flags"] == ["on", "nopass"]
                assert stranger.flushall()
            else:
                with pytest.raises(RedisRefused):
                    stranger.ping()
        if serves:
            with pytest.raises(ServerError, match="serves whoever shows no password"):
                acl.try_file(path, server, passwords["health"][0])
        else:
            acl.try_file(path, server, passwords["health"][0])


def test_a_command_that_a_server_does_not_know_is_not_in_its_file() -> None:
    texts = {version: acl.acl_file(version, {user: [user] for user in USERS}) for version in acl.VERSIONS}
    knowing = {str(version) for version, text in texts.items() if "+hpexpiretime" in text}
    assert knowing == {"redis-7.4", "valkey-9.1"}
    assert not [version for version, text in texts.items() if "setinfo" in text]


@pytest.mark.parametrize(
    ("version", "name"), [("7.0.15", "redis-7.0.acl"), ("7.2.4", "redis-7.0.acl"), ("8.2.1", "redis-7.4.acl")]
)
def test_a_server_gets_the_file_of_the_newest_version_that_is_not_newer(version: str, name: str) -> None:
    assert acl.file_for(Server("redis", version, Path("/x"), embedded=False)) == name
    with pytest.raises(ServerError, match=r"no ACL file for valkey-8\.0"):
        acl.file_for(Server("valkey", "8.0.1", Path("/x"), embedded=False))


@pytest.mark.parametrize("kind", KINDS)
def test_a_password_is_exchanged_while_all_run(kind: str, server_binaries: dict[str, Server], tmp_path: Path) -> None:
    server, folder = server_of(kind, server_binaries), tmp_path / "acl"
    secrets = SecretFolder(folder / "secrets")
    acl.write_files(folder, secrets)
    path = folder / acl.file_for(server)
    old = secrets.secret("reader")
    options = (*IN_MEMORY, "--aclfile", str(path))
    with start(server, tmp_path / "data", free_port(), config=None, arguments=options) as running:

        def takes(password: str) -> bool:
            with connect_blocking(with_login(running.url, "reader", password)) as client:
                try:
                    return bool(client.ping())
                except RedisRefused:
                    return False

        def load() -> None:
            with connect_blocking(with_login(running.url, "operator", secrets.secret("operator"))) as client:
                client.execute_command("ACL LOAD")

        secrets.path("reader").rename(secrets.path("reader.before"))
        acl.write_files(folder, secrets)
        load()
        new = secrets.secret("reader")
        assert new != old
        assert takes(old)
        assert takes(new)
        secrets.path("reader.before").unlink()
        acl.write_files(folder, secrets)
        load()
        assert not takes(old)
        assert takes(new)


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [
        (b"x" * 31 + b"\n", 0o600, "32 or more"),
        (b"x" * 40, 0o640, "can be read or written by others"),
        (b"x" * 40, 0o602, "can be read or written by others"),
        (b"x" * 20 + b" " + b"x" * 20, 0o600, "no blanks"),
        (b"x" * 40 + b"\n\n", 0o600, "one line"),
        (b"", 0o600, "32 or more"),
        (b"\xff" * 40, 0o600, "it is no text"),
    ],
)
def test_a_password_file_that_is_none_is_named(tmp_path: Path, content: bytes, mode: int, why: str) -> None:
    (tmp_path / "secrets").mkdir()
    path = tmp_path / "secrets" / "reader"
    path.write_bytes(content)
    path.chmod(mode)
    done = made(tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert str(path) in done.stderr
    assert why in done.stderr
    assert "xxxx" not in done.stderr


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_a_folder_of_everybody_holds_no_secrets(tmp_path: Path, mode: int) -> None:
    """Somebody may have put one there that they know."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets").chmod(mode)
    with pytest.raises(SettingsError, match=r"secrets: everybody can put .*: chmod o-w "):
        SecretFolder(tmp_path / "secrets")


def test_a_password_of_ones_own_is_taken(tmp_path: Path) -> None:
    own = tmp_path / "mine"
    own.mkdir()
    (own / "reader").touch(0o600)
    (own / "reader").write_text("a password of my own: 0123456789".replace(" ", "-") + "\n")
    assert made(tmp_path / "out", "--secrets", str(own)).returncode == 0
    hashed = hashlib.sha256(b"a-password-of-my-own:-0123456789").hexdigest()
    assert f"user reader on #{hashed} " in (tmp_path / "out/redis-7.0.acl").read_text()


def test_another_database_is_named_and_no_other_one_is_allowed(
    server_binaries: dict[str, Server], tmp_path: Path
) -> None:
    secrets = SecretFolder(tmp_path / "secrets")
    acl.write_files(tmp_path, secrets, database=3)
    for server in server_binaries.values():
        options = (*IN_MEMORY, "--aclfile", str(tmp_path / acl.file_for(server)))
        with start(server, tmp_path / server.kind, free_port(), config=None, arguments=options) as running:
            url = with_login(running.url, "reader", secrets.secret("reader"))
            with connect_blocking(f"{url}/3") as client:
                assert client.ping()
            with connect_blocking(f"{url}/4") as client, pytest.raises(RedisRefused):
                client.ping()
    with pytest.raises(SettingsError, match="DATABASE"):
        acl._run(type("Given", (), {"database": "x", "folder": "", "secrets": ""})())
