"""The sources of the market service: a simulation, or a recorded file. Only `source_of` knows all of them."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from common.logs import get_logger
from common.refusal_tally import RefusalTally
from cottage.clock import Clock, iso_millis, ticks
from cottage.errors import UnusableSource
from cottage.files.options import ReadOptions
from cottage.files.recording import Recording
from cottage.files.rows import BadRow
from cottage.record.record import is_record
from cottage.record.recorded_ticks import RecordedTicks
from cottage.snapshot import MarketSnapshot
from services.market import metrics, replay, simulate
from services.market.place import place
from services.market.record_replay import RecordReplay
from services.market.settings import MarketSettings
from services.market.simulate import Simulation

T = TypeVar("T")
Emit = Callable[[Sequence[MarketSnapshot]], None]
WhenTaken = Callable[[Sequence[str], str | None], Awaitable[bool]]
"""Waits until what was emitted last, of these symbols, is written and feynman has ticked on it; or, where it is given
windows (as of Mark), until feynman knows that these symbols have those. Returns False where it has not within a
second."""

REPLAY_WRITE_SECONDS = 0.2  # five times a reader's 1 Hz: what it samples is at most that old
APART_MS = 250  # less is the uncertainty of asking Redis for its time
LONG_WAIT_MS = 60_000  # snapshots expire meanwhile, which is worth a line
PROGRESS_SECONDS = 10.0  # between two lines that say where the replay is
AWAITED_SECONDS = 5.0  # a feynman that starts, or takes over, takes less

Pass = replay.Replay | RecordReplay

log = get_logger()


class Source(Protocol):
    """What the market service takes snapshots from. A source knows nothing of Redis, and does not wait for it unless
    it runs in lock-step."""

    name: str
    """The `source` of its snapshots."""

    async def prepare(self) -> None:
        """Check whether the source can work; raises SourceError if not. Called once, before `run`."""

    async def run(self, emit: Emit, taken: WhenTaken) -> None:
        """Call `emit`, which never waits, with snapshots as they happen; return where there will be no more. In
        lock-step await `taken` after each call. Raises SourceError."""

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
            Path(settings.file),
            settings.speed,
            options=settings.options,
            interval=settings.interval_seconds,
            loop=settings.loop,
            symbols=settings.symbols,
            clock=clock,
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

    async def run(self, emit: Emit, taken: WhenTaken) -> None:
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


class Readable(Protocol):
    """What is replayed: a Recording, or the RecordedTicks of a record. It counts what it reads."""

    @property
    def rows(self) -> int: ...
    @property
    def filtered(self) -> int: ...
    @property
    def left_out(self) -> Counter[str]: ...
    @property
    def doubtful(self) -> Counter[str]: ...
    @property
    def bad(self) -> Counter[str]: ...
    @property
    def bad_lines(self) -> Mapping[str, Sequence[int | str]]: ...
    @property
    def share(self) -> float: ...
    def abandon(self) -> None: ...
    def close(self) -> None: ...


class Replayed:
    """A source that replays a file or a record, which a thread reads row by row as the rows happen."""

    name = replay.SOURCE

    def __init__(
        self,
        path: Path,
        speed: float | Literal["max", "bars"] = 1.0,
        *,
        options: ReadOptions | None = None,
        interval: float = 1.0,
        loop: bool = False,
        symbols: Sequence[str] = (),
        clock: Clock,
    ) -> None:
        """`interval`: seconds between two bars at the speed `bars`; `options`: what is stated about the file."""
        self._path = path
        self._options = options
        self._speed = speed
        self._interval = interval
        self._loop = loop
        self._symbols = frozenset(symbols)
        self._clock = clock
        self._tally = RefusalTally(clock.monotonic)
        self._progress_at = 0.0
        """When it is to be said next where the replay is, by the monotonic clock."""
        self._passes = 0
        self._counted = 0
        self._doubtful: Counter[str] = Counter()
        self._recording: Readable | None = None
        self._replay: Pass | None = None

    async def prepare(self) -> None:
        """Open the file and find its first usable row."""
        self.close()
        self._progress_at = self._clock.monotonic() + PROGRESS_SECONDS
        await self._read(self._open)
        assert self._recording is not None
        if not self._passes and isinstance(self._recording, Recording):
            log.info("recording_understood", **_understood(self._recording))
        self._replay = await self._read(self._first_row, self._recording)
        if self._replay.finished:
            raise UnusableSource(
                f"{self._path} has no usable row ({_dropped_rows(self._recording)}): set MARKET_FILE to another"
            )

    async def run(self, emit: Emit, taken: WhenTaken) -> None:
        try:
            await self._play_passes(emit, taken)
        finally:
            self._say_dropped(last=True)

    async def _play_passes(self, emit: Emit, taken: WhenTaken) -> None:
        while True:
            assert self._replay is not None, "prepare was not called"
            self._passes += 1
            rows = self._replay
            rows.begin(math.floor(self._clock.time() * 1000))
            self._progress_at = self._clock.monotonic() + PROGRESS_SECONDS
            log.info("replay_started", file=str(self._path), **self._mapping())
            await (self._play_in_step if isinstance(self._speed, str) else self._play)(rows, emit, taken)
            log.info("replay_finished", **self.progress())
            if not self._loop:
                return
            await self._clock.sleep(REPLAY_WRITE_SECONDS)  # a recording of one moment must not keep a core busy
            await self.prepare()

    def close(self) -> None:
        if self._recording is not None:
            self._recording.close()

    async def _play(self, rows: Pass, emit: Emit, taken: WhenTaken) -> None:
        """One pass. Paced by the monotonic clock; where that and the clock of the stamps part, because one was set or
        goes wrong, `started` moves, and with it all that happens from then on."""
        beginning = self._clock.monotonic()
        async for _tick in ticks(REPLAY_WRITE_SECONDS, self._clock):
            elapsed = math.floor((self._clock.monotonic() - beginning) * 1000)
            apart = math.floor(self._clock.time() * 1000) - rows.started - elapsed
            if abs(apart) > APART_MS:
                rows.begin(rows.started + apart)
                log.info("replay_moved", milliseconds=apart, **self._mapping())
            now = rows.started + elapsed
            self._say_how_it_goes()
            if rows.next_at > now:
                continue
            while rows.next_at <= now:
                await self._replace_windows(rows, taken)
                emit(await self._read(rows.until, now))
            if rows.finished:
                return
            if rows.next_at - now >= LONG_WAIT_MS:
                log.info("replay_waits", seconds=round((rows.next_at - now) / 1000), **self.progress())

    async def _play_in_step(self, rows: Pass, emit: Emit, taken: WhenTaken) -> None:
        """One pass in lock-step: a second of recorded time after the other, each of them as long as it takes."""
        async for _turn in self._turns():
            await self._replace_windows(rows, taken)
            snapshots = await self._read(rows.step, math.floor(self._clock.time() * 1000))
            await self._until(partial(self._taken, snapshots, emit, taken), len(snapshots))
            if rows.finished:
                return

    async def _taken(self, snapshots: Sequence[MarketSnapshot], emit: Emit, taken: WhenTaken) -> bool:
        emit(snapshots)
        return await taken([each.symbol for each in snapshots], None)

    async def _replace_windows(self, rows: Pass, taken: WhenTaken) -> None:
        """Wait until feynman knows of the windows that were replaced before the next tick of a record."""
        for replaced in rows.replaced() if isinstance(rows, RecordReplay) else ():
            name = "" if replaced.checkpoint is None else str(replaced.checkpoint)
            await self._until(partial(taken, replaced.symbols, name), len(replaced.symbols))

    async def _turns(self) -> AsyncIterator[None]:
        """Turns of a pass in lock-step: one in each interval for bars, else one after the other."""
        if self._speed == "bars":
            async for _tick in ticks(self._interval, self._clock):
                yield
        while True:
            yield

    async def _until(self, taken: Callable[[], Awaitable[bool]], symbols: int) -> None:
        """Try until feynman has ticked: what it has not taken within a second is written again, so that it does not
        expire. `symbols`: of how many there is something to take."""
        began, said = self._clock.monotonic(), False
        while not await taken():
            self._say_how_it_goes()
            if not said and self._clock.monotonic() - began >= AWAITED_SECONDS:
                said = True
                log.warning("feynman_awaited", symbols=symbols, **self.progress())
        self._say_how_it_goes()
        if said:
            log.info("feynman_ticks", seconds=round(self._clock.monotonic() - began, 1))

    def _open(self) -> None:
        if is_record(self._path):
            self._recording = RecordedTicks(self._path, self._symbols)
        else:
            self._recording = Recording(
                self._path, self._symbols, self._bad_row, options=self._options, on_progress=self._say_preparing
            )
        self._counted = 0
        self._doubtful.clear()

    def _first_row(self, recording: Readable) -> Pass:
        speed = math.inf if isinstance(self._speed, str) else self._speed
        if isinstance(recording, RecordedTicks):
            return RecordReplay(recording, speed)
        assert isinstance(recording, Recording)
        return replay.Replay(recording, speed)

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

    def _say_preparing(self, what: str, share: float) -> None:
        """Say now and then how far work is that comes before the first row."""
        if (now := self._clock.monotonic()) >= self._progress_at:
            self._progress_at = now + PROGRESS_SECONDS
            log.info("replay_prepares", work=what, share=round(share, 4))

    def _say_how_it_goes(self) -> None:
        """Say now and then where the replay is, and which rows were dropped."""
        self._say_dropped()
        if (now := self._clock.monotonic()) >= self._progress_at:
            self._progress_at = now + PROGRESS_SECONDS
            log.info("replay_goes_on", **self.progress())

    def _say_dropped(self, *, last: bool = False) -> None:
        """Sum up the rows that were dropped since it was last done. `last`: this was the last row."""
        counts = self._tally.summary(last=last)
        if counts is not None and self._recording is not None:
            log.warning(
                "rows_dropped", rows=counts.total(), reasons=dict(counts), lines=dict(self._recording.bad_lines)
            )

    def about(self) -> dict[str, Any]:
        symbols = [] if self._replay is None else sorted(self._replay.symbols)
        recorded = self._recording
        of_record = {"recorded_sources": list(recorded.sources)} if isinstance(recorded, RecordedTicks) else {}
        feed = {"source": self.name, "venue": None, **_symbols(symbols), "file": self._path.name}
        return {**feed, **of_record, **self._mapping()}

    def progress(self) -> dict[str, Any]:
        if self._recording is None or self._replay is None:
            return {}
        first, newest, share = self._replay.recorded_from, self._replay.recorded, self._recording.share
        return {
            "place": place(first, newest, share) if first is not None and newest is not None else None,
            "rows": self._recording.rows,
            "used": self._replay.folded,
            "left_out": dict(self._recording.left_out),
            "bad": dict(self._recording.bad),
            "bad_lines": dict(self._recording.bad_lines),
            "quotes_left_out": self._recording.doubtful.total(),
            "filtered": self._recording.filtered,
            "share": round(share, 4),
            "recorded": None if newest is None else iso_millis(newest / 1e6),
            "passes": self._passes,
        }

    def _mapping(self) -> dict[str, Any]:
        """recorded time = recorded_from + (timestamp − started_at) · speed, all in seconds since 1970. In lock-step
        only a snapshot's event_time tells it."""
        rows = self._replay
        if rows is None or rows.recorded_from is None or not rows.started:
            return {}
        if isinstance(self._speed, str):
            return {"recorded_from": rows.recorded_from / 1e6, "speed": self._speed}
        return {
            "recorded_from": rows.recorded_from / 1e6,
            "started_at": rows.started / 1000,
            "speed": self._speed,
        }


def _symbols(symbols: Sequence[str]) -> dict[str, Any]:
    return {"symbols": list(symbols), "symbol_count": len(symbols)}


def _understood(recording: Recording) -> dict[str, Any]:
    """What the files were taken for; `make inspect` says more."""
    first, *others = (part.understanding for part in recording.parts)
    guesses = dict.fromkeys(guess for each in (first, *others) for guess in each.guesses)
    return {
        "file": first.name,
        "files": 1 + len(others),
        "kind": first.kind,
        "vendor": first.vendor,
        "stamped": first.stamped,
        "guesses": [f"{guess.what}: {guess.taken} ({guess.option} for {guess.other})" for guess in guesses],
        "notes": list(dict.fromkeys(note for each in (first, *others) for note in each.notes)),
    }


def _listing(lines: Sequence[int | str], number: int) -> str:
    return ", ".join(map(str, lines)) + (", …" if number > len(lines) else "")


def _dropped_rows(recording: Readable) -> str:
    """How many rows were left out, and why."""
    left_out = [
        f"{number} refused for their {reason} in lines {_listing(recording.bad_lines[reason], number)}"
        for reason, number in recording.bad.most_common()
    ]
    left_out += [f"{number} left out: {why}" for why, number in recording.left_out.most_common()]
    if recording.filtered:
        left_out.append(f"{recording.filtered} of other symbols than MARKET_SYMBOLS")
    return "; ".join(left_out) or "nothing after its first line"
