"""What Redis holds, seen directly and as often as the harness can: the measure of what clients hold."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from cottage import keys
from cottage.errors import InvalidMessage, RedisError
from cottage.redis import Client
from cottage.state import PhysicsState
from cottage.version import Version
from tests.chaos.samples import Samples, sample_time
from tests.chaos.watch import Violations

KEPT = 400
"""Versions of a symbol: more than any bound on how late a client may be."""


@dataclass(slots=True)
class Course:
    """One symbol's versions, each with when it was seen first."""

    seen: deque[tuple[Version, float]] = field(default_factory=lambda: deque(maxlen=KEPT))
    payload: bytes = b""
    state: PhysicsState | None = None

    @property
    def version(self) -> Version:
        return self.seen[-1][0]

    @property
    def sampled(self) -> float | None:
        """The time that names the sample of its newest state."""
        return None if self.state is None else sample_time(self.state.as_dict())

    def superseded_at(self, version: Version) -> float | None:
        """When a newer one was seen first; None where there is none."""
        found = None
        for newer, at in reversed(self.seen):
            if newer <= version:
                break
            found = at
        return found


class Truth:
    """Reads all states every `interval` seconds. It must never go back, but where a fault took data."""

    def __init__(self, client: Client, interval: float, samples: Samples, violations: Violations) -> None:
        self._client = client
        self._interval = interval
        self._samples = samples
        self._violations = violations
        self.courses: dict[str, Course] = {}
        self.read_at = 0.0
        """When the last read began."""
        self.ahead = 0.0
        """By how many seconds Redis's clock was ahead of our monotonic one at the end of the last read."""
        self.reads = 0
        self.answers = False
        self._lossy = True
        self._news = asyncio.Event()

    def epochs_ahead(self, now: float) -> bool:
        """Whether an epoch lies ahead of Redis's clock, since that was set back. A writer that finds none of them any
        more begins a lower one. `now`: monotonic."""
        return any(course.version.epoch > (self.ahead + now) * 1000 for course in self.courses.values())

    async def read_again(self, reads: int) -> None:
        """Wait until there were so many reads. Raises TimeoutError where Redis does not answer."""
        async with asyncio.timeout(2 + 10 * self._interval):
            while self.reads < reads:
                self._news.clear()
                await self._news.wait()

    def data_may_go(self) -> None:
        """From now on and until `data_stays` states may go back or be gone: data was taken away."""
        self._lossy = True

    def data_stays(self) -> None:
        self._lossy = False

    async def follow(self) -> None:
        """Until cancelled."""
        while True:
            try:
                async with asyncio.timeout(1.0):
                    await self._read()
                self.answers = True
            except (RedisError, TimeoutError):
                self.answers = False
            await asyncio.sleep(self._interval)

    async def _read(self) -> None:
        began = time.monotonic()
        names = [key.decode() async for key in self._client.scan_iter(match=keys.PHYSICS_STATE + "*", count=1000)]
        payloads: list[Any] = await self._client.mget(names) if names else []
        symbols = [name.removeprefix(keys.PHYSICS_STATE) for name in names]
        held = {symbol: payload for symbol, payload in zip(symbols, payloads, strict=True) if payload is not None}
        for symbol in self.courses.keys() - held.keys():
            del self.courses[symbol]
        for symbol, payload in held.items():
            course = self.courses.setdefault(symbol, Course())
            if payload != course.payload:
                self._take(symbol, course, payload, began)
        self.ahead = await self._client.now() - time.monotonic()
        self.read_at = began
        self.reads += 1
        self._news.set()

    def _take(self, symbol: str, course: Course, payload: bytes, now: float) -> None:
        try:
            state = PhysicsState.from_bytes(payload)
        except InvalidMessage as error:
            self._violations.add("torn", f"Redis holds {payload[:80]!r} for {symbol}: {error}")
            return
        assert state.version is not None
        if course.seen and state.version <= course.version:
            if not self._lossy:
                self._violations.add("went_back", f"Redis: {symbol} from {course.version} to {state.version}")
            course.seen.clear()
        course.seen.append((state.version, now))
        course.payload, course.state = payload, state
        if (sampled := course.sampled) is not None:
            self._samples.age(symbol, sampled, now)
