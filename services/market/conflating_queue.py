"""What waits to be written: the newest snapshot of each symbol, and nothing else."""

import asyncio
from collections.abc import Sequence

from cottage.snapshot import MarketSnapshot


class ConflatingQueue:
    """Between a source, which never waits, and a writer that may have to. Keeps the latest of each symbol, so
    it is bounded by the number of symbols however long Redis is away."""

    def __init__(self) -> None:
        self._waiting: dict[str, MarketSnapshot] = {}
        self._closed = False
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def closed(self) -> bool:
        return self._closed

    def put(self, snapshots: Sequence[MarketSnapshot]) -> int:
        """What has just happened; how many that waited it replaces."""
        before = len(self._waiting)
        self._waiting.update((snapshot.symbol, snapshot) for snapshot in snapshots)
        if snapshots:
            self._changed.set()
        return before + len(snapshots) - len(self._waiting)

    def put_back(self, snapshots: Sequence[MarketSnapshot]) -> int:
        """What could not be written; how many of them are left out, because there is something newer by now."""
        newer = self._waiting
        self._waiting = {snapshot.symbol: snapshot for snapshot in snapshots} | newer
        if self._waiting:
            self._changed.set()
        return len(snapshots) + len(newer) - len(self._waiting)

    async def take(self) -> list[MarketSnapshot]:
        """All that waits, as soon as there is something; empty once it is closed and nothing is left."""
        await self._changed.wait()
        batch = list(self._waiting.values())
        self._waiting.clear()
        if not self._closed:
            self._changed.clear()
        return batch

    def close(self) -> None:
        """Nothing more will come."""
        self._closed = True
        self._changed.set()
