"""The recorder's link to the bridge, as a client of `cottage.v1`: what it says of freshness, removals and hops.

States come from Redis; those that the bridge sends are skipped unread.
"""

import asyncio
from collections.abc import Callable, Sequence

from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException

from common import logs
from common.auth.link_token import LinkToken
from common.fanout.frames import LinkConnection
from cottage import protocol
from cottage.backoff import Backoff
from cottage.certificates import dialling
from cottage.client.dial import dial, why
from cottage.clock import Clock
from cottage.errors import InvalidMessage
from cottage.fields import load_object
from cottage.log import Throttled
from cottage.protocol import Close
from cottage.urls import redacted
from services.recorder import metrics
from services.recorder.freshness_notes import FreshnessNotes

MAX_FRAME_BYTES = 256 * 1024
_SKIPPED = (b'{"event":"PHYSICS_UPDATE"', b'{"event":"SNAPSHOT"')

log = logs.get_logger()
throttled = Throttled(log)


class BridgeListener:
    """Keeps a connection to the bridge, and has what it says written down."""

    def __init__(
        self,
        url: str,
        notes: FreshnessNotes,
        clock: Clock,
        silence_seconds: float,
        recorded: Callable[[], int],
        ca_file: str = "",
        secrets: Sequence[str] = (),
    ) -> None:
        """`recorded`: gives the time by Redis's clock, in microseconds since 1970. `ca_file`: by which the
        bridge's certificate is verified; empty: the system's. `secrets`: of the link, and the former one; none where
        the bridge asks for none."""
        self._url = url
        self._ca_file = ca_file
        self._token = LinkToken(url, secrets)
        self._notes = notes
        self._clock = clock
        self._silence = silence_seconds
        self._recorded = recorded
        self._delivering_since: float | None = None
        self.problem: str | None = "no link to the bridge yet"

    async def follow(self) -> None:
        """Listen until cancelled."""
        backoff = Backoff()
        while True:
            began, self._delivering_since = self._clock.monotonic(), None
            try:
                await self._hold()
            except (OSError, TimeoutError, WebSocketException, InvalidHandshake, InvalidURI) as error:
                self._token.lost(error)
                self._lost(f"silent for {self._silence:g} s" if isinstance(error, TimeoutError) else why(error))
            wait = backoff.after_try(began, self._delivering_since, self._clock.monotonic())
            await self._clock.sleep(wait)

    def _lost(self, reason: str) -> None:
        if self.problem is None:
            log.warning("bridge_lost", url=redacted(self._url), reason=reason)
        self.problem = f"bridge: {reason}"
        self._notes.lost(reason, self._recorded())

    async def _hold(self) -> None:
        tls = dialling(self._url, self._ca_file)
        options = {"create_connection": LinkConnection, "max_size": MAX_FRAME_BYTES, **tls}
        async with dial(self._url, token=self._token.shown, **options) as connection:
            assert isinstance(connection, LinkConnection)
            self._notes.connected()
            try:
                while True:
                    async with asyncio.timeout(self._silence):
                        messages = await connection.messages()
                    self._take_all(messages)
            except asyncio.CancelledError:
                connection.end(Close.GOING_AWAY)
                raise
            except TimeoutError:
                connection.transport.abort()  # a close handshake would wait for a peer that does not answer
                raise

    def _take_all(self, messages: list[bytes]) -> None:
        told = False
        for message in messages:
            if message.startswith(_SKIPPED):
                continue
            try:
                told = self.take(message) or told
            except InvalidMessage as error:
                metrics.DROPPED.labels(error.reason).inc()
                throttled.warning("message_dropped", error.reason, reason=error.reason, error=error.detail)
        if told:
            self._notes.write(self._recorded(), self._clock.monotonic())

    def take(self, message: bytes) -> bool:
        """One frame of the bridge. Returns whether it says anything of freshness. Raises InvalidMessage."""
        fields = load_object(message)
        match fields.get("event"):
            case "FRESHNESS":
                self._notes.stated(protocol.parse_freshness(fields), self._clock.monotonic())
            case "REMOVED":
                self._notes.removed(str(fields.get("symbol")), self._recorded())
            case "HEARTBEAT":
                self._notes.heartbeat()
                if self.problem is not None:
                    self.problem = None
                    self._delivering_since = self._clock.monotonic()
                    self._token.accepted()
                    log.info("linked", url=redacted(self._url))
            case _:
                return False
        return True
