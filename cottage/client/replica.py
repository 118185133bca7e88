"""The replica of the server's states that StateClient keeps. Pure: it takes messages and returns requests to send.

It outlives connections, so no symbol ever goes back to an older version, whichever server sends it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cottage.clock import RemoteClock, from_iso
from cottage.errors import InvalidMessage
from cottage.events import TOPICS, EventQueue
from cottage.fields import mapping, symbol, version
from cottage.freshness import USUAL, Freshness, FreshnessStatement, Status, Thresholds, worst
from cottage.freshness_board import FreshnessBoard
from cottage.protocol import ALL, parse_freshness
from cottage.version import Version

NAMES_A_REQUEST = 2000
"""The most symbols in one request, since a server accepts at most 64 KiB."""


class Phase(StrEnum):
    """Where a client is in the life of its connections."""

    CONNECTING = "connecting"
    CONNECTED = "connected"  # the SNAPSHOT has arrived
    RECONNECTING = "reconnecting"
    REFUSED = "refused"  # the server closed with 1008, and the client does not try again
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """A symbol's newest PHYSICS_UPDATE, as a StateClient gives it to its user."""

    symbol: str
    data: Mapping[str, Any]
    """The published values: `alpha`, `regime`, the five pillars, `price`, …"""
    version: Version | None
    time: float | None
    """The time of the sample in seconds since 1970; None if the update does not tell it."""
    skipped: int = 0
    """How many versions before it were left out because this client was a slow consumer."""


@dataclass(slots=True)
class StateReplica:
    """The newest state of every wanted symbol, and what the server says about its freshness."""

    wanted: set[str] | None
    """The symbols that are wanted; None means all."""
    on_change: Callable[[str], None]
    """Called with the symbol of each state that has changed or is gone."""
    thresholds: Thresholds = USUAL
    phase: Phase = Phase.CONNECTING
    states: dict[str, ReplicaState] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    """The symbols that were requested by name and have no state."""
    upstream: Freshness | None = None
    """The freshness of the server's upstream; None until it is known."""
    skipped: int = 0
    events: EventQueue[dict[str, Any]] = field(default_factory=EventQueue)
    """Events that have not been read yet."""
    resyncs: int = 0
    """How many states were requested again because a HEARTBEAT proved that a newer version exists."""
    heard_at: float = 0.0
    freshness_board: FreshnessBoard = field(default_factory=FreshnessBoard)
    """What the server has said about the freshness of its states."""
    _server_clock: RemoteClock = field(default_factory=RemoteClock)
    _snapshot_symbols: set[str] = field(default_factory=set)
    """The symbols that the present SNAPSHOT has named so far."""
    _unanswered: set[int] = field(default_factory=set)
    """The ids of subscribe requests that the server has not answered."""
    _requests: int = 0
    _complete: bool = True
    """False after an incomplete SNAPSHOT, until a complete one is requested."""

    def connected(self, now: float) -> None:
        """Take note of a new connection, whose SNAPSHOT comes next. In all methods `now` is the time of a monotonic
        clock in seconds."""
        self.heard_at = now
        self.upstream = None
        self.freshness_board = FreshnessBoard()
        self._server_clock.distrust()
        self._snapshot_symbols.clear()
        self._unanswered.clear()
        self._complete = True

    def lost(self) -> None:
        """Take note that the connection has ended."""
        self.upstream = None
        if self.phase is Phase.CONNECTED:
            self.phase = Phase.RECONNECTING

    def wants(self, name: str) -> bool:
        return self.wanted is None or name in self.wanted

    def subscribe(self, symbols: Iterable[str]) -> list[dict[str, Any]]:
        """Want these symbols too. Returns the requests to send if there is a connection; a later connection requests
        everything that is wanted by then."""
        if ALL in (names := list(symbols)):
            if self.wanted is None:
                return []
            self.wanted = None
            self.missing.clear()
            return self._resubscribe([ALL])
        added = [name for name in names if not self.wants(name)]
        if self.wanted is not None:
            self.wanted.update(added)
        return self._request("subscribe", added)

    def unsubscribe(self, symbols: Iterable[str]) -> list[dict[str, Any]]:
        """Want these symbols no longer. Returns the requests to send. Raises ValueError for single symbols while all
        are wanted."""
        names = list(symbols)
        if ALL in names:
            self.wanted = set()
        elif self.wanted is None:
            raise ValueError('subscribed to all: unsubscribe(["*"]) first')
        else:
            self.wanted.difference_update(names)
        for name in [name for name in self.states if not self.wants(name)]:
            self._remove(name)
        self.missing.intersection_update(self.wanted)
        return self._request("unsubscribe", names)

    def catch_up(self, known: set[str] | None) -> list[dict[str, Any]]:
        """The requests to send on a connection whose handshake subscribed to `known`; None means all symbols."""
        if self.wanted is None:
            return [] if known is None else self._resubscribe([ALL])
        gone = [ALL] if known is None else sorted(known - self.wanted)
        return self._request("unsubscribe", gone) + self._request("subscribe", sorted(self.wanted - (known or set())))

    def _request(self, action: str, symbols: list[str]) -> list[dict[str, Any]]:
        requests = []
        for at in range(0, len(symbols), NAMES_A_REQUEST):
            self._requests += 1
            requests.append({"action": action, "symbols": symbols[at : at + NAMES_A_REQUEST], "id": self._requests})
            if action == "subscribe":
                self._unanswered.add(self._requests)
        return requests

    def take(self, message: Any, now: float) -> list[dict[str, Any]]:
        """Take one message of the server. Returns the requests to send because of it.

        Raises InvalidMessage, KeyError, TypeError or ValueError if the message is invalid.
        """
        self.heard_at = now
        if not isinstance(message, dict):
            raise InvalidMessage("object", "not an object")
        match message.get("event"):
            case "PHYSICS_UPDATE":
                self._take(message)
            case "SNAPSHOT":
                self._observe_time(message, now)
                self._snapshot(message)
            case "FRESHNESS":
                self._freshness(parse_freshness(message), now)
            case "REMOVED":
                self._remove(str(message.get("symbol")))
            case "HEARTBEAT":
                self._observe_time(message, now)
                return self._heartbeat(message)
            case "PONG":
                self._observe_time(message, now)
            case "ACK" if message.get("id") in self._unanswered:
                # The SNAPSHOT of what it adds comes next, whole: symbols named before it do not count.
                self._unanswered.discard(message["id"])
                self._snapshot_symbols.clear()
            case "ERROR":
                self._unanswered.discard(message.get("id", 0))
            case str(topic) if topic in TOPICS:
                self.events.put(topic, TOPICS[topic].key(message), message)
        return []

    def age(self, name: str, now: float) -> float | None:
        """The seconds since the symbol's newest sample, by the server's clock; None if that is not known."""
        state, server_now = self.states.get(name), self._server_clock.now(now)
        if state is None or state.time is None or server_now is None:
            return None
        return max(0.0, server_now - state.time)

    def freshness(self, name: str, now: float) -> str:
        """The symbol's freshness: `live`, `stale`, `expired`, `undated` (its time is unknown) or `missing`."""
        if name not in self.states:
            return "missing"
        thresholds, age = self.thresholds, self.age(name, now)
        status = worst(
            self.freshness_board.of(name).status,
            self._hop_status,
            thresholds.of_silence(now - self.heard_at),
            "live" if age is None else thresholds.of_sample(age),
        )
        return "undated" if status == "live" and age is None else status

    def cause(self, name: str, now: float) -> str | None:
        """Why the symbol's state is stale or expired: the broken hop nearest to this client, else `market_quiet`.
        None if it is neither. `server_down` means that nothing arrives from the server."""
        if self.freshness(name, now) not in ("stale", "expired"):
            return None
        if self.phase is not Phase.CONNECTED or now - self.heard_at >= self.thresholds.silent:
            return "server_down"
        hop = None if self.upstream is None else self.upstream.cause
        return hop or self.freshness_board.of(name).cause or "market_quiet"

    @property
    def _hop_status(self) -> Status:
        """The freshness of the server's upstream; stale until the server has told it. Without a connection it does
        not count: the silence of the server decides."""
        if self.phase is not Phase.CONNECTED:
            return "live"
        return "stale" if self.upstream is None else self.upstream.status

    def _observe_time(self, message: dict[str, Any], now: float) -> None:
        self._server_clock.heard(from_iso(message.get("timestamp")), now)

    def _take(self, update: dict[str, Any]) -> None:
        name, newness, data = symbol(update), version(update), mapping(update, "data")
        if not self.wants(name):
            return
        self._snapshot_symbols.add(name)
        self.missing.discard(name)
        skipped = update.get("skipped", 0)
        self.skipped += skipped
        held = self.states.get(name)
        if held is not None and held.version is not None and (newness is None or newness <= held.version):
            return
        stamp = update.get("timestamp")
        self.states[name] = ReplicaState(name, data, newness, None if stamp is None else from_iso(stamp), skipped)
        age = self.age(name, self.heard_at)
        if age is not None and age < self.thresholds.silent:
            self.freshness_board.forget(name)  # it was about an older sample; the server confirms that a moment later
        self.on_change(name)

    def _remove(self, name: str) -> None:
        if self.wanted is not None and name in self.wanted:
            self.missing.add(name)
        self.freshness_board.forget(name)
        if self.states.pop(name, None) is not None:
            self.on_change(name)

    def _snapshot(self, message: dict[str, Any]) -> None:
        for update in message["updates"]:
            self._take(update)
        complete = message["complete"] is True
        self._complete = self._complete and complete
        if complete:
            for name in message["missing"]:
                if self.wants(name):
                    self._remove(name)
        if message["last"] is not True:
            return
        settled = not self._unanswered  # otherwise another SNAPSHOT follows
        if not self._complete:
            self.upstream = Freshness("stale", None, None)
        elif self.wanted is None and settled:
            for name in self.states.keys() - self._snapshot_symbols:  # removed while there was no connection
                self._remove(name)
        self._snapshot_symbols.clear()
        if settled:
            self.phase = Phase.CONNECTED

    def _freshness(self, statement: FreshnessStatement, now: float) -> None:
        self.freshness_board.apply(statement, now)
        if statement.symbols is None:  # the next HEARTBEAT will repeat it
            self.upstream = statement.freshness

    def _heartbeat(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        self.upstream = Freshness.from_fields(mapping(message, "upstream"))
        if not self._complete and self.upstream.complete:
            # The server had not read everything when it sent the SNAPSHOT: request a complete one.
            self._complete = True
            return self._resubscribe([ALL] if self.wanted is None else sorted(self.wanted))
        if self.phase is not Phase.CONNECTED or self._unanswered:
            return []
        proven = {name: Version(*pair) for name, pair in message.get("seqs", {}).items()}
        lost = sorted(name for name, newness in proven.items() if self._is_lost(name, newness))
        self.resyncs += len(lost)
        return self._resubscribe(lost)

    def _is_lost(self, name: str, newness: Version) -> bool:
        held = self.states.get(name)
        return self.wants(name) and (held is None or (held.version is not None and newness > held.version))

    def _resubscribe(self, symbols: list[str]) -> list[dict[str, Any]]:
        return self._request("unsubscribe", symbols) + self._request("subscribe", symbols)
