"""The conflating queue between the source of the market service and its writer."""

import asyncio
from collections.abc import Sequence

from cottage.snapshot import MarketSnapshot


class ConflatingQueue:
    """A queue that holds the newest snapshot of each symbol: a newer one replaces one that still waits (conflation),
    which it takes along where the feed samples by event time (`MarketSnapshot.fill`).

    The source puts snapshots into it and never waits; the writer takes them, and may have to wait for Redis. So the
    backlog is never larger than the number of symbols, however long Redis is away.
    """

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str | None], MarketSnapshot] = {}
        """By symbol and its venue's spelling: the writer refuses the second spelling of a symbol by name."""
        self.closed = False
        """Nothing more will be put into it."""
        self._changed = asyncio.Event()
        self._all_written = asyncio.Event()
        self._all_written.set()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, snapshots: Sequence[MarketSnapshot]) -> int:
        """Add snapshots that have just happened; returns how many waiting ones they replace."""
        before = len(self._waiting)
        self._add(snapshots)
        return before + len(snapshots) - len(self._waiting)

    def put_back(self, snapshots: Sequence[MarketSnapshot]) -> int:
        """Put back snapshots that could not be written; returns how many are dropped because a newer one waits."""
        newer, self._waiting = self._waiting, {}
        self._add([*snapshots, *newer.values()])
        return len(snapshots) + len(newer) - len(self._waiting)

    async def take(self) -> list[MarketSnapshot]:
        """Wait for snapshots and take all of them; an empty list once the queue is closed and nothing is left."""
        await self._changed.wait()
        batch = list(self._waiting.values())
        self._waiting.clear()
        if not self.closed:
            self._changed.clear()
        return batch

    def written(self) -> None:
        """What was taken last is written."""
        if not self._waiting:
            self._all_written.set()

    async def all_written(self) -> None:
        """Wait until all that was put into it is written."""
        await self._all_written.wait()

    def close(self) -> None:
        """Close the queue: nothing more will be put into it."""
        self.closed = True
        self._changed.set()

    def _add(self, snapshots: Sequence[MarketSnapshot]) -> None:
        for snapshot in snapshots:
            name = snapshot.symbol, snapshot.native
            self._waiting[name] = snapshot.following(self._waiting.get(name))
        if snapshots:
            self._changed.set()
            self._all_written.clear()
