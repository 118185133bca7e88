"""What a crash of Redis costs: its files are never torn, and what is lost is known.

Killing the process loses nothing that it had handed to the kernel: the page cache outlives it. So the kills here
show that nothing is torn by a death of the process, and nothing lost but what it had not handed over yet: usually
nothing, and at most two seconds while the disk is busy with a sync. They do not show what `appendfsync
everysec` means, which is about a machine that loses its power. For that the files are copied while they are
written, as they were a second before the end, and cut anywhere: what a disk may hold that was not told to sync since.
"""

import asyncio
import random
import shutil
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest

from cottage import keys
from cottage.errors import RedisError
from cottage.redis import Client, connect
from deploy.redis_server import REDIS_CONF, RunningServer, Server, free_port, start
from services.feynman.symbol_table import StateWrite
from services.feynman.writer import Writer
from tests.support import eventually

SYMBOLS = 50
A_SECOND = 1000
"""Writes."""
PUT_OFF_SECONDS = 2.5
"""For so long a write to the append-only file may wait for a sync that is under way, and a moment more."""


def written(symbol: int, epoch: int, seq: int) -> StateWrite:
    """A state that says by itself whether it is whole: everything in it follows from its number."""
    state = orjson.dumps({"price": seq * 2, "check": str(seq) * 20, "epoch": epoch, "seq": seq})
    return StateWrite(f"S{symbol}", state, None)


def number_of(payload: bytes) -> int:
    """The seq of a state; AssertionError for one that is torn."""
    fields = orjson.loads(payload)
    assert (fields["price"], fields["check"]) == (fields["seq"] * 2, str(fields["seq"]) * 20), payload
    return int(fields["seq"])


@dataclass(slots=True)
class Load:
    """A thousand writes a second through feynman's own writer. `done`: by time, the seq that was acknowledged."""

    url: str
    seq: int = 0
    done: list[tuple[float, int]] = field(default_factory=list)

    async def run(self) -> None:
        """Until Redis is gone."""
        async with Writer(self.url, shard="0/1", lease_seconds=60) as writer:
            assert await writer.acquire()
            assert writer.epoch is not None
            try:
                while True:
                    self.seq += 1
                    await writer.write([written(symbol, writer.epoch, self.seq) for symbol in range(SYMBOLS)])
                    self.done.append((time.monotonic(), self.seq))
                    await asyncio.sleep(SYMBOLS / A_SECOND)
            except RedisError:
                return

    def acknowledged(self, at: float) -> int:
        """The newest then."""
        return max((seq for moment, seq in self.done if moment <= at), default=0)


@asynccontextmanager
async def loaded(running: RunningServer, seq: int = 0) -> AsyncIterator[Load]:
    load = Load(running.url, seq)
    task = asyncio.create_task(load.run())
    try:
        yield load
    finally:
        if not task.done():
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def held(client: Client) -> list[int]:
    """The numbers of all states; none is torn."""
    payloads = await client.mget([keys.physics_state(f"S{symbol}") for symbol in range(SYMBOLS)])
    return [number_of(payload) for payload in payloads if isinstance(payload, bytes)]


def begun(server: Server, folder: Path) -> RunningServer:
    return start(server, folder, free_port(), config=REDIS_CONF)


@pytest.mark.parametrize("kills", [4, pytest.param(50, marks=pytest.mark.slow)])
async def test_killed_under_load_it_loses_nothing_that_it_had_acknowledged(
    server_binaries: dict[str, Server], tmp_path: Path, kills: int
) -> None:
    server = server_binaries.get("redis") or server_binaries["valkey"]
    rng, lost, seq, handed_over = random.Random(7), [], 0, 0
    for _kill in range(kills):
        with begun(server, tmp_path) as running:
            async with connect(running.url) as client:
                found = await held(client)
                assert len(found) in (0, SYMBOLS)
                if seq:
                    lost.append(seq - min(found))
                    assert min(found) >= handed_over, "Redis puts a write off for two seconds at most"
                    await client.delete(keys.physics_writer(0))  # of the writer that was cut off
            async with loaded(running, seq) as load:
                await eventually(lambda: load.done)
                await asyncio.sleep(rng.uniform(0.2, 0.6))
                killed = time.monotonic()
                running.kill()
                await asyncio.sleep(0.05)
            seq = load.done[-1][1]
            handed_over = load.acknowledged(killed - PUT_OFF_SECONDS)
    print(f"\n{kills} kills at {A_SECOND} writes a second: acknowledged and gone {max(lost)} at most")


async def test_the_files_of_a_second_ago_are_whole_and_a_second_old(
    server_binaries: dict[str, Server], tmp_path: Path
) -> None:
    """What a machine that loses its power has: all that was synced, and of the rest anything."""
    server = server_binaries.get("redis") or server_binaries["valkey"]
    ages: list[float] = []
    rng = random.Random(7)
    with begun(server, tmp_path / "running") as running:
        async with loaded(running) as load:
            await asyncio.sleep(1.0)
            for copy in range(4):
                await asyncio.sleep(0.3)
                taken = time.monotonic()
                folder = tmp_path / f"copy-{copy}"
                shutil.copytree(tmp_path / "running", folder)
                await asyncio.sleep(1.0)  # the power fails a second later
                failed = time.monotonic()
                newest = max((folder / "appendonlydir").glob("*.incr.aof"))
                if copy:  # and the end of the file is anywhere in what was not synced
                    whole = newest.read_bytes()
                    newest.write_bytes(whole[: len(whole) - rng.randrange(1, 2000)])
                with begun(server, folder) as restarted:
                    async with connect(restarted.url) as client:
                        found = await held(client)
                        assert len(found) == SYMBOLS
                        assert min(found) >= load.acknowledged(taken) - 1, "one call at most was cut off"
                        at = next(moment for moment, seq in load.done if seq >= min(found))
                        ages.append(failed - at)
    print(
        f"\na copy that was a second old had lost {statistics.median(ages):.2f} s of writes, {max(ages):.2f} at most"
    )
