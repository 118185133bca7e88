"""Why a process ends, in the file that TERMINATION_LOG names, for whoever started it: `make run`, or Kubernetes.

Its last log line says it too. But that is one line among those of all processes, and a supervisor would have to read
the output of each to find it. Kubernetes reads `/dev/termination-log`.
"""

import contextlib
import os
from pathlib import Path

VARIABLE = "TERMINATION_LOG"


def report(reason: str) -> None:
    """Say why this process is about to end by itself; nothing happens without the variable, or where that file cannot
    be written."""
    if path := os.environ.get(VARIABLE):
        with contextlib.suppress(OSError):
            Path(path).write_text(f"{reason}\n")
