"""Logging of the processes with structlog: one JSON object per line on stdout, or colours on a terminal.

The runner calls `configure`. Each line has an event name and fields: `log.info("sampled", symbols=503, ms=41)`.
Records of the library `cottage` and of other packages come out in the same form. A line is queued, and never waits or
raises (`common/output.py`).
"""

import json
import logging
from collections.abc import Mapping
from enum import Enum
from typing import Any

import orjson
import structlog

from common.output import OutputQueue, own_streams
from cottage import log as library

MOST_LEVELS = 8
"""How deep lists and objects in a field are shown as such."""
MOST_NUMBER = 2**63
"""Larger numbers are strings, since not every reader of JSON has such integers; so are infinite ones and NaN."""


class QueueLogger:
    """The end of structlog's chain: puts a rendered line into a queue, as one piece with its newline."""

    def __init__(self, queue: OutputQueue) -> None:
        self._write = queue.write

    def msg(self, line: bytes) -> None:
        self._write(line + b"\n")

    debug = info = warning = error = msg


class QueueHandler(logging.Handler):
    """Puts the records of the standard library's logging into the same queue."""

    def __init__(self, queue: OutputQueue) -> None:
        super().__init__()
        self._write = queue.write

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write(self.format(record).encode(errors="backslashreplace") + b"\n")
        except Exception:  # noqa: BLE001  # a message that does not fit its arguments; logging has a way to say so
            self.handleError(record)


def get_logger() -> Any:
    """A logger whose lines all have these fields."""
    return structlog.get_logger()


def configure(service: str, level: str = "info", style: str = "auto") -> None:
    """Set up logging of the whole process, and what else it prints. `style`: auto, json or console."""
    output = own_streams()
    console = style == "console" or (style == "auto" and output.is_terminal())
    severity = getattr(logging, level.upper())

    def add_service(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event.setdefault("service", service)
        return event

    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        # On a terminal the local clock is what a person reads.
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
        add_service,
    ]
    # Local variables stay out of tracebacks: a password may be among them.
    traceback = structlog.processors.ExceptionRenderer(
        structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    )
    final: list[structlog.typing.Processor]
    if console:
        renderer = structlog.dev.ConsoleRenderer(
            colors=output.is_terminal(), exception_formatter=structlog.dev.plain_traceback
        )
        final = [_plain_fields, _as_bytes(renderer)]
    else:
        final = [traceback, structlog.processors.JSONRenderer(_to_json)]

    structlog.configure(
        processors=[*shared, *final],
        wrapper_class=structlog.make_filtering_bound_logger(severity),
        logger_factory=lambda *_arguments: QueueLogger(output),
        cache_logger_on_first_use=True,
    )
    handler = QueueHandler(output)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _library_event, structlog.stdlib.ExtraAdder()],
            processors=[remove_meta, *final[:-1], _as_text(final[-1])],
        )
    )
    logging.captureWarnings(True)
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(max(severity, logging.WARNING))  # of other packages only warnings
    logging.getLogger("cottage").setLevel(severity)


def _library_event(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Give events of the library `cottage` the form of a service's own; add the logger's name to other records."""
    message = event["_record"].msg
    if isinstance(message, library.LogEvent):
        return {**event, **message.fields, "event": message.name}
    return structlog.stdlib.add_logger_name(logger, method, event)


def _to_json(event: Any, **_options: Any) -> bytes:
    # orjson refuses integers over 64 bits and half surrogate pairs; a log line must never raise.
    try:
        return orjson.dumps(event, default=_plain)
    except TypeError:
        return json.dumps(_plain(event)).encode()


def _plain_fields(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {
        key: value if type(value) in (str, float) or key == "exc_info" else _plain(value)
        for key, value in event.items()
    }


def _plain(value: Any, levels: int = MOST_LEVELS) -> Any:
    """`value` as JSON has it: an enum's member as its value, and what JSON does not know as its repr."""
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, str) or (isinstance(value, int | float) and abs(value) < MOST_NUMBER):
        return value
    if isinstance(value, Mapping) and levels:
        return {str(_plain(key)): _plain(each, levels - 1) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and levels:
        return [_plain(each, levels - 1) for each in value]
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  # it may be of any kind
        return f"<{type(value).__name__} without a repr>"


def _as_bytes(renderer: structlog.typing.Processor) -> structlog.typing.Processor:
    def encoded(logger: Any, method: str, event: structlog.typing.EventDict) -> bytes:
        return str(renderer(logger, method, event)).encode(errors="backslashreplace")

    return encoded


def _as_text(renderer: structlog.typing.Processor) -> structlog.typing.Processor:
    def text(logger: Any, method: str, event: structlog.typing.EventDict) -> str:
        line = renderer(logger, method, event)
        assert isinstance(line, bytes)
        return line.decode()

    return text
