"""Beyond one core and one machine: shards share the symbols, standbys take over. Real processes, really killed."""

import asyncio
import json
import re
import signal
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from cottage import keys
from cottage.keys import in_shard
from cottage.redis import Client
from cottage.state import PhysicsState
from tests.integration.feynman import Channel, feed, process, states, states_when, taken_over
from tests.one_kind import on_one_kind
from tests.support import ServiceProcess, eventually

pytestmark = pytest.mark.usefixtures("no_debug")  # only the test itself runs in this process
pytest_generate_tests = on_one_kind

NAMES = [f"S{i}" for i in range(60)]
WARM = 75
"""Samples from which a window has the returns that a regime needs, and some more."""


async def started(stack: AsyncExitStack, url: str, shards: Sequence[str], **settings: Any) -> list[ServiceProcess]:
    return [await stack.enter_async_context(process(url, shard=shard, **settings)) for shard in shards]


def has_regime(state: PhysicsState) -> bool:
    return state.regime != "WAIT"


async def sampled(running: ServiceProcess, times: int) -> None:
    """Once the process has taken so many samples of each of its symbols."""

    async def often_enough() -> bool:
        symbols = (await running.get("/status")).json()["symbols"]
        metrics = (await running.get("/metrics")).text
        (taken,) = re.findall(r"^cottage_feynman_samples_total (\S+)$", metrics, re.MULTILINE)
        return bool(symbols > 0 and float(taken) >= times * symbols)

    await eventually(often_enough, 40)


async def leases(client: Client) -> dict[int, int]:
    """The epoch that each shard's lease has now."""
    found = {}
    for index in range(4):
        value = await client.get(keys.physics_writer(index))
        if value is not None:
            found[index] = int(json.loads(value)["epoch"])
    return found


def assert_none_began_anew(found: dict[str, PhysicsState], before: dict[str, PhysicsState]) -> None:
    for name, state in found.items():
        assert state.regime != "WAIT", name
        # A standby has what it saw since its own start, so it may have less than who was there before it.
        assert (state.samples or 0) >= min(before[name].samples or 0, WARM)


async def test_two_shards_cover_every_symbol_exactly_once(redis_url: str, client: Client) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(feed(client, NAMES))
        channel = await stack.enter_async_context(Channel(redis_url))
        await started(stack, redis_url, ("0/2", "1/2"))
        await eventually(lambda: all(len(channel.versions(name)) > 5 for name in NAMES), 30)
        epoch_of = await leases(client)
        assert set(epoch_of) == {0, 1}
        for name in NAMES:
            owner = next(index for index in range(2) if in_shard(name, index, 2))
            assert {version.epoch for version in channel.versions(name)} == {epoch_of[owner]}
            versions = channel.versions(name)
            assert versions == sorted(set(versions))
        owned = [sum(in_shard(name, index, 2) for name in NAMES) for index in range(2)]
        assert sum(owned) == len(NAMES)
        assert min(owned) > 10


async def test_two_shards_become_three_without_a_wait(redis_url: str, client: Client) -> None:
    """The rehearsal of docs/running.md: the new ones first, and the old ones end when those are warm."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(feed(client, NAMES))
        channel = await stack.enter_async_context(Channel(redis_url))
        old = await started(stack, redis_url, ("0/2", "1/2"))
        await eventually(lambda: leases(client), 20)
        await states_when(client, NAMES, has_regime)

        new = await started(stack, redis_url, ("0/3", "1/3", "2/3"))
        for running in new:
            refused = await running.logged("standby")
            assert "of 2 shards, this is one of 3" in refused["reason"]
            await running.ready()
        old_epochs = set((await leases(client)).values())
        for running in new:
            await sampled(running, WARM)
        assert set((await leases(client)).values()) == old_epochs  # nobody was disturbed

        before = await states(client, NAMES)
        for running in old:
            assert await running.stop() == 0
        found = await taken_over(client, before)
        assert_none_began_anew(found, before)
        epoch_of = await leases(client)
        assert set(epoch_of) == {0, 1, 2}
        for name in NAMES:
            versions = channel.versions(name)
            assert versions == sorted(set(versions))  # never back, and never two writers
            owner = next(index for index in range(3) if in_shard(name, index, 3))
            version = found[name].version
            assert version is not None
            assert version.epoch == epoch_of[owner]
        assert all(update.regime != "WAIT" for name in NAMES for update in channel.updates(name)[-3:])


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_standby_takes_over_without_a_wait(
    redis_url: str, client: Client, end: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    lease = 1.0
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(feed(client, NAMES))
        channel = await stack.enter_async_context(Channel(redis_url))
        (holder,) = await started(stack, redis_url, ["0/1"], lease_seconds=lease)
        await eventually(lambda: leases(client), 20)
        (standby,) = await started(stack, redis_url, ["0/1"], lease_seconds=lease)
        await standby.logged("standby")
        await sampled(standby, WARM)
        before = await states_when(client, NAMES, has_regime)
        (old_epoch,) = (await leases(client)).values()

        holder.signal(end)
        began = time.monotonic()
        found = await taken_over(client, before)
        with capsys.disabled():
            print(f"\n{end.name}: taken over after {time.monotonic() - began:.2f} s, with a lease of {lease} s")
        assert_none_began_anew(found, before)
        await standby.logged("lease_acquired")

        if end is signal.SIGSTOP:
            holder.signal(signal.SIGCONT)
            await holder.logged("standby")
            await asyncio.sleep(4 * lease)  # for anything that it might still write to arrive
            (new_epoch,) = (await leases(client)).values()
            assert new_epoch > old_epoch
            for name in NAMES:
                epochs = [version.epoch for version in channel.versions(name)]
                assert epochs == sorted(epochs)
                assert set(epochs) == {old_epoch, new_epoch}
            beats = [beat.version.epoch for beat in channel.heartbeats()]
            assert beats == sorted(beats)
