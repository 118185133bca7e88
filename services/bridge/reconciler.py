"""Reconciles what the bridge holds with the states that Redis stores. Redis decides what is newest, not a message.

There is one way to do it: a look at some symbols' states and at the leases of their writers. What is newer in Redis
is taken over. What the bridge holds above it was forged, or Redis has lost it: if a second look finds the same, it is
taken back by REMOVED, after which the stored state follows. A state that is missing twice is removed as well.

All symbols are looked at when the subscription begins, on a new epoch and every `reread_seconds`, since names come
and go; a fifth of them every second; and a single one at once when the channel brings an update that only Redis can
confirm (leases.py).
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Set
from math import ceil
from time import perf_counter

from common import logs
from common.fanout.hub import Hub
from common.fanout.last_value_cache import Entry
from cottage import fields
from cottage.clock import Clock, from_iso
from cottage.errors import InvalidMessage
from cottage.log import Throttled
from cottage.messages import MAX_BYTES, PhysicsUpdate
from cottage.redis import Client
from cottage.state import PhysicsState, announces
from cottage.store import PhysicsStates, batches
from cottage.version import check_epoch
from services.bridge import metrics
from services.bridge.freshness_monitor import FreshnessMonitor
from services.bridge.leases import LivingLeases, Shard
from services.bridge.stored_symbols import stored_symbols

TURN_SECONDS = 0.1
"""The shortest time between two looks at single symbols, however many updates are in doubt."""
SHARE_SECONDS = 1.0
"""How often a share of all symbols is compared with Redis, and the leases are read."""
SHARES = 5
"""After so many shares every symbol has been compared."""
AGAIN_SECONDS = 1.0
"""A tick. If Redis does not have what an update announced, it is asked once more after this time."""
LOOKS_APART_SECONDS = 3.0
"""Three ticks. What two looks found that are so far apart is no accident of a failover or an eviction."""
CONTRADICTED_SECONDS = 60.0
"""For so long nothing that the channel brings of a symbol is believed, once it has been contradicted."""

log = logs.get_logger()
throttled = Throttled(log)


class Reconciler:
    """Keeps the bridge's last values at what Redis stores. The bridge hands it every PHYSICS_UPDATE.

    room: how many symbols may be held. on_new_epoch: has all states read soon, since a lease has a new epoch.
    """

    def __init__(
        self,
        hub: Hub,
        monitor: FreshnessMonitor,
        leases: LivingLeases,
        clock: Clock,
        room: int,
        on_new_epoch: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._held = hub.last_values
        self._monitor = monitor
        self._leases = leases
        self._clock = clock
        self._room = room
        self._on_new_epoch = on_new_epoch
        self._read_epochs: dict[Shard, int] = {}
        """The epochs of the leases at the last full read."""
        self._doubted: dict[str, None] = {}
        """Symbols with an update that was not believed: they are looked at next."""
        self._later: dict[str, float] = {}
        """Symbols that are to be looked at again, with the monotonic time from which on."""
        self._contradicted: dict[str, float] = {}
        """Symbols of which the channel brought what Redis does not have, with the monotonic time until which they are
        only read."""
        self._suspects: dict[str, float] = {}
        """Symbols of which the bridge held more than Redis at the last look, with the time of the first such look."""
        self._awake = asyncio.Event()
        self._turn: list[str] = []
        """Symbols that are still to be compared in this turn."""
        self._share = 0
        self._next_share_at = 0.0
        self._database = 0
        self._to_be_assessed = False
        """Whether clients were sent a state of a symbol of which they had none, and not yet how fresh it is."""
        self._published_only: list[str] | None = None
        """Symbols without a version, which give way to those of which Redis has a state, as found in this look."""
        self._removed: list[str] = []
        self._taken_back: list[str] = []
        """The symbols that were removed, and those that were taken back, since the last report."""

    def heard(self, update: PhysicsUpdate, now: float) -> None:
        """The channel has brought this update. `now`: monotonic. Raises InvalidMessage("room") if there is none."""
        symbol, version = update.symbol, update.version
        if version is not None:
            held = self._held.get(symbol)
            newer = held is None or held.version is None or version > held.version
            if held is not None and not newer and _contradicts(update, held):
                self._contradict(symbol, now)
                newer = True
            # Of a symbol that nobody has, no lease says that its writer knows it.
            believed = held is not None and symbol not in self._contradicted
            if newer and not (believed and self._leases.believes(symbol, version)):
                metrics.DOUBTED.inc()
                self._doubt(symbol)
                return
        else:
            self._suspects.pop(symbol, None)  # its publisher need not store anything, and lives
        self._check_room(symbol)
        first = symbol not in self._held
        if self._hub.update(symbol, version, update.payload):
            self._monitor.samples.record(symbol, update.source, update.timestamp, update.feed_time, update.lag, now)
            if first:
                self._assess()

    def wake(self) -> None:
        """Read the leases and Redis's clock now."""
        self._awake.set()

    async def keep_looking(self, client: Client) -> None:
        """Look at what is in doubt, and at all symbols in turn, until cancelled. Raises RedisError."""
        while True:
            await self._clock.sleep(TURN_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._until_next()):
                    await self._awake.wait()
            self._awake.clear()
            doubted, self._doubted = self._doubted, {}
            healed = await self._look(client, dict.fromkeys([*doubted, *self._due()]))
            now = self._clock.monotonic()
            for symbol in doubted.keys() - healed:
                self._later.setdefault(symbol, now + AGAIN_SECONDS)
                if symbol in self._contradicted:
                    self._contradict(symbol, now)
            if self._leases.epochs.items() - self._read_epochs.items():
                self._on_new_epoch()

    async def read_all(self, client: Client) -> None:
        """Look at every symbol that is held or has a state. Raises RedisError."""
        started = perf_counter()
        self._database = client.database
        names, every = await stored_symbols(client, self._room, self._held, self._bad)
        if not every:
            self._make_room(set(names))
        symbols = dict.fromkeys([*names, *self._held])
        healed = await self._look(client, symbols)
        epochs = self._leases.epochs
        for (index, shards), epoch in epochs.items() - self._read_epochs.items():
            log.info("new_epoch", epoch=epoch, shard=f"{index}/{shards}")
        self._read_epochs = epochs
        metrics.FULL_READS.inc()
        seconds = round(perf_counter() - started, 4)
        log.debug("states_read", symbols=len(symbols), healed=len(healed), seconds=seconds)

    def _make_room(self, chosen: Set[str]) -> None:
        """Redis has states of more symbols than there is room for: only these are held."""
        throttled.warning("states_left_out", "", limit=self._room)
        for symbol in self._held.entries().keys() - chosen:
            self._remove(symbol)
        self._report()

    def _doubt(self, symbol: str) -> None:
        if symbol in self._later or symbol in self._doubted:
            return
        if len(self._doubted) + len(self._later) >= self._room:
            raise InvalidMessage("room", f"{self._room} symbols are in doubt already: see BRIDGE_MAX_SYMBOLS")
        self._doubted[symbol] = None
        self._awake.set()

    def _contradict(self, symbol: str, now: float) -> None:
        """Redis has not what the channel brought of this symbol: somebody forges it, and may go on."""
        if symbol not in self._contradicted:
            throttled.warning("updates_contradicted", "", symbol=symbol, seconds=CONTRADICTED_SECONDS)
        self._contradicted[symbol] = now + CONTRADICTED_SECONDS

    def _until_next(self) -> float:
        """Seconds until something is due."""
        return min([self._next_share_at, *self._later.values()]) - self._clock.monotonic()

    def _due(self) -> list[str]:
        """The symbols whose time has come, and their share of the others once a second."""
        now = self._clock.monotonic()
        due = [symbol for symbol, at in self._later.items() if at <= now]
        for symbol in due:
            del self._later[symbol]
        if now >= self._next_share_at:
            self._next_share_at = now + SHARE_SECONDS
            self._contradicted = {symbol: until for symbol, until in self._contradicted.items() if until > now}
            if not self._turn:
                # Without versions the order of arrival counts, and a publisher need not store anything.
                self._turn = [name for name, entry in self._held.entries().items() if entry.version is not None]
                self._share = ceil(len(self._turn) / SHARES)
            due += self._turn[: self._share]
            self._turn = self._turn[self._share :]
        return due

    async def _look(self, client: Client, symbols: Iterable[str]) -> set[str]:
        """Compare these symbols with Redis. Returns those of which it had newer states. Raises RedisError."""
        redis_now = await self._monitor.sync_clock(client)
        await self._read_leases(client, redis_now)
        self._published_only = None
        healed: set[str] = set()
        for part in batches(list(symbols)):
            before = {symbol: self._held.get(symbol) for symbol in part}
            stored = await PhysicsStates(client).stored(part, self._bad)  # a key of another type is no state
            for symbol in part:
                try:
                    if self._compare(symbol, before[symbol], stored.get(symbol), redis_now):
                        healed.add(symbol)
                except InvalidMessage as error:
                    self._bad(symbol, error)  # the last valid state is kept
        metrics.HEALED.inc(len(healed))
        self._report()
        return healed

    async def _read_leases(self, client: Client, redis_now: float) -> None:
        names: list[str] = []
        while len(names) < len(self._leases.names()):  # a lease may tell of more shards
            names = self._leases.names()
            asked = self._clock.monotonic()
            values, *pttls = await client.bulk([("MGET", *names), *(("PTTL", name) for name in names)])
            self._leases.take(values, pttls, redis_now, asked)
        self._monitor.liveness.prove(self._leases.epochs)

    def _compare(self, symbol: str, before: Entry | None, payload: bytes | None, redis_now: float) -> bool:
        """Compare what is held with what is stored. Returns whether that was newer and has been taken over.

        `before`: the last value when Redis was asked: whatever it was made from, Redis has stored before. Raises
        InvalidMessage for an invalid state.
        """
        if payload is None:
            if before is not None:
                self._suspect(symbol, before, None)
            return False
        stored = fields.load_object(payload)
        version, held = fields.version(stored), None if before is None else before.version
        if version is not None:
            check_epoch(version.epoch, redis_now)
            self._leases.shown(symbol, version)
            above = held is not None and held > version
            if before is not None and held == version:
                above = not announces(fields.load_object(before.payload), stored)
            if above and before is not None and self._leases.lives(symbol, version.epoch):
                self._suspect(symbol, before, PhysicsState.from_bytes(payload))
                return False
        self._suspects.pop(symbol, None)
        if held is not None and (version is None or version <= held):
            return False
        state = PhysicsState.from_bytes(payload)
        current = self._held.get(symbol)
        if version is None and current is not before:
            return False  # an update came during the read
        return self._take(symbol, state, current)

    def _suspect(self, symbol: str, before: Entry, state: PhysicsState | None) -> None:
        """Redis has less than what is held: take back what is held if it had less some ticks ago too."""
        now = self._clock.monotonic()
        again = self._suspects.setdefault(symbol, now) + LOOKS_APART_SECONDS
        if now < again:
            if before.version is not None:
                self._later.setdefault(symbol, again)
            return
        if state is None:
            self._remove(symbol)
            return
        del self._suspects[symbol]
        current = self._held.get(symbol)
        self._hub.remove(symbol)
        self._taken_back.append(symbol)
        assert before.version is not None
        assert state.version is not None
        if before.version.epoch == state.version.epoch:  # else Redis has lost it, and that epoch is gone
            self._contradict(symbol, now)
        self._leases.mistaken(symbol, state.version)
        self._take(symbol, state, None)
        if current is not before:  # an update came during the read, and may have been true
            self._doubt(symbol)

    def _remove(self, symbol: str) -> None:
        self._suspects.pop(symbol, None)
        self._hub.remove(symbol)
        self._monitor.samples.forget(symbol)
        self._removed.append(symbol)

    def _take(self, symbol: str, state: PhysicsState, current: Entry | None) -> bool:
        """Take over a stored state, and tell clients. `current`: the last value. Returns whether it was newer."""
        payload = state.update(symbol, self._database)
        if len(payload) > MAX_BYTES:
            raise InvalidMessage("size", f"its update has {len(payload)} bytes, at most {MAX_BYTES} are allowed")
        if current is not None and current.payload == payload:
            return False
        if self._full_for(symbol) and state.version is not None:
            self._give_way()
        self._check_room(symbol)
        if not self._hub.update(symbol, state.version, payload):
            return False
        timestamp, feed_time = _seconds(state.timestamp), _seconds(state.feed_time)
        lag, now = (state.lag_ms or 0) / 1000, self._clock.monotonic()
        self._monitor.samples.record(symbol, state.source, timestamp, feed_time, lag, now)
        if current is None:
            self._assess()
        return True

    def _assess(self) -> None:
        """Have it said right after the states that this iteration of the event loop brings, how fresh they are."""
        if not self._to_be_assessed:
            self._to_be_assessed = True
            asyncio.get_running_loop().call_soon(self._publish_freshness)

    def _publish_freshness(self) -> None:
        self._to_be_assessed = False
        self._monitor.publish(self._hub)

    def _full_for(self, symbol: str) -> bool:
        """Whether the symbol is new and BRIDGE_MAX_SYMBOLS are held already."""
        return symbol not in self._held and len(self._held) >= self._room

    def _give_way(self) -> None:
        """Remove a symbol that somebody only publishes, if there is one, for one of which Redis has a state."""
        if self._published_only is None:
            self._published_only = [name for name, entry in self._held.entries().items() if entry.version is None]
        while self._published_only:
            entry = self._held.get(name := self._published_only.pop())
            if entry is not None and entry.version is None:
                self._remove(name)
                return

    def _check_room(self, symbol: str) -> None:
        """Raises InvalidMessage if there is no room for the symbol."""
        if self._full_for(symbol):
            raise InvalidMessage("room", f"{self._room} symbols are held already: see BRIDGE_MAX_SYMBOLS")

    def _bad(self, symbol: str, error: InvalidMessage) -> None:
        metrics.DROPPED.labels(error.reason).inc()
        throttled.warning("state_dropped", error.reason, symbol=symbol, reason=error.reason, error=error.detail)

    def _report(self) -> None:
        """Count and log what was removed or taken back."""
        removed, taken_back = sorted(self._removed), sorted(self._taken_back)
        self._removed, self._taken_back = [], []
        if removed:
            metrics.REMOVED.inc(len(removed))
            log.info("states_removed", symbols=len(removed), first=removed[:10])
        if taken_back:
            metrics.TAKEN_BACK.inc(len(taken_back))
            throttled.warning("states_taken_back", "", symbols=len(taken_back), first=taken_back[:10])


def _contradicts(update: PhysicsUpdate, held: Entry) -> bool:
    """Whether an update says something else than what is held in the same version: one of them is forged."""
    if update.version != held.version or update.payload == held.payload:
        return False
    return fields.load_object(update.payload) != fields.load_object(held.payload)


def _seconds(time: str | None) -> float | None:
    return None if time is None else from_iso(time)
