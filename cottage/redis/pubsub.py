"""Subscriptions to channels (pub/sub) that report every gap. The consumer uses them.

After a short outage redis-py subscribes again by itself, and messages published in between are lost without an error.
Here the end of the connection is the end of the subscription: from then on it raises RedisUnavailable, so the caller,
who must subscribe again, knows that messages may be missing.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import redis
from redis.asyncio.client import PubSub

from cottage.errors import RedisUnavailable
from cottage.redis import library
from cottage.redis.client import BATCH, translated
from cottage.redis.connecting import COMMAND_SECONDS, connect
from cottage.redis.stream import Stream


class PubSubStream(Stream):
    """A Stream that uses redis-py's public PubSub. It reads only while a caller waits."""

    def __init__(self, pool: Any) -> None:
        super().__init__()
        self._pubsub: Any = PubSub(pool)
        self._wanted = 0

    async def aclose(self) -> None:
        await asyncio.shield(self._pubsub.aclose())

    async def subscribe(self, *channels: str) -> None:
        self._wanted += len(channels)
        await self._attempt(self._pubsub.subscribe(*channels))

    async def ping(self) -> None:
        if self.error is None:
            await self._attempt(self._pubsub.ping())

    async def _more(self, deadline: float) -> None:
        left = deadline - asyncio.get_running_loop().time()
        for _ in range(BATCH):  # after the first message, take only what has already arrived
            if not await self._read(left):
                break
            left = 0.0

    async def _read(self, timeout: float) -> bool:
        """Read one message from the connection. Returns whether there was one."""
        item = await self._attempt(self._pubsub.get_message(timeout=timeout))
        if item is None or self.error is not None:
            return False
        if item["type"] == "message":
            self.messages.append(item["data"])
        elif item["type"] == "subscribe":
            self.confirmed += 1
            if self.confirmed > self._wanted:
                self.error = redis.ConnectionError("the connection was lost, and the library subscribed again")
        elif item["type"] == "pong":
            self.pongs += 1
        return True

    async def _attempt(self, work: Any) -> Any:
        """Await `work` and return its result; None if it failed, which ends the subscription."""
        try:
            return await work
        except (redis.RedisError, OSError) as error:
            self.fail(error)
            return None


class ChannelSubscription:
    """A subscription to some channels, on a connection of its own. Make one with `subscribe`."""

    def __init__(self, stream: Stream, pool: Any) -> None:
        self._stream, self._pool = stream, pool

    async def messages(self, timeout: float) -> list[bytes]:
        """The payloads that have arrived since the last call, in order of arrival; an empty list if there are none
        within `timeout` seconds. Raises RedisUnavailable when the connection has ended."""
        stream = self._stream
        if not stream.messages:
            with translated(self._pool):
                await stream.until(lambda: bool(stream.messages), timeout)
        return stream.take()

    async def answers(self, timeout: float) -> bool:
        """Whether the server answers a PING on this connection within `timeout` seconds.

        A hung server does not close its connections, so only a deadline reveals it. Messages that arrive meanwhile
        are kept.
        """
        before = self._stream.pongs
        with translated(self._pool):
            await self._stream.ping()
            return await self._stream.until(lambda: self._stream.pongs > before, timeout)

    async def confirm(self, channels: Sequence[str], timeout: float) -> None:
        """Subscribe and wait until the server has confirmed every channel."""
        wanted = self._stream.confirmed + len(channels)
        with translated(self._pool, ("SUBSCRIBE", *channels)):
            await self._stream.subscribe(*channels)
            if not await self._stream.until(lambda: self._stream.confirmed >= wanted, timeout):
                raise RedisUnavailable("the server did not confirm the subscription in time")


@asynccontextmanager
async def subscribe(url: str, *channels: str, timeout: float = COMMAND_SECONDS) -> AsyncIterator[ChannelSubscription]:
    """A confirmed subscription to `channels` on a connection of its own, closed at the end of the block.

    timeout: seconds that connecting and confirming may take. Raises SettingsError for a bad URL, RedisUnavailable,
    RedisRefused.
    """
    async with connect(url, timeout=timeout) as client:
        pool = await client.listening_pool()
        with translated(pool):
            stream = await _open(pool)
        try:
            subscription = ChannelSubscription(stream, pool)
            await subscription.confirm(channels, timeout)
            yield subscription
        finally:
            await stream.aclose()


async def _open(pool: Any) -> Stream:
    if not library.FAST:
        return PubSubStream(pool)
    from cottage.redis.fast_path import RawStream

    return RawStream(pool, await pool.get_connection())
