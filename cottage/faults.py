"""Faults: what keeps states from being live. Each is said once as it begins and once as it ends, for all symbols.

The bridge says the faults that it finds, and a broadcaster that it has lost its bridge. Nothing is said of a hop as
long as the one before it is broken, since nobody knows, nor in the first seconds in which it may come. What was gone
for a moment only has not ended.
"""

from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any, NamedTuple

from cottage.freshness import Cause
from cottage.log import get_logger

IN_WORDS: Mapping[Cause, str] = {
    "bridge_down": "the bridge is down: the broadcaster has lost its source",
    "redis_down": "Redis is down: the bridge cannot read it",
    "writer_down": "the writer is down: feynman has stopped writing states",
    "feed_down": "the feed is down: it has stopped saying that it lives",
    "feed_ended": "the feed has ended: it brings nothing more",
    "market_quiet": "all symbols of this source fell silent: its feed has died, or its market is closed",
}
"""What each fault means, for logs and displays. The page has words of its own that say the same."""

NAMED = 10
"""So many of the symbols are named."""
MOST_FAULTS = 100
"""So many are said at a time: what strangers call their sources must not fill the log."""
FEWEST = 2
"""Whoever does not know which silences are usual of a source does not say of a single symbol that it fell silent as a
whole: a symbol may be quiet."""

log = get_logger(__name__)


class Fault(NamedTuple):
    """What is broken."""

    cause: Cause
    of: str | None = None
    """The source of the feed or the shard of the writer; None where it is of all symbols."""


def is_fault(cause: Cause, symbols: int, of_source: int, fewest: int = FEWEST) -> bool:
    """Whether it is a fault that so many symbols, of all `of_source` of their source, are not live for this cause.
    `fewest`: how many symbols a source must have to be silent as a whole."""
    whole = symbols == of_source >= fewest
    return whole if cause == "market_quiet" else cause != "feed_late"


class Found(NamedTuple):
    """How a fault was found at one look."""

    symbols: Collection[str]
    """The symbols that are not live because of it."""
    silent: float = 0.0
    """For how many seconds nothing has been heard from there."""
    due: bool = True
    """Whether it is certain by now, and not only late."""
    wrong: bool = True
    """Whether that is a warning; else it is said at info."""
    detail: str = ""
    """What else is known of it."""


@dataclass(slots=True)
class _Known:
    """A fault that some look has found. Times are monotonic."""

    began: float
    seen_at: float
    symbols: int
    said: bool = False


class FaultLog:
    """Logs `not_live` and `not_live_ended`. `now` is monotonic, in seconds."""

    def __init__(self, lasting_seconds: float) -> None:
        """`lasting_seconds`: a fault has ended once it was not found for so long."""
        self._lasting = lasting_seconds
        self._known: dict[Fault, _Known] = {}

    def status(self, now: float) -> list[dict[str, Any]]:
        """The faults that were said and have not ended, for /status."""
        return [
            {**fault._asdict(), "symbols": known.symbols, "seconds": round(now - known.began, 1)}
            for fault, known in self._known.items()
            if known.said
        ]

    def look(self, found: Mapping[Fault, Found], judged: Container[Cause], now: float) -> None:
        """Say what has begun or ended. `judged`: the causes of which this look can say that there is no fault.

        A fault is said at the second look that finds it, once it does not grow any more: then its number is right.
        """
        for fault, each in found.items():
            symbols = len(each.symbols)
            known = self._known.get(fault)
            if known is None:
                if len(self._known) < MOST_FAULTS:
                    self._known[fault] = _Known(now - each.silent, now, symbols)
                continue
            if each.due and not known.said and symbols <= known.symbols:
                known.said = True
                _say(fault, each, now - known.began)
            known.seen_at, known.symbols = now, symbols
        for fault in self._known.keys() - found.keys():
            known = self._known[fault]
            if known.said and (fault.cause not in judged or now - known.seen_at < self._lasting):
                continue
            del self._known[fault]
            if known.said:
                seconds = round(known.seen_at - known.began, 1)
                log.info("not_live_ended", cause=fault.cause, of=fault.of, symbols=known.symbols, seconds=seconds)


def _say(fault: Fault, found: Found, seconds: float) -> None:
    words = IN_WORDS.get(fault.cause, fault.cause)
    report = log.warning if found.wrong else log.info
    report(
        "not_live",
        cause=fault.cause,
        of=fault.of,
        symbols=len(found.symbols),
        first=nsmallest(NAMED, found.symbols),
        seconds=round(seconds, 1),
        reason=f"{words}: {found.detail}" if found.detail else words,
    )


class Patience:
    """How long to wait for a hop that is not heard: at a start a few seconds, and no more once it was heard."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None
        """Since when the hops before it work; None while they do not."""
        self._heard = False
        """Whether it was heard since then."""

    def ends(self, reachable: bool, heard: bool, now: float) -> bool:
        """Whether that it is not heard is a fault by now. `reachable`: whether all hops before it work."""
        if not reachable:
            self._since, self._heard = None, False
            return False
        if self._since is None:
            self._since = now
        self._heard = self._heard or heard
        return not heard and (self._heard or now - self._since >= self._seconds)
