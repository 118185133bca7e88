"""What a person types."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT

TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def make(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    kept = {"PATH": "/usr/local/bin:/usr/bin:/bin", **environment}
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_make_alone_lists_every_target() -> None:
    listed = set(re.findall(r"^  make ([a-z-]+) ", make().stdout, re.MULTILINE))
    assert {"install", "run", "test", "test-all", "flush", "import"} <= listed
    assert listed == TARGETS
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert set(phony[1].replace("\\", "").split()) == TARGETS


def test_variables_of_run_become_the_markets() -> None:
    recipe = make("-n", "run", "SOURCE=replay", "FILE=a b'c.csv", "SPEED=10", SEED="no, from the environment")
    assert 'MARKET_SOURCE="$SOURCE" MARKET_FILE="$FILE" MARKET_SPEED="$SPEED"' in re.sub(" +", " ", recipe.stdout)
    assert "MARKET_SEED" not in recipe.stdout
    assert "FRESH" not in recipe.stdout
    assert 'FRESH="$FRESH"' in make("-n", "run", "FRESH=1").stdout


@pytest.mark.parametrize("empty", ["VENV=", "VENV= "])
def test_an_empty_variable_of_make_is_unset(empty: str) -> None:
    assert "exec .venv/bin/python -m deploy.run" in make("-n", "run", empty).stdout


def install(what: str = "run", **environment: str) -> "subprocess.CompletedProcess[str]":
    path = environment.pop("PATH", "/usr/local/bin:/usr/bin:/bin")
    return subprocess.run(
        ["/bin/sh", str(ROOT / "deploy/install.sh"), what],
        env={"PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH with the programs of a shell and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("dirname", "cat", "cksum", "ls", "rm"):
        (folder / tool).symlink_to(next(p for p in (Path("/usr/bin") / tool, Path("/bin") / tool) if p.exists()))
    return folder


def python(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_without_a_python_that_fits_it_says_what_to_do(tools: Path, tmp_path: Path) -> None:
    python(tools, "python3", "exit 1")  # 3.9, say
    python(tools, "python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127")
    done = install(PATH=str(tools), VENV=str(tmp_path / "venv"))
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "make install: needs Python 3.11, 3.12 or 3.13 and found none on the PATH; "
        "install one, or name it with PYTHON=/path/to/python3"
    ]


def test_without_ensurepip_it_names_debians_package(tools: Path, tmp_path: Path) -> None:
    python(tools, "python3.12", 'case "$2" in *ensurepip*) exit 1;; *) echo 3.12;; esac')
    done = install(PATH=str(tools), VENV=str(tmp_path / "venv"))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "apt-get install python3.12-venv" in done.stderr


def test_a_named_python_that_does_not_fit_is_refused(tools: Path, tmp_path: Path) -> None:
    done = install(PATH=str(tools), VENV=str(tmp_path / "venv"), PYTHON="python2")
    assert done.returncode == 2
    assert "PYTHON=python2 is no Python 3.11, 3.12 or 3.13" in done.stderr


def test_a_folder_that_is_no_environment_is_never_cleared(tools: Path, tmp_path: Path) -> None:
    python(tools, "python3", "echo 3.13")
    (tmp_path / "mine.txt").touch()
    done = install(PATH=str(tools), VENV=str(tmp_path))
    assert done.returncode == 2
    assert "is no virtual environment" in done.stderr
    assert (tmp_path / "mine.txt").exists()


@pytest.mark.parametrize(
    ("lock", "what", "enough"),
    [
        ("requirements.lock", "run", True),
        ("requirements.lock", "dev", False),
        ("requirements-dev.lock", "run", True),
        ("requirements-dev.lock", "dev", True),
    ],
)
def test_an_environment_that_is_up_to_date_is_left_alone(
    tools: Path, tmp_path: Path, lock: str, what: str, enough: bool
) -> None:
    """No pip, no network: only a stamp that names the lock and the Python."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    python(venv / "bin", "python", 'case "$2" in *version_info*) echo 3.13;; *) exit 1;; esac')
    (venv / "pyvenv.cfg").touch()
    checksum = subprocess.run(
        f"cksum < {ROOT}/{lock}", shell=True, capture_output=True, text=True, check=True
    ).stdout.strip()
    (venv / ".installed").write_text(f"python 3.13 lock {checksum}\n")
    done = install(what, VENV=str(venv), PATH=str(tools))
    assert (done.returncode == 0) == enough
    assert done.stdout == ""
    (venv / ".installed").write_text("python 3.13 lock 1 2\n")
    assert install(what, VENV=str(venv), PATH=str(tools)).returncode != 0
