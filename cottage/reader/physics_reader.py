"""PhysicsReader and BlockingPhysicsReader read physics states from Redis, for agents, risk checks and the HTTP API.

A program makes one reader, `reader = PhysicsReader.connect("redis://localhost:6379")`, and asks it:

    reading = await reader.get("SPY", max_age=3.0)

Then `reading.state` is a PhysicsState whose sample is at most 3 s old by Redis's clock; `reading.freshness` says how
old it is, and why; `reading.origin` says where it was found. BlockingPhysicsReader has the same methods without
`await`.

| call | Redis has a state | Redis has none | Redis does not answer |
|---|---|---|---|
| `get(s)` | the state | None | the last state that was read, with its present age, else FAIL_SAFE |
| `get(s, max_age=3.0)` | the state if it is that young | NoSuchState | the last state if it is that young |

If the state is older, StateUnavailable is raised, of which NoSuchState is a kind. With `fallback=STATE` that
PhysicsState is returned instead of None, FAIL_SAFE and StateUnavailable, marked by `origin` and by its `source`;
FAIL_SAFE itself may be given.

An invalid state in Redis (bad JSON, a number that is not finite, an epoch more than two days ahead of Redis's clock)
is counted and logged, and the last valid one is returned with its present age; else FAIL_SAFE. A state without a
time, or with one that lies ahead of Redis's clock, counts as older than any `max_age` until a newer sample comes. If
that clock is set back, no sample gets younger than this reader knew it.

No call takes much longer than the timeout: a hung Redis costs one timeout, and further calls are answered from the
cache at once until the circuit breaker allows another try (after at most 1 s; 5 s after a wrong password). A reader
raises StateUnavailable, InvalidName for a bad symbol, and ValueError for a bad max_age, but never an error of Redis.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import Any, Self, TypeVar, overload

from cottage import clock
from cottage.errors import RedisError
from cottage.freshness import USUAL, Chain, Thresholds
from cottage.reader.queries import Command, Queries, Query
from cottage.reader.reading import Reading, Readings
from cottage.redis import Asked, Client, connect, connect_asking
from cottage.state import PhysicsState

TIMEOUT_SECONDS = 1.0
CONNECTIONS = 16
"""The number of queries that may be under way at a time, each on its own connection. Further ones wait briefly."""

T = TypeVar("T")


class _Reader:
    """The part that both readers have in common."""

    def __init__(self, client: Client | Asked, monotonic: Callable[[], float], thresholds: Thresholds) -> None:
        self._queries = Queries(monotonic, thresholds, spread=client.spread)
        self.counts = self._queries.counts

    @property
    def problem(self) -> str | None:
        """Why Redis does not answer, or not all that it is asked for; None if it does."""
        circuit = self._queries.circuit
        return None if circuit.error is None else f"Redis does not answer: {circuit.error}"

    @property
    def asked(self) -> bool:
        """Whether any query has been answered or has failed yet."""
        return self._queries.circuit.asked

    @property
    def chain(self) -> Chain | None:
        """The writers and feeds as they were last seen; None if that is not known."""
        return self._queries.chain

    @property
    def remembered(self) -> int:
        """The number of states in the cache."""
        return len(self._queries.cache)


class PhysicsReader(_Reader):
    """Reads states from Redis in a program with an event loop. Make it with `connect`, and close it with `aclose`, or
    use `async with PhysicsReader.connect(url) as reader`. No method raises an error of Redis."""

    def __init__(
        self,
        client: Client,
        monotonic: Callable[[], float] = clock.monotonic,
        thresholds: Thresholds = USUAL,
    ) -> None:
        super().__init__(client, monotonic, thresholds)
        self._client = client
        self._slots = asyncio.Semaphore(CONNECTIONS)

    @classmethod
    def connect(cls, url: str, timeout: float = TIMEOUT_SECONDS) -> Self:
        """Make a reader for the Redis at `url` (redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://).
        It connects with its first query. `timeout`: the seconds that a call may wait for Redis. Raises SettingsError
        for a bad URL."""
        return cls(connect(url, timeout=timeout))

    @overload
    async def get(self, symbol: str, *, max_age: None = None, fallback: None = None) -> Reading | None: ...

    @overload
    async def get(self, symbol: str, *, max_age: float, fallback: PhysicsState | None = None) -> Reading: ...

    @overload
    async def get(self, symbol: str, *, max_age: None = None, fallback: PhysicsState) -> Reading: ...

    async def get(
        self, symbol: str, *, max_age: float | None = None, fallback: PhysicsState | None = None
    ) -> Reading | None:
        """Read one symbol's state with its freshness.

        Without `max_age` the result is None if Redis has no state. With `max_age`, in seconds, StateUnavailable is
        raised unless the state is at most that old by Redis's clock, NoSuchState if Redis has none. `fallback` is
        returned instead in all these cases, marked by `origin`. While Redis does not answer, the last state that was
        read is returned with its present age. Raises InvalidName, and ValueError for a bad `max_age`.
        """
        return await self._answer(self._queries.one(symbol, max_age, fallback))

    async def many(self, symbols: Iterable[str]) -> Readings:
        """Read the states of these symbols, in one round trip for each 500. Raises InvalidName."""
        return await self._answer(self._queries.many(symbols))

    async def all(self) -> Readings:
        """Read the states of all symbols. While Redis does not answer, these are the states in the cache."""
        return await self._answer(self._queries.all())

    async def check(self) -> None:
        """Find out whether Redis answers and which writers and feeds live, for `problem` and `chain`."""
        await self._answer(self._queries.check())

    async def aclose(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()

    async def _answer(self, query: Query[T]) -> T:
        async with self._slots:
            try:
                commands = next(query)
                while True:
                    try:
                        replies = await _send(self._client, commands)
                    except RedisError as error:
                        commands = query.throw(error)
                    else:
                        commands = query.send(replies)
            except StopIteration as answered:
                return answered.value  # type: ignore[no-any-return]  # a StopIteration's value has no type


class BlockingPhysicsReader(_Reader):
    """PhysicsReader for code without an event loop, with the same methods. Threads may share it. Close it with
    `close`, or use `with BlockingPhysicsReader.connect(url) as reader`."""

    def __init__(
        self,
        client: Asked,
        monotonic: Callable[[], float] = clock.monotonic,
        thresholds: Thresholds = USUAL,
    ) -> None:
        super().__init__(client, monotonic, thresholds)
        self._client = client
        self._state_lock = threading.Lock()  # not held during round trips: no thread waits for another's

    @classmethod
    def connect(cls, url: str, timeout: float = TIMEOUT_SECONDS) -> Self:
        """See PhysicsReader.connect."""
        return cls(connect_asking(url, timeout=timeout))

    @overload
    def get(self, symbol: str, *, max_age: None = None, fallback: None = None) -> Reading | None: ...

    @overload
    def get(self, symbol: str, *, max_age: float, fallback: PhysicsState | None = None) -> Reading: ...

    @overload
    def get(self, symbol: str, *, max_age: None = None, fallback: PhysicsState) -> Reading: ...

    def get(
        self, symbol: str, *, max_age: float | None = None, fallback: PhysicsState | None = None
    ) -> Reading | None:
        """See PhysicsReader.get."""
        return self._answer(self._queries.one(symbol, max_age, fallback))

    def many(self, symbols: Iterable[str]) -> Readings:
        """See PhysicsReader.many."""
        return self._answer(self._queries.many(symbols))

    def all(self) -> Readings:
        """See PhysicsReader.all."""
        return self._answer(self._queries.all())

    def check(self) -> None:
        """See PhysicsReader.check."""
        self._answer(self._queries.check())

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _answer(self, query: Query[T]) -> T:
        try:
            with self._state_lock:
                commands = next(query)
            while True:
                try:
                    replies = _send(self._client, commands)
                except RedisError as error:
                    with self._state_lock:
                        commands = query.throw(error)
                else:
                    with self._state_lock:
                        commands = query.send(replies)
        except StopIteration as answered:
            return answered.value  # type: ignore[no-any-return]  # a StopIteration's value has no type


def _send(client: Client | Asked, commands: Iterable[Command]) -> Any:
    """Send the commands of one round trip. The result is the replies, or for a Client an awaitable of them."""
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return pipeline.execute()
