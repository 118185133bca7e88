"""Clients of one server, with an event loop (Client) or without (BlockingClient).

Their commands raise cottage.errors.RedisError and its subclasses, never an exception of redis-py.
Every command has a timeout. Replies are bytes. Thousands of commands go through `Client.bulk`.
"""

import asyncio
import contextlib
import re
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
from cottage.redis import diagnosis, library
from cottage.redis.slots import Command, Redirected, raise_first
from cottage.redis.stream import Exchange

BATCH = 500
"""Commands or keys in one batch: they take Redis about a millisecond, so other clients do not wait long."""

_REFUSALS = (exceptions.AuthenticationError, exceptions.AuthorizationError, exceptions.NoPermissionError)
_OF_PIPELINE = re.compile(r"Command # \d+ \((\S+)(?: ([^ )]+))?")
_OUTAGES = (
    OSError,
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
)


@contextlib.contextmanager
def translated(pool: Any, command: Command | None = None) -> Iterator[None]:
    """Translate redis-py's exceptions to those of cottage.errors, except NoScriptError, which Script handles.

    `pool`: that of the connection, whose user an error names. `command`: what is sent, if it is a single one.
    """
    try:
        with cancellation_kept():
            yield
    except NoScriptError:
        raise
    except (redis.RedisError, OSError) as error:
        raise _translation(error, pool, command) from error


def _refused(error: Exception, command: Command | None) -> Command | None:
    """The command that an error is of: redis-py says it of a pipeline, and `raise_first` of bulk commands."""
    if said := _OF_PIPELINE.match(str(error)):
        return tuple(said.groups(""))
    return getattr(error, "command", command)


def _translation(error: Exception, pool: Any, command: Command | None) -> RedisError:
    text = str(error) or type(error).__name__
    if isinstance(error, _REFUSALS) or diagnosis.is_refusal(text):
        return RedisRefused(diagnosis.refusal(text, pool.connection_kwargs, _refused(error, command)))
    if isinstance(error, diagnosis.WrongServer):
        return RedisRefused(text)
    if isinstance(error, diagnosis.NO_MASTER):
        return RedisUnavailable(diagnosis.no_master(text, pool))
    if (why := diagnosis.wrong_place(text)) is not None:
        return RedisRefused(why)
    if isinstance(error, exceptions.InvalidResponse) and text.startswith("Protocol error"):
        return RedisError(f"the server at REDIS_URL does not speak Redis's protocol: {text}")
    if isinstance(error, exceptions.OutOfMemoryError):
        return RedisFull(f"OOM {text} Raise its maxmemory, or give it the policy allkeys-lru.")
    if text.startswith("MISCONF"):
        return RedisFull(f"{text} Free the disk of its data folder.")
    if isinstance(error, exceptions.AskError):
        return Redirected(error.node_addr, ask=not isinstance(error, exceptions.MovedError))
    if isinstance(error, _OUTAGES) or text.startswith("NOREPLICAS"):
        return RedisUnavailable(diagnosis.unreachable(text, pool.connection_kwargs))
    return RedisError(text)


def _waits(retries: int) -> Iterator[float]:
    """The seconds to wait before each retry. redis-py's own retries would also repeat a wrong password."""
    backoff = Backoff()
    return (backoff.next() for _ in range(retries))


class _Pipeline(AsyncPipeline):
    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        with translated(self.connection_pool):
            return await super().execute(raise_on_error)


class _BlockingPipeline(BlockingPipeline):
    def execute(self, raise_on_error: bool = True) -> list[Any]:
        with translated(self.connection_pool):
            return super().execute(raise_on_error)


class Script(AsyncScript):
    """A Lua script. It is called with EVALSHA, and with EVAL if the server does not have it (any more).

    redis-py would use SCRIPT LOAD and EVALSHA once more, which fails if the scripts are flushed in between.
    """

    async def __call__(self, keys: Any = (), args: Any = (), client: Any = None) -> Any:
        (reply,) = await self.then((), keys, args, client)
        return reply

    async def then(
        self, commands: Sequence[Command], keys: Any = (), args: Any = (), client: Any = None
    ) -> list[Any]:
        """Call the script and then `commands`, on the same connection. Returns its reply, followed by theirs."""
        client = client or self.registered_client
        arguments = (len(keys), *keys, *args)
        try:
            return cast("list[Any]", await client.bulk([("EVALSHA", self.sha, *arguments), *commands]))
        except NoScriptError:
            return cast("list[Any]", await client.bulk([("EVAL", self.script, *arguments), *commands]))

    async def each(self, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]) -> list[Any]:
        """Call the script many times, each with its own keys and arguments; in a cluster the keys may be on any node.
        Returns the replies, or raises the first error when all calls are done."""
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
    """The asyncio client, which raises the exceptions of cottage.errors. Made by `connect`."""

    spread: bool = False
    """Whether its keys are on several servers, so that a command or script can only use those of one slot."""
    replicated: bool = False
    """Whether sentinels may make a replica the new master."""
    retries: int = 0
    """How often a failed command is sent again. Pipelines and bulk commands are never sent again."""
    also_closed: Sequence[redis.asyncio.Redis | redis.asyncio.Sentinel] = ()
    """Other clients to close together with this one."""

    @property
    def database(self) -> int:
        """The number of the database that it uses; messages carry it, since a channel belongs to no database."""
        return int(self.connection_pool.connection_kwargs.get("db") or 0)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        waits = _waits(self.retries)
        while True:
            try:
                with translated(self.connection_pool, args):
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
        # If redis-py's own aclose were cancelled at its start, it would leave the connections open.
        await asyncio.shield(super().aclose(close_connection_pool))
        for other in self.also_closed:
            await asyncio.shield(other.aclose())

    async def load_script(self, script: str) -> str:
        """Load a script on the server, and return its SHA for EVALSHA."""
        sha: bytes | str = await self.script_load(script)
        return sha.decode() if isinstance(sha, bytes) else sha

    async def listening_pool(self) -> Any:
        """The pool from which a subscription takes its connection."""
        return self.connection_pool

    async def bulk(
        self, commands: Iterable[Command], *, transaction: bool = False, raise_on_error: bool = True
    ) -> list[Any]:
        """Send many commands and return their replies, in the same order. If `library.FAST` is true, this costs about
        a tenth of a pipeline, on one connection; otherwise pipelines are used.

        Commands are sent 500 at a time, the next 500 after the replies. Replies are what the server sent: bytes, int,
        None or a list of them. They are not converted, as other methods of the client may do.

        transaction: all commands are executed together or not at all, between MULTI and EXEC. They are sent at once,
        and Redis serves nobody else meanwhile, so use it for a few hundred at most.
        raise_on_error: raise the first error among 500 replies after reading them; later commands are not sent. If
        False, errors stay in their places as RedisError and its subclasses; the failure of a whole transaction is
        raised nevertheless.

        The client's timeout is for all commands together. Nothing is sent twice, whatever the client's `retries`.
        If it is cancelled, times out or loses the connection, the connection is dropped, so no later command gets one
        of these replies. The fast path then sends nothing more; the rest of a pipeline may still be sent.
        """
        left, most = iter(commands), None if transaction else BATCH
        pool = self.connection_pool
        seconds = pool.connection_kwargs["socket_timeout"]
        replies: list[Any] = []
        with translated(pool):
            try:
                async with asyncio.timeout(seconds), self._exchanging(transaction) as exchange:
                    while part := list(islice(left, most)):
                        answers = await exchange(part)
                        replies += raise_first(answers, part) if raise_on_error else _ours(pool, part, answers)
            except TimeoutError as error:
                raise exceptions.TimeoutError(f"no answer within {seconds:g} s") from error
        return replies

    def _exchanging(self, transaction: bool) -> contextlib.AbstractAsyncContextManager[Exchange]:
        if not library.FAST:
            return contextlib.nullcontext(partial(self._by_pipeline, transaction))
        from cottage.redis.fast_path import exchanging

        return exchanging(self.connection_pool, transaction)

    async def _by_pipeline(self, transaction: bool, commands: Sequence[Command]) -> list[Any]:
        pipeline = AsyncPipeline(self.connection_pool, {}, transaction, None)  # {}: replies are not converted
        for command in commands:
            pipeline.execute_command(*command)
        await asyncio.sleep(0)  # let other tasks run, however fast the server is
        try:
            return await pipeline.execute(raise_on_error=False)
        except exceptions.DataError as error:  # before anything is sent
            raise TypeError(str(error)) from error

    async def now(self) -> float:
        """The server's clock, in seconds since 1970."""
        seconds, micros = await self.time()
        return float(seconds) + float(micros) / 1e6


def _ours(pool: Any, commands: Sequence[Command], replies: Sequence[Any]) -> list[Any]:
    """The replies to some commands, in which errors are ours, except NoScriptError, which is for Script."""
    return [
        _translation(reply, pool, command)
        if isinstance(reply, redis.RedisError) and not isinstance(reply, NoScriptError)
        else reply
        for command, reply in zip(commands, replies, strict=True)
    ]


class BlockingClient(redis.Redis):
    """The client for code without an event loop. Made by `connect_blocking`."""

    spread: bool = False
    """See Client.spread."""
    retries: int = 0

    def execute_command(self, *args: Any, **options: Any) -> Any:
        waits = _waits(self.retries)
        while True:
            try:
                with translated(self.connection_pool, args):
                    return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
            except RedisUnavailable:
                if (wait := next(waits, None)) is None:
                    raise
            time.sleep(wait)

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> _BlockingPipeline:
        return _BlockingPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


def blocking_bulk(client: BlockingClient, commands: Sequence[Command]) -> list[Any]:
    """Send commands together and return their replies; errors stay in their places as RedisError. Raises RedisError
    if the server does not answer. BlockingClusterClient uses it."""
    pipeline = BlockingPipeline(client.connection_pool, {}, False, None)  # {}: replies are not converted
    for command in commands:
        pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
    with translated(client.connection_pool):
        return _ours(client.connection_pool, commands, pipeline.execute(raise_on_error=False))
