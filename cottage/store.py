"""Typed access to every structure that the suite has in Redis, on one client.

Names are checked before a command is sent, contents when they are read. An invalid value raises InvalidMessage if it
was asked for alone; from several it is left out, and `on_bad` is called with its name and the error.
"""

import contextlib
import secrets
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple, TypeVar, cast

import orjson

from cottage import keys, lease, lua
from cottage.clock import monotonic
from cottage.dead_holders import DeadHolders, fields_of, other_value
from cottage.errors import InvalidMessage, InvalidName, RedisError
from cottage.expiry import ExpiryLook, OutlivingKeys, lifetime_ms
from cottage.fields import load_object
from cottage.messages import TradeSignal, agent_update
from cottage.ownership import WriteRefusal, WriteRefusals
from cottage.process_name import is_dead, process_name
from cottage.redis import BATCH, Client, Command
from cottage.snapshot import (
    MARKET_FIELDS,
    MOST_FILL,
    OPTIONAL_FIELDS,
    REPORTED_FIELDS,
    SAMPLE_FIELDS,
    STAMP_FIELDS,
    MarketSnapshot,
    RawSample,
    parse_until,
    stamp,
)
from cottage.state import PhysicsState

WRITE_SNAPSHOTS = lua.load("cottage", "write_snapshots")
RELEASE_SNAPSHOT = lua.load("cottage", "release_snapshot")
RENEW_FEED = lua.load("cottage", "renew_feed")
CLEAR_SNAPSHOT = lua.load("cottage", "clear_snapshot")
WRITTEN_TOGETHER = 250
"""So many snapshots are written in one round trip, some two milliseconds of Redis."""
WHOLE_SECONDS = 10.0
"""All fields of a snapshot are written at least so often; in between only those that move, unless others changed."""

SCAN_COUNT = 1000  # 6 ms for 10,000 keys; the server's default of 10 takes 182

MOST_FEEDS = 1000
"""So many live feeds are read at most, so that foreign keys cannot fill a reader's memory."""

MOST_FEED_BYTES = 8 * 2**20
"""So long may be what they say of themselves in all: who lists 100,000 symbols says half of that."""

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


async def existing(client: Client, key: Callable[[str], str], names: Sequence[str]) -> set[str]:
    """Those of the names of which Redis has the key. Raises RedisError."""
    found: set[str] = set()
    for part in batches(names):
        exist = await client.bulk(("EXISTS", key(name)) for name in part)
        found.update(name for name, there in zip(part, exist, strict=True) if there)
    return found


def _is_of_type(reply: object) -> bool:
    """Whether this is Redis's error about a key's type."""
    return isinstance(reply, RedisError) and str(reply).startswith("WRONGTYPE")


def _refusal(key: str, wanted: str, error: RedisError) -> InvalidMessage | RedisError:
    """The InvalidMessage("type") for an error about this key's type; any other error as it is."""
    return InvalidMessage("type", f"{key} is no {wanted}") if _is_of_type(error) else error


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

    async def stored(self, symbols: Iterable[str], on_bad: OnBad = _ignore) -> dict[str, bytes]:
        """The same as they are stored, for callers that know most of them already and need not parse those."""
        return await self._values(keys.physics_state, list(symbols), bytes, on_bad)

    async def all(self, on_bad: OnBad = _ignore) -> dict[str, PhysicsState]:
        """The states of all symbols."""
        return await self.many(await scan(self._client, keys.PHYSICS_STATE, on_bad), on_bad)


_STAMP = slice(len(STAMP_FIELDS))
_FEED = SAMPLE_FIELDS.index("feed")
_Fields = dict[str, str | float]
"""The fields of a snapshot's hash that are known."""
_WRITTEN = (*REPORTED_FIELDS, *OPTIONAL_FIELDS, "native", *MARKET_FIELDS, "fill")
FILL_SECONDS = 5.0
"""The samples of so long are left in `market:fill:{SYMBOL}`, for readers that stood still."""
FILL_SLACK = 64
"""So many more are read than are wanted, since others may have been added since the snapshot was read."""


@dataclass(slots=True)
class _Fill:
    """What MarketSnapshots has handed over of a symbol in `market:fill:{SYMBOL}`."""

    number: int = field(default_factory=lambda: secrets.randbelow(2**52))
    """That of the newest sample. They begin anywhere, so that those of two writers do not follow one another."""
    recent: deque[tuple[float, int]] = field(default_factory=deque)
    """How many samples were handed over lately, with the monotonic time."""

    def kept(self, added: int, now: float) -> int:
        """How many samples are left in the list, with so many more; a few of another writer, that was then refused,
        may be among them."""
        self.recent.append((now, added))
        while now - self.recent[0][0] > FILL_SECONDS:
            self.recent.popleft()
        return min(sum(number for _at, number in self.recent) + 16, 2 * MOST_FILL)


@dataclass(slots=True)
class _Written:
    """What MarketSnapshots writes or wrote last of a symbol. Times are monotonic."""

    snapshot: MarketSnapshot
    moving: _Fields
    at: float
    whole_at: float
    """When all fields were written."""
    fill: _Fill | None = None
    """What was handed over of it, if anything was."""

    @property
    def stamp(self) -> str:
        """What the script writes to `seen`."""
        moving = self.moving
        return f"{moving['price']} {moving['timestamp']} {moving.get('volume', '')} {moving.get('trades', '')}"


class _Told(NamedTuple):
    """What the script is told of a symbol. Without `names` its ownership is renewed."""

    symbol: str
    gone: tuple[str, ...]
    """The fields that are to go."""
    names: tuple[str, ...]
    """The fields that are to be written, those of the stamp first."""
    stamp: str
    """Of the snapshot before, if the other fields are as they were in it; '' if these are all."""
    values: Iterable[str | float]


class MarketSnapshots(_Structure):
    """`market:snapshot:{SYMBOL}`, a hash that expires 60 s after its last write.

    Who writes a symbol owns it (cottage/ownership.py). A feed makes one of these, writes with it, and releases its
    symbols at its end.
    """

    def __init__(self, client: Client, feed: str | None = None, lifetime: float = keys.FEED_TTL_SECONDS) -> None:
        """For writing: the ID of the feed, and for how many seconds a symbol is its own after a write (60 at most).

        Raises InvalidName, ValueError."""
        super().__init__(client)
        if not 0 < lifetime <= keys.SNAPSHOT_TTL_SECONDS:
            raise ValueError(f"a lifetime is above 0 and at most {keys.SNAPSHOT_TTL_SECONDS} s: {lifetime}")
        self._feed = "" if feed is None else keys.symbol(feed)
        self._lifetime = lifetime
        self._written: dict[str, _Written] = {}
        """What we wrote last of each symbol that was ours."""
        self.doubtful: Counter[str] = Counter()
        """How many quotes were left out of what was written, `bid` or `ask`."""
        self.refusals = WriteRefusals()

    async def write(self, snapshots: Sequence[MarketSnapshot]) -> dict[str, WriteRefusal]:
        """Write snapshots, each completely or not at all; of several of one symbol the last. A field that is not
        reported any more is removed. A symbol that is spelled as its venue does is written as `symbol_of` makes it.
        The samples of a snapshot that has a `fill`, and its own, are first added to the list `market:fill:{SYMBOL}`.

        Returns the symbols that were not written, each with its reason: another feed has them, or another spelling of
        the same symbol was written before. Raises RedisError."""
        newest, refused = self._by_symbol(snapshots)
        for part in batches(list(newest.values()), WRITTEN_TOGETHER):
            now = monotonic()
            fills = await self._hand_over(part, now)
            known = {
                each.symbol: _Written(each, self._moving(each, fill), now, now, fill)
                for each, fill in zip(part, fills, strict=True)
            }
            others = await self._write([self._told(symbol, wanted) for symbol, wanted in known.items()], known)
            self._written.update((symbol, each) for symbol, each in known.items() if symbol not in others)
            refused |= others
        self.refusals.take([symbol for symbol in newest if symbol not in refused], refused, self._lifetime)
        return refused

    def _by_symbol(
        self, snapshots: Iterable[MarketSnapshot]
    ) -> tuple[dict[str, MarketSnapshot], dict[str, WriteRefusal]]:
        """The newest snapshot of each symbol, and what is refused: names of which no symbol can be made, and symbols
        that are spelled in another way than before."""
        newest: dict[str, MarketSnapshot] = {}
        refused: dict[str, WriteRefusal] = {}
        for each in snapshots:
            held = self._written.get(each.symbol)
            if held is not None and held.snapshot.native == each.native:  # as nearly always
                newest[each.symbol] = each.following(newest.get(each.symbol))
                continue
            try:
                named = each.named()
            except InvalidName as error:
                refused[each.symbol] = WriteRefusal("name", str(error))
                continue
            held = self._written.get(named.symbol)
            first = newest.get(named.symbol) if held is None else held.snapshot
            if first is None or first.native == named.native:
                newest[named.symbol] = named.following(newest.get(named.symbol))
            else:
                refused[named.symbol] = WriteRefusal("native", f"{named.spelling} beside {first.spelling}")
        return newest, refused

    async def renew(self) -> None:
        """Keep the symbols of which there has been nothing to write for a while. A feed of such symbols calls it
        several times in its lifetime. Raises RedisError."""
        now = monotonic()
        self._written = {
            symbol: held for symbol, held in self._written.items() if now - held.at < keys.SNAPSHOT_TTL_SECONDS
        }
        quiet = [symbol for symbol, held in self._written.items() if now - held.at > self._lifetime / 2]
        refused: dict[str, WriteRefusal] = {}
        for part in batches(quiet, WRITTEN_TOGETHER):
            # Others may have written meanwhile, and been refused.
            ours = {symbol: held for symbol in part if (held := self._written.get(symbol)) is not None}
            refused |= await self._write([_Told(symbol, (), (), held.stamp, ()) for symbol, held in ours.items()], {})
        self.refusals.take([], refused, self._lifetime)

    async def release(self) -> None:
        """Give all symbols back, so that another feed may write them at once. Raises RedisError."""
        release = self._client.register_script(RELEASE_SNAPSHOT)
        owned = [*self._written, *self.refusals.names]
        for part in batches(owned, WRITTEN_TOGETHER):
            await release.each([([keys.market_snapshot(symbol)], [process_name(), self._feed]) for symbol in part])
        self._written.clear()

    async def _hand_over(self, snapshots: Sequence[MarketSnapshot], now: float) -> list[_Fill | None]:
        """Add the samples of these snapshots to their lists, before the hashes tell of them. Returns for each what
        was handed over by now, if anything was. Where a hash is then not written, since another writer has the
        symbol, nobody takes them: they are found by their numbers."""
        fills: list[_Fill | None] = []
        commands: list[Command] = []
        for each in snapshots:
            if each.fill is None or each.symbol in self.refusals:
                fills.append(None)
                continue
            held, samples = self._written.get(each.symbol), (*each.fill, each)
            fill = (held and held.fill) or _Fill()
            kept = fill.kept(len(samples), now)
            if held is None:  # another writer may have the symbol, whose samples are not ours to remove
                kept = 2 * MOST_FILL
            key, elements = keys.market_fill(each.symbol), []
            for sample in samples:
                fill.number = fill.number + 1 if sample.number is None else sample.number
                elements.append(sample.element(fill.number))
            commands += [
                ("RPUSH", key, *elements),
                ("LTRIM", key, -kept, -1),
                ("EXPIRE", key, keys.FILL_TTL_SECONDS),
            ]
            fills.append(fill)
        if commands:
            await self._push(commands)
        return fills

    async def _push(self, commands: Sequence[Command]) -> None:
        """Send these commands to lists of ours; a key of another type is deleted, for it has no other use."""
        replies = await self._client.bulk(commands, raise_on_error=False)
        for reply in replies:
            if isinstance(reply, RedisError) and not _is_of_type(reply):
                raise reply
        pairs = zip(commands, replies, strict=True)
        if of_type := {str(key) for (_name, key, *_), reply in pairs if _is_of_type(reply)}:
            await self._client.bulk(("DEL", key) for key in of_type)

    def _moving(self, snapshot: MarketSnapshot, fill: _Fill | None) -> _Fields:
        moving = snapshot.moving(self._doubt)
        if fill is not None:
            moving["fill"] = fill.number
        for name in STAMP_FIELDS:  # as text once, for it is needed again
            if name in moving:
                moving[name] = str(moving[name])
        return moving

    def _doubt(self, error: InvalidMessage) -> None:
        self.doubtful[error.reason] += 1

    def _told(self, symbol: str, wanted: _Written) -> _Told:
        """What the script is told of a snapshot: the fields that move; or all, where another one has changed, and now
        and then, lest one that somebody else has changed stays so."""
        held = self._written.get(symbol)
        if (
            held is None
            or wanted.at - held.whole_at > WHOLE_SECONDS
            or held.moving.keys() != wanted.moving.keys()
            or held.snapshot.standing != wanted.snapshot.standing
        ):
            return self._whole(symbol, wanted)
        wanted.whole_at = held.whole_at
        return _Told(symbol, (), tuple(wanted.moving), held.stamp, wanted.moving.values())

    def _whole(self, symbol: str, wanted: _Written | None) -> _Told:
        """All fields of a snapshot; none for a symbol that is only renewed."""
        if wanted is None:
            return _Told(symbol, (), (), "", ())
        wanted.whole_at = wanted.at
        fields: _Fields = wanted.snapshot.to_hash() | wanted.moving
        gone = tuple(name for name in _WRITTEN if name not in fields)
        return _Told(symbol, gone, tuple(fields), "", fields.values())

    async def _write(self, told: Sequence[_Told], known: Mapping[str, _Written]) -> dict[str, WriteRefusal]:
        """Have this done; where Redis needs all fields, by those that are `known`. Returns what was refused."""
        ours = {each.symbol: known.get(each.symbol) or self._written[each.symbol] for each in told}
        try:
            replies = await self._run(told)
            again = [symbol for symbol, reply in replies.items() if reply == 0]
            again += await self._free_of_the_dead(replies)
            if again:
                replies |= await self._run([self._whole(symbol, known.get(symbol)) for symbol in again])
        except BaseException:  # it is not known which fields Redis has now
            for each in told:
                self._written.pop(each.symbol, None)
            raise
        refused = {
            symbol: WriteRefusal.from_reply(
                reply,
                keys.market_snapshot(symbol),
                ours[symbol].snapshot,
                self._source(symbol),
            )
            for symbol, reply in replies.items()
            if reply != 1
        }
        await self._clear([symbol for symbol, refusal in refused.items() if refusal.reason == "stranger"])
        for symbol in refused:
            self._written.pop(symbol, None)
        return refused

    async def _free_of_the_dead(self, replies: Mapping[str, Any]) -> list[str]:
        """Release the symbols that were refused because of owners who have certainly ended. Returns them."""
        owned = {
            symbol: reply[1] for symbol, reply in replies.items() if reply not in (0, 1) and reply[0] == b"owned"
        }
        dead = {}
        for by in set(owned.values()):
            feed, _, process = by.decode(errors="replace").rpartition(" ")
            if is_dead(process):
                dead[by] = [process, feed]
        freed = [symbol for symbol, by in owned.items() if by in dead]
        if freed:
            release = self._client.register_script(RELEASE_SNAPSHOT)
            await release.each([([keys.market_snapshot(symbol)], dead[owned[symbol]]) for symbol in freed])
        return freed

    async def _run(self, told: Sequence[_Told]) -> dict[str, Any]:
        """Run the script once for all of which it is told by the same fields; in a cluster for each symbol. Returns
        its answers."""
        ours = process_name(), self._feed, round(self._lifetime * 1000), keys.SNAPSHOT_TTL_SECONDS
        alike: dict[Any, list[_Told]] = {}
        for each in told:
            alike.setdefault(each.symbol if self._client.spread else (each.gone, each.names), []).append(each)
        calls = []
        for some in alike.values():
            _symbol, gone, names, _stamp, _values = some[0]
            arguments = [*ours, len(gone), *gone, len(names), *names]
            for each in some:
                arguments.append(each.stamp)
                arguments += each.values
            calls.append(([keys.market_snapshot(each.symbol) for each in some], arguments))
        replies = await self._client.register_script(WRITE_SNAPSHOTS).each(calls)
        symbols = (each.symbol for some in alike.values() for each in some)
        return dict(zip(symbols, chain.from_iterable(replies), strict=True))

    def _source(self, symbol: str) -> str | None:
        """The source of what we wrote last."""
        held = self._written.get(symbol)
        return None if held is None else held.snapshot.source

    async def _clear(self, symbols: Sequence[str]) -> None:
        """Remove what is left of ours in the hashes that a stranger has taken: he may report fewer fields. Without
        price and timestamp there is no sample, so that the window keeps what it has."""
        calls = []
        for symbol in symbols:
            if symbol in self._written:
                fields = self._written[symbol].snapshot.to_hash()
                calls.append(([keys.market_snapshot(symbol)], list(chain.from_iterable(fields.items()))))
        if calls:
            await self._client.register_script(CLEAR_SNAPSHOT).each(calls)

    async def get(self, symbol: str, on_bad: OnBad = _ignore) -> MarketSnapshot | None:
        """One snapshot, or None where it has expired. Raises InvalidMessage; `on_bad` is called for a field that is
        left out."""
        key = keys.market_snapshot(symbol)
        with _named(key, "hash"):
            fields = await self._client.hgetall(key)
        if not fields:
            return None
        text = {_text(name): _text(value) for name, value in fields.items()}
        now = await self._client.now()
        return MarketSnapshot.from_hash(symbol, text, now, lambda error: on_bad(symbol, error))

    async def samples(self, symbols: Sequence[str]) -> list[RawSample | InvalidMessage]:
        """The raw SAMPLE_FIELDS of each symbol, in the order of `symbols`; a hash that has expired gives Nones.

        A key that somebody made of another type gives the InvalidMessage("type") that names it, and one of which
        a stranger has overwritten single fields InvalidMessage("owner"), until its owner has made room or is gone.
        """
        asked = [keys.market_snapshot(symbol) for symbol in symbols]
        wanted = (*SAMPLE_FIELDS, "seen")
        replies = await self._client.bulk((("HMGET", key, *wanted) for key in asked), raise_on_error=False)
        samples: list[RawSample | InvalidMessage] = []
        seen: list[bytes | None] = []
        for key, reply in zip(asked, replies, strict=True):
            if isinstance(reply, RedisError):
                refusal = _refusal(key, "hash", reply)
                if isinstance(refusal, RedisError):
                    raise refusal  # nothing that another symbol would be spared
                samples.append(refusal)
                seen.append(None)
            else:
                seen.append(reply.pop())
                samples.append(tuple(reply))
        if overwritten := _overwritten(samples, seen):
            await self._leave_out(overwritten, asked, samples)
        return samples

    async def _leave_out(
        self, places: Sequence[int], asked: Sequence[str], samples: list[RawSample | InvalidMessage]
    ) -> None:
        """Replace the samples at these places, which are not as their feeds have written them.

        A feed that lives finds it at its next write, and leaves there what is the stranger's: until then nobody can
        tell whose each field is. What is in the hash of one that is gone is the stranger's.
        """
        owned = await self._client.bulk(("HMGET", asked[place], "owned_until") for place in places)
        now = await self._client.now()
        for place, (until,) in zip(places, owned, strict=True):
            sample = samples[place]
            if now < parse_until(until) <= now + keys.SNAPSHOT_TTL_SECONDS:
                text = f"somebody has written some fields of {asked[place]} over those of its feed"
                samples[place] = InvalidMessage("owner", text)
            elif not isinstance(sample, InvalidMessage):
                samples[place] = (*sample[:_FEED], None, *sample[_FEED + 1 :])

    async def fills(self, wanted: Mapping[str, int]) -> dict[str, list[bytes]]:
        """The newest elements of the lists `market:fill:{SYMBOL}`, in order: of each symbol so many at least, as far
        as there are. The newest may be newer than a snapshot that was read before. A key of another type is none."""
        asked = [
            ("LRANGE", keys.market_fill(symbol), -2 * min(number, MOST_FILL) - FILL_SLACK, -1)
            for symbol, number in wanted.items()
        ]
        replies = await self._client.bulk(asked, raise_on_error=False) if asked else []
        found = {}
        for symbol, reply in zip(wanted, replies, strict=True):
            if not isinstance(reply, RedisError):
                found[symbol] = reply
            elif isinstance(refusal := _refusal(keys.market_fill(symbol), "list", reply), RedisError):
                raise refusal
        return found

    async def symbols(self, on_bad: OnBad = _ignore) -> list[str]:
        """All that have a snapshot now."""
        return await scan(self._client, keys.MARKET_SNAPSHOT, on_bad)


def _overwritten(samples: Sequence[Any], seen: Sequence[bytes | None]) -> list[int]:
    """The places of those samples, or errors, that are not as their feed has written them. `seen`: what the script
    has seen of each last. A tick asks this of all symbols at once."""
    with contextlib.suppress(TypeError):  # of a None or an error, which is no usual sample
        if [b" ".join(sample[_STAMP]) for sample in samples] == seen:
            return []
    return [
        place
        for place, (sample, stamped) in enumerate(zip(samples, seen, strict=True))
        if stamped is not None and sample[_FEED] is not None and stamped != stamp(sample[_STAMP])
    ]


class WarmStarts(_Structure):
    """`market:warm:{SYMBOL}`: samples from the record for windows that have just begun (cottage/warm.py). The
    recorder writes and renews them, feynman's writer deletes them, and they expire a minute after that."""

    async def sizes(self, symbols: Sequence[str]) -> dict[str, int | InvalidMessage]:
        """How many bytes there are for each of these symbols for which there is a key; an InvalidMessage("type") for
        one of another type. Raises RedisError."""
        found: dict[str, int | InvalidMessage] = {}
        for part in batches(symbols):
            asked = (("STRLEN", keys.market_warm(symbol)) for symbol in part)
            for symbol, reply in zip(part, await self._client.bulk(asked, raise_on_error=False), strict=True):
                if not isinstance(reply, RedisError):
                    if reply:
                        found[symbol] = reply
                elif isinstance(refusal := _refusal(keys.market_warm(symbol), "string", reply), RedisError):
                    raise refusal
                else:
                    found[symbol] = refusal
        return found

    async def read(self, sizes: Mapping[str, int]) -> dict[str, bytes]:
        """What is there for these symbols, no more bytes of each than that. Raises RedisError."""
        asked = (("GETRANGE", keys.market_warm(symbol), 0, size - 1) for symbol, size in sizes.items())
        replies = await self._client.bulk(asked, raise_on_error=False)
        pairs = zip(sizes, replies, strict=True)
        return {symbol: reply for symbol, reply in pairs if reply and not isinstance(reply, RedisError)}

    async def write(self, payloads: Mapping[str, bytes]) -> None:
        """Set these for a minute. Raises RedisError."""
        lifetime = keys.WARM_TTL_SECONDS
        await self._client.bulk(
            ("SET", keys.market_warm(symbol), payload, "EX", lifetime) for symbol, payload in payloads.items()
        )

    async def renew(self, symbols: Sequence[str]) -> set[str]:
        """Have these keys live for another minute. Returns the symbols for which there is one. Raises RedisError."""
        asked = [("EXPIRE", keys.market_warm(symbol), keys.WARM_TTL_SECONDS) for symbol in symbols]
        return {symbol for symbol, there in zip(symbols, await self._client.bulk(asked), strict=True) if there}

    async def remove(self, symbols: Iterable[str]) -> None:
        """Delete the keys of these symbols. Raises RedisError."""
        await self._client.bulk(("UNLINK", keys.market_warm(symbol)) for symbol in symbols)


class MarketFeeds(_Structure):
    """`market:feed:{ID}`: the announcements of live feeds. They expire after seconds if they are not renewed.

    An ID belongs to one process at a time. Redis's clock may be set back, and would then keep the announcement of a
    feed that died (cottage/expiry.py); who wants to notice that asks the same object again and again.
    """

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._announced: dict[str, bytes] = {}
        """What Redis holds of the feeds that this process announces, as far as is known."""
        self.refusals = WriteRefusals()
        self._outliving = OutlivingKeys()
        self._in_the_way: dict[str, DeadHolders] = {}
        """By the ID that this process wants to announce: whether another process has it, or none any more."""

    async def announce(
        self, feed_id: str, about: dict[str, Any], lifetime: float = keys.FEED_TTL_SECONDS
    ) -> WriteRefusal | None:
        """Announce that the feed is alive, for `lifetime` seconds. `about`: JSON values about it, such as `source`,
        `symbols`, `complete` where these are all of its symbols, and `ended_at`, in seconds since 1970, once it has
        ended and brings nothing more.

        Returns None; or, where another process has announced the ID, which, and nothing is done: the feed may work
        all the same. What is no announcement, or of a feed that has ended, is replaced. Raises InvalidName;
        RedisError."""
        key, milliseconds = keys.market_feed(feed_id), round(lifetime * 1000)
        ours = _own_beginning()
        value = ours + orjson.dumps({**about, "lifetime_ms": milliseconds})[1:]
        if self._announced.get(feed_id) == value:
            if await self._client.register_script(RENEW_FEED)(keys=[key], args=[ours, milliseconds]):
                return None
            del self._announced[feed_id]
        acquire = self._client.register_script(lease.ACQUIRE)
        holders = self._in_the_way.setdefault(feed_id, DeadHolders(self._client, _announcer))
        asked = monotonic()
        for _attempt in range(2):
            other = other_value(key, await acquire(keys=[key], args=[ours, value, milliseconds]))
            if other is None or not (
                await self._took_over(key, other, about) or await holders.discard({key: other}, asked)
            ):
                break
        refusal = None if other is None else WriteRefusal("id", holders.name(other))
        if refusal is None:
            self._announced[feed_id] = value
        self.refusals.take([] if refusal else [feed_id], {feed_id: refusal} if refusal else {}, lifetime)
        return refusal

    @property
    def in_doubt(self) -> bool:
        """Whether some of the feeds that were alive at the last look may be dead: who looks again will know."""
        return self._outliving.in_doubt

    async def withdraw(self, feed_id: str) -> None:
        """Remove this process's announcement of a feed that has ended. Raises InvalidName; RedisError."""
        ours = _own_beginning()
        self._announced.pop(feed_id, None)
        await self._client.register_script(lease.RELEASE)(keys=[keys.market_feed(feed_id)], args=[ours])

    async def _readable(self, feed_ids: Sequence[str], on_bad: OnBad) -> list[str]:
        """Those whose announcements are MOST_FEED_BYTES in all, the shortest first."""
        asked = (("STRLEN", keys.market_feed(feed_id)) for feed_id in feed_ids)
        replies = await self._client.bulk(asked, raise_on_error=False)  # a key of another type has no length
        lengths = [0 if isinstance(reply, RedisError) else reply for reply in replies]
        chosen, left = [], MOST_FEED_BYTES
        for length, feed_id in sorted(zip(lengths, feed_ids, strict=True)):
            left -= length
            if left < 0:
                on_bad(feed_id, InvalidMessage("size", f"{keys.market_feed(feed_id)} has {length} bytes"))
            else:
                chosen.append(feed_id)
        return sorted(chosen)

    async def _took_over(self, key: str, other: bytes, about: Mapping[str, Any]) -> bool:
        """Remove another process's announcement of a feed that has ended, for one that has not."""
        if about.get("ended_at") is not None or fields_of(other).get("ended_at") is None:
            return False
        return bool(await self._client.register_script(lease.RELEASE)(keys=[key], args=[other]))

    async def alive(self, on_bad: OnBad = _ignore) -> dict[str, dict[str, Any]]:
        """What each live feed reports about itself, by its ID."""
        asked = monotonic()
        feed_ids = await self._readable(await scan(self._client, keys.MARKET_FEED, on_bad, MOST_FEEDS), on_bad)
        found = await self._values(keys.market_feed, feed_ids, load_object, on_bad)
        left = await self._client.bulk(("PTTL", keys.market_feed(feed_id)) for feed_id in found)
        looks = {
            feed_id: ExpiryLook(lifetime_ms(about), pttl)
            for (feed_id, about), pttl in zip(found.items(), left, strict=True)
        }
        for feed_id in self._outliving.dead(looks, asked):
            del found[feed_id]
        for about in found.values():  # those of the announcement, not of the feed
            about.pop("owner", None)
            about.pop("lifetime_ms", None)
        return found


def _own_beginning() -> bytes:
    """How every announcement of this process begins, by which the lease's scripts know it."""
    return orjson.dumps({"owner": process_name()})[:-1] + b","


def _announcer(about: Mapping[str, object]) -> str:
    """The process that announced a feed, '' for one without a name."""
    owner = about.get("owner")
    return owner if isinstance(owner, str) else ""


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
    return int(await client.publish(keys.TRADE_SIGNALS, signal.to_bytes(client.database)))


async def publish_agent_update(client: Client, agent_id: str, timestamp: str, data: dict[str, Any]) -> int:
    """An AGENT_UPDATE on `state_update`; how many subscribers received it."""
    update = agent_update(agent_id, timestamp, data, client.database)
    return int(await client.publish(keys.STATE_UPDATE, update.payload))


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")
