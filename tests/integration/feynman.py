"""What tests of feynman on a real Redis share: the process, a feed for it, and all that it publishes."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

from cottage import keys
from cottage.clock import SystemClock
from cottage.errors import RedisFull
from cottage.events import Event
from cottage.messages import Heartbeat, PhysicsUpdate, StateMessage, parse_state_update
from cottage.redis import Client, subscribe
from cottage.snapshot import MarketSnapshot
from cottage.state import PhysicsState
from cottage.store import MarketSnapshots, PhysicsStates
from cottage.version import Version
from tests.support import eventually, service

FAST = {"tick_seconds": 0.05, "heartbeat_seconds": 0.1, "discovery_seconds": 0.05, "lease_seconds": 5.0}


def process(url: str, **settings: Any) -> Any:
    """As a process of its own."""
    chosen: Mapping[str, Any] = {**FAST, **settings}
    return service("feynman", {"REDIS_URL": url, **{f"FEYNMAN_{k.upper()}": str(v) for k, v in chosen.items()}})


class Channel:
    """All that is published on `state_update`, gathered while the block runs."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._messages: list[StateMessage] = []

    async def __aenter__(self) -> Self:
        self._ready = asyncio.Event()
        self._task = asyncio.create_task(self._listen())
        await self._ready.wait()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def _listen(self) -> None:
        async with subscribe(self._url, keys.STATE_UPDATE) as subscription:
            self._ready.set()
            while True:
                for payload in await subscription.messages(1.0):
                    self._messages.append(parse_state_update(payload, None))

    def updates(self, symbol: str) -> list[PhysicsUpdate]:
        return [each for each in self._messages if isinstance(each, PhysicsUpdate) and each.symbol == symbol]

    def refusals(self) -> list[dict[str, Any]]:
        """The data of each FEED_REFUSALS."""
        events = [each for each in self._messages if isinstance(each, Event) and each.topic == "FEED_REFUSALS"]
        return [json.loads(each.payload)["data"] for each in events]

    def heartbeats(self) -> list[Heartbeat]:
        return [each for each in self._messages if isinstance(each, Heartbeat)]

    def versions(self, symbol: str) -> list[Version]:
        return [each.version for each in self.updates(symbol) if each.version is not None]


@asynccontextmanager
async def feed(client: Client, symbols: Sequence[str], pause: float = 0.04) -> AsyncIterator[None]:
    """New snapshots of all symbols, again and again while the block runs, whatever becomes of feynman: each of its
    ticks finds one."""

    async def run() -> None:
        snapshots, generator, price, step = MarketSnapshots(client), random.Random(1), 100.0, 0
        while True:
            price, step = price * (1 + generator.gauss(0, 1e-3)), step + 1
            now = SystemClock().time()
            with contextlib.suppress(RedisFull):
                await snapshots.write(
                    [MarketSnapshot(name, price, now, step, step, source="live") for name in symbols]
                )
            await asyncio.sleep(pause)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def states(client: Client, symbols: Sequence[str]) -> dict[str, PhysicsState]:
    return await PhysicsStates(client).many(symbols)


async def states_when(
    client: Client, symbols: Sequence[str], holds: Callable[[PhysicsState], bool]
) -> dict[str, PhysicsState]:
    """All of these symbols' states, once it holds for each."""

    async def all_do() -> dict[str, PhysicsState] | None:
        found = await states(client, symbols)
        return found if len(found) == len(symbols) and all(map(holds, found.values())) else None

    found = await eventually(all_do, 40)
    assert found is not None
    return found


async def taken_over(client: Client, before: dict[str, PhysicsState]) -> dict[str, PhysicsState]:
    """The first states of the same symbols that are of a later writer."""
    newest = max(state.version.epoch for state in before.values() if state.version is not None)
    return await states_when(
        client, list(before), lambda state: state.version is not None and state.version.epoch > newest
    )
