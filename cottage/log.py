"""The library's logging: event names with fields, through the standard library's `logging`.

Its loggers are below the logger `cottage`, and it configures nothing. In a program that configures nothing either,
warnings read `redis_lost error='…'`; our processes turn the same events into JSON lines (`common/logs.py`).
"""

import logging
import time
from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol


class LogEvent:
    """The message of a log record: the name of an event and its fields."""

    __slots__ = ("fields", "name")

    def __init__(self, name: str, fields: dict[str, Any]) -> None:
        self.name = name
        self.fields = fields

    def __str__(self) -> str:
        shown = {name: value.value if isinstance(value, Enum) else value for name, value in self.fields.items()}
        return " ".join([self.name, *(f"{name}={value!r}" for name, value in shown.items())])


class EventLogger:
    """Logs events on one logger of the standard library. Made by `get_logger`."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, event: str, **fields: Any) -> None:
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._log(logging.WARNING, event, fields)

    def _log(self, level: int, event: str, fields: dict[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, LogEvent(event, fields))


def get_logger(name: str) -> EventLogger:
    """The logger of a module of the library: `get_logger(__name__)`."""
    return EventLogger(logging.getLogger(name))


class WarningLogger(Protocol):
    """The logger that `Throttled` uses: one of the library or of a process."""

    def warning(self, event: str, **fields: Any) -> Any: ...


class Throttled:
    """Logs an event at most once per `seconds` and key; the line then says how many it stands for.

    For what a hostile or broken peer can cause as often as it likes. Keys beyond `keys` share one place,
    so that memory stays bounded as well.
    """

    def __init__(
        self,
        log: WarningLogger,
        seconds: float = 10.0,
        keys: int = 256,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._seconds = seconds
        self._keys = keys
        self._monotonic = monotonic
        self._seen: dict[str, tuple[float, int]] = {}

    def warning(self, event: str, key: str, **fields: Any) -> None:
        place = f"{event} {key}"
        now = self._monotonic()
        if place not in self._seen and len(self._seen) >= self._keys:
            self._seen = {name: seen for name, seen in self._seen.items() if now - seen[0] < self._seconds}
            if len(self._seen) >= self._keys:
                place = event
        last, held_back = self._seen.get(place, (-self._seconds, 0))
        if now - last < self._seconds:
            self._seen[place] = (last, held_back + 1)
            return
        self._seen[place] = (now, 0)
        self._log.warning(event, times=held_back + 1, **fields)
