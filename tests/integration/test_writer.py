"""The lease and the fence on a real Redis."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from cottage import keys
from cottage.errors import LeaseLost, RedisFull, RedisUnavailable
from cottage.lease import LeaseRecord
from cottage.redis import ChannelSubscription, Client, connect, subscribe
from cottage.state import FAIL_SAFE, PhysicsState
from cottage.version import Version
from services.feynman.symbol_table import StateWrite
from services.feynman.writer import Writer
from tests.support import OwnRedis, eventually, heard

KEY = "physics:writer:0"


def writer_on(url: str, shard: str = "0/1", lease_seconds: float = 60.0) -> Writer:
    return Writer(url, shard=shard, lease_seconds=lease_seconds)


def write_of(symbol: str, text: str, update: str | None = None) -> StateWrite:
    """One to write; new if there is an update, and then both lack their end."""
    if update is None:
        return StateWrite(symbol, text.encode(), None)
    return StateWrite(symbol, text.encode()[:-1], update.encode()[:-1])


async def leased(client: Client, key: str = KEY) -> LeaseRecord | None:
    value = await client.get(key)
    return None if value is None else LeaseRecord(**json.loads(value))


async def held_epoch(writer: Writer) -> int:
    assert await writer.acquire(), writer.waiting_for
    assert writer.epoch is not None
    return writer.epoch


async def all_heard(subscription: ChannelSubscription, count: int) -> list[bytes]:
    """So many messages, and then none."""
    messages = await heard(subscription, count)
    assert await subscription.messages(0.05) == []
    assert len(messages) == count
    return messages


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[ChannelSubscription]:
    async with subscribe(url, keys.STATE_UPDATE) as subscription:
        yield subscription


class Swallower:
    """A proxy before a Redis that passes everything on until it is armed; then the next reply is lost, and
    the connection with it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.armed = False
        self.swallowed = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def url(self) -> AsyncIterator[str]:
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(self._url)
        from_redis, to_redis = await asyncio.open_connection(parts.hostname, parts.port)
        replies = asyncio.create_task(self._replies(from_redis, writer))
        self._tasks |= {replies, asyncio.current_task()}  # type: ignore[arg-type]  # it runs in one
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while data := await reader.read(2**16):
                to_redis.write(data)
                await to_redis.drain()
        replies.cancel()
        for each in (writer, to_redis):
            each.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await each.wait_closed()

    async def _replies(self, from_redis: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await from_redis.read(2**16):
                if self.armed:
                    self.armed = False
                    self.swallowed += 1
                    writer.transport.abort()
                    return
                writer.write(data)
                await writer.drain()


# --- The lease ---


async def test_a_lease_names_its_holder_and_ends_by_itself(redis_url: str, client: Client) -> None:
    async with writer_on(redis_url, lease_seconds=5) as writer:
        assert writer.epoch is None
        now = await client.now()
        epoch = await held_epoch(writer)
        assert now * 1000 - 1 <= epoch <= (await client.now()) * 1000 + 2
        lease = await leased(client)
        assert lease is not None
        assert (lease.epoch, lease.shards) == (epoch, 1)
        assert 0 < await client.pttl(KEY) <= 5000


async def test_writing_and_publishing_renew_it(redis_url: str, client: Client) -> None:
    async with writer_on(redis_url) as writer:
        await held_epoch(writer)
        for renewal in (writer.publish(b"{}"), writer.write([write_of("SPY", "a")])):
            await client.pexpire(KEY, 10_000)
            await renewal
            assert await client.pttl(KEY) > 50_000


async def test_it_is_given_back_at_the_end(redis_url: str, client: Client) -> None:
    async with writer_on(redis_url) as writer:
        await held_epoch(writer)
    assert await client.get(KEY) is None


async def test_another_holders_is_left_alone(redis_url: str, client: Client) -> None:
    async with writer_on(redis_url) as first, writer_on(redis_url) as second:
        epoch = await held_epoch(first)
        assert not await second.acquire()
        assert second.waiting_for is not None
        assert second.waiting_for.startswith(f"{KEY} is held by ")
        assert second.epoch is None
        with pytest.raises(LeaseLost):
            await second.write([write_of("SPY", "stranger")])
        await second.__aexit__(None, None, None)
        lease = await leased(client)
        assert lease is not None
        assert lease.epoch == epoch
        assert await client.get("physics:state:SPY") is None


async def test_who_lost_it_writes_and_publishes_nothing(redis_url: str, client: Client) -> None:
    async with writer_on(redis_url) as first, writer_on(redis_url) as second, listening(redis_url) as channel:
        old = await held_epoch(first)
        await client.delete(KEY)  # as if it had ended while `first` was suspended
        new = await held_epoch(second)
        assert new > old
        await second.write([write_of("SPY", '{"of":"new"}', '{"update":"new"}')])
        with pytest.raises(LeaseLost):
            await first.write([write_of("SPY", "old", "old"), write_of("QQQ", "old", "old")])
        with pytest.raises(LeaseLost):
            await first.publish(b"old")
        assert first.epoch is None
        assert json.loads(await client.get("physics:state:SPY") or b"")["of"] == "new"
        assert await client.get("physics:state:QQQ") is None
        (update,) = await all_heard(channel, 1)
        assert update.startswith(b'{"update":"new",')
        assert not await first.acquire()


async def test_an_older_lease_of_ones_own_passes_no_fence(redis_url: str, client: Client) -> None:
    async with writer_on(redis_url) as writer:
        await held_epoch(writer)
        older = await client.get(KEY)
        assert await held_epoch(writer) > LeaseRecord(**json.loads(older or b"")).epoch
        await client.set(KEY, older or b"", px=60_000)
        with pytest.raises(LeaseLost):
            await writer.write([write_of("SPY", "a")])


@pytest.mark.parametrize(("first", "second"), [("0/1", "1/2"), ("1/2", "0/1"), ("0/1", "0/2"), ("2/3", "0/2")])
async def test_no_lease_beside_another_number_of_shards(
    redis_url: str, client: Client, first: str, second: str
) -> None:
    async with writer_on(redis_url, second) as late:
        async with writer_on(redis_url, first) as early:
            await held_epoch(early)
            before = await client.keys("physics:writer:*")
            assert not await late.acquire()
            assert late.waiting_for is not None
            assert await client.keys("physics:writer:*") == before
        await held_epoch(late)
        assert late.waiting_for is None


async def test_two_splits_that_apply_at_once(redis_url: str, client: Client) -> None:
    async with writer_on(redis_url) as writer:
        take = writer._acquire_script

        async def both(**arguments: Any) -> Any:
            reply = await take(**arguments)
            await client.set("physics:writer:1", LeaseRecord("another", 1, 2, 60_000).to_bytes(), px=60_000)
            return reply

        writer._acquire_script = both  # type: ignore[assignment]  # the other one comes right after ours
        assert not await writer.acquire()
        assert await client.get(KEY) is None
        await client.delete("physics:writer:1")
        writer._acquire_script = take
        await held_epoch(writer)


async def test_shards_of_one_split_live_together(redis_url: str) -> None:
    async with writer_on(redis_url, "0/2") as first, writer_on(redis_url, "1/2") as second:
        await held_epoch(first)
        await held_epoch(second)
        await first.write([write_of("SPY", "a")])
        await second.write([write_of("QQQ", "b")])


async def test_a_key_of_another_type_is_no_lease(redis_url: str, client: Client) -> None:
    async with writer_on(redis_url) as writer:
        await client.rpush(KEY, "a")
        await held_epoch(writer)
        await client.delete(KEY)
        await client.rpush(KEY, "a")
        with pytest.raises(LeaseLost):
            await writer.write([write_of("SPY", "a")])
    assert await client.llen(KEY) == 1  # not ours, not given back
    assert await client.get("physics:state:SPY") is None


@pytest.mark.parametrize("garbage", [b"\xff\x00" * 500, b"hello", b"[]", b'{"holder":7}', b'{"shards":"2"}'])
async def test_what_a_stranger_put_there_holds_up_nobody(redis_url: str, client: Client, garbage: bytes) -> None:
    async with writer_on(redis_url) as writer:
        await client.set("physics:writer:5", garbage)  # says nothing of another split
        await client.set(KEY, garbage, px=60_000)
        await held_epoch(writer)
        await writer.write([write_of("SPY", "a")])


# --- Epochs ---


async def store(client: Client, symbol: str, epoch: int) -> None:
    await client.set(f"physics:state:{symbol}", FAIL_SAFE.at(Version(epoch, 1)).to_bytes())


async def test_an_epoch_is_above_any_honest_one_in_a_state(redis_url: str, client: Client) -> None:
    ahead = round((await client.now() + 30) * 1000)
    await store(client, "SPY", ahead)
    await store(client, "QQQ", ahead - 5)
    async with writer_on(redis_url) as writer:
        assert await held_epoch(writer) == ahead + 1
        lease = await leased(client)
        assert lease is not None
        assert lease.epoch == ahead + 1


async def test_an_epoch_from_the_far_future_poisons_nothing(redis_url: str, client: Client) -> None:
    now = await client.now()
    await store(client, "SPY", round((now + 3 * 86_400) * 1000))
    await store(client, "QQQ", 2**63)
    await client.set("physics:state:IWM", b"no state")
    await client.rpush("physics:state:DIA", "no string")
    async with writer_on(redis_url) as writer:
        assert now * 1000 - 1 <= await held_epoch(writer) <= (await client.now()) * 1000 + 2
        symbols = ("SPY", "QQQ", "IWM", "DIA")
        await writer.write([write_of(symbol, "healed") for symbol in symbols])
    for symbol in symbols:
        assert await client.get(f"physics:state:{symbol}") == b"healed"


async def test_ones_own_epoch_only_rises(redis_url: str) -> None:
    async with writer_on(redis_url) as writer:
        epochs = [await held_epoch(writer) for _ in range(20)]  # several within a millisecond, mostly
        assert epochs == sorted(set(epochs))


# --- Writing ---


async def test_states_and_messages_arrive_in_order(redis_url: str, client: Client) -> None:
    texts = [(f'{{"of":{i}}}', f'{{"update":{i}}}' if i % 3 else None) for i in range(1201)]
    writes = [write_of(f"S{i}", *each) for i, each in enumerate(texts)]
    async with writer_on(redis_url) as writer, listening(redis_url) as channel:
        await held_epoch(writer)
        written = await writer.write(writes)
        stamps = dict(written.stamps)
        stored = await client.mget([f"physics:state:{write.symbol}" for write in writes])
        assert stored == [write.state + stamps.get(write.symbol, b"") for write in writes]
        updates = [write.update + stamps[write.symbol] for write in writes if write.update is not None]
        assert await all_heard(channel, len(updates)) == updates
        assert (written.states, len(stamps)) == (1201, len(updates))
        assert await client.ttl("physics:state:S0") == -1


async def test_a_new_state_and_its_update_name_what_they_replace_and_when(redis_url: str, client: Client) -> None:
    async with writer_on(redis_url) as writer, listening(redis_url) as channel:
        await held_epoch(writer)
        expected: Version | None = None
        for seq in range(1, 4):
            state = replace(FAIL_SAFE, price=100.0 + seq, version=Version(7, seq))
            before = await client.now()
            ((_symbol, stamp),) = (
                await writer.write([write_of("SPY", state.to_bytes().decode(), state.update("SPY", 3).decode())])
            ).stamps
            payload = await client.get("physics:state:SPY")
            assert payload == state.to_bytes()[:-1] + stamp
            found = PhysicsState.from_bytes(payload)
            assert (found.prev, found.version) == (expected, (7, seq))
            assert found.written is not None
            assert before * 1e6 - 1 <= found.written <= await client.now() * 1e6 + 1
            assert await all_heard(channel, 1) == [found.update("SPY", 3)]
            expected = found.version


@pytest.mark.parametrize(
    ("stored", "prev"),
    [
        (b'{ "seq": 4, "epoch": 3 }', [3, 4]),
        (b'{"epoch":3,"seq":4,"of":{"epoch":1,"seq":2}}', [3, 4]),
        (b'{"epoch":9007199254740991,"seq":0}', [2**53 - 1, 0]),
        (b'{"epoch":9007199254740992,"seq":0}', None),
        (b'{"epoch":' + b"9" * 90 + b',"seq":0}', None),
        (b'{"epoch":-1,"seq":0}', None),
        (b'{"epoch":1.5,"seq":0}', None),
        (b'{"epoch":"3","seq":4}', None),
        (b'{"epoch":3}', None),
        (b"[3,4]", None),
        (b'"epoch":3', None),
        (b"\xff\x00", None),
        (b"[" * 5000, None),
        (b'{"x":"' + b"x" * 70000 + b'","seq":4,"epoch":3}', None),
        (b"", None),
        (None, None),
    ],
)
async def test_whatever_is_there_is_replaced_and_named_if_it_is_a_version(
    redis_url: str, client: Client, stored: bytes | None, prev: list[int] | None
) -> None:
    if stored is None:
        await client.rpush("physics:state:SPY", "a")
    else:
        await client.set("physics:state:SPY", stored)
    async with writer_on(redis_url) as writer:
        await held_epoch(writer)
        await writer.write([write_of("QQQ", "{}"), write_of("SPY", '{"a":1}', '{"a":1}')])
    found = json.loads(await client.get("physics:state:SPY") or b"")
    assert (found["a"], found["prev"]) == (1, prev)
    assert await client.get("physics:state:QQQ") == b"{}", "which is not new"


async def test_a_lost_reply_is_known_by_what_is_replaced_then(redis_url: str, client: Client) -> None:
    """The state had arrived: under the new epoch it names that one as the one before."""
    swallower = Swallower(redis_url)
    async with swallower.url() as url, writer_on(url) as writer:
        first = Version(await held_epoch(writer), 1)
        state = replace(FAIL_SAFE, version=first)
        swallower.armed = True
        with pytest.raises(RedisUnavailable):
            await writer.write([write_of("SPY", state.to_bytes().decode(), state.update("SPY").decode())])
        again = replace(FAIL_SAFE, version=Version(await held_epoch(writer), 2))
        await writer.write([write_of("SPY", again.to_bytes().decode(), again.update("SPY").decode())])
    found = PhysicsState.from_bytes(await client.get("physics:state:SPY") or b"")
    assert (found.version, found.prev) == (again.version, first)


async def test_a_key_of_another_type_is_written_over(redis_url: str, client: Client) -> None:
    await client.rpush("physics:state:SPY", "a", "b")
    async with writer_on(redis_url) as writer:
        await held_epoch(writer)
        await writer.write([write_of("SPY", "state")])
    assert await client.get("physics:state:SPY") == b"state"


async def test_a_flushed_script_cache_is_not_noticed(redis_url: str, client: Client) -> None:
    async with writer_on(redis_url) as writer:
        await client.script_flush()
        epoch = await held_epoch(writer)
        await client.script_flush()
        await writer.write([write_of("SPY", "a")])
        assert writer.epoch == epoch
        await client.script_flush()
    assert await client.get(KEY) is None


async def test_behind_a_new_connection_the_lease_is_taken_again(redis_url: str, client: Client) -> None:
    async with writer_on(redis_url) as writer:
        old = await held_epoch(writer)
        await client.client_kill_filter(_type="normal", skipme=True)
        # The fence decides on what was on its way; nothing follows it under the old epoch.
        with contextlib.suppress(RedisUnavailable):
            await writer.write([write_of("SPY", "a")])
        assert writer.epoch is None
        with pytest.raises(LeaseLost):
            await writer.write([write_of("SPY", "b")])
        assert await client.get("physics:state:SPY") in (None, b"a")
        assert await held_epoch(writer) > old


async def test_a_connection_lost_while_applying_leaves_no_lease_behind_it(redis_url: str, client: Client) -> None:
    async with writer_on(redis_url) as writer:
        await held_epoch(writer)
        for _ in range(20):  # at another point of the application each time
            applying = asyncio.create_task(writer.acquire())
            await client.client_kill_filter(_type="normal", skipme=True)
            with contextlib.suppress(RedisUnavailable):
                if await applying:
                    lease = await leased(client)
                    assert lease is not None
                    assert lease.epoch == writer.epoch
        await held_epoch(writer)


async def test_a_lost_reply_to_the_application_costs_no_wait(redis_url: str, client: Client) -> None:
    async with writer_on(redis_url) as known:
        await held_epoch(known)  # so that the server has the script
    proxy = Swallower(redis_url)
    async with proxy.url() as url, writer_on(url) as writer:
        take, asked = writer._acquire_script, []

        async def armed(**arguments: Any) -> Any:
            asked.append(arguments)
            proxy.armed = len(asked) == 1
            return await take(**arguments)

        writer._acquire_script = armed  # type: ignore[assignment]  # the reply to this very call is to be lost
        with pytest.raises(RedisUnavailable):
            await writer.acquire()
        assert proxy.swallowed == 1
        lost = await leased(client)
        assert lost is not None  # it was taken, though nobody was told
        assert await held_epoch(writer) > lost.epoch
    assert await client.get(KEY) is None


async def test_after_a_lost_reply_only_a_new_epoch_writes(redis_url: str, client: Client) -> None:
    proxy = Swallower(redis_url)
    async with proxy.url() as url, writer_on(url) as writer:
        old = await held_epoch(writer)
        await writer.write([write_of("SPY", "a")])
        proxy.armed = True
        with pytest.raises(RedisUnavailable):
            await writer.write([write_of("SPY", "b")])
        assert await client.get("physics:state:SPY") == b"b"
        assert writer.epoch is None
        with pytest.raises(LeaseLost):
            await writer.publish(b"{}")
        assert await held_epoch(writer) > old


async def test_cancelled_in_the_middle_of_a_write(own_redis: OwnRedis) -> None:
    async with connect(own_redis.url) as client:
        async with writer_on(own_redis.url) as writer:
            old = await held_epoch(writer)
            own_redis.suspend()
            writing = asyncio.create_task(writer.write([write_of("SPY", "a")]))
            await asyncio.sleep(0.05)  # it cannot end before that: the server is suspended
            writing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await writing
            own_redis.resume()
            assert await held_epoch(writer) > old
            await writer.write([write_of("SPY", "b")])
            assert await client.get("physics:state:SPY") == b"b"
            own_redis.suspend()
            writing = asyncio.create_task(writer.write([write_of("SPY", "c")]))
            await asyncio.sleep(0.05)
            writing.cancel()
            await asyncio.wait((writing,))
            own_redis.resume()
        assert await client.get(KEY) is None  # given back all the same


async def test_a_hung_server_does_not_hold_up_the_end(own_redis: OwnRedis) -> None:
    async with asyncio.timeout(4.0):  # a command alone has 5 s
        async with writer_on(own_redis.url) as writer:
            await held_epoch(writer)
            own_redis.suspend()
    own_redis.resume()


async def test_a_restarted_server_is_written_to_under_a_new_epoch(own_redis: OwnRedis) -> None:
    async with writer_on(own_redis.url) as writer:
        old = await held_epoch(writer)
        own_redis.kill()
        with pytest.raises(RedisUnavailable):
            await writer.write([write_of("SPY", "a")])
        with pytest.raises(RedisUnavailable):
            await writer.acquire()
        own_redis.start()
        assert await held_epoch(writer) > old
        await writer.write([write_of("SPY", "b")])


async def test_a_full_server_refuses_a_lease_but_not_what_is_there_already(own_redis: OwnRedis) -> None:
    async with connect(own_redis.url) as client, writer_on(own_redis.url) as holder, writer_on(own_redis.url) as late:
        epoch = await held_epoch(holder)
        await holder.write([write_of("SPY", "a")])
        await client.config_set("maxmemory-policy", "noeviction")
        await client.config_set("maxmemory", 1)
        await holder.write([write_of("SPY", '{"b":1}', '{"b":1}')])
        assert holder.epoch == epoch
        assert json.loads(await client.get("physics:state:SPY") or b"")["b"] == 1
        await client.delete(KEY)
        with pytest.raises(RedisFull):
            await late.acquire()
        await client.config_set("maxmemory", 0)
        await held_epoch(late)


async def test_everything_waits_for_its_turn(redis_url: str, client: Client) -> None:
    async with writer_on(redis_url) as writer:
        await held_epoch(writer)

        async def beat() -> None:
            for _ in range(20):
                await writer.publish(b"{}")

        async with asyncio.TaskGroup() as group:
            group.create_task(beat())
            group.create_task(beat())
            group.create_task(writer.write([write_of(f"S{i}", "a") for i in range(2000)]))

        async def one_connection() -> bool:
            clients = await client.client_list(_type="normal")
            return len(clients) <= 2

        await eventually(one_connection)
        assert await client.dbsize() == 2001
