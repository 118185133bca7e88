"""The lease as any user has it, on a real Redis; what may go wrong between two calls is in test_writer.py."""

import asyncio
import json
from typing import Any

import pytest

from cottage.errors import LeaseLost, RedisError
from cottage.lease import Lease, LeaseEvent, LeaseRecord
from cottage.redis import Client
from tests.support import library_events

KEY = "recorder:lease"
APPEND = """
redis.call('RPUSH', KEYS[2], unpack(ARGV, 3))
return redis.call('LLEN', KEYS[2])
"""


def lease_on(url: str, **options: Any) -> Lease:
    chosen: dict[str, Any] = {"lifetime": 60.0, **options}
    return Lease(url, KEY, **chosen)


async def held_epoch(lease: Lease) -> int:
    assert await lease.acquire(), lease.waiting_for
    assert lease.epoch is not None
    return lease.epoch


async def test_one_holds_it_and_the_next_waits_until_it_is_given_back(redis_url: str, client: Client) -> None:
    with library_events() as said:
        async with lease_on(redis_url) as second:
            async with lease_on(redis_url) as first:
                first_epoch = await held_epoch(first)
                record = LeaseRecord(**json.loads(await client.get(KEY) or b""))
                assert (record.epoch, record.shards) == (first_epoch, 1)
                assert 50_000 < await client.pttl(KEY) <= 60_000
                for _ in range(3):
                    assert not await second.acquire()
                assert second.epoch is None
                assert second.waiting_for == f"{KEY} is held by {record.holder}"
            assert await client.exists(KEY) == 0
            assert await held_epoch(second) > first_epoch
            assert second.waiting_for is None
    told = [line["event"] for line in said]
    assert told == ["lease_acquired", "standby", "lease_released", "lease_acquired", "lease_released"]


async def test_it_may_be_given_back_before_the_end(redis_url: str, client: Client) -> None:
    async with lease_on(redis_url) as first, lease_on(redis_url) as second:
        await first.release()  # it has none
        await held_epoch(first)
        await first.release()
        assert first.epoch is None
        with pytest.raises(LeaseLost):
            await first.renew()
        await held_epoch(second)
        await first.release()  # not that of another
        await second.renew()


async def test_it_lives_as_long_as_it_is_renewed(redis_url: str, client: Client) -> None:
    async with lease_on(redis_url) as lease:
        with pytest.raises(LeaseLost, match="is not held"):
            await lease.renew()
        await held_epoch(lease)
        await client.pexpire(KEY, 10_000)
        await lease.renew()
        assert await client.pttl(KEY) > 50_000
        await client.pexpire(KEY, 10_000)
        await lease.run_fenced(APPEND, ["items"], ["a"])
        assert await client.pttl(KEY) > 50_000


async def test_who_lost_it_finds_out_when_he_uses_it_and_does_nothing(redis_url: str, client: Client) -> None:
    events: list[LeaseEvent] = []
    async with lease_on(redis_url, on_event=events.append) as first, lease_on(redis_url) as second:
        old = await held_epoch(first)
        assert await first.run_fenced(APPEND, ["items"], ["a", "b"]) == 2, "what the script answers"
        assert await first.run_fenced("return false") is None
        await client.delete(KEY)  # as if it had expired while `first` was suspended
        assert await held_epoch(second) > old
        with pytest.raises(LeaseLost, match="not ours any more"):
            await first.run_fenced(APPEND, ["items"], ["stranger"])
        assert first.epoch is None
        assert await client.lrange("items", 0, -1) == [b"a", b"b"]
        assert events == ["taken", "lost"]
        with pytest.raises(LeaseLost):
            async with first.renewed():
                pytest.fail("it is not held")
        await second.run_fenced(APPEND, ["items"], ["c"])
        assert events == ["taken", "lost"], "told once"


async def test_an_error_of_the_script_leaves_it_in_doubt(redis_url: str, client: Client) -> None:
    async with lease_on(redis_url) as lease:
        old = await held_epoch(lease)
        await client.set("items", "no list")
        with pytest.raises(RedisError, match="WRONGTYPE"):
            await lease.run_fenced(APPEND, ["items"], ["a"])
        assert lease.epoch is None
        assert await held_epoch(lease) > old


async def test_commands_under_it_hold_the_turn_and_what_fails_leaves_it_in_doubt(
    redis_url: str, client: Client
) -> None:
    async with lease_on(redis_url) as lease:
        old = await held_epoch(lease)
        await client.pexpire(KEY, 10_000)
        async with lease.renewed() as (epoch, its_client):
            assert epoch == old
            assert await client.pttl(KEY) > 50_000
            waiting = asyncio.create_task(lease.run_fenced(APPEND, ["items"], ["second"]))
            for _ in range(20):
                await its_client.rpush("items", "first")
        await waiting
        assert await client.lrange("items", -2, -1) == [b"first", b"second"]
        assert lease.epoch == old
        with pytest.raises(LeaseLost, match="a newer one"):
            async with lease.renewed():
                raise LeaseLost("a newer one was written")
        assert lease.epoch is None


async def test_its_epoch_is_above_what_was_written_under_it_and_above_its_own_last(
    redis_url: str, client: Client
) -> None:
    written = 0

    async def newest(asked: Client, now: float) -> int:
        assert abs(now - await client.now()) < 60
        assert await asked.exists(KEY) == 1, "asked while nobody else can write"
        return written

    async with lease_on(redis_url, newest_epoch=newest) as lease:
        first = await held_epoch(lease)
        assert first >= (await client.now() - 60) * 1000, "it begins with Redis's clock"
        written = first + 10**9
        assert await held_epoch(lease) == written + 1
        written = 0
        assert await held_epoch(lease) == first + 10**9 + 2
        assert json.loads(await client.get(KEY) or b"")["epoch"] == lease.epoch


async def test_no_shards_lease_beside_one_of_another_number(redis_url: str, client: Client) -> None:
    siblings = [f"recorder:lease:{index}" for index in range(10)]
    async with (
        Lease(redis_url, siblings[0], lifetime=60.0, shards=2, siblings=siblings) as first,
        Lease(redis_url, siblings[1], lifetime=60.0, shards=2, siblings=siblings) as second,
        Lease(redis_url, siblings[2], lifetime=60.0, shards=3, siblings=siblings) as stranger,
    ):
        await held_epoch(first)
        await held_epoch(second)
        assert not await stranger.acquire()
        assert stranger.waiting_for == "recorder:lease:0 is one of 2 shards, this is one of 3"
        await first.release()
        await second.release()
        await held_epoch(stranger)
        assert not await first.acquire()
