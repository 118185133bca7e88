"""Symbols that are gone for good, on a real Redis: what feynman forgets, and what it refuses to."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cottage import keys
from cottage.redis import Client, connect
from cottage.snapshot import MarketSnapshot
from cottage.state import FAIL_SAFE
from cottage.store import MarketFeeds, MarketSnapshots, PhysicsStates
from tests.clock_shim import ClockShim
from tests.integration.feynman import process
from tests.one_kind import on_one_kind
from tests.support import OwnRedis, ServiceProcess, eventually

pytest_generate_tests = on_one_kind  # tests/cottage/cli/test_retire.py has a feynman retire on both


async def snapshot(client: Client, *symbols: str) -> None:
    now = await client.now()
    snapshots = MarketSnapshots(client, lifetime=60.0)
    await snapshots.write([MarketSnapshot(name, 100.0, now, source="mine") for name in symbols])


async def die(client: Client, *symbols: str) -> None:
    """Their feed has died long ago."""
    await client.delete(*(keys.market_snapshot(name) for name in symbols))


async def stored(client: Client) -> list[str]:
    return list(await PhysicsStates(client).all())


async def states_are(client: Client, *symbols: str) -> None:
    async def they_are() -> bool:
        return await stored(client) == list(symbols)

    await eventually(they_are, 30)


async def more_ticks(running: ServiceProcess, more: int = 3) -> None:
    """Wait until it has written so often that a state which it still knows would be back."""

    async def number() -> int:
        return int((await running.get("/status")).json()["tick"].get("number", 0))

    before = await number()

    async def passed() -> bool:
        return await number() > before + more

    await eventually(passed, 30)


async def knows(running: ServiceProcess, symbols: int) -> None:
    async def it_does() -> bool:
        return bool((await running.get("/status")).json()["symbols"] == symbols)

    await eventually(it_does, 30)


async def request(client: Client, *symbols: str | bytes) -> None:
    await client.rpush(keys.PHYSICS_RETIRE, *symbols)


async def done(client: Client) -> None:
    async def is_done() -> bool:
        return not await client.exists(keys.PHYSICS_RETIRE)

    await eventually(is_done, 30)


async def test_a_requested_symbol_is_forgotten_and_deleted_for_good(redis_url: str, client: Client) -> None:
    await client.set(keys.physics_state("OLD"), FAIL_SAFE.to_bytes())  # of an earlier run: not in the table
    await client.lpush(keys.physics_state("LIST"), "of another type")
    async with process(redis_url) as running:
        await snapshot(client, "A", "B")
        await states_are(client, "A", "B", "OLD")
        await die(client, "B")
        await request(client, "B", "OLD", "LIST", "NEVER")
        await done(client)
        await states_are(client, "A")
        line = await running.logged("symbols_retired")
        assert (line["by"], line["first"]) == ("request", ["B", "LIST", "NEVER", "OLD"])
        await more_ticks(running)
        assert await stored(client) == ["A"]
        assert (await running.get("/status")).json()["symbols"] == 1
        assert "cottage_feynman_symbols_retired_total 4.0" in (await running.get("/metrics")).text
        await snapshot(client, "B")  # it may come back, and begins anew
        await states_are(client, "A", "B")


async def test_what_a_living_feed_brings_is_refused_and_the_feed_named(redis_url: str, client: Client) -> None:
    async with process(redis_url) as running:
        await snapshot(client, "A", "B")
        await MarketFeeds(client).announce("SIM", {"source": "x", "symbols": ["C"], "complete": True}, 30.0)
        await client.set(keys.physics_state("C"), FAIL_SAFE.to_bytes())
        await states_are(client, "A", "B", "C")
        await request(client, "A", "C")
        await done(client)
        await running.logged("retire_refused", symbol="A", reason="the feed mine brings it")
        await running.logged("retire_refused", symbol="C", reason="the feed SIM brings it")
        await more_ticks(running)
        assert await stored(client) == ["A", "B", "C"]


async def test_requests_that_are_no_symbols_and_keys_of_wrong_types_stop_nothing(
    redis_url: str, client: Client
) -> None:
    await client.set(keys.PHYSICS_RETIRE, "no list")
    await client.set(keys.PHYSICS_RETIRED, "no sorted set")
    async with process(redis_url) as running:
        await snapshot(client, "A", "B")
        await states_are(client, "A", "B")
        await running.logged("retire_refused", symbol="physics:retire")
        await client.delete(keys.PHYSICS_RETIRE)
        await die(client, "B")
        await request(client, "spy", b"\xff", "B", "X" * 1000)
        await done(client)
        await states_are(client, "A")
        assert await client.zrange(keys.PHYSICS_RETIRED, 0, -1) == [b"B"]


async def test_a_flood_of_requests_delays_no_tick(redis_url: str, client: Client) -> None:
    """A tick strikes them out where it has read them, with no search through all the others for each."""
    await snapshot(client, "STAYS")
    async with process(redis_url, tick_seconds=1) as running:
        await states_are(client, "STAYS")
        for start in range(0, 100_000, 10_000):
            await request(client, *(f"no symbol {number}" for number in range(start, start + 10_000)))
        await more_ticks(running)
        assert await client.llen(keys.PHYSICS_RETIRE) < 100_000
        assert await stored(client) == ["STAYS"]


async def test_an_acl_that_forbids_to_read_requests_stops_nothing_else(own_redis: OwnRedis) -> None:
    async with connect(own_redis.url) as client:
        for command in ("-lrange", "-zrangebyscore"):
            await client.execute_command("ACL", "SETUSER", "default", command)
        async with process(own_redis.url) as running:
            await snapshot(client, "A")
            await states_are(client, "A")
            for key in (keys.PHYSICS_RETIRE, keys.PHYSICS_RETIRED):
                await running.logged("retire_refused", symbol=key)
            assert (await running.get("/readyz")).status_code == 200


async def test_a_list_shared_by_shards_is_worked_off_by_each_for_itself(redis_url: str, client: Client) -> None:
    names = [f"S{number}" for number in range(20)]
    for name in names:
        await client.set(keys.physics_state(name), FAIL_SAFE.to_bytes())
    theirs = [name.encode() for name in names if keys.in_shard(name, 1, 2)]
    await request(client, *names)
    async with process(redis_url, shard="0/2"):

        async def only_theirs() -> bool:
            return sorted(await client.lrange(keys.PHYSICS_RETIRE, 0, -1)) == sorted(theirs)

        await eventually(only_theirs, 30)
        async with process(redis_url, shard="1/2"):
            await done(client)
            assert await stored(client) == []


async def test_a_standby_forgets_it_too_and_a_flushall_is_healed_all_the_same(redis_url: str, client: Client) -> None:
    async with process(redis_url, lease_seconds=1.0) as first:
        await snapshot(client, "A", "B", "C")
        await states_are(client, "A", "B", "C")
        async with process(redis_url, lease_seconds=1.0) as second:
            await second.logged("standby")
            await knows(second, 3)
            await die(client, "B", "C")
            await request(client, "B")
            await states_are(client, "A", "C")
            await knows(second, 2)
            await client.flushall()
            await states_are(client, "A", "C")
            await first.kill()
            await second.logged("lease_acquired")
            await more_ticks(second)
            assert await stored(client) == ["A", "C"]


@pytest.mark.parametrize("step", [-3600.0, -2 * 86_400.0, -7 * 86_400.0])
async def test_a_standby_forgets_it_too_after_redis_s_clock_went_back(
    stepped_redis: OwnRedis, clock_shim: ClockShim, step: float
) -> None:
    url = stepped_redis.url
    async with process(url) as writer, connect(url) as client:
        await snapshot(client, "A", "B", "KEPT")
        await states_are(client, "A", "B", "KEPT")
        async with process(url) as standby:
            await knows(standby, 3)
            await die(client, "A")
            await request(client, "A")
            await knows(standby, 2)
            clock_shim.step(step)
            await writer.logged("clock_stepped")
            await die(client, "B")
            await request(client, "B")
            await done(client)
            await knows(standby, 1)
            await snapshot(client, "A")  # brought again: what was noted of it before the step does not count
            await knows(standby, 2)
            await more_ticks(standby)
            await knows(standby, 2)
            await states_are(client, "A", "KEPT")


async def test_a_writer_that_was_suspended_while_it_was_retired_does_not_bring_it_back(
    redis_url: str, client: Client
) -> None:
    async with process(redis_url, lease_seconds=1.0) as first:
        await snapshot(client, "A", "B")
        await states_are(client, "A", "B")
        first.signal(signal.SIGSTOP)
        async with process(redis_url, lease_seconds=1.0) as second:
            await second.logged("lease_acquired")
            await die(client, "B")
            await request(client, "B")
            await states_are(client, "A")
            await second.kill()
        first.signal(signal.SIGCONT)
        await knows(first, 1)
        await more_ticks(first)
        assert await stored(client) == ["A"]


async def test_a_checkpoint_does_not_bring_it_back(redis_url: str, client: Client, tmp_path: Path) -> None:
    settings = {"checkpoint_dir": tmp_path, "checkpoint_seconds": 3600.0}
    await snapshot(client, "A", "B", "C")
    async with process(redis_url, **settings) as running:
        await states_are(client, "A", "B", "C")
        assert await running.stop() == 0
    async with process(redis_url) as without:
        await states_are(client, "A", "B", "C")
        await die(client, "B", "C")
        await request(client, "B", "C")
        await states_are(client, "A")
        await snapshot(client, "C")  # brought again, and known to the next checkpoint
        await states_are(client, "A", "C")
        assert await without.stop() == 0
    async with process(redis_url, **settings) as running:
        await running.logged("checkpoint_loaded", symbols=3)
        await knows(running, 2)
        await states_are(client, "A", "C")


async def announce(client: Client, feed: str, symbols: list[str], **about: Any) -> None:
    await MarketFeeds(client).announce(feed, {"source": "x", "symbols": symbols, **about}, 30.0)


async def test_a_feed_that_comes_back_and_lists_all_of_its_symbols_retires_the_others(
    redis_url: str, client: Client
) -> None:
    for name, feed in (("OLD", "SIM"), ("KEPT", "SIM"), ("FOREIGN", "OTHER"), ("NOBODYS", None), ("LIVES", "SIM")):
        await client.set(keys.physics_state(name), replace(FAIL_SAFE, feed=feed).to_bytes())
    await snapshot(client, "LIVES")
    async with process(redis_url) as running:
        await announce(client, "OTHER", [])  # it says nothing of others, as a replay
        await announce(client, "SIM", ["KEPT", "NEW"], complete=True)
        await states_are(client, "FOREIGN", "KEPT", "LIVES", "NOBODYS")
        line = await running.logged("symbols_retired")
        assert (line["by"], line["first"]) == ("SIM", ["OLD"])
        await client.set(keys.physics_state("LIVES"), replace(FAIL_SAFE, feed="SIM").to_bytes())
        await more_ticks(running)
        assert "LIVES" in await stored(client), "somebody writes it"
        await announce(client, "SIM", ["NEW"], complete=True)
        await states_are(client, "FOREIGN", "LIVES", "NOBODYS")


async def test_a_state_carries_the_feed_that_brought_it_and_so_its_next_run_retires_it(
    redis_url: str, client: Client
) -> None:
    now = await client.now()
    for feed, symbols in (("SIM", ("A", "B")), (None, ("C",))):
        snapshots = MarketSnapshots(client, feed, lifetime=60.0)
        await snapshots.write([MarketSnapshot(name, 100.0, now) for name in symbols])
        await snapshots.release()
    async with process(redis_url) as running:
        await states_are(client, "A", "B", "C")
        feeds = {name: state.feed for name, state in (await PhysicsStates(client).all()).items()}
        assert feeds == {"A": "SIM", "B": "SIM", "C": None}
        await announce(client, "SIM", ["B", "D"], complete=True)
        await states_are(client, "B", "C")
        await running.logged("symbols_retired", by="SIM", first=["A"])
