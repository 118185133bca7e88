"""A lease in Redis with a fencing token: of several processes that could do a work, one does it at a time.

The lease is a key that expires unless it is renewed. Each time that it is taken it gets an epoch above all before,
which is the fencing token: what is written under it carries it, and is refused once a newer one is there. Whether the
lease is still held is never decided by a clock here, but where it is stored: a holder that was suspended or cut off
finds it gone when it renews it, or runs a script under it, and nothing of that call is done.

    async with Lease(url, "recorder:lease", lifetime=5.0) as lease:
        while True:
            if lease.epoch is not None or await lease.acquire():
                try:
                    await lease.run_fenced(SCRIPT, keys=["recorder:position"], args=[position])
                except LeaseLost:
                    continue
            await asyncio.sleep(1.0)

Feynman's writer is built on it.
"""

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import orjson

from cottage import lua
from cottage.errors import InvalidMessage, LeaseLost, RedisError
from cottage.fields import load_object
from cottage.log import get_logger
from cottage.redis import COMMAND_SECONDS, Client, Script, connect

REPLICA_SECONDS = 0.5
"""What a replica has to acknowledge a new lease, where a failover may come."""
RELEASE_SECONDS = 1.0
"""What the end of an `async with` may spend on giving the lease back: without that a successor waits for its end."""

ACQUIRE = lua.load("cottage", "lease_acquire")
RELEASE = lua.load("cottage", "lease_release")
FENCE = lua.load("cottage", "lease_fence")

LeaseEvent = Literal["taken", "lost", "not_replicated"]
NewestEpoch = Callable[[Client, float], Awaitable[int]]

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """What is stored under the lease's key, as JSON."""

    holder: str
    """host:pid:random"""
    epoch: int
    shards: int

    def to_bytes(self) -> bytes:
        return orjson.dumps({"holder": self.holder, "epoch": self.epoch, "shards": self.shards})


class Lease:
    """Taken by `acquire`, renewed by `renew` and `run_fenced`, given back at the end of its `async with` block.

    key, lifetime: where it is stored, and for how many seconds after its last renewal.
    shards, siblings: where the work is divided into shards, their number and the keys of all their leases. While one
    of these lives that is of another number of shards, this one is not taken: both would do the same work.
    newest_epoch: reads the newest epoch in what is written under the lease, by a client and Redis's clock; the lease
    gets a greater one. Without it an epoch is above the holder's last and above Redis's clock in milliseconds, so it
    rises from holder to holder as far as the clocks of the servers behind one address agree.
    on_event: told what happens to the lease, for counting.

    After any error what arrived is not known, and behind a new connection may stand another server: either way the
    lease is in doubt, `epoch` is None, and it must be taken anew. What is called at the same time is done one after
    the other, on one connection.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        lifetime: float,
        timeout: float = COMMAND_SECONDS,
        shards: int = 1,
        siblings: Sequence[str] = (),
        newest_epoch: NewestEpoch | None = None,
        on_event: Callable[[LeaseEvent], None] = lambda _event: None,
    ) -> None:
        self._url = url
        self._key = key
        self._lifetime_ms = round(lifetime * 1000)
        self._timeout = timeout
        self._shards = shards
        self._siblings = siblings
        self._newest_epoch = newest_epoch
        self._on_event = on_event
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        # A reply may be lost, and with it which of our records stands: any that begins so is ours.
        self._ours = orjson.dumps({"holder": self._holder})[:-1] + b","
        self._record: LeaseRecord | None = None
        """The last that we asked for."""
        self._connections = 0
        self._held_on: int | None = None
        """On which connection the lease was taken; None once it is lost or in doubt."""
        self.waiting_for: str | None = None
        """Why the last `acquire` was refused; None where it was not."""
        self._one_at_a_time = asyncio.Lock()
        self._fenced_scripts: dict[str, Script] = {}
        self._client: Client

    @property
    def epoch(self) -> int | None:
        """The fencing token; None where the lease is not held, or in doubt."""
        if self._record is None or self._held_on != self._connections:
            return None
        return self._record.epoch

    async def __aenter__(self) -> Self:
        self._client = connect(self._url, timeout=self._timeout, on_connect=self._connected_anew)
        self._acquire_script = self._client.register_script(ACQUIRE)
        self._release_script = self._client.register_script(RELEASE)
        return self

    async def __aexit__(self, *_exception: object) -> None:
        try:
            with contextlib.suppress(RedisError, TimeoutError):
                async with asyncio.timeout(RELEASE_SECONDS):
                    await self.release()
        finally:
            await self._client.aclose()

    async def acquire(self) -> bool:
        """Try to take the lease under a new epoch, held or not; whether it is ours now. Raises RedisError."""
        async with self._one_at_a_time:
            self._held_on = None
            now = await self._client.now()
            connection = self._connections
            refusal = await self._other_split() or await self._take(round(now * 1000))
            if refusal is None:
                # Read under the lease: nobody who obeys it can add a newer one after that.
                newest = 0 if self._newest_epoch is None else await self._newest_epoch(self._client, now)
                if self._record is not None and newest >= self._record.epoch:
                    refusal = await self._take(newest)
                refusal = refusal or await self._other_split()  # again: two may have asked at the same time
                if refusal is not None:
                    await self._release_script(keys=[self._key], args=[self._ours])
            self._report(refusal)
            if refusal is None:
                self._held_on = connection
            return self.epoch is not None

    async def release(self) -> None:
        """Give the lease back, so that a successor need not wait for its end. Raises RedisError."""
        async with self._one_at_a_time:
            # Held or not: what was under way when we were stopped may have cost the connection, or its reply.
            if self._record is not None and await self._release_script(keys=[self._key], args=[self._ours]):
                log.info("lease_released", key=self._key)
            self._held_on = None

    async def renew(self) -> None:
        """Have it live for its whole lifetime again. Raises LeaseLost where it is not ours any more; RedisError."""
        await self.run_fenced("")

    async def run_fenced(self, script: str, keys: Sequence[str] = (), args: Sequence[Any] = ()) -> Any:
        """Renew the lease and run a Lua script, both or neither; what the script answers. Raises as `renew`.

        In the script, KEYS[1], ARGV[1] and ARGV[2] are the lease's: `keys` begin at KEYS[2], `args` at ARGV[3]. In a
        cluster all keys must be of one slot; `renewed` is for what lies elsewhere.
        """
        async with self._turn() as record:
            return await self._run(record, script, keys, args)

    @contextlib.asynccontextmanager
    async def renewed(self) -> AsyncIterator[tuple[int, Client]]:
        """Renew the lease, and hold the turn for what is done under it by other commands; the epoch and the client.

        For what one script cannot reach: each write must then be refused by itself where a newer epoch was written,
        and the block raises LeaseLost for one that was. Raises as `renew`.
        """
        async with self._turn() as record:
            await self._run(record, "")
            yield record.epoch, self._client

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[LeaseRecord]:
        async with self._one_at_a_time:
            if self.epoch is None or self._record is None:
                raise LeaseLost(f"{self._key} is not held")
            try:
                yield self._record
            except BaseException as error:
                self._held_on = None  # what arrived is not known: only a new epoch outranks it for sure
                if isinstance(error, LeaseLost):
                    self._on_event("lost")
                    log.warning("lease_lost", key=self._key, error=str(error))
                raise

    async def _run(self, record: LeaseRecord, script: str, keys: Sequence[str] = (), args: Sequence[Any] = ()) -> Any:
        fenced = self._fenced_scripts.get(script)
        if fenced is None:
            fenced = self._fenced_scripts[script] = self._client.register_script(FENCE + script)
        try:
            return await fenced(keys=[self._key, *keys], args=[record.to_bytes(), self._lifetime_ms, *args])
        except RedisError as error:
            if str(error).startswith("LEASELOST"):
                raise LeaseLost(f"{self._key} is not ours any more") from error
            raise

    def _connected_anew(self) -> None:
        # The command that needed it is on its way already. A script passes the fence or does not, wherever it
        # arrives; whatever comes after it waits for a new lease.
        self._connections += 1

    async def _take(self, above: int) -> str | None:
        """Ask for the lease with an epoch above that and above our own last; why it was refused."""
        epoch = max(above, 0 if self._record is None else self._record.epoch) + 1
        self._record = LeaseRecord(self._holder, epoch, self._shards)
        call: dict[str, Any] = {"keys": [self._key], "args": [self._ours, self._record.to_bytes(), self._lifetime_ms]}
        current = await (self._acquire_and_copy if self._client.replicated else self._acquire_script)(**call)
        return None if current is None else f"{self._key} is held by {_holder(current)}"

    async def _acquire_and_copy(self, **call: Any) -> bytes | None:
        """Take it, and wait for a replica to have it: else a failover would forget who holds the lease. A master that
        is left alone must do all the same."""
        wait = ("WAIT", 1, round(REPLICA_SECONDS * 1000))
        current: bytes | None
        current, copies = await self._acquire_script.then([wait], **call)
        if current is None and not copies:
            self._on_event("not_replicated")
            log.warning("lease_not_replicated", key=self._key, seconds=REPLICA_SECONDS)
        return current

    async def _other_split(self) -> str | None:
        """A live lease with another number of shards."""
        if not self._siblings:
            return None
        for key, value in zip(self._siblings, await self._client.mget(self._siblings), strict=True):
            with contextlib.suppress(InvalidMessage):
                shards = None if value is None else load_object(value).get("shards")
                if type(shards) is int and shards != self._shards:
                    return f"{key} is one of {shards} shards, this is one of {self._shards}"
        return None

    def _report(self, refusal: str | None) -> None:
        if refusal is None and self._record is not None:
            self._on_event("taken")
            log.info("lease_acquired", key=self._key, epoch=self._record.epoch)
        elif refusal != self.waiting_for:
            log.info("standby", reason=refusal)
        self.waiting_for = refusal


def _holder(record: bytes) -> str:
    """Who holds it, or the beginning of what somebody else put there."""
    try:
        return str(load_object(record).get("holder"))[:100]
    except InvalidMessage:
        return repr(record[:100])
