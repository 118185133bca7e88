"""Has rows sorted by a child process."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

import cottage
from cottage.errors import CottageError

LONGEST_SECONDS = 1800.0
"""A child that takes longer hangs, and is killed."""
_ROOT = Path(cottage.__file__).resolve().parent.parent


class CompactionFailed(CottageError):
    """A child did not do its job. What it was to sort is as before."""


def sort_in_child(inputs: Mapping[str, Sequence[Path]], folder: Path) -> list[dict[str, Any]]:
    """Have the rows of each table's write-ahead files or Parquet files sorted into a file an hour, in `folder`, which
    is made anew. Returns when those are on the disk: by table what compaction.sort_table says. Raises
    CompactionFailed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    job = {"inputs": {table: [str(path) for path in paths] for table, paths in inputs.items()}, "folder": str(folder)}
    return _answers(orjson.dumps(job) + b"\n")


def _answers(request: bytes) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "cottage.record.compaction"]
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    with tempfile.TemporaryFile() as errors:
        try:
            with subprocess.Popen(  # noqa: S603 - this Python
                command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment
            ) as child:
                assert child.stdin is not None
                assert child.stdout is not None
                timer = threading.Timer(LONGEST_SECONDS, child.kill)
                timer.start()
                try:
                    with suppress(BrokenPipeError):  # how it ended is said below
                        child.stdin.write(request)  # it stays open: the child ends when this process does
                    content = child.stdout.read()
                    child.wait()
                finally:
                    timer.cancel()
        except OSError as error:
            raise CompactionFailed(f"the child process: {error}") from error
        if child.returncode:
            errors.seek(0)
            *_, reason = errors.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
            raise CompactionFailed(f"the child process ended with {child.returncode}: {reason[:400]}")
    return [orjson.loads(line) for line in content.splitlines()]
