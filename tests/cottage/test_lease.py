"""The lease as any user has it, on a real Redis; what may go wrong between two calls is in test_writer.py."""

import asyncio
import contextlib
import json
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cottage.errors import LeaseLost, RedisError
from cottage.lease import Lease, LeaseEvent, LeaseRecord
from cottage.redis import Client, connect
from deploy.redis_server import Server
from tests.clock_shim import ClockShim
from tests.support import OwnRedis, ServiceProcess, eventually, library_events, program

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
        written = first + 10**8
        assert await held_epoch(lease) == written + 1
        written = 0
        assert await held_epoch(lease) == first + 10**8 + 2
        assert json.loads(await client.get(KEY) or b"")["epoch"] == lease.epoch


async def test_it_is_kept_while_what_was_written_under_it_is_read_for_longer_than_a_lifetime(
    redis_url: str, client: Client
) -> None:
    async def newest(asked: Client, _now: float) -> int:
        mine = await asked.get(KEY)
        for _ in range(50):  # two lifetimes and a half
            await asyncio.sleep(0.1)
            assert await asked.get(KEY) == mine
            assert not await standby.acquire()
        return 0

    async with (
        lease_on(redis_url, lifetime=2.0) as standby,
        lease_on(redis_url, lifetime=2.0, newest_epoch=newest) as lease,
    ):
        await held_epoch(lease)
        await lease.renew()


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


# --- Leases that outlive their holders ---


def record_of(holder: str = "dead", shards: int = 1, lifetime_ms: int = 200) -> bytes:
    return LeaseRecord(holder, 7, shards, lifetime_ms).to_bytes()


OLD_RECORD = b'{"holder":"web1:4711:1b2c3d4e","epoch":7,"shards":1}'
"""Of a version that said no lifetime."""


@pytest.mark.parametrize("px", [3_600_000, None], ids=["an hour to live", "without a lifetime"])
@pytest.mark.parametrize("value", [record_of(), record_of(lifetime_ms=-5), OLD_RECORD], ids=repr)
async def test_a_lease_that_redis_keeps_longer_than_its_lifetime_is_discarded_after_one(
    redis_url: str, client: Client, value: bytes, px: int | None
) -> None:
    await client.set(KEY, value, px=px)
    with library_events() as said:
        async with lease_on(redis_url, lifetime=0.2) as lease:
            assert not await lease.acquire(), "one look proves nothing"
            assert str(lease.waiting_for).startswith(f"{KEY} is held by ")
            await eventually(lease.acquire)
            assert lease.waiting_for is None
            await lease.renew()
    (discarded,) = [line for line in said if line["event"] == "lease_discarded"]
    assert discarded["key"] == KEY
    assert discarded["pttl_ms"] == -1 or discarded["pttl_ms"] > 3_000_000


async def test_the_lifetime_that_a_lease_says_counts_not_that_of_who_waits(redis_url: str, client: Client) -> None:
    await client.set(KEY, record_of(lifetime_ms=60_000), px=60_000)
    async with lease_on(redis_url, lifetime=0.1) as impatient:
        for _ in range(5):
            assert not await impatient.acquire()
            await asyncio.sleep(0.05)  # longer than its own lifetime in all
        await client.set(KEY, record_of(lifetime_ms=100))
        await eventually(impatient.acquire)


async def test_a_living_holder_keeps_what_redis_would_keep_for_an_hour(redis_url: str, client: Client) -> None:
    """As after a step of Redis's clock: the lease has an hour to live until its holder renews it."""
    async with lease_on(redis_url, lifetime=0.3) as holder, lease_on(redis_url, lifetime=0.3) as standby:
        await held_epoch(holder)
        for _ in range(12):
            await client.pexpire(KEY, 3_600_000)
            assert not await standby.acquire()
            await holder.renew()
            assert not await standby.acquire()
            await asyncio.sleep(0.05)
        assert holder.epoch is not None
        await client.pexpire(KEY, 3_600_000)
        await eventually(standby.acquire)
        with pytest.raises(LeaseLost):
            await holder.renew()


async def test_what_changed_after_the_look_is_not_discarded(redis_url: str, client: Client) -> None:
    async with lease_on(redis_url) as lease:
        for value, px in ((b"another", None), (b"dead", 60_000)):
            await client.set(KEY, value, px=px)
            assert await lease._dead_holders._script(keys=[KEY], args=[b"dead", 60_000]) == 0
        await client.set(KEY, b"dead", px=90_000)
        assert await lease._dead_holders._script(keys=[KEY], args=[b"dead", 60_000]) == 1
        await client.set(KEY, b"another", px=60_000)
        assert await lease._dead_holders._script(keys=[KEY], args=[b"dead", -1]) == 0


async def test_a_dead_lease_of_another_number_of_shards_is_discarded_too(redis_url: str, client: Client) -> None:
    siblings = [f"recorder:lease:{index}" for index in range(4)]
    for index in (0, 1):
        await client.set(siblings[index], record_of(shards=2), px=3_600_000)
    await client.set(siblings[2], record_of(shards=1), px=3_600_000)  # in nobody's way
    async with Lease(redis_url, siblings[0], lifetime=0.2, shards=1, siblings=siblings) as lease:
        assert not await lease.acquire()
        assert lease.waiting_for == "recorder:lease:0 is one of 2 shards, this is one of 1"
        await eventually(lease.acquire)
        assert await client.mget(siblings[1:3]) == [None, record_of(shards=1)]


# --- What is no lease ---


async def make_string(client: Client) -> None:
    await client.set(KEY, "hello")


async def make_short_lived_string(client: Client) -> None:
    await client.set(KEY, b"\xff\x00" * 500, px=60_000)


async def make_other_json(client: Client) -> None:
    await client.set(KEY, '{"lifetime_ms":86400000,"holder":7,"epoch":1,"shards":1}', px=86_400_000)


async def make_hash(client: Client) -> None:
    await client.hset(KEY, "a", "b")


async def make_list(client: Client) -> None:
    await client.rpush(KEY, "a")


async def make_stream(client: Client) -> None:
    await client.xadd(KEY, {"a": "b"})


STRANGERS = [make_string, make_short_lived_string, make_other_json, make_hash, make_list, make_stream]


@pytest.mark.parametrize("make", STRANGERS)
async def test_what_is_no_lease_stops_nobody(
    redis_url: str, client: Client, make: Callable[[Client], Awaitable[None]]
) -> None:
    await make(client)
    with library_events() as said:
        async with lease_on(redis_url) as lease:
            epoch = await held_epoch(lease)
            await client.delete(KEY)
            await make(client)
            with pytest.raises(LeaseLost):
                await lease.renew()
            assert await held_epoch(lease) > epoch
            await lease.renew()
    discarded = [line for line in said if line["event"] == "lease_discarded"]
    assert [line["key"] for line in discarded] == [KEY, KEY], "said each time"
    assert {line["reason"] for line in discarded} == {"nobody holds anything by it"}


# --- Leases whose holders have certainly ended ---

HOLDS = """
import asyncio, sys
from cottage.lease import Lease
async def hold():
    async with Lease(sys.argv[1], sys.argv[2], lifetime=60.0, shards=int(sys.argv[3])) as lease:
        assert await lease.acquire()
        print("{}", flush=True)
        await asyncio.Event().wait()
asyncio.run(hold())
"""


@asynccontextmanager
async def holder(url: str, key: str = KEY, shards: int = 1) -> AsyncIterator[ServiceProcess]:
    """Another process, which holds the lease for a minute."""
    async with program(["-c", HOLDS, url, key, str(shards)]) as process:
        await eventually(lambda: process.logs)
        yield process


async def test_the_lease_of_a_killed_process_of_this_machine_is_free_at_once(redis_url: str, client: Client) -> None:
    async with holder(redis_url) as process, lease_on(redis_url) as lease:
        assert not await lease.acquire()
        process.signal(signal.SIGSTOP)
        assert not await lease.acquire(), "it may go on"
        old = LeaseRecord(**json.loads(await client.get(KEY) or b""))
        await process.kill()
        with library_events() as said:
            assert await held_epoch(lease) > old.epoch
        discarded, acquired = said
        assert (discarded["event"], discarded["holder"], discarded["reason"]) == (
            "lease_discarded",
            old.holder,
            "its process has ended",
        )
        assert discarded["pttl_ms"] > 50_000
        assert acquired["event"] == "lease_acquired"


async def test_of_two_successors_one_has_it(redis_url: str, client: Client) -> None:
    async with holder(redis_url) as process, contextlib.AsyncExitStack() as stack:
        successors = [await stack.enter_async_context(lease_on(redis_url)) for _ in range(8)]
        await process.kill()
        held = await asyncio.gather(*(lease.acquire() for lease in successors))
        assert held.count(True) == 1
        for lease, has_it in zip(successors, held, strict=True):
            assert (lease.epoch is not None) is has_it
            if has_it:
                await lease.renew()


@pytest.mark.parametrize("place", ["@0123456789", ""], ids=["another place", "an unknown place"])
async def test_the_lease_of_a_process_of_elsewhere_is_waited_for(redis_url: str, client: Client, place: str) -> None:
    async with holder(redis_url) as process:
        record = json.loads(await client.get(KEY) or b"")
        await process.kill()
    elsewhere = re.sub("@[0-9a-f]{10}", place, record["holder"])
    await client.set(KEY, json.dumps(record | {"holder": elsewhere}), px=60_000)
    async with lease_on(redis_url) as lease:
        assert not await lease.acquire()
        await client.set(KEY, json.dumps(record), px=60_000)
        assert await lease.acquire()


async def test_dead_shards_of_another_number_are_free_at_once(redis_url: str, client: Client) -> None:
    siblings = [f"recorder:lease:{index}" for index in range(4)]
    async with (
        holder(redis_url, siblings[1], 3) as one,
        holder(redis_url, siblings[2], 3) as two,
        Lease(redis_url, siblings[0], lifetime=60.0, shards=1, siblings=siblings) as lease,
    ):
        assert not await lease.acquire()
        await one.kill()
        assert not await lease.acquire()
        assert lease.waiting_for == "recorder:lease:2 is one of 3 shards, this is one of 1"
        await two.kill()
        await held_epoch(lease)
        assert await client.mget(siblings[1:]) == [None, None, None]


async def test_a_standby_asks_for_one_key(redis_url: str, client: Client) -> None:
    siblings = [KEY, *(f"{KEY}:{index}" for index in range(1, 999))]
    options: dict[str, Any] = {"lifetime": 60.0, "siblings": siblings}
    async with (
        Lease(redis_url, KEY, **options) as lease,
        Lease(redis_url, KEY, **options) as standby,
        Lease(redis_url, siblings[5], shards=7, **options) as of_another_number,
    ):
        await held_epoch(lease)
        assert not await standby.acquire()
        assert not await of_another_number.acquire()
        assert await asked_by(client, standby.acquire) == [f"MGET {KEY}", f"PTTL {KEY}"]
        assert await asked_by(client, of_another_number.acquire) == [f"MGET {siblings[5]} {KEY}", f"PTTL {KEY}"]
        await lease.release()
        await held_epoch(standby)


async def asked_by(client: Client, call: Callable[[], Awaitable[object]]) -> list[str]:
    """The commands that Redis is sent meanwhile."""
    commands: list[str] = []
    async with client.monitor() as monitor:
        await call()
        await client.echo("end")
        while True:
            command = str((await monitor.next_command())["command"])
            if command == "ECHO end":
                return commands
            if not command.startswith("HELLO"):
                commands.append(command)


# --- Clocks ---


@pytest.mark.parametrize("seconds", [-3600, -86_400, -1, 1, 3600, 86_400])
async def test_whatever_redis_s_clock_does_the_lease_of_a_dead_holder_goes_after_a_lifetime(
    server_binaries: dict[str, Server], tmp_path: Path, clock_shim: ClockShim, seconds: int
) -> None:
    with OwnRedis(server_binaries["valkey"], tmp_path / "redis", clock_shim.environment()) as redis:
        dead = lease_on(redis.url, lifetime=1.0)
        async with dead, lease_on(redis.url, lifetime=1.0) as standby, connect(redis.url) as client:
            await held_epoch(dead)
            clock_shim.step(seconds)
            await eventually(standby.acquire)
            await standby.renew()
            assert 0 < await client.pttl(KEY) <= 1000
            with pytest.raises(LeaseLost):
                await dead.renew()


async def test_an_own_epoch_more_than_two_days_ahead_counts_no_more(redis_url: str, client: Client) -> None:
    written = round((await client.now() + 3 * 86_400) * 1000)

    async def newest(_client: Client, _now: float) -> int:
        return written

    async with lease_on(redis_url, newest_epoch=newest) as lease:
        assert await held_epoch(lease) == written + 1
        written = round((await client.now() + 86_400) * 1000)
        assert await held_epoch(lease) == written + 1, "a day ahead it counts"
        written = 0
        assert (await client.now() + 86_399) * 1000 < await held_epoch(lease)


async def test_no_epoch_is_given_twice_though_redis_lost_all_that_tells_of_it(redis_url: str, client: Client) -> None:
    """And its clock is behind: the standby knows the epoch of the lease that it waited for."""
    written = round((await client.now() + 86_400) * 1000)

    async def newest(_client: Client, _now: float) -> int:
        return written

    async with lease_on(redis_url, newest_epoch=newest) as first, lease_on(redis_url, newest_epoch=newest) as standby:
        epoch = await held_epoch(first)
        assert not await standby.acquire()
        await client.flushall()
        written = 0
        assert await held_epoch(standby) > epoch
        with pytest.raises(LeaseLost):
            await first.renew()


async def test_the_epoch_of_a_forged_lease_far_ahead_counts_for_nobody(redis_url: str, client: Client) -> None:
    async with lease_on(redis_url) as lease:
        await client.set(KEY, LeaseRecord("a forger", 2**53 - 1, 1, 60_000).to_bytes(), px=60_000)
        assert not await lease.acquire()
        await client.delete(KEY)
        assert await held_epoch(lease) < (await client.now() + 60) * 1000
