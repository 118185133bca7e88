"""The benchmarks that need a server run, here at a tiny size, and print what they promise."""

import gzip
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cottage.state import PILLARS
from tests.bench.fanout.tokens import ways
from tests.bench.record import STAGES
from tests.bench.record_beside import QUESTIONS


def printed(module: str, *arguments: str) -> list[str]:
    done = subprocess.run([sys.executable, "-m", f"tests.bench.{module}", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_redis() -> None:
    lines = printed("redis", "--number", "50", "--symbols", "20")
    told = [line for line in lines if line.endswith("×")]
    assert [line.split()[0] for line in told[:3]] == ["GET", "SET", "PUBLISH"]
    assert [line.count("yes)") + line.count("NO)") for line in told[:3]] == [3, 3, 3]
    assert len(told) == 7


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_a_tick_of_an_older_commit_is_measured_in_the_same_run() -> None:
    lines = printed("tick", "--symbols", "3", "--window", "50", "--seconds", "1", "--beside", "HEAD")
    assert [line for line in lines if line in ("HEAD:", "here:")] == ["HEAD:", "here:"]
    assert [line.split()[0] for line in lines[-3:]] == ["feynman,", "pair", "median"]


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_where_there_is_no_such_commit_that_is_said_and_the_rest_measured() -> None:
    lines = printed("tick", "--symbols", "3", "--window", "50", "--seconds", "1", "--beside", "0000000")
    assert lines[0] == "the history here has no 0000000 to measure beside"
    assert any(line.startswith("feynman  ") for line in lines)


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_tick() -> None:
    lines = printed("tick", "--symbols", "20", "--window", "50", "--seconds", "2", "--checkpoints")
    assert [line.split()[0] for line in lines if line.startswith(("feynman  ", "market  ", "redis  "))] == [
        "feynman",
        "market",
        "redis",
    ]
    assert any(line.startswith("states: 20 of 20, 1 epoch") for line in lines)


def test_checkpoint() -> None:
    lines = printed("checkpoint", "--symbols", "20", "--window", "50", "--spread", "0.5")
    assert lines[0].startswith("20 symbols × 50 samples")


def test_files() -> None:
    lines = printed("files", "--rows", "30000")
    told = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")][2:]
    assert [(row[0], row[2]) for row in told] == [
        (order, "30,000") for order in ("in order", "newest first", "by symbol")
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_record() -> None:
    small = ("--symbols", "20", "--window", "50", "--minutes", "0.2", "--seconds-of-stream", "2", "--times", "1")
    lines = printed("record", *small)
    told = {row[0]: row[1:] for row in (line.strip("| ").split(" | ") for line in starting(lines, "| "))}
    assert [stage for stage in STAGES.values() if float(told[stage][0]) <= 0.0] == []
    assert [question.about for question in QUESTIONS.values() if len(told[question.about]) != 4] == []
    assert "DuckDB's own file, from Parquet" in told
    assert told["streams of Redis, in memory"][-1].endswith("ms for 2")


def test_pillars(tmp_path: Path) -> None:
    trades = tmp_path / "trades.csv.gz"
    moment = datetime(2025, 12, 21, tzinfo=UTC)
    with gzip.open(trades, "wt") as file:
        file.write("timestamp,symbol,price,size\n")
        for number in range(240):
            at = moment + timedelta(seconds=number // 2)
            file.write(f"{at.isoformat()},SPY,{100 + number % 7 / 4},{1 + number % 3}\n")
    lines = printed("pillars", str(trades), "--sigmas", "1", "--paths", "2", "--samples", "120", "--window", "60")
    assert "trades.csv.gz, 60 readings" in lines
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    fields = [[row for row in rows if row[0] == name] for name in (*PILLARS, "alpha_coefficient")]
    assert [len(row) for of_field in fields for row in of_field] == [12, 13] * 6
    friction = fields[PILLARS.index("friction")][1]
    assert friction[-1] == "0.0 %", "it knows no price"


def starting(lines: list[str], *words: str) -> list[str]:
    return [line for line in lines if line.startswith(words)]


FANOUT: dict[str, Callable[[list[str]], bool]] = {
    "saturated": lambda lines: (
        all(
            line.rpartition("  ")[2].strip().endswith("×")
            for line in starting(lines, "websockets.broadcast()", "broadcaster  ", "floor in C")
        )
        and len(starting(lines, "websockets.broadcast()", "broadcaster  ", "floor in C")) == 6
    ),
    "idle": lambda lines: sum("none refused, each holds the newest" in line for line in lines) == 3,
    "link": lambda lines: len(starting(lines, "bridge ")) == 1,
    "shared": lambda lines: ["deliveries/s" in line for line in starting(lines, "1:", "2:")] == [True, True],
    "batches": lambda lines: (len(starting(lines, "level ")), len(starting(lines, "batch=250"))) == (4, 1),
    "tokens": lambda lines: (
        [line.split("  ")[0] for line in lines if line.endswith("×")] == 2 * [way.name for way in ways(20)]
        and sum("1.000×" in line or line.endswith(" 1.00×") for line in starting(lines, "tokens off")) == 2
    ),
    "tls": lambda lines: (
        [sum(words in line for line in lines) for words in ("at once", "KiB each", "KiB more")] == [2, 2, 2]
    ),
}
"""Whether each part of the benchmark has printed what it promises."""


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="it reads /proc and needs a C compiler"
)
@pytest.mark.parametrize("part", FANOUT)
def test_fanout(part: str) -> None:
    small = ["--seconds", "0.5", "--clients", "20", "--idle", "50", "--minutes", "0", "--rounds", "2", "--new", "100"]
    lines = printed("fanout", *small, "--only", part)
    assert FANOUT[part](lines), lines


def test_steps() -> None:
    lines = printed("steps", "--windows", "2", "--gaps", "3")
    markets = [line for line in lines if line.startswith("| normal, ")]
    assert len(markets) == (4 + 3) * 5
    assert len(starting(lines, "mean RMSE of ")) == 2 * 5
