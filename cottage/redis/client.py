"""Clients of one server, with an event loop or without.

A Client's commands raise cottage.errors.RedisError and its kinds, never an exception of the library.
Every command has a timeout. Replies are bytes. Thousands of commands go through `Client.bulk`.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, cast

import hiredis
import redis
import redis.asyncio
from redis.asyncio.client import Pipeline as AsyncPipeline
from redis.asyncio.retry import Retry as AsyncRetry
from redis.client import Pipeline as BlockingPipeline
from redis.commands.core import AsyncScript
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    InvalidResponse,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
from redis.exceptions import (
    ConnectionError as LostConnection,
)
from redis.exceptions import (
    TimeoutError as CommandTimeout,
)
from redis.retry import Retry

from cottage.cancellation import cancellation_kept
from cottage.errors import RedisError, RedisFull, RedisRefused, RedisUnavailable
from cottage.redis.slots import Command, Redirected

BATCH = 500
"""Commands or keys at a time: about a millisecond of Redis, so that nobody waits long for it."""

_READ_BYTES = 2**16
MORE = object()  # what the parser gives where a reply is not whole yet
_REFUSALS = (AuthenticationError, AuthorizationError, NoPermissionError)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn redis-py's exceptions into ours. NoScriptError passes: Script waits for it."""
    try:
        with cancellation_kept():
            yield
    except NoScriptError:
        raise
    except (redis.RedisError, OSError) as error:
        raise _translation(error) from error


def _translation(error: Exception) -> RedisError:
    text = str(error) or type(error).__name__
    if isinstance(error, _REFUSALS) or text.startswith(("NOAUTH", "WRONGPASS", "NOPERM")):
        return RedisRefused(text)
    if isinstance(error, OutOfMemoryError):
        return RedisFull(f"OOM {text} Raise its maxmemory, or give it the policy allkeys-lru.")
    if text.startswith("MISCONF"):
        return RedisFull(f"{text} Free the disk of its data folder.")
    if isinstance(error, AskError):
        return Redirected(error.node_addr, ask=not isinstance(error, MovedError))
    if isinstance(error, ClusterDownError | TryAgainError) or text.startswith("NOREPLICAS"):
        return RedisUnavailable(text)
    if isinstance(error, LostConnection | CommandTimeout | ReadOnlyError | OSError):
        return RedisUnavailable(text)
    return RedisError(text)


def _worth_trying_again(error: Exception) -> bool:
    """A wrong password is a ConnectionError to the library, which would repeat it for seconds."""
    return not isinstance(error, _REFUSALS)


class NoRetryOfRefusals(AsyncRetry):
    async def call_with_retry(
        self, do: Any, fail: Any, is_retryable: Any = None, with_failure_count: bool = False
    ) -> Any:
        return await super().call_with_retry(do, fail, is_retryable or _worth_trying_again, with_failure_count)


class BlockingNoRetryOfRefusals(Retry):
    def call_with_retry(self, do: Any, fail: Any, is_retryable: Any = None, with_failure_count: bool = False) -> Any:
        return super().call_with_retry(do, fail, is_retryable or _worth_trying_again, with_failure_count)


class _Pipeline(AsyncPipeline):
    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        with translated():
            return await super().execute(raise_on_error)


class _BlockingPipeline(BlockingPipeline):
    def execute(self, raise_on_error: bool = True) -> list[Any]:
        with translated():
            return super().execute(raise_on_error)


class Script(AsyncScript):
    """EVALSHA, and EVAL where the server does not have the script (any more).

    The library would SCRIPT LOAD and try EVALSHA once more, which a flush in between defeats.
    """

    async def __call__(self, keys: Any = (), args: Any = (), client: Any = None) -> Any:
        (reply,) = await self.then((), keys, args, client)
        return reply

    async def then(
        self, commands: Sequence[Command], keys: Any = (), args: Any = (), client: Any = None
    ) -> list[Any]:
        """Its reply, and those to more commands that come right after it on the same connection."""
        client = client or self.registered_client
        arguments = (len(keys), *keys, *args)
        try:
            return cast("list[Any]", await client.bulk([("EVALSHA", self.sha, *arguments), *commands]))
        except NoScriptError:
            return cast("list[Any]", await client.bulk([("EVAL", self.script, *arguments), *commands]))

    async def each(self, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]) -> list[Any]:
        """The replies to many calls, each with its keys and arguments, wherever these keys lie. Raises the first
        error once all are done."""
        client = cast("Client", self.registered_client)
        commands: list[Command] = [("EVALSHA", self.sha, len(keys), *keys, *args) for keys, args in calls]
        replies = await client.bulk(commands, raise_on_error=False)
        unknown = [place for place, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:
            await client.load_script(cast("str", self.script))
            again = await client.bulk([commands[place] for place in unknown], raise_on_error=False)
            for place, reply in zip(unknown, again, strict=True):
                replies[place] = reply
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies


class Client(redis.asyncio.Redis):
    """An asyncio client whose errors are ours. Made by `connect`."""

    spread: bool = False
    """Its keys lie on several servers: no command or script sees more than those of one slot."""
    replicated: bool = False
    """Sentinels make a replica the master when that is lost."""
    also_closed: Sequence[redis.asyncio.Redis | redis.asyncio.Sentinel] = ()

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        with translated():
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> _Pipeline:
        return _Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)

    def register_script(self, script: Any) -> Script:  # type: ignore[override]  # of the blocking class, to the stub
        return Script(self, script)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        # Cancelled as it begins, the library's own would leave the connections open.
        await asyncio.shield(super().aclose(close_connection_pool))
        for other in self.also_closed:
            await asyncio.shield(other.aclose())

    async def load_script(self, script: str) -> str:
        """Have it on the server; by which name it can be called."""
        sha: bytes | str = await self.script_load(script)
        return sha.decode() if isinstance(sha, bytes) else sha

    async def listening_pool(self) -> Any:
        """From which a subscription takes its connection."""
        return self.connection_pool

    async def bulk(
        self, commands: Iterable[Command], *, transaction: bool = False, raise_on_error: bool = True
    ) -> list[Any]:
        """Send many commands on one connection; their replies, in that order. A tenth of a pipeline's cost.

        500 are taken and sent at a time, and the next 500 after the replies. Replies are what the server said:
        bytes, int, None or a list of them; nothing is made of them, as methods of the client may do.

        transaction: all are done together or not at all, between MULTI and EXEC. They are sent at once, and
        nobody else is served meanwhile: let them be few hundred.
        raise_on_error: raise the first error among 500 replies, once these are read; what comes after them is
        not sent. False leaves errors in their places, as RedisError and its kinds; the failure of a
        whole transaction is raised nevertheless.

        The client's timeout is for all of it. Nothing is sent twice, whatever the client's `retries`.
        Cancelled, timed out or cut off, it drops the connection: no later command gets a reply to one of these.
        """
        exchange, most = (_transaction, None) if transaction else (_exchange, BATCH)
        left = iter(commands)
        replies: list[Any] = []
        with translated():
            connection = await self.connection_pool.get_connection()  # type: ignore[no-untyped-call]
            try:
                async with asyncio.timeout(connection.socket_timeout):
                    await connection.check_health()
                    while part := list(islice(left, most)):
                        answers = await exchange(connection, part)
                        if raise_on_error:
                            _raise_first(answers)
                        replies += answers
                if self.replicated and any(isinstance(reply, ReadOnlyError) for reply in replies):
                    await drop(connection)  # a master no more: the next connection is made to the new one
            except TimeoutError as error:
                raise CommandTimeout(f"no answer within {connection.socket_timeout:g} s") from error
            except ReadOnlyError:
                await drop(connection)
                raise
            finally:
                await self.connection_pool.release(connection)
        return replies if raise_on_error else [_ours(reply) for reply in replies]

    async def now(self) -> float:
        """The server's clock, in seconds since 1970."""
        seconds, micros = await self.time()
        return float(seconds) + float(micros) / 1e6


def reply_reader(connection: Any) -> hiredis.Reader:
    """A parser of our own for what comes on a connection of the library's."""
    return hiredis.Reader(
        protocolError=InvalidResponse, replyError=connection._parser.parse_error, notEnoughData=MORE
    )


def pack(command: Command) -> bytes:
    packed: bytes = cast("Callable[[Command], bytes]", hiredis.pack_command)(command)  # its stub knows one word only
    return packed


async def drop(connection: Any) -> None:
    """Close a connection of the library's at once: a close of its own would wait for the rest to be sent."""
    if connection._writer is not None:
        connection._writer.transport.abort()
    await connection.disconnect(nowait=True)


async def _exchange(connection: Any, commands: Sequence[Command]) -> list[Any]:
    """The replies to `commands`, errors among them. Where there is none to each, the connection is closed."""
    stream, writer, reader = connection._reader, connection._writer, reply_reader(connection)
    replies: list[Any] = []
    try:
        # Not drained: sending goes on while we read, so that neither side waits for the other with full
        # buffers; and with the last reply all of it has been sent, so that no more than this piles up.
        writer.write(b"".join(map(pack, commands)))
        while len(replies) < len(commands):
            data = await stream.read(_READ_BYTES)
            if not data:
                raise LostConnection("the server closed the connection")
            reader.feed(data)
            while (reply := reader.gets()) is not MORE:
                if type(reply) is not hiredis.PushNotification:
                    replies.append(reply)
        if len(replies) > len(commands) or reader.has_data():
            raise InvalidResponse("more replies than commands")
    except BaseException:
        await drop(connection)
        raise
    return replies


async def _transaction(connection: Any, commands: Sequence[Command]) -> list[Any]:
    """As `_exchange`, between MULTI and EXEC; raises what the server found wrong before it began."""
    *queued, done = await _exchange(connection, [("MULTI",), *commands, ("EXEC",)])
    _raise_first([*queued, done])
    if not isinstance(done, list):
        raise InvalidResponse("EXEC was answered with no list")
    return done


def _raise_first(replies: Sequence[Any]) -> None:
    for reply in replies:
        if isinstance(reply, redis.RedisError):
            raise reply


def _ours(reply: Any) -> Any:
    if isinstance(reply, NoScriptError):  # which is for Script
        return reply
    return _translation(reply) if isinstance(reply, redis.RedisError) else reply


class BlockingClient(redis.Redis):
    """The same for code without an event loop. Made by `connect_blocking`."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        with translated():
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> _BlockingPipeline:
        return _BlockingPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


def blocking_bulk(client: BlockingClient, commands: Sequence[Command]) -> list[Any]:
    """What the server says to these, sent together; errors in their places, as ours. Raises RedisError."""
    with translated():
        connection: Any = client.connection_pool.get_connection()
        try:
            connection.send_packed_command(connection.pack_commands(commands))
            replies: list[Any] = []
            for _ in commands:
                try:
                    replies.append(connection.read_response())
                except redis.ResponseError as error:
                    replies.append(_ours(error))
        except BaseException:
            connection.disconnect()
            raise
        finally:
            client.connection_pool.release(connection)
    return replies
