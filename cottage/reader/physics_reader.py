"""Physics states for an agent or a risk check, in any process, with an event loop or without. One line:

    reading = await reader.get("SPY", max_age=3.0)

on a reader that the program made once, `reader = PhysicsReader.connect("redis://localhost:6379")`. Then
`reading.state` is a PhysicsState whose sample is at most 3 s old by Redis's clock; `reading.freshness` says how
old, and why; `reading.origin` where it was found. `BlockingPhysicsReader` is the same without `await`.

| call | Redis has it | Redis has none | Redis does not answer |
|---|---|---|---|
| `get(s)` | the state | None | the last state that was read, aged, else FAIL_SAFE |
| `get(s, max_age=3.0)` | the state if it is that young | StateUnavailable | the last state if it is that young |

Where it is not that young: StateUnavailable. `fallback=a PhysicsState` is given instead of None, FAIL_SAFE and
StateUnavailable, marked by `origin` and by its `source`; `cottage.state.FAIL_SAFE` will do.

A stored state that cannot be trusted (bad JSON, a number that is not finite, a time or an epoch more than 60 s ahead
of Redis's clock) is counted and logged, and the last good one stands, aged; else FAIL_SAFE. A state that does not
tell its time is older than any `max_age`.

No call takes longer than about the timeout: a hung Redis costs it once, and further calls are answered from memory
at once until it is worth another try (1 s at most; 5 s after a wrong password). Errors: StateUnavailable,
InvalidName for a bad symbol, ValueError for a bad max_age; never one of Redis.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Self, TypeVar, overload

from cottage.errors import RedisError
from cottage.freshness import USUAL, Chain, Thresholds
from cottage.reader.queries import Command, Queries, Query
from cottage.reader.reading import Reading, Readings
from cottage.redis import Asked, Client, connect, connect_asking
from cottage.state import PhysicsState

TIMEOUT_SECONDS = 1.0
CONNECTIONS = 16
"""Queries under way at a time; each takes a connection. More wait, and none waits long."""

T = TypeVar("T")


class _Reader:
    """What both readers know."""

    def __init__(self, monotonic: Callable[[], float], thresholds: Thresholds) -> None:
        self._queries = Queries(monotonic, thresholds)
        self.counts = self._queries.counts

    @property
    def problem(self) -> str | None:
        """Why Redis does not answer, as far as it was asked; None where it does."""
        circuit = self._queries.circuit
        return None if circuit.error is None else f"Redis does not answer: {circuit.error}"

    @property
    def asked(self) -> bool:
        """Whether there has been any answer yet, or a failure."""
        return self._queries.circuit.asked

    @property
    def chain(self) -> Chain | None:
        """Writer and feeds as they were last seen; None where that is not known."""
        return self._queries.chain

    @property
    def remembered(self) -> int:
        """Number of states in memory."""
        return len(self._queries.cache)


class PhysicsReader(_Reader):
    """Reads states from Redis in a program with an event loop. Made by `connect`; close it with `aclose`, or use it
    as `async with PhysicsReader.connect(url) as reader`. No method raises an error of Redis."""

    def __init__(
        self,
        client: Client,
        monotonic: Callable[[], float] = time.monotonic,
        thresholds: Thresholds = USUAL,
    ) -> None:
        super().__init__(monotonic, thresholds)
        self._client = client
        self._slots = asyncio.Semaphore(CONNECTIONS)

    @classmethod
    def connect(cls, url: str, timeout: float = TIMEOUT_SECONDS) -> Self:
        """A reader of the Redis at `url` (redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://); it
        connects when it is first asked. `timeout`: seconds that a call may wait for Redis. Raises SettingsError for
        a bad URL."""
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
        """One symbol's state with how far it may be trusted.

        Without `max_age` it is None where Redis has none. With it, in seconds, it is at most so old by Redis's clock,
        or StateUnavailable is raised. `fallback` is given instead of both, marked by `origin`. While Redis does not
        answer, the last state that was read is given, aged. Raises InvalidName; ValueError for a bad `max_age`.
        """
        return await self._answer(self._queries.one(symbol, max_age, fallback))

    async def many(self, symbols: Iterable[str]) -> Readings:
        """The states of these symbols, in one round trip for each 500. Raises InvalidName."""
        return await self._answer(self._queries.many(symbols))

    async def all(self) -> Readings:
        """Every symbol that Redis has a state of, or that is remembered while it does not answer."""
        return await self._answer(self._queries.all())

    async def check(self) -> None:
        """Ask whether Redis answers and who writes and feeds, for `problem` and `chain`."""
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
    """PhysicsReader for code without an event loop, by the same methods. Threads may share it. Close it with `close`,
    or use it as `with BlockingPhysicsReader.connect(url) as reader`."""

    def __init__(
        self,
        client: Asked,
        monotonic: Callable[[], float] = time.monotonic,
        thresholds: Thresholds = USUAL,
    ) -> None:
        super().__init__(monotonic, thresholds)
        self._client = client
        self._state_lock = threading.Lock()  # held between round trips only: nobody waits for another's

    @classmethod
    def connect(cls, url: str, timeout: float = TIMEOUT_SECONDS) -> Self:
        """As PhysicsReader.connect."""
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
        """As PhysicsReader.get."""
        return self._answer(self._queries.one(symbol, max_age, fallback))

    def many(self, symbols: Iterable[str]) -> Readings:
        """As PhysicsReader.many."""
        return self._answer(self._queries.many(symbols))

    def all(self) -> Readings:
        """As PhysicsReader.all."""
        return self._answer(self._queries.all())

    def check(self) -> None:
        """As PhysicsReader.check."""
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
    """The replies to what is asked in one round trip; to be awaited where the client's methods are."""
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return pipeline.execute()
