"""A consumer of Redis channels that heals: it reconciles with what Redis stores after every gap in the subscription.

A channel does not keep messages for a subscriber that is away, so it is not reliable on its own. Something must be
stored beside it that can be read at any time, such as the states that its messages announce, with versions that say
which of two is newer:

    class Recorder(ChannelHandler):
        async def reconcile(self, client: Client) -> None:
            for symbol, state in (await PhysicsStates(client).all()).items():
                self.keep_if_newer(symbol, state)

        async def received(self, payloads: Sequence[bytes]) -> None:
            for payload in payloads:
                self.keep_if_newer(*parse(payload, consumer.database))

    consumer = ChannelConsumer(url, [keys.STATE_UPDATE], Recorder())
    await consumer.run()

The bridge is built on it.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Sequence

from cottage.backoff import LASTING_SECONDS, Backoff
from cottage.cancellation import background, cancellation_kept
from cottage.clock import Clock, SystemClock
from cottage.errors import RedisError, RedisUnavailable, leaves
from cottage.log import get_logger
from cottage.redis import COMMAND_SECONDS, ChannelSubscription, Client, connect, subscribe
from cottage.redis.outage import RedisOutage

PING_SECONDS = 1.0
"""How long the server may take to answer a PING on a silent channel."""
RECONCILE_PAUSE_SECONDS = 1.0
"""The shortest time between two full reads, however often they are asked for, to limit the load on the server."""

log = get_logger(__name__)


class ChannelHandler(ABC):
    """The methods that a ChannelConsumer calls back. The user of the library implements them.

    A RedisError out of `reconcile` or `while_connected` counts as a lost connection; any other exception ends `run`.
    """

    @abstractmethod
    async def reconcile(self, client: Client) -> None:
        """Read everything from Redis, and take over what is newer than what is held.

        Called when a subscription is confirmed, before any of its messages is handed over, so that no gap is left;
        then every `reconcile_seconds` and on demand, while messages continue to be handed over.
        """

    @abstractmethod
    async def received(self, payloads: Sequence[bytes]) -> None:
        """Handle the messages that have come since the last call, in order.

        Messages wait while this runs. Redis closes the connection of a subscriber that reads so slowly that its
        output buffer is full, which is a gap like any other.
        """

    def connected(self) -> None:  # noqa: B027  # need not be overridden
        """The channels are subscribed and everything has been read. Called once for each connection."""

    def lost(self, error: RedisError) -> None:  # noqa: B027
        """The connection was lost: messages are missed until `connected` is called again. Called once after each
        `connected`, unless `run` is cancelled."""

    async def while_connected(self, client: Client) -> None:  # noqa: B027
        """Other work on Redis, for as long as the connection lasts; it is cancelled when that ends."""


class ChannelConsumer:
    """Subscribes to channels, and again whenever the connection is lost or hangs, with exponential backoff.

    silence_seconds: after so long without a message the connection is tested with a PING.
    reconcile_seconds: everything is read again this often, and earlier if `reconcile_soon` is called.
    timeout: seconds that one command may take.
    """

    def __init__(
        self,
        url: str,
        channels: Sequence[str],
        handler: ChannelHandler,
        *,
        silence_seconds: float = 3.0,
        reconcile_seconds: float = 30.0,
        timeout: float = COMMAND_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        self._url = url
        self._channels = channels
        self._handler = handler
        self._silence = silence_seconds
        self._reconcile_seconds = reconcile_seconds
        self._timeout = timeout
        self._clock = clock or SystemClock()
        self.database = 0
        """The number of the database behind the URL, once connected. A channel belongs to none, so it brings what is
        published from every database, and a message says from which: a handler parses it for this one."""
        self._asked_to_reconcile = asyncio.Event()
        self._delivering_since: float | None = None
        """Since when the present connection is subscribed and everything has been read."""
        self._outage = RedisOutage(self._clock.monotonic)
        self._refused = False
        """Whether Redis refused something on the last connection: a new one ends the outage only once it lasts."""
        self.problem: str | None = "not subscribed yet"
        """Why no messages are received; None while connected."""

    def reconcile_soon(self) -> None:
        """Have everything read again, RECONCILE_PAUSE_SECONDS after the last time at the earliest."""
        self._asked_to_reconcile.set()

    async def run(self) -> None:
        """Consume until cancelled."""
        backoff = Backoff()
        while True:
            began, self._delivering_since = self._clock.monotonic(), None
            lost: RedisError | None = None
            with cancellation_kept():
                try:
                    await self._consume()
                except* RedisError as group:
                    lost = self._note_loss(group)
            wait = backoff.after_try(began, self._delivering_since, self._clock.monotonic(), lost)
            await self._clock.sleep(wait)

    def _note_loss(self, group: BaseExceptionGroup[RedisError]) -> RedisError:
        error = leaves(group)[0]
        assert isinstance(error, RedisError)
        was_connected, self.problem = self.problem is None, f"Redis: {error}"
        if was_connected:
            if not self._refused:
                self._outage.works("subscribing")  # until now: the outage begins here, not with the connection
            self._refused = not isinstance(error, RedisUnavailable)
        self._outage.failed(error, "subscribing")
        if was_connected:
            self._handler.lost(error)
        return error

    async def _consume(self) -> None:
        """Connect once, and consume until the connection is lost, which raises RedisError."""
        async with (
            subscribe(self._url, *self._channels, timeout=self._timeout) as subscription,
            connect(self._url, timeout=self._timeout) as client,
        ):
            self.database = client.database
            await self._handler.reconcile(client)
            self.problem = None
            self._delivering_since = self._clock.monotonic()
            if not self._refused:
                self._outage.works("subscribing")
            log.info("subscribed", channels=list(self._channels))
            self._handler.connected()
            work = self._keep_reconciling(client), self._handler.while_connected(client)
            async with background(*work, self._end_outage()):
                await self._receive(subscription)

    async def _end_outage(self) -> None:
        """What was refused on the last connection, such as a part of the handler's own work, is not refused again."""
        await self._clock.sleep(LASTING_SECONDS)
        self._refused = False
        self._outage.works("subscribing")

    async def _receive(self, subscription: ChannelSubscription) -> None:
        while True:
            if payloads := await subscription.messages(self._silence):
                await self._handler.received(payloads)
            elif not await subscription.answers(min(PING_SECONDS, self._silence)):
                raise RedisUnavailable("the channel is silent and the server does not answer a PING")

    async def _keep_reconciling(self, client: Client) -> None:
        pause = min(RECONCILE_PAUSE_SECONDS, self._reconcile_seconds / 2)
        while True:
            await self._clock.sleep(pause)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._reconcile_seconds - pause):
                    await self._asked_to_reconcile.wait()
            self._asked_to_reconcile.clear()
            await self._handler.reconcile(client)
