"""The living leases of feynman's shards, and which updates are believed because of them. Pure.

The channel can be written to by anybody, so a message proves nothing about what is newest: Redis decides, not the
message. What Redis has shown are the leases, each with its writer's epoch, and the newest tick of which a state was
stored. An update of that epoch that is at most a few ticks further is believed as it comes, if its symbol is held;
for any other the reconciler reads the symbol's state. A lease that Redis keeps longer than its holder asked for does
not count.
"""

from collections.abc import Sequence
from typing import Any

from cottage import keys
from cottage.errors import InvalidMessage
from cottage.expiry import ExpiryLook, OutlivingKeys, lifetime_ms
from cottage.fields import load_object
from cottage.version import Version, latest_epoch

AHEAD_TICKS = 3
"""An update may be so many ticks ahead of the newest that Redis has shown."""

Shard = tuple[int, int]
"""(i, n): the i-th of n shards, counted from 0."""


class ShardWriter:
    """The holder of one shard's lease."""

    __slots__ = ("epoch", "last_believed")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.last_believed = -1
        """The last tick of which updates are believed; -1 until Redis has shown one."""


class LivingLeases:
    """The leases as they were last read. The bridge's reconciler reads them, and asks which updates to believe."""

    def __init__(self) -> None:
        self._writers: dict[int, dict[int, ShardWriter]] = {}
        """By the number of shards, then by the index of the shard."""
        self._outliving = OutlivingKeys()
        self._shards = 1
        """The greatest number of shards that was heard of: so many leases are read."""

    @property
    def epochs(self) -> dict[Shard, int]:
        """The epoch of each shard that has a living lease."""
        return {
            (index, shards): writer.epoch
            for shards, writers in self._writers.items()
            for index, writer in writers.items()
        }

    def names(self) -> list[str]:
        """The keys to read."""
        return [keys.physics_writer(index) for index in range(self._shards)]

    def expect(self, shard: Shard) -> None:
        """Somebody claims to write this shard."""
        self._shards = max(self._shards, shard[1])

    def take(self, values: Sequence[bytes | None], pttls: Sequence[int], redis_now: float, asked: float) -> None:
        """Take what Redis has under the first of `names()`, with the answers to PTTL.

        `redis_now`: its clock, in seconds since 1970. `asked`: monotonic, from before Redis was asked.
        """
        found = {index: fields for index, value in enumerate(values) if (fields := _lease(value, redis_now))}
        looks = {index: ExpiryLook(lifetime_ms(fields), pttls[index]) for index, fields in found.items()}
        dead = self._outliving.dead({str(index): look for index, look in looks.items()}, asked)
        before, self._writers = self._writers, {}
        for index, fields in found.items():
            shards, epoch = fields["shards"], fields["epoch"]
            if str(index) in dead or index >= shards:
                continue
            writer = before.get(shards, {}).get(index)
            held = writer if writer is not None and writer.epoch == epoch else ShardWriter(epoch)
            self._writers.setdefault(shards, {})[index] = held
            self.expect((index, shards))

    def lives(self, symbol: str, epoch: int) -> bool:
        """Whether this is the epoch of a living lease of the symbol's shard."""
        return any(writer.epoch == epoch for writer in self._of(symbol))

    def believes(self, symbol: str, version: Version) -> bool:
        """Whether an update of this version is believed as it comes."""
        epoch, seq = version
        for shards, writers in self._writers.items():
            writer = writers.get(keys.shard_index(symbol, shards) if shards > 1 else 0)  # a call less for each update
            if writer is not None and writer.epoch == epoch and seq <= writer.last_believed:
                return True
        return False

    def shown(self, symbol: str, version: Version) -> None:
        """Redis has a state of this version."""
        if not self.believes(symbol, version._replace(seq=version.seq + AHEAD_TICKS)):
            self.mistaken(symbol, version)

    def mistaken(self, symbol: str, version: Version) -> None:
        """More was believed than Redis holds, which is this version: ticks after it have to be shown again."""
        for writer in self._of(symbol):
            if writer.epoch == version.epoch:
                writer.last_believed = version.seq + AHEAD_TICKS

    def _of(self, symbol: str) -> list[ShardWriter]:
        found = (writers.get(keys.shard_index(symbol, shards)) for shards, writers in self._writers.items())
        return [writer for writer in found if writer is not None]


def _lease(value: bytes | None, redis_now: float) -> dict[str, Any] | None:
    """The fields of a lease; None if there is none that counts."""
    try:
        fields = {} if value is None else load_object(value)
    except InvalidMessage:
        return None
    epoch, shards = fields.get("epoch"), fields.get("shards")
    if not (type(epoch) is int and type(shards) is int and 0 < shards <= keys.MOST_SHARDS):
        return None
    return fields if 0 <= epoch <= latest_epoch(redis_now) else None
