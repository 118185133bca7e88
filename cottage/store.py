"""Typed access to every structure that the suite has in Redis, on one client.

Names are checked before a command is sent, contents when they are read. An invalid value raises InvalidMessage if it
was asked for alone; from several it is left out, and `on_bad` is called with its name and the error.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar, cast

import orjson

from cottage import keys
from cottage.errors import InvalidMessage, InvalidName, RedisError
from cottage.fields import load_object
from cottage.messages import TradeSignal, agent_update
from cottage.redis import BATCH, Client, Command
from cottage.snapshot import OPTIONAL_FIELDS, SAMPLE_FIELDS, MarketSnapshot, RawSample
from cottage.state import PhysicsState

SCAN_COUNT = 1000  # 6 ms for 10,000 keys; the server's default of 10 takes 182

MOST_FEEDS = 1000
"""So many live feeds are read at most, so that foreign keys cannot fill a reader's memory."""

T = TypeVar("T")
OnBad = Callable[[str, InvalidMessage], None]


def _ignore(_name: str, _error: InvalidMessage) -> None:
    """The default for `on_bad`, which does nothing."""


def batches(items: Sequence[T], size: int = BATCH) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


async def scan_pages(
    client: Client, prefix: str, on_bad: OnBad = _ignore, pattern: str = "*"
) -> AsyncIterator[list[str]]:
    """The identifiers of all keys that begin with `prefix` and go on with `pattern`, some thousand at a time.

    One that SCAN finds twice comes twice. For readers that must not hold more names than they have room for.
    """
    cursor: int | None = None
    while cursor != 0:
        cursor, found = await client.scan(cursor or 0, match=prefix + pattern, count=SCAN_COUNT)
        names = []
        for key in found:
            name = _text(key).removeprefix(prefix)
            try:
                names.append(keys.symbol(name))
            except InvalidName as error:
                on_bad(name, InvalidMessage("symbol", str(error)))
        yield names


async def scan(client: Client, prefix: str, on_bad: OnBad = _ignore, most: int | None = None) -> list[str]:
    """The identifiers of all keys that begin with `prefix`, sorted, each once; the first `most` of them at most."""
    found: set[str] = set()
    async for names in scan_pages(client, prefix, on_bad):
        found.update(names)
        if most is not None and len(found) > most:
            found = set(sorted(found)[:most])
    return sorted(found)


def wrong_type(key: str, kind: bytes | str, wanted: str) -> InvalidMessage | None:
    """The error of a key for which Redis answered TYPE with `kind`; None if there is no such key, or it is `wanted`.

    For keys that MGET gave no value of: so it does for a key of another type, as if there were none.
    """
    found = _text(kind)
    return None if found in ("none", wanted) else InvalidMessage("type", f"{key} is a {found}, not a {wanted}")


def _refusal(key: str, wanted: str, error: RedisError) -> InvalidMessage | RedisError:
    """The InvalidMessage("type") for an error about this key's type; any other error as it is."""
    about_type = str(error).startswith("WRONGTYPE")
    return InvalidMessage("type", f"{key} is no {wanted}") if about_type else error


@contextlib.contextmanager
def _named(key: str, wanted: str) -> Iterator[None]:
    """Name the key in Redis's error about its type: InvalidMessage("type")."""
    try:
        yield
    except RedisError as error:
        if (refusal := _refusal(key, wanted, error)) is error:
            raise
        raise refusal from error


class _Structure:
    """One of Redis's structures, on a client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def _values(
        self, key: Callable[[str], str], names: Sequence[str], parse: Callable[[bytes], T], on_bad: OnBad
    ) -> dict[str, T]:
        """What is stored under `key` of each of these names, parsed, where there is any. In round trips of 500, and
        another one for those without a value, among which are keys of a wrong type."""
        found: dict[str, T] = {}
        for part in batches(names):
            (payloads,) = await self._client.bulk([("MGET", *map(key, part))])
            absent = []
            for name, payload in zip(part, payloads, strict=True):
                if payload is None:
                    absent.append(name)
                    continue
                try:
                    found[name] = parse(payload)
                except InvalidMessage as error:
                    on_bad(name, error)
            kinds = await self._client.bulk(("TYPE", key(name)) for name in absent)
            for name, kind in zip(absent, kinds, strict=True):
                if (refusal := wrong_type(key(name), kind, "string")) is not None:
                    on_bad(name, refusal)
        return found

    async def _value(self, key: str) -> bytes | None:
        """The string at `key`, if there is one. Raises InvalidMessage("type") for a key of another type."""
        with _named(key, "string"):
            return cast("bytes | None", await self._client.get(key))


class PhysicsStates(_Structure):
    """`physics:state:{SYMBOL}`, read only: FeynmanService writes them under its lease."""

    async def get(self, symbol: str) -> PhysicsState | None:
        """One state, or None if Redis has none. Raises InvalidMessage for an invalid one."""
        payload = await self._value(keys.physics_state(symbol))
        return None if payload is None else PhysicsState.from_bytes(payload)

    async def many(self, symbols: Iterable[str], on_bad: OnBad = _ignore) -> dict[str, PhysicsState]:
        """The states of these symbols, as far as Redis has them, read in round trips of 500."""
        return await self._values(keys.physics_state, list(symbols), PhysicsState.from_bytes, on_bad)

    async def all(self, on_bad: OnBad = _ignore) -> dict[str, PhysicsState]:
        """The states of all symbols."""
        return await self.many(await scan(self._client, keys.PHYSICS_STATE, on_bad), on_bad)


class MarketSnapshots(_Structure):
    """`market:snapshot:{SYMBOL}`, a hash that expires 60 s after its last write."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._cleared: dict[str, frozenset[str]] = {}

    async def write(self, snapshots: Sequence[MarketSnapshot]) -> None:
        """Write snapshots, each completely or not at all. A quote that a feed does not report any more is removed.
        Raises RedisError."""
        for part in batches(snapshots, BATCH // 2):  # two commands each
            commands: list[Command] = []
            cleared: dict[str, frozenset[str]] = {}
            for snapshot in part:
                key = keys.market_snapshot(snapshot.symbol)
                fields = snapshot.to_hash()
                if len(fields) == _ALL_FIELDS:
                    self._cleared.pop(snapshot.symbol, None)
                elif self._cleared.get(snapshot.symbol) != (absent := _QUOTES - fields.keys()):
                    commands.append(("HDEL", key, *absent))
                    cleared[snapshot.symbol] = absent
                commands += (
                    ("HSET", key, *chain.from_iterable(fields.items())),
                    ("EXPIRE", key, keys.SNAPSHOT_TTL_SECONDS),
                )
            # One transaction: a connection that is cut between the two must not leave a hash without its TTL.
            await self._client.bulk(commands, transaction=True)
            self._cleared.update(cleared)  # only what Redis has taken

    async def get(self, symbol: str) -> MarketSnapshot | None:
        """One snapshot, or None where it has expired. Raises InvalidMessage."""
        key = keys.market_snapshot(symbol)
        with _named(key, "hash"):
            fields = await self._client.hgetall(key)
        if not fields:
            return None
        text = {_text(name): _text(value) for name, value in fields.items()}
        return MarketSnapshot.from_hash(symbol, text, await self._client.now())

    async def samples(self, symbols: Sequence[str]) -> list[RawSample | InvalidMessage]:
        """The raw SAMPLE_FIELDS of each symbol, in the order of `symbols`; a hash that has expired gives Nones.

        A key that somebody made of another type gives the InvalidMessage("type") that names it.
        """
        asked = [keys.market_snapshot(symbol) for symbol in symbols]
        replies = await self._client.bulk((("HMGET", key, *SAMPLE_FIELDS) for key in asked), raise_on_error=False)
        samples: list[RawSample | InvalidMessage] = []
        for key, reply in zip(asked, replies, strict=True):
            refused = _refusal(key, "hash", reply) if isinstance(reply, RedisError) else None
            if isinstance(refused, RedisError):
                raise refused  # nothing that another symbol would be spared
            samples.append(refused or tuple(reply))
        return samples

    async def symbols(self, on_bad: OnBad = _ignore) -> list[str]:
        """All that have a snapshot now."""
        return await scan(self._client, keys.MARKET_SNAPSHOT, on_bad)


_QUOTES = frozenset(OPTIONAL_FIELDS)
_ALL_FIELDS = len(SAMPLE_FIELDS) + len(OPTIONAL_FIELDS)


class MarketFeeds(_Structure):
    """`market:feed:{ID}`: the announcements of live feeds. They expire after seconds if they are not renewed."""

    async def announce(self, feed_id: str, about: dict[str, Any], lifetime: float = keys.FEED_TTL_SECONDS) -> None:
        """Announce that the feed is alive, for `lifetime` seconds. `about`: JSON values about it, such as `source`
        and `symbols`. Raises InvalidName; RedisError."""
        await self._client.set(keys.market_feed(feed_id), orjson.dumps(about), px=round(lifetime * 1000))

    async def withdraw(self, feed_id: str) -> None:
        """Remove the announcement of a feed that has ended. Raises InvalidName; RedisError."""
        await self._client.delete(keys.market_feed(feed_id))

    async def alive(self, on_bad: OnBad = _ignore) -> dict[str, dict[str, Any]]:
        """What each live feed reports about itself, by its ID."""
        feed_ids = await scan(self._client, keys.MARKET_FEED, on_bad, MOST_FEEDS)
        return await self._values(keys.market_feed, feed_ids, load_object, on_bad)


class AgentStates(_Structure):
    """`agent:state:{agent_id}`: the state of an agent, which expires an hour after its last write."""

    async def get(self, agent_id: str) -> dict[str, Any] | None:
        """What was set last, or None where it is forgotten. Raises InvalidMessage, InvalidName; RedisError."""
        payload = await self._value(keys.agent_state(agent_id))
        return None if payload is None else load_object(payload)

    async def set(self, agent_id: str, memory: dict[str, Any]) -> None:
        """Remember this, what JSON can hold, for an hour. Raises InvalidName; RedisError."""
        await self._client.set(keys.agent_state(agent_id), orjson.dumps(memory), ex=keys.AGENT_STATE_TTL_SECONDS)


class TaskQueue(_Structure):
    """`queue:tasks`, first in, first out. A task that was popped is not kept, even if its consumer fails."""

    async def push(self, task: dict[str, Any]) -> int:
        """Append a task, what JSON can hold; the queue's new length. Raises RedisError."""
        return int(await self._client.lpush(keys.TASK_QUEUE, orjson.dumps(task)))

    async def pop(self, wait: int = 1) -> dict[str, Any] | None:
        """The oldest task, or None after `wait` seconds.

        Waits in slices of a second, which no command timeout cuts short. Raises InvalidMessage for a
        task that is no JSON object; it is off the queue then.
        """
        for _ in range(max(1, wait)):
            reply = await self._client.brpop([keys.TASK_QUEUE], timeout=1)
            if reply is not None:
                return load_object(reply[1])
        return None


class StrategyLeaderboard(_Structure):
    """`leaderboard:strategies`: strategies by Sharpe ratio."""

    async def score(self, sharpe_ratios: dict[str, float]) -> None:
        """Set the ratios of these strategies, by name. Raises RedisError."""
        await self._client.zadd(keys.STRATEGY_LEADERBOARD, sharpe_ratios)

    async def top(self, n: int = 5) -> list[tuple[str, float]]:
        """The names and ratios of the `n` best, best first. Raises RedisError."""
        if n < 1:
            return []  # to Redis, an end of -1 is the last of all
        rows: Any = await self._client.zrevrange(keys.STRATEGY_LEADERBOARD, 0, n - 1, withscores=True)
        return [(_text(member), float(score)) for member, score in rows]


async def publish_trade_signal(client: Client, signal: TradeSignal) -> int:
    """On `trade_signals`; how many subscribers received it."""
    return int(await client.publish(keys.TRADE_SIGNALS, signal.to_bytes()))


async def publish_agent_update(client: Client, agent_id: str, timestamp: str, data: dict[str, Any]) -> int:
    """An AGENT_UPDATE on `state_update`; how many subscribers received it."""
    return int(await client.publish(keys.STATE_UPDATE, agent_update(agent_id, timestamp, data).payload))


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")
