"""The client factory on real servers: each trap of the library, and that it is avoided."""

import asyncio
import gc
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cottage.errors import RedisError, RedisFull, RedisRefused, RedisUnavailable, SettingsError
from cottage.redis import BlockingClient, ChannelSubscription, Client, connect, connect_blocking, subscribe
from tests.integration.fanout import cutting
from tests.one_kind import on_a_shared_one
from tests.support import OwnRedis, eventually, heard

pytestmark = pytest.mark.usefixtures("face")
FAST_PATH_ALONE = pytest.mark.parametrize("face", ["fast path"], indirect=True)

PASSWORD = "s3cret/p@ss:w%rd"
QUOTED = "s3cret%2Fp%40ss%3Aw%25rd"
SOON = 0.3


async def write_in_pipeline(client: Client, key: str = "a", transaction: bool = True) -> list[object]:
    pipeline = client.pipeline(transaction=transaction)
    pipeline.set(key, 1)
    pipeline.get(key)
    return await pipeline.execute()


def write_in_blocking_pipeline(client: BlockingClient) -> list[object]:
    pipeline = client.pipeline()
    pipeline.set("a", 1)
    return pipeline.execute()


def with_login(url: str, login: str) -> str:
    return url.replace("://", f"://{login}@")


@asynccontextmanager
async def losing_replies(own: OwnRedis) -> AsyncIterator[str]:
    """The URL of a proxy that passes INCR on to the server and hangs up instead of passing its reply back."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", own.port)
        try:
            while request := await reader.read(65536):
                server_writer.write(request)
                reply = await server_reader.read(65536)
                if b"INCR" in request:
                    break
                writer.write(reply)
        finally:
            for each in (writer, server_writer):
                each.close()
                await each.wait_closed()

    proxy = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    async with proxy:
        yield f"redis://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"


async def test_replies_are_bytes_and_the_clock_is_the_servers(client: Client) -> None:
    assert await client.set("a", "1") is True
    assert await client.get("a") == b"1"
    assert await client.execute_command("CONFIG", "RESETSTAT")
    seconds, micros = await client.time()
    assert 0 <= await client.now() - (seconds + micros / 1e6) < 60


async def test_a_command_is_sent_once(own_redis: OwnRedis) -> None:
    async with losing_replies(own_redis) as proxy, connect(proxy) as client, connect(own_redis.url) as direct:
        with pytest.raises(RedisUnavailable):
            await client.incr("sent")
        assert await direct.get("sent") == b"1"


async def test_a_command_is_repeated_where_that_was_asked_for(own_redis: OwnRedis) -> None:
    async with (
        losing_replies(own_redis) as proxy,
        connect(proxy, retries=2) as client,
        connect(own_redis.url) as direct,
    ):
        with pytest.raises(RedisUnavailable):
            await client.incr("sent")
        assert await direct.get("sent") == b"3"


async def test_a_restarted_server_fails_no_later_command(own_redis: OwnRedis) -> None:
    async with connect(own_redis.url) as client, connect(own_redis.url) as other:
        await asyncio.gather(client.ping(), client.ping(), client.ping())  # three idle connections
        own_redis.restart()
        assert await other.ping() is True  # meanwhile the loop has seen that the old connections have ended
        assert all(await asyncio.gather(client.ping(), client.ping(), client.ping()))


def test_nor_one_of_the_blocking_client(own_redis: OwnRedis) -> None:
    with connect_blocking(own_redis.url) as client:
        assert client.ping() is True
        own_redis.restart()
        assert client.ping() is True


async def test_every_new_connection_is_announced(own_redis: OwnRedis) -> None:
    connections: list[str] = []
    async with (
        connect(own_redis.url, on_connect=lambda: connections.append("new")) as client,
        connect(own_redis.url) as other,
    ):
        await client.set("a", 1)
        await client.get("a")
        assert connections == ["new"]
        own_redis.restart()
        await other.ping()
        await client.get("a")
        assert connections == ["new", "new"]


@pytest.mark.parametrize("login", [":wr0ng", "nobody:wr0ng", None])
async def test_a_wrong_password_is_refused_at_once_and_not_shown(own_redis: OwnRedis, login: str | None) -> None:
    own_redis.restart("--requirepass", PASSWORD)
    url = own_redis.url if login is None else with_login(own_redis.url, login)
    # So many tries would outlast the deadline by far.
    async with asyncio.timeout(10), connect(url, retries=50) as client:
        for command in (client.ping(), write_in_pipeline(client)):
            with pytest.raises(RedisRefused) as refusal:
                await command
            assert "wr0ng" not in str(refusal.value)
    with pytest.raises(RedisRefused):
        async with subscribe(url, "channel"):
            pass
    with connect_blocking(url, retries=50) as blocking, pytest.raises(RedisRefused):
        blocking.ping()


async def test_a_forbidden_command_is_refused(own_redis: OwnRedis) -> None:
    async with connect(own_redis.url) as admin:
        await admin.execute_command("ACL", "SETUSER", "reader", "on", f">{PASSWORD}", "+get", "~market:*")
    async with connect(with_login(own_redis.url, f"reader:{QUOTED}")) as client:
        assert await client.get("market:snapshot:SPY") is None
        with pytest.raises(RedisRefused):
            await client.get("agent:state:a")
        with pytest.raises(RedisRefused):
            await client.set("market:snapshot:SPY", 1)
        with pytest.raises(RedisRefused):
            await write_in_pipeline(client, "market:snapshot:SPY")


async def test_percent_encoded_users_and_passwords_work(own_redis: OwnRedis) -> None:
    own_redis.restart("--requirepass", PASSWORD)
    async with connect(with_login(own_redis.url, f":{QUOTED}")) as admin:
        await admin.execute_command("ACL", "SETUSER", "ann@home", "on", f">{PASSWORD}", "+@all", "~*")
    async with connect(with_login(own_redis.url, f"ann%40home:{QUOTED}")) as client:
        assert await client.execute_command("ACL", "WHOAMI") == b"ann@home"


async def test_a_unix_socket_works(own_redis: OwnRedis, tmp_path: Path) -> None:
    path = tmp_path / "r.sock"
    own_redis.restart("--unixsocket", str(path))
    async with connect(f"unix://{path}") as client, subscribe(f"unix://{path}", "channel") as subscription:
        await client.publish("channel", "over a file")
        assert await heard(subscription) == [b"over a file"]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://127.0.0.1:1?no_such_option=1", "no_such_option"),
        ("redis://127.0.0.1:1?socket_timeout=soon", "socket_timeout"),
        ("redis://127.0.0.1:1?decode_responses=true", "decode_responses"),
        ("redis://127.0.0.1:1?protocol=2&encoding=latin1", "encoding, protocol"),
        ("http://127.0.0.1:1", "redis://"),
        ("redis://:s3cr/et@127.0.0.1:1", "percent-encoded"),
        ("redis://[s3cr", "percent-encoded"),
        ("redis://:s3cr℀@127.0.0.1:1", "percent-encoded"),
    ],
)
def test_a_bad_url_is_a_setting_that_is_named_without_its_secret(url: str, says: str) -> None:
    for make in (connect, connect_blocking):
        with pytest.raises(SettingsError, match="REDIS_URL") as refusal:
            make(url)
        assert says in str(refusal.value)
        assert "s3cr" not in str(refusal.value)
        assert "s3cr" not in repr(refusal.value.__cause__)


async def test_a_hung_server_is_noticed_within_the_timeout(own_redis: OwnRedis) -> None:
    async with connect(own_redis.url, timeout=SOON) as client, asyncio.timeout(10):
        await client.ping()
        own_redis.suspend()
        for command in (client.ping(), write_in_pipeline(client)):
            with pytest.raises(RedisUnavailable):
                await command
        with pytest.raises(RedisUnavailable):
            async with subscribe(own_redis.url, "channel", timeout=SOON):
                pass
        own_redis.resume()
        assert await client.ping() is True


async def test_no_server_is_unavailable(own_redis: OwnRedis) -> None:
    own_redis.kill()
    async with connect(own_redis.url) as client:
        with pytest.raises(RedisUnavailable):
            await client.ping()
    with pytest.raises(RedisUnavailable):
        async with subscribe(own_redis.url, "channel"):
            pass
    with connect_blocking(own_redis.url) as blocking:
        with pytest.raises(RedisUnavailable):
            blocking.ping()
        with pytest.raises(RedisUnavailable):
            write_in_blocking_pipeline(blocking)


async def test_a_server_that_answers_nonsense_is_no_crash() -> None:
    async with (
        cutting(lambda writer: writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as (port, _),
        connect(f"redis://127.0.0.1:{port}") as client,
    ):
        with pytest.raises(RedisError):
            await client.ping()


async def test_a_silent_listener_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with connect(f"redis://127.0.0.1:{silent.getsockname()[1]}", timeout=SOON) as client:
            with pytest.raises(RedisUnavailable):
                await client.ping()


async def test_out_of_memory_is_told_apart(own_redis: OwnRedis) -> None:
    own_redis.restart("--maxmemory", "1", "--maxmemory-policy", "noeviction")
    async with connect(own_redis.url) as client:
        with pytest.raises(RedisFull):
            await client.set("a", 1)
        for transaction in (True, False):
            with pytest.raises(RedisFull):
                await write_in_pipeline(client, transaction=transaction)
        with pytest.raises(RedisFull):
            await client.register_script("return redis.call('SET', KEYS[1], 1)")(keys=["a"])
        assert await client.get("a") is None


async def test_a_key_of_another_type_is_an_error_of_ours(client: Client) -> None:
    await client.lpush("a", 1)
    with pytest.raises(RedisError, match="WRONGTYPE"):
        await client.get("a")


async def test_a_script_survives_that_the_server_forgot_it(client: Client) -> None:
    script = client.register_script("return redis.call('INCR', KEYS[1])")
    assert await script(keys=["a"]) == 1
    await client.script_flush()
    assert await script(keys=["a"]) == 2


async def test_a_cancellation_is_never_lost(client: Client) -> None:
    async def one() -> None:
        await client.ping()

    async def many() -> None:
        pipeline = client.pipeline(transaction=False)
        pipeline.ping()
        await pipeline.execute()

    await one()  # connected
    cancelled = 0
    for steps in range(60):  # of the loop; one of them is as the sending ends
        for work in (one, many):
            task = asyncio.create_task(work())
            for _ in range(steps):
                await asyncio.sleep(0)
            if task.cancel():
                cancelled += 1
                with pytest.raises(asyncio.CancelledError):
                    await task
    assert cancelled > 10
    assert await client.ping() is True


# --- Subscriptions ---


async def gap(subscription: ChannelSubscription, timeout: float = 10.0) -> None:
    """Wait for the subscription to say that it was lost; whatever it gives instead fails the test."""
    async with asyncio.timeout(timeout):
        with pytest.raises(RedisUnavailable):
            print("instead of an error:", await subscription.messages(timeout))
    # It stays lost, though the library would be back by now.
    for _ in range(3):
        with pytest.raises(RedisUnavailable):
            await subscription.messages(0.05)
    with pytest.raises(RedisUnavailable):
        await subscription.answers(timeout)


async def test_messages_of_all_channels_arrive_in_order(client: Client, redis_url: str) -> None:
    async with subscribe(redis_url, "one", "two") as subscription:
        # Confirmed means that Redis counts it now, not soon.
        assert await client.pubsub_numsub("one", "two") == [(b"one", 1), (b"two", 1)]
        for channel, text in (("one", "a"), ("two", "b"), ("three", "-"), ("one", "c")):
            await client.publish(channel, text)
        assert await heard(subscription, 3) == [b"a", b"b", b"c"]
        assert await subscription.messages(0.01) == []

    async def gone() -> bool:
        return await client.pubsub_numsub("one") == [(b"one", 0)]

    await eventually(gone)


async def test_a_server_that_was_back_at_once_leaves_no_silent_gap(own_redis: OwnRedis) -> None:
    async with subscribe(own_redis.url, "channel") as subscription, connect(own_redis.url) as client:
        await client.publish("channel", "before")
        assert await heard(subscription) == [b"before"]
        own_redis.restart()  # takes 0.1 s: the library would subscribe again and say nothing
        async with connect(own_redis.url) as publisher:
            await publisher.publish("channel", "lost")
        await gap(subscription)
    async with subscribe(own_redis.url, "channel") as again, connect(own_redis.url) as client:
        await client.publish("channel", "after")
        assert await heard(again) == [b"after"]


async def test_a_subscriber_that_redis_cut_learns_of_it(client: Client, redis_url: str) -> None:
    async with subscribe(redis_url, "channel") as subscription:
        assert await client.client_kill_filter(_type="pubsub") == 1
        await client.publish("channel", "lost")
        await gap(subscription)


async def test_a_subscriber_cut_while_it_waits_learns_of_it(client: Client, redis_url: str) -> None:
    async with subscribe(redis_url, "channel") as subscription:
        waiting = asyncio.create_task(gap(subscription))
        await client.ping()
        assert await client.client_kill_filter(_type="pubsub") == 1
        await client.publish("channel", "lost")
        await waiting


async def test_a_slow_subscriber_that_redis_cut_learns_of_it(client: Client, redis_url: str) -> None:
    limit = (await client.config_get("client-output-buffer-limit"))["client-output-buffer-limit"] or ""
    await client.config_set("client-output-buffer-limit", "pubsub 1mb 1mb 1")
    try:
        async with subscribe(redis_url, "channel") as subscription:
            # Until it is cut off: how much the sockets' buffers hold is the kernel's to say. Larger messages Valkey
            # would not copy, nor count.
            payload, sent = "x" * 10_000, 0
            while await client.publish("channel", payload):
                sent += 1
                assert sent < 50_000
            with pytest.raises(RedisUnavailable):
                await heard(subscription, sent + 1)
    finally:
        await client.config_set("client-output-buffer-limit", limit)


async def test_a_hung_server_is_found_by_asking(own_redis: OwnRedis) -> None:
    async with subscribe(own_redis.url, "channel") as subscription, connect(own_redis.url) as client:
        assert await subscription.answers(10) is True
        own_redis.suspend()
        assert await subscription.messages(0.01) == []  # silence: no error tells it
        assert await subscription.answers(SOON) is False
        own_redis.resume()
        assert await subscription.answers(10) is True
        await client.publish("channel", "later")
        assert await heard(subscription) == [b"later"]


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux lets one limit another process's files")
async def test_a_server_whose_disk_is_full_refuses_writes_and_still_hears(own_redis: OwnRedis) -> None:
    own_redis.restart("--appendonly", "yes")
    pid = own_redis.running.pid
    async with subscribe(own_redis.url, "channel") as subscription, connect(own_redis.url) as client:
        soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))

        async def refuses() -> bool:
            try:
                await client.set("key", "value")
            except RedisFull as error:
                return "MISCONF" in str(error) and "Free the disk" in str(error)
            return False

        await eventually(refuses)
        assert await subscription.answers(10) is True
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))

        async def takes() -> bool:
            return not await refuses()

        await eventually(takes)
        await client.publish("channel", "later")
        assert await heard(subscription) == [b"later"]


async def test_messages_that_come_while_asking_are_kept_in_order(client: Client, redis_url: str) -> None:
    async with subscribe(redis_url, "channel") as subscription:
        for text in ("a", "b"):
            await client.publish("channel", text)
        assert await subscription.answers(10) is True
        await client.publish("channel", "c")
        assert await heard(subscription, 3) == [b"a", b"b", b"c"]


async def test_asking_a_dead_server_says_so(own_redis: OwnRedis) -> None:
    async with subscribe(own_redis.url, "channel") as subscription:
        own_redis.kill()
        with pytest.raises(RedisUnavailable):
            await subscription.answers(10)


@asynccontextmanager
async def cutting_after(url: str) -> AsyncIterator[tuple[str, list[int]]]:
    """The URL of a proxy that hangs up after so many bytes of the server's, as the list says from its end."""
    at = urlsplit(url)
    allowed: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = allowed.pop() if allowed else 0
        there_reader, there_writer = await asyncio.open_connection(at.hostname, at.port)

        async def ask() -> None:
            while data := await reader.read(4096):
                there_writer.write(data)

        async def tell() -> None:
            nonlocal left
            while left > 0 and (data := await there_reader.read(left)):
                left -= len(data)
                writer.write(data)

        tasks = [asyncio.create_task(ask()), asyncio.create_task(tell())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        writer.transport.abort()
        there_writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", allowed


@on_a_shared_one
@pytest.mark.usefixtures("no_debug")
async def test_a_subscription_cut_while_it_is_made_leaves_nothing_open(redis_url: str) -> None:
    """At any byte of what the server says to it, or by whoever wants it no longer."""
    before, cut = len(asyncio.all_tasks()), -1
    async with cutting_after(redis_url) as (url, allowed):
        whole = False
        while not whole:
            allowed.append(cut := cut + 1)
            with suppress(RedisUnavailable):
                async with subscribe(url, "channel") as each:
                    whole = await each.messages(0.1) == []
        for number in range(60):
            allowed.append(10_000)

            async def hold() -> None:
                async with subscribe(url, "channel") as each:
                    await each.messages(5)

            task = asyncio.create_task(hold())
            for _ in range(number):
                await asyncio.sleep(0)
            task.cancel()
            assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
            allowed.clear()
    gc.collect()  # a connection that is left to it complains
    await eventually(lambda: len(asyncio.all_tasks()) <= before)


@FAST_PATH_ALONE
async def test_who_does_not_take_messages_stops_reading_and_loses_none(
    client: Client, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cottage.redis.fast_path.MOST_HELD_BYTES", 100_000)
    async with subscribe(redis_url, "channel") as each:
        for number in range(300):
            await client.publish("channel", f"{number} {'x' * 10_000}")
        await client.ping()
        assert len(each._stream.messages) < 300
        assert [int(payload.partition(b" ")[0]) for payload in await heard(each, 300)] == list(range(300))


async def test_a_forbidden_channel_is_refused(own_redis: OwnRedis) -> None:
    async with connect(own_redis.url) as admin:
        await admin.execute_command("ACL", "SETUSER", "deaf", "on", f">{PASSWORD}", "+@all", "~*", "resetchannels")
    with pytest.raises(RedisRefused):
        async with subscribe(with_login(own_redis.url, f"deaf:{QUOTED}"), "channel"):
            pass
