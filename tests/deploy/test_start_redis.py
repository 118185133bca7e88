"""The script that starts Redis in its container, with the servers of this machine."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cottage.errors import RedisRefused
from cottage.redis import connect_blocking
from cottage.secret_values import secret_of
from cottage.urls import with_login
from deploy import acl
from deploy.redis_server import REDIS_CONF, Server, answers, free_port
from deploy.secret_folder import SecretFolder
from tests.conftest import KINDS
from tests.support import IN_MEMORY, ROOT

PASSWORD = 'a "quoted" \\ $PASSWORD'


def command(port: int, folder: Path, conf: Path = REDIS_CONF) -> list[str]:
    options = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), *IN_MEMORY]
    return ["sh", str(ROOT / "deploy/start_redis.sh"), str(conf), *options]


@contextmanager
def started(server: Server, folder: Path, **environment: str) -> Iterator[tuple[str, int]]:
    """The URL and the process id of a server that the script has started."""
    port = free_port()
    process = subprocess.Popen(
        command(port, folder),
        env={"PATH": os.environ["PATH"], "REDIS_SERVER": str(server.path), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        deadline = time.monotonic() + 30
        while not answers(port):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}", process.pid
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def refused(folder: Path, environment: dict[str, str], conf: Path = REDIS_CONF) -> str:
    """What the script says that starts nothing."""
    done = subprocess.run(
        command(1, folder, conf),
        env={"PATH": os.environ["PATH"], "REDIS_SERVER": "false", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done
    return done.stderr


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, server_binaries: dict[str, Server]) -> Server:
    if request.param not in server_binaries:
        pytest.skip(f"no {request.param}-server on this machine")
    return server_binaries[request.param]


def serves_strangers(url: str) -> bool:
    with connect_blocking(url) as client:
        try:
            return bool(client.ping())
        except RedisRefused:
            return False


def test_without_a_password_it_serves_all(server: Server, tmp_path: Path) -> None:
    with started(server, tmp_path, REDIS_PASSWORD="", REDIS_ACL_FILE="") as (url, _pid):
        assert serves_strangers(url)


@pytest.mark.parametrize("by_file", [False, True])
def test_requirepass_alone_works(server: Server, tmp_path: Path, by_file: bool) -> None:
    (tmp_path / "secret").write_text(PASSWORD + "\n")
    given = {"REDIS_PASSWORD_FILE": str(tmp_path / "secret")} if by_file else {"REDIS_PASSWORD": PASSWORD}
    with started(server, tmp_path, **given) as (url, pid):
        assert not serves_strangers(url)
        with connect_blocking(with_login(url, "", PASSWORD)) as client:
            assert client.set("a", "b")
        assert b"PASSWORD" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert b"quoted" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_a_file_is_read_as_the_services_read_it(server: Server, tmp_path: Path) -> None:
    """One of Windows too: its newline is no part of the password."""
    path = tmp_path / "secret"
    path.write_bytes(b"s3cret-\xc3\xbc\r\n")
    with started(server, tmp_path, REDIS_PASSWORD_FILE=str(path)) as (url, _pid):
        password = secret_of({"REDIS_PASSWORD_FILE": str(path)}, "REDIS_PASSWORD") or ""
        with connect_blocking(with_login(url, "", password)) as client:
            assert client.ping()


def test_an_acl_file_alone_works(server: Server, tmp_path: Path) -> None:
    secrets = SecretFolder(tmp_path / "secrets")
    acl.write_files(tmp_path, secrets)
    with started(server, tmp_path, REDIS_ACL_FILE=str(tmp_path / acl.file_for(server))) as (url, _pid):
        assert not serves_strangers(url)
        with connect_blocking(with_login(url, "health", secrets.secret("health"))) as client:
            assert client.ping()


def test_both_together_are_refused(tmp_path: Path) -> None:
    (tmp_path / "users.acl").write_text("user default off\n")
    (tmp_path / "secret").write_text("secret\n")
    users = str(tmp_path / "users.acl")
    for given in ({"REDIS_PASSWORD": "secret"}, {"REDIS_PASSWORD_FILE": str(tmp_path / "secret")}):
        line = refused(tmp_path, {"REDIS_ACL_FILE": users, **given})
        assert "both set" in line
        assert "secret;" not in line
    conf = tmp_path / "redis.conf"
    conf.write_text('requirepass "secret"\n')
    assert "both set" in refused(tmp_path, {"REDIS_ACL_FILE": users}, conf)
    conf.write_text(f"aclfile {users}\n")
    assert "both set" in refused(tmp_path, {"REDIS_PASSWORD": "secret"}, conf)


def test_what_is_no_password_and_no_acl_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "users.acl").write_text("user health on nopass +ping\nuser default off\n")
    (tmp_path / "empty").write_text("\n")
    assert "user default off" in refused(tmp_path, {"REDIS_ACL_FILE": str(tmp_path / "users.acl")})
    assert "cannot be read" in refused(tmp_path, {"REDIS_ACL_FILE": str(tmp_path / "none")})
    assert "is empty" in refused(tmp_path, {"REDIS_PASSWORD_FILE": str(tmp_path / "empty")})
    assert "cannot be read" in refused(tmp_path, {"REDIS_PASSWORD_FILE": str(tmp_path / "none")})
    (tmp_path / "marked").write_text("s3cret\n", encoding="utf-8-sig")
    line = refused(tmp_path, {"REDIS_PASSWORD_FILE": str(tmp_path / "marked")})
    assert "byte order mark" in line
    assert "s3cret" not in line
    both = {"REDIS_PASSWORD": "a", "REDIS_PASSWORD_FILE": str(tmp_path / "empty")}
    assert "both set" in refused(tmp_path, both)
