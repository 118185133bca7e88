"""FeynmanService while clocks are set: Redis's, its own, a feed's. Samples keep their age, and nothing waits."""

import asyncio
import json
import re
import signal
import time
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cottage.redis import Client, connect
from cottage.snapshot import MarketSnapshot
from cottage.state import PhysicsState
from cottage.store import MarketSnapshots
from cottage.version import latest_epoch
from services.feynman.service import FeynmanService
from tests.clock_shim import ClockShim
from tests.integration.feynman import Channel, process
from tests.integration.test_feynman import count, feynman, newer, seen, snapshot, state_of, stored, ticks
from tests.one_kind import on_one_kind
from tests.support import OwnRedis, eventually

pytest_generate_tests = on_one_kind

STEPS = [-86_400, -3600, -50, -1, 1, 50, 3600, 86_400]
SLACK = 0.5
"""Seconds by which a measured age may be off on a busy machine: from the question for the time to the answer."""


async def age_of(client: Client, state: PhysicsState) -> float:
    """What a reader makes of a state by Redis's clock."""
    assert state.timestamp is not None
    return await client.now() - datetime.fromisoformat(state.timestamp).timestamp()


def has_seen(running: FeynmanService, steps: int) -> bool:
    return bool(running.status()["clock"]["steps"] == steps)


@pytest.mark.parametrize("seconds", STEPS)
async def test_when_redis_s_clock_is_set_every_sample_is_as_old_as_before_and_is_issued_again(
    stepped_redis: OwnRedis, clock_shim: ClockShim, seconds: int
) -> None:
    url = stepped_redis.url
    async with connect(url) as client, feynman(url, lease_seconds=1.0) as running, Channel(url) as channel:
        await snapshot(client, "QUIET", 7.0, ago=3.0, source="other")
        began = time.monotonic() - 3.0
        await snapshot(client, "SPY", 100.0)
        quiet, before = await seen(client, "QUIET"), await seen(client, "SPY")
        clock_shim.step(seconds)
        tick = count("ticks_total")
        again = await newer(client, "QUIET", quiet.version, epoch=True)
        if again.feed_time is None:  # the lease expired by the step, before the tick under way had asked for the time
            again = await newer(client, "QUIET", again.version, epoch=True)
        assert count("ticks_total") - tick <= 4, "the tick under way, that of the step, and those of a busy machine"
        age = await age_of(client, again)
        assert abs(age - (time.monotonic() - began)) < SLACK
        assert (again.feed_time, again.price, again.samples) == (quiet.timestamp, 7.0, 1)
        assert running.status()["clock"]["steps"] == 1
        assert abs(running.status()["clock"]["last_step_seconds"] - seconds) < SLACK
        # its own feed goes on by that clock
        await snapshot(client, "SPY", 101.0)
        after = await seen(client, "SPY", price=101.0)
        assert (after.samples, after.feed_time) == (2, None)
        assert before.version is not None
        assert after.version is not None
        assert after.version > before.version
        epoch = after.version.epoch
        epochs = [version.epoch for version in channel.versions("QUIET")]
        assert epochs == sorted(set(epochs))
        await eventually(lambda: any(beat.version.epoch == epoch for beat in channel.heartbeats()))
        assert abs(channel.heartbeats()[-1].timestamp - await client.now()) < 1.0, "by Redis's clock"


async def test_a_step_is_said_and_no_state_is_made_younger_by_a_restart(
    stepped_redis: OwnRedis, clock_shim: ClockShim, tmp_path: Path
) -> None:
    url = stepped_redis.url
    checkpoints: dict[str, Any] = {"checkpoint_dir": str(tmp_path / "checkpoints")}
    async with connect(url) as client:
        async with process(url, **checkpoints) as first:
            await snapshot(client, "SPY", 100.0)
            await seen(client, "SPY", 40.0, price=100.0)
            timestamp = await snapshot(client, "SPY", 101.0)
            began = time.monotonic()
            before = await seen(client, "SPY", price=101.0)
            clock_shim.step(-3600)
            said = await first.logged("clock_stepped")
            assert re.fullmatch(r"the clock went back by (3600|3599\.\d+) s", said["reason"])  # a slow answer
            assert (said["of"], round(said["seconds"])) == ("redis", -3600)
            again = await newer(client, "SPY", before.version, epoch=True)
            assert await first.stop() == 0
        # The snapshot in Redis lies an hour ahead now: as old as the stored state says.
        await client.expire("market:snapshot:SPY", 7200)
        async with process(url, **checkpoints) as second:
            await second.logged("checkpoint_loaded", symbols=1)
            taken = await newer(client, "SPY", again.version, epoch=True)
            assert (taken.feed_time, taken.samples) == (before.timestamp, 2)
            assert abs(await age_of(client, taken) - (time.monotonic() - began)) < SLACK
            assert await client.now() < timestamp - 3000
            await snapshot(client, "SPY", 102.0)
            assert (await seen(client, "SPY", price=102.0)).samples == 3
            assert await second.stop() == 0


async def test_a_step_while_nobody_computes_blocks_nothing(
    stepped_redis: OwnRedis, clock_shim: ClockShim, tmp_path: Path
) -> None:
    url = stepped_redis.url
    checkpoints: dict[str, Any] = {"checkpoint_dir": str(tmp_path / "checkpoints")}
    async with connect(url) as client:
        async with feynman(url, **checkpoints):
            for price in (100.0, 101.0):
                await snapshot(client, "SPY", price)
                before = await seen(client, "SPY", price=price)
        clock_shim.step(-50)
        async with feynman(url, **checkpoints):
            again = await newer(client, "SPY", before.version, epoch=True)
            assert (again.feed_time, again.price, again.samples) == (before.timestamp, 101.0, 2)
            assert await age_of(client, again) >= 60.0, "nobody knows how old it is"
            await snapshot(client, "SPY", 102.0)
            after = await seen(client, "SPY", price=102.0)
            assert (after.samples, after.feed_time) == (3, None)


async def test_the_standby_of_a_dead_writer_takes_over_though_its_lease_has_an_hour_to_live(
    stepped_redis: OwnRedis, clock_shim: ClockShim
) -> None:
    url = stepped_redis.url
    async with connect(url) as client, process(url, lease_seconds=1) as first:
        await snapshot(client, "SPY", 100.0)
        before = await seen(client, "SPY", 40.0)
        async with process(url, lease_seconds=1) as second:
            await second.logged("standby")
            first.signal(signal.SIGSTOP)
            held: Any = await client.get("physics:writer:0")
            held = held.replace(b"@", b"@elsewhere-")
            assert b"elsewhere" in held
            await client.set("physics:writer:0", held, keepttl=True)  # of this machine's it would be known
            clock_shim.step(-3600)
            await first.kill()
            assert await client.pttl("physics:writer:0") > 3_000_000
            await newer(client, "SPY", before.version, epoch=True)
            assert (await second.logged("lease_discarded"))["pttl_ms"] > 3_000_000
            assert 0 < await client.pttl("physics:writer:0") <= 1000
            assert await second.stop() == 0


async def test_feynmans_own_wall_clock_is_nobodys_business(
    redis_url: str, client: Client, clock_shim: ClockShim, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Channel(redis_url) as channel, feynman(redis_url) as running:
        await snapshot(client, "SPY")
        before = await seen(client, "SPY")
        true_time = time.time
        monkeypatch.setattr(time, "time", lambda: true_time() - 3600)
        await ticks(4)
        beats = len(channel.heartbeats())
        await eventually(lambda: len(channel.heartbeats()) > beats + 1)
        assert abs(channel.heartbeats()[-1].timestamp - await client.now()) < 1.0
        assert running.status()["clock"] == {"steps": 0, "last_step_seconds": None}
        assert await state_of(client, "SPY") == before


async def test_a_heartbeat_tells_the_newest_tick(redis_url: str, client: Client) -> None:
    async with Channel(redis_url) as channel, feynman(redis_url):
        await snapshot(client, "SPY")
        state = await seen(client, "SPY")
        assert state.version is not None
        seq = state.version.seq
        await eventually(lambda: any((beat.tick or 0) >= seq for beat in channel.heartbeats()))
        told = [beat.tick for beat in channel.heartbeats() if beat.tick is not None]
        assert told == sorted(told)


async def test_a_feed_ahead_is_as_old_as_it_is(redis_url: str, client: Client) -> None:
    """By 58 s, which is allowed; it dies, and is not live for a minute."""
    async with feynman(redis_url):
        await snapshot(client, "SPY", 99.0)
        await seen(client, "SPY", price=99.0)
        began = await client.now()
        timestamp = await snapshot(client, "SPY", 100.0, ago=-58.0)
        state = await seen(client, "SPY", price=100.0)
        assert state.feed_time is not None
        assert datetime.fromisoformat(state.feed_time).timestamp() == pytest.approx(timestamp, abs=0.002)
        age = await age_of(client, state)
        assert 0.0 <= age <= await client.now() - began
        await snapshot(client, "SPY", 101.0)  # one bad row blocks nothing
        after = await seen(client, "SPY", price=101.0)
        assert (after.samples, after.feed_time) == (3, None)


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0])
async def test_a_feed_whose_clock_is_set_is_refused_by_name_until_it_is_right(
    redis_url: str, client: Client, seconds: float
) -> None:
    async with process(redis_url) as running:
        await snapshot(client, "SPY", 1.0, source="theirs")
        before = await seen(client, "SPY", 40.0, price=1.0)
        for price in (2.0, 3.0, 4.0):
            await snapshot(client, "SPY", price, ago=-seconds, source="theirs")
            await snapshot(client, "QQQ", price)
            await seen(client, "QQQ", price=price)
        said = await running.logged("snapshot_dropped")
        assert (said["symbol"], said["reason"]) == ("SPY", "timestamp")
        assert re.fullmatch(r"[0-9.]+ of the feed theirs lies 3[56]\d\d\.\d{3} s (ahead|behind) .*", said["error"])
        assert await state_of(client, "SPY") == before
        assert (await running.get("/status")).json()["refused"]["fields"] == {"timestamp": 1}
        await snapshot(client, "SPY", 5.0, source="theirs")
        assert (await seen(client, "SPY", price=5.0)).samples == 2
        assert sum(line["event"] == "snapshot_dropped" for line in running.logs) == 1, "once in ten seconds"


async def test_a_feed_that_is_late_by_nature_says_so(redis_url: str, client: Client) -> None:
    async with Channel(redis_url) as channel, feynman(redis_url):
        for price in range(1, 9):
            await snapshot(client, "SPY", price, ago=900.0, source="delayed")
            await snapshot(client, "QQQ", price, source="live")
            state = await seen(client, "SPY", price=float(price))
        assert state.lag_ms == pytest.approx(900_000, abs=1000)
        await eventually(lambda: len(channel.updates("SPY")) == 8)
        assert channel.updates("SPY")[-1].lag == pytest.approx(900, abs=1)
        assert (await seen(client, "QQQ", price=8.0)).lag_ms is None


async def test_what_is_published_from_another_database_says_so(redis_url: str, client: Client) -> None:
    received: list[dict[str, Any]] = []
    async with client.pubsub() as channel, connect(redis_url + "/1") as other:
        await channel.subscribe("state_update")
        async with feynman(redis_url + "/1"):
            await MarketSnapshots(other).write([MarketSnapshot("SPY", 1.0, await other.now())])
            state = json.loads(await stored(other, "SPY"))
            while {message["event"] for message in received} < {"HEARTBEAT", "PHYSICS_UPDATE"}:
                message = await channel.get_message(ignore_subscribe_messages=True, timeout=5.0)
                received += [json.loads(message["data"])] if message else []
    assert {message["db"] for message in received} == {1}
    updates = [list(message) for message in received if message["event"] == "PHYSICS_UPDATE"]
    stamp = {"db", "prev", "written"}  # is the last of each
    assert all(set(fields[fields.index("db") :]) <= stamp for fields in updates)
    assert "db" not in state


async def test_as_many_steps_as_one_likes(stepped_redis: OwnRedis, clock_shim: ClockShim) -> None:
    url = stepped_redis.url
    async with connect(url) as client, feynman(url, lease_seconds=1.0) as running:
        await snapshot(client, "SPY", 1.0)
        began = time.monotonic()
        await seen(client, "SPY")

        async def as_old_as_it_is() -> bool:
            state = await seen(client, "SPY")
            return abs(await age_of(client, state) - (time.monotonic() - began)) < SLACK

        for steps, seconds in enumerate((-3600, 7200, -50, 1, -86_400, 86_400, -3551), 1):
            clock_shim.step(seconds)
            await eventually(partial(has_seen, running, steps))
            await eventually(as_old_as_it_is)
        state = await seen(client, "SPY")
        await asyncio.sleep(0.2)
        assert await state_of(client, "SPY") == state, "and then it is quiet"


async def test_an_epoch_that_a_step_left_too_far_ahead_counts_no_more(
    stepped_redis: OwnRedis, clock_shim: ClockShim
) -> None:
    """By three days: the next epoch is a lower one, which everybody may believe."""
    url = stepped_redis.url
    async with connect(url) as client, feynman(url):
        await snapshot(client, "SPY", 1.0)
        await seen(client, "SPY")
        clock_shim.step(-3 * 86_400)

        async def lower() -> bool:
            state = await seen(client, "SPY")
            return state.version is not None and state.version.epoch <= latest_epoch(await client.now()) - 86_400_000

        await eventually(lower)
        await snapshot(client, "SPY", 2.0)
        assert (await seen(client, "SPY", price=2.0)).samples == 2
