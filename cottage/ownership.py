"""Which feed owns a symbol: of several that could write its market snapshot, one at a time does.

The snapshot's hash says it itself: `feed` and `owner` name the feed and the process that wrote last, `owned_until`
says until when, in Redis's milliseconds, nobody else may write, and `rival` who else would like to. A script decides
(cottage/write_snapshots.lua). A stranger that knows nothing of this and writes by HSET is found by the fields from
which numbers are computed, which are not as the script wrote them last; it owns the symbol until it has been silent
for 60 s. What a process of this machine owned that has ended is free at once.

MarketSnapshots uses this: what is here says why a snapshot was refused, and logs it.
"""

import heapq
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cottage import keys
from cottage.clock import monotonic
from cottage.log import Throttled, get_logger
from cottage.snapshot import UNKNOWN_SOURCE, MarketSnapshot

MOST_PAIRS = 20
"""How many pairs `WriteRefusals.report` lists at most."""
MOST_NAMED = 10

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WriteRefusal:
    """Why a snapshot was not written."""

    reason: Literal["owned", "stranger", "type", "id", "contest", "native", "name"]
    """`owned`: another feed or process has the symbol. `stranger`: somebody writes it by HSET. `type`: its key is no
    hash. `id`, of an announcement: another process has it. `contest`: feynman found two that write one symbol.
    `native`: the symbol stands for another spelling of a venue already. `name`: no symbol can be made of it."""
    by: str
    """The feed and the process that have the symbol; the `source` of the stranger; the key; both that write it; both
    spellings; what is wrong with the name."""

    @classmethod
    def from_reply(
        cls, reply: Sequence[bytes], key: str, snapshot: MarketSnapshot, own_source: str | None
    ) -> "WriteRefusal":
        """What the script answered that was to write this snapshot at `key`. `own_source`: that of what we wrote
        there last, which is no stranger's name."""
        reason, by, native = (text.decode(errors="replace") for text in reply)
        if reason == "type":
            return cls("type", key)
        if reason == "stranger":
            return cls("stranger", UNKNOWN_SOURCE if by in ("", own_source) else by[:32])
        theirs = native or snapshot.symbol
        if theirs != snapshot.spelling:
            return cls("native", f"{snapshot.spelling} beside {theirs[: keys.LONGEST_NATIVE]} of {by.strip()}")
        return cls("owned", by.strip())


class WriteRefusals:
    """What a feed may not write now: symbols, or its ID. Each pair of writers is logged once, until there is one."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        """`now`: the monotonic clock."""
        self._now = now
        self._refused: dict[str, tuple[WriteRefusal, float]] = {}
        """By symbol or ID, with the time of its last refusal."""
        self._pairs: dict[WriteRefusal, float] = {}
        """Since when there is each; infinite for one that was said."""
        self._throttled = Throttled(log, monotonic=now)

    def __contains__(self, name: str) -> bool:
        """Whether this symbol or ID was refused last."""
        return name in self._refused

    @property
    def names(self) -> list[str]:
        """The symbols or IDs that were refused last."""
        return list(self._refused)

    def take(self, written: Collection[str], refused: Mapping[str, WriteRefusal], lifetime: float) -> None:
        """Take note of a write: what was written, and what was refused.

        lifetime: seconds for which the ownership of a killed process lasts, which is then no second writer yet."""
        if not (self._refused or refused):
            return
        now = self._now()
        for symbol in written:
            self._refused.pop(symbol, None)
        self._refused.update((symbol, (refusal, now)) for symbol, refusal in refused.items())
        # Of a symbol that is not written any more it is not known who has it.
        recent = now - keys.SNAPSHOT_TTL_SECONDS
        self._refused = {symbol: entry for symbol, entry in self._refused.items() if entry[1] >= recent}
        self._say(now, lifetime)

    def report(self) -> list[dict[str, Any]]:
        """Each pair as JSON values, for a status: `reason`, `by`, how many `symbols`, the `first` of them."""
        largest = heapq.nlargest(MOST_PAIRS, self._symbols().items(), key=lambda pair: len(pair[1]))
        return [
            {"reason": pair.reason, "by": pair.by, "symbols": len(symbols), "first": _first(symbols)}
            for pair, symbols in largest
        ]

    def _say(self, now: float, lifetime: float) -> None:
        pairs = self._symbols()
        ended: dict[str, list[str]] = {}
        for pair in self._pairs.keys() - pairs.keys():
            if self._pairs.pop(pair) == math.inf:
                ended.setdefault(pair.reason, []).append(pair.by)
        for reason, others in ended.items():
            log.info("refusal_ended", reason=reason, pairs=len(others), by=_first(others))
        for pair, symbols in pairs.items():
            since = self._pairs.setdefault(pair, now)
            if since + (lifetime if pair.reason in ("owned", "id", "native") else 0.0) <= now:
                self._pairs[pair] = math.inf
                self._throttled.warning(
                    "wrong_type" if pair.reason == "type" else "bad_name" if pair.reason == "name" else "two_writers",
                    pair.by,
                    by=pair.by,
                    reason=pair.reason,
                    symbols=len(symbols),
                    first=_first(symbols),
                )

    def _symbols(self) -> dict[WriteRefusal, list[str]]:
        """What each pair is about."""
        pairs: dict[WriteRefusal, list[str]] = {}
        for symbol, (refusal, _at) in self._refused.items():
            pairs.setdefault(refusal, []).append(symbol)
        return pairs


def _first(names: Sequence[str]) -> list[str]:
    return heapq.nsmallest(MOST_NAMED, names)
