"""The market's side of lock-step (cottage/lock_step.py): it marks what it has written, and waits for feynman."""

import asyncio
import secrets
from collections.abc import Sequence

from cottage import keys, lock_step
from cottage.clock import Clock
from cottage.errors import InvalidMessage, RedisError
from cottage.lock_step import REMARK_SECONDS, Mark, Taken
from cottage.redis import Client


class StepMarker:
    """The marks of one feed, one after the other. The service has one, for a source that runs in lock-step."""

    def __init__(self, feed: str, clock: Clock) -> None:
        self._feed = feed
        self._clock = clock
        self._number = secrets.randbelow(2**52)
        """That of the newest mark. They begin anywhere, so that nobody takes one of an earlier run."""
        self._database = 0
        self._by: dict[int, set[int]] = {}
        """Which shards have taken the newest mark, by how many there are."""
        self._taken = asyncio.Event()
        self._taken.set()

    async def listen(self, url: str, client: Client, timeout: float) -> None:
        """Hear what is taken, until cancelled."""
        self._database = client.database
        await lock_step.listen(url, keys.MARKET_MARK_TAKEN, self._received, clock=self._clock, timeout=timeout)

    async def mark(self, client: Client, symbols: Sequence[str], windows: str | None = None) -> bool:
        """Mark that new samples of these symbols were written, or that these have other `windows` (as of Mark);
        again, if the mark before was not taken. Returns whether the writers of all shards have ticked on it within
        REMARK_SECONDS."""
        if self._taken.is_set():
            self._number += 1
            self._by.clear()
            self._taken.clear()
        mark = Mark(self._feed, self._number, tuple(symbols), windows)
        try:
            await client.publish(keys.MARKET_MARK, mark.to_bytes(client.database))
        except RedisError:  # the service's writer tells of it
            await self._clock.sleep(REMARK_SECONDS)
            return False
        try:
            async with asyncio.timeout(REMARK_SECONDS):
                await self._taken.wait()
        except TimeoutError:
            return False
        return True

    async def _received(self, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            try:
                taken = Taken.from_bytes(payload, self._database)
            except InvalidMessage:  # a stranger's, of no interest here
                continue
            if (taken.feed, taken.number) == (self._feed, self._number):
                index, shards = keys.shard(taken.shard)
                by = self._by.setdefault(shards, set())
                by.add(index)
                if len(by) == shards:
                    self._taken.set()
