"""What `make run` installs on a fresh machine is all that running takes, and nothing of what developing does."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.slow

PROGRAM = """
import importlib.util, pkgutil
import common, cottage, deploy, services

for package in (common, cottage, deploy, services):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            __import__(module.name)

from deploy.redis_server import find_servers
assert any(server.embedded for server in find_servers()), "it brings a Redis server"
print([name for name in ("pytest", "mypy", "ruff", "pandas", "playwright", "uv") if importlib.util.find_spec(name)])
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clone")
    for name in ("common", "cottage", "deploy", "services"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, folder)
    return folder


def make(clone: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV" and not name.startswith("COV")}
    command = ["make", "--no-print-directory", *arguments, f"PYTHON={sys.executable}"]
    return subprocess.run(command, cwd=clone, env=kept, capture_output=True, text=True, check=False, timeout=280)


def test_it_says_how_far_it_is_and_all_of_the_suite_can_be_imported(clone: Path) -> None:
    made = make(clone, "install")
    assert made.returncode == 0, made.stdout + made.stderr
    first, *packages, installing, last = made.stdout.splitlines()
    assert first.startswith("make install: making .venv with Python 3.")
    assert first.endswith("from requirements.lock")
    assert len(packages) > 20
    assert [line.split(" of at most ")[0].strip() for line in packages] == [str(n + 1) for n in range(len(packages))]
    assert (installing, last.startswith("make install: .venv is ready (")) == ("  installing them", True)

    done = subprocess.run(
        [clone / ".venv/bin/python", "-c", PROGRAM],
        cwd=clone,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    assert "is up to date" in make(clone, "install").stdout


def test_where_pip_fails_its_own_words_are_shown(clone: Path) -> None:
    lock = (clone / "requirements.lock").read_text()
    idna = next(line for line in lock.splitlines() if line.startswith("idna=="))
    (clone / "requirements.lock").write_text(f"{idna}\n    --hash=sha256:{'0' * 64}\n")
    made = make(clone, "install", "VENV=.venv-broken")
    (clone / "requirements.lock").write_text(lock)
    assert made.returncode != 0
    assert "hash" in made.stdout.lower()
    assert "is ready" not in made.stdout
    assert "is up to date" not in make(clone, "install", "VENV=.venv-broken").stdout
