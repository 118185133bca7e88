"""Logs: one JSON object a line on stdout, colours on a terminal; third-party loggers too.

Event names plus fields: `log.info("state_written", symbols=503, ms=41)`.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from typing import Any

import orjson
import structlog

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
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder()],
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


class Throttled:
    """Logs an event at most once per `seconds` and key; the line then says how many it stands for.

    For what a hostile or broken peer can cause as often as it likes. Keys beyond `keys` share one place,
    so that memory stays bounded as well.
    """

    def __init__(
        self,
        log: Any,
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
