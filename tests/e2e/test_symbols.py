"""Keys of wrong types and symbols that went, as clients of the whole suite see them."""

import asyncio

from cottage.cli import main
from cottage.redis import Client
from tests.e2e.suite import client as websocket
from tests.e2e.suite import suite, until
from tests.one_kind import on_one_kind
from tests.support import eventually

pytest_generate_tests = on_one_kind

NAMES = [f"S{number:03}" for number in range(600)]
BAD = "S000"
QUICK = {"MARKET_FEED_SECONDS": "1", "FEYNMAN_DISCOVERY_SECONDS": "0.5", "BRIDGE_REREAD_SECONDS": "1"}


async def test_of_600_symbols_only_the_one_with_a_key_of_a_wrong_type_suffers(
    redis_url: str, client: Client, no_debug: None
) -> None:
    await client.set(f"market:snapshot:{BAD}", "x")
    await client.lpush("physics:state:S001", "no string")
    await client.lpush("market:feed:OTHER", "no string")
    async with suite(redis_url, {"MARKET_SYMBOLS": ",".join(NAMES), **QUICK}) as running:
        market, feynman = running.processes["market"], running.processes["feynman"]
        async with websocket(running.ws_url) as connection:
            missing = set(NAMES[1:])
            async with asyncio.timeout(30):
                while missing:
                    update = await until(connection, "PHYSICS_UPDATE", 30)
                    assert update["symbol"] != BAD
                    missing.discard(update["symbol"])
        assert (await market.logged("wrong_type"))["by"] == f"market:snapshot:{BAD}"
        assert f"market:snapshot:{BAD}" in (await market.get("/status")).text
        assert (await feynman.logged("snapshot_dropped", symbol=BAD))["error"] == f"market:snapshot:{BAD} is no hash"
        assert (await feynman.get("/status")).json()["refused"]["first"] == {
            BAD: f"type: market:snapshot:{BAD} is no hash"
        }
        assert (await running.get(f"/v1/market/{BAD}")).status_code == 503
        assert len((await running.get("/v1/physics")).json()["states"]) == 599
        await client.delete(f"market:snapshot:{BAD}")
        async with websocket(f"{running.ws_url}?symbols={BAD}") as connection:
            await until(connection, "PHYSICS_UPDATE", 30)
        assert (await feynman.get("/status")).json()["refused"]["first"] == {}


async def test_symbols_that_went_are_removed_for_every_client(redis_url: str, client: Client) -> None:
    async with suite(redis_url, {"MARKET_SYMBOLS": "SPY,OLD,QQQ", **QUICK}) as running:
        async with websocket(running.ws_url) as connection:
            for symbol in ("SPY", "OLD", "QQQ"):
                await until(connection, "PHYSICS_UPDATE", symbol=symbol)
            assert await asyncio.to_thread(main, ["retire", "OLD", "--redis-url", redis_url]) == 1, "its feed lives"

            # The feed comes back without it.
            await running.processes["market"].stop()
            await running.start("market", {"MARKET_SYMBOLS": "SPY,NEW"})
            await until(connection, "PHYSICS_UPDATE", symbol="NEW")
            gone = {(await until(connection, "REMOVED", 40))["symbol"] for _ in range(2)}
            assert gone == {"OLD", "QQQ"}
        states = (await running.get("/v1/physics")).json()["states"]
        assert sorted(states) == ["NEW", "SPY"]
        assert sorted(await client.keys("physics:state:*")) == [b"physics:state:NEW", b"physics:state:SPY"]

        # A feed that ends keeps its states, until somebody retires them.
        await running.processes["market"].kill()
        async with websocket(running.ws_url) as connection:

            async def retired() -> bool:
                return await asyncio.to_thread(main, ["retire", "*", "--redis-url", redis_url]) == 0

            await eventually(retired, 30)
            assert {(await until(connection, "REMOVED", 40))["symbol"] for _ in range(2)} == {"NEW", "SPY"}
        assert (await running.get("/v1/physics")).json()["states"] == {}
