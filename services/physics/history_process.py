"""The history engine as the physics service sees it: a child process that is asked one question at a time.

It starts with the first question, so that a service whose record nobody asks about pays nothing, and again with the
next one after it ended. A question that takes too long ends it. Who waits is counted: too many are refused at once.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from common import logs
from cottage.errors import HistoryRefusal
from cottage.parent_death import dying_with_parent
from services.physics import metrics
from services.physics.history_engine import HEAD

MOST_WAITING = 32
"""Questions that may wait for their turn."""

PASSED_ON = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
PASSED_ON_PREFIXES = ("PYTHON", "LC_", "COVERAGE_")
"""What a Python needs. The engine reads files that others may have written, so it is given no secret to lose."""

log = logs.get_logger()


class EngineAnswer(NamedTuple):
    media: str
    """The media type of the body."""
    body: bytes


@dataclass(frozen=True, slots=True)
class EngineLimits:
    seconds: float
    """How long a question may take, and how long it may wait for its turn."""
    mebibytes: int
    """How much memory the process may have."""


class HistoryProcess:
    """Asks the engine. Use it with `async with`, which ends the process."""

    def __init__(self, folder: str, limits: EngineLimits) -> None:
        self.folder = folder
        self._limits = limits
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self.waiting = 0
        """Questions that are being answered, or wait for that."""

    @property
    def pid(self) -> int | None:
        """The process, where it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def status(self) -> dict[str, Any]:
        """For /status."""
        return {"folder": self.folder, "engine": self.pid, "waiting": self.waiting}

    async def ask(self, question: Mapping[str, Any]) -> EngineAnswer:
        """The answer to a question, which history_answers.py describes. Raises HistoryRefusal, of which the codes
        `busy`, `too_slow` and `unavailable` mean that a later try may help."""
        outcome = "unavailable"
        try:
            answer = await self._in_turn(question)
            outcome = "answered"
            return answer
        except HistoryRefusal as refusal:
            outcome = refusal.code
            raise
        finally:
            metrics.HISTORY_QUERIES.labels(outcome).inc()

    async def _in_turn(self, question: Mapping[str, Any]) -> EngineAnswer:
        if self.waiting >= MOST_WAITING:
            raise HistoryRefusal("busy", f"{MOST_WAITING} questions to the record wait already")
        self.waiting += 1
        try:
            try:
                await asyncio.wait_for(self._turn.acquire(), self._limits.seconds)
            except TimeoutError:
                raise HistoryRefusal("busy", "other questions to the record take their time") from None
            try:
                return await self._answered(question)
            finally:
                self._turn.release()
        finally:
            self.waiting -= 1

    async def _answered(self, question: Mapping[str, Any]) -> EngineAnswer:
        process = await self._started()
        is_done = False
        try:
            async with asyncio.timeout(self._limits.seconds):
                answer = await _exchange(process, question)
            is_done = True
            return answer
        except HistoryRefusal as refusal:
            is_done = refusal.code != "too_much"  # who had no memory for one question may have none for the next
            raise
        except TimeoutError:
            log.warning("history_question_ended", seconds=self._limits.seconds, asked=_shown(question))
            detail = f"it takes more than {self._limits.seconds:g} s: ask for a shorter time, or for fewer symbols"
            raise HistoryRefusal("too_slow", detail) from None
        except (OSError, asyncio.IncompleteReadError):
            status = await process.wait()
            log.warning("history_engine_ended", status=status, asked=_shown(question))
            raise HistoryRefusal("unavailable", "the process that answers has ended") from None
        finally:
            if not is_done:  # also where nobody waits for the answer any more: it must not be taken for the next one
                await self._end()

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        module = "services.physics.history_engine"
        command = [sys.executable, "-m", module, self.folder, str(self._limits.mebibytes)]
        self._process = await asyncio.create_subprocess_exec(
            *dying_with_parent(command, os.getpid(), signal.SIGKILL),
            env=_environment(os.environ),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C on the terminal is the service's business
        )
        metrics.HISTORY_STARTS.inc()
        log.info("history_engine_started", pid=self._process.pid, folder=self.folder)
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def __aenter__(self) -> "HistoryProcess":
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._end()


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in ours.items() if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)}


async def _exchange(process: asyncio.subprocess.Process, question: Mapping[str, Any]) -> EngineAnswer:
    assert process.stdin is not None
    assert process.stdout is not None
    encoded = orjson.dumps(question)
    process.stdin.write(HEAD.pack(len(encoded)) + encoded)
    await process.stdin.drain()
    (length,) = HEAD.unpack(await process.stdout.readexactly(HEAD.size))
    head = orjson.loads(await process.stdout.readexactly(length))
    if "code" not in head:
        return EngineAnswer(head["media"], await process.stdout.readexactly(head["size"]))
    if head["code"] == "fault":
        log.error("history_fault", asked=_shown(question), error=head["detail"])
    raise HistoryRefusal(head["code"], head["detail"])


def _shown(question: Mapping[str, Any]) -> str:
    shown = {name: value for name, value in question.items() if name != "within"}  # a claim of a token
    return orjson.dumps(shown).decode()[:300]
