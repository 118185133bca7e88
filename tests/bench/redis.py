"""What Redis answers in, through our own client: `make bench-redis`.

The table of the specification's section 6, measured beside its figures, and what thousands of commands cost in
bulk. The reference of each is redis-py's own client in the same run, with its defaults, or its pipeline.
"""

import argparse
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import uvloop
from redis.asyncio import Redis

from cottage import keys
from cottage.redis import Client, connect
from cottage.snapshot import SAMPLE_FIELDS, MarketSnapshot
from cottage.store import MarketSnapshots, PhysicsStates, batches
from deploy.redis_server import REDIS_CONF, find_server, free_port, start
from tests.bench.telling import progress, say

SPECIFIED = {"GET": (0.1, 0.3, 0.5), "SET": (0.2, 0.4, 0.8), "PUBLISH": (0.3, 0.6, 1.2)}
"""What the specification promises: milliseconds at P50, P95 and P99."""
SPECIFIED_OPERATIONS = 100_000
"""What it promises a second."""

SHARES = (0.50, 0.95, 0.99)
STATE = (
    b'{"mass":0.42,"momentum":1.23,"friction":0.15,"entropy":0.08,"nash_dist":0.05,"regime":"Gaussian",'
    b'"alpha_coefficient":2.8,"price":450.32,"samples":1000,"nonzero":812,"source":"simulate",'
    b'"timestamp":"2025-12-21T12:00:00.000Z","epoch":1766318400000,"seq":4711}'
)
Work = Callable[[], Awaitable[Any]]


async def latencies(works: Sequence[Work], number: int) -> list[list[float]]:
    """Milliseconds of each call, in order of size; the works take turns, so that all meet the same machine."""
    taken: list[list[float]] = [[] for _ in works]
    for turn in range(number + number // 10):
        for work, times in zip(works, taken, strict=True):
            began = time.perf_counter()
            await work()
            if turn >= number // 10:  # the first are for warming up
                times.append((time.perf_counter() - began) * 1e3)
    return [sorted(times) for times in taken]


def quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[int(share * (len(ordered) - 1))]


async def single(ours: Client, plain: Redis, number: int) -> None:
    key = keys.physics_state("SPY")
    await ours.set(key, STATE)
    say(f"{number:,} commands each, one after the other, in ms (the specification's, and whether within)")
    say(
        f"{'':10}"
        + "".join(f"{f'P{share * 100:.0f}':>20}" for share in SHARES)
        + f"{'redis-py: P50':>16}{'ratio':>8}"
    )
    for name in SPECIFIED:
        progress(name)
        samples, references = await latencies([command(ours, name, key), command(plain, name, key)], number)
        reference = quantile(references, 0.5)
        cells = []
        for share, allowed in zip(SHARES, SPECIFIED[name], strict=True):
            found = quantile(samples, share)
            cells.append(f"{found:.3f} ({allowed}, {'yes' if found <= allowed else 'NO'})")
        ratio = reference / quantile(samples, 0.5)
        say(f"{name:10}" + "".join(f"{cell:>20}" for cell in cells) + f"{reference:16.3f}{ratio:7.1f}×")
    say()


def command(client: Any, name: str, key: str) -> Work:
    if name == "GET":
        return lambda: client.get(key)
    if name == "SET":
        return lambda: client.set(key, STATE)
    return lambda: client.publish(keys.STATE_UPDATE, STATE)


async def bulk(ours: Client, plain: Redis, symbols: int) -> None:
    """What a tick and a feed do, against the same through redis-py's pipeline."""
    names = [f"S{i}" for i in range(symbols)]
    market, states = MarketSnapshots(ours), PhysicsStates(ours)
    price = 100.0
    snapshots = [
        MarketSnapshot(n, price, time.time(), 7, 3, "bench", price, price, price, price, price) for n in names
    ]

    async def written() -> None:
        await market.write(snapshots)

    async def pipelined(add: Callable[[Any, MarketSnapshot], object], transaction: bool = False) -> None:
        for part in batches(snapshots):
            pipeline = plain.pipeline(transaction=transaction)
            for snapshot in part:
                add(pipeline, snapshot)
            await pipeline.execute()

    def write(pipeline: Any, snapshot: MarketSnapshot) -> None:
        key = keys.market_snapshot(snapshot.symbol)
        pipeline.hset(key, mapping=snapshot.to_hash())
        pipeline.expire(key, keys.SNAPSHOT_TTL_SECONDS)

    async def read() -> None:
        await market.samples(names)

    async def set_all() -> None:
        await ours.bulk(("SET", keys.physics_state(name), STATE) for name in names)

    async def read_states() -> None:
        await states.many(names)

    async def read_states_plainly() -> None:
        for part in batches(names):
            await plain.mget([keys.physics_state(name) for name in part])

    cases: tuple[tuple[str, Work, Work], ...] = (
        ("write snapshots", written, lambda: pipelined(write, transaction=True)),
        (
            "read snapshots",
            read,
            lambda: pipelined(lambda pipeline, s: pipeline.hmget(keys.market_snapshot(s.symbol), SAMPLE_FIELDS)),
        ),
        (
            "SET states",
            set_all,
            lambda: pipelined(lambda pipeline, s: pipeline.set(keys.physics_state(s.symbol), STATE)),
        ),
        ("read and parse states", read_states, read_states_plainly),
    )
    say(f"{symbols:,} of each, CPU ms (redis-py's MGET is without the parsing)")
    say(f"{'':24}{'client':>8}{'Redis':>8}{'operations/s':>16}{'redis-py: client':>18}{'ratio':>8}")
    for name, work, plainly in cases:
        progress(name)
        client, server, clock = await cost(ours, work)
        reference, _, _ = await cost(ours, plainly)
        line = f"{name:24}{client:8.1f}{server:8.1f}{symbols / clock:16,.0f}{reference:18.1f}"
        say(line + f"{reference / client:7.1f}×")
    say(f"(the specification's most: {SPECIFIED_OPERATIONS:,} operations a second, of Redis itself)")


async def cost(client: Client, work: Work, times: int = 5) -> tuple[float, float, float]:
    """CPU ms of this process and of Redis, and seconds by the clock; the least of some runs."""
    await work()
    costs = []
    for _ in range(times):
        before, began, clock = await server_cpu(client), time.process_time(), time.perf_counter()
        await work()
        used, took = (time.process_time() - began) * 1e3, time.perf_counter() - clock
        costs.append((used, (await server_cpu(client) - before) * 1e3, took))
    return min(c[0] for c in costs), min(c[1] for c in costs), min(c[2] for c in costs)


async def server_cpu(client: Client) -> float:
    """Seconds of CPU that the server has used."""
    about = await client.info("cpu")
    return float(about["used_cpu_user"]) + float(about["used_cpu_sys"])


async def measure(url: str, given: argparse.Namespace) -> None:
    async with connect(url) as ours, Redis.from_url(url) as plain:
        await single(ours, plain, given.number)
        await bulk(ours, plain, given.symbols)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-redis", description=__doc__)
    parser.add_argument("--number", type=int, default=20_000, help="commands of each kind")
    parser.add_argument("--symbols", type=int, default=10_000, help="of the bulk table")
    given = parser.parse_args()
    server = find_server()
    say(f"{server.kind} {server.version}, started for this, with redis.conf")
    with (
        tempfile.TemporaryDirectory() as folder,
        start(server, Path(folder), free_port(), config=REDIS_CONF) as running,
    ):
        uvloop.run(measure(running.url, given))


if __name__ == "__main__":
    main()
