"""Logs: one JSON object a line on stdout, colours on a terminal; third-party loggers too.

Event names plus fields: `log.info("state_written", symbols=503, ms=41)`.
"""

import json
import logging
import sys
import time
from typing import Any

import orjson
import structlog

from cottage import log as library

BoundLogger = structlog.stdlib.BoundLogger


def get_logger(**fields: Any) -> Any:
    return structlog.get_logger(**fields)


def configure(service: str, level: str = "info", style: str = "auto") -> None:
    """Set up logging of the whole process. `style`: auto, json or console."""
    console = style == "console" or (style == "auto" and sys.stdout.isatty())
    severity = getattr(logging, level.upper())

    def add_service(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event.setdefault("service", service)
        return event

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_service,
    ]
    # Local variables stay out of tracebacks: a password may be among them.
    traceback = structlog.processors.ExceptionRenderer(
        structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    )
    final: list[structlog.typing.Processor]
    if console:
        plain = structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        final = [_short_time, plain]
    else:
        final = [traceback, structlog.processors.JSONRenderer(_to_json)]

    structlog.configure(
        processors=[*shared, *final],
        wrapper_class=structlog.make_filtering_bound_logger(severity),
        logger_factory=structlog.PrintLoggerFactory() if console else structlog.BytesLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _library_event, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *final[:-1],
                _as_text(final[-1]),
            ],
        )
    )
    logging.captureWarnings(True)
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(max(severity, logging.WARNING))  # a library's chatter is not ours to repeat
    logging.getLogger("cottage").setLevel(severity)  # ours is


def _library_event(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """An event of `cottage` reads like one of our own; of another library's record its logger is named."""
    message = event["_record"].msg
    if isinstance(message, library.LogEvent):
        return {**event, **message.fields, "event": message.name}
    return structlog.stdlib.add_logger_name(logger, method, event)


def _short_time(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """On a terminal the local clock is what a person reads."""
    event["timestamp"] = time.strftime("%H:%M:%S")
    return event


def _to_json(event: Any, **_options: Any) -> bytes:
    # An integer over 64 bits and half of a surrogate pair are beyond orjson; a log line must never be what fails.
    try:
        return orjson.dumps(event, default=repr)
    except TypeError:
        return json.dumps({str(key): str(value) for key, value in event.items()}).encode()


def _as_text(renderer: structlog.typing.Processor) -> structlog.typing.Processor:
    def text(logger: Any, method: str, event: structlog.typing.EventDict) -> str:
        line = renderer(logger, method, event)
        return line.decode() if isinstance(line, bytes) else str(line)

    return text
