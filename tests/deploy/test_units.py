"""The systemd units of deploy/host/systemd: what systemd says of them, and that they fit the services."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.run_plan import SERVICES
from tests.support import ROOT
from tests.test_readme import settings_of

UNITS = ROOT / "deploy" / "host" / "systemd"
NAMES = [service.name for service in SERVICES]
FACING_STRANGERS = {"physics", "broadcaster"}
MOST_EXPOSED = {True: 1.3, False: 1.1}
"""The highest score, of 10, for a service that faces strangers and for one that speaks to this machine alone
(`systemd-analyze security`, version 252; docs/security.md has them)."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine's folder with the units as they are installed."""
    made = tmp_path_factory.mktemp("root")
    shutil.copytree(UNITS, made / "etc" / "systemd" / "system")
    return made


def analyzed(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    if shutil.which("systemd-analyze") is None:
        pytest.skip("the units were NOT judged: there is no systemd-analyze on this machine")
    return subprocess.run(
        ["systemd-analyze", *arguments, f"--root={root}"], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_is_as_little_exposed_as_is_stated(root: Path, name: str) -> None:
    done = analyzed(root, "security", "--offline=true", "--no-pager", f"cottage@{name}.service")
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    score = float(found[1])
    assert score <= MOST_EXPOSED[name in FACING_STRANGERS]
    row = re.search(
        rf"^\| `cottage@{name}` \| ([\d.]+) \|", (ROOT / "docs" / "security.md").read_text(), re.MULTILINE
    )
    assert row is not None
    version = analyzed(root, "--version").stdout.split()[1]
    if version == "252":  # others judge a little differently
        assert float(row[1]) == score


@pytest.mark.parametrize("name", NAMES)
def test_systemd_understands_every_line(root: Path, name: str) -> None:
    done = analyzed(root, "verify", "--man=false", "--recursive-errors=no", f"cottage@{name}.service")
    # Nothing is installed in that folder: no program, no user.
    said = [
        line for line in done.stderr.splitlines() if not re.search(r"is not executable|Failed to (prepare|add)", line)
    ]
    assert [line for line in said if "Unknown" in line or "Failed to parse" in line or "ignoring" in line] == []


@pytest.mark.parametrize("name", NAMES)
def test_what_a_unit_sets_are_settings_of_its_service(name: str) -> None:
    texts = [(UNITS / "cottage@.service").read_text()]
    own = UNITS / f"cottage@{name}.service.d" / "own.conf"
    if own.exists():
        texts.append(own.read_text())
    lines = [line for text in texts for line in re.findall(r"^Environment=(.*)$", text, re.MULTILINE)]
    set_here = {word.partition("=")[0] for line in lines for word in line.split()} - {"PYTHONDONTWRITEBYTECODE"}
    kind = settings_of(name)
    assert set_here <= {kind.variable(field) for field in kind.model_fields}
    assert "COTTAGE_ENV=production" in texts[0]


def test_every_service_has_a_user_and_none_is_left_over() -> None:
    users = re.findall(r"^u cottage-(\w+) ", (UNITS / "sysusers.conf").read_text(), re.MULTILINE)
    assert users == NAMES
    folders = {path.name.partition("@")[2].partition(".")[0] for path in UNITS.glob("cottage@?*.service.d")}
    assert folders <= set(NAMES)
