"""Windows that have just begun are filled from keys, on a real Redis, by processes of feynman."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cottage import keys
from cottage.redis import Client
from cottage.state import PhysicsState
from cottage.store import WarmStarts, existing
from cottage.warm import MOST_BYTES, WarmSamples
from deploy.redis_server import free_port
from tests.integration.feynman import feed, process, states_when, taken_over
from tests.one_kind import on_one_kind
from tests.support import ServiceProcess, eventually, service

pytestmark = pytest.mark.usefixtures("no_debug")  # only the test itself runs in this process
pytest_generate_tests = on_one_kind

WINDOW = 300
NAMES = ["SPY", "QQQ"]


def feynman(url: str, **settings: Any) -> Any:
    return process(url, **{"window": WINDOW, **settings})


def samples_before(now: float, number: int = WINDOW + 64, **fields: Any) -> WarmSamples:
    """Samples a second apart, the last of them five seconds ago, of the feed that tests.integration.feynman has."""
    generator = random.Random(7)
    sampled = [round((now - 4 - number + i) * 1e6) for i in range(number)]
    prices = [round(100 + generator.gauss(0, 1), 2) for _ in range(number)]
    return WarmSamples(**{"source": "live", "price": prices, "sampled": sampled, **fields})


async def offer(client: Client, starts: Mapping[str, WarmSamples]) -> None:
    await WarmStarts(client).write({name: each.to_bytes() for name, each in starts.items()})


async def warmed(client: Client, *names: str) -> dict[str, PhysicsState]:
    return await states_when(client, names, lambda state: state.samples == WINDOW)


async def gone(client: Client, *names: str) -> None:
    async def are() -> bool:
        return not await existing(client, keys.market_warm, names)

    await eventually(are, 30)


async def test_a_window_is_full_again_within_seconds_and_the_keys_are_deleted(client: Client, redis_url: str) -> None:
    async with feed(client, NAMES), feynman(redis_url) as running:
        young = await states_when(client, NAMES, lambda state: (state.samples or 0) > 0)
        assert {state.regime for state in young.values()} == {"WAIT"}
        await offer(client, {name: samples_before(await client.now()) for name in NAMES})
        full = await warmed(client, *NAMES)
        for name, state in full.items():
            before = young[name].version
            assert state.version is not None
            assert before is not None
            assert state.version > before
            assert state.regime != "WAIT"
            assert state.holes == 1, "between what the record has and the first sample of its own"
        await gone(client, *NAMES)
        line = await running.logged("windows_warmed")
        assert line["symbols"] >= 1
        assert "cottage_feynman_windows_warmed_total 2.0" in (await running.get("/metrics")).text


def forged(kind: str, now: float) -> bytes:
    honest = samples_before(now)
    ahead = [time + 3600 * 10**6 for time in honest.sampled]
    return {
        "size": b" " * (MOST_BYTES + 1),
        "json": b"[" * 100_000,
        "object": b"[1, 2]",
        "version": b'{"version": 99}',
        "price": replace(honest, price=[*honest.price[:-1], float("nan")]).to_bytes(),  # null in JSON
        "sampled": replace(honest, sampled=[-1, *honest.sampled[1:]]).to_bytes(),
        "volume": replace(honest, volume=[1.0]).to_bytes(),
        "order": replace(honest, sampled=honest.sampled[::-1]).to_bytes(),
        "timestamp": replace(honest, sampled=ahead).to_bytes(),
        "source": replace(honest, source="simulate").to_bytes(),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["type", "size", "json", "object", "version", "price", "sampled", "volume", "order", "timestamp", "source"],
)
async def test_what_cannot_be_used_is_refused_by_one_line_counted_and_deleted(
    client: Client, redis_url: str, kind: str
) -> None:
    async with feed(client, ["SPY"]), feynman(redis_url) as running:
        await states_when(client, ["SPY"], lambda state: (state.samples or 0) > 0)
        key = keys.market_warm("SPY")
        if kind == "type":
            await client.rpush(key, "x")
        else:
            await client.set(key, forged(kind, await client.now()))
        line = await running.logged("warm_start_refused", reason=kind)
        assert line["symbol"] == "SPY"
        await gone(client, "SPY")
        count = f'cottage_feynman_warm_starts_refused_total{{reason="{kind}"}} 1.0'
        assert count in (await running.get("/metrics")).text
        await states_when(client, ["SPY"], lambda state: (state.samples or 0) > 3)


async def test_a_standby_takes_them_too_and_does_not_delete_them(client: Client, redis_url: str) -> None:
    async with feed(client, NAMES), feynman(redis_url, lease_seconds=1.0) as writer:
        await states_when(client, NAMES, lambda state: (state.samples or 0) > 0)
        async with feynman(redis_url, lease_seconds=1.0) as standby:
            await standby.logged("symbols_found")
            await writer.kill()
            before = await states_when(client, NAMES, lambda state: (state.samples or 0) > 0)
            await taken_over(client, before)
            async with feynman(redis_url, lease_seconds=1.0) as second:
                await second.logged("symbols_found")
                await offer(client, {name: samples_before(await client.now()) for name in NAMES})
                await second.logged("windows_warmed")
                before = await warmed(client, *NAMES)
                await gone(client, *NAMES)
                await standby.kill()
                found = await taken_over(client, before)
                assert [state.samples for state in found.values()] == [WINDOW] * len(NAMES)


@asynccontextmanager
async def recorder(redis_url: str, folder: Path, **settings: str) -> AsyncIterator[ServiceProcess]:
    environment = {
        "REDIS_URL": redis_url,
        "RECORDER_DIR": str(folder),
        "RECORDER_FLUSH_SECONDS": "0.2",
        "RECORDER_BRIDGE_URL": f"ws://127.0.0.1:{free_port()}/ws",
        **settings,
    }
    async with service("recorder", environment) as running:
        await running.logged("subscribed")
        yield running


async def killed_when_full(client: Client, redis_url: str) -> dict[str, PhysicsState]:
    """A feynman without a checkpoint fills its windows, and is killed. What it wrote last."""
    async with feynman(redis_url) as running:
        await warmed(client, *NAMES)
        await running.kill()
    return await warmed(client, *NAMES)


async def test_killed_without_a_checkpoint_its_windows_are_full_again_within_seconds(
    client: Client, redis_url: str, tmp_path: Path
) -> None:
    async with feed(client, NAMES), recorder(redis_url, tmp_path) as running:
        before = await killed_when_full(client, redis_url)
        await asyncio.sleep(4.0)  # longer than three steps
        async with feynman(redis_url) as anew:
            young = await taken_over(client, before)
            assert max(state.samples or 0 for state in young.values()) < WINDOW
            line = await anew.logged("windows_warmed")
            assert line["symbols"] >= 1
            full = await warmed(client, *NAMES)
            for state in full.values():
                assert state.regime != "WAIT"
                assert (state.holes or 0) >= 1, "between the last sample in the record and the first of its own"
            await running.logged("warm_starts_offered")
            await gone(client, *NAMES)


async def test_a_recorder_that_is_told_so_offers_none(client: Client, redis_url: str, tmp_path: Path) -> None:
    async with feed(client, NAMES), recorder(redis_url, tmp_path, RECORDER_WARM="off") as running:
        before = await killed_when_full(client, redis_url)
        async with feynman(redis_url) as anew:
            await taken_over(client, before)
            await states_when(client, NAMES, lambda state: WINDOW > (state.samples or 0) > 100)
            assert (await running.get("/status")).json()["warm_starts"] is None
            assert "cottage_feynman_windows_warmed_total 0.0" in (await anew.get("/metrics")).text
