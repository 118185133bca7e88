"""A lease in Redis with a fencing token: of several processes that could do some work, one at a time does it.

The lease is a key that expires unless it is renewed. Whoever acquires it gets an epoch above all earlier ones, which
is the fencing token: writes carry it, and are refused once a newer one exists. Redis decides whether the lease is
still held, never a local clock: a holder that was suspended or cut off notices its loss when it renews the lease or
runs a script under it, and nothing of that call is done. What a dead holder left is discarded before its time
(cottage/dead_holders.py): the lease of a process of this machine that has ended, one that Redis would keep longer
than its holder asked for, and what is no lease at all, for the key belongs to the lease alone.

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
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import orjson

from cottage import lua
from cottage.clock import monotonic
from cottage.dead_holders import DeadHolders, fields_of, other_value
from cottage.errors import LeaseLost, RedisError
from cottage.log import get_logger
from cottage.process_name import process_name
from cottage.redis import COMMAND_SECONDS, Client, Script, connect
from cottage.version import latest_epoch

REPLICA_SECONDS = 0.5
"""How long a replica may take to acknowledge a new lease, if there are replicas."""
RELEASE_SECONDS = 1.0
"""How long the release at the end of an `async with` may take; without it a successor waits for the expiry."""

ACQUIRE = lua.load("cottage", "lease_acquire")
RELEASE = lua.load("cottage", "lease_release")
FENCE = lua.load("cottage", "lease_fence")

LeaseEvent = Literal["taken", "lost", "not_replicated"]
NewestEpoch = Callable[[Client, float], Awaitable[int]]

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """The value of the lease's key, as JSON."""

    holder: str
    """The name of its process, and a random number of the Lease."""
    epoch: int
    shards: int
    lifetime_ms: int
    """For how long Redis keeps the lease after each renewal."""

    def to_bytes(self) -> bytes:
        return orjson.dumps(self)


class Lease:
    """A lease: `acquire` takes it, `renew` and `run_fenced` renew it, the end of the `async with` block releases it.

    key, lifetime: its key in Redis, and after how many seconds without a renewal it expires.
    shards, siblings: if the work is divided into shards, their number and the keys of all their leases. While one of
    these is held with another number of shards, this one is not acquired, since both would do the same work.
    newest_epoch: reads the newest epoch of what was written under the lease, given a client and Redis's clock; the
    lease gets a greater one. Without it an epoch is above the holder's last one and above Redis's clock in
    milliseconds, so it grows from holder to holder if the clocks of the servers behind one address agree. An epoch
    more than two days ahead of that clock counts for nobody, also not the holder's last one.
    on_event: called with what happens to the lease, for counting.

    After an error it is not known what Redis has done, and after a reconnect it may be another server. In both cases
    the lease is in doubt: `epoch` is None, and the lease must be acquired again. Concurrent calls are done one after
    the other on one connection.
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
        self._holder = f"{process_name()}:{uuid.uuid4().hex[:8]}"
        # A reply may be lost, and then it is not known which record Redis has: all that begin with this are our own.
        self._ours = orjson.dumps({"holder": self._holder})[:-1] + b","
        self._record: LeaseRecord | None = None
        """The record of the last request."""
        self._connections = 0
        self._held_on: int | None = None
        """The connection on which the lease was acquired; None once it is lost or in doubt."""
        self.waiting_for: str | None = None
        """Why the last `acquire` was refused; None if it was not."""
        self._obstacles: tuple[str, ...] = ()
        """The keys of the leases that were in the way at the last look."""
        self._epoch_before = 0
        """The epoch of the holder that was last seen in the way. Redis may lose all that tells of it."""
        self._one_at_a_time = asyncio.Lock()
        self._fenced_scripts: dict[str, Script] = {}
        self._client: Client

    @property
    def epoch(self) -> int | None:
        """The fencing token; None if the lease is not held or in doubt."""
        if self._record is None or self._held_on != self._connections:
            return None
        return self._record.epoch

    async def __aenter__(self) -> Self:
        self._client = connect(self._url, timeout=self._timeout, on_connect=self._connected_anew)
        self._acquire_script = self._client.register_script(ACQUIRE)
        self._dead_holders = DeadHolders(self._client, _holder, self._lifetime_ms)
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
        """Try to acquire the lease with a new epoch. Returns whether it is held now. Raises RedisError."""
        async with self._one_at_a_time:
            self._held_on = None
            asked = monotonic()
            held = await self._in_the_way()
            if held and await self._dead_holders.discard(held, asked):
                held = await self._in_the_way()
            if not held:
                held = await self._acquire_free()
            self._report(self._refusal(held))
            return self.epoch is not None

    async def release(self) -> None:
        """Release the lease, so that a successor need not wait until it expires. Raises RedisError."""
        async with self._one_at_a_time:
            # Also if it seems not to be held: a call that was cancelled may have lost the connection or its reply.
            if self._record is not None and await self._release_script(keys=[self._key], args=[self._ours]):
                log.info("lease_released", key=self._key)
            self._held_on = None

    async def renew(self) -> None:
        """Renew the lease for its whole lifetime. Raises LeaseLost if it is not held any more; RedisError."""
        await self.run_fenced("")

    async def run_fenced(self, script: str, keys: Sequence[str] = (), args: Sequence[Any] = ()) -> Any:
        """Renew the lease and run a Lua script, both or neither. Returns the script's reply. Raises as `renew`.

        In the script KEYS[1], ARGV[1] and ARGV[2] are the lease's: `keys` begin at KEYS[2], `args` at ARGV[3]. In a
        cluster all keys must be in one slot; for others use `renewed`.
        """
        async with self._turn() as record:
            return await self._run(record, script, keys, args)

    @contextlib.asynccontextmanager
    async def renewed(self) -> AsyncIterator[tuple[int, Client]]:
        """Renew the lease and yield its epoch and a client, for commands that one script cannot do.

        The caller must make sure that each write is refused if a newer epoch was written, and raise LeaseLost then.
        No other call runs meanwhile. Raises as `renew`.
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
                self._held_on = None  # it is not known what was written: only a new epoch is certainly above it
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
        # The command that needed the connection is sent anyway: if it is a fenced script, Redis decides. Everything
        # after it needs a new lease.
        self._connections += 1

    async def _in_the_way(self) -> Mapping[str, bytes]:
        """The leases of others beside which this one may not be taken. While those of the last look are still there,
        no others are looked for, so that a standby costs next to nothing."""
        found = await self._others(dict.fromkeys([self._key, *self._obstacles])) or await self._others(self._siblings)
        self._obstacles = tuple(found)
        return found

    async def _others(self, names: Iterable[str]) -> Mapping[str, bytes]:
        """Those of these leases that are in the way."""
        names = list(names)
        if not names:
            return {}
        values: Any = await self._client.mget(names)
        found = zip(names, values, strict=True)
        others = {key: value for key, value in found if value is not None and self._is_in_the_way(key, value)}
        if type(epoch := fields_of(others.get(self._key, b"")).get("epoch")) is int:
            self._epoch_before = epoch
        return others

    def _is_in_the_way(self, key: str, value: bytes) -> bool:
        return self._is_other_split(value) or (key == self._key and not value.startswith(self._ours))

    async def _acquire_free(self) -> Mapping[str, bytes]:
        """Acquire the lease, in whose way nothing was. Returns what is by now; then it is not held."""
        now = await self._client.now()
        connection = self._connections
        held = await self._take(round(now * 1000), now)
        if not held:
            # It is read under the lease, so that no other holder can write a newer one afterwards.
            newest = await self._newest(now)
            if self._record is not None and newest >= self._record.epoch:
                held = await self._take(newest, now)
            held = held or await self._others(self._siblings)  # again: two may have asked at the same time
            if held:
                await self._release_script(keys=[self._key], args=[self._ours])
        if not held:
            self._held_on = connection
        return held

    async def _take(self, above: int, now: float) -> Mapping[str, bytes]:
        """Ask for the lease with an epoch above `above`, the last own one and that of the holder before. Returns it
        if another holds it.

        `now`: Redis's clock. It may have been set back so far since these two that they count no more.
        """
        own = 0 if self._record is None else self._record.epoch
        epoch = max([above, *(known for known in (own, self._epoch_before) if known <= latest_epoch(now))]) + 1
        self._record = LeaseRecord(self._holder, epoch, self._shards, self._lifetime_ms)
        call: dict[str, Any] = {"keys": [self._key], "args": [self._ours, self._record.to_bytes(), self._lifetime_ms]}
        reply = await (self._acquire_and_copy if self._client.replicated else self._acquire_script)(**call)
        current = other_value(self._key, reply)
        return {} if current is None else {self._key: current}

    async def _acquire_and_copy(self, **call: Any) -> Any:
        """Take the lease, and wait for a replica to have it, since a failover would otherwise lose it. If no replica
        answers, the lease is taken all the same."""
        wait = ("WAIT", 1, round(REPLICA_SECONDS * 1000))
        reply, copies = await self._acquire_script.then([wait], **call)
        if not isinstance(reply, bytes) and not copies:
            self._on_event("not_replicated")
            log.warning("lease_not_replicated", key=self._key, seconds=REPLICA_SECONDS)
        return reply

    async def _newest(self, now: float) -> int:
        """What `newest_epoch` reads, 0 without it. The lease that was just taken is renewed until that is done, over
        another connection, since the reading may take longer than a lifetime."""
        if self._newest_epoch is None or self._record is None:
            return 0
        renewal: dict[str, Any] = {"keys": [self._key], "args": [self._record.to_bytes(), self._lifetime_ms]}
        reading = asyncio.ensure_future(self._newest_epoch(self._client, now))
        try:
            while not (await asyncio.wait([reading], timeout=self._lifetime_ms / 3000))[0]:
                with contextlib.suppress(RedisError):  # a lease that is lost is found to be with the first use of it
                    async with connect(self._url, timeout=self._timeout) as another:
                        await another.register_script(FENCE)(**renewal)
            return reading.result()
        finally:
            reading.cancel()
            await asyncio.wait([reading])  # nothing of it goes on beside what comes next on the connection

    def _is_other_split(self, record: bytes) -> bool:
        shards = fields_of(record).get("shards")
        return type(shards) is int and shards != self._shards

    def _refusal(self, held: Mapping[str, bytes]) -> str | None:
        """Why the lease was refused, in words; None if nothing was in the way."""
        for key, value in held.items():
            if self._is_other_split(value):
                return f"{key} is one of {fields_of(value)['shards']} shards, this is one of {self._shards}"
            return f"{key} is held by {self._dead_holders.name(value)}"
        return None

    def _report(self, refusal: str | None) -> None:
        if refusal is None and self._record is not None:
            self._on_event("taken")
            log.info("lease_acquired", key=self._key, epoch=self._record.epoch)
        elif refusal != self.waiting_for:
            log.info("standby", reason=refusal)
        self.waiting_for = refusal


def _holder(fields: Mapping[str, object]) -> str | None:
    """The holder in the fields of a record; None if they are not those of a record."""
    holder = fields.get("holder")
    numbers = (fields.get("epoch"), fields.get("shards"))
    return holder if isinstance(holder, str) and all(type(number) is int for number in numbers) else None
