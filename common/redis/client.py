"""Clients, with an event loop or without.

A Client's commands raise common.errors.RedisError and its kinds, never an exception of the library.
Every command has a timeout. Replies are bytes. Thousands of commands go through `Client.bulk`.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import hiredis
import redis
import redis.asyncio
from redis.asyncio.client import Pipeline as AsyncPipeline
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import FullJitterBackoff
from redis.client import Pipeline as BlockingPipeline
from redis.commands.core import AsyncScript
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    InvalidResponse,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
)
from redis.exceptions import (
    ConnectionError as LostConnection,
)
from redis.exceptions import (
    TimeoutError as CommandTimeout,
)
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from common.cancellation import cancellation_kept
from common.errors import RedisError, RedisFull, RedisRefused, RedisUnavailable, SettingsError

CONNECT_SECONDS = 5.0  # §5.1
COMMAND_SECONDS = 5.0
BATCH = 500
"""Commands or keys at a time: about a millisecond of Redis, so that nobody waits long for it."""

Command = tuple[str | bytes | int | float, ...]
"""Its words, such as ("HMGET", key, "price")."""

_READ_BYTES = 2**16
MORE = object()  # what the parser gives where a reply is not whole yet
_OURS = {"decode_responses", "encoding", "encoding_errors", "protocol", "retry_on_timeout", "max_connections"}
_REFUSALS = (AuthenticationError, AuthorizationError, NoPermissionError)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn redis-py's exceptions into ours. NoScriptError passes: _Script waits for it."""
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
        return RedisFull(text)
    if isinstance(error, LostConnection | CommandTimeout | ReadOnlyError | OSError):
        return RedisUnavailable(text)
    return RedisError(text)


def _worth_trying_again(error: Exception) -> bool:
    """A wrong password is a ConnectionError to the library, which would repeat it for seconds."""
    return not isinstance(error, _REFUSALS)


class _AsyncRetry(AsyncRetry):
    async def call_with_retry(
        self, do: Any, fail: Any, is_retryable: Any = None, with_failure_count: bool = False
    ) -> Any:
        return await super().call_with_retry(do, fail, is_retryable or _worth_trying_again, with_failure_count)


class _Retry(Retry):
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


class _Script(AsyncScript):
    """EVALSHA, and EVAL where the server does not have the script (any more).

    The library would SCRIPT LOAD and try EVALSHA once more, which a flush in between defeats.
    """

    async def __call__(self, keys: Any = (), args: Any = (), client: Any = None) -> Any:
        client = client or self.registered_client
        arguments = (len(keys), *keys, *args)
        try:
            (reply,) = await client.bulk([("EVALSHA", self.sha, *arguments)])
        except NoScriptError:
            (reply,) = await client.bulk([("EVAL", self.script, *arguments)])
        return reply


class Client(redis.asyncio.Redis):
    """An asyncio client whose errors are ours. Make one with `connect`."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        with translated():
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> _Pipeline:
        return _Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)

    def register_script(self, script: Any) -> _Script:  # type: ignore[override]  # of the blocking class, to the stub
        return _Script(self, script)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        # Cancelled as it begins, the library's own would leave the connections open.
        await asyncio.shield(super().aclose(close_connection_pool))

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
            except TimeoutError as error:
                raise CommandTimeout(f"no answer within {connection.socket_timeout:g} s") from error
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
    return _translation(reply) if isinstance(reply, redis.RedisError) else reply


class BlockingClient(redis.Redis):
    """The same for code without an event loop. Make one with `connect_blocking`."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        with translated():
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> _BlockingPipeline:
        return _BlockingPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


def connect(
    url: str,
    *,
    timeout: float = COMMAND_SECONDS,
    retries: int = 0,
    on_connect: Callable[[], None] | None = None,
) -> Client:
    """A client for `url`; it connects with its first command.

    timeout: seconds that one command may take. retries: how often a failed command is sent again; only
    for a client whose commands may run twice, since a lost reply does not mean a lost command.
    on_connect: called after every new connection. Raises SettingsError for a URL that is none.
    """
    options = _options(url, timeout)
    options["retry"] = _AsyncRetry(FullJitterBackoff(cap=1.0, base=0.05), retries)
    if on_connect is not None:

        async def connected(connection: Any) -> None:
            await connection.on_connect()
            on_connect()

        options["redis_connect_func"] = connected
    with _bad_url():
        client = cast("Client", Client.from_url(url, **options))
        _try_options(client.connection_pool)
    return client


def connect_blocking(url: str, *, timeout: float = COMMAND_SECONDS, retries: int = 0) -> BlockingClient:
    """As `connect`, for code without an event loop."""
    options = _options(url, timeout)
    options["retry"] = _Retry(FullJitterBackoff(cap=1.0, base=0.05), retries)
    with _bad_url():
        client = cast("BlockingClient", BlockingClient.from_url(url, **options))
        _try_options(client.connection_pool)
    return client


def _try_options(pool: Any) -> None:
    """TypeError for an unknown word in the URL's query, which the first command would raise otherwise."""
    pool.connection_class(**pool.connection_kwargs)  # it is not connected


def _options(url: str, timeout: float) -> dict[str, Any]:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # it is read for its ValueError
    except ValueError:
        # Not that error's text, nor the error itself: it shows a part of the URL, which may be of the password.
        raise SettingsError(
            "REDIS_URL: must look like redis://user:password@host:6379, special characters percent-encoded"
        ) from None
    # What stands in the URL's query beats keyword arguments, and these would change what replies look like.
    forbidden = _OURS & set(parse_qs(parts.query))
    if forbidden:
        raise SettingsError(f"REDIS_URL: {', '.join(sorted(forbidden))} cannot be set in the query")
    options = {
        "socket_connect_timeout": min(CONNECT_SECONDS, timeout),
        "socket_timeout": timeout,
        # redis-py 8.1 stops checking for stale connections unless maintenance notices are off: after a
        # restart of the server, the first command on each idle connection would fail.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        "driver_info": None,  # Redis 7.0 answers CLIENT SETINFO with an error, twice a connection
    }
    if parts.scheme != "unix":
        options["socket_keepalive"] = True  # §5.1; a file has none, and the library refuses the word
    return options


@contextlib.contextmanager
def _bad_url() -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError) as error:
        raise SettingsError(f"REDIS_URL: {error}") from error
