"""The broadcaster's link to the bridge, as a client of the protocol `cottage.v1`; what it receives goes into the hub.

`BridgeLink.follow` connects and reconnects; `BridgeLink.take` handles one message and does no input or output. The
bridge has checked the contents of each PHYSICS_UPDATE, so only its symbol and version are read here.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI, WebSocketException

from common import logs
from common.auth.link_token import LinkToken
from common.fanout.frames import LinkConnection
from common.fanout.hub import Hub
from cottage import protocol
from cottage.backoff import Backoff
from cottage.certificates import dialling
from cottage.client.dial import dial, why
from cottage.client.lower_epochs import LowerEpochs
from cottage.clock import Clock, RemoteClock, from_iso
from cottage.errors import InvalidMessage
from cottage.events import parse_event
from cottage.faults import Fault, FaultLog, Found, Patience
from cottage.fields import load_object, mapping, symbol, version, whole
from cottage.freshness import Freshness, FreshnessStatement
from cottage.freshness_board import FreshnessBoard
from cottage.grant import ALL
from cottage.local_clock import LocalClock
from cottage.log import Throttled
from cottage.messages import MAX_BYTES
from cottage.protocol import Close
from cottage.urls import redacted
from cottage.version import Version
from services.broadcaster import metrics
from services.broadcaster.link_status import LinkStatus

MAX_FRAME_BYTES = 256 * 1024
MOST_STATES = 100_000
"""Symbols that are held, and of which something is stated; a bridge that says more is not believed. By default it
holds 20,000."""
MOST_STATE_BYTES = 256 * 1024 * 1024
"""Of all states that are held, as they came."""
PATIENCE = 2
"""At its start the bridge may take so many times the silence after which it is given up."""

log = logs.get_logger()
throttled = Throttled(log)


class LinkLost(Exception):
    """The link to the bridge was lost; the message says why."""


class BridgeLink:
    """The broadcaster's connection to the bridge, which follows it and keeps the hub up to date."""

    def __init__(
        self,
        url: str,
        hub: Hub,
        state: LinkStatus,
        clock: Clock,
        silence_seconds: float,
        ca_file: str = "",
        secrets: Sequence[str] = (),
    ) -> None:
        """`ca_file`: by which the bridge's certificate is verified; empty: the system's. `secrets`: of the link, and
        the former one; none where the bridge asks for none."""
        self._url = url
        self._ca_file = ca_file
        self._token = LinkToken(url, secrets)
        self._hub = hub
        self._status = state
        self._clock = clock
        self._local_clock = LocalClock(clock, silence_seconds, state.watch.doubt)
        self._connection: LinkConnection | None = None
        self._silence_seconds = silence_seconds
        self._delivering_since: float | None = None
        """When the present connection brought its first message."""
        self._snapshot_symbols: set[str] = set()
        """Symbols that the current SNAPSHOT has brought so far."""
        self._complete = False
        self._lower = LowerEpochs()
        self._bridge_board = FreshnessBoard()
        """The freshness of all states as the bridge last stated it."""
        self._patience = Patience(PATIENCE * silence_seconds)
        self._faults = FaultLog(silence_seconds)
        self.problem: str | None = "no link to the bridge yet"

    @property
    def bridge_clock(self) -> RemoteClock:
        """The clock of the bridge's timestamps, which is Redis's."""
        return self._status.watch.server_clock

    def bridge_now(self) -> float | None:
        """The time by that clock; None before the first message."""
        return self.bridge_clock.now(self._local_clock.now())

    def upstream(self) -> Freshness:
        """The freshness of everything that comes over the link."""
        return self._status.upstream(self._local_clock.now())

    async def follow(self) -> None:
        """Keep the link to the bridge connected until cancelled."""
        backoff = Backoff()
        while True:
            began, self._delivering_since = self._local_clock.now(), None
            try:
                await self._hold()
            except LinkLost as lost:
                self._status.lost()
                self.publish_freshness()
                self.problem = f"bridge: {lost}"
            wait = backoff.after_try(began, self._delivering_since, self._local_clock.now())
            await self._clock.sleep(wait)

    async def _hold(self) -> None:
        """Connect once and receive until the link is lost. Raises LinkLost."""
        dialled_at = self._local_clock.now()
        try:
            tls = dialling(self._url, self._ca_file)
            options = {"create_connection": LinkConnection, "max_size": MAX_FRAME_BYTES, **tls}
            async with dial(self._url, token=self._token.shown, **options) as connection:
                assert isinstance(connection, LinkConnection)
                self.connected(dialled_at)
                self._connection = connection
                try:
                    await self._receive(connection)
                except asyncio.CancelledError:
                    connection.end(Close.GOING_AWAY)
                    raise
                finally:
                    self._connection = None
        except (OSError, TimeoutError, WebSocketException, InvalidHandshake, InvalidURI) as error:
            self._token.lost(error)
            raise LinkLost(why(error)) from error

    def connected(self, dialled_at: float) -> None:
        """Take note of a new connection."""
        self._status.watch.connected(self._local_clock.now(), dialled_at)
        self._lower.clear()
        self._snapshot_symbols.clear()
        self._bridge_board = FreshnessBoard()

    def look(self) -> None:
        """Publish what holds now, and ask a bridge that is silent, or give it up. To be called at regular times, and
        when this process stood still."""
        now, connection, watch = self._local_clock.now(), self._connection, self._status.watch
        self.publish_freshness()
        if connection is None:
            return
        if watch.given_up(now):
            connection.transport.abort()
        elif ping := watch.ping(now):
            connection.post(orjson.dumps(ping))
        elif self._status.up and self._lower.due(now):
            self._ask_again(connection)

    def say_faults(self) -> None:
        """Log that the bridge is lost, or back. What is broken behind it, it logs itself. To be called at regular
        times, until this process stops: then its neighbours do so too."""
        now, up = self._local_clock.now(), self._status.up
        due = self._patience.ends(True, up, now)
        detail = f"{self.problem or 'it is silent'} ({redacted(self._url)})"
        lost = Found(self._hub.last_values, self._status.watch.silence(now), due, detail=detail)
        self._faults.look({} if up else {Fault("bridge_down"): lost}, ("bridge_down",), now)

    def faults(self) -> list[dict[str, Any]]:
        """The faults of the link that last, for /status."""
        return self._faults.status(self._local_clock.now())

    async def _receive(self, connection: LinkConnection) -> None:
        while True:
            try:
                messages = await connection.messages()
            except ConnectionClosed as error:
                if self._status.watch.given_up(self._local_clock.now()):
                    raise LinkLost(f"silent for {self._silence_seconds:g} s") from error
                raise
            now = self._local_clock.now()
            self._delivering_since = self._delivering_since or now
            self._status.watch.arrived(now)
            if self._status.watch.doubted:
                self.look()  # clients are told before they get what waited in the queue
            for message in messages:
                try:
                    self.take(message, now)
                except InvalidMessage as error:
                    self._drop(error)
            if self._status.watch.doubted:
                self.look()
            if self.needs_snapshot:
                self._status.linked = False
                self._ask_again(connection)

    @staticmethod
    def _ask_again(connection: LinkConnection) -> None:
        """Ask for a SNAPSHOT of everything."""
        for action in ("unsubscribe", "subscribe"):
            connection.post(orjson.dumps({"action": action, "symbols": [ALL]}))

    @property
    def needs_snapshot(self) -> bool:
        """Whether the last SNAPSHOT was incomplete and the bridge can send a complete one by now."""
        return self._status.linked and not self._complete and self._hub.upstream().complete

    def take(self, message: bytes, now: float | None = None) -> None:
        """One frame of the bridge, read at `now` of the LocalClock. Raises InvalidMessage for what cannot be
        trusted."""
        now = self._local_clock.now() if now is None else now
        fields, step = load_object(message), 0.0
        match fields.get("event"):
            case "PHYSICS_UPDATE":
                self._update(message, fields, now)
            case "SNAPSHOT":
                known = self.bridge_clock.known
                if self._status.watch.told(from_iso(fields.get("timestamp")), now) or not known:
                    self._hub.heartbeat()  # before any state, whose age is by that clock and not by ours
                self._snapshot(message, fields, now)
            case "REMOVED":
                self._bridge_board.forget(str(fields.get("symbol")))  # as the bridge's own board does
                self._hub.remove(str(fields.get("symbol")))
            case "FRESHNESS":
                statement = protocol.parse_freshness(fields)
                if len(self._bridge_board.exceptions) + len(statement.symbols or ()) > MOST_STATES:
                    raise InvalidMessage("room", f"the freshness of more than {MOST_STATES} symbols")
                self._bridge_board.apply(statement, now)
                if statement.symbols is None:  # it says what the bridge's next HEARTBEAT will
                    self._status.state(statement.freshness, now)
                    self.publish_freshness()
                self._pass_on(statement)
            case "HEARTBEAT":
                upstream = Freshness.from_fields(mapping(fields, "upstream"))
                step = self._status.watch.told(from_iso(fields.get("timestamp")), now)
                self._status.state(upstream, now)
                self.publish_freshness()
            case "PONG":
                step = self._status.watch.answered(fields.get("id"), from_iso(fields.get("timestamp")), now)
                if "upstream" in fields:
                    self._status.state(Freshness.from_fields(mapping(fields, "upstream")), now)
                self.publish_freshness()
            case "ACK":
                pass  # of our own requests
            case _:
                self._hub.event(parse_event(fields, message))
        if step:  # clients are told at once that the clock was set, so that they ask
            self._hub.heartbeat()

    def publish_freshness(self) -> None:
        """Publish that the bridge is down; or, once it is back, what the bridge states now."""
        now = self._local_clock.now()
        published = self._hub.freshness_board.overall
        if not self._status.up:
            down = self._status.upstream(now)
            if not down.alike(published):
                self._hub.freshness(FreshnessStatement(down))
        elif published.cause == "bridge_down":
            for statement in self._bridge_board.all_statements(None, now):
                self._hub.freshness(statement)

    def _pass_on(self, statement: FreshnessStatement) -> None:
        """Tell clients what the bridge states, unless they were told that the bridge is down."""
        if self._status.up and self._hub.freshness_board.overall.cause != "bridge_down":
            self._hub.freshness(statement)

    def _update(self, message: bytes, fields: dict[str, Any], now: float) -> None:
        skipped = whole(fields, "skipped") if "skipped" in fields else 0
        mapping(fields, "data")
        payload = protocol.split_skipped(message, skipped) if skipped else message
        self._offer(symbol(fields), version(fields), payload, skipped, now)

    def _offer(self, name: str, newness: Version | None, payload: bytes, skipped: int, now: float) -> None:
        """Give the hub a state, which takes it if it is newer, or if the bridge took back what the hub has. Raises
        InvalidMessage for one that is too long, or too many."""
        if len(payload) > MAX_BYTES:
            raise InvalidMessage("size", f"an update of {len(payload)} bytes, at most {MAX_BYTES} are allowed")
        states = self._hub.last_values
        if (name not in states and len(states) >= MOST_STATES) or states.bytes + len(payload) > MOST_STATE_BYTES:
            raise InvalidMessage("room", f"{len(states)} states of {states.bytes} bytes are held already")
        if self._hub.update(name, newness, payload, skipped):
            self._lower.forget(name)
            return
        held = self._hub.last_values.get(name)
        believed = held is not None and not self._status.watch.doubted
        if believed and self._lower.stated(name, newness, held and held.version, now):
            self._hub.remove(name)
            self._lower.forget(name)
            self._hub.update(name, newness, payload, skipped)
            if name in self._bridge_board.exceptions:  # which the bridge has not removed
                for statement in self._bridge_board.statements_for([name], now):
                    self._pass_on(statement)

    def _snapshot(self, message: bytes, fields: dict[str, Any], now: float) -> None:
        for payload in protocol.split_snapshot(message):
            try:
                update = load_object(payload)
                name, newness, _ = symbol(update), version(update), mapping(update, "data")
            except InvalidMessage as error:
                self._drop(error)  # the other updates are still used
                continue
            if len(self._snapshot_symbols) < MOST_STATES:
                self._snapshot_symbols.add(name)
            held = self._hub.last_values.get(name)
            if held is None or held.payload != payload:
                try:
                    self._offer(name, newness, payload, 0, now)
                except InvalidMessage as error:
                    self._drop(error)
        if fields.get("last") is not True:
            return
        self._complete = fields.get("complete") is True
        if self._complete:
            for gone in self._hub.last_values.entries().keys() - self._snapshot_symbols:
                self._hub.remove(gone)
        self._snapshot_symbols.clear()
        self._status.linked = True
        self._token.accepted()
        self.problem = None
        metrics.LINKS.inc()
        log.info("linked", url=self._url, symbols=len(self._hub.last_values), complete=self._complete)

    @staticmethod
    def _drop(error: InvalidMessage) -> None:
        metrics.DROPPED.labels(error.reason).inc()
        throttled.warning("message_dropped", error.reason, reason=error.reason, error=error.detail)
