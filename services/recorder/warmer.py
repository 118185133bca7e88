"""Offers samples of the record to feynman, for windows that have just begun: in `market:warm:{SYMBOL}`.

Feynman says in its HEARTBEATs whether it has such windows, and how long one is; which ones, the states say by their
`samples`. Offered are the rows before the window's first state, of the same source, feed, native symbol and run. All
that is in Redis at a time is bounded: the next are written when feynman has deleted those.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from common import logs
from cottage.errors import CottageError, InvalidMessage, RedisError
from cottage.keys import MOST_SHARDS, WARM_TTL_SECONDS
from cottage.log import Throttled
from cottage.messages import Heartbeat, parse_state_update
from cottage.record.record import Record
from cottage.redis import Client
from cottage.store import WarmStarts, batches
from cottage.warm import COLUMNS, KEPT_SECONDS, LEAD, MOST_BYTES, MOST_BYTES_IN_ALL, WarmSamples
from services.recorder import metrics

TOGETHER = 64
"""So many symbols are read together: some 40 MB."""
AT_A_TURN = 256
"""So many symbols are offered at a turn."""
MOST_OFFERS = 2
"""So often one window is offered samples: a key may have got lost, or been read by nobody in time."""
AGAIN_SECONDS = WARM_TTL_SECONDS + 5.0
"""When that is known, for it has expired by then."""
RENEWED_SECONDS = 600.0
"""A key that nobody has taken for so long is left to expire."""
HEARD_SECONDS = 10.0
"""What a HEARTBEAT says of windows holds for so long."""
FARTHEST_SECONDS = 3600.0
"""The newest sample is looked for so far before the window began, beside twice as long as a window lasts."""

log = logs.get_logger()
throttled = Throttled(log)


class _Which(NamedTuple):
    """Whose samples a window has."""

    source: str
    feed: str | None
    native: str | None
    run: int


@dataclass(slots=True)
class _YoungWindow:
    """A window that is not full."""

    which: _Which
    begun: int
    """The market's time of its first state that was seen, in microseconds since 1970."""
    first: int
    """How many samples it had then."""
    samples: int
    step: float
    offers: int = 0
    offered_at: float = -math.inf


class Warmer:
    """The windows that are not full, and the keys that were written and are in Redis still."""

    def __init__(self, folder: Path, monotonic: Callable[[], float]) -> None:
        self._folder = folder
        self._monotonic = monotonic
        self._young: dict[str, _YoungWindow] = {}
        self._told: dict[str, tuple[Heartbeat, float]] = {}
        """What each shard said last, and when."""
        self._standing: dict[str, int] = {}
        """The bytes of each key that is in Redis still, as far as is known."""
        self._largest = 0
        """The bytes of the largest value so far."""
        self.offered = 0

    def heartbeat(self, payload: bytes, database: int) -> None:
        """A message has come that is no PHYSICS_UPDATE."""
        if not payload.startswith(b'{"event":"HEARTBEAT"'):
            return
        try:
            message = parse_state_update(payload, None, database)
        except InvalidMessage:
            return  # the bridge says so
        if isinstance(message, Heartbeat):
            now = self._monotonic()
            self._told = {shard: told for shard, told in self._told.items() if now - told[1] < HEARD_SECONDS}
            if len(self._told) < MOST_SHARDS:
                self._told[message.shard] = message, now

    @property
    def window(self) -> int | None:
        """How many samples a window holds; None where feynman does not say so, or has none that may be filled."""
        now = self._monotonic()
        told = (each for each, at in self._told.values() if now - at < HEARD_SECONDS and each.cold)
        return max((each.window for each in told if each.window), default=None)

    def saw(self, symbol: str, said: Mapping[str, Any], at: int, run: int) -> None:
        """A state was recorded that says this; `at`: its market's time, in microseconds since 1970."""
        samples, source = said.get("samples"), said.get("source")
        if not (type(samples) is int and isinstance(source, str)):
            return
        which = source, said.get("feed"), said.get("native"), run
        held = self._young.get(symbol)
        if held is None or held.which != which or samples < held.samples:
            step = said.get("step") or 1.0
            runs = samples * step > KEPT_SECONDS  # it began long before, under a recorder that has ended
            offers = MOST_OFFERS if runs else 0
            self._young[symbol] = _YoungWindow(_Which(*which), at, samples, samples, step, offers)
        else:
            held.samples, held.step = samples, said.get("step") or held.step

    async def run(self, client: Client, seconds: float) -> None:
        """Offer samples every so many seconds, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.turn(client)
            except (RedisError, CottageError, OSError, ValueError) as error:  # of Redis, or of the record
                throttled.warning("warm_start_failed", "", error=str(error))

    async def turn(self, client: Client) -> None:
        """Offer samples, if feynman has windows for them and there is room. Raises RedisError, and whatever
        Record.scan does."""
        window = self.window
        if window is None:
            return
        starts = WarmStarts(client)
        if self._standing:
            there = await starts.renew([symbol for symbol in self._standing if self._may_be_taken(symbol, window)])
            self._standing = {symbol: size for symbol, size in self._standing.items() if symbol in there}
        await self._write(starts, await self._next(window))

    async def _next(self, window: int) -> dict[str, bytes]:
        """What the record has for the windows that are next, as far as there is room. They are written together, so
        that feynman fills them together."""
        room = MOST_BYTES_IN_ALL - sum(self._standing.values())
        chosen: dict[str, bytes] = {}
        for part in batches(self._wanting(window), TOGETHER):
            if room < self._largest:
                break
            found = await asyncio.to_thread(self._read, dict(part), window)
            self._largest = max([self._largest, *map(len, found.values())])
            for symbol, young in part:
                payload = found.get(symbol, b"")
                if len(payload) <= room:
                    young.offers, young.offered_at = young.offers + 1, self._monotonic()
                    room -= len(payload)
                    if payload:
                        chosen[symbol] = payload
        return chosen

    async def _write(self, starts: WarmStarts, payloads: Mapping[str, bytes]) -> None:
        if not payloads:
            return
        await starts.write(payloads)
        self._standing |= {symbol: len(payload) for symbol, payload in payloads.items()}
        self.offered += len(payloads)
        metrics.WARM_OFFERED.inc(len(payloads))
        log.info("warm_starts_offered", symbols=len(payloads), first=sorted(payloads)[:10])

    def _may_be_taken(self, symbol: str, window: int) -> bool:
        """Whether the key of this symbol is to live on."""
        young = self._young[symbol]
        return young.samples < window and self._monotonic() - young.offered_at < RENEWED_SECONDS

    def _wanting(self, window: int) -> list[tuple[str, _YoungWindow]]:
        """The windows to which samples may be offered now, by symbol, as the record's files are sorted."""
        now = self._monotonic()
        wanting = [
            (symbol, young)
            for symbol, young in self._young.items()
            if young.samples < window
            and young.offers < MOST_OFFERS
            and now - young.offered_at > AGAIN_SECONDS
            and symbol not in self._standing
        ]
        return sorted(wanting, key=lambda each: each[0])[:AT_A_TURN]

    def _read(self, wanting: Mapping[str, _YoungWindow], window: int) -> dict[str, bytes]:
        """What the record has for these windows. It is called in a thread."""
        most, begun = window + LEAD, [young.begun for young in wanting.values()]
        seconds = FARTHEST_SECONDS + 2 * most * max(young.step for young in wanting.values())
        names = list(dict.fromkeys((*COLUMNS, "symbol", "at", "run", "epoch", "seq", "number", "samples")))
        try:
            rows = Record(self._folder).scan(
                "samples", names, symbols=list(wanting), at=(min(begun) - round(seconds * 1e6), max(begun))
            )
        except FileNotFoundError:
            return {}
        rows = rows.sort_by([(name, "ascending") for name in ("symbol", "epoch", "seq", "number")])
        found = {}
        for symbol, young in wanting.items():
            samples = _of(rows, symbol, young, most)
            payload = b"" if samples is None else samples.to_bytes()
            if 0 < len(payload) <= MOST_BYTES:
                found[symbol] = payload
        return found


def _of(rows: Any, symbol: str, young: _YoungWindow, most: int) -> WarmSamples | None:
    """The newest rows of this symbol that may come before this window."""
    from pyarrow import compute

    condition = (compute.field("symbol") == symbol) & (compute.field("at") < young.begun)
    for name, value in young.which._asdict().items():
        field = compute.field(name)
        condition &= field.is_null() if value is None else field == value
    chosen = rows.filter(condition)
    before = len(chosen) - _own(chosen["samples"].to_pylist(), young.first)
    return WarmSamples.recorded(chosen.slice(max(0, before - most), min(before, most)).to_pydict())


def _own(samples: Sequence[int | None], first: int) -> int:
    """How many of these rows, the newest last, are of the window itself, which has so many samples after them."""
    own = 0
    for place, number in enumerate(reversed(samples), 1):
        if number is not None:
            if number >= first:
                break
            first, own = number, place
    return own
