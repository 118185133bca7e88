"""The newest state of every symbol, as one client of `cottage.v1` holds it. Pure: messages in, requests out.

It outlives connections, so that no symbol ever goes back to an older version, whatever server it is told by.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from common.clock import from_iso
from common.errors import InvalidMessage
from common.fanout.protocol import ALL, Upstream, parse_upstream
from common.freshness import EXPIRED_SECONDS, SILENT_SECONDS, STALE_SECONDS
from common.state import Version, symbol, version

CLOCK_STEP_SECONDS = 10.0
"""More than a late message: the server's clock was set."""
NAMES_A_REQUEST = 2000
"""A request has at most 64 KiB."""


class Phase(StrEnum):
    CONNECTING = "connecting"
    CONNECTED = "connected"  # and the SNAPSHOT is here
    RECONNECTING = "reconnecting"
    REFUSED = "refused"  # for good
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class State:
    """A symbol's newest PHYSICS_UPDATE."""

    symbol: str
    data: Mapping[str, Any]
    """`alpha`, `regime`, the five pillars, `price`, … as they were published."""
    version: Version | None
    time: float | None
    """Of the sample, in seconds since 1970; None where it does not tell."""
    skipped: int = 0
    """Versions before it that were left out, since this client was slow."""


@dataclass(slots=True)
class Replica:
    """`on_change(symbol)` is called for each state that changed or went."""

    wanted: set[str] | None
    """None is every symbol."""
    on_change: Callable[[str], None]
    phase: Phase = Phase.CONNECTING
    states: dict[str, State] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    """Asked for by name, and without a state."""
    upstream: Upstream | None = None
    """What the server gets its states from; None while it has not said."""
    skipped: int = 0
    resyncs: int = 0
    """Times that a HEARTBEAT proved a newer version than what is held, and it was asked for again."""
    heard_at: float = 0.0
    _server_ahead: float | None = None
    """The server's clock less our monotonic one."""
    _trusted: bool = False
    _named: set[str] = field(default_factory=set)
    _unanswered: set[int] = field(default_factory=set)
    _requests: int = 0
    _whole: bool = True

    def connected(self, now: float) -> None:
        """A new connection: its SNAPSHOT comes next. `now` is of a monotonic clock, in seconds, here and below."""
        self.heard_at = now
        self.upstream = None
        self._trusted = False  # it may be another server, with another clock
        self._named.clear()
        self._unanswered.clear()
        self._whole = True

    def lost(self) -> None:
        self.upstream = None
        if self.phase is Phase.CONNECTED:
            self.phase = Phase.RECONNECTING

    def wants(self, name: str) -> bool:
        return self.wanted is None or name in self.wanted

    def subscribe(self, symbols: Iterable[str]) -> list[dict[str, Any]]:
        """The requests to send where there is a connection; a later one asks for everything that is wanted then."""
        if ALL in (names := list(symbols)):
            if self.wanted is None:
                return []
            self.wanted = None
            self.missing.clear()
            return self._again([ALL])
        added = [name for name in names if not self.wants(name)]
        if self.wanted is not None:
            self.wanted.update(added)
        return self._request("subscribe", added)

    def unsubscribe(self, symbols: Iterable[str]) -> list[dict[str, Any]]:
        """Likewise. Raises ValueError for single symbols while all are wanted."""
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
        """What to ask for on a connection whose handshake asked for `known`; None is all."""
        if self.wanted is None:
            return [] if known is None else self._again([ALL])
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
        """One message; the requests that it calls for.

        Raises InvalidMessage, KeyError, TypeError or ValueError for what no server sends.
        """
        self.heard_at = now
        if not isinstance(message, dict):
            raise InvalidMessage("object", "not an object")
        match message.get("event"):
            case "PHYSICS_UPDATE":
                self._take(message)
            case "SNAPSHOT":
                self._told(message, now)
                self._snapshot(message)
            case "REMOVED":
                self._remove(str(message.get("symbol")))
            case "HEARTBEAT":
                self._told(message, now)
                return self._heartbeat(message)
            case "PONG":
                self._told(message, now)
            case "ACK" if message.get("id") in self._unanswered:
                # What it adds comes next, and in full: what was named before it is of no use.
                self._unanswered.discard(message["id"])
                self._named.clear()
            case "ERROR":
                self._unanswered.discard(message.get("id", 0))
        return []

    def age(self, name: str, now: float) -> float | None:
        """Seconds since the symbol's sample, by the server's clock; None where that is not known."""
        state = self.states.get(name)
        if state is None or state.time is None or self._server_ahead is None:
            return None
        return max(0.0, self._server_ahead + now - state.time)

    def freshness(self, name: str, now: float) -> str:
        """`live`, `stale` or `expired`; `undated` for a state that does not tell its time; `missing` for none."""
        if name not in self.states:
            return "missing"
        age, silent = self.age(name, now), now - self.heard_at
        hop = self.upstream.status if self.phase is Phase.CONNECTED and self.upstream is not None else "live"
        if hop == "expired" or silent >= EXPIRED_SECONDS or (age is not None and age >= EXPIRED_SECONDS):
            return "expired"
        if hop != "live" or silent >= SILENT_SECONDS or (age is not None and age >= STALE_SECONDS):
            return "stale"
        return "undated" if age is None else "live"

    def _told(self, message: dict[str, Any], now: float) -> None:
        """Of a message that was long on its way the clock must not go back, or old values would look new."""
        ahead = from_iso(message.get("timestamp")) - now
        known = self._server_ahead
        late = self._trusted and known is not None and 0 < known - ahead < CLOCK_STEP_SECONDS
        self._server_ahead, self._trusted = known if late else ahead, True

    def _take(self, update: dict[str, Any]) -> None:
        name, newness, data = symbol(update), version(update), update.get("data")
        if not isinstance(data, dict):
            raise InvalidMessage("type", "data is not an object")
        if not self.wants(name):
            return
        self._named.add(name)
        self.missing.discard(name)
        skipped = update.get("skipped", 0)
        self.skipped += skipped
        held = self.states.get(name)
        if held is not None and held.version is not None and (newness is None or newness <= held.version):
            return
        stamp = update.get("timestamp")
        self.states[name] = State(name, data, newness, None if stamp is None else from_iso(stamp), skipped)
        self.on_change(name)

    def _remove(self, name: str) -> None:
        if self.wanted is not None and name in self.wanted:
            self.missing.add(name)
        if self.states.pop(name, None) is not None:
            self.on_change(name)

    def _snapshot(self, message: dict[str, Any]) -> None:
        for update in message["updates"]:
            self._take(update)
        complete = message["complete"] is True
        self._whole = self._whole and complete
        if complete:
            for name in message["missing"]:
                if self.wants(name):
                    self._remove(name)
        if message["last"] is not True:
            return
        settled = not self._unanswered  # else more is to come
        if not self._whole:
            self.upstream = Upstream("stale", None, None)
        elif self.wanted is None and settled:
            for name in self.states.keys() - self._named:  # what went away while there was no connection
                self._remove(name)
        self._named.clear()
        if settled:
            self.phase = Phase.CONNECTED

    def _heartbeat(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        self.upstream = parse_upstream(message.get("upstream"))
        if not self._whole and self.upstream.complete:
            # The server had not read everything when it sent the SNAPSHOT: ask for a whole one.
            self._whole = True
            return self._again([ALL] if self.wanted is None else sorted(self.wanted))
        if self.phase is not Phase.CONNECTED or self._unanswered:
            return []
        proven = {name: Version(*pair) for name, pair in message.get("seqs", {}).items()}
        lost = sorted(name for name, newness in proven.items() if self._is_lost(name, newness))
        self.resyncs += len(lost)
        return self._again(lost)

    def _is_lost(self, name: str, newness: Version) -> bool:
        held = self.states.get(name)
        return self.wants(name) and (held is None or (held.version is not None and newness > held.version))

    def _again(self, symbols: list[str]) -> list[dict[str, Any]]:
        return self._request("unsubscribe", symbols) + self._request("subscribe", symbols)
