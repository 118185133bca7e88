"""StateClient, the client of a broadcaster: it keeps the newest state of every symbol, and reconnects by itself.

    async with StateClient.connect("ws://127.0.0.1:8765/ws", symbols=["SPY", "QQQ"]) as client:
        await client.synced()
        print(client.states["SPY"].data["regime"], client.freshness("SPY"))
        async for symbol, state in client.changes():
            ...

It is the counterpart of `cottage.js`, with the same names. It reconnects with backoff and full jitter; a symbol never
goes back to an older version, whichever server sends it. It needs no Redis: to read from Redis, use PhysicsReader.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Self

import orjson
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from cottage import keys
from cottage.backoff import Backoff
from cottage.cancellation import background
from cottage.client.dial import CLOSE_SECONDS, dial, why
from cottage.client.replica import Phase, ReplicaState, StateReplica
from cottage.clock import Clock, SystemClock
from cottage.errors import CottageError, InvalidMessage
from cottage.freshness import USUAL, Freshness, Thresholds
from cottage.local_clock import BEAT_SHARE, LocalClock
from cottage.log import get_logger
from cottage.protocol import ALL, Close
from cottage.urls import redacted, with_query

LONGEST_RETRY_SECONDS = 60.0
"""The longest wait for a full server, whatever its Retry-After says."""
NAMES_IN_URL = 100
"""The most symbols in the URL of a handshake; more are requested over the connection."""

log = get_logger(__name__)


class ClientRefused(CottageError):
    """Raised when the server has closed the connection with 1008, after which the client does not connect again."""


class StateClient:
    """Follows a broadcaster over a WebSocket, and keeps the newest state of every symbol. Make it with `connect`."""

    def __init__(
        self, url: str, symbols: Iterable[str] | None, batch: int, thresholds: Thresholds, clock: Clock
    ) -> None:
        names = None if symbols is None else {name if name == ALL else keys.symbol(name) for name in symbols}
        self._url = url
        self.url = redacted(url)
        """The URL without its password and query, for messages."""
        self._batch = batch
        self._clock = clock
        self._beat_seconds = thresholds.silent * BEAT_SHARE
        self._replica = StateReplica(None if names is None or ALL in names else names, self._changed, thresholds)
        self._local_clock = LocalClock(clock, thresholds.silent, self._replica.watch.doubt)
        self._replica.watch.heard_at = self._local_clock.now()
        self.states = self._replica.states
        """The newest state of each symbol."""
        self.missing = self._replica.missing
        """The symbols that were requested by name and have no state."""
        self._connection: ClientConnection | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._fresh: dict[str, None] = {}
        """The symbols that have changed and that `changes` has not yielded yet."""
        self._news = asyncio.Event()
        self._failure: Exception | None = None
        self.problem: str | None = None
        """Why the last connection ended or could not be made; None while there is one."""

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        url: str,
        *,
        symbols: Iterable[str] | None = None,
        batch: int = 0,
        thresholds: Thresholds = USUAL,
        clock: Clock | None = None,
    ) -> AsyncIterator[Self]:
        """A client that follows the server until the block ends. It waits for a server that is not there.

        `symbols`: None means all. `batch`: 100, 250, 500 or 1000 ms for which the server gathers updates. Raises
        InvalidName for a bad symbol.
        """
        client = cls(url, symbols, batch, thresholds, clock or SystemClock())
        following = asyncio.create_task(client._run(), name="state client")
        try:
            yield client
        finally:
            following.cancel()
            await asyncio.wait((following,))
            client._replica.phase = Phase.CLOSED

    @property
    def phase(self) -> Phase:
        return self._replica.phase

    @property
    def upstream(self) -> Freshness | None:
        return self._replica.upstream

    @property
    def skipped(self) -> int:
        """How many versions were left out because this client was a slow consumer."""
        return self._replica.skipped

    @property
    def resyncs(self) -> int:
        """How many states were requested again because a HEARTBEAT proved that a newer version exists."""
        return self._replica.resyncs

    @property
    def events_dropped(self) -> int:
        """How many events were dropped because they were not read in time."""
        return self._replica.events.dropped

    def age(self, symbol: str) -> float | None:
        """The seconds since the symbol's newest sample, by the server's clock; None if that is not known."""
        return self._replica.age(symbol, self._local_clock.now())

    def freshness(self, symbol: str) -> str:
        """The symbol's freshness: `live`, `stale`, `expired`, `undated` or `missing`."""
        return self._replica.freshness(symbol, self._local_clock.now())

    def cause(self, symbol: str) -> str | None:
        """Why the symbol's state is `stale` or `expired`: `server_down`, `bridge_down`, `redis_down`, `writer_down`,
        `feed_down`, `feed_ended`, `feed_late` or `market_quiet`; None if it is neither."""
        return self._replica.cause(symbol, self._local_clock.now())

    async def synced(self) -> None:
        """Wait until the present connection has brought the states of all wanted symbols. Raises ClientRefused."""
        while self.phase is not Phase.CONNECTED:
            await self._wait()

    async def changes(self) -> AsyncGenerator[tuple[str, ReplicaState | None], None]:
        """Yield each symbol that has changed with its newest state, or with None if the state is gone. A slow reader
        gets the newest state of each symbol, never a queue. For one reader at a time. Raises ClientRefused."""
        while True:
            while self._fresh:
                symbol = next(iter(self._fresh))
                del self._fresh[symbol]
                yield symbol, self.states.get(symbol)
            await self._wait()

    async def events(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the messages that are not states, such as AGENT_UPDATE, each as it was published. For a slow reader
        the last 64 of a topic wait, or the newest of each key, according to `cottage.events.TOPICS`; what is dropped
        is counted in `events_dropped`. For one reader at a time. Raises ClientRefused."""
        while True:
            while self._replica.events:
                yield self._replica.events.pop()
            await self._wait()

    async def subscribe(self, symbols: Iterable[str]) -> None:
        """Subscribe to more symbols, on this connection and all later ones. ["*"] means all."""
        names = [name if name == ALL else keys.symbol(name) for name in symbols]
        await self._send(self._replica.subscribe(names))

    async def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Unsubscribe from symbols; ["*"] means all. Raises ValueError for single symbols while all are wanted."""
        await self._send(self._replica.unsubscribe(symbols))

    def _changed(self, symbol: str) -> None:
        self._fresh.pop(symbol, None)
        self._fresh[symbol] = None

    async def _wait(self) -> None:
        """Wait until a message has arrived or the connection has changed. Raises ClientRefused."""
        if self._failure is not None:
            raise self._failure
        if self.phase is Phase.REFUSED:
            raise ClientRefused(f"{self.url} closed the connection for good (1008)")
        self._news.clear()
        await self._news.wait()

    async def _run(self) -> None:
        try:
            async with background(self._beat()):
                await self._follow()
        except ExceptionGroup as failed:  # `_wait` raises it to the caller
            self._failure = failed.exceptions[0]
            self._news.set()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._beat_seconds)
            self._look()

    def _look(self) -> None:
        """Look at the clock, as at regular times, and ask a server that is silent, or give it up."""
        now, connection = self._local_clock.now(), self._connection
        if connection is None:
            return
        if self._replica.watch.given_up(now):
            connection.transport.abort()  # a close handshake would wait for a peer that does not answer
        elif requests := self._replica.due(now):
            # Not waited for: who takes no writes must not stop the clock from being looked at.
            sending = asyncio.create_task(self._send(requests))
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)

    async def _follow(self) -> None:
        backoff = Backoff()
        while self.phase is not Phase.REFUSED:
            began, wait = self._local_clock.now(), 0.0
            try:
                await self._hold()
            except (OSError, TimeoutError, WebSocketException) as error:
                silent = isinstance(error, TimeoutError)
                self.problem = "no answer in time" if silent else why(error)
                log.warning("server_lost", url=self.url, error=self.problem)
                if isinstance(error, ConnectionClosed) and error.rcvd and error.rcvd.code == Close.POLICY:
                    self._replica.phase = Phase.REFUSED
                if isinstance(error, InvalidStatus):
                    wait = _retry_after(error)
            finally:
                self._connection = None
                self._replica.lost()
                self._news.set()
            await self._clock.sleep(wait + backoff.after(self._local_clock.now() - began))

    async def _hold(self) -> None:
        """Connect, and receive messages until the connection ends."""
        replica = self._replica
        asked_for = replica.wanted
        if asked_for is not None:  # URLs are limited in length: more symbols are requested over the connection
            asked_for = set(asked_for) if len(asked_for) <= NAMES_IN_URL else set()
        dialled_at = self._local_clock.now()
        connection = await dial(self._target(asked_for))
        try:
            replica.connected(self._local_clock.now(), dialled_at)
            self._connection, self.problem = connection, None
            await self._send(replica.catch_up(asked_for))
            await self._receive(connection)
        finally:
            await _close(connection)

    def _target(self, symbols: set[str] | None) -> str:
        fields = {} if symbols is None else {"symbols": ",".join(sorted(symbols))}
        if self._batch:
            fields["batch"] = str(self._batch)
        return with_query(self._url, **fields)

    async def _receive(self, connection: ClientConnection) -> None:
        while True:
            try:
                frame = await connection.recv(decode=False)
            except ConnectionClosed as error:
                if self._replica.watch.given_up(self._local_clock.now()):
                    raise TimeoutError from error
                raise
            requests = []
            try:
                received = orjson.loads(frame)
                for message in received if isinstance(received, list) else [received]:
                    requests += self._replica.take(message, self._local_clock.now())
            except (InvalidMessage, KeyError, TypeError, ValueError) as error:
                log.warning("message_dropped", url=self.url, error=str(error) or type(error).__name__)
            requests += self._replica.due(self._local_clock.now())
            self._news.set()
            await self._send(requests)

    async def _send(self, requests: list[dict[str, Any]]) -> None:
        """Send the requests if there is a connection; otherwise the next one requests all that is wanted."""
        connection = self._connection
        if connection is None:
            return
        try:
            for request in requests:
                await connection.send(orjson.dumps(request).decode())
        except ConnectionClosed:
            pass  # `_receive` notices it too


async def _close(connection: ClientConnection) -> None:
    """Close the connection; abort it if the server does not answer the close frame in time."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await connection.close()
    except TimeoutError:
        connection.transport.abort()


def _retry_after(refused: InvalidStatus) -> float:
    """The seconds to wait according to a full server's Retry-After header; 0 if there is none."""
    text = refused.response.headers.get("Retry-After", "0")
    return min(LONGEST_RETRY_SECONDS, float(text)) if text.isdecimal() else 0.0
