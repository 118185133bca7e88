"""The checkpointer loads and saves checkpoints, and sets one aside that cannot be used. Feynman's service has one.

Saving runs in one thread, part by part, beside the ticks: a tick waits at most for the copy of one part.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from common import logs
from cottage.clock import Clock
from cottage.log import Throttled
from cottage.store import batches
from services.feynman import metrics
from services.feynman.checkpoint import (
    CheckpointRefused,
    CheckpointTooOld,
    CheckpointWriter,
    leave_aside,
    read,
    sweep,
)
from services.feynman.file_lock import FileLock
from services.feynman.record_checkpoints import RecordCheckpoints
from services.feynman.settings import FeynmanSettings
from services.feynman.symbol_table import SymbolTable

PART_SYMBOLS = 256
"""Symbols per part. At W = 1000 their copy is 8 MB and takes some milliseconds."""

SPREAD = 10.0
"""Seconds over which the parts of one checkpoint are spread; a sixth of the interval at most."""

SAMPLED_WITH = ("window", "tick_seconds", "shard")
"""Settings that must be the same when a checkpoint is loaded as when it was saved."""

RETRY_SECONDS = 5.0
"""How often a process tries to get the lock of the file while another one holds it."""

SLACK = 1.25
"""The factor by which a save may take longer than the one before."""

FINAL_SECONDS = 4.0
"""How long the last checkpoint may take when the service stops."""

log = logs.get_logger()
T = TypeVar("T")


class Checkpointer:
    """Loads the checkpoint of a symbol table at the start, saves it periodically, and once more at the end.

    Without FEYNMAN_CHECKPOINT_DIR it does nothing.
    """

    def __init__(self, settings: FeynmanSettings, symbol_table: SymbolTable, clock: Clock) -> None:
        self._path = None
        if settings.checkpoint_dir:
            index, shards = settings.shard.split("/")
            self._path = Path(settings.checkpoint_dir) / f"windows-{index}-of-{shards}.npz"
            self._lock = FileLock(self._path)
        self._sampled_with = {name: getattr(settings, name) for name in SAMPLED_WITH}
        self._of_record = None
        if settings.record_dir:
            self._of_record = RecordCheckpoints(Path(settings.record_dir), settings.shard, self._sampled_with)
        self._interval = settings.checkpoint_seconds
        self._max_age = settings.forget_seconds
        self._only = frozenset(settings.symbols)
        self._symbol_table = symbol_table
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._saved_at: float | None = None
        self._problem: str | None = None
        self._standing_by = False
        self._throttled = Throttled(log, seconds=60.0)

    def status(self) -> dict[str, Any] | None:
        if self._path is None:
            return None
        return {"file": str(self._path), "saved_at": self._saved_at, "problem": self._problem}

    async def load(self) -> None:
        """Give the symbol table the windows of the last checkpoint, if there is one that can be used."""
        if self._path is None:
            log.info("checkpoints_off", reason="FEYNMAN_CHECKPOINT_DIR is not set: a restart forgets the windows")
            await self._keep(lambda of_record: of_record.begin(None))
            return
        parts = None
        began, symbols = self._clock.monotonic(), 0
        try:
            await self._in_thread(sweep, self._path)
            parts = read(self._path, self._sampled_with, self._clock.time(), self._max_age)
            while (part := await self._in_thread(next, parts, None)) is not None:
                symbols += self._symbol_table.restore(part, self._only)
        except FileNotFoundError:
            pass
        except CheckpointRefused as error:
            await self._refused(error)
        except OSError as error:
            log.warning("checkpoint_unreadable", file=str(self._path), error=str(error))
        finally:
            if parts is not None:  # after a cancellation the thread may still be reading
                self._thread.submit(parts.close)
        metrics.RESTORED.inc(symbols)
        await self._keep(lambda of_record: of_record.begin(self._path if symbols else None))
        if symbols:
            seconds = round(self._clock.monotonic() - began, 3)
            log.info("checkpoint_loaded", file=str(self._path), symbols=symbols, seconds=seconds)

    async def began(self, epoch: int) -> None:
        """The process issues its first states, under this epoch, with the windows with which it began."""
        await self._keep(lambda of_record: of_record.began(epoch, self._clock.time()))

    async def save_periodically(self) -> None:
        """Save so often that no symbol's newest saved sample is older than the interval. Until cancelled."""
        if self._path is None:
            return
        spread = min(SPREAD, self._interval / 6)
        due = self._clock.monotonic() + self._interval - spread * SLACK
        while True:
            await self._clock.sleep(max(0.0, due - self._clock.monotonic()))
            began = self._clock.monotonic()
            await self.save(spread)
            if self._standing_by:
                due = began + RETRY_SECONDS
                continue
            took = self._clock.monotonic() - began
            metrics.CHECKPOINT_SECONDS.observe(took)
            # The part that a save copies first gets oldest: a kill can cost the time from the begin of one save to
            # the begin of the next, and that one's duration.
            due = began + self._interval - max(took, spread) * SLACK

    async def save_final(self) -> None:
        """Save once more at the end, within FINAL_SECONDS; afterwards nothing can be saved any more."""
        try:
            if self._path is not None:
                async with asyncio.timeout(FINAL_SECONDS):
                    await self.save(0.0)
        except TimeoutError:
            log.warning("checkpoint_too_slow", file=str(self._path), seconds=FINAL_SECONDS)
        finally:
            if self._path is not None:
                self._thread.submit(self._lock.release)
            self._thread.shutdown(wait=False)

    async def save(self, spread: float) -> None:
        """Save one checkpoint, whose parts are copied one after the other over `spread` seconds."""
        began = self._clock.monotonic()
        path, names = self._path, self._symbol_table.sampled()
        if path is None or not names:
            return
        parts = list(batches(names, PART_SYMBOLS))
        writer = CheckpointWriter(path, self._sampled_with)
        try:
            if not await self._in_thread(self._lock.take):
                self._stand_by(path)
                return
            self._standing_by = False
            kept = self._of_record is not None and await self._in_thread(self._of_record.wants, self._clock.time())
            await self._in_thread(writer.open)
            for part in parts:
                await self._in_thread(writer.add, self._symbol_table.saved(part))
                await self._clock.sleep(spread / len(parts))
            size = await self._in_thread(writer.finish, self._clock.time())
        except OSError as error:
            metrics.CHECKPOINT_FAILURES.inc()
            self._problem = str(error)
            self._throttled.warning("checkpoint_failed", "", file=str(path), error=str(error))
        else:
            metrics.CHECKPOINTS.inc()
            self._saved_at = self._clock.time()
            metrics.CHECKPOINT_TIME.set(self._saved_at)
            if self._problem is not None:
                log.info("checkpoint_recovered", file=str(path))
            self._problem = None
            if kept:
                await self._keep(lambda of_record: of_record.saved(path, self._clock.time()))
            seconds = round(self._clock.monotonic() - began, 3)
            log.info("checkpoint_saved", file=str(path), symbols=len(names), bytes=size, seconds=seconds)
        finally:
            # Queued behind what the thread still does with the file; not waited for.
            self._thread.submit(writer.abandon)

    async def _keep(self, keep: Callable[[RecordCheckpoints], None]) -> None:
        """Keep a checkpoint in the record's folder, if there is one."""
        if self._of_record is not None:
            try:
                await self._in_thread(keep, self._of_record)
            except OSError as error:
                self._throttled.warning("checkpoint_not_recorded", "", error=str(error))

    def _stand_by(self, path: Path) -> None:
        if not self._standing_by:
            self._problem = "another process saves to this file"
            log.info("checkpoint_standby", file=str(path), reason=self._problem)
        self._standing_by = True

    async def _refused(self, error: CheckpointRefused) -> None:
        metrics.CHECKPOINTS_REFUSED.inc()
        assert self._path is not None
        if isinstance(error, CheckpointTooOld):
            log.info("checkpoint_too_old", file=str(self._path), reason=str(error))
            return
        aside: Path | str
        try:
            if await self._in_thread(self._lock.take):
                aside = await self._in_thread(leave_aside, self._path)
            else:
                aside = "not moved: another process saves to this file"
        except OSError as fault:
            aside = f"not moved: {fault}"
        log.warning("checkpoint_refused", file=str(self._path), reason=str(error), left_aside=str(aside))

    async def _in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)
