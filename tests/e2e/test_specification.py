"""Every key and message of the specification's sections 2 and 3, as it prints them.

Read with plain redis-py, plain `websockets`, and Node's ioredis: what is promised to programs that know
nothing of our code. A docstring names the specification's section that it holds the suite to: §2.1 the physics
state, §2.2 the market snapshot, §3.1 `state_update`, §3.2 `trade_signals`, §5.1 a client in Python (redis-py
with `decode_responses=True`), §5.2 a client in JavaScript.
"""

import asyncio
import json
import math
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as redis

from cottage.redis import connect_blocking
from deploy.redis_server import RunningServer
from tests.e2e.suite import Suite, suite, until
from tests.e2e.suite import client as websocket
from tests.support import ROOT, eventually

REGIMES = {"WAIT", "Gaussian", "Lévy Stable", "Critical"}
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")
FAST = {"MARKET_INTERVAL_SECONDS": "0.2", "FEYNMAN_TICK_SECONDS": "0.2", "FEYNMAN_DISCOVERY_SECONDS": "0.5"}


@pytest.fixture(scope="module")
async def running(shared_redis_server: RunningServer) -> AsyncIterator[Suite]:
    """One suite for all tests here, once for each kind of server."""
    with connect_blocking(shared_redis_server.url) as client:
        client.flushall()
    async with suite(shared_redis_server.url, {**FAST, "MARKET_SYMBOLS": "SPY,AAPL"}) as started:
        yield started


@pytest.fixture
def redis_url(shared_redis_server: RunningServer) -> str:
    return shared_redis_server.url


@pytest.fixture
async def redis_client(redis_url: str) -> AsyncIterator[Any]:
    """§5.1, word for word but for the URL."""
    redis_client = redis.from_url(
        redis_url,
        decode_responses=True,  # Auto-decode bytes to str
        socket_connect_timeout=5,
        socket_keepalive=True,
    )
    async with redis_client:
        yield redis_client


async def test_physics_state(running: Suite, redis_client: Any) -> None:
    """§2.1."""
    data = await eventually(lambda: redis_client.get("physics:state:SPY"))
    state = json.loads(data)
    for name in ("mass", "momentum", "friction", "entropy", "nash_dist", "alpha_coefficient"):
        assert isinstance(state[name], float)
        assert math.isfinite(state[name])
    assert state["regime"] in REGIMES
    assert await redis_client.ttl("physics:state:SPY") == -1, "TTL: None (persistent until overwritten)"
    assert await redis_client.type("physics:state:SPY") == "string"
    assert list(state)[:7] == ["mass", "momentum", "friction", "entropy", "nash_dist", "regime", "alpha_coefficient"]


async def test_market_snapshot(running: Suite, redis_client: Any) -> None:
    """§2.2."""
    snapshot = await eventually(lambda: redis_client.hgetall("market:snapshot:AAPL"))
    for name in ("price", "volume", "bid", "ask", "timestamp"):
        assert math.isfinite(float(snapshot[name]))
    assert float(snapshot["bid"]) <= float(snapshot["ask"])
    seconds, _micros = await redis_client.time()
    assert abs(float(snapshot["timestamp"]) - seconds) < 10
    assert 50 < await redis_client.ttl("market:snapshot:AAPL") <= 60
    assert await redis_client.type("market:snapshot:AAPL") == "hash"


async def test_a_foreign_writer_feeds_the_suite(running: Suite, redis_client: Any) -> None:
    """§2.2's write, by a program that knows nothing of us: its symbol shows within 6 s."""
    async with websocket(f"{running.ws_url}?symbols=TSLA") as connection:
        assert (await until(connection, "SNAPSHOT"))["missing"] == ["TSLA"]
        seconds, micros = await redis_client.time()
        fields = {"price": 450.32, "volume": 89234567, "timestamp": seconds + micros / 1e6}
        await redis_client.hset("market:snapshot:TSLA", mapping=fields)
        await redis_client.expire("market:snapshot:TSLA", 60)
        update = await until(connection, "PHYSICS_UPDATE", timeout=6.0)
    assert update["symbol"] == "TSLA"
    assert update["data"]["price"] == 450.32
    assert update["data"]["regime"] == "WAIT"


async def test_state_updates(running: Suite, redis_client: Any) -> None:
    """§3.1, its own loop."""
    pubsub = redis_client.pubsub()
    await pubsub.subscribe("state_update")
    seen: dict[str, dict[str, Any]] = {}
    async with asyncio.timeout(15):
        async for message in pubsub.listen():
            if message["type"] == "message":
                data = json.loads(message["data"])
                seen[data["event"]] = data
            if {"PHYSICS_UPDATE", "HEARTBEAT"} <= seen.keys():
                break
    await pubsub.aclose()
    update = seen["PHYSICS_UPDATE"]
    assert list(update)[:4] == ["event", "symbol", "timestamp", "data"]
    assert update["symbol"] in ("SPY", "AAPL")
    assert TIMESTAMP.fullmatch(update["timestamp"])
    assert math.isfinite(update["data"]["alpha"])
    assert update["data"]["regime"] in REGIMES
    heartbeat = seen["HEARTBEAT"]
    assert heartbeat["source"] == "feynman"
    assert heartbeat["data"].keys() >= {"shard", "symbols", "written"}


async def test_the_specification_s_own_message_reaches_a_browser(running: Suite, redis_client: Any) -> None:
    """§3.1's example, published as it is printed, arrives byte for byte."""
    printed = """{
  "event": "PHYSICS_UPDATE",
  "symbol": "GLD",
  "timestamp": "2025-12-21T12:00:00Z",
  "data": {
    "alpha": 2.8,
    "regime": "Gaussian"
  }
}"""
    async with websocket(f"{running.ws_url}?symbols=GLD") as connection:
        await until(connection, "SNAPSHOT", last=True)
        assert await redis_client.publish("state_update", printed) >= 1
        async with asyncio.timeout(10):
            while (message := await connection.recv()) != printed:
                assert json.loads(message)["event"] in ("HEARTBEAT", "FRESHNESS")


async def test_a_bare_state_is_served(running: Suite, redis_client: Any) -> None:
    """§2.1's example, SET as it is printed by somebody else: the API and a new client get it."""
    printed = {
        "mass": 0.42,
        "momentum": 1.23,
        "friction": 0.15,
        "entropy": 0.08,
        "nash_dist": 0.05,
        "regime": "Gaussian",
        "alpha_coefficient": 2.8,
    }
    await redis_client.set("physics:state:TLT", json.dumps(printed))
    answer = (await running.get("/v1/physics/TLT")).json()
    assert printed.items() <= answer.items()


async def test_trade_signals_stay_inside(running: Suite, redis_client: Any) -> None:
    """§3.2: not sent to browsers."""
    signal = '{"event":"TRADE_SIGNAL","symbol":"SPY","data":{"side":"BUY"}}'
    async with websocket(running.ws_url) as connection:
        await until(connection, "SNAPSHOT", last=True)
        await redis_client.publish("trade_signals", signal)
        events = {json.loads(await connection.recv())["event"] for _ in range(10)}
    assert "TRADE_SIGNAL" not in events


IOREDIS = "ioredis@5.8.2"
NODE = """
const Redis = require('ioredis');
const redis = new Redis({
  host: process.env.REDIS_HOST || 'localhost',
  port: process.env.REDIS_PORT || 6379,
  retryStrategy: (times) => {
    return Math.min(times * 50, 2000);
  }
});
const subscriber = redis.duplicate();
(async () => {
  const state = JSON.parse(await redis.get('physics:state:SPY'));
  const snapshot = await redis.hgetall('market:snapshot:SPY');
  await subscriber.subscribe('state_update');
  let told = false;
  subscriber.on('message', (channel, message) => {
    const update = JSON.parse(message);
    if (told || update.event !== 'PHYSICS_UPDATE' || update.symbol !== 'SPY') return;
    told = true;
    console.log(JSON.stringify({ state, snapshot, channel, update }));
    redis.disconnect();
    subscriber.disconnect();
  });
})();
"""


@pytest.fixture(scope="session")
def node_script() -> tuple[str, Path]:
    """Node, and the program in a folder that has ioredis: `.run/node`, filled where it is missing."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("Node is not installed")
    folder = ROOT / ".run" / "node"
    if not (folder / "node_modules" / "ioredis").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        install = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--prefix", str(folder)]
        subprocess.run([*install, IOREDIS], check=True, capture_output=True, timeout=120)
    script = folder / "read.cjs"
    script.write_text(NODE)
    return node, script


@pytest.mark.slow
async def test_node_with_ioredis(
    running: Suite, redis_client: Any, redis_url: str, node_script: tuple[str, Path]
) -> None:
    """§5.2, word for word: get, hgetall and subscribe."""
    await eventually(lambda: redis_client.get("physics:state:SPY"))
    port = redis_url.rpartition(":")[2].partition("/")[0]
    process = await asyncio.create_subprocess_exec(
        *map(str, node_script),
        env={**os.environ, "REDIS_HOST": "127.0.0.1", "REDIS_PORT": port},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    read = json.loads(out)
    assert read["state"]["regime"] in REGIMES
    assert math.isfinite(float(read["snapshot"]["price"]))
    assert read["channel"] == "state_update"
    assert read["update"]["data"]["regime"] in REGIMES
