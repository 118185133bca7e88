"""The wheel in an empty environment, used as a stranger would: beside folders of the same names as ours."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import cottage
from tests.e2e.suite import Suite
from tests.packaging.environments import REQUIRED, Environment, snippets
from tests.support import eventually

pytestmark = pytest.mark.slow

PROGRAMS = [*snippets("README.md"), *snippets("docs/protocol.md"), *snippets("docs/running.md")]
ENDLESS = ("async for", "while True")
"""What follows for ever is run until it has printed of a symbol."""


def test_the_library_alone_is_installed(bare: Environment) -> None:
    ours = {path.name for path in bare.site.iterdir() if path.name not in ("__pycache__", "_virtualenv.py")}
    before = Environment(bare.site.parents[3] / "before")
    before.copy(*REQUIRED)
    theirs = {path.name for path in before.site.iterdir()}
    assert ours - theirs == {"cottage", f"curiosity_cottage-{cottage.__version__}.dist-info"}
    assert (bare.site / "cottage" / "py.typed").exists()
    assert {path.name for path in (bare.site / "cottage").glob("*.lua")} == {
        path.name for path in Path(cottage.__file__).parent.glob("*.lua")
    }


async def test_importing_it_changes_nothing_of_the_program(bare: Environment, home: Path) -> None:
    program = """
import logging, pkgutil, sys

import common, deploy, services, tests
assert common.MINE and deploy.MINE and services.MINE and tests.MINE

root = logging.getLogger()
before = (root.level, list(root.handlers), logging.getLogger("cottage").handlers)

import cottage
for name in cottage.__all__:
    getattr(cottage, name)
for module in pkgutil.walk_packages(cottage.__path__, "cottage."):
    if not module.name.startswith(("cottage.cli", "cottage.redis.fast_path", "cottage.record.compare")):
        __import__(module.name)

assert (root.level, list(root.handlers), logging.getLogger("cottage").handlers) == before
absent = ("pydantic", "pydantic_settings", "structlog", "prometheus_client", "uvloop", "numpy", "pandas", "hiredis")
assert not [name for name in absent if name in sys.modules], sys.modules.keys()
from importlib.metadata import version
assert version("curiosity-cottage") == cottage.__version__
"""
    assert await bare.run(program, home) == ""


async def test_without_pandas_it_says_what_to_install(bare: Environment, home: Path) -> None:
    program = """
from cottage import MissingExtra, Readings
try:
    Readings({}, (), complete=True).to_pandas()
except MissingExtra as error:
    print(error)
"""
    assert "pip install 'curiosity-cottage[pandas]'" in await bare.run(program, home)


async def test_the_programs_of_the_documents_run(bare: Environment, home: Path, running: Suite) -> None:
    bare.copy("pandas", "numpy", "python-dateutil", "six")
    for program in PROGRAMS:
        here = program.replace("redis://localhost:6379", running.redis_url)
        here = here.replace("ws://127.0.0.1:8765/ws", running.ws_url)
        assert here != program, f"it speaks to nobody of ours:\n{program}"
        printed = await bare.run(here, home, until="SPY" if any(word in program for word in ENDLESS) else None)
        assert printed


def test_the_command_is_there(bare: Environment, home: Path, running: Suite) -> None:
    """It states and probes with what the library requires, and names the extra for the rest."""

    def cottage_command(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(bare.python.with_name("cottage")), *arguments]
        return subprocess.run(command, cwd=home, env={}, capture_output=True, text=True, timeout=60)

    assert cottage_command("--version").stdout.split()[-1] == cottage.__version__
    state = cottage_command("state", "SPY", "--redis-url", running.redis_url)
    assert json.loads(state.stdout)["symbol"] == "SPY", state.stderr
    probe = cottage_command("probe", "--url", running.ws_url)
    assert (probe.returncode, probe.stderr) == (0, "")
    watch = cottage_command("watch", "--once", "--url", running.ws_url)
    assert watch.returncode == 2
    assert "pip install 'curiosity-cottage[terminal]'" in watch.stderr


async def test_what_was_recorded_is_told_without_any_extra(bare: Environment, home: Path, running: Suite) -> None:
    command = [str(bare.python.with_name("cottage")), "history", "SPY", "--last", "1m", "--url", running.api_url]

    def told() -> str:
        done = subprocess.run(command, cwd=home, env={}, capture_output=True, text=True, timeout=60)
        return done.stdout if done.returncode == 0 else ""

    printed = await eventually(told, timeout=30.0)
    assert {json.loads(line)["symbol"] for line in printed.splitlines()} == {"SPY"}


def test_a_type_checker_believes_them(bare: Environment, home: Path) -> None:
    for number, program in enumerate(PROGRAMS):
        (home / f"program_{number}.py").write_text(program)
    files = sorted(path.name for path in home.glob("program_*.py"))
    assert len(files) >= 4
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(bare.python), *files]
    checked = subprocess.run(command, cwd=home, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
