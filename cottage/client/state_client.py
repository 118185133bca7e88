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
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any, Self

import orjson
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.http11 import Response

from cottage.backoff import CLIENT_SECONDS, Backoff
from cottage.cancellation import background
from cottage.client.dial import CLOSE_SECONDS, dial, refused_token, why
from cottage.client.replica import Phase, ReplicaState, StateReplica
from cottage.client.subscriptions import symbol_names
from cottage.client.tokens import NoToken, Tokens, TokenSource
from cottage.clock import Clock, SystemClock
from cottage.errors import CottageError, InvalidMessage
from cottage.freshness import USUAL, Freshness, Thresholds
from cottage.grant import ALL
from cottage.local_clock import BEAT_SHARE, LocalClock
from cottage.log import get_logger
from cottage.protocol import BATCHES, Close
from cottage.urls import broadcaster, redacted, taken_from_query, with_query

LONGEST_RETRY_SECONDS = 60.0
"""The longest wait for a full server, whatever its Retry-After says."""

log = get_logger(__name__)


class ClientRefused(CottageError):
    """Raised when the server has closed the connection with 1008, after which the client does not connect again."""


class ClientUnauthorized(ClientRefused):
    """Raised when the server accepts no token that the client has (4401), after which it does not connect again.
    `reason` is the server's word, such as `missing`, `expired` or `bad`."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url} serves nobody without a token that it accepts ({reason})")
        self.reason = reason


class ClientClosed(CottageError):
    """Raised where somebody still waits for a client whose block has ended."""


class StateClient:
    """Follows a broadcaster over a WebSocket, and keeps the newest state of every symbol. Make it with `connect`."""

    def __init__(
        self,
        url: str,
        symbols: Iterable[str] | None,
        batch: int,
        thresholds: Thresholds,
        clock: Clock,
        token: TokenSource | None = None,
    ) -> None:
        self._url, given = taken_from_query(broadcaster(url), "symbols", "batch")
        if symbols is None and "symbols" in given:
            symbols = [name for name in given["symbols"].split(",") if name]
        names = None if symbols is None else symbol_names(symbols)
        wished, allowed = str(batch or given.get("batch", 0)), [str(each) for each in (0, *BATCHES)]
        if wished not in allowed:
            raise ValueError(f"batch must be one of {', '.join(allowed)} (milliseconds), not {wished}")
        self.url = redacted(url)
        """The URL without its password and query, for messages."""
        self._batch = int(wished)
        self._tokens = Tokens(token)
        self._refused_for = ""
        """The server's word for why it accepts no token."""
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
        self._sending = asyncio.Lock()
        self._aside: set[asyncio.Task[None]] = set()
        """Sends and questions for a token that nothing waits for."""
        self._asked = False
        """Whether what was subscribed in this turn of the event loop is to be requested at its end."""
        self._fresh: dict[str, None] = {}
        """The symbols that have changed and that `changes` has not yielded yet."""
        self._news = asyncio.Event()
        self._failure: Exception | None = None
        self._delivering_since: float | None = None
        """When the present connection brought its first message."""
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
        token: TokenSource | None = None,
        thresholds: Thresholds = USUAL,
        clock: Clock | None = None,
    ) -> AsyncIterator[Self]:
        """A client that follows the server until the block ends. It waits for a server that is not there.

        `symbols`: None means all; at most 4,096 by name. `batch`: 100, 250, 500 or 1000 ms for which the server
        gathers updates. `token`: for a server that asks for one. A function, which may be async, is asked for it at
        each connection, and for a new one before its end: the connection then goes on. Raises ValueError or TypeError
        for a URL, symbols or a batch that no server grants, and NoToken for a text that can be no token.
        """
        client = cls(url, symbols, batch, thresholds, clock or SystemClock(), token)
        following = asyncio.create_task(client._run(), name="state client")
        try:
            yield client
        finally:
            for task in client._aside:
                task.cancel()
            following.cancel()
            await asyncio.wait((following, *client._aside))
            client._replica.phase = Phase.CLOSED
            client._news.set()

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

    @property
    def token_left(self) -> float | None:
        """The seconds that the present token still holds; None if that is not known, or it has no end."""
        return self._tokens.left(self._local_clock.now() + self._replica.watch.missed)

    def renew(self) -> None:
        """Ask the function that was given for a token now, and show it over this connection if it is a new one."""
        self._tokens.renew(self._local_clock.now())
        self._ask()

    async def synced(self) -> None:
        """Wait until the present connection has brought the states of all wanted symbols that the server grants.
        Raises ClientRefused, and ClientClosed."""
        while self.phase is not Phase.CONNECTED:
            if not await self._wait():
                raise ClientClosed(f"the client of {self.url} is closed")

    async def changes(self) -> AsyncGenerator[tuple[str, ReplicaState | None], None]:
        """Yield each symbol that has changed with its newest state, or with None if the state is gone. A slow reader
        gets the newest state of each symbol, never a queue. For one reader at a time. It ends when the client is
        closed. Raises ClientRefused, of which ClientUnauthorized is one."""
        more = True
        while more:
            while self._fresh:
                symbol = next(iter(self._fresh))
                del self._fresh[symbol]
                yield symbol, self.states.get(symbol)
            more = await self._wait()

    async def events(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the messages that are not states: AGENT_UPDATE, each as it was published; ERROR, by which the
        server refuses a request, whose `symbols` are those that are not followed because of it; and REVOKED, whose
        `symbols` the client may no longer know of, so that their states are forgotten. For a slow reader the last
        64 of a topic wait, or the newest of each key, according to `cottage.events.TOPICS`; `events_dropped` counts
        what was dropped. For one reader at a time. It ends when the client is closed. Raises ClientRefused."""
        more = True
        while more:
            while self._replica.events:
                yield self._replica.events.pop()
            more = await self._wait()

    async def subscribe(self, symbols: Iterable[str]) -> None:
        """Subscribe to more symbols, on this connection and all later ones. ["*"] means all. It waits for nothing,
        and all calls of one turn of the event loop are one request. Raises ValueError for a name that is no symbol
        and for more than 4,096 names, TypeError for what is no list of texts; then nothing of it is subscribed to.
        What only the server can refuse comes from `events` as an ERROR."""
        self._replica.subscribe(symbols)
        self._ask()

    async def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Unsubscribe from symbols; ["*"] means all. Raises ValueError for single symbols while all are wanted, and
        the errors of `subscribe`."""
        self._replica.unsubscribe(symbols)
        self._news.set()
        self._ask()

    def _ask(self) -> None:
        if not self._asked:
            self._asked = True
            asyncio.get_running_loop().call_soon(self._look)

    def _changed(self, symbol: str) -> None:
        self._fresh.pop(symbol, None)
        self._fresh[symbol] = None

    async def _wait(self) -> bool:
        """Wait until a message has arrived or the connection has changed. Returns False once the client is closed.
        Raises ClientRefused."""
        if self.phase is Phase.CLOSED:
            return False
        if self._failure is not None:
            raise self._failure
        if self.phase is Phase.UNAUTHORIZED:
            raise ClientUnauthorized(self.url, self._refused_for)
        if self.phase is Phase.REFUSED:
            raise ClientRefused(f"{self.url} closed the connection for good (1008)")
        self._news.clear()
        await self._news.wait()
        return True

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
        """Look at the clock, as at regular times; send the server what it is to be asked, or give it up."""
        self._asked = False
        now, connection = self._local_clock.now(), self._connection
        if connection is None:
            return
        if self._replica.watch.given_up(now):
            connection.transport.abort()  # a close handshake would wait for a peer that does not answer
        else:
            # Not waited for: who takes no writes, or is asked, must not stop the clock from being looked at.
            if not self._sending.locked():
                self._do_aside(self._send())
            if self._tokens.due(now + self._replica.watch.missed):
                self._tokens.asked(now)
                self._do_aside(self._renew(connection))

    def _do_aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    async def _follow(self) -> None:
        backoff = Backoff(patient=CLIENT_SECONDS)
        while self.phase not in (Phase.REFUSED, Phase.UNAUTHORIZED):
            began, told_to_wait = self._local_clock.now(), 0.0
            self._delivering_since = None
            try:
                await self._hold()
            except (OSError, TimeoutError, WebSocketException, NoToken) as error:
                told_to_wait = self._note_loss(error)
            finally:
                self._connection = None
                self._replica.lost()
                self._news.set()
            wait = backoff.after_try(began, self._delivering_since, self._local_clock.now())
            await self._clock.sleep(told_to_wait + wait)

    def _note_loss(self, error: Exception) -> float:
        """Say why there is no connection, if that has changed. Returns the seconds that the server said to wait."""
        if self._delivering_since is not None:
            self._tokens.lasted(self._local_clock.now() - self._delivering_since)
        reason = refused_token(error)
        if reason is not None:
            problem = f"the server wants another token: {reason}"
        else:
            problem = "no answer in time" if isinstance(error, TimeoutError) else why(error)
        if problem != self.problem:
            log.warning("server_lost", url=self.url, error=problem)
        self.problem = problem
        if reason is not None and self._tokens.refused():
            self._refused_for = reason
            self._replica.phase = Phase.UNAUTHORIZED
        if isinstance(error, ConnectionClosed) and error.rcvd:
            if error.rcvd.code == Close.POLICY:
                self._replica.phase = Phase.REFUSED
            if error.rcvd.code == Close.TRY_AGAIN_LATER:
                self._delivering_since = self._local_clock.now()  # that it served us until now does not count
        return _retry_after(error.response, self._clock.time()) if isinstance(error, InvalidStatus) else 0.0

    async def _hold(self) -> None:
        """Connect, and receive messages until the connection ends."""
        token = await self._tokens.ask()
        self._tokens.dialled(token)
        dialled_at = self._local_clock.now()
        connection = await dial(self._target(self._replica.subscriptions.dialled()), token=token)
        try:
            self._replica.connected(self._local_clock.now(), dialled_at)
            self._connection, self.problem = connection, None
            await self._send()
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
            if self._delivering_since is None:
                self._delivering_since = self._local_clock.now()
            self._take(frame)
            self._news.set()
            await self._send()

    def _take(self, frame: bytes) -> None:
        """Take a message, or a batch of them. What no server sends is dropped, and costs no other message."""
        try:
            received = orjson.loads(frame)
        except orjson.JSONDecodeError as error:
            self._drop(error)
            return
        for message in received if isinstance(received, list) else [received]:
            try:
                now = self._local_clock.now()
                self._replica.take(message, now)
                if self._tokens.waits:
                    self._tokens.heard(message, self._server_now(now), now)
            except (InvalidMessage, KeyError, TypeError, ValueError) as error:
                self._drop(error)

    def _server_now(self, now: float) -> float:
        """The time by the server's clock; by this machine's until the server has told it."""
        there = self._replica.watch.server_clock.now(now + self._replica.watch.missed)
        return self._clock.time() if there is None else there

    async def _renew(self, connection: ClientConnection) -> None:
        """Ask for a new token, and show it over this connection."""
        try:
            token = await self._tokens.ask()
        except NoToken as error:
            log.warning("token_not_renewed", url=self.url, error=str(error))
            return
        if connection is self._connection and self._tokens.is_new(token):
            request = self._tokens.offer(token, next(self._replica.watch.ids))
            with suppress(ConnectionClosed):  # `_receive` notices it too
                await connection.send(orjson.dumps(request).decode())

    def _drop(self, error: Exception) -> None:
        log.warning("message_dropped", url=self.url, error=str(error) or type(error).__name__)

    async def _send(self) -> None:
        """Send the requests that are due if there is a connection; the next one is asked for all that is wanted."""
        async with self._sending:
            connection = self._connection
            if connection is None:
                return
            try:
                for request in self._replica.due(self._local_clock.now()):
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


def _retry_after(response: Response, now: float) -> float:
    """The seconds to wait according to the Retry-After header of a full server, or of a proxy before it, which may
    give a date; 0 if there is none."""
    *_others, text = ["0", *response.headers.get_all("Retry-After")]  # a proxy may have added its own
    text = text.strip()
    if text.isdecimal():
        seconds = float(text)
    else:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except ValueError:
            return 0.0
    return min(LONGEST_RETRY_SECONDS, max(0.0, seconds))
