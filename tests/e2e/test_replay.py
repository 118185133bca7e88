"""A recording, replayed: what a client receives equals a computation from the file alone.

The file is read here with `csv`, the samples are the last trade of each of its seconds, at whatever speed, and the
vectors are the plain-Python reference's; what ties them to the suite is only what `market:feed:REPLAY` says of the
mapping from recorded to wall-clock time. On any recording of trades:

    REPLAY_FILE=trades.csv.gz REPLAY_SPEED=10 REPLAY_SECONDS=300 make test ARGS='-s tests/e2e/test_replay.py'
"""

import asyncio
import csv
import gzip
import itertools
import json
import math
import os
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from cottage import reference
from cottage.client.state_client import StateClient
from cottage.redis import Client
from tests.e2e.suite import Suite, suite, until
from tests.e2e.suite import client as websocket
from tests.one_kind import on_one_kind
from tests.support import eventually, program

pytest_generate_tests = on_one_kind

PILLARS = ("mass", "momentum", "friction", "entropy", "nash_dist")


class Trade(NamedTuple):
    micros: int
    price: float
    size: float


class Recording(NamedTuple):
    path: Path
    symbol: str
    speed: float
    seconds: float
    """So long it is watched, or until there were so many `updates`."""
    updates: float
    env: dict[str, str]


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    """The file that the environment names, or one of our own: 400 s of trades, replayed in twenty."""
    if path := os.environ.get("REPLAY_FILE"):
        symbol = next(_rows(Path(path)))["symbol"]
        speed, seconds = float(os.environ.get("REPLAY_SPEED", "10")), float(os.environ.get("REPLAY_SECONDS", "300"))
        return Recording(Path(path), symbol, speed, seconds, math.inf, {})
    own = tmp_path / "trades.csv.gz"
    generator = random.Random(5)
    moment, price = 1_378_202_400.0, 1644.75
    with gzip.open(own, "wt", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["timestamp", "symbol", "price", "size"])
        for _ in range(8000):
            moment += generator.expovariate(20)
            price += 0.25 * generator.choice((-1, 1))
            stamp = datetime.fromtimestamp(round(moment, 3), UTC).isoformat(timespec="milliseconds")
            rows.writerow([stamp.replace("+00:00", "Z"), "ES", price, generator.randint(1, 20)])
    fast = {"FEYNMAN_TICK_SECONDS": "0.1", "FEYNMAN_DISCOVERY_SECONDS": "0.2", "BROADCASTER_HEARTBEAT_SECONDS": "1"}
    return Recording(own, "ES", 20.0, 18.0, 100, fast)


async def test_what_a_client_receives_is_what_the_file_says(
    redis_url: str, client: Client, recording: Recording
) -> None:
    env = {
        **recording.env,
        "MARKET_SOURCE": "replay",
        "MARKET_FILE": str(recording.path),
        "MARKET_SPEED": str(recording.speed),
    }
    async with AsyncExitStack() as stack:
        running = Suite(redis_url, env, stack)
        for name in ("feynman", "physics", "bridge", "broadcaster"):
            await running.start(name)
        await running.processes["broadcaster"].ready()
        connection = await stack.enter_async_context(websocket(f"{running.ws_url}?symbols={recording.symbol}"))
        assert (await until(connection, "SNAPSHOT", last=True))["missing"] == [recording.symbol]
        await running.start("market")
        mapping = await _mapping(running)

        updates: list[dict[str, Any]] = []
        try:
            async with asyncio.timeout(recording.seconds):
                while len(updates) < recording.updates:
                    message = orjson.loads(await connection.recv(decode=False))
                    if message["event"] == "PHYSICS_UPDATE":
                        updates.append(message)
        except TimeoutError:
            pass
        await _agree_everywhere(running, client, recording.symbol)

    assert len(updates) > 60
    expected = _from_the_file(recording, mapping, updates)
    for update, vector in zip(updates, expected, strict=True):
        data = update["data"]
        for name in PILLARS:
            assert data[name] == pytest.approx(getattr(vector, name), rel=1e-9, abs=1e-12), (name, update)
        assert data["alpha"] == pytest.approx(vector.alpha_coefficient, rel=1e-9)
        assert (data["regime"], data["samples"], data["nonzero"]) == (vector.regime, vector.samples, vector.nonzero)
    _report(updates)
    assert updates[-1]["data"]["samples"] > 2 * len(updates), "more than snapshots alone could hand over"
    assert updates[-1]["data"]["nonzero"] >= 64
    assert updates[-1]["data"]["regime"] != "WAIT"


async def test_the_end_of_a_recording_is_no_dead_feed(redis_url: str, tmp_path: Path) -> None:
    """Of a market that is killed clients are told otherwise, and of one that starts over nothing."""
    short = tmp_path / "short.csv"
    short.write_text("timestamp,symbol,price,size\n100,ES,10,1\n101,ES,11,2\n")
    env = {"MARKET_SOURCE": "replay", "MARKET_FILE": str(short), "MARKET_FEED_SECONDS": "2"}
    env |= {"FEYNMAN_DISCOVERY_SECONDS": "0.2"}
    async with suite(redis_url, env) as running, websocket(running.ws_url) as connection:
        await until(connection, "FRESHNESS", 30, symbols=["ES"], status="stale", cause="feed_ended")

        async def is_told_by_the_api() -> bool:
            freshness = (await running.get("/v1/physics/ES")).json()["freshness"]
            return bool(freshness["cause"] == "feed_ended")

        await eventually(is_told_by_the_api)
        async with StateClient.connect(running.ws_url) as follower:
            await follower.synced()
            await eventually(lambda: follower.cause("ES") == "feed_ended")
        watching = ["-m", "cottage", "watch", "--json", "--once", "--url", running.ws_url]
        async with program(watching) as table:
            assert await table.ended() == 0
            assert [(line["symbol"], line["cause"]) for line in table.logs] == [("ES", "feed_ended")]

        await running.processes["market"].kill()
        assert (await until(connection, "FRESHNESS", 30, cause="feed_down"))["symbols"] == ["ES"]


async def _mapping(running: Suite) -> dict[str, float]:
    """From the log line of the replay's start."""
    started = await running.processes["market"].logged("replay_started")
    return {name: float(started[name]) for name in ("recorded_from", "started_at", "speed")}


async def _agree_everywhere(running: Suite, client: Client, symbol: str) -> None:
    """The state in Redis and at the API, where both looks fall between two ticks."""
    for _ in range(50):
        payload = await client.get(f"physics:state:{symbol}")
        answer = (await running.get(f"/v1/physics/{symbol}")).json()
        assert payload is not None
        state = json.loads(payload)
        if (state["epoch"], state["seq"]) == (answer["epoch"], answer["seq"]):
            assert state.items() <= answer.items()
            return
    pytest.fail("Redis and the API never showed the same version")


def _from_the_file(
    recording: Recording, mapping: dict[str, float], updates: list[dict[str, Any]]
) -> list[reference.Vector]:
    """The reference's vector at the time of each update, from the last trade of each second up to then. A regime is
    decided when a state is issued, whatever was taken for it."""
    samples = _samples(recording)
    start = round(mapping["recorded_from"] * 1e6)
    vectors, taken = [], []
    for update in updates:
        timestamp = datetime.fromisoformat(update["timestamp"]).timestamp()
        # Both are whole milliseconds; a float of seconds since 1970 is off by a fraction of a microsecond.
        elapsed_ms = round((timestamp - mapping["started_at"]) * 1000)
        until = (start + elapsed_ms * mapping["speed"] * 1000) / 1e6
        taken.append(sum(1 for sample in samples if sample.timestamp <= until + 1e-6))
        assert samples[taken[-1] - 1].price == update["data"]["price"]
        vectors.append(reference.vector(samples[: taken[-1]]))
    tails = reference.tails(samples)
    regimes = reference.regimes(tails[number - 1] for number in taken)
    return [vector._replace(regime=kept) for vector, kept in zip(vectors, regimes, strict=True)]


def _samples(recording: Recording) -> list[reference.PlainSample]:
    """The last trade of each second in which there is one, with what was traded up to it, by the recording's time."""
    trades = [
        Trade(
            round(datetime.fromisoformat(row["timestamp"]).timestamp() * 1e6), float(row["price"]), float(row["size"])
        )
        for row in _rows(recording.path)
        if row["symbol"] == recording.symbol
    ]
    samples, volume = [], 0.0
    for number, (trade, after) in enumerate(itertools.zip_longest(trades, trades[1:]), 1):
        volume += trade.size
        if after is None or math.ceil(after.micros / 1e6) > math.ceil(trade.micros / 1e6):
            samples.append(reference.PlainSample(trade.micros / 1e6, trade.price, volume, number))
    return samples


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        yield from csv.DictReader(file)


def _report(updates: list[dict[str, Any]]) -> None:
    first = datetime.fromisoformat(updates[0]["timestamp"])
    left_wait = next((update for update in updates if update["data"]["regime"] != "WAIT"), None)
    print(f"\n{len(updates)} updates, all equal to the computation from the file")
    if left_wait is not None:
        after = (datetime.fromisoformat(left_wait["timestamp"]) - first).total_seconds()
        print(f"left WAIT after {after:.0f} s with {left_wait['data']['nonzero']} non-zero returns")
    print(f"last: {json.dumps(updates[-1], ensure_ascii=False)}")
