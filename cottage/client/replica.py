"""The replica of the server's states that StateClient keeps. Pure: it takes messages and returns requests to send.

It outlives connections, so no symbol ever goes back to an older version, whichever server sends it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import InitVar, dataclass, field
from enum import StrEnum
from typing import Any

from cottage.client.lower_epochs import LowerEpochs
from cottage.client.server_watch import ServerWatch
from cottage.client.subscriptions import Subscriptions, symbol_names
from cottage.clock import RemoteClock, from_iso
from cottage.errors import InvalidMessage
from cottage.events import TOPICS, EventQueue
from cottage.fields import mapping, optional_count, optional_text, previous, symbol, version
from cottage.freshness import USUAL, Freshness, FreshnessStatement, Status, Thresholds, worst
from cottage.freshness_board import FreshnessBoard
from cottage.grant import ALL
from cottage.log import get_logger
from cottage.protocol import Code, parse_freshness
from cottage.sample_age import SampleAge
from cottage.version import Version

_TIMES = ("timestamp", "feed_time")
_MARKET_TIMES = ("regime_since", "event_time")
MOST_NAMED = 20
"""The most refused symbols that a log line names."""

log = get_logger(__name__)


class Phase(StrEnum):
    """Where a client is in the life of its connections."""

    CONNECTING = "connecting"
    CONNECTED = "connected"  # the SNAPSHOT has arrived
    RECONNECTING = "reconnecting"
    REFUSED = "refused"  # the server closed with 1008, and the client does not try again
    UNAUTHORIZED = "unauthorized"  # it accepts no token that the client has, which does not try again either
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """A symbol's newest PHYSICS_UPDATE, as a StateClient gives it to its user."""

    symbol: str
    data: Mapping[str, Any]
    """The published values: `alpha`, `regime`, the five pillars, `price`, …; `alpha_low` to `alpha_high` is the 90 %
    interval of `alpha`, which has no upper end where that is 10; `notes` are words about what the values stand on,
    and the pillars in `void` are 0 but mean nothing."""
    version: Version | None
    time: float | None
    """The time of the sample in seconds since 1970; None if the update does not tell it."""
    skipped: int = 0
    """How many versions before it were left out because this client was a slow consumer."""
    feed_time: float | None = None
    """The sample's time as its feed wrote it, where that differs from `time`."""
    lag: float = 0.0
    """By how many seconds samples of its feed are usually late."""
    source: str | None = None
    """The feed of the sample, such as `live`, `replay` or `simulate`."""
    regime_since: float | None = None
    """Since when the regime holds, by the market's own time, in seconds since 1970."""
    event_time: float | None = None
    """The market's own time of the sample, where its feed states that."""
    prev: Version | None = None
    """The version that this one replaced in Redis; None where there was none, or without `written`. If it is not the
    one that was held before, versions between were not seen."""
    written: int | None = None
    """When Redis wrote this version, in microseconds since 1970; None where its writer does not say so."""

    @property
    def regime_held(self) -> float | None:
        """The seconds for which the regime has held at the sample, by the market's own time; None if not known."""
        known = (time for time in (self.event_time, self.feed_time, self.time) if time is not None)
        sampled = next(known, None)
        return None if sampled is None or self.regime_since is None else max(0.0, sampled - self.regime_since)


@dataclass(slots=True)
class StateReplica:
    """The newest state of every wanted symbol, and what the server says about its freshness."""

    wanted: InitVar[set[str] | None]
    """The symbols that are wanted at first; None means all."""
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
    subscriptions: Subscriptions = field(init=False)
    """What is wanted and what the server was asked for."""
    watch: ServerWatch = field(init=False)
    """When the server was heard, and what it was asked."""
    freshness_board: FreshnessBoard = field(default_factory=FreshnessBoard)
    """What the server has said about the freshness of its states."""
    _lower: LowerEpochs = field(default_factory=LowerEpochs)
    _sample_ages: dict[str, SampleAge] = field(default_factory=dict)
    _snapshot_symbols: set[str] = field(default_factory=set)
    """The symbols that the present SNAPSHOT has named so far."""
    _snapshot_due: bool = True
    """Whether a SNAPSHOT of all that is asked for is to come, or to come to its end. After an `auth` one may come of
    what is new."""
    _complete: bool = True
    """False after an incomplete SNAPSHOT, until a complete one is requested."""

    def __post_init__(self, wanted: set[str] | None) -> None:
        self.watch = ServerWatch(self.thresholds.silent)
        self.subscriptions = Subscriptions(wanted, self.watch.ids)

    def connected(self, now: float, dialled_at: float | None = None) -> None:
        """Take note of a new connection, whose SNAPSHOT comes next. In all methods `now` is the time of a monotonic
        clock in seconds. `dialled_at`: by default now."""
        self.watch.connected(now, now if dialled_at is None else dialled_at)
        self.upstream = None
        self.freshness_board = FreshnessBoard()
        self._lower.clear()
        self._snapshot_symbols.clear()
        self.subscriptions.accepted()
        self._snapshot_due = self._complete = True

    def lost(self) -> None:
        """Take note that the connection has ended."""
        self.upstream = None
        if self.phase is Phase.CONNECTED:
            self.phase = Phase.RECONNECTING

    def subscribe(self, symbols: Iterable[str]) -> None:
        """Want these symbols too; what has to be requested for it is `due`. Raises ValueError or TypeError for what
        no server grants, and then nothing of it is wanted."""
        everything_before = self.subscriptions.wanted is None
        self.subscriptions.add(symbol_names(symbols))
        if self.subscriptions.wanted is None and not everything_before:
            self.missing.clear()

    def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Want these symbols no longer. Raises ValueError for single symbols while all are wanted, and ValueError or
        TypeError for what are no symbols."""
        names = symbol_names(symbols)
        self.subscriptions.drop(names)
        self._forget(names)

    def _forget(self, names: set[str]) -> None:
        """Forget what is not wanted any more; "*" is all."""
        for name in [*self.states, *self.missing] if ALL in names else names:
            self.missing.discard(name)
            self._remove(name)

    def take(self, message: Any, now: float) -> None:
        """Take one message of the server; what has to be requested because of it is `due`.

        Raises InvalidMessage, KeyError, TypeError or ValueError if the message is invalid.
        """
        self.watch.arrived(now)
        match _object(message).get("event"):
            case "PHYSICS_UPDATE":
                self._take(message, now)
            case "SNAPSHOT":
                self._observe_time(message, now)
                self._snapshot(message, now)
            case "FRESHNESS":
                self._freshness(parse_freshness(message), now)
            case "REMOVED":
                self._remove(str(message.get("symbol")))
            case "REVOKED":
                self._revoked(message)
            case "HEARTBEAT":
                self._observe_time(message, now)
                self._heartbeat(message)
            case "PONG":
                self._observe_time(message, now)
                if self._complete and "upstream" in message:
                    self.upstream = Freshness.from_fields(mapping(message, "upstream"))
            case "ACK" if self.subscriptions.granted(message.get("id")):
                # The SNAPSHOT of what it adds comes next, whole: symbols named before it do not count.
                self._snapshot_due = True
                self._snapshot_symbols.clear()
            case "ERROR":
                self._refused(message)
            case str(topic) if topic in TOPICS:
                self.events.put(topic, TOPICS[topic].key(message), message)

    def due(self, now: float) -> list[dict[str, Any]]:
        """The requests that are to be sent now, over the present connection: a ping, where one is needed, and those
        that make what the server sends what is wanted."""
        ping = self.watch.ping(now)
        if self.phase is Phase.CONNECTED and not self.watch.doubted and self.subscriptions.settled:
            self.subscriptions.again(self._lower.due(now))
        return ([] if ping is None else [ping]) + self.subscriptions.due(now)

    def age(self, name: str, now: float) -> float | None:
        """The seconds since the symbol's newest sample, by the server's clock; None if that is not known."""
        known = self._sample_ages.get(name)
        return None if known is None else known.age(self._server_clock, now + self.watch.missed)

    def freshness(self, name: str, now: float) -> str:
        """The symbol's freshness: `live`, `stale`, `expired`, `undated` (its time is unknown) or `missing`."""
        if name not in self.states:
            return "missing"
        status = worst(
            self.freshness_board.of(name).status,
            self._hop_status,
            self._server_status(now),
            self._sample_status(name, now),
        )
        return "undated" if status == "live" and name not in self._sample_ages else status

    def cause(self, name: str, now: float) -> str | None:
        """Why the symbol's state is stale or expired: the broken hop nearest to this client; if there is none,
        `feed_late` for a feed that is late by nature, else `market_quiet`. None if it is neither. `server_down` means
        that nothing arrives from the server."""
        if self.freshness(name, now) not in ("stale", "expired"):
            return None
        if self.phase is not Phase.CONNECTED or self._server_status(now) != "live":
            return "server_down"
        hop = (self.upstream and self.upstream.cause) or self.freshness_board.of(name).cause
        if hop not in (None, "feed_late", "market_quiet"):
            return hop
        # These two are no broken hops: which of them holds depends on the age, which goes on while nothing is said.
        age, lag = self.age(name, now), self.states[name].lag
        return "feed_late" if age is not None and self.thresholds.late(age, lag) else "market_quiet"

    def _sample_status(self, name: str, now: float) -> Status:
        """The freshness of a state by its sample. One whose time lay ahead is as old as anything."""
        if name not in self._sample_ages:
            return "live"
        age = self.age(name, now)
        return "expired" if age is None else self.thresholds.of_sample(age, self.states[name].lag)

    def _server_status(self, now: float) -> Status:
        """The freshness of everything that comes from the server, by when it was heard."""
        silence = self.thresholds.of_silence(self.watch.silence(now))
        return worst("stale", silence) if self.watch.doubted else silence

    @property
    def _server_clock(self) -> RemoteClock:
        return self.watch.server_clock

    @property
    def _hop_status(self) -> Status:
        """The freshness of the server's upstream; stale until the server has told it. Without a connection it does
        not count: the silence of the server decides."""
        if self.phase is not Phase.CONNECTED:
            return "live"
        return "stale" if self.upstream is None else self.upstream.status

    def _observe_time(self, message: dict[str, Any], now: float) -> None:
        """Take note of the server's time in a message, and of which samples the server's clock shows another age."""
        time, watch, since = from_iso(message.get("timestamp")), self.watch, self.watch.agreed_at
        pong = message["event"] == "PONG"
        if watch.answered(message.get("id"), time, now) if pong else watch.told(time, now):
            clock, ages = self._server_clock, self._sample_ages
            self._sample_ages = {name: known.confirmed(clock, since) for name, known in ages.items()}

    def _take(self, update: dict[str, Any], now: float) -> None:
        name, newness, data = symbol(update), version(update), mapping(update, "data")
        if not self.subscriptions.wants(name):
            return
        self._snapshot_symbols.add(name)
        self.missing.discard(name)
        skipped = update.get("skipped", 0)
        self.skipped += skipped
        held = self.states.get(name)
        if held is not None and held.version is not None and (newness is None or newness <= held.version):
            if self.watch.doubted or not self._lower.stated(name, newness, held.version, now):
                return
            self._remove(name)  # as after a REMOVED
            self.missing.discard(name)
        self._lower.forget(name)
        stamps = (*map(update.get, _TIMES), *map(data.get, _MARKET_TIMES))
        time, feed_time, since, event = (None if stamp is None else from_iso(stamp) for stamp in stamps)
        lag, source = (optional_count(data, "lag_ms") or 0) / 1000, optional_text(data, "source")
        of_sample = skipped, feed_time, lag, source, since, event
        stamp = previous(update), optional_count(update, "written")
        self.states[name] = ReplicaState(name, data, newness, time, *of_sample, *stamp)
        self._learn_age(name, now)
        age = self.age(name, now)
        if age is not None and age < self.thresholds.silent:
            self.freshness_board.forget(name)  # it was about an older sample; the server confirms that a moment later
        self.on_change(name)

    def _learn_age(self, name: str, now: float) -> None:
        """Fix the age of a sample that is heard of for the first time, if the server's clock is known."""
        state, clock = self.states[name], self._server_clock
        if state.time is None or not clock.known:
            self._sample_ages.pop(name, None)
            return
        held = self._sample_ages.get(name)
        self._sample_ages[name] = SampleAge.heard(held, state.source, state.time, state.feed_time, clock, now)

    def _remove(self, name: str) -> None:
        if self.subscriptions.names(name):
            self.missing.add(name)
        self.freshness_board.forget(name)
        self._sample_ages.pop(name, None)
        self._lower.forget(name)
        if self.states.pop(name, None) is not None:
            self.on_change(name)

    def _revoked(self, message: dict[str, Any]) -> None:
        self._withdraw(symbol_names(message["symbols"]))
        self.events.put("REVOKED", "", message)

    def _withdraw(self, names: set[str]) -> None:
        """The client may not know of these. What Redis has of them is not said by that, so none is missing."""
        for name in sorted(names & {*self.states, *self.missing}):
            self._remove(name)
            self.missing.discard(name)

    def _snapshot(self, message: dict[str, Any], now: float) -> None:
        refused = None
        for update in message["updates"]:
            try:
                self._take(_object(update), now)
            except InvalidMessage as error:
                refused = error  # the other updates are still used
        self._end_part(message)
        if refused is not None:
            raise refused

    def _end_part(self, message: dict[str, Any]) -> None:
        """The updates of a part of a SNAPSHOT were taken; the last part says what is gone, and that all is here."""
        complete = message["complete"] is True
        self._complete = self._complete and complete
        if complete:
            for name in message["missing"]:
                if self.subscriptions.wants(name):
                    self._remove(name)
        if message["last"] is not True:
            return
        if not self._complete:
            self.upstream = Freshness("stale", None, None)
        elif self._snapshot_due and self.subscriptions.wanted is None and self.subscriptions.settled:
            for name in self.states.keys() - self._snapshot_symbols:  # removed while there was no connection
                self._remove(name)
        self._snapshot_symbols.clear()
        self._snapshot_due = False
        self._settle()

    def _settle(self) -> None:
        """Be connected once all that is wanted was asked for and has come, or was refused."""
        if self.subscriptions.settled and not self._snapshot_due:
            self.phase = Phase.CONNECTED

    def _refused(self, message: dict[str, Any]) -> None:
        """A request was refused. What it asked for is not wanted any more, and its user is told by an event."""
        code, why = optional_text(message, "code"), optional_text(message, "message")
        if code == Code.NOT_ALLOWED and "symbols" in message:
            # The others of that request are granted. The server keeps these in mind, for a token that allows them.
            names = symbol_names(message["symbols"])
            self.subscriptions.granted(message.get("id"))
            self._withdraw(names)
        else:
            names = self.subscriptions.refused(message.get("id"))
            self._forget(names)
        log.warning("subscription_refused", code=code, error=why, symbols=sorted(names)[:MOST_NAMED])
        self.events.put("ERROR", "", {**message, "symbols": sorted(names)})
        self._settle()

    def _freshness(self, statement: FreshnessStatement, now: float) -> None:
        self.freshness_board.apply(statement, now)
        if statement.symbols is None:  # the next HEARTBEAT will repeat it
            self.upstream = statement.freshness

    def _heartbeat(self, message: dict[str, Any]) -> None:
        self.upstream = Freshness.from_fields(mapping(message, "upstream"))
        subscriptions = self.subscriptions
        if not self._complete and self.upstream.complete:
            # The server had not read everything when it sent the SNAPSHOT: request a complete one.
            self._complete = True
            subscriptions.again([ALL] if subscriptions.wanted is None else subscriptions.wanted)
        elif self.phase is Phase.CONNECTED and subscriptions.settled:
            proven = {name: Version(*pair) for name, pair in mapping({"seqs": {}, **message}, "seqs").items()}
            lost = [name for name, newness in proven.items() if self._is_lost(name, newness)]
            self.resyncs += len(lost)
            subscriptions.again(lost)

    def _is_lost(self, name: str, newness: Version) -> bool:
        held = self.states.get(name)
        return self.subscriptions.wants(name) and (
            held is None or (held.version is not None and newness > held.version)
        )


def _object(message: Any) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise InvalidMessage("object", "not an object")
    return message
