"""Feynman's writer: the only code that writes `physics:state:*`, under the lease of its shard (cottage/lease.py).

It adds to the lease epochs above that of any state, and the scripts that write states. On one server a script
compares the lease, renews it, SETs and PUBLISHes. In a cluster a script can use the keys of one slot only: the lease
is renewed first, and each state is refused if one of a newer epoch has been written.
"""

from collections.abc import Iterable, Sequence
from itertools import islice

from cottage import keys, lua
from cottage.errors import LeaseLost
from cottage.lease import Lease
from cottage.redis import BATCH, COMMAND_SECONDS, Client
from cottage.store import PhysicsStates, batches, scan_pages, wrong_type
from cottage.version import FARTHEST_AHEAD_SECONDS, latest_epoch
from services.feynman import metrics
from services.feynman.symbol_table import StateWrite

WRITE_STATES = lua.load("services.feynman", "write_states")
RETIRE = lua.load("services.feynman", "retire")
WRITE_STATE_IN_CLUSTER = lua.load("services.feynman", "write_state_in_cluster")

# Not SCAN, which would go through all of the server's keys each time.
_LEASES = [keys.physics_writer(index) for index in range(keys.MOST_SHARDS)]


class Writer(Lease):
    """The lease of one shard, under which the service writes its states."""

    def __init__(self, url: str, *, shard: str, lease_seconds: float, timeout: float = COMMAND_SECONDS) -> None:
        index, shards = keys.shard(shard)
        super().__init__(
            url,
            keys.physics_writer(index),
            lifetime=lease_seconds,
            timeout=timeout,
            shards=shards,
            siblings=_LEASES,
            newest_epoch=newest_epoch,
            on_event=lambda event: metrics.LEASE_EVENTS[event].inc(),
        )

    @property
    def database(self) -> int:
        """The number of the database that it writes to, which its messages say unless it is 0."""
        return self._client.database

    async def write(self, writes: Iterable[StateWrite]) -> int:
        """SET the states and PUBLISH the updates, 500 at a time, each call after the reply to the last. Returns how
        many states there were.

        Raises LeaseLost if another process may write now, and RedisError if it is not known what was written. In both
        cases the lease must be acquired again.
        """
        left, written = iter(writes), 0
        while part := list(islice(left, BATCH)):
            await (self._write_each if self._client.spread else self._write_together)(part)
            written += len(part)
            metrics.WRITTEN.inc(len(part))
            metrics.PUBLISHED.inc(sum(write.update is not None for write in part))
        return written

    async def publish(self, message: bytes) -> None:
        """PUBLISH a message and renew the lease. Raises as `write`."""
        await self.run_fenced(WRITE_STATES, args=[keys.STATE_UPDATE, message])

    async def retire(self, symbols: Sequence[str]) -> None:
        """Delete the states and snapshots of these symbols, and note that they are gone. Raises as `write`."""
        kept = keys.RETIRED_TTL_SECONDS * 1000
        for part in batches(symbols, BATCH // 2):
            gone = [key(symbol) for symbol in part for key in (keys.physics_state, keys.market_snapshot)]
            if not self._client.spread:
                noted = [kept, keys.MOST_RETIRED, *part]
                await self.run_fenced(RETIRE, keys=[keys.PHYSICS_RETIRED, *gone], args=noted)
                continue
            async with self.renewed() as (_epoch, client):
                (kind,) = await client.bulk([("TYPE", keys.PHYSICS_RETIRED)])
                if wrong_type(keys.PHYSICS_RETIRED, kind, "zset"):
                    await client.delete(keys.PHYSICS_RETIRED)
                now = round(await client.now() * 1000)
                newest = await client.zrevrangebyscore(keys.PHYSICS_RETIRED, now + kept, now, 0, 1, withscores=True)
                score = int(newest[0][1]) + 1 if newest else now  # retire.lua says why
                scored = [word for symbol in part for word in (score, symbol)]
                await client.bulk([("ZADD", keys.PHYSICS_RETIRED, *scored), *(("DEL", key) for key in gone)])
                await client.bulk(
                    [
                        ("ZREMRANGEBYSCORE", keys.PHYSICS_RETIRED, "-inf", now - kept),
                        ("ZREMRANGEBYSCORE", keys.PHYSICS_RETIRED, now + kept, "+inf"),
                        ("ZREMRANGEBYRANK", keys.PHYSICS_RETIRED, 0, -keys.MOST_RETIRED - 1),
                    ]
                )

    async def _write_together(self, part: Sequence[StateWrite]) -> None:
        states = [write.state for write in part]
        updates = [write.update for write in part if write.update is not None]
        state_keys = [keys.physics_state(write.symbol) for write in part]
        await self.run_fenced(WRITE_STATES, keys=state_keys, args=[keys.STATE_UPDATE, *states, *updates])

    async def _write_each(self, part: Sequence[StateWrite]) -> None:
        async with self.renewed() as (epoch, client):
            await write_in_cluster(client, epoch, part)


async def write_in_cluster(client: Client, epoch: int, writes: Sequence[StateWrite]) -> None:
    """SET each state and PUBLISH its message unless a newer epoch was written. Raises LeaseLost if one was."""
    ahead = FARTHEST_AHEAD_SECONDS * 1000
    calls = []
    for write in writes:
        messages = [] if write.update is None else [write.update]
        calls.append(([keys.physics_state(write.symbol)], [epoch, ahead, write.state, keys.STATE_UPDATE, *messages]))
    if not all(await client.register_script(WRITE_STATE_IN_CLUSTER).each(calls)):
        raise LeaseLost("a state was written under a newer epoch")


async def newest_epoch(client: Client, now: float) -> int:
    """The newest epoch of all states. Those too far in the future are ignored, as all readers do."""
    newest, latest = 0, latest_epoch(now)
    async for names in scan_pages(client, keys.PHYSICS_STATE):  # not all at once: anybody can store states
        states = (await PhysicsStates(client).many(names)).values()
        epochs = [state.version.epoch for state in states if state.version is not None]
        newest = max([newest, *(epoch for epoch in epochs if epoch <= latest)])
    return newest
