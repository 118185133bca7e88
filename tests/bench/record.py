"""What a record costs: bytes, CPU, memory, and how long its answers take: `make bench-record`.

What feynman writes for so many symbols, each with a sample a second, goes through what the recorder does with it, as
fast as the machine does that; clocks are the market's. Then the record is asked by the process of the physics API.
Beside it are the same rows in DuckDB's own file, and some seconds of the same messages in streams of a Redis.
"""

import argparse
import asyncio
import contextlib
import json
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from common import logs
from cottage.freshness import USUAL
from services.physics.history_process import EngineLimits, HistoryProcess
from tests.bench.processes import cpu_seconds
from tests.bench.record_beside import AGO, QUESTIONS, Copied, Streamed, milliseconds, streamed
from tests.bench.record_child import Second
from tests.bench.tables import percent, table
from tests.bench.telling import progress, say
from tests.bench.tick import MOST_SYMBOLS
from tests.bench.versions import Versions

DAY = 86_400
STAGES = {"ahead": "written ahead", "piece": "files of five minutes", "hour": "files of an hour"}
WORK = {
    "hear": "a message is checked and kept until Redis bears it out",
    "keep": "stored states are held against messages; rows",
    "append": "rows as columns",
    "flush": "columns as Arrow, sorted, digest, on the disk",
    "roll": "files of five minutes",
    "compact": "files of an hour",
}


class Peaks:
    """The most memory that a process and the children of its threads have held, looked at while they run."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.own = self.child = 0.0
        """Megabytes."""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(0.05):
            self.own = max(self.own, peak_megabytes(self._pid))
            for task in Path(f"/proc/{self._pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):  # it has just ended
                    self.child = max([self.child, *map(peak_megabytes, map(int, task.read_text().split()))])


def peak_megabytes(pid: int) -> float:
    """The most that a process has held; 0 if it has ended."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    return 0.0


class RecorderChild:
    """The process that records."""

    def __init__(self, folder: Path, symbols: list[str]) -> None:
        command = [sys.executable, "-m", "tests.bench.record_child", str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._send(symbols)
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate()

    def take(self, second: Second) -> None:
        self._send(second)

    def figures(self, after: str) -> dict[str, dict[str, float]]:
        """What `spent`, `bytes` and `rows` are, after `told` or `finish`."""
        self._send(after)
        assert self._process.stdout is not None
        figures: dict[str, dict[str, float]] = json.loads(self._process.stdout.readline())
        return figures

    def end(self) -> None:
        self._send("end")

    def _send(self, message: Any) -> None:
        assert self._process.stdin is not None
        pickle.dump(message, self._process.stdin, protocol=5)
        self._process.stdin.flush()


def asked(symbols: Sequence[str], newest: float) -> dict[str, Callable[[int], dict[str, Any]]]:
    """QUESTIONS as the engine takes them. `newest`: Redis's clock at the end."""

    def points(last: str, step: str, many: int = 1) -> Callable[[int], dict[str, Any]]:
        about = {"ask": "points", "single": many == 1, "last": last, "step": step}
        return lambda number: {**about, "symbols": chosen(symbols, number, many)}

    changes = {"ask": "changes", "last": "10m", "kind": "regime"}
    state = {"ask": "state", "at": f"{newest - AGO:.3f}", "version": None, "thresholds": [*USUAL]}
    return {
        "hour": points("1h", "5s"),
        "minutes": points("10m", "1s"),
        "sparklines": points("10m", "10s", QUESTIONS["sparklines"].symbols),
        "changes": lambda _number: changes,
        "as of": lambda number: {**state, "symbol": chosen(symbols, number, 1)[0]},
    }


def chosen(symbols: Sequence[str], number: int, many: int) -> list[str]:
    """Other symbols each time."""
    return [symbols[(number * 7919 + place * 31) % len(symbols)] for place in range(min(many, len(symbols)))]


async def answered(folder: Path, symbols: Sequence[str], newest: float, times: int) -> tuple[dict[str, float], float]:
    """Milliseconds of CPU for each question, and megabytes of the process that answers."""
    async with HistoryProcess(str(folder), EngineLimits(60.0, 1024)) as history:

        async def ask(question: Callable[[int], dict[str, Any]], number: int) -> None:
            await history.ask(question(number))

        def spent() -> float:
            assert history.pid is not None
            return cpu_seconds(history.pid)

        questions = asked(symbols, newest).items()
        taken = {name: await milliseconds(partial(ask, question), times, spent) for name, question in questions}
        assert history.pid is not None
        return taken, peak_megabytes(history.pid)


class Measured(NamedTuple):
    """What came of it."""

    spent: Mapping[str, float]
    """Seconds of CPU by part of the work."""
    bytes: Mapping[str, float]
    """By stage; `rows` too."""
    rows: Mapping[str, float]
    own: float
    """The most that the recorder's process held, in megabytes."""
    child: float
    """And a child of it that sorts."""
    recording: Mapping[str, float]
    """Milliseconds of CPU for answers while it records."""
    stopped: Mapping[str, float]
    """And when it has stopped."""
    engine: float
    """Megabytes of the process that answered."""
    feynman: float
    """Seconds of CPU that feynman's table of symbols took to make the states."""


def record(folder: Path, versions: Versions, seconds: int, times: int) -> Measured:
    symbols, newest = versions.symbols, 0.0
    with RecorderChild(folder, symbols) as recorder, Peaks(recorder.pid) as peaks:
        for number in range(seconds):
            second = versions.second()
            recorder.take(second)
            newest = second.now
            progress(f"{number + 1:,} of {seconds:,} s, the recorder holds {peaks.own:.0f} MB")
        progress("")
        recorder.figures("tell")
        recording, _ = asyncio.run(answered(folder, symbols, newest, times))
        figures = recorder.figures("finish")
        recorder.end()
    stopped, engine = asyncio.run(answered(folder, symbols, newest, times))
    return Measured(
        **figures,
        own=peaks.own,
        child=peaks.child,
        recording=recording,
        stopped=stopped,
        engine=engine,
        feynman=versions.spent,
    )


def tell(measured: Measured, symbols: int, seconds: int) -> None:
    """The figures of the record itself."""
    of_day = symbols * DAY
    sizes = {stage: measured.bytes[stage] / measured.rows[stage] for stage in STAGES}
    rows = [[about, sizes[stage], f"{sizes[stage] * of_day / 1e9:.1f}"] for stage, about in STAGES.items()]
    table(f"{symbols:,} symbols, {seconds / 60:g} minutes", ("rows", "bytes a row", "GB a day"), rows)
    shares = {part: measured.spent[part] / seconds for part in WORK}
    work = [[about, 1e6 * shares[part] / symbols, percent(shares[part], 1)] for part, about in WORK.items()]
    whole = sum(shares.values())
    work.append(["all", 1e6 * whole / symbols, percent(whole, 1)])
    feynman = measured.feynman / seconds
    work.append(["beside: feynman's table, which made the states", 1e6 * feynman / symbols, percent(feynman, 1)])
    table("What the recorder does", ("work", "µs CPU a row", "of a core"), work)
    say(f"\na day: {whole * 24:.1f} hours of CPU; memory: {measured.own:.0f} MB, {measured.child:.0f} MB to sort")


def tell_beside(measured: Measured, copied: Copied, asked_there: Mapping[str, float], streams: Streamed) -> None:
    heads = ("question", "while recording", "in files of hours", "DuckDB's own file", "takes")
    rows = []
    for name, question in QUESTIONS.items():
        ours, theirs = measured.stopped[name], asked_there[name]
        rows.append([question.about, measured.recording[name], ours, theirs, f"{theirs / ours:.1f}×"])
    table(
        f"ms CPU for answers of the engine, with {measured.engine:.0f} MB, and of DuckDB, on one thread", heads, rows
    )
    per_row = copied.bytes / copied.rows
    ours = measured.bytes["hour"] / measured.rows["hour"]
    heads = ("the same rows", "bytes a row", "of the record's", "µs CPU a row", "all of one symbol")
    table(
        "Beside the record",
        heads,
        [
            [
                "DuckDB's own file, from Parquet",
                per_row,
                f"{per_row / ours:.1f}×",
                copied.cpu / copied.rows * 1e6,
                "–",
            ],
            [
                "streams of Redis, in memory",
                *(streams.bytes, f"{streams.bytes / ours:.0f}×", streams.redis_cpu),
                f"{streams.range_ms:.2f} ms for {streams.messages}",
            ],
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-record", description=__doc__)
    parser.add_argument("--symbols", type=int, default=10_000)
    parser.add_argument("--window", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=60.0, help="of the market (%(default)s)")
    parser.add_argument("--seconds-of-stream", type=int, default=60, help="that go to Redis (%(default)s)")
    parser.add_argument("--times", type=int, default=20, help="how often each question is asked (%(default)s)")
    parser.add_argument("--folder", help="on the disk that is asked about; else that of temporary files")
    given = parser.parse_args()
    if not 1 <= given.symbols <= MOST_SYMBOLS:
        parser.error(f"--symbols must be 1 to {MOST_SYMBOLS:,}")
    logs.configure("bench", "warning")
    versions, seconds = Versions(given.symbols, given.window), max(4, round(given.minutes * 60))
    with tempfile.TemporaryDirectory(dir=given.folder) as temporary:
        folder = Path(temporary)
        measured = record(folder / "record", versions, seconds, given.times)
        tell(measured, given.symbols, seconds)
        copied = Copied(folder / "record", folder / "copied.duckdb")
        there = asyncio.run(copied.answered(lambda number, many: chosen(versions.symbols, number, many), given.times))
        some = (versions.second() for _ in range(given.seconds_of_stream))
        streams = asyncio.run(streamed(folder / "redis", versions.symbols, some))
        tell_beside(measured, copied, there, streams)


if __name__ == "__main__":
    main()
