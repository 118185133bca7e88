"""The output of `make run`: log lines and text for the terminal. The supervisor and its modules use it."""

import sys
from typing import Any

from common import logs

log = logs.get_logger()


def log_event(level: str, event: str, **fields: Any) -> None:
    """Log an event of the supervisor."""
    getattr(log, level)(event, **fields)


def print_line(text: str) -> None:
    """Print text for the person at the terminal."""
    sys.stdout.write(f"{text}\n")
