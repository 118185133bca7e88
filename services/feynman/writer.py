"""Feynman's writer: the only code that writes `physics:state:*`, under the lease of its shard (cottage/lease.py).

It adds to the lease epochs above that of any state, and the scripts that write states. On one server a script
compares the lease, renews it, SETs and PUBLISHes. In a cluster a script can use the keys of one slot only: the lease
is renewed first, and each state is refused if one of a newer epoch has been written.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from cottage import keys, lua
from cottage.errors import LeaseLost
from cottage.lease import Lease
from cottage.redis import BATCH, COMMAND_SECONDS, Client
from cottage.store import PhysicsStates, batches, scan_pages, wrong_type
from cottage.version import FARTHEST_AHEAD_SECONDS, latest_epoch
from services.feynman import metrics
from services.feynman.symbol_table import StateWrite

STAMP = lua.load("services.feynman", "stamp")
WRITE_STATES = lua.load("services.feynman", "write_states")
RETIRE = lua.load("services.feynman", "retire")
WRITE_STATE_IN_CLUSTER = lua.load("services.feynman", "write_state_in_cluster")
_WRITE_STATES, _WRITE_STATE_IN_CLUSTER = (STAMP + script for script in (WRITE_STATES, WRITE_STATE_IN_CLUSTER))

# Not SCAN, which would go through all of the server's keys each time.
_LEASES = [keys.physics_writer(index) for index in range(keys.MOST_SHARDS)]


class Written(NamedTuple):
    """What was written."""

    states: int
    stamps: list[tuple[str, bytes]]
    """The symbols whose updates were published, each with the end of its state and update: their stamp."""


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

    async def write(self, writes: Iterable[StateWrite]) -> Written:
        """SET the states and PUBLISH the updates, 500 at a time, each call after the reply to the last. New ones,
        which have an update, are stamped.

        Raises LeaseLost if another process may write now, and RedisError if it is not known what was written. In both
        cases the lease must be acquired again.
        """
        left, states = iter(writes), 0
        stamps: list[tuple[str, bytes]] = []
        while part := list(islice(left, BATCH)):
            new = [write.symbol for write in part if write.update is not None]
            written = await (self._write_each if self._client.spread else self._write_together)(part)
            stamps += zip(new, written, strict=True)
            states += len(part)
            metrics.WRITTEN.inc(len(part))
            metrics.PUBLISHED.inc(len(new))
        return Written(states, stamps)

    async def publish(self, message: bytes) -> None:
        """PUBLISH a message and renew the lease. Raises as `write`."""
        await self.run_fenced(_WRITE_STATES, args=[keys.STATE_UPDATE, 0, message])

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

    async def _write_together(self, part: Sequence[StateWrite]) -> list[bytes]:
        new, old = ([write for write in part if (write.update is None) is known] for known in (False, True))
        states = [write.state for write in (*new, *old)]
        state_keys = [keys.physics_state(write.symbol) for write in (*new, *old)]
        args = [keys.STATE_UPDATE, len(new), *states, *(write.update for write in new)]
        stamps: list[bytes] = await self.run_fenced(_WRITE_STATES, keys=state_keys, args=args)
        return stamps

    async def _write_each(self, part: Sequence[StateWrite]) -> list[bytes]:
        async with self.renewed() as (epoch, client):
            return await write_in_cluster(client, epoch, part)


async def write_in_cluster(client: Client, epoch: int, writes: Sequence[StateWrite]) -> list[bytes]:
    """SET each state and PUBLISH its message unless a newer epoch was written. Returns the stamps of the new ones.
    Raises LeaseLost if a newer epoch was written."""
    ahead = FARTHEST_AHEAD_SECONDS * 1000
    calls = []
    for write in writes:
        messages = [] if write.update is None else [write.update]
        calls.append(([keys.physics_state(write.symbol)], [epoch, ahead, write.state, keys.STATE_UPDATE, *messages]))
    replies = await client.register_script(_WRITE_STATE_IN_CLUSTER).each(calls)
    if not all(replies):
        raise LeaseLost("a state was written under a newer epoch")
    return [reply for reply in replies if isinstance(reply, bytes)]


async def newest_epoch(client: Client, now: float) -> int:
    """The newest epoch of all states. Those too far in the future are ignored, as all readers do."""
    newest, latest = 0, latest_epoch(now)
    async for names in scan_pages(client, keys.PHYSICS_STATE):  # not all at once: anybody can store states
        states = (await PhysicsStates(client).many(names)).values()
        epochs = [state.version.epoch for state in states if state.version is not None]
        newest = max([newest, *(epoch for epoch in epochs if epoch <= latest)])
    return newest
