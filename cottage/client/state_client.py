"""StateClient, the client of a broadcaster: it holds the newest state of every symbol, and reconnects by itself.

    async with StateClient.connect("ws://127.0.0.1:8765/ws", symbols=["SPY", "QQQ"]) as client:
        await client.synced()
        print(client.states["SPY"].data["regime"], client.freshness("SPY"))
        async for symbol, state in client.changes():
            ...

The twin of `cottage.js`, by the same names. It connects again by itself, with full jitter; a symbol never goes back
to an older version, whatever server it comes from. It needs no Redis; what reads Redis is `PhysicsReader`.
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
from cottage.client.dial import CLOSE_SECONDS, dial
from cottage.client.replica import Phase, ReplicaState, StateReplica
from cottage.clock import Clock, SystemClock
from cottage.errors import CottageError, InvalidMessage
from cottage.freshness import USUAL, Freshness, Thresholds
from cottage.log import get_logger
from cottage.protocol import ALL, Close
from cottage.urls import redacted, with_query

ASK_SHARE = 2 / 3
"""Of the silence after which what is held counts as stale: the server is asked, which only has to speak every 5 s."""
LOST_TIMES = 2.0
"""That silence: the connection is given up."""
LONGEST_RETRY_SECONDS = 60.0
"""However much longer a full server asks for."""
NAMES_IN_URL = 100

log = get_logger(__name__)


class ClientRefused(CottageError):
    """The server closed the connection for good (1008): it will not have this client."""


class StateClient:
    """Follows a broadcaster over a WebSocket, and holds the newest state of every symbol. Made by `connect`."""

    def __init__(
        self, url: str, symbols: Iterable[str] | None, batch: int, thresholds: Thresholds, clock: Clock
    ) -> None:
        names = None if symbols is None else {name if name == ALL else keys.symbol(name) for name in symbols}
        self._url = url
        self.url = redacted(url)
        """For people to read."""
        self._batch = batch
        self._clock = clock
        self._silent = thresholds.silent
        self._replica = StateReplica(None if names is None or ALL in names else names, self._changed, thresholds)
        self.states = self._replica.states
        """The newest by symbol."""
        self.missing = self._replica.missing
        """Asked for by name, and without a state."""
        self._connection: ClientConnection | None = None
        self._fresh: dict[str, None] = {}
        """Symbols that changed since `changes` was asked last."""
        self._news = asyncio.Event()
        self._failure: Exception | None = None
        self.problem: str | None = None
        """Why the last connection ended, or could not be made; None while there is one."""

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
        """A client that follows until the block ends.

        `symbols`: None is all. `batch`: 100, 250, 500 or 1000 ms for which the server gathers updates. Raises
        InvalidName for a bad symbol. A server that is not there is waited for.
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
        """Versions that were left out because this client read too slowly."""
        return self._replica.skipped

    @property
    def resyncs(self) -> int:
        return self._replica.resyncs

    @property
    def events_dropped(self) -> int:
        """How many events were dropped because they were not read in time."""
        return self._replica.events.dropped

    def age(self, symbol: str) -> float | None:
        """Seconds since the symbol's sample, by the server's clock."""
        return self._replica.age(symbol, self._clock.monotonic())

    def freshness(self, symbol: str) -> str:
        """`live`, `stale`, `expired`, `undated` or `missing`."""
        return self._replica.freshness(symbol, self._clock.monotonic())

    def cause(self, symbol: str) -> str | None:
        """Why it is `stale` or `expired`: `server_down`, `bridge_down`, `redis_down`, `writer_down`, `feed_down` or
        `market_quiet`; None where it is neither."""
        return self._replica.cause(symbol, self._clock.monotonic())

    async def synced(self) -> None:
        """Wait until all that is wanted has come over the connection that there is. Raises ClientRefused."""
        while self.phase is not Phase.CONNECTED:
            await self._wait()

    async def changes(self) -> AsyncGenerator[tuple[str, ReplicaState | None], None]:
        """(symbol, its newest state) for each that changed since it was given last; None for one that went. Who is
        slow gets the newest of each, never a queue. For one reader at a time. Raises ClientRefused."""
        while True:
            while self._fresh:
                symbol = next(iter(self._fresh))
                del self._fresh[symbol]
                yield symbol, self.states.get(symbol)
            await self._wait()

    async def events(self) -> AsyncGenerator[dict[str, Any], None]:
        """The messages that are not states, such as AGENT_UPDATE, each as it was published. For a slow reader the
        last 64 of a topic wait, or the newest of each key, as `cottage.events.TOPICS` says; see `events_dropped`.
        For one reader at a time. Raises ClientRefused."""
        while True:
            while self._replica.events:
                yield self._replica.events.pop()
            await self._wait()

    async def subscribe(self, symbols: Iterable[str]) -> None:
        """Also these; ["*"] is all. It holds for every later connection too."""
        names = [name if name == ALL else keys.symbol(name) for name in symbols]
        await self._send(self._replica.subscribe(names))

    async def unsubscribe(self, symbols: Iterable[str]) -> None:
        """No longer these; ["*"] is all. Raises ValueError for single symbols while all are wanted."""
        await self._send(self._replica.unsubscribe(symbols))

    def _changed(self, symbol: str) -> None:
        self._fresh.pop(symbol, None)
        self._fresh[symbol] = None

    async def _wait(self) -> None:
        """Until something has happened. Raises ClientRefused."""
        if self._failure is not None:
            raise self._failure
        if self.phase is Phase.REFUSED:
            raise ClientRefused(f"{self.url} closed the connection for good (1008)")
        self._news.clear()
        await self._news.wait()

    async def _run(self) -> None:
        try:
            await self._follow()
        except Exception as error:  # noqa: BLE001  # raised where its user waits
            self._failure = error
            self._news.set()

    async def _follow(self) -> None:
        backoff = Backoff()
        while self.phase is not Phase.REFUSED:
            began, wait = self._clock.monotonic(), 0.0
            try:
                await self._hold()
            except (OSError, TimeoutError, WebSocketException) as error:
                silent = isinstance(error, TimeoutError)
                self.problem = "no answer in time" if silent else str(error) or type(error).__name__
                log.warning("server_lost", url=self.url, error=self.problem)
                if isinstance(error, ConnectionClosed) and error.rcvd and error.rcvd.code == Close.POLICY:
                    self._replica.phase = Phase.REFUSED
                if isinstance(error, InvalidStatus):
                    wait = _retry_after(error)
            finally:
                self._connection = None
                self._replica.lost()
                self._news.set()
            await self._clock.sleep(wait + backoff.after(self._clock.monotonic() - began))

    async def _hold(self) -> None:
        """One connection's life."""
        replica = self._replica
        asked_for = replica.wanted
        if asked_for is not None:  # addresses have a length: more are asked for once the connection is there
            asked_for = set(asked_for) if len(asked_for) <= NAMES_IN_URL else set()
        connection = await dial(self._target(asked_for))
        try:
            replica.connected(self._clock.monotonic())
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
        asked = False
        while True:
            try:
                async with asyncio.timeout(self._silent * (LOST_TIMES - ASK_SHARE if asked else ASK_SHARE)):
                    frame = await connection.recv(decode=False)
            except TimeoutError:
                if asked:
                    connection.transport.abort()  # a close would wait for who does not answer
                    raise
                asked = True
                await connection.send('{"action":"ping"}')
                continue
            asked, requests = False, []
            try:
                received = orjson.loads(frame)
                for message in received if isinstance(received, list) else [received]:
                    requests += self._replica.take(message, self._clock.monotonic())
            except (InvalidMessage, KeyError, TypeError, ValueError) as error:
                log.warning("message_dropped", url=self.url, error=str(error) or type(error).__name__)
            self._news.set()
            await self._send(requests)

    async def _send(self, requests: list[dict[str, Any]]) -> None:
        """Where there is a connection; the next one asks for all that is wanted."""
        connection = self._connection
        if connection is None:
            return
        try:
            for request in requests:
                await connection.send(orjson.dumps(request).decode())
        except ConnectionClosed:
            pass  # who receives on it learns of it too


async def _close(connection: ClientConnection) -> None:
    """Close the connection; cut it off if the server does not even take the close frame."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await connection.close()
    except TimeoutError:
        connection.transport.abort()


def _retry_after(refused: InvalidStatus) -> float:
    """Seconds that a full server asks to wait."""
    text = refused.response.headers.get("Retry-After", "0")
    return min(LONGEST_RETRY_SECONDS, float(text)) if text.isdecimal() else 0.0
