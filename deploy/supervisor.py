"""The supervisor of `make run` keeps child processes running, and stops all of them at the end.

Each child has a session and process group of its own, so Ctrl-C on the terminal reaches only the supervisor, which
stops them one after another: SIGTERM to each in order, a common deadline, then SIGKILL to the groups of those that
still run. A child that ends without having been asked to is logged and started again, whatever its exit status. Only
status 2 cannot heal by itself: then all is over, and `failure` says why.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common import logs, termination
from cottage.backoff import Backoff
from cottage.clock import Clock
from cottage.errors import CottageError, SettingsError
from cottage.parent_death import dying_with_parent

STABLE_SECONDS = 10.0  # a child that ran for so long is started again without a growing pause
STOP_STEP_SECONDS = 0.4  # how long one may take to end before the next gets SIGTERM as well
STOP_SECONDS = 8.5  # a service needs at most 8
STOP_LAST_SECONDS = 10.0  # for Redis, which is stopped last; counted from the first SIGTERM
FORCED_SECONDS = 2.0  # for Redis to write its file after a forced stop
BAD_SETTING = 2  # the exit status of a service that cannot work as it is set
MAX_START_DEATHS = 3  # during the start; then the whole start has failed

log = logs.get_logger()


@dataclass(eq=False, slots=True)
class Child:
    """A process to keep running."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    not_ready: Callable[[], Awaitable[str | None]]
    """Why it is not ready yet; None if it is."""
    log_file: Callable[[], Path] | None = None
    """Returns the file for the output of a new process; by default it goes to the supervisor's own output."""
    reason_file: Path | None = None
    """Where it says why it ends by itself (common/termination.py)."""
    inherited: Sequence[int] = ()
    """File descriptors that it inherits."""
    process: asyncio.subprocess.Process | None = None
    log: Path | None = None
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it will not be started again."""

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    def kill_group(self) -> None:
        """Kill the process and everything that it started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says EPERM of a zombie
                os.killpg(self.process.pid, signal.SIGKILL)

    async def start(self) -> asyncio.subprocess.Process:
        self.log = self.log_file() if self.log_file else None
        environment = dict(self.environment)
        if self.reason_file is not None:
            self.reason_file.unlink(missing_ok=True)
            environment[termination.VARIABLE] = str(self.reason_file.resolve())
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(self.log.open("wb")) if self.log else None
            self.process = await asyncio.create_subprocess_exec(
                *dying_with_parent(self.command, os.getpid()),
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT if output else None,
                start_new_session=True,
                pass_fds=self.inherited,
            )
        return self.process

    def reason(self, status: int) -> str:
        """Why it ended, in its own words if there are any: those of its reason file, or the last line of its log."""
        words = _text(self.reason_file) or _text(self.log).rpartition("\n")[2]
        return " ".join(words.split()) or f"{_cause(status)}; its own lines above say more"


class Supervisor:
    """Runs children until `stop` is called."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: dict[Child, asyncio.Task[None]] = {}
        self._up = False
        self._stopping = asyncio.Event()
        self._forced = asyncio.Event()
        self.gave_up = asyncio.Event()
        """Set when all is over: a child cannot work as it is set, or died again and again during the start."""
        self.failure: CottageError | None = None
        """Which child that was, and why: a SettingsError if it cannot work as it is set."""

    def add(self, child: Child) -> None:
        self._tasks[child] = asyncio.create_task(self._keep_running(child), name=child.name)

    async def ready(self, children: Sequence[Child]) -> None:
        """Wait until all are ready. Logs every few seconds for which child it waits, and why."""
        await asyncio.gather(*(self._ready(child) for child in children))

    def up(self) -> None:
        """The start has succeeded: from now on a child that dies again and again does not end the others."""
        self._up = True

    def force(self) -> None:
        """Kill everything at once instead of waiting for it to end."""
        self._forced.set()

    async def stop(self, in_order: Sequence[Child], last: Child | None) -> None:
        """Stop all children of `in_order`, then `last`. None of them runs afterwards. Idempotent."""
        started = self._clock.monotonic()
        self._stopping.set()
        for child in in_order:
            child.signal(signal.SIGTERM)
            await self._wait_or_forced([child], STOP_STEP_SECONDS)
        await self._wait_or_forced(in_order, STOP_SECONDS - (self._clock.monotonic() - started))
        await self._kill(in_order)
        if last is not None:
            left = STOP_LAST_SECONDS - (self._clock.monotonic() - started)
            last.signal(signal.SIGTERM)
            await self._wait_or_forced([last], max(left, 1.0))
            if self._forced.is_set():
                await self._wait([last], FORCED_SECONDS)
            await self._kill([last])

    async def _keep_running(self, child: Child) -> None:
        backoff = Backoff(first=0.5, longest=8.0)
        deaths = 0
        try:
            while not self._stopping.is_set():
                began = self._clock.monotonic()
                try:
                    process = await child.start()
                except OSError as error:  # no more processes or memory: that may pass
                    log.error("not_started", process=child.name, error=str(error))
                    await self._pause(backoff.next())
                    continue
                if self._stopping.is_set():
                    child.signal(signal.SIGTERM)
                status = await process.wait()
                child.kill_group()
                if self._stopping.is_set():
                    return
                deaths += 1
                if status == BAD_SETTING or (not self._up and deaths >= MAX_START_DEATHS):
                    self._give_up(child, status)
                    return
                if self._clock.monotonic() - began >= STABLE_SECONDS:
                    backoff.reset()
                pause = backoff.next()
                log.error("died", process=child.name, reason=_cause(status), seconds=round(pause, 2))
                await self._pause(pause)
        finally:
            child.finished.set()

    def _give_up(self, child: Child, status: int) -> None:
        reason = child.reason(status)
        log.error("gave_up", process=child.name, reason=reason, status=status)
        kind = SettingsError if status == BAD_SETTING else CottageError
        self.failure = self.failure or kind(f"{child.name}: {reason}")
        self.gave_up.set()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _ready(self, child: Child) -> None:
        reported_at = self._clock.monotonic()
        while not child.finished.is_set():
            reason = await child.not_ready()
            if reason is None:
                return
            if self._clock.monotonic() - reported_at >= 5.0:
                reported_at = self._clock.monotonic()
                log.info("waiting", process=child.name, reason=reason)
            with contextlib.suppress(TimeoutError):  # another process's readiness can only be asked for
                await asyncio.wait_for(child.finished.wait(), 0.1)

    async def _wait_or_forced(self, children: Sequence[Child], timeout: float) -> None:
        """Wait until all have ended, `timeout` seconds have passed, or `force` was called."""
        forced = asyncio.create_task(self._forced.wait())
        waiting = asyncio.create_task(self._wait(children, max(timeout, 0.0)))
        await asyncio.wait((forced, waiting), return_when=asyncio.FIRST_COMPLETED)
        for task in (forced, waiting):
            task.cancel()
        await asyncio.gather(forced, waiting, return_exceptions=True)

    async def _wait(self, children: Sequence[Child], timeout: float) -> None:
        tasks = [self._tasks[child] for child in children if child in self._tasks]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)

    async def _kill(self, children: Sequence[Child]) -> None:
        for child in children:
            if child in self._tasks and not self._tasks[child].done():
                log.warning("killed", process=child.name, reason="it did not end in time")
                child.kill_group()
        await asyncio.gather(*(self._tasks[child] for child in children if child in self._tasks))


def _text(path: Path | None) -> str:
    """What the file says; nothing if there is none."""
    try:
        return "" if path is None else path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _cause(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
