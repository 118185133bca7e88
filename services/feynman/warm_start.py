"""Warm start: fills windows that have just begun with what the recorder offers in `market:warm:{SYMBOL}`.

It works between the ticks, in slices, so that no tick is late. The writer and its standbys do the same; the writer
alone deletes the keys, at its next look at the earliest, so that a standby that looks as often has seen them.
"""

import math
from collections.abc import Collection, Mapping

from common import logs
from cottage.clock import Clock
from cottage.errors import InvalidMessage, RedisError
from cottage.log import Throttled
from cottage.redis import Client
from cottage.store import WarmStarts, batches
from cottage.warm import MOST_BYTES, MOST_BYTES_IN_ALL, WarmSamples
from services.feynman import metrics
from services.feynman.admission import NAMED
from services.feynman.symbol_table import SymbolTable
from services.feynman.warming import MOST_TOGETHER

SHARE = 0.5
"""The share of the time that a tick leaves until the next in which windows are filled."""
SLICE_SECONDS = 0.01
"""So long it works before it lets others do so."""
READ_TOGETHER = 32
"""So many keys are read in one round trip."""
REFUSED_SECONDS = 10.0
"""A key that was refused is not read again for so long."""

log = logs.get_logger()


class WarmStart:
    """Reads the keys, has the symbol table fill its windows with them, and deletes them as the writer."""

    def __init__(self, symbol_table: SymbolTable, clock: Clock) -> None:
        self._symbol_table = symbol_table
        self._clock = clock
        self._taken: set[str] = set()
        """The symbols whose keys were read, and are to be deleted."""
        self._found = 0
        """How many keys there were at the last look."""
        self._refused: dict[str, float] = {}
        """When the keys of these were refused."""
        self._throttled = Throttled(log, monotonic=clock.monotonic)

    def moved_in(self, symbols: Collection[str]) -> None:
        """The windows of these symbols have been filled."""
        if symbols:
            metrics.WARMED.inc(len(symbols))
            log.info("windows_warmed", symbols=len(symbols), first=sorted(symbols)[:NAMED])

    async def turn(self, client: Client, interval: float, took: float, writer: bool) -> None:
        """Look for keys, if windows may be filled and none are, and go on filling them for a while. It is called
        after each tick of our own, which `took` so many seconds of the `interval`. `writer`: whether this process has
        the lease."""
        seconds = max(SLICE_SECONDS, SHARE * (interval - took))
        try:
            await self._turn(client, self._clock.monotonic() + seconds, writer)
        except RedisError as error:  # an ACL may forbid it: states are written all the same
            self._throttled.warning("warm_start_failed", "", error=str(error))

    async def _turn(self, client: Client, until: float, writer: bool) -> None:
        """Do so. Raises RedisError."""
        warming = self._symbol_table.warming
        warming.give_up()
        if not warming.busy:
            taken, self._taken = self._taken, set()
            if writer and taken:
                await WarmStarts(client).remove(taken)
            if wanted := self._symbol_table.warmable(self._clock.monotonic()):
                await self._look(client, wanted)
        while self._clock.monotonic() < until:
            if not warming.work(self._clock.monotonic() + SLICE_SECONDS, self._clock.monotonic):
                break
            await self._clock.sleep(0.0)

    async def _look(self, client: Client, wanted: list[str]) -> None:
        """Begin to fill the windows of some of these symbols, for which there is a key. Raises RedisError."""
        starts, now = WarmStarts(client), self._clock.monotonic()
        self._refused = {symbol: at for symbol, at in self._refused.items() if now - at < REFUSED_SECONDS}
        sizes = await starts.sizes([symbol for symbol in wanted if symbol not in self._refused])
        found, self._found = self._found, len(sizes)
        if found < len(sizes) < MOST_TOGETHER:  # more are coming, and to fill few windows takes as long
            return
        chosen = self._within_limits(sizes)
        redis_now = await client.now() if chosen else math.nan
        for part in batches(list(chosen), READ_TOGETHER):
            for symbol, payload in (await starts.read({symbol: chosen[symbol] for symbol in part})).items():
                try:
                    self._symbol_table.warm(symbol, WarmSamples.from_bytes(payload, redis_now))
                except InvalidMessage as error:
                    self._refuse(symbol, error)
                await self._clock.sleep(0.0)
        self._symbol_table.warming.begin()
        self._taken = set(chosen) | set(self._refused)

    def _within_limits(self, sizes: Mapping[str, int | InvalidMessage]) -> dict[str, int]:
        """The first of these, with their sizes, that may be read together; what cannot be read at all is refused."""
        chosen: dict[str, int] = {}
        left = MOST_BYTES_IN_ALL
        for symbol, size in sizes.items():
            if isinstance(size, InvalidMessage):
                self._refuse(symbol, size)
            elif size > MOST_BYTES:
                self._refuse(symbol, InvalidMessage("size", f"{size} bytes, at most {MOST_BYTES} are allowed"))
            elif size <= left and len(chosen) < MOST_TOGETHER:
                chosen[symbol] = size
                left -= size
        return chosen

    def _refuse(self, symbol: str, error: InvalidMessage) -> None:
        """Count and say what is not taken. It is deleted like what is."""
        self._refused[symbol] = self._clock.monotonic()
        metrics.WARM_REFUSED.labels(error.reason).inc()
        self._throttled.warning(
            "warm_start_refused", error.reason, symbol=symbol, reason=error.reason, error=error.detail
        )
