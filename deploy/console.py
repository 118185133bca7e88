"""The output of `make run`: log lines and text for the terminal. The supervisor and its modules use it.

A terminal can be closed, and a pipe can lose its reader (`make run | head`). The services could not write their logs
either then, so everything is stopped as if the terminal had sent SIGHUP.
"""

import os
import signal
from typing import Any

from common import logs

log = logs.get_logger()


def log_event(level: str, event: str, **fields: Any) -> None:
    """Log an event of the supervisor."""
    try:
        getattr(log, level)(event, **fields)
    except OSError:
        _output_lost()


def print_line(text: str) -> None:
    """Print text for the person at the terminal."""
    try:
        print(text, flush=True)
    except OSError:
        _output_lost()


def mute() -> None:
    """Discard all output from now on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _output_lost() -> None:
    mute()
    os.kill(os.getpid(), signal.SIGHUP)
