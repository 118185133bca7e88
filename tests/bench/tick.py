"""A whole tick on a real server: `make bench-tick`.

A Redis of its own with this repository's redis.conf, the market service with so many simulated symbols, each renewed
every second, and feynman: three processes as they run anywhere. Costs are CPU time, as the kernel counts it.
With `--beside COMMIT` the services of that commit are measured too, in turn with these.
"""

import argparse
import asyncio
import itertools
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cottage.redis import Client, connect
from cottage.store import PhysicsStates
from deploy.redis_server import REDIS_CONF, find_server, free_port, start
from tests.bench.beside import add_arguments, checkout
from tests.bench.processes import cpu_seconds, resident_bytes
from tests.bench.telling import progress, say
from tests.support import ROOT, ServiceProcess, eventually, service

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MOST_SYMBOLS = 25_000  # their names go through one environment variable, which Linux holds to 128 KB


def names(number: int) -> list[str]:
    """AAAA, AAAB, …"""
    every: Iterator[str] = map("".join, itertools.product(LETTERS, repeat=4))
    return list(itertools.islice(every, number))


def megabytes(pid: int) -> float:
    return resident_bytes(pid) / 2**20


@dataclass(frozen=True, slots=True)
class Reading:
    """What has been used so far."""

    feynman: float
    market: float
    redis: float
    rewrites: int
    saves: int
    appended: int
    """Bytes in the append-only file."""


class Bench:
    def __init__(self, given: argparse.Namespace, root: Path = ROOT) -> None:
        """`root`: the repository whose services these are."""
        self._given = given
        self._root = root

    async def run(self) -> float:
        """Returns feynman's CPU ms a tick."""
        given = self._given
        with tempfile.TemporaryDirectory() as folder:
            server = find_server()
            say(f"{server.kind} {server.version}, {given.symbols:,} symbols, a window of {given.window:,},")
            say(f"a tick every {given.tick} s, checkpoints {'on' if given.checkpoints else 'off'}")
            with start(server, Path(folder) / "redis", free_port(), config=REDIS_CONF) as running:
                async with connect(running.url) as client:
                    return await self._with(client, running.url, running.pid, Path(folder))

    async def _with(self, client: Client, url: str, redis_pid: int, folder: Path) -> float:
        given = self._given
        market = {"REDIS_URL": url, "MARKET_SYMBOLS": ",".join(names(given.symbols))}
        feynman = {
            "REDIS_URL": url,
            "FEYNMAN_TICK_SECONDS": str(given.tick),
            "FEYNMAN_WINDOW": str(given.window),
            "FEYNMAN_CHECKPOINT_DIR": str(folder / "checkpoints") if given.checkpoints else "",
            "LOG_LEVEL": "debug",
        }
        root = self._root
        async with service("market", market, cwd=root) as feeding, service("feynman", feynman, cwd=root) as computing:
            await feeding.logged("starting")

            def all_written() -> bool:
                ticks = [line for line in computing.logs if line["event"] == "states_written"]
                return bool(ticks and ticks[-1]["written"] == given.symbols)

            await computing.logged("starting")
            await eventually(all_written, 120)
            pids = (computing.pid, feeding.pid, redis_pid)
            before, first, seconds = await self._reading(client, pids), len(computing.logs), 0
            memory = [megabytes(computing.pid)]
            while seconds < given.seconds:
                await asyncio.sleep(1)
                seconds += 1
                memory.append(megabytes(computing.pid))
                progress(f"{seconds} of {given.seconds} s, feynman holds {memory[-1]:.0f} MB")
            progress("")
            after = await self._reading(client, pids)
            ticks = [line for line in computing.logs[first:] if line["event"] in ("states_written", "sampled")]
            self._tell(before, after, ticks, memory)
            await self._tell_consistency(client, computing)
            return (after.feynman - before.feynman) * 1e3 / max(1, len(ticks))

    async def _reading(self, client: Client, pids: tuple[int, int, int]) -> Reading:
        about = await client.info("persistence")
        feynman, market, redis = map(cpu_seconds, pids)
        return Reading(
            feynman,
            market,
            redis,
            rewrites=int(about["aof_rewrites"]),
            saves=int(about["rdb_saves"]),
            appended=int(about["aof_current_size"]),
        )

    def _tell(self, before: Reading, after: Reading, ticks: Sequence[dict[str, Any]], memory: list[float]) -> None:
        seconds, number = self._given.seconds, max(1, len(ticks))
        skipped = ticks[-1]["number"] - ticks[0]["number"] + 1 - len(ticks) if ticks else 0
        say()
        say(f"{'':28} {'CPU ms a tick':>14} {'CPU ms a second':>16}")
        for name in ("feynman", "market", "redis"):
            used = (getattr(after, name) - getattr(before, name)) * 1e3
            say(f"{name:28} {used / number:14.0f} {used / seconds:16.0f}")
        say()
        say(f"{'':28} {'p50':>8} {'p99':>8} {'most':>8}")
        for name, about in (("ms", "a tick takes, ms"), ("late_ms", "it begins late, ms")):
            values = sorted(float(tick[name]) for tick in ticks)
            say(f"{about:28} {at(values, 0.5):8.1f} {at(values, 0.99):8.1f} {at(values, 1.0):8.1f}")
        say()
        say(f"ticks: {len(ticks)}, and {skipped} left out because their time had passed")
        say(f"feynman's memory: {memory[0]:.0f} MB at first, {max(memory):.0f} at most, {memory[-1]:.0f} at last")
        say(f"append-only file: {(after.appended - before.appended) / 1e6:+.0f} MB in {seconds} s, ", end="")
        say(f"rewritten {after.rewrites - before.rewrites} times; {after.saves - before.saves} snapshots of Redis")

    async def _tell_consistency(self, client: Client, computing: ServiceProcess) -> None:
        """Every state is there, of one writer, and within the last two ticks that were written."""
        states = await PhysicsStates(client).many(names(self._given.symbols))
        versions = [state.version for state in states.values() if state.version is not None]
        epochs = {version.epoch for version in versions}
        spread = max(v.seq for v in versions) - min(v.seq for v in versions)
        late = [line for line in computing.logs if line["event"] == "tick_late"]
        say(f"states: {len(states):,} of {self._given.symbols:,}, {len(epochs)} epoch, ", end="")
        say(f"seq at most {spread} apart; ", end="")
        say(f"{len(late)} warnings of a late tick")


def at(ordered: Sequence[float], share: float) -> float:
    """A quantile of values in order."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-tick", description=__doc__)
    parser.add_argument("--symbols", type=int, default=10_000)
    parser.add_argument("--window", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=300, help="how long to measure")
    parser.add_argument("--tick", type=float, default=1.0, help="seconds; a short one shows what is past capacity")
    parser.add_argument("--checkpoints", action="store_true", help="save the windows meanwhile, as make run does")
    add_arguments(parser, pairs=1)
    given = parser.parse_args()
    if not 1 <= given.symbols <= MOST_SYMBOLS:
        parser.error(f"--symbols must be 1 to {MOST_SYMBOLS:,}")
    if given.beside is None:
        asyncio.run(Bench(given).run())
        return
    with checkout(given.beside) as old:
        if old is None:
            asyncio.run(Bench(given).run())
        else:
            in_turn(given, old)


def in_turn(given: argparse.Namespace, old: Path) -> None:
    """Measure the older repository and this one again and again, and compare."""
    pairs = []
    for _ in range(given.pairs):
        pair = []
        for name, root in ((given.beside, old), ("here", ROOT)):
            say(f"{name}:")
            pair.append(asyncio.run(Bench(given, root).run()))
            say()
        pairs.append(pair)
    say(f"{'feynman, CPU ms a tick':28} {given.beside:>14} {'here':>16}")
    for number, (before, now) in enumerate(pairs, 1):
        say(f"{f'pair {number}':28} {before:14.0f} {now:16.0f} {now / before - 1:+8.0%}")
    before, now = (statistics.median(each) for each in zip(*pairs, strict=True))
    say(f"{'median':28} {before:14.0f} {now:16.0f} {now / before - 1:+8.0%}")


if __name__ == "__main__":
    main()
