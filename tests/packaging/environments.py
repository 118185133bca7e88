"""The wheel of this repository, and environments that it is installed into."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from tests.support import ROOT

REQUIRED = ("orjson", "redis", "websockets")
QUIET = ("--quiet", "--disable-pip-version-check", "--no-input")


def build_wheel(folder: Path) -> Path:
    """Built from a copy of the sources, so that nothing is left beside them; without the network."""
    source = folder / "source"
    shutil.copytree(ROOT / "cottage", source / "cottage", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("common", "services", "deploy"):  # must not come along
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    wheels = folder / "wheels"
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(wheels), str(source))
    (wheel,) = wheels.iterdir()
    return wheel


def pip(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", *arguments, *QUIET], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class Environment:
    """A virtual environment outside the repository."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        self.python = folder / "bin" / "python"
        self.site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"

    def install(self, *arguments: str) -> None:
        pip("--python", str(self.python), "install", *arguments)

    def copy(self, *distributions: str) -> None:
        """Put in what this very interpreter has of these: their files alone, without the network."""
        for name in distributions:
            for file in metadata.files(name) or ():
                if not file.parts[0].startswith("..") and "__pycache__" not in file.parts:
                    target = self.site / file
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(str(file.locate()), target)

    async def run(
        self,
        program: str,
        cwd: Path,
        arguments: Sequence[str] = (),
        until: str | None = None,
        timeout: float = 60.0,
    ) -> str:
        """What a program prints, run to its end, or until it has printed a line that `until` matches."""
        file = cwd / "program.py"
        file.write_text(program)
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        process = await asyncio.create_subprocess_exec(
            self.python,
            "-W",
            "error",
            file,
            *arguments,
            cwd=cwd,
            env={**kept, "PYTHONUNBUFFERED": "1"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdout is not None
        printed = ""
        try:
            async with asyncio.timeout(timeout):
                while line := (await process.stdout.readline()).decode():
                    printed += line
                    if until is not None and re.search(until, line):
                        return printed
                status = await process.wait()
        except TimeoutError:
            raise AssertionError(f"not done after {timeout:g} s, having printed:\n{printed}") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert status == 0, printed
        assert until is None, f"it ended without {until}:\n{printed}"
        return printed


def snippets(document: str) -> list[str]:
    """The Python programs of a document of this repository."""
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)
