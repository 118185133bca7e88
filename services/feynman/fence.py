"""How a write is fenced: nothing is written by who has lost the lease, wherever Redis keeps its keys.

On one server a script compares the lease, renews it, SETs and PUBLISHes. In a cluster a script sees one key: the
lease is renewed by itself, and each state is refused where a newer epoch has been written.
"""

from collections.abc import Sequence
from typing import Protocol

from cottage import keys
from cottage.clock import FUTURE_SECONDS
from cottage.redis import Client
from services.feynman.symbol_table import StateWrite

# KEYS: the lease, then states. ARGV: the lease's value, its lifetime in ms, the channel, one state a key,
# then messages. Compared as a whole, so that neither a stranger's lease nor an older one of our own passes.
# PEXPIRE comes first: a server out of memory lets a script that has begun to write go on, and what it
# overwrites needs no more room.
WRITE = """
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local states = #KEYS - 1
for i = 1, states do redis.call('SET', KEYS[i + 1], ARGV[i + 3]) end
for i = states + 4, #ARGV do redis.call('PUBLISH', ARGV[3], ARGV[i]) end
return 1
"""

# KEYS: a state. ARGV: our epoch, how far ahead of the clock one is still believed (ms), the state, the channel, and
# where there is one its message. An epoch of the future is none that counts, or one forged state would stop all.
WRITE_ONE = """
local stored = redis.pcall('GET', KEYS[1])
local epoch = type(stored) == 'string' and tonumber(string.match(stored, '"epoch":(%d+)') or '0') or 0
if epoch > tonumber(ARGV[1]) and epoch <= redis.call('TIME')[1] * 1000 + tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], ARGV[3])
if ARGV[5] then redis.call('PUBLISH', ARGV[4], ARGV[5]) end
return 1
"""


class Fence(Protocol):
    async def write(self, lease: bytes, epoch: int, writes: Sequence[StateWrite]) -> bool:
        """Renew the lease, SET the states and PUBLISH their messages; False where another may write now: what it
        wrote stands. Raises RedisError."""

    async def publish(self, lease: bytes, messages: Sequence[bytes]) -> bool:
        """Renew the lease and PUBLISH; False where it is lost."""


class ScriptFence:
    """One server: all in one script, or nothing."""

    def __init__(self, client: Client, lease_key: str, lifetime_ms: int) -> None:
        self._write = client.register_script(WRITE)
        self._key = lease_key
        self._lifetime_ms = lifetime_ms

    async def write(self, lease: bytes, _epoch: int, writes: Sequence[StateWrite]) -> bool:
        updates = [write.update for write in writes if write.update is not None]
        state_keys = [keys.physics_state(write.symbol) for write in writes]
        return await self._call(lease, state_keys, [write.state for write in writes], updates)

    async def publish(self, lease: bytes, messages: Sequence[bytes]) -> bool:
        return await self._call(lease, [], [], messages)

    async def _call(
        self, lease: bytes, state_keys: Sequence[str], states: Sequence[bytes], messages: Sequence[bytes]
    ) -> bool:
        head = [lease, self._lifetime_ms, keys.STATE_UPDATE]
        return bool(await self._write(keys=[self._key, *state_keys], args=[*head, *states, *messages]))


class ClusterFence(ScriptFence):
    """A cluster: the lease is where its key is, and each state where its own is."""

    def __init__(self, client: Client, lease_key: str, lifetime_ms: int) -> None:
        super().__init__(client, lease_key, lifetime_ms)
        self._write_one = client.register_script(WRITE_ONE)

    async def write(self, lease: bytes, epoch: int, writes: Sequence[StateWrite]) -> bool:
        if not await self.publish(lease, []):
            return False
        ahead = FUTURE_SECONDS * 1000
        calls = []
        for write in writes:
            messages = [] if write.update is None else [write.update]
            arguments = [epoch, ahead, write.state, keys.STATE_UPDATE, *messages]
            calls.append(([keys.physics_state(write.symbol)], arguments))
        return all(await self._write_one.each(calls))


def fence(client: Client, lease_key: str, lifetime_ms: int) -> Fence:
    """The one that the client's servers need."""
    return (ClusterFence if client.spread else ScriptFence)(client, lease_key, lifetime_ms)
