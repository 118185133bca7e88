"""Pub/sub on one raw connection.

The library subscribes again by itself after a short outage, and what was published in between is gone without an
error. Here a subscription is one connection: whatever ends it raises RedisUnavailable, now and ever after, and who
subscribes again knows that there is a gap. And what one read brings is parsed at once and handed over at once: at
10,000 messages a second the library's own way costs several times as much (`make bench-fanout`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import redis

from cottage.errors import RedisUnavailable
from cottage.redis.client import MORE, drop, pack, reply_reader, translated
from cottage.redis.connecting import COMMAND_SECONDS, connect

MOST_HELD_BYTES = 2**20
"""That may wait to be taken. Reading stops then, and Redis cuts a subscriber off that does not go on."""


class _Stream(asyncio.Protocol):
    """What comes on the connection, parsed as it arrives."""

    def __init__(self, connection: Any) -> None:
        self._transport: asyncio.Transport = connection._writer.transport
        self._library = self._transport.get_protocol()
        self._reader = reply_reader(connection)
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self._held_bytes = 0
        self.messages: list[bytes] = []
        self.confirmed = 0
        """Channels."""
        self.pongs = 0
        self.error: Exception | None = None
        """Why nothing more will come."""
        self.data_received(bytes(connection._reader._buffer))  # read already, though nothing was asked for
        self._transport.set_protocol(self)

    def send(self, *command: str) -> None:
        if self.error is None:
            self._transport.write(pack(command))

    async def until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait for a condition on what has come, at most `timeout` seconds; whether it holds. Raises `error` where
        nothing more can make it true."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while not condition():
            if self.error is not None:
                raise self.error.with_traceback(None)
            if loop.time() >= deadline:
                return False
            self._waiter = loop.create_future()
            timer = loop.call_at(deadline, self._wake)  # asyncio.timeout() costs more than a read
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        return True

    def take(self) -> list[bytes]:
        messages, self.messages, self._held_bytes = self.messages, [], 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return messages

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (item := self._reader.gets()) is not MORE:
                self._take(item)
        except redis.RedisError as error:
            self.end(error)
            self._transport.abort()
        if self._held_bytes >= MOST_HELD_BYTES and not self._paused and self.error is None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def _take(self, item: Any) -> None:
        if isinstance(item, redis.RedisError):
            if str(item).startswith("MISCONF"):  # so a server whose disk is full answers even a PING: it hears
                self.pongs += 1
            else:  # such as one that forbids the channel
                self.end(item)
            return
        kind = item[0] if isinstance(item, list) else item  # RESP3 answers a PING as it does elsewhere
        if kind == b"message":
            self.messages.append(item[2])
            self._held_bytes += len(item[2])
        elif kind == b"subscribe":
            self.confirmed += 1
        elif kind in (b"pong", b"PONG"):
            self.pongs += 1

    def end(self, error: Exception) -> None:
        self.error = self.error or error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # The library's writer waits for these.

    def eof_received(self) -> None:
        self.end(redis.ConnectionError("the server closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(redis.ConnectionError(str(exc) if exc else "the connection was closed"))
        self._library.connection_lost(exc)

    def pause_writing(self) -> None:
        self._library.pause_writing()

    def resume_writing(self) -> None:
        self._library.resume_writing()


class ChannelSubscription:
    """One confirmed pub/sub connection to some channels. Make one with `subscribe`."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    async def messages(self, timeout: float) -> list[bytes]:
        """The payloads that have come since the last call, in order of arrival; none where none came within
        `timeout` seconds. Raises RedisUnavailable at the end of the connection."""
        stream = self._stream
        if not stream.messages:
            await self._until(lambda: bool(stream.messages), timeout)
        return stream.take()

    async def answers(self, timeout: float) -> bool:
        """Whether the server answers a PING on this very connection in time.

        A hung server ends no connection: only a deadline finds it. Messages that come meanwhile are kept.
        """
        before = self._stream.pongs
        self._stream.send("PING")
        return await self._until(lambda: self._stream.pongs > before, timeout)

    async def confirm(self, channels: Sequence[str], timeout: float) -> None:
        """Subscribe and wait until the server has confirmed every channel."""
        wanted = self._stream.confirmed + len(channels)
        self._stream.send("SUBSCRIBE", *channels)
        if not await self._until(lambda: self._stream.confirmed >= wanted, timeout):
            raise RedisUnavailable("the server did not confirm the subscription in time")

    async def _until(self, condition: Callable[[], bool], timeout: float) -> bool:
        with translated():
            return await self._stream.until(condition, timeout)


@asynccontextmanager
async def subscribe(url: str, *channels: str, timeout: float = COMMAND_SECONDS) -> AsyncIterator[ChannelSubscription]:
    """A confirmed subscription on a connection of its own; closed at the end of the block."""
    async with connect(url, timeout=timeout) as client:
        with translated():
            pool = await client.listening_pool()
            connection = await pool.get_connection()
        try:
            subscription = ChannelSubscription(_Stream(connection))
            await subscription.confirm(channels, timeout)
            yield subscription
        finally:
            await drop(connection)
            await pool.release(connection)
