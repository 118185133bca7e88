"""Replaces windows where the replay of a record marks it (Mark.windows), by those of the record's checkpoints.

It changes what is computed, unlike all else that is marked. So it is done only where FEYNMAN_REPLAY_DIR names the
record, as `make run` does for a replay of one.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from common import logs
from cottage import keys
from cottage.clock import Clock
from cottage.lock_step import Mark
from cottage.log import Throttled
from cottage.record.checkpoints import BEGUN, parse_name
from services.feynman.checkpoint import CheckpointPart, CheckpointRefused, read
from services.feynman.settings import FeynmanSettings
from services.feynman.symbol_table import SymbolTable

log = logs.get_logger()


class ReplayedRecord:
    """The record that is replayed. Feynman's service has one of these."""

    def __init__(self, settings: FeynmanSettings, symbol_table: SymbolTable, clock: Clock) -> None:
        self._record = Path(settings.replay_dir) if settings.replay_dir else None
        self._sampled_with = {"window": settings.window}
        self._shard = keys.shard(settings.shard)
        self._symbol_table = symbol_table
        self._clock = clock
        self._newest: tuple[str, int] | None = None
        """The feed and the number of the mark that was taken last: what is marked again has been done."""
        self._throttled = Throttled(log)

    async def replace_windows(self, marks: Sequence[Mark]) -> None:
        """Do what is marked of windows."""
        for mark in marks:
            if mark.windows is not None and (mark.feed, mark.number) != self._newest:
                self._newest = mark.feed, mark.number
                await self._replace(mark.windows, mark.symbols)

    async def _replace(self, name: str, symbols: Sequence[str]) -> None:
        if self._record is None:
            self._throttled.warning("windows_kept", "", reason="FEYNMAN_REPLAY_DIR is not set")
            return
        ours = frozenset(symbol for symbol in symbols if keys.in_shard(symbol, *self._shard))
        checkpoint, parts = parse_name(name), list[CheckpointPart]()
        if checkpoint is not None:
            path = checkpoint.path(self._record)
            try:
                parts = await asyncio.to_thread(self._read, path)
            except (CheckpointRefused, OSError) as error:
                log.warning("windows_begin_empty", file=str(path), symbols=len(ours), reason=str(error))
        goes_on = checkpoint is not None and checkpoint.kind == BEGUN
        self._symbol_table.replace_windows(ours, parts, goes_on=goes_on)
        log.info("windows_replaced", symbols=len(ours), checkpoint=name or None)

    def _read(self, path: Path) -> list[CheckpointPart]:
        return list(read(path, self._sampled_with, self._clock.time(), float("inf")))
