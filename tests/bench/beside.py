"""An older commit of this repository, to measure beside this one: `--beside` of bench-feynman and bench-tick."""

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.telling import say
from tests.support import ROOT


def add_arguments(parser: argparse.ArgumentParser, pairs: int) -> None:
    parser.add_argument("--beside", metavar="COMMIT", help="measure that one too, in turn with what is here")
    parser.add_argument("--pairs", type=int, default=pairs, help="how often each of the two is measured then")


@contextmanager
def checkout(commit: str) -> Iterator[Path | None]:
    """A folder with that commit's files, until the end of the block. None, which is said, where the history here does
    not have it."""
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / "files.tar"
        asked = ["git", "-C", str(ROOT), "archive", f"--output={packed}", commit]
        try:
            subprocess.run(asked, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            say(f"the history here has no {commit} to measure beside")
            yield None
            return
        root = Path(folder) / "old"
        root.mkdir()
        subprocess.run(["tar", "-xf", str(packed), "-C", str(root)], check=True)
        yield root
