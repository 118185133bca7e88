"""The only way into `physics:state:*`: under a lease, fenced by a script, with an epoch that outranks all before.

A writer that was suspended or cut off finds its lease gone when it writes; nothing of that call is kept.
"""

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import orjson

from common import keys, logs
from common.errors import InvalidMessage, RedisError
from common.redis import connect
from common.snapshot import FUTURE_SECONDS
from common.state import load_object
from common.store import BATCH, PhysicsStates, batches, scan
from services.feynman import metrics

log = logs.get_logger()
throttled = logs.Throttled(log)

# KEYS: the lease, then states. ARGV: the lease's value, its lifetime in ms, the channel, one state a key,
# then messages. Compared as a whole, so that neither a stranger's lease nor an older one of our own passes.
WRITE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local states = #KEYS - 1
for i = 1, states do redis.call('SET', KEYS[i + 1], ARGV[i + 3]) end
for i = states + 4, #ARGV do redis.call('PUBLISH', ARGV[3], ARGV[i]) end
return 1
"""

# KEYS: the lease. ARGV: the value that we held last, the new one, its lifetime in ms. Answers another holder's value.
TAKE = """
local current = redis.call('GET', KEYS[1])
if current and current ~= ARGV[1] then return current end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return false
"""

GIVE_BACK = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


@dataclass(frozen=True, slots=True)
class Lease:
    holder: str
    epoch: int
    shards: int

    def to_bytes(self) -> bytes:
        return orjson.dumps({"holder": self.holder, "epoch": self.epoch, "shards": self.shards})


class Write(NamedTuple):
    symbol: str
    state: bytes
    update: bytes | None
    """The PHYSICS_UPDATE to publish with it; None where the state is as it was."""


class LeaseLost(RedisError):
    """Another writer holds the lease, or nobody: nothing of this call was written."""


class Writer:
    """Takes the lease, writes under it, and gives it back at the end of its `async with` block.

    Its client is its own: behind a new connection may stand another server, so the lease is taken again.
    """

    def __init__(self, url: str, *, shard: str, lease_seconds: float) -> None:
        self._client = connect(url, on_connect=self._connected_anew)
        client = self._client
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        index, self._shards = keys.shard(shard)
        self._key = keys.physics_writer(index)
        self._lifetime_ms = round(lease_seconds * 1000)
        self._last: Lease | None = None
        self._held = False
        self._one_at_a_time = asyncio.Lock()  # so that one connection serves all of it
        self._write = client.register_script(WRITE)
        self._take = client.register_script(TAKE)
        self._give_back = client.register_script(GIVE_BACK)

    @property
    def epoch(self) -> int | None:
        """The epoch that may be written with; None without a lease."""
        return self._last.epoch if self._held and self._last is not None else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        with contextlib.suppress(RedisError):
            await self._release()
        await self._client.aclose()

    def _connected_anew(self) -> None:
        self._held = False

    async def apply(self) -> bool:
        """Try to take the lease under a new epoch; whether it is ours now. Raises RedisError."""
        async with self._one_at_a_time:
            epoch = await self._next_epoch()
            if await self._other_split():
                return False
            lease = Lease(self._holder, epoch, self._shards)
            previous = b"" if self._last is None else self._last.to_bytes()
            holder = await self._take(keys=[self._key], args=[previous, lease.to_bytes(), self._lifetime_ms])
            if holder is not None:
                throttled.warning("lease_held_by_another", self._key, lease=holder.decode(errors="replace"))
                return False
            self._last, self._held = lease, True
            if await self._other_split():  # somebody with another split came between
                await self._give_up()
                return False
        metrics.LEASES.inc()
        metrics.EPOCH.set(epoch)
        log.info("lease_taken", key=self._key, epoch=epoch)
        return True

    async def write(self, writes: Sequence[Write]) -> None:
        """SET the states and PUBLISH the updates, 500 at a time, each call after the reply to the last.

        Raises LeaseLost where another may write now, RedisError where it is not known what was written;
        either way the lease must be applied for again.
        """
        for part in batches(writes, BATCH):
            updates = [write.update for write in part if write.update is not None]
            await self._call(
                [keys.physics_state(write.symbol) for write in part], [write.state for write in part], updates
            )
            metrics.WRITTEN.inc(len(part))
            metrics.PUBLISHED.inc(len(updates))

    async def publish(self, message: bytes) -> None:
        """PUBLISH under the lease, which is renewed. Raises as `write`."""
        await self._call([], [], [message])

    async def _release(self) -> None:
        """Give the lease back, if it is ours, so that a successor need not wait for its end."""
        async with self._one_at_a_time:
            # Not `_held`: what was under way when we were stopped may have cost the connection.
            if self._last is not None and await self._give_up():
                log.info("lease_given_back", key=self._key)

    async def _call(self, state_keys: list[str], states: list[bytes], messages: list[bytes]) -> None:
        async with self._one_at_a_time:
            if not self._held or self._last is None:
                raise LeaseLost("no lease")
            head: list[bytes | str | int] = [self._last.to_bytes(), self._lifetime_ms, keys.STATE_UPDATE]
            try:
                ours = await self._write(keys=[self._key, *state_keys], args=[*head, *states, *messages])
            except RedisError:
                self._held = False  # what arrived is not known: only a new epoch outranks it for sure
                raise
            if not ours:
                self._held = False
                metrics.LEASES_LOST.inc()
                metrics.EPOCH.set(0)
                raise LeaseLost(f"{self._key} is not ours any more")

    async def _give_up(self) -> bool:
        assert self._last is not None
        self._held = False
        metrics.EPOCH.set(0)
        return bool(await self._give_back(keys=[self._key], args=[self._last.to_bytes()]))

    async def _next_epoch(self) -> int:
        """Above Redis's clock in ms, our own last, and any in Redis that is not from the future."""
        now = await self._client.now()
        latest = (now + FUTURE_SECONDS) * 1000
        states = await PhysicsStates(self._client).all()
        stored = [state.version.epoch for state in states.values() if state.version is not None]
        honest = [epoch for epoch in stored if epoch <= latest]
        own = 0 if self._last is None else self._last.epoch
        return max(round(now * 1000), own, *honest, 0) + 1

    async def _other_split(self) -> bool:
        """Whether a live lease belongs to another number of shards: both would write the same symbols."""
        for name in await scan(self._client, keys.PHYSICS_WRITER):
            value = await self._client.get(keys.PHYSICS_WRITER + name)
            try:
                shards = None if value is None else load_object(value).get("shards")
            except InvalidMessage:
                continue
            if shards is not None and shards != self._shards:
                throttled.warning("other_number_of_shards", name, shards=shards, ours=self._shards)
                return True
        return False
