"""Lock-step: a feed goes on only once the writers of all shards have ticked on what it has written.

A replay that runs as fast as it can would outrun feynman's ticks. So it writes one second of its recording, or one
bar, and publishes a mark on the channel `market:mark`, which names the symbols. Feynman ticks on the mark at once,
and the holder of each shard's lease then publishes on `market:mark:taken` that it has.

Both are channels, and not keys, since nothing of them is to outlive who has sent it. What gets lost is sent again: a
feed marks again what was not taken within REMARK_SECONDS, for as long as it takes, and writes it again, so that it
does not expire. Feynman goes on with its own ticks all the same, so it misses nothing where a feed ends. It depends
on no mark: on one it only samples symbols whose samples are numbered (`market:fill:{SYMBOL}`), and these give the
same numbers whenever they are taken.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson

from cottage import fields, keys
from cottage.backoff import Backoff
from cottage.clock import Clock
from cottage.errors import InvalidMessage, RedisError, RedisRefused, RedisUnavailable
from cottage.log import Throttled, get_logger
from cottage.redis import COMMAND_SECONDS, subscribe

REMARK_SECONDS = 1.0
"""So long a feed waits for its mark to be taken before it writes and marks the same again."""
MOST_BYTES = 1_000_000
"""A longer mark is refused: one with as many symbols as feynman has places for has half of that."""
SILENCE_SECONDS = 3.0
"""After so long without a message the connection is tested."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Mark:
    """A feed in lock-step has written a new sample of each of these symbols, and waits."""

    feed: str
    """Its ID."""
    number: int
    """Another one for each mark of the feed."""
    symbols: tuple[str, ...] = ()
    windows: str | None = None
    """Of the replay of a record: no samples were written, but the next of these symbols belong into other windows,
    those of the record's checkpoint of this name (cottage/record/checkpoints.py), and empty ones where it has none;
    '' for empty ones all."""

    def to_bytes(self, database: int = 0) -> bytes:
        """The message, JSON. `database`: the one it is sent from."""
        message: dict[str, Any] = {"feed": self.feed, "mark": self.number, "symbols": self.symbols}
        if self.windows is not None:
            message["windows"] = self.windows
        return orjson.dumps(fields.with_database(message, database))

    @classmethod
    def from_bytes(cls, payload: bytes, database: int = 0) -> "Mark":
        """Parse a message. Raises InvalidMessage."""
        value = _load(payload, database)
        symbols = fields.words(value, "symbols")
        if not all(map(keys.is_symbol, symbols)):
            raise InvalidMessage("symbols", "some are no symbols")
        return cls(_feed(value), fields.whole(value, "mark"), symbols, fields.optional_text(value, "windows"))


@dataclass(frozen=True, slots=True)
class Taken:
    """The writer of this shard has ticked on that mark."""

    feed: str
    number: int
    shard: str
    """`i/n`: it computes the i-th of n parts of the symbols, counted from 0."""

    def to_bytes(self, database: int = 0) -> bytes:
        """The message, JSON. `database`: the one it is sent from."""
        message = {"feed": self.feed, "mark": self.number, "shard": self.shard}
        return orjson.dumps(fields.with_database(message, database))

    @classmethod
    def from_bytes(cls, payload: bytes, database: int = 0) -> "Taken":
        """Parse a message. Raises InvalidMessage."""
        value = _load(payload, database)
        return cls(_feed(value), fields.whole(value, "mark"), fields.shard(value))


async def listen(
    url: str,
    channel: str,
    received: Callable[[Sequence[bytes]], Awaitable[None]],
    *,
    clock: Clock,
    timeout: float = COMMAND_SECONDS,
) -> NoReturn:
    """Call `received` with the messages of a channel until cancelled, over a new connection where one is lost.
    Messages wait while it runs.

    What is missed meanwhile is sent again, so only a refusal is logged: an outage is told by who needs Redis."""
    backoff, throttled = Backoff(), Throttled(log)
    while True:
        began = clock.monotonic()
        try:
            async with subscribe(url, channel, timeout=timeout) as subscription:
                while True:
                    if payloads := await subscription.messages(SILENCE_SECONDS):
                        await received(payloads)
                    elif not await subscription.answers(timeout):
                        raise RedisUnavailable("the channel is silent and the server does not answer a PING")
        except RedisError as error:
            if isinstance(error, RedisRefused):
                throttled.warning("marks_refused", channel, channel=channel, error=str(error))
            await clock.sleep(backoff.after(clock.monotonic() - began, error))


def _load(payload: bytes, database: int) -> fields.Fields:
    if len(payload) > MOST_BYTES:
        raise InvalidMessage("size", f"{len(payload)} bytes")
    value = fields.load_object(payload)
    fields.check_database(value, database)
    return value


def _feed(value: fields.Fields) -> str:
    if not keys.is_symbol(feed := value.get("feed")):  # a feed's id is an identifier like a symbol
        raise InvalidMessage("feed", "missing or not the ID of a feed")
    return str(feed)
