"""What a process prints, on its way to stdout and stderr. Printing never waits, never raises and never ends anything.

A pager that is not read on, a terminal that was closed, a full disk or a reader that went must not stop a service.
So the log (`common/logs.py`) and all that Python prints itself, tracebacks included, go through a bounded queue for
each of the two, and a thread of its own writes it. It writes again what could not be written, once a second: a disk
can heal. What does not fit into the queue is dropped and counted, and said where the lines are missing.

The descriptors stay blocking: other processes share the open files behind them, and the shell does.
"""

import atexit
import contextlib
import io
import os
import select
import signal
import sys
import threading
import time
from collections import deque
from typing import Any, TextIO

import structlog
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import REGISTRY, Collector

QUEUE_BYTES = 4 * 2**20
"""What may wait for each of the two: some 20,000 log lines."""
RETRY_SECONDS = 1.0
FLUSH_SECONDS = 1.0
"""How long the end of a process waits for its last lines to be written."""

log = structlog.get_logger()


class OutputQueue:
    """Lines for one file descriptor, which a daemon thread writes."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.dropped = 0
        """How many lines did not fit, since the start."""
        # Reentrant: a finalizer or a signal handler may print in the middle of a call.
        self._changed = threading.Condition(threading.RLock())
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        """Of the queue, with what is being written."""
        self._missing = 0
        """How many lines were dropped after those in the queue."""
        self._missing_since = ""
        """Why the first of these could not be written."""
        self._error = ""
        """Why the last try to write failed; empty if it did not."""
        self._failures = 0
        self._trying_since: float | None = None
        """When the write began that has not returned yet, by the monotonic clock."""
        self._given_up = False
        """Whether a flush has waited in vain for a write that has not returned since: the next one need not."""
        self._idle = False
        self._thread: threading.Thread | None = None

    def write(self, line: bytes) -> None:
        """Queue a line, with its newline. Once one was dropped, so are all that follow until the queue is written: so
        what is missing is missing in one place."""
        size = len(line)
        with self._changed:
            if self._missing or (self._bytes and self._bytes + size > QUEUE_BYTES):
                self._missing_since = self._missing_since or self._error or "it was not read in time"
                self._missing += 1
                self.dropped += 1
            else:
                self._lines.append(line)
                self._bytes += size
            if self._thread is None:
                self._start()
            elif self._idle:
                self._idle = False
                self._changed.notify_all()

    @property
    def problem(self) -> str | None:
        """Why lines have to wait; None if they do not."""
        since = self._trying_since
        stuck = since is not None and time.monotonic() - since > RETRY_SECONDS
        return self._error or ("nobody reads it" if stuck else None)

    def is_terminal(self) -> bool:
        return os.isatty(self.descriptor)

    def flush(self, until: float) -> None:
        """Wait until everything is written: no longer than `until` by the monotonic clock, nor beyond one more try
        that fails, and not at all if that was in vain before."""
        with self._changed:
            if self._given_up:
                return
            before = self._failures
            self._changed.notify_all()
            left = max(until - time.monotonic(), 0.0)
            self._changed.wait_for(lambda: not self._bytes or self._failures > before, left)
            self._given_up = bool(self._bytes) and self._failures == before

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"output-{self.descriptor}", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no more threads for now: the next line tries again
            self._thread = None

    def _run(self) -> None:
        # In the background of a terminal with `stty tostop` a write would stop the whole process.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        while True:
            lines = self._take()
            self._write(lines)
            self._written(len(lines))

    def _take(self) -> bytes:
        """The next lines, waited for: no more than a pipe takes as one, so that no other process's come between."""
        with self._changed:
            while not self._lines:
                self._idle = True
                self._changed.wait()
            self._idle = False
            taken = [self._lines.popleft()]
            room = select.PIPE_BUF - len(taken[0])
            while self._lines and len(self._lines[0]) <= room:
                room -= len(self._lines[0])
                taken.append(self._lines.popleft())
        return b"".join(taken)

    def _write(self, lines: bytes) -> None:
        rest = memoryview(lines)
        while rest:
            self._trying_since = self._trying_since or time.monotonic()
            try:
                rest = rest[os.write(self.descriptor, rest) :]
                self._error, self._trying_since, self._given_up = "", None, False
            except BlockingIOError:  # another process has made the shared open file non-blocking
                with contextlib.suppress(OSError):
                    select.select((), (self.descriptor,), ())
            except OSError as error:
                with self._changed:
                    self._error = error.strerror or str(error)
                    self._failures += 1
                    self._changed.notify_all()
                    self._changed.wait(RETRY_SECONDS)

    def _written(self, size: int) -> None:
        with self._changed:
            self._bytes -= size
            if self._bytes:
                return
            self._changed.notify_all()
            if self._missing:
                lines, reason = self._missing, self._missing_since
                self._missing, self._missing_since = 0, ""
                log.warning("log_lines_dropped", lines=lines, reason=reason)


class OutputStream(io.BufferedIOBase):
    """The binary file below `sys.stdout` or `sys.stderr` that puts what is printed into a queue."""

    def __init__(self, queue: OutputQueue, name: str) -> None:
        self._queue = queue
        self.name = name

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._queue.descriptor

    def isatty(self) -> bool:
        return self._queue.is_terminal()

    def write(self, text: Any) -> int:
        self._queue.write(bytes(text))
        return len(text)


class DroppedLines(Collector):
    """The metric of what both queues have dropped."""

    def collect(self) -> list[CounterMetricFamily]:
        return [
            CounterMetricFamily(
                "cottage_log_lines_dropped",
                "Lines for stdout and stderr that could not be written in time and were dropped.",
                value=status()["lines_dropped"],
            )
        ]


_queues: dict[str, OutputQueue] = {}
_texts: list[io.TextIOWrapper] = []


def own_streams() -> OutputQueue:
    """Send all that this process prints through queues, which are flushed when it ends. Idempotent. Returns stdout's.

    A process calls it first of all, by loading its settings. Who has replaced `sys.stdout` or `sys.stderr`, as a test
    runner does, keeps them.
    """
    if not _queues:
        _descriptor(sys.__stdin__, 0)
        _queues["stdout"] = OutputQueue(_descriptor(sys.__stdout__, 1))
        _queues["stderr"] = OutputQueue(_descriptor(sys.__stderr__, 2))
        atexit.register(flush)
        for name, queue in _queues.items():
            if getattr(sys, name) is getattr(sys, f"__{name}__"):
                stream = OutputStream(queue, f"<{name}>")
                text = io.TextIOWrapper(stream, "utf-8", "backslashreplace", line_buffering=True)
                _texts.append(text)
                setattr(sys, name, text)
    return _queues["stdout"]


def flush() -> None:
    """Wait for what was printed to be written, for FLUSH_SECONDS at most. To be called before `os._exit`."""
    for text in _texts:
        if not text.closed:
            text.flush()  # a line that has no end yet
    until = time.monotonic() + FLUSH_SECONDS
    for queue in _queues.values():
        queue.flush(until)


def status() -> dict[str, Any]:
    """What /status says of it: `problem` is why what is printed does not arrive, if it does not."""
    problems = [f"{name}: {queue.problem}" for name, queue in _queues.items() if queue.problem]
    return {"problem": "; ".join(problems) or None, "lines_dropped": sum(each.dropped for each in _queues.values())}


def _descriptor(stream: TextIO | None, number: int) -> int:
    """`number`, or if that was closed when the process started, a place holder that refuses every write: else
    a socket or a file that is opened later would get the number, and what is printed."""
    return number if stream is not None else os.open(os.devnull, os.O_RDONLY)


REGISTRY.register(DroppedLines())
