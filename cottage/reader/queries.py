"""The queries of PhysicsReader and BlockingPhysicsReader: commands to send, and readings made of the replies. Pure.

A query is a generator: it yields the commands of one round trip, is sent their replies (or a RedisError is thrown
into it), and returns its result. Both readers run the same queries.

Ages are by Redis's clock, which is read in the same round trip, so a skewed clock on this machine makes nothing look
younger. That clock may be set back: a sample that the reader knows keeps its age (cottage/sample_age.py), and of one
that it did not know before nobody can say how old it is until feynman has issued its state again. Instead of an
invalid state the last valid one is returned.
"""

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cottage import keys
from cottage.clock import AHEAD_SECONDS, from_iso
from cottage.errors import InvalidMessage, NoSuchState, RedisError, StateUnavailable
from cottage.expiry import ExpiryLook, OutlivingKeys, lifetime_ms
from cottage.fields import load_object
from cottage.freshness import USUAL, Cause, Chain, Feed, Thresholds, assess, shards
from cottage.log import Throttled, get_logger
from cottage.reader.circuit_breaker import CircuitBreaker
from cottage.reader.reading import Origin, Reading, Readings, fallback_reading
from cottage.reader.state_cache import CAPACITY, CachedState, StateCache
from cottage.redis_clock import RedisClock
from cottage.sample_age import SampleAge
from cottage.snapshot import UNKNOWN_SOURCE
from cottage.state import PhysicsState
from cottage.store import MOST_FEEDS, SCAN_COUNT, batches, wrong_type
from cottage.version import check_epoch

CHAIN_SECONDS = 2.0
"""How long the chain (which writers and feeds live) is used before it is read again. Their keys expire after 5 s."""
REISSUED_SECONDS = 10.0
"""By so long after Redis's clock was set back feynman, if it lives, has issued all states again."""
MOST_EPOCHS = 1024
"""The most epochs that are remembered: more than there can be shards."""
READING, RETRYING, LISTING, LOOKING = "reading", "retrying", "listing", "looking"
"""The activities of a reader, any of which may fail alone: it reads states, tries again to read those that it missed,
lists the symbols, and looks for writers and feeds."""

Command = tuple[str | int, ...]
T = TypeVar("T")
U = TypeVar("U")
Query = Generator[list[Command], list[Any], T]

log = get_logger(__name__)
throttled = Throttled(log)


@dataclass(slots=True)
class ReaderCounts:
    """Counts what a reader has done. The physics service turns them into metrics."""

    reads: Counter[str] = field(default_factory=Counter)
    """The states requested, by where the answer came from: redis, remembered, fallback or absent."""
    refused: int = 0
    """The states refused because they were older than `max_age`, or missing."""
    bad_states: Counter[str] = field(default_factory=Counter)
    """The invalid states found in Redis, by reason."""
    redis_lost: int = 0
    """How often Redis stopped answering."""


class Queries:
    """The state of one reader (cache, circuit breaker, chain), and its queries."""

    def __init__(
        self,
        monotonic: Callable[[], float],
        thresholds: Thresholds = USUAL,
        capacity: int = CAPACITY,
        *,
        spread: bool = False,
    ) -> None:
        """`spread`: whether the states are on several servers, so that some may be missed while others are read."""
        self._spread = spread
        self._monotonic = monotonic
        self._thresholds = thresholds
        self._asked_chain_at = -math.inf
        self._redis_clock = RedisClock()
        self._epochs: dict[int, None] = {}
        """The epochs of the writers that were seen, the newest last."""
        self._epochs_before_step: frozenset[int] = frozenset()
        self._stepped_at = -math.inf
        """When Redis's clock was last found to have been set back, and the epochs that were seen before."""
        self._set_back = 0.0
        """By how many seconds it was set in all since then, negative; 0.0 if it is not behind any more."""
        self._outliving = OutlivingKeys()
        self._capacity = capacity
        self._left_out = False
        """Whether Redis had more states than that when they were last listed."""
        self.cache = StateCache(capacity)
        self.counts = ReaderCounts()
        self.circuit = CircuitBreaker(monotonic)
        self.chain: Chain | None = None
        """The writers and feeds as they were last seen; None if that is not known."""

    def one(self, symbol: str, max_age: float | None, fallback: PhysicsState | None) -> Query[Reading | None]:
        """The query of a reader's `get`, which documents it."""
        if max_age is not None and not max_age >= 0:  # written so that NaN is refused as well
            raise ValueError(f"max_age is {max_age!r}; it must be seconds from 0")
        answer = yield from self.many([symbol])
        reading = answer.states.get(symbol)
        if max_age is None:
            usable = reading is not None and reading.origin != "fallback"
        else:
            usable = reading is not None and reading.within(max_age)
        if usable or (max_age is None and fallback is None):
            return reading
        if fallback is not None:
            return fallback_reading(self._broken(symbol, None) if answer.complete else "redis_down", fallback)
        self.counts.refused += 1
        raise _refusal(symbol, reading, max_age)

    def many(self, symbols: Iterable[str]) -> Query[Readings]:
        """The states of these symbols, in one round trip for each 500."""
        names = [keys.symbol(symbol) for symbol in dict.fromkeys(symbols)]
        return (yield from self._guarded(READING, self._ask(names), lambda: self._remembered(names), names))

    def all(self) -> Query[Readings]:
        """The states of all symbols that Redis has, of so many as the cache has room for; while Redis does not
        answer, those in the cache."""
        names = yield from self._guarded(LISTING, self._list(), lambda: None)
        if names is None:
            return self._remembered(self.cache.symbols())
        asked = self._ask(names)
        answer = yield from self._guarded(READING, asked, lambda: self._remembered(self.cache.symbols()), names)
        return Readings(answer.states, (), answer.complete and not self._left_out)

    def check(self) -> Query[None]:
        """Find out whether Redis answers all that a reader needs, and which writers and feeds live. The result is in
        `circuit` and `chain`. It asks again for what was missed, so that an outage has an end."""
        known = [self.cache.newest(self.circuit.missed) or "0"]  # any state, which need not exist
        if (yield from self._guarded(READING, self._read(known), lambda: None, known)) is None:
            return
        if missed := sorted(filter(keys.is_symbol, self.circuit.missed)):
            yield from self._guarded(RETRYING, self._read(missed, RETRYING), lambda: None, missed)
        if LISTING in self.circuit.missed:
            yield from self._guarded(LISTING, self._list(), lambda: None)
        yield from self._look()

    def _guarded(
        self, activity: str, query: Query[T], without_redis: Callable[[], U], names: Sequence[str] = ()
    ) -> Query[T | U]:
        """The result of `query`; that of `without_redis` if Redis fails or the circuit breaker allows no query."""
        if self.circuit.allows(activity):
            try:
                return (yield from query)
            except RedisError as error:
                self.counts.redis_lost += self.circuit.failed(error, activity, names if self._spread else ())
                self.chain = None
        return without_redis()

    def _list(self) -> Query[list[str]]:
        """The symbols of all states that Redis has; the cache forgets all others. If there are more than it has room
        for, those come first that are in it: anybody could store states."""
        known = frozenset(self.cache.symbols())
        names = yield from self._scan(keys.PHYSICS_STATE, self._capacity + 1, known)
        self.circuit.answered(LISTING)
        for symbol in known.difference(names):
            self.cache.forget(symbol)
        self._left_out = len(names) > self._capacity
        if not self._left_out:
            return names
        throttled.warning("states_left_out", "", limit=self._capacity)
        return sorted(_first(names, self._capacity, known))

    def _ask(self, names: Sequence[str]) -> Query[Readings]:
        held: dict[str, CachedState | None] = {}
        distrusted: set[str] = set()
        for part in batches(names):
            distrusted |= yield from self._read(part)
            held.update((symbol, self.cache.get(symbol)) for symbol in part)
        if any(map(self._doubtful, held.values())):
            yield from self._look()
        states: dict[str, Reading] = {}
        missing = []
        for symbol, each in held.items():
            if each is not None or symbol in distrusted:
                origin: Origin = "remembered" if symbol in distrusted else "redis"
                states[symbol] = self._reading(each, self._broken(symbol, each), None, origin)
            else:
                missing.append(symbol)
                self.counts.reads["absent"] += 1
        return Readings(states, tuple(missing), complete=True)

    def _read(self, part: Sequence[str], activity: str = READING) -> Query[set[str]]:
        """Read the states of these symbols into the cache. Returns those whose state is invalid: the cache keeps the
        last valid one."""
        sent = self._monotonic()
        clock, payloads = yield [("TIME",), ("MGET", *map(keys.physics_state, part))]
        now = clock[0] + clock[1] / 1e6
        stepped = self._stepped(now, sent)
        absent = [symbol for symbol, payload in zip(part, payloads, strict=True) if payload is None]
        strange = yield from self._of_wrong_type(absent)
        invalid: set[str] = set()
        for symbol, payload in zip(part, payloads, strict=True):
            try:
                if symbol in strange:
                    raise strange[symbol]
                self._take(symbol, payload, now, sent, stepped)
            except InvalidMessage as error:
                self.counts.bad_states[error.reason] += 1
                throttled.warning(
                    "state_dropped", error.reason, symbol=symbol, reason=error.reason, error=error.detail
                )
                invalid.add(symbol)
        self.circuit.answered(activity, part)
        return invalid

    def _of_wrong_type(self, absent: Sequence[str]) -> Query[dict[str, InvalidMessage]]:
        """Of symbols that MGET gave no value of, those whose key has another type, with the error that says so."""
        if not absent:
            return {}
        names = [keys.physics_state(symbol) for symbol in absent]
        kinds = yield [("TYPE", name) for name in names]
        errors = (wrong_type(name, kind, "string") for name, kind in zip(names, kinds, strict=True))
        return {symbol: error for symbol, error in zip(absent, errors, strict=True) if error is not None}

    def _stepped(self, now: float, sent: float) -> bool:
        """Take note of the time that Redis told in answer to what was sent at `sent`. Returns whether its clock was
        set back since the last answer."""
        answered_at = self._monotonic()
        step = self._redis_clock.answered(now, sent, answered_at)
        if step:
            lately = answered_at - self._stepped_at < REISSUED_SECONDS
            self._set_back = min((self._set_back if lately else 0.0) + step, 0.0)
            if self._set_back >= -AHEAD_SECONDS:  # it is right again: so are the times that were told before
                self._stepped_at = -math.inf
        if step >= -AHEAD_SECONDS:
            return False
        self._stepped_at, self._epochs_before_step = answered_at, frozenset(self._epochs)
        return True

    def _take(self, symbol: str, payload: bytes | None, now: float, sent: float, stepped: bool) -> None:
        """Parse the stored state of `symbol`, and keep it in the cache. Raises InvalidMessage if it is invalid."""
        if payload is None:
            self.cache.forget(symbol)
            return
        state = PhysicsState.from_bytes(payload)
        if state.version is not None:
            check_epoch(state.version.epoch, now)
            self._note_epoch(state.version.epoch)
        self.cache.keep(symbol, CachedState(state, self._sample(symbol, state, stepped), sent))

    def _sample(self, symbol: str, state: PhysicsState, stepped: bool) -> SampleAge | None:
        """The sample of a state that was read just now; None if that does not tell its time. `stepped`: whether
        Redis's clock was found to have been set back with this read."""
        if state.timestamp is None:
            return None
        now = self._monotonic()
        held = self.cache.get(symbol)
        known = None if held is None else held.sample
        if known is not None and known.floor == math.inf and known.timestamp != from_iso(state.timestamp):
            known = None  # nobody could say how old it was; its writer has issued it again with another time
        feed_time = None if state.feed_time is None else from_iso(state.feed_time)
        sample = SampleAge.heard(known, state.source, from_iso(state.timestamp), feed_time, self._redis_clock, now)
        if known is not None and sample.heard_at == known.heard_at:
            return sample
        if state.version is None:
            before_step = stepped
        else:
            lately = now - self._stepped_at < REISSUED_SECONDS
            before_step = lately and state.version.epoch in self._epochs_before_step
        return sample._replace(floor=math.inf) if before_step else sample

    def _note_epoch(self, epoch: int) -> None:
        if epoch not in self._epochs:
            self._epochs[epoch] = None
            if len(self._epochs) > MOST_EPOCHS:
                del self._epochs[next(iter(self._epochs))]

    def _age(self, held: CachedState | None) -> float | None:
        """The seconds since the state's sample; None if that is not known."""
        if held is None or held.sample is None:
            return None
        return held.sample.age(self._redis_clock, self._monotonic())

    def _doubtful(self, held: CachedState | None) -> bool:
        """Whether the state is so old, or missing, that its freshness depends on the hops behind Redis."""
        age = self._age(held)
        return age is None or age >= self._thresholds.silent

    def _reading(
        self, held: CachedState | None, broken: Cause | None, silent: float | None, origin: Origin
    ) -> Reading:
        """The reading of a cached state, or a fallback if there is none. `silent`: the seconds since the broken hop
        was last heard; None stands for the age of the sample, which is about right for a hop whose key is gone."""
        if held is None:
            self.counts.reads["fallback"] += 1
            return fallback_reading(broken)
        self.counts.reads[origin] += 1
        age = self._age(held)
        lag = (held.state.lag_ms or 0) / 1000
        freshness = assess(age, broken, (age or 0.0) if silent is None else silent, self._thresholds, lag)
        return Reading(held.state, freshness, origin)

    def _remembered(self, names: Iterable[str]) -> Readings:
        """The answer while Redis is away: the last valid states with their present age, or the fail-safe vector.
        Redis has been silent about a state since that was last read, whatever else it answered."""
        now = self._monotonic()
        states = {}
        for name in names:
            held = self.cache.get(name)
            silent = None if held is None else now - held.read_at
            states[name] = self._reading(held, "redis_down", silent, "remembered")
        return Readings(states, (), complete=False)

    def _broken(self, symbol: str, held: CachedState | None) -> Cause | None:
        """The broken hop nearest to Redis; None if no hop is broken, or the state is young enough without asking."""
        if not self._doubtful(held):
            return None
        if self.chain is None:  # Redis does not say which writers and feeds live
            return "redis_down"
        return self.chain.broken(symbol, None if held is None else held.state.source or UNKNOWN_SOURCE)

    def _look(self) -> Query[None]:
        """Read which writers and feeds live, unless that was done within CHAIN_SECONDS."""
        now = self._monotonic()
        if self.chain is None or now - self._asked_chain_at >= CHAIN_SECONDS:
            self._asked_chain_at = now  # concurrent queries use the chain as it was known before
            yield from self._guarded(LOOKING, self._ask_chain(), lambda: None)

    def _ask_chain(self) -> Query[None]:
        writers = {
            keys.PHYSICS_WRITER + index: index
            for index in (yield from self._scan(keys.PHYSICS_WRITER, keys.MOST_SHARDS))
        }
        feeds = [keys.market_feed(name) for name in (yield from self._scan(keys.MARKET_FEED, MOST_FEEDS))]
        # The first lease is read even if there is none: in a cluster without all its slots a SCAN finds no fault.
        living = yield from self._living([keys.physics_writer(0), *writers, *feeds])
        leases = {index: living[key] for key, index in writers.items() if key in living}
        for lease in leases.values():
            if type(epoch := lease.get("epoch")) is int:
                self._note_epoch(epoch)
        self.circuit.answered(LOOKING)
        self.chain = Chain(
            shards(f"{index}/{lease.get('shards')}" for index, lease in leases.items()),
            tuple(Feed.from_fields(living[key]) for key in feeds if living.get(key)),
        )

    def _living(self, names: Sequence[str]) -> Query[dict[str, dict[str, Any]]]:
        """The JSON object at each of these keys, as far as there is one and its holder lives."""
        asked_at = self._monotonic()
        payloads, *lifetimes = yield [("MGET", *names), *(("PTTL", name) for name in names)]
        found: dict[str, dict[str, Any]] = {}
        looks: dict[str, ExpiryLook] = {}
        for name, payload, pttl in zip(names, payloads, lifetimes, strict=True):
            if payload is not None:
                with contextlib.suppress(InvalidMessage):
                    found[name] = load_object(payload)
                    looks[name] = ExpiryLook(lifetime_ms(found[name]), pttl)
        for dead in self._outliving.dead(looks, asked_at):
            del found[dead]
        return found

    def _scan(self, prefix: str, most: int, known: frozenset[str] = frozenset()) -> Query[list[str]]:
        """What follows `prefix` in the names of all keys that begin with it, if that is a valid identifier; at most
        so many, those that are `known` first."""
        found: set[str] = set()
        cursor = None
        while cursor != 0:
            [(cursor, names)] = yield [("SCAN", cursor or 0, "MATCH", prefix + "*", "COUNT", SCAN_COUNT)]
            identifiers = (name.decode(errors="replace").removeprefix(prefix) for name in names)
            found.update(filter(keys.is_symbol, identifiers))
            if len(found) > 2 * most + SCAN_COUNT:
                found = set(_first(found, most, known))
        return sorted(_first(found, most, known))


def _first(names: Collection[str], most: int, known: frozenset[str]) -> Collection[str]:
    if len(names) <= most:
        return names
    return sorted(names, key=lambda name: (name not in known, name))[:most]


def _refusal(symbol: str, reading: Reading | None, max_age: float | None) -> StateUnavailable:
    """Why this reading is not given. `reading`: None if Redis answered that it has no state of the symbol."""
    if reading is None:
        return NoSuchState(f"{symbol}: Redis has no state of it")
    cause = reading.freshness.cause
    why = "" if cause is None else f" ({cause})"
    if reading.origin == "fallback":
        return StateUnavailable(f"{symbol}: no state is known{why}")
    age = reading.freshness.age
    if age is None:
        return StateUnavailable(f"{symbol}: its state does not tell how old it is{why}")
    return StateUnavailable(f"{symbol}: its newest sample is {age:.1f} s old, {max_age:g} s are allowed{why}")
