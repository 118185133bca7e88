"""Bulk commands and pub/sub on redis-py's connections, below its public API, which is several times as fast.

It is imported only if `library.FAST` is true, that is, with the versions that it was tested with, since it uses a
connection's private `_reader`, `_writer` and `_parser.parse_error`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import hiredis
import redis
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import InvalidResponse, ReadOnlyError

from cottage.redis.slots import Command, raise_first
from cottage.redis.stream import Exchange, Stream

MOST_HELD_BYTES = 2**20
"""How much may wait to be taken before reading pauses. Redis disconnects a subscriber that pauses for too long."""
_READ_BYTES = 2**16
_pack = cast("Callable[[Sequence[Any]], bytes]", hiredis.pack_command)  # its stub allows one argument only
_MORE = object()  # the parser returns it while a reply is incomplete


def _packed(commands: Sequence[Command]) -> bytes:
    """The commands as they are sent. What all of them say behind their key, such as the fields of many HMGETs, is
    packed once."""
    name, same = commands[0][0], commands[0][2:]
    # Texts only: numbers that are equal may be written differently.
    if same and all(type(word) is str for word in same) and all(command[2:] == same for command in commands):
        texts = [command[1].encode() for command in commands if type(command[1]) is str and command[0] == name]
        if len(texts) == len(commands):
            begin = b"*%d\r\n%b" % (len(commands[0]), _pack((name,)).partition(b"\r\n")[2])
            end = _pack(same).partition(b"\r\n")[2]
            return b"".join([b"%b$%d\r\n%b\r\n%b" % (begin, len(key), key, end) for key in texts])
    return b"".join(map(_pack, commands))


def _reply_reader(connection: Any) -> hiredis.Reader:
    """A parser of our own for what arrives on one of redis-py's connections."""
    return hiredis.Reader(
        protocolError=InvalidResponse, replyError=connection._parser.parse_error, notEnoughData=_MORE
    )


async def _drop(connection: Any) -> None:
    """Abort one of redis-py's connections: its own close would wait until everything is sent."""
    if connection._writer is not None:
        connection._writer.transport.abort()
    await connection.disconnect(nowait=True)


@asynccontextmanager
async def exchanging(pool: Any, transaction: bool) -> AsyncIterator[Exchange]:
    """An Exchange on one connection of the pool; `Client.bulk` uses it. If the server turns out to be a replica by
    now, the connection is dropped, so that the next one goes to the new master, wherever the URL finds it."""
    connection = await pool.get_connection()

    async def exchange(commands: Sequence[Command]) -> list[Any]:
        replies = await (_transaction if transaction else _exchange)(connection, commands)
        if any(type(reply) is ReadOnlyError for reply in replies):
            await _drop(connection)
        return replies

    try:
        await connection.check_health()
        yield exchange
    except ReadOnlyError:  # for which a transaction was refused
        await _drop(connection)
        raise
    finally:
        await pool.release(connection)


async def _exchange(connection: Any, commands: Sequence[Command]) -> list[Any]:
    """Send `commands` and return their replies, errors included. Unless each has exactly one reply, the connection is
    dropped and an error raised."""
    stream, writer, reader = connection._reader, connection._writer, _reply_reader(connection)
    replies: list[Any] = []
    try:
        # Without drain(): sending continues while we read, so the two sides cannot wait for each other with full
        # buffers. The last reply proves that all of it was sent, so no more than this is ever buffered.
        writer.write(_packed(commands))
        while len(replies) < len(commands):
            data = await stream.read(_READ_BYTES)
            if not data:
                raise LostConnection("the server closed the connection")
            reader.feed(data)
            while (reply := reader.gets()) is not _MORE:
                if type(reply) is not hiredis.PushNotification:
                    replies.append(reply)
        if len(replies) > len(commands) or reader.has_data():
            raise InvalidResponse("more replies than commands")
    except BaseException:
        await _drop(connection)
        raise
    return replies


async def _transaction(connection: Any, commands: Sequence[Command]) -> list[Any]:
    """Like `_exchange`, between MULTI and EXEC. Raises the error for which the server refused the transaction."""
    sent = [("MULTI",), *commands, ("EXEC",)]
    done = raise_first(await _exchange(connection, sent), sent)[-1]
    if not isinstance(done, list):
        raise InvalidResponse("EXEC was answered with no list")
    return done


class RawStream(Stream, asyncio.Protocol):
    """A Stream that parses messages as they arrive, and hands over all of one read at once. At 10,000 messages a
    second redis-py's PubSub costs several times as much (`make bench-fanout`)."""

    def __init__(self, pool: Any, connection: Any) -> None:
        super().__init__()
        self._pool, self._connection = pool, connection
        self._transport: asyncio.Transport = connection._writer.transport
        self._library = self._transport.get_protocol()
        self._reader = _reply_reader(connection)
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self._held_bytes = 0
        self.data_received(bytes(connection._reader._buffer))  # what redis-py's reader may hold already
        self._transport.set_protocol(self)

    async def aclose(self) -> None:
        await _drop(self._connection)
        await self._pool.release(self._connection)

    async def subscribe(self, *channels: str) -> None:
        self._send("SUBSCRIBE", *channels)

    async def ping(self) -> None:
        self._send("PING")

    def _send(self, *command: str) -> None:
        if self.error is None:
            self._transport.write(_pack(command))

    async def _more(self, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_at(deadline, self._wake)  # asyncio.timeout() costs more than a read
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

    def take(self) -> list[bytes]:
        self._held_bytes = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return super().take()

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (item := self._reader.gets()) is not _MORE:
                self._take(item)
        except redis.RedisError as error:
            self.fail(error)
            self._transport.abort()
        if self._held_bytes >= MOST_HELD_BYTES and not self._paused and self.error is None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def _take(self, item: Any) -> None:
        if isinstance(item, redis.RedisError):
            self.fail(item)
            return
        kind = item[0] if isinstance(item, list) else item  # RESP3 answers a PING with a plain string
        if kind == b"message":
            self.messages.append(item[2])
            self._held_bytes += len(item[2])
        elif kind == b"subscribe":
            self.confirmed += 1
        elif kind in (b"pong", b"PONG"):
            self.pongs += 1

    def fail(self, error: Exception) -> None:
        super().fail(error)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # redis-py's writer depends on these callbacks of the protocol.

    def eof_received(self) -> None:
        self.fail(redis.ConnectionError("the server closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(redis.ConnectionError(str(exc) if exc else "the connection was closed"))
        self._library.connection_lost(exc)

    def pause_writing(self) -> None:
        self._library.pause_writing()

    def resume_writing(self) -> None:
        self._library.resume_writing()
