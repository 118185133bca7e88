"""Keeps child processes running, and ends them all.

Each child is a session and process group of its own, so Ctrl-C on the terminal reaches the supervisor
alone, which then stops them one after another. One that dies is named in one line and started again.
The one shutdown story: SIGTERM to each in its order, a common deadline, SIGKILL to the group of what is left.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cottage.backoff import Backoff
from cottage.clock import Clock
from deploy.console import say_event
from deploy.parent_death import dying_with_parent

SETTLED_SECONDS = 10.0  # after so long it has worked, and the next death is a new story
REFUSED_SECONDS = 30.0  # between tries of a service that says its settings are wrong
IN_TURN_SECONDS = 0.4  # how long one may take to end before the next is asked as well
STOP_SECONDS = 8.5  # a service promises 8
LAST_SECONDS = 10.0  # for the last ones, which others needed while they ended; counted from the first SIGTERM
FORCED_SECONDS = 2.0  # what Redis still gets to write its file when everything else is killed
BAD_SETTING = 2  # the exit status of a service that refuses a setting
HOPELESS = 3  # deaths during the start after which it is given up


@dataclass(eq=False, slots=True)
class Child:
    """A process to keep running."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    not_ready: Callable[[], Awaitable[str | None]]
    """Why it cannot do its job yet, or None where it can."""
    log_file: Callable[[], Path] | None = None
    """Where a new process's output goes; to ours without it."""
    may_finish: bool = True
    """Whether exit status 0 means that its work is done. Otherwise it is started again after that too."""
    inherited: Sequence[int] = ()
    """File descriptors that it holds on to."""
    process: asyncio.subprocess.Process | None = None
    log: Path | None = None
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it will not be started again."""

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    def kill_group(self) -> None:
        """It, and what it may have started and left behind."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says EPERM of a zombie
                os.killpg(self.process.pid, signal.SIGKILL)

    async def start(self) -> asyncio.subprocess.Process:
        self.log = self.log_file() if self.log_file else None
        output = self.log.open("wb") if self.log else None
        try:
            self.process = await asyncio.create_subprocess_exec(
                *dying_with_parent(self.command, os.getpid()),
                env=dict(self.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT if output else None,
                start_new_session=True,
                pass_fds=self.inherited,
            )
        finally:
            if output:
                output.close()
        return self.process


class Supervisor:
    """Runs children until `stop` is called."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: dict[Child, asyncio.Task[None]] = {}
        self._up = False
        self._stopping = asyncio.Event()
        self._forced = asyncio.Event()
        self.gave_up = asyncio.Event()
        """Set when the start has failed: a child found a setting wrong, or died again and again."""
        self.status = 0
        """What the supervisor's own exit status should say of that: 2 for a setting, else 1."""

    def add(self, child: Child) -> None:
        self._tasks[child] = asyncio.create_task(self._keep(child), name=child.name)

    async def ready(self, children: Sequence[Child]) -> None:
        """Wait until all are; says every few seconds for which it waits, and why."""
        await asyncio.gather(*(self._ready(child) for child in children))

    def up(self) -> None:
        """The start is over: from now on wrong settings of one child are no reason to end the others."""
        self._up = True

    def force(self) -> None:
        """Give nothing more time to end."""
        self._forced.set()

    async def stop(self, in_order: Sequence[Child], last: Child | None) -> None:
        """End all of `in_order`, then `last`. Nothing of them runs afterwards. Idempotent."""
        started = self._clock.monotonic()
        self._stopping.set()
        for child in in_order:
            child.signal(signal.SIGTERM)
            await self._ended([child], IN_TURN_SECONDS)
        await self._ended(in_order, STOP_SECONDS - (self._clock.monotonic() - started))
        await self._kill(in_order)
        if last is not None:
            left = LAST_SECONDS - (self._clock.monotonic() - started)
            last.signal(signal.SIGTERM)
            await self._ended([last], max(left, 1.0))
            if self._forced.is_set():
                await self._wait([last], FORCED_SECONDS)
            await self._kill([last])

    async def _keep(self, child: Child) -> None:
        backoff = Backoff(first=0.5, longest=8.0)
        deaths = 0
        try:
            while not self._stopping.is_set():
                began = self._clock.monotonic()
                try:
                    process = await child.start()
                except OSError as error:  # no more processes or memory: that may pass
                    say_event("error", "not_started", process=child.name, error=str(error))
                    await self._pause(backoff.next())
                    continue
                if self._stopping.is_set():
                    child.signal(signal.SIGTERM)
                status = await process.wait()
                child.kill_group()
                if self._stopping.is_set():
                    return
                if status == 0 and child.may_finish:
                    say_event(
                        "info", "finished", process=child.name, note="its work is done; it is not started again"
                    )
                    return
                deaths += 1
                if not self._up and (status == BAD_SETTING or deaths >= HOPELESS):
                    self._give_up(child, status)
                    return
                if self._clock.monotonic() - began >= SETTLED_SECONDS:
                    backoff.reset()
                pause = REFUSED_SECONDS if status == BAD_SETTING else backoff.next()
                say_event("error", "died", process=child.name, reason=_cause(status), seconds=round(pause, 2))
                await self._pause(pause)
        finally:
            child.finished.set()

    def _give_up(self, child: Child, status: int) -> None:
        where = "its own lines above say why" if child.log is None else f"its log is {child.log}"
        say_event("error", "gave_up", process=child.name, reason=_cause(status), note=where)
        self.status = BAD_SETTING if status == BAD_SETTING else 1
        self.gave_up.set()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _ready(self, child: Child) -> None:
        said_at = self._clock.monotonic()
        while not child.finished.is_set():
            reason = await child.not_ready()
            if reason is None:
                return
            if self._clock.monotonic() - said_at >= 5.0:
                said_at = self._clock.monotonic()
                say_event("info", "waiting", process=child.name, reason=reason)
            with contextlib.suppress(TimeoutError):  # another process's readiness can only be asked for
                await asyncio.wait_for(child.finished.wait(), 0.1)

    async def _ended(self, children: Sequence[Child], timeout: float) -> None:
        """Until all have ended, `timeout` seconds have passed, or somebody forces."""
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
                say_event("warning", "killed", process=child.name, reason="it did not end in time")
                child.kill_group()
        await asyncio.gather(*(self._tasks[child] for child in children if child in self._tasks))


def _cause(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
