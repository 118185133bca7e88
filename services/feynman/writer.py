"""The only way into `physics:state:*`: under a lease, fenced by a script, with an epoch that outranks all before.

A writer that was suspended or cut off finds its lease gone when it writes; nothing of that call is kept.
"""

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import orjson

from common import logs
from cottage import keys
from cottage.clock import FUTURE_SECONDS
from cottage.errors import InvalidMessage, RedisError
from cottage.fields import load_object
from cottage.redis import BATCH, COMMAND_SECONDS, Client, Script, connect
from cottage.store import PhysicsStates, batches
from services.feynman import metrics
from services.feynman.fence import fence
from services.feynman.symbol_table import StateWrite

log = logs.get_logger()

REPLICA_SECONDS = 0.5
"""What a replica has to acknowledge a new lease, where a failover may come."""
RELEASE_SECONDS = 1.0
"""What a stop may spend on giving the lease back: without that, a successor waits for its end."""

# KEYS: the lease. ARGV: how a lease of ours begins, the new value, its lifetime in ms. Answers another
# holder's value.
TAKE = """
local current = redis.pcall('GET', KEYS[1])
if type(current) == 'table' then return redis.error_reply('WRONGTYPE ' .. KEYS[1] .. ' is no string: delete it') end
if current and string.sub(current, 1, #ARGV[1]) ~= ARGV[1] then return current end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return false
"""

# KEYS: the lease. ARGV: how a lease of ours begins.
GIVE_BACK = """
local current = redis.pcall('GET', KEYS[1])
if type(current) ~= 'string' or string.sub(current, 1, #ARGV[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


@dataclass(frozen=True, slots=True)
class Lease:
    holder: str
    epoch: int
    shards: int

    def to_bytes(self) -> bytes:
        return orjson.dumps({"holder": self.holder, "epoch": self.epoch, "shards": self.shards})


class LeaseLost(RedisError):
    """Another writer holds the lease, or nobody: nothing of this call was written."""


class Writer:
    """Takes the lease, writes under it, and gives it back at the end of its `async with` block.

    Its client is its own: behind a new connection may stand another server, so the lease is taken again.
    Waits for its turn: what calls it at the same time is done one after the other, on one connection.
    """

    def __init__(self, url: str, *, shard: str, lease_seconds: float, timeout: float = COMMAND_SECONDS) -> None:
        self._url = url
        self._timeout = timeout
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        # A reply may be lost, and with it which of our leases stands: any that begins so is ours.
        self._ours = orjson.dumps({"holder": self._holder})[:-1] + b","
        index, self._shards = keys.shard(shard)
        self._key = keys.physics_writer(index)
        self._lifetime_ms = round(lease_seconds * 1000)
        self._lease: Lease | None = None
        """The last that we asked for."""
        self._connections = 0
        self._held_on: int | None = None
        """On which connection the lease was taken; None once it is lost or in doubt."""
        self._waiting_for: str | None = None
        self._one_at_a_time = asyncio.Lock()
        self._client: Client

    @property
    def epoch(self) -> int | None:
        """The epoch that may be written with; None without a lease."""
        if self._lease is None or self._held_on != self._connections:
            return None
        return self._lease.epoch

    @property
    def waiting_for(self) -> str | None:
        """Why the last application was refused; None where it was not."""
        return self._waiting_for

    async def __aenter__(self) -> Self:
        client = self._client = connect(self._url, timeout=self._timeout, on_connect=self._connected_anew)
        self._fence = fence(client, self._key, self._lifetime_ms)
        take = client.register_script(TAKE)
        self._take = partial(self._take_and_copy, take) if client.replicated else take
        self._give_back = client.register_script(GIVE_BACK)
        return self

    async def __aexit__(self, *_exception: object) -> None:
        try:
            with contextlib.suppress(RedisError, TimeoutError):
                async with asyncio.timeout(RELEASE_SECONDS):
                    await self._release()
        finally:
            await self._client.aclose()

    async def apply(self) -> bool:
        """Try to take the lease under a new epoch; whether it is ours now. Raises RedisError."""
        async with self._one_at_a_time:
            self._held_on = None
            now = await self._client.now()
            connection = self._connections
            refusal = await self._other_split() or await self._asked(round(now * 1000))
            if refusal is None:
                # Read under the lease: nobody who obeys it can add a newer one after that.
                newest = await self._newest_epoch(now)
                if self._lease is not None and newest >= self._lease.epoch:
                    refusal = await self._asked(newest)
                refusal = refusal or await self._other_split()  # again: two may have asked at the same time
                if refusal is not None:
                    await self._give_back(keys=[self._key], args=[self._ours])
            self._report(refusal)
            if refusal is None:
                self._held_on = connection
            return self.epoch is not None

    async def write(self, writes: Sequence[StateWrite]) -> None:
        """SET the states and PUBLISH the updates, 500 at a time, each call after the reply to the last.

        Raises LeaseLost where another may write now, RedisError where it is not known what was written;
        either way the lease must be applied for again.
        """
        for part in batches(writes, BATCH):
            await self._fenced(partial(self._write_part, part))
            metrics.WRITTEN.inc(len(part))
            metrics.PUBLISHED.inc(sum(write.update is not None for write in part))

    async def _write_part(self, part: Sequence[StateWrite], lease: Lease) -> bool:
        return await self._fence.write(lease.to_bytes(), lease.epoch, part)

    async def publish(self, message: bytes) -> None:
        """PUBLISH under the lease, which is renewed. Raises as `write`."""
        await self._fenced(lambda lease: self._fence.publish(lease.to_bytes(), [message]))

    def _connected_anew(self) -> None:
        # The command that needed it is on its way already. A script passes the fence or does not, wherever it
        # arrives; whatever comes after it waits for a new lease.
        self._connections += 1

    async def _fenced(self, work: Callable[[Lease], Awaitable[bool]]) -> None:
        async with self._one_at_a_time:
            if self.epoch is None or self._lease is None:
                raise LeaseLost("no lease")
            try:
                ours = await work(self._lease)
            except RedisError:
                self._held_on = None  # what arrived is not known: only a new epoch outranks it for sure
                raise
            if not ours:
                self._held_on = None
                metrics.LEASES_LOST.inc()
                raise LeaseLost(f"{self._key} is not ours any more")

    async def _asked(self, above: int) -> str | None:
        """Ask for the lease with an epoch above that and above our own last; why it was refused."""
        epoch = max(above, 0 if self._lease is None else self._lease.epoch) + 1
        self._lease = Lease(self._holder, epoch, self._shards)
        current = await self._take(keys=[self._key], args=[self._ours, self._lease.to_bytes(), self._lifetime_ms])
        return None if current is None else f"{self._key} is held by {_holder(current)}"

    async def _take_and_copy(self, take: Script, **call: Any) -> bytes | None:
        """TAKE, and wait for a replica to have it: else a failover would forget who holds the lease. A master that is
        left alone must do all the same."""
        wait = ("WAIT", 1, round(REPLICA_SECONDS * 1000))
        current: bytes | None
        current, copies = await take.then([wait], **call)
        if current is None and not copies:
            metrics.LEASES_UNCOPIED.inc()
            log.warning("lease_not_replicated", key=self._key, seconds=REPLICA_SECONDS)
        return current

    async def _newest_epoch(self, now: float) -> int:
        """The newest in any state that is not from the future: that one no reader believes either."""
        states = await PhysicsStates(self._client).all()
        epochs = (state.version.epoch for state in states.values() if state.version is not None)
        return max((epoch for epoch in epochs if epoch <= (now + FUTURE_SECONDS) * 1000), default=0)

    async def _other_split(self) -> str | None:
        """A live lease with another number of shards: both would write the same symbols."""
        for key, value in zip(_LEASES, await self._client.mget(_LEASES), strict=True):
            with contextlib.suppress(InvalidMessage):
                shards = None if value is None else load_object(value).get("shards")
                if type(shards) is int and shards != self._shards:
                    return f"{key} is one of {shards} shards, this is one of {self._shards}"
        return None

    def _report(self, refusal: str | None) -> None:
        if refusal is None and self._lease is not None:
            metrics.LEASES.inc()
            log.info("lease_taken", key=self._key, epoch=self._lease.epoch)
        elif refusal != self._waiting_for:
            log.info("standing_by", reason=refusal)
        self._waiting_for = refusal

    async def _release(self) -> None:
        async with self._one_at_a_time:
            # Held or not: what was under way when we were stopped may have cost the connection, or its reply.
            if self._lease is not None and await self._give_back(keys=[self._key], args=[self._ours]):
                log.info("lease_given_back", key=self._key)
            self._held_on = None


# Not SCAN, which would go through all of the server's keys with every application.
_LEASES = [keys.physics_writer(index) for index in range(keys.MOST_SHARDS)]


def _holder(lease: bytes) -> str:
    """Who holds it, or the beginning of what somebody else put there."""
    try:
        return str(load_object(lease).get("holder"))[:100]
    except InvalidMessage:
        return repr(lease[:100])
