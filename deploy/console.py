"""What the supervisor says: log lines that never end it.

A terminal can be closed and a pipe can lose its reader (`make run | head`). Then nobody is left to watch,
and the services could not log either: everything is ended as if the terminal had said so itself.
"""

import os
import signal
from typing import Any

from common import logs

log = logs.get_logger()


def say_event(level: str, event: str, **fields: Any) -> None:
    try:
        getattr(log, level)(event, **fields)
    except OSError:
        _nobody_listens()


def say_plain(text: str) -> None:
    """To a person at a terminal."""
    try:
        print(text, flush=True)
    except OSError:
        _nobody_listens()


def mute() -> None:
    """From now on everything that is said goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _nobody_listens() -> None:
    mute()
    os.kill(os.getpid(), signal.SIGHUP)
