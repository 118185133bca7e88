"""Logging of the processes with structlog: one JSON object per line on stdout, or colours on a terminal.

The runner calls `configure`. Each line has an event name and fields: `log.info("sampled", symbols=503, ms=41)`.
Records of the library `cottage` and of other packages come out in the same form.
"""

import json
import logging
import sys
from typing import Any

import orjson
import structlog

from cottage import log as library


def get_logger() -> Any:
    """A logger whose lines all have these fields."""
    return structlog.get_logger()


def configure(service: str, level: str = "info", style: str = "auto") -> None:
    """Set up logging of the whole process. `style`: auto, json or console."""
    console = style == "console" or (style == "auto" and sys.stdout.isatty())
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
        plain = structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        final = [plain]
    else:
        final = [traceback, structlog.processors.JSONRenderer(_to_json)]

    structlog.configure(
        processors=[*shared, *final],
        wrapper_class=structlog.make_filtering_bound_logger(severity),
        logger_factory=structlog.PrintLoggerFactory() if console else structlog.BytesLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
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
        return orjson.dumps(event, default=repr)
    except TypeError:
        return json.dumps({str(key): str(value) for key, value in event.items()}).encode()


def _as_text(renderer: structlog.typing.Processor) -> structlog.typing.Processor:
    def text(logger: Any, method: str, event: structlog.typing.EventDict) -> str:
        line = renderer(logger, method, event)
        return line.decode() if isinstance(line, bytes) else str(line)

    return text
