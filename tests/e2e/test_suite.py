"""From a market to a client, over real processes: the values agree everywhere, and every process may die."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection

from cottage.redis import Client, connect_blocking
from cottage.store import PhysicsStates
from deploy.redis_server import RunningServer
from tests.e2e.suite import NAMES, Suite, suite, until
from tests.e2e.suite import client as websocket
from tests.one_kind import on_a_shared_one
from tests.support import eventually

FAST = {
    "MARKET_INTERVAL_SECONDS": "0.1",
    "FEYNMAN_TICK_SECONDS": "0.2",
    "FEYNMAN_DISCOVERY_SECONDS": "0.5",
    "FEYNMAN_LEASE_SECONDS": "1",
    "FEYNMAN_HEARTBEAT_SECONDS": "0.2",
    "BRIDGE_HEARTBEAT_SECONDS": "0.2",
    "BROADCASTER_HEARTBEAT_SECONDS": "0.5",
    "MARKET_SYMBOLS": "SPY,QQQ,BRK.B",
}


async def test_values_agree_in_redis_at_the_api_and_at_the_client(redis_url: str, client: Client) -> None:
    slow = {"FEYNMAN_TICK_SECONDS": "1"}  # two looks must fit between two ticks
    async with suite(redis_url, {**FAST, **slow}) as running, websocket(running.ws_url) as connection:
        snapshot = await until(connection, "SNAPSHOT", last=True)
        assert snapshot["complete"]
        assert {update["symbol"] for update in snapshot["updates"]} <= {"SPY", "QQQ", "BRK.B"}

        for symbol in ("SPY", "QQQ", "BRK.B"):
            update = await until(connection, "PHYSICS_UPDATE", symbol=symbol)
            # The tick goes on: ask until both looks fall between two ticks.
            both = await eventually(partial(same_version, running, client, symbol))
            assert both is not None
            state, answer = both
            assert answer["mass"] == state["mass"]
            for name in ("momentum", "friction", "entropy", "nash_dist", "regime", "price", "samples", "nonzero"):
                assert answer[name] == state[name]
            assert answer["alpha_coefficient"] == state["alpha_coefficient"]
            assert state["source"] == answer["source"] == update["data"]["source"] == "simulate"
            assert (state["epoch"], state["seq"]) >= (update["epoch"], update["seq"])
            # What a client holds is a function of the state that Redis holds.
            later = await until(connection, "PHYSICS_UPDATE", symbol=symbol)
            stored = await PhysicsStates(client).get(symbol)
            assert stored is not None
            assert stored.version is not None
            assert stored.version >= (later["epoch"], later["seq"])
            assert orjson.loads(stored.update(symbol)).keys() == later.keys()
            assert orjson.loads(stored.update(symbol))["data"].keys() == later["data"].keys()


async def same_version(running: Suite, client: Client, symbol: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The state in Redis and at the API, where both are of one version."""
    payload = await client.get(f"physics:state:{symbol}")
    answer = (await running.get(f"/v1/physics/{symbol}")).json()
    assert payload is not None
    state = orjson.loads(payload)
    return (state, answer) if (state["epoch"], state["seq"]) == (answer["epoch"], answer["seq"]) else None


@pytest.fixture(scope="module")
async def running(shared_redis_server: RunningServer) -> AsyncIterator[Suite]:
    """One suite for the tests that follow, since it outlives each of them; the last one stops it."""
    with connect_blocking(shared_redis_server.url) as client:
        client.flushall()
    async with suite(shared_redis_server.url, FAST) as started:
        yield started


@on_a_shared_one
@pytest.mark.parametrize("victim", NAMES)
async def test_each_process_may_be_killed(running: Suite, victim: str) -> None:
    """The others go on, and a client that stayed (or dialled again, where it lost its server) is current again."""
    async with websocket(running.ws_url) as connection:
        await until(connection, "SNAPSHOT", last=True)
        before = await until(connection, "PHYSICS_UPDATE", symbol="SPY")
        await running.processes[victim].kill()
        for name in set(NAMES) - {victim}:
            assert (await running.processes[name].get("/healthz")).status_code == 200
        await running.start(victim)
        if victim != "broadcaster":
            await newer(connection, before)
    if victim == "broadcaster":
        await running.processes[victim].ready()
        async with websocket(running.ws_url) as again:
            await until(again, "SNAPSHOT", last=True)
            await newer(again, before)
    await asyncio.gather(*(process.ready() for process in running.processes.values()))
    for name, process in running.processes.items():
        assert process.returncode is None, f"{name} ended: {process.report()}"


async def newer(connection: ClientConnection, before: dict[str, Any]) -> None:
    """Wait for an update that is newer in every respect than `before`."""
    while True:
        update = await until(connection, "PHYSICS_UPDATE", symbol="SPY")
        assert (update["epoch"], update["seq"]) >= (before["epoch"], before["seq"]), "it went back"
        if (update["epoch"], update["seq"]) > (before["epoch"], before["seq"]) and (
            update["timestamp"] > before["timestamp"]
        ):
            return


@on_a_shared_one
async def test_all_stop_within_their_deadline(running: Suite) -> None:
    async with websocket(running.ws_url) as connection:
        await until(connection, "PHYSICS_UPDATE")
        statuses = await asyncio.gather(*(process.stop(8.0) for process in running.processes.values()))
        assert statuses == [0] * len(NAMES), [process.report() for process in running.processes.values()]
