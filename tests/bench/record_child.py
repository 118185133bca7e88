"""The recorder's work on what comes over standard input, as fast as the machine does it, with the CPU of each part.

It is what services/recorder does but for its talk with Redis: messages are heard, stored states bear them out every
other second, rows are kept and written ahead; files are made every five minutes and every hour. Clocks are the
market's. `python -m tests.bench.record_child FOLDER` gets pickles: the symbols, each second, and when to tell its
figures. It imports no more than the recorder does, so that its memory is the recorder's.
"""

import contextlib
import gc
import json
import pickle
import resource
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cottage.record.hidden_pandas import hide_pandas
from cottage.record.record_writer import RecordWriter
from cottage.record.write_ahead import ahead_files
from services.recorder.__main__ import YOUNG
from services.recorder.confirmation import Confirmation, symbol_of_update
from services.recorder.disk import ROLL_SECONDS
from services.recorder.keeper import AT_ONCE, WRITTEN_TOGETHER, Keeper
from services.recorder.settings import RecorderSettings
from services.recorder.warmer import Warmer

FLUSH_SECONDS: float = RecorderSettings.model_fields["flush_seconds"].default


class Second(NamedTuple):
    """All versions of a second, in the order of the symbols."""

    now: float
    """Redis's clock when they have been written, in seconds since 1970."""
    updates: list[bytes]
    """PHYSICS_UPDATEs."""
    stored: list[bytes]
    """The states, as they are in Redis."""


class TimedRecorder:
    """One that knows what its parts have cost, in seconds of CPU, and what the record's stages hold, in bytes."""

    def __init__(self, folder: Path, symbols: Sequence[str]) -> None:
        self._symbols = symbols
        self._now = 0.0
        self._folder = folder
        self._confirmation, self._keeper = Confirmation(), Keeper()
        self._confirmation.looked_at_all()
        self._warmer = Warmer(folder, lambda: self._now)
        self._writer: RecordWriter | None = None
        self._looked = self._rolled = 0.0
        self.spent: dict[str, float] = defaultdict(float)
        self.bytes: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()

    def take(self, second: Second) -> None:
        self._now = second.now
        if self._writer is None:
            self._writer = RecordWriter(self._folder, clock=lambda: self._now, monotonic=lambda: self._now)
            self._looked = self._rolled = self._now - 1.0
        with self._timed("hear"):
            for payload in second.updates:
                symbol = symbol_of_update(payload)
                assert symbol is not None
                self._confirmation.heard(symbol, payload, 0)
        if self._now - self._looked >= FLUSH_SECONDS - 1e-3:
            self._looked = self._now
            self._look(second.stored)
        if self._now - self._rolled >= ROLL_SECONDS - 1e-3:
            self._rolled = self._now
            self.roll()

    def _look(self, stored: Sequence[bytes]) -> None:
        keeper, recorded = self._keeper, round(self._now * 1e6)
        self._confirmation.begin_look()
        states = list(zip(self._symbols, stored, strict=True))
        for start in range(0, len(states), AT_ONCE):
            with self._timed("keep"):
                borne_out = [
                    (symbol, confirmed)
                    for symbol, state in states[start : start + AT_ONCE]
                    for confirmed in self._confirmation.settle(symbol, state, keeper.held(symbol), self._now)
                ]
                for symbol, confirmed in borne_out:
                    assert keeper.keep(symbol, confirmed, recorded)
                    self._warmer.saw(symbol, confirmed.said, *keeper.when(symbol))
            if keeper.waiting >= WRITTEN_TOGETHER:
                self._write()
        self._write()

    def _write(self) -> None:
        with self._timed("append"):
            tables = self._keeper.take()
            for table, columns in tables.items():
                self._opened.append(table, columns)
        with self._timed("flush"):
            done = self._opened.flush()
        assert done.error is None
        self.rows["ahead"] += len(tables.get("samples", {}).get("symbol", ()))

    def roll(self) -> None:
        """Make files of five minutes, and of hours that are over."""
        ahead = ahead_files(self._folder, self._opened.manifest.rolled)
        self.bytes["ahead"] += sum(file.path.stat().st_size for file in ahead)
        with self._made("roll", "piece"):
            assert self._opened.roll()
        self._compact(unfinished=False)

    def finish(self) -> None:
        self.roll()
        self._compact(unfinished=True)
        self._opened.close()

    def _compact(self, *, unfinished: bool) -> None:
        with self._made("compact", "hour"):
            assert self._opened.compact(unfinished=unfinished)

    @property
    def _opened(self) -> RecordWriter:
        assert self._writer is not None
        return self._writer

    @contextlib.contextmanager
    def _made(self, part: str, stage: str) -> Iterator[None]:
        """Count what files are made by the block."""
        before = {file.path for file in self._opened.manifest.files}
        with self._timed(part):
            yield
        made = [file for file in self._opened.manifest.files if file.path not in before]
        self.bytes[stage] += sum(file.bytes for file in made)
        self.rows[stage] += sum(file.rows for file in made if file.table == "samples")

    @contextlib.contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        before = _cpu_seconds()
        yield
        self.spent[part] += _cpu_seconds() - before


def _cpu_seconds() -> float:
    """Of this process with all its threads, and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def main() -> None:
    gc.set_threshold(YOUNG)
    hide_pandas()
    recorder = TimedRecorder(Path(sys.argv[1]), pickle.load(sys.stdin.buffer))
    while (message := pickle.load(sys.stdin.buffer)) != "end":
        if message not in ("tell", "finish"):
            recorder.take(message)
            continue
        if message == "finish":
            recorder.finish()
        figures = {name: dict(getattr(recorder, name)) for name in ("spent", "bytes", "rows")}
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
