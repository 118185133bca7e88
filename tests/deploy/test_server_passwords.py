"""`requirepass` and an ACL file exclude one another: `make run` refuses both."""

import subprocess
import sys
from pathlib import Path

import pytest

from cottage.errors import SettingsError
from deploy.redis_server import REDIS_CONF
from deploy.server_passwords import check_passwords
from tests.support import ROOT

REFUSED = [
    "requirepass secret\naclfile users.acl\n",
    'ACLFILE "users.acl"\n  RequirePass "secret"\n',
    "requirepass secret\nuser health on nopass +ping\n",
    "requirepass secret\ninclude more.conf\n",
]
TAKEN = [
    "requirepass secret\n",
    "aclfile users.acl\n",
    'requirepass ""\naclfile users.acl\n',
    "#requirepass secret\naclfile users.acl\n",
    "requirepass secret\nunixsocket user\n",
    "",
]


@pytest.mark.parametrize("text", REFUSED)
def test_both_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text("aclfile users.acl\n")
    (tmp_path / "redis.conf").write_text(text)
    with pytest.raises(SettingsError, match="requirepass") as caught:
        check_passwords(tmp_path / "redis.conf")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", TAKEN)
def test_one_of_them_is_taken(text: str, tmp_path: Path) -> None:
    (tmp_path / "redis.conf").write_text(text)
    check_passwords(tmp_path / "redis.conf")


def test_ours_has_none() -> None:
    check_passwords(REDIS_CONF)


def test_files_that_include_one_another_end(tmp_path: Path) -> None:
    (tmp_path / "redis.conf").write_text("include redis.conf\n")
    with pytest.raises(SettingsError, match="includes itself"):
        check_passwords(tmp_path / "redis.conf")


@pytest.mark.parametrize(("text", "refused"), [(REFUSED[0], True), (TAKEN[0], False)])
def test_make_run_refuses_both_before_anything_is_started(text: str, refused: bool, tmp_path: Path) -> None:
    conf = tmp_path / "redis.conf"
    conf.write_text(text)
    code = (
        "import asyncio, pathlib, sys\n"
        "from deploy import suite\n"
        "from deploy.redis_server import find_server\n"
        "suite.REDIS_CONF = pathlib.Path(sys.argv[1])\n"
        "suite._redis(find_server(), 1, pathlib.Path(sys.argv[2]), 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, conf, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ("sets requirepass" in done.stderr) is refused
    assert (done.returncode != 0) is refused
