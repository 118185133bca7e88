"""Client.bulk on real servers: every promise of a command kept for thousands at once."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from cottage.errors import RedisError, RedisFull, RedisRefused, RedisUnavailable
from cottage.redis import BATCH, Client, Command, connect
from deploy.redis_server import RunningServer, free_port
from tests.support import OwnRedis, eventually

pytestmark = pytest.mark.usefixtures("face")
FAST_PATH_ALONE = pytest.mark.parametrize("face", ["fast path"], indirect=True)

SOON = 0.3
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def connection_id(client: Client) -> int:
    return int(await client.client_id())


@asynccontextmanager
async def server_that(talk: Talk) -> AsyncIterator[str]:
    """The URL of a server that greets like Redis and then does something else with the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read(4096)
            writer.write(b"%1\r\n$5\r\nproto\r\n:3\r\n")
            await reader.readuntil(b"\r\nPING\r\n")
            await talk(reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_replies_come_in_order_as_the_server_gives_them(client: Client) -> None:
    count = 4 * BATCH + 3
    written = await client.bulk([("SET", f"k{i}", i) for i in range(count)])
    assert written == [b"OK"] * count
    read = await client.bulk(("GET", f"k{i}".encode()) for i in range(count))
    assert read == [str(i).encode() for i in range(count)]
    mixed = await client.bulk(
        [("RPUSH", "list", 1.5, "Lévy", b"\x00\r\n"), ("LRANGE", "list", 0, -1), ("GET", "gone"), ("PING",)]
    )
    assert mixed == [3, [b"1.5", "Lévy".encode(), b"\x00\r\n"], None, b"PONG"]
    assert await client.bulk([]) == []
    assert await client.bulk([], transaction=True) == []


@pytest.mark.usefixtures("no_debug")
async def test_neither_side_waits_for_the_other_with_full_buffers(redis_url: str) -> None:
    texts = [bytes([65 + i % 26]) * 200_000 for i in range(BATCH)]  # 100 MB there and back
    async with connect(redis_url, timeout=60.0) as patient:  # on a busy machine too
        assert await patient.bulk(("ECHO", text) for text in texts) == texts


@pytest.mark.usefixtures("no_debug")
async def test_others_get_their_turn_meanwhile(client: Client) -> None:
    turns = itertools.count()

    async def other() -> None:
        while True:
            next(turns)
            await asyncio.sleep(0)

    running = asyncio.create_task(other())
    await client.bulk([("PING",)] * (20 * BATCH))
    running.cancel()
    assert next(turns) >= 20


@pytest.mark.usefixtures("no_debug")
async def test_several_at_once_get_their_own_replies(client: Client) -> None:
    async def echo(name: str) -> bool:
        texts = [f"{name}{i}".encode() for i in range(3 * BATCH)]
        return await client.bulk(("ECHO", text) for text in texts) == texts

    assert all(await asyncio.gather(*(echo(f"task{i}-") for i in range(5))))


# --- Errors ---


async def test_the_first_error_is_raised_and_nothing_is_sent_after_its_batch(client: Client) -> None:
    before = await connection_id(client)
    commands: list[Command] = [("RPUSH", "list", 1), *(("SET", f"k{i}", i) for i in range(2 * BATCH))]
    commands[5] = ("GET", "list")
    commands[7] = ("NONSENSE",)
    with pytest.raises(RedisError, match="WRONGTYPE"):
        await client.bulk(commands)
    assert await client.dbsize() == BATCH - 2
    assert await connection_id(client) == before  # every reply was read


async def test_errors_stand_in_their_places_where_that_was_asked_for(client: Client) -> None:
    replies = await client.bulk([("SET", "a", 1), ("HGET", "a", "b"), ("GET", "a")], raise_on_error=False)
    assert [replies[0], replies[2]] == [b"OK", b"1"]
    assert type(replies[1]) is RedisError
    assert str(replies[1]).startswith("WRONGTYPE")


async def test_kinds_of_errors_are_told_apart(own_redis: OwnRedis) -> None:
    own_redis.restart("--maxmemory", "1", "--maxmemory-policy", "noeviction")
    async with connect(own_redis.url) as client:
        await client.execute_command("ACL", "SETUSER", "reader", "on", ">p", "+get", "+multi", "+exec", "~a")
        for transaction in (False, True):
            with pytest.raises(RedisFull):
                await client.bulk([("SET", "a", 1)], transaction=transaction)
        (full,) = await client.bulk([("SET", "a", 1)], raise_on_error=False)
        assert type(full) is RedisFull
        await client.config_set("maxmemory", 0)
        async with connect(own_redis.url.replace("://", "://reader:p@")) as reader:
            assert await reader.bulk([("GET", "a")]) == [None]
            for transaction in (False, True):
                with pytest.raises(RedisRefused):
                    await reader.bulk([("GET", "a"), ("GET", "b")], transaction=transaction)
        async with connect(own_redis.url.replace("://", "://reader:wr0ng@")) as stranger:
            with pytest.raises(RedisRefused):
                await stranger.bulk([("GET", "a")])


async def test_a_word_that_is_none_sends_nothing(client: Client) -> None:
    with pytest.raises(TypeError):
        await client.bulk([("SET", "a", 1), ("SET", "a", None)])  # type: ignore[list-item]  # that is the point
    assert await client.bulk([("GET", "a")]) == [None]


# --- Transactions ---


async def test_a_transaction_is_done_whole(client: Client) -> None:
    replies = await client.bulk([("INCR", "n")] * (2 * BATCH), transaction=True)
    assert replies == list(range(1, 2 * BATCH + 1))
    with pytest.raises(RedisError, match="NONSENSE"):
        await client.bulk([("INCR", "n"), ("NONSENSE",)], transaction=True)
    assert await client.get("n") == str(2 * BATCH).encode()


async def test_an_error_within_a_transaction(client: Client) -> None:
    commands: list[Command] = [("SET", "a", 1), ("LPUSH", "a", 1), ("INCR", "a")]
    with pytest.raises(RedisError, match="WRONGTYPE"):
        await client.bulk(commands, transaction=True)
    one, error, two = await client.bulk(commands, transaction=True, raise_on_error=False)
    assert (one, two) == (b"OK", 2)
    assert type(error) is RedisError


# --- Connections ---


async def test_a_restarted_server_fails_none(own_redis: OwnRedis) -> None:
    connections: list[str] = []
    async with (
        connect(own_redis.url, on_connect=lambda: connections.append("new")) as client,
        connect(own_redis.url) as other,
    ):
        await client.bulk([("PING",)])
        await client.bulk([("PING",)])
        assert connections == ["new"]
        own_redis.restart()
        await other.ping()  # meanwhile the loop has seen that the old connection has ended
        assert await client.bulk([("PING",)]) == [b"PONG"]
        assert connections == ["new", "new"]


async def test_a_password_over_a_unix_socket(own_redis: OwnRedis, tmp_path: Path) -> None:
    path = tmp_path / "r.sock"
    own_redis.restart("--unixsocket", str(path), "--requirepass", "s3cret")
    async with connect(f"unix://:s3cret@{path}?db=3") as client:
        assert await client.bulk([("SET", "a", 1), ("GET", "a"), ("DBSIZE",)]) == [b"OK", b"1", 1]


async def test_no_server_and_a_killed_one_are_unavailable(own_redis: OwnRedis) -> None:
    async with connect(own_redis.url) as client:
        await client.bulk([("PING",)])
        waiting = asyncio.create_task(client.bulk([("BLPOP", "nothing", 0)]))
        async with connect(own_redis.url) as other:

            async def blocked() -> bool:
                return bool((await other.info("clients"))["blocked_clients"] == 1)

            await eventually(blocked)
        own_redis.kill()
        with pytest.raises(RedisUnavailable):
            await waiting
        with pytest.raises(RedisUnavailable):
            await client.bulk([("PING",)])
        own_redis.start()
        assert await client.bulk([("PING",)]) == [b"PONG"]


@FAST_PATH_ALONE  # else the library does so on connections that a sentinel told of
@pytest.mark.parametrize("raise_on_error", [False, True])
async def test_a_connection_to_a_master_that_is_none_any_more_is_dropped(
    own_redis: OwnRedis, raise_on_error: bool
) -> None:
    async with connect(own_redis.url) as client:
        client.replicated = True  # as one that asks sentinels for the master is
        (before,) = await client.bulk([("CLIENT", "ID")])
        await client.bulk([("REPLICAOF", "127.0.0.1", free_port())])
        with contextlib.suppress(RedisUnavailable):
            (refused,) = await client.bulk([("SET", "a", "1")], raise_on_error=raise_on_error)
            assert isinstance(refused, RedisUnavailable)
        (after,) = await client.bulk([("CLIENT", "ID")])
        assert after != before


@pytest.mark.parametrize("transaction", [False, True])
async def test_a_hung_server_is_noticed_and_gets_no_late_command(
    own_redis: OwnRedis, transaction: bool, face: str
) -> None:
    async with connect(own_redis.url, timeout=SOON) as client, asyncio.timeout(10):
        await client.ping()
        own_redis.suspend()
        # More than the sockets' buffers hold: what was not sent by then is not sent later.
        commands: list[Command] = [("SET", f"k{i}", b"x" * 100_000) for i in range(BATCH)]
        with pytest.raises(RedisUnavailable, match="no answer within"):
            await client.bulk(commands, transaction=transaction)
        own_redis.resume()
        assert await client.bulk([("GET", "gone")]) == [None]
        if face == "fast path":  # the library's own close goes on sending what it had taken (Client.bulk says so)
            assert await client.dbsize() < BATCH


async def test_the_timeout_is_for_all_of_it() -> None:
    async def trickle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"+PONG\r\n")
            await writer.drain()
            await asyncio.sleep(SOON / 4)

    async with server_that(trickle) as url, connect(url, timeout=SOON) as client, asyncio.timeout(10):
        with pytest.raises(RedisUnavailable):
            await client.bulk([("PING",)] * BATCH)


@pytest.mark.parametrize(
    "reply", [b"+PONG\r\n+PONG\r\n", b"+PONG\r\n+PO", b"HTTP/1.1 400 Bad Request\r\n", b"+PO", b""]
)
async def test_a_server_that_answers_nonsense_keeps_no_connection(reply: bytes, face: str) -> None:
    if face == "public face" and reply.startswith(b"+PONG"):
        pytest.skip("the library finds what is too much when it takes the connection again, and makes a new one")
    connections = itertools.count()

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        next(connections)
        writer.write(reply)
        await writer.drain()

    async with server_that(answer) as url, connect(url) as client:
        for _ in range(2):
            with pytest.raises(RedisError):
                await client.bulk([("PING",)])
        assert next(connections) == 2


async def test_a_push_is_no_reply() -> None:
    async def push(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b">2\r\n+invalidate\r\n_\r\n+PONG\r\n")
        await writer.drain()

    async with server_that(push) as url, connect(url) as client:
        assert await client.bulk([("PING",)]) == [b"PONG"]


async def test_nothing_is_sent_twice(own_redis: OwnRedis) -> None:
    async with connect(own_redis.url, retries=3) as client, connect(own_redis.url) as other:
        await client.ping()
        await other.client_kill_filter(_type="normal", skipme=True)
        with contextlib.suppress(RedisUnavailable):
            await client.bulk([("INCR", "n")])
        assert await other.get("n") in (None, b"1")


# --- Cancellation ---


async def cancelled_anywhere(client: Client) -> int:
    """Cancel it after any number of steps of the loop; how often that hit."""
    hits = 0
    for steps in range(80):
        task = asyncio.create_task(client.bulk(("ECHO", f"old{i}") for i in range(3 * BATCH)))
        for _ in range(steps):
            await asyncio.sleep(0)
        if task.cancel():
            hits += 1
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert task.cancelled()
        else:
            await task
        assert await client.bulk([("ECHO", "new")]) == [b"new"]  # and not an old one's reply
        assert await client.execute_command("ECHO", "newer") == b"newer"
    return hits


@pytest.mark.usefixtures("no_debug")
async def test_cancelled_it_leaves_no_reply_to_a_later_command(client: Client) -> None:
    assert await cancelled_anywhere(client) >= 3  # it waits for three replies at least

    async def its_old_connections_are_gone() -> bool:
        return len(await client.client_list(_type="normal")) == 1

    await eventually(its_old_connections_are_gone)


def test_nor_on_the_services_own_loop(redis_server: RunningServer) -> None:
    async def main() -> int:
        async with connect(redis_server.url) as client:
            return await cancelled_anywhere(client)

    assert uvloop.run(main()) >= 3


@FAST_PATH_ALONE
@pytest.mark.parametrize("raises", [True, False])
@pytest.mark.parametrize("transaction", [True, False])
async def test_a_server_that_is_a_replica_by_now_is_left(
    own_redis: OwnRedis, raises: bool, transaction: bool
) -> None:
    """Behind a name that leads to the master, as a cloud's: the next connection asks where that is."""
    async with connect(own_redis.url) as client:
        assert await client.bulk([("SET", "a", "1")]) == [b"OK"]
        before = await connection_id(client)
        assert await connection_id(client) == before
        await client.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
        try:
            replies = await client.bulk([("SET", "a", "2")], transaction=transaction, raise_on_error=raises)
        except RedisUnavailable:
            assert raises or transaction
        else:
            assert [type(reply) for reply in replies] == [RedisUnavailable]
        assert await connection_id(client) != before
