"""The queries of PhysicsReader and BlockingPhysicsReader: commands to send, and readings made of the replies. Pure.

A query is a generator: it yields the commands of one round trip, is sent their replies (or a RedisError is thrown
into it), and returns its result. Both readers run the same queries.

Ages are by Redis's clock, which is read in the same round trip, so a skewed clock on this machine makes nothing look
younger. Instead of an invalid state the last valid one is returned.
"""

import math
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cottage import keys
from cottage.clock import FUTURE_SECONDS, from_iso
from cottage.errors import InvalidMessage, RedisError, StateUnavailable
from cottage.fields import load_object
from cottage.freshness import USUAL, Cause, Chain, Feed, Thresholds, assess, shards
from cottage.log import Throttled, get_logger
from cottage.reader.circuit_breaker import CircuitBreaker
from cottage.reader.reading import Origin, Reading, Readings, fallback_reading
from cottage.reader.state_cache import CAPACITY, CachedState, StateCache
from cottage.snapshot import UNKNOWN_SOURCE
from cottage.state import PhysicsState
from cottage.store import SCAN_COUNT, batches, wrong_type
from cottage.version import check_epoch

CHAIN_SECONDS = 2.0
"""How long the chain (which writers and feeds live) is used before it is read again. Their keys expire after 5 s."""

Command = tuple[str | int, ...]
T = TypeVar("T")
Query = Generator[list[Command], list[Any], T]

throttled = Throttled(get_logger(__name__))


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
        self, monotonic: Callable[[], float], thresholds: Thresholds = USUAL, capacity: int = CAPACITY
    ) -> None:
        self._monotonic = monotonic
        self._thresholds = thresholds
        self._asked_chain_at = -math.inf
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
        raise StateUnavailable(_refusal(symbol, reading, max_age))

    def many(self, symbols: Iterable[str]) -> Query[Readings]:
        """The states of these symbols, in one round trip for each 500."""
        names = [keys.symbol(symbol) for symbol in dict.fromkeys(symbols)]
        return (yield from self._guarded(self._ask(names), lambda: self._remembered(names)))

    def all(self) -> Query[Readings]:
        """The states of all symbols that Redis has; while Redis does not answer, those in the cache."""
        return (yield from self._guarded(self._ask_all(), lambda: self._remembered(self.cache.symbols())))

    def check(self) -> Query[None]:
        """Find out whether Redis answers and which writers and feeds live. The result is in `circuit` and `chain`."""
        yield from self._guarded(self._ask_nothing(), lambda: None)

    def _guarded(self, query: Query[T], without_redis: Callable[[], T]) -> Query[T]:
        """The result of `query`; that of `without_redis` if Redis fails or the circuit breaker allows no query."""
        if self.circuit.allows_query():
            try:
                return (yield from query)
            except RedisError as error:
                self.counts.redis_lost += self.circuit.failed(error)
                self.chain = None
        return without_redis()

    def _ask_nothing(self) -> Query[None]:
        yield [("TIME",)]
        self.circuit.answered()
        yield from self._look()

    def _ask_all(self) -> Query[Readings]:
        names = yield from self._scan(keys.PHYSICS_STATE)
        for symbol in set(self.cache.symbols()).difference(names):
            self.cache.forget(symbol)
        answer = yield from self._ask(names)
        return Readings(answer.states, (), complete=True)

    def _ask(self, names: Sequence[str]) -> Query[Readings]:
        held: dict[str, CachedState | None] = {}
        distrusted: set[str] = set()
        for part in batches(names):
            # Ages count from the moment of sending, so that a slow answer makes nothing look younger.
            sent = self._monotonic()
            clock, payloads = yield [("TIME",), ("MGET", *map(keys.physics_state, part))]
            self.circuit.answered()
            now = clock[0] + clock[1] / 1e6
            strange = yield from self._of_wrong_type(
                [symbol for symbol, payload in zip(part, payloads, strict=True) if payload is None]
            )
            for symbol, payload in zip(part, payloads, strict=True):
                try:
                    if symbol in strange:
                        raise strange[symbol]
                    held[symbol] = self._take(symbol, payload, now, sent)
                except InvalidMessage as error:
                    self.counts.bad_states[error.reason] += 1
                    throttled.warning(
                        "state_dropped", error.reason, symbol=symbol, reason=error.reason, error=error.detail
                    )
                    held[symbol] = self.cache.get(symbol)
                    distrusted.add(symbol)
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

    def _of_wrong_type(self, absent: Sequence[str]) -> Query[dict[str, InvalidMessage]]:
        """Of symbols that MGET gave no value of, those whose key has another type, with the error that says so."""
        if not absent:
            return {}
        names = [keys.physics_state(symbol) for symbol in absent]
        kinds = yield [("TYPE", name) for name in names]
        errors = (wrong_type(name, kind, "string") for name, kind in zip(names, kinds, strict=True))
        return {symbol: error for symbol, error in zip(absent, errors, strict=True) if error is not None}

    def _take(self, symbol: str, payload: bytes | None, now: float, sent: float) -> CachedState | None:
        """Parse the stored state of `symbol`, and keep it in the cache. Raises InvalidMessage if it is invalid."""
        if payload is None:
            self.cache.forget(symbol)
            return None
        state = PhysicsState.from_bytes(payload)
        if state.version is not None:
            check_epoch(state.version.epoch, now)
        if state.timestamp is not None and from_iso(state.timestamp) > now + FUTURE_SECONDS:
            # It would look live until that time.
            raise InvalidMessage("timestamp", f"{state.timestamp} lies in the future")
        held = CachedState(state, state.age(now), sent)
        self.cache.keep(symbol, held)
        return held

    def _doubtful(self, held: CachedState | None) -> bool:
        """Whether the state is so old, or missing, that its freshness depends on the hops behind Redis."""
        age = None if held is None else held.age(self._monotonic())
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
        age = held.age(self._monotonic())
        freshness = assess(age, broken, (age or 0.0) if silent is None else silent, self._thresholds)
        return Reading(held.state, freshness, origin)

    def _remembered(self, names: Iterable[str]) -> Readings:
        """The answer while Redis is away: the last valid states with their present age, or the fail-safe vector."""
        silent = self.circuit.silent
        states = {name: self._reading(self.cache.get(name), "redis_down", silent, "remembered") for name in names}
        return Readings(states, (), complete=False)

    def _broken(self, symbol: str, held: CachedState | None) -> Cause | None:
        """The broken hop nearest to Redis; None if no hop is broken, or the state is young enough without asking."""
        if not self._doubtful(held):
            return None
        if self.chain is None:  # another query has lost Redis since this one was answered
            return "redis_down"
        return self.chain.broken(symbol, None if held is None else held.state.source or UNKNOWN_SOURCE)

    def _look(self) -> Query[None]:
        """Read which writers and feeds live, unless that was done within CHAIN_SECONDS."""
        now = self._monotonic()
        if self.chain is not None and now - self._asked_chain_at < CHAIN_SECONDS:
            return
        self._asked_chain_at = now  # concurrent queries use the chain as it was known before
        writers = yield from self._scan(keys.PHYSICS_WRITER)
        names = yield from self._scan(keys.MARKET_FEED)
        leases = yield from self._objects([keys.PHYSICS_WRITER + index for index in writers])
        feeds = yield from self._objects([keys.market_feed(name) for name in names])
        self.chain = Chain(
            shards(f"{index}/{lease.get('shards')}" for index, lease in zip(writers, leases, strict=True)),
            tuple(Feed.from_fields(fields) for fields in feeds if fields),
        )

    def _objects(self, names: Sequence[str]) -> Query[list[dict[str, Any]]]:
        """The JSON object at each of these keys; an empty one if the key is gone, or holds no object."""
        if not names:
            return []
        [payloads] = yield [("MGET", *names)]
        objects: list[dict[str, Any]] = []
        for payload in payloads:
            try:
                objects.append({} if payload is None else load_object(payload))
            except InvalidMessage:
                objects.append({})
        return objects

    def _scan(self, prefix: str) -> Query[list[str]]:
        """What follows `prefix` in the names of all keys that begin with it, if that is a valid identifier."""
        found: set[str] = set()
        cursor = None
        while cursor != 0:
            [(cursor, names)] = yield [("SCAN", cursor or 0, "MATCH", prefix + "*", "COUNT", SCAN_COUNT)]
            found.update(name.decode(errors="replace").removeprefix(prefix) for name in names)
        return sorted(filter(keys.is_symbol, found))


def _refusal(symbol: str, reading: Reading | None, max_age: float | None) -> str:
    if reading is None:
        return f"{symbol}: Redis has no state of it"
    cause = reading.freshness.cause
    why = "" if cause is None else f" ({cause})"
    if reading.origin == "fallback":
        return f"{symbol}: no state is known{why}"
    age = reading.freshness.age
    if age is None:
        return f"{symbol}: its state does not tell how old it is{why}"
    return f"{symbol}: its newest sample is {age:.1f} s old, {max_age:g} s are allowed{why}"
