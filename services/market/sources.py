"""The sources of the market service: a simulation, or a recorded file. Only `source_of` knows all of them."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from common.logs import get_logger
from common.refusal_tally import RefusalTally
from cottage.clock import Clock, iso_millis, ticks
from cottage.errors import UnusableSource
from cottage.files.recording import Recording
from cottage.files.rows import BadRow
from cottage.snapshot import MarketSnapshot
from services.market import metrics, replay, simulate
from services.market.settings import MarketSettings
from services.market.simulate import Simulation

T = TypeVar("T")
Emit = Callable[[Sequence[MarketSnapshot]], None]

REPLAY_WRITE_SECONDS = 0.2  # five times a reader's 1 Hz: what it samples is at most that old
APART_MS = 250  # less is the uncertainty of asking Redis for its time
LONG_WAIT_MS = 60_000  # snapshots expire meanwhile, which is worth a line

log = get_logger()


class Source(Protocol):
    """What the market service takes snapshots from. A source knows nothing of Redis, and never waits for it."""

    name: str
    """The `source` of its snapshots."""

    async def prepare(self) -> None:
        """Check whether the source can work; raises SourceError if not. Called once, before `run`."""

    async def run(self, emit: Emit) -> None:
        """Call `emit`, which never waits, with snapshots as they happen; return where there will be no more. Raises
        SourceError."""

    def close(self) -> None:
        """Release all resources, whether it was prepared or not. Idempotent."""

    def about(self) -> dict[str, Any]:
        """The content of `market:feed:{ID}`, as JSON values."""

    def progress(self) -> dict[str, Any]:
        """The progress of the source, as JSON values, for /status."""


def source_of(settings: MarketSettings, clock: Clock) -> Source:
    """The source that the settings ask for. A new kind of source is one more case here."""
    if settings.source == "replay":
        return Replayed(
            Path(settings.file), settings.speed, loop=settings.loop, symbols=settings.symbols, clock=clock
        )
    return Simulated(
        settings.symbols or simulate.DEFAULT_SYMBOLS, settings.seed, settings.interval_seconds, clock=clock
    )


class Simulated:
    """A source that takes a step of the simulation at each tick of the clock; a missed tick is left out."""

    name = simulate.SOURCE

    def __init__(self, symbols: Sequence[str], seed: int, interval: float, clock: Clock) -> None:
        self._simulation = Simulation(symbols, seed, interval)
        self._seed = seed
        self._interval = interval
        self._clock = clock

    async def prepare(self) -> None:
        """Do nothing: a simulation cannot fail."""

    async def run(self, emit: Emit) -> None:
        async for tick in ticks(self._interval, self._clock):
            metrics.TICKS_SKIPPED.inc(tick.skipped)
            emit(self._simulation.step(round(self._clock.time(), 3)))

    def close(self) -> None:
        """Do nothing: a simulation holds nothing."""

    def about(self) -> dict[str, Any]:
        parameters = {"seed": self._seed, "interval_seconds": self._interval}
        symbols = _symbols(self._simulation.symbols)
        return {"source": self.name, "venue": None, **symbols, "complete": True, **parameters}

    def progress(self) -> dict[str, Any]:
        return {"steps": self._simulation.steps}


class Replayed:
    """A source that replays a file, which a thread reads row by row as the rows happen."""

    name = replay.SOURCE

    def __init__(
        self,
        path: Path,
        speed: float = 1.0,
        *,
        loop: bool = False,
        symbols: Sequence[str] = (),
        clock: Clock,
    ) -> None:
        self._path = path
        self._speed = speed
        self._loop = loop
        self._symbols = frozenset(symbols)
        self._clock = clock
        self._tally = RefusalTally(clock.monotonic)
        self._passes = 0
        self._counted = 0
        self._doubtful: Counter[str] = Counter()
        self._recording: Recording | None = None
        self._replay: replay.Replay | None = None

    async def prepare(self) -> None:
        """Open the file and find its first usable row."""
        self.close()
        await self._read(self._open)
        assert self._recording is not None
        self._replay = await self._read(replay.Replay, self._recording, self._speed)
        if self._replay.finished:
            raise UnusableSource(
                f"{self._path} has no usable row ({_dropped_rows(self._recording)}): set MARKET_FILE to another"
            )

    async def run(self, emit: Emit) -> None:
        try:
            await self._play_passes(emit)
        finally:
            self._say_dropped(last=True)

    async def _play_passes(self, emit: Emit) -> None:
        while True:
            assert self._replay is not None, "prepare was not called"
            self._passes += 1
            await self._play(self._replay, emit)
            log.info("replay_finished", **self.progress())
            if not self._loop:
                return
            await self._clock.sleep(REPLAY_WRITE_SECONDS)  # a recording of one moment must not keep a core busy
            await self.prepare()

    def close(self) -> None:
        if self._recording is not None:
            self._recording.close()

    async def _play(self, rows: replay.Replay, emit: Emit) -> None:
        """One pass. Paced by the monotonic clock; where that and the clock of the stamps part, because one was set or
        goes wrong, `started` moves, and with it all that happens from then on."""
        rows.begin(math.floor(self._clock.time() * 1000))
        beginning = self._clock.monotonic()
        log.info("replay_started", file=str(self._path), **self._mapping())
        async for _tick in ticks(REPLAY_WRITE_SECONDS, self._clock):
            elapsed = math.floor((self._clock.monotonic() - beginning) * 1000)
            apart = math.floor(self._clock.time() * 1000) - rows.started - elapsed
            if abs(apart) > APART_MS:
                rows.begin(rows.started + apart)
                log.info("replay_moved", milliseconds=apart, **self._mapping())
            now = rows.started + elapsed
            self._say_dropped()
            if rows.next_at > now:
                continue
            emit(await self._read(rows.until, now))
            if rows.finished:
                return
            if rows.next_at - now >= LONG_WAIT_MS:
                log.info("replay_waits", seconds=round((rows.next_at - now) / 1000), **self.progress())

    def _open(self) -> None:
        self._recording, self._counted = Recording(self._path, self._symbols, self._bad_row), 0
        self._doubtful.clear()

    async def _read(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do `work`, which reads the file, in a thread; cancelled, it ends within a row."""
        reading = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
        try:
            return await asyncio.shield(reading)
        except asyncio.CancelledError:
            if self._recording is not None:
                self._recording.abandon()
            await asyncio.wait((reading,))
            if not reading.cancelled():
                reading.exception()  # seen, and of no interest any more
            raise
        finally:
            if self._recording is not None:
                metrics.ROWS_READ.inc(self._recording.rows - self._counted)
                self._counted = self._recording.rows
                for field, number in (self._recording.doubtful - self._doubtful).items():
                    metrics.QUOTES_LEFT_OUT.labels(field).inc(number)
                self._doubtful = self._recording.doubtful.copy()

    def _bad_row(self, line: int, error: BadRow) -> None:
        metrics.ROWS_DROPPED.labels(error.reason).inc()
        if self._tally.take(error.reason, line):
            log.warning("row_dropped", line=line, reason=error.reason, error=error.detail)

    def _say_dropped(self, *, last: bool = False) -> None:
        """Sum up the rows that were dropped since it was last done. `last`: this was the last row."""
        counts = self._tally.summary(last=last)
        if counts is not None and self._recording is not None:
            log.warning(
                "rows_dropped", rows=counts.total(), reasons=dict(counts), lines=dict(self._recording.bad_lines)
            )

    def about(self) -> dict[str, Any]:
        symbols = [] if self._replay is None else sorted(self._replay.symbols)
        return {"source": self.name, "venue": None, **_symbols(symbols), "file": self._path.name, **self._mapping()}

    def progress(self) -> dict[str, Any]:
        if self._recording is None or self._replay is None:
            return {}
        newest = self._replay.recorded
        return {
            "rows": self._recording.rows,
            "used": self._replay.folded,
            "bad": dict(self._recording.bad),
            "bad_lines": dict(self._recording.bad_lines),
            "quotes_left_out": self._recording.doubtful.total(),
            "filtered": self._recording.filtered,
            "share": round(self._recording.share, 4),
            "recorded": None if newest is None else iso_millis(newest / 1e6),
            "passes": self._passes,
        }

    def _mapping(self) -> dict[str, Any]:
        """recorded time = recorded_from + (timestamp − started_at) · speed, all in seconds since 1970."""
        rows = self._replay
        if rows is None or rows.recorded_from is None or not rows.started:
            return {}
        return {
            "recorded_from": rows.recorded_from / 1e6,
            "started_at": rows.started / 1000,
            "speed": self._speed,
        }


def _symbols(symbols: Sequence[str]) -> dict[str, Any]:
    return {"symbols": list(symbols), "symbol_count": len(symbols)}


def _listing(lines: Sequence[int | str], number: int) -> str:
    return ", ".join(map(str, lines)) + (", …" if number > len(lines) else "")


def _dropped_rows(recording: Recording) -> str:
    """How many rows were left out, and why."""
    left_out = [
        f"{number} refused for their {reason} in lines {_listing(recording.bad_lines[reason], number)}"
        for reason, number in recording.bad.most_common()
    ]
    if recording.filtered:
        left_out.append(f"{recording.filtered} of other symbols than MARKET_SYMBOLS")
    return "; ".join(left_out) or "nothing after its first line"
