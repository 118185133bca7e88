"""The link to the bridge: the broadcaster is a client of `cottage.v1`, and puts what it receives into its hub.

`BridgeLink.follow` connects, and connects again; `BridgeLink.take` knows no sockets. The bridge has checked what a
PHYSICS_UPDATE says; here only the symbol and the version are read, which decide what becomes of it.
"""

import asyncio
from typing import Any

import orjson
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI, WebSocketException

from common import logs
from common.fanout.frames import LinkConnection
from common.fanout.hub import Hub
from cottage import protocol
from cottage.backoff import Backoff
from cottage.client.dial import dial
from cottage.clock import Clock, RemoteClock, from_iso
from cottage.errors import InvalidMessage
from cottage.events import parse_event
from cottage.fields import load_object, mapping, symbol, version, whole
from cottage.freshness import Freshness, FreshnessStatement
from cottage.freshness_board import FreshnessBoard
from cottage.log import Throttled
from cottage.protocol import Close
from services.broadcaster import metrics
from services.broadcaster.link_status import LinkStatus

MAX_FRAME_BYTES = 256 * 1024

log = logs.get_logger()
throttled = Throttled(log)


class LinkLost(Exception):
    """The link ended; the text says why."""


class BridgeLink:
    def __init__(self, url: str, hub: Hub, state: LinkStatus, clock: Clock, silence_seconds: float) -> None:
        self._url = url
        self._hub = hub
        self._state = state
        self._clock = clock
        self._silence_seconds = silence_seconds
        self._snapshot_symbols: set[str] = set()
        """Symbols of the SNAPSHOT that is under way."""
        self._complete = False
        self._bridge_board = FreshnessBoard()
        """What the bridge says of how far its states may be trusted."""
        self.bridge_clock = RemoteClock()
        """Which is Redis's: the bridge's messages are stamped by it."""
        self.problem: str | None = "no link to the bridge yet"

    async def follow(self) -> None:
        """Hold the link until cancelled."""
        backoff = Backoff()
        while True:
            began = self._clock.monotonic()
            try:
                await self._hold()
            except LinkLost as lost:
                self._state.lost()
                self.publish_freshness()
                self.problem = f"bridge: {lost}"
                throttled.warning("server_lost", "", url=self._url, error=str(lost))
            await self._clock.sleep(backoff.after(self._clock.monotonic() - began))

    async def _hold(self) -> None:
        """One link's life; it ends with LinkLost."""
        try:
            async with dial(self._url, create_connection=LinkConnection, max_size=MAX_FRAME_BYTES) as connection:
                assert isinstance(connection, LinkConnection)
                try:
                    await self._receive(connection)
                except asyncio.CancelledError:
                    connection.end(Close.GOING_AWAY)
                    raise
        except (OSError, TimeoutError, WebSocketException, InvalidHandshake, InvalidURI) as error:
            raise LinkLost(str(error) or type(error).__name__) from error

    async def _receive(self, connection: LinkConnection) -> None:
        self._snapshot_symbols.clear()
        self._bridge_board = FreshnessBoard()
        self.bridge_clock.distrust()
        connection.give_up_after(self._silence_seconds)
        while True:
            try:
                messages = await connection.messages()
            except ConnectionClosed as error:
                if connection.silent:
                    raise LinkLost(f"silent for {self._silence_seconds:g} s") from error
                raise
            for message in messages:
                try:
                    self.take(message)
                except InvalidMessage as error:
                    self._drop(error)
            if self.needs_snapshot:
                self._state.linked = False
                for action in ("unsubscribe", "subscribe"):
                    await connection.send(orjson.dumps({"action": action, "symbols": [protocol.ALL]}).decode())

    @property
    def needs_snapshot(self) -> bool:
        """The bridge had not read Redis when it sent the SNAPSHOT, and has now: a whole one is to be had."""
        return self._state.linked and not self._complete and self._hub.upstream().complete

    def take(self, message: bytes) -> None:
        """One frame of the bridge. Raises InvalidMessage for what cannot be trusted."""
        fields = load_object(message)
        match fields.get("event"):
            case "PHYSICS_UPDATE":
                self._update(message, fields)
            case "SNAPSHOT":
                self._snapshot(message, fields)
            case "REMOVED":
                self._hub.remove(str(fields.get("symbol")))
            case "FRESHNESS":
                statement, now = protocol.parse_freshness(fields), self._clock.monotonic()
                self._bridge_board.apply(statement, now)
                if statement.symbols is None:  # it says what the bridge's next HEARTBEAT will
                    self._state.state(statement.freshness, now)
                    self.publish_freshness()
                if self._state.up and self._hub.freshness_board.overall.cause != "bridge_down":
                    self._hub.freshness(statement)
            case "HEARTBEAT":
                now = self._clock.monotonic()
                self.bridge_clock.observe(from_iso(fields.get("timestamp")), now)
                self._state.state(Freshness.from_fields(mapping(fields, "upstream")), now)
                self.publish_freshness()
            case "ACK":
                pass  # of our own requests
            case _:
                self._hub.event(parse_event(fields, message))

    def publish_freshness(self) -> None:
        """Publish that the bridge is down, or that it is back: then what it states now, and nothing of before."""
        now = self._clock.monotonic()
        said = self._hub.freshness_board.overall
        if not self._state.up:
            down = self._state.upstream(now)
            if not down.alike(said):
                self._hub.freshness(FreshnessStatement(down))
        elif said.cause == "bridge_down":
            for statement in self._bridge_board.all_statements(None, now):
                self._hub.freshness(statement)

    def _update(self, message: bytes, fields: dict[str, Any]) -> None:
        skipped = whole(fields, "skipped") if "skipped" in fields else 0
        mapping(fields, "data")
        payload = protocol.split_skipped(message, skipped) if skipped else message
        self._hub.update(symbol(fields), version(fields), payload, skipped)

    def _snapshot(self, message: bytes, fields: dict[str, Any]) -> None:
        for payload in protocol.split_snapshot(message):
            try:
                update = load_object(payload)
                name, newness = symbol(update), version(update)
            except InvalidMessage as error:
                self._drop(error)  # the others of the frame stand
                continue
            self._snapshot_symbols.add(name)
            held = self._hub.last_values.get(name)
            if held is None or held.payload != payload:
                self._hub.update(name, newness, payload)
        if fields.get("last") is not True:
            return
        self._complete = fields.get("complete") is True
        if self._complete:
            for gone in self._hub.last_values.entries().keys() - self._snapshot_symbols:
                self._hub.remove(gone)
        self._snapshot_symbols.clear()
        self._state.linked = True
        self.problem = None
        metrics.LINKS.inc()
        log.info("linked", url=self._url, symbols=len(self._hub.last_values), complete=self._complete)

    @staticmethod
    def _drop(error: InvalidMessage) -> None:
        metrics.DROPPED.labels(error.reason).inc()
        throttled.warning("message_dropped", error.reason, reason=error.reason, error=error.detail)
