"""Deletes from Redis what dead holders left: leases, and the announcements of feeds. Their successors use it.

A value in a key of the suite is a dead holder's where one of these is certain:

- it is no lease (or no announcement) at all: whoever wrote it, nobody holds anything by it;
- its holder is a process of this machine that has ended (process_name.py);
- Redis would keep it longer than its holder asked for, at every look over one lifetime (expiry.py).

Only exactly the value that was looked at is deleted, so of two successors neither deletes the other's.
"""

from collections.abc import Callable, Mapping

from cottage import lua
from cottage.errors import InvalidMessage
from cottage.expiry import LONGEST_MS, ExpiryLook, OutlivingKeys, lifetime_ms
from cottage.fields import load_object
from cottage.log import get_logger
from cottage.process_name import is_dead
from cottage.redis import Client

DISCARD = lua.load("cottage", "lease_discard")
_WHATEVER_IS_LEFT = -1
_NOTHING_HELD = "nobody holds anything by it"

log = get_logger(__name__)

Holder = Callable[[Mapping[str, object]], str | None]
"""Reads the holder from a value's fields: '' if it has no name, None if the value is none of its kind."""


class DeadHolders:
    """Looks at the same keys again and again, and deletes the values of dead holders.

    otherwise_ms: the lifetime of a value that says none.
    """

    def __init__(self, client: Client, holder: Holder, otherwise_ms: int = LONGEST_MS) -> None:
        self._client = client
        self._holder = holder
        self._otherwise_ms = otherwise_ms
        self._script = client.register_script(DISCARD)
        self._outliving = OutlivingKeys()

    async def discard(self, held: Mapping[str, bytes], asked: float) -> int:
        """Delete those of these values whose holders are dead; returns how many. A key that is not among them is
        forgotten. `asked`: monotonic, from before they were read. Raises RedisError."""
        left = await self._client.bulk([("PTTL", key) for key in held])
        looks = {
            key: ExpiryLook(lifetime_ms(fields_of(value), self._otherwise_ms), pttl)
            for (key, value), pttl in zip(held.items(), left, strict=True)
        }
        outliving, discarded = self._outliving.dead(looks, asked), 0
        for key, value in held.items():
            reason, most = self._proof(value), _WHATEVER_IS_LEFT
            if reason is None and key in outliving:
                reason, most = "its time has run out", looks[key].lifetime_ms
            if reason is not None and await self._script(keys=[key], args=[value, most]):
                discarded += 1
                _say(key, self.name(value), reason, looks[key].pttl_ms)
        return discarded

    def name(self, value: bytes) -> str:
        """The holder of a value, for logs; the beginning of the value if it is none of its kind."""
        holder = self._holder_of(value)
        return repr(value[:100]) if holder is None else holder[:100] or "a process without a name"

    def _proof(self, value: bytes) -> str | None:
        """What proves that the holder is dead, whatever time Redis gives it; None if nothing does."""
        holder = self._holder_of(value)
        if holder is None:
            return _NOTHING_HELD
        return "its process has ended" if is_dead(holder) else None

    def _holder_of(self, value: bytes) -> str | None:
        try:
            return self._holder(load_object(value))
        except InvalidMessage:
            return None


def other_value(key: str, reply: bytes | list[bytes] | None) -> bytes | None:
    """What the script `lease_acquire` answered: the value of another holder, or None if the key is ours now. If it
    was of a wrong type, it is logged what was replaced."""
    if not isinstance(reply, list):
        return reply
    _say(key, f"a {reply[0].decode(errors='replace')}", _NOTHING_HELD, None)
    return None


def _say(key: str, holder: str, reason: str, pttl_ms: int | None) -> None:
    log.warning("lease_discarded", key=key, holder=holder, reason=reason, pttl_ms=pttl_ms)


def fields_of(value: bytes) -> Mapping[str, object]:
    """The fields of a value; none if it is no JSON object."""
    try:
        return load_object(value)
    except InvalidMessage:
        return {}
