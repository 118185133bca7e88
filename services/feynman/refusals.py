"""What feynman refuses now: snapshots, with every field at fault, and keys whose names are no symbols.

Fields that are left out of snapshots that are used are counted and said too. The service has one of these. It counts
what is refused, says it in the log by the rule of
common/refusal_tally.py, and tells of it in /status and, by FEED_REFUSALS, on the page. What is right again, or gone,
is told of no more.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from common import logs
from common.refusal_tally import GATHERED_SECONDS, RefusalTally
from cottage import keys
from cottage.clock import Clock
from cottage.errors import InvalidMessage
from cottage.log import Throttled
from cottage.messages import feed_refusals
from services.feynman import metrics
from services.feynman.admission import NAMED
from services.feynman.symbol_table import RefusedSnapshot

MOST_NAMES = 100_000
"""So many keys with a bad name are told apart."""
LONGEST_SHOWN = 40
"""Characters of a bad name that are shown: it may be very long."""

T = TypeVar("T")

log = logs.get_logger()


class Refusals:
    """What is refused now. `snapshots` is called at each tick, the others at each search of keys."""

    def __init__(self, shard: tuple[int, int], clock: Clock) -> None:
        self._shard = shard
        self._clock = clock
        self._tally = RefusalTally(clock.monotonic)
        self._faults: Mapping[str, tuple[InvalidMessage, ...]] = {}
        self._names: dict[str, str] = {}
        """The first names that are no symbols, with what to use instead, as of the last search."""
        self._digests: set[int] = set()
        """Hashes of all of them; a name itself may be very long."""
        self._left_out: Mapping[str, list[str]] = {}
        """The symbols of whose snapshot a field was left out at the last tick, with what is wrong with each."""
        self._throttled = Throttled(log, monotonic=clock.monotonic)
        self._found_names: dict[str, str] = {}
        self._found_digests: set[int] = set()
        """The same of the search that is under way."""
        self._refused_at = math.inf
        """When a snapshot was last refused; infinite if it was said since that none is."""
        self._published = False
        """Whether the last FEED_REFUSALS told of any."""

    def snapshots(
        self,
        new: Sequence[RefusedSnapshot],
        refused: Mapping[str, tuple[InvalidMessage, ...]],
        asked: Collection[str] | None = None,
    ) -> None:
        """Take note of a tick. `new`: what is refused and was not before. `refused`: all that is, of the symbols that
        were `asked` for where these are not all."""
        now = self._clock.monotonic()
        refused = self._faults = _with_others(refused, self._faults, asked)
        metrics.REFUSED_SYMBOLS.set(len(refused))
        for symbol, faults in new:
            for fault in faults:
                self._say(symbol, fault)
        self.summarise()
        if refused:
            self._refused_at = now
        elif now - self._refused_at >= GATHERED_SECONDS:
            self._refused_at = math.inf
            log.info("snapshots_accepted")

    def fields(self, doubtful: Mapping[str, Sequence[InvalidMessage]], asked: Collection[str] | None = None) -> None:
        """Take note of the fields that a tick left out of snapshots that were used: each once while it stays so.
        `asked` as of `snapshots`."""
        before, now = self._left_out, {symbol: list(map(str, each)) for symbol, each in doubtful.items()}
        self._left_out = _with_others(now, before, asked)
        for symbol, errors in doubtful.items():
            for error in errors:
                if str(error) not in before.get(symbol, ()):
                    metrics.FIELDS_LEFT_OUT.labels(error.reason).inc()
                    self._throttled.warning(
                        "field_left_out", error.reason, symbol=symbol, field=error.reason, error=error.detail
                    )

    def summarise(self, *, last: bool = False) -> None:
        """Tell how many were refused lately, if that is due. `last`: nothing comes after it."""
        if (counts := self._tally.summary(last=last)) is not None:
            symbols, first = len(self._faults), list(islice(self._faults, NAMED))
            reasons = dict(counts)
            log.warning("snapshots_dropped", refused=counts.total(), reasons=reasons, symbols=symbols, first=first)

    def bad_name(self, name: str, error: InvalidMessage) -> None:
        """A key was found whose name is no symbol; those of other shards are left to them."""
        digest = hash(name)
        if not keys.in_shard(name, *self._shard) or digest in self._found_digests:
            return
        if len(self._found_digests) >= MOST_NAMES:
            return
        self._found_digests.add(digest)
        shown = name[:LONGEST_SHOWN]
        if len(self._found_names) < NAMED:
            self._found_names[shown] = error.detail
        if digest not in self._digests:
            self._say(shown, error)

    def searching(self) -> None:
        """A search of all keys begins; the one before may have ended early."""
        self._found_names, self._found_digests = {}, set()

    def searched(self) -> None:
        """The search has seen all keys: names that it did not find are gone."""
        self._names, self._digests = self._found_names, self._found_digests
        metrics.REFUSED_NAMES.set(len(self._digests))

    def message(self, shard: str, timestamp: str, database: int) -> bytes | None:
        """The FEED_REFUSALS that tells of them; None where there are none, and it was told so."""
        some = bool(self._faults or self._digests)
        if not some and not self._published:
            return None
        self._published = some
        return feed_refusals(shard, timestamp, self.report(), database).payload

    def report(self) -> dict[str, Any]:
        """What is refused now, as JSON values: how many, which fields, and the first of them with what is wrong."""
        fields = Counter(fault.reason for faults in self._faults.values() for fault in faults)
        first = {
            symbol: "; ".join(str(fault) for fault in faults)
            for symbol, faults in islice(self._faults.items(), NAMED)
        }
        names = {"names": len(self._digests), "first": self._names}
        return {"symbols": len(self._faults), "fields": dict(fields), "first": first, "bad_names": names}

    def _say(self, symbol: str, fault: InvalidMessage) -> None:
        metrics.REFUSED.labels(fault.reason).inc()
        if self._tally.take(fault.reason, symbol):
            log.warning("snapshot_dropped", symbol=symbol, reason=fault.reason, error=fault.detail)


def _with_others(found: Mapping[str, T], before: Mapping[str, T], asked: Collection[str] | None) -> Mapping[str, T]:
    """What was found of the symbols that were `asked` for, with what was found of others before; alone if these were
    all."""
    if asked is None or not before:
        return found
    gone = frozenset(asked)
    return {symbol: each for symbol, each in before.items() if symbol not in gone} | dict(found)
