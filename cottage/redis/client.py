"""Clients of one server, with an event loop or without.

A Client's commands raise cottage.errors.RedisError and its kinds, never an exception of the library.
Every command has a timeout. Replies are bytes. Thousands of commands go through `Client.bulk`.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, cast

import redis
import redis.asyncio
from redis import exceptions
from redis.asyncio.client import Pipeline as AsyncPipeline
from redis.client import Pipeline as BlockingPipeline
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError

from cottage.backoff import Backoff
from cottage.cancellation import cancellation_kept
from cottage.errors import RedisError, RedisFull, RedisRefused, RedisUnavailable
from cottage.redis import library
from cottage.redis.slots import Command, Redirected, raise_first
from cottage.redis.stream import Exchange

BATCH = 500
"""Commands or keys in one batch: they take Redis about a millisecond, so other clients do not wait long."""

_REFUSALS = (exceptions.AuthenticationError, exceptions.AuthorizationError, exceptions.NoPermissionError)
_OUTAGES = (
    OSError,
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Translate redis-py's exceptions to those of cottage.errors, except NoScriptError, which Script handles."""
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
    if isinstance(error, exceptions.OutOfMemoryError):
        return RedisFull(f"OOM {text} Raise its maxmemory, or give it the policy allkeys-lru.")
    if text.startswith("MISCONF"):
        return RedisFull(f"{text} Free the disk of its data folder.")
    if isinstance(error, exceptions.AskError):
        return Redirected(error.node_addr, ask=not isinstance(error, exceptions.MovedError))
    if isinstance(error, _OUTAGES) or text.startswith("NOREPLICAS"):
        return RedisUnavailable(text)
    return RedisError(text)


def _waits(retries: int) -> Iterator[float]:
    """Seconds before each further try. Ours, since the library would also repeat a wrong password, for seconds."""
    backoff = Backoff()
    return (backoff.next() for _ in range(retries))


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
        return raise_first(replies)


class Client(redis.asyncio.Redis):
    """An asyncio client that raises the exceptions of cottage.errors. Made by `connect`."""

    spread: bool = False
    """Its keys lie on several servers: no command or script sees more than those of one slot."""
    replicated: bool = False
    """Sentinels make a replica the master when that is lost."""
    retries: int = 0
    """How often a failed command is sent again; a pipeline never is, nor what goes in bulk."""
    also_closed: Sequence[redis.asyncio.Redis | redis.asyncio.Sentinel] = ()

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        waits = _waits(self.retries)
        while True:
            try:
                with translated():
                    return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
            except RedisUnavailable:
                if (wait := next(waits, None)) is None:
                    raise
            await asyncio.sleep(wait)

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
        """Send many commands; their replies, in that order. At a tenth of a pipeline's cost and on one connection
        where `library.FAST` is true; else as pipelines.

        500 are taken and sent at a time, and the next 500 after the replies. Replies are what the server said:
        bytes, int, None or a list of them; nothing is made of them, as methods of the client may do.

        transaction: all are done together or not at all, between MULTI and EXEC. They are sent at once, and
        nobody else is served meanwhile: let them be few hundred.
        raise_on_error: raise the first error among 500 replies, once these are read; what comes after them is
        not sent. False leaves errors in their places, as RedisError and its kinds; the failure of a
        whole transaction is raised nevertheless.

        The client's timeout is for all of it. Nothing is sent twice, whatever the client's `retries`.
        Cancelled, timed out or cut off, it drops the connection: no later command gets a reply to one of these.
        What was not sent by then is never sent on the fast path; the rest of a pipeline may be.
        """
        left, most = iter(commands), None if transaction else BATCH
        seconds = self.connection_pool.connection_kwargs["socket_timeout"]
        replies: list[Any] = []
        with translated():
            try:
                async with asyncio.timeout(seconds), self._exchanging(transaction) as exchange:
                    while part := list(islice(left, most)):
                        answers = await exchange(part)
                        replies += raise_first(answers) if raise_on_error else answers
            except TimeoutError as error:
                raise exceptions.TimeoutError(f"no answer within {seconds:g} s") from error
        return replies if raise_on_error else [_ours(reply) for reply in replies]

    def _exchanging(self, transaction: bool) -> contextlib.AbstractAsyncContextManager[Exchange]:
        if not library.FAST:
            return contextlib.nullcontext(partial(self._by_pipeline, transaction))
        from cottage.redis.fast_path import exchanging

        return exchanging(self.connection_pool, transaction, self.replicated)

    async def _by_pipeline(self, transaction: bool, commands: Sequence[Command]) -> list[Any]:
        pipeline = AsyncPipeline(self.connection_pool, {}, transaction, None)  # which makes nothing of replies
        for command in commands:
            pipeline.execute_command(*command)
        await asyncio.sleep(0)  # others get their turn, however fast the server is
        try:
            return await pipeline.execute(raise_on_error=False)
        except exceptions.DataError as error:  # before anything is sent
            raise TypeError(str(error)) from error

    async def now(self) -> float:
        """The server's clock, in seconds since 1970."""
        seconds, micros = await self.time()
        return float(seconds) + float(micros) / 1e6


def _ours(reply: Any) -> Any:
    if isinstance(reply, NoScriptError):  # which is for Script
        return reply
    return _translation(reply) if isinstance(reply, redis.RedisError) else reply


class BlockingClient(redis.Redis):
    """The same for code without an event loop. Made by `connect_blocking`."""

    retries: int = 0

    def execute_command(self, *args: Any, **options: Any) -> Any:
        waits = _waits(self.retries)
        while True:
            try:
                with translated():
                    return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
            except RedisUnavailable:
                if (wait := next(waits, None)) is None:
                    raise
            time.sleep(wait)

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> _BlockingPipeline:
        return _BlockingPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


def blocking_bulk(client: BlockingClient, commands: Sequence[Command]) -> list[Any]:
    """What the server says to these, sent together; errors in their places, as ours. Raises RedisError."""
    pipeline = BlockingPipeline(client.connection_pool, {}, False, None)  # which makes nothing of replies
    for command in commands:
        pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
    with translated():
        return [_ours(reply) for reply in pipeline.execute(raise_on_error=False)]
