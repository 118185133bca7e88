"""Warm starts: samples of a symbol from the record, by which feynman fills a window that has just begun.

The recorder writes one to `market:warm:{SYMBOL}`, and feynman takes it into a window of the same source, feed and
native symbol. It is JSON: times are microseconds since 1970, UTC, and what mostly stays, such as the session, is told
where it changes. All of it is checked here, once.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any, TypeVar

import orjson

from cottage import keys
from cottage.clock import LATEST_SECONDS
from cottage.errors import InvalidMessage
from cottage.fields import Fields, load_object, optional_count, optional_number, optional_text
from cottage.snapshot import LONGEST_MARK, parse_native, parse_source
from cottage.state import REGIMES

VERSION = 1
MOST_BYTES = 8 * 2**20
"""A window of 100,000 samples, the longest there is, is as long."""
MOST_BYTES_IN_ALL = 32 * 2**20
"""All that the recorder has in Redis at a time, over all symbols, and all that feynman holds of it."""
KEPT_SECONDS = 120.0
"""So long feynman keeps a window's samples, since it began or there was last something to warm windows with: one
that runs longer is not filled."""
LEAD = 64
"""So many more samples are offered than a window holds, from which its step has followed."""

_LATEST = round(LATEST_SECONDS * 1e6)
_NUMBERS = frozenset((int, float))
_NUMBERS_OR_NONE = _NUMBERS | {type(None)}
_TIMES_OR_NONE = frozenset((int, type(None)))

_REMEMBERED = ("step", "grid", "votes", "regime", "regime_since")
_MOVING = ("price", "sampled", "event_time", "volume", "trades")
_STANDING = ("session", "tick", "interval")
COLUMNS = (
    *("source", "feed", "native", "reissued", "last", "said", "notes", "lost"),
    *_MOVING,
    *_STANDING,
    *_REMEMBERED,
)
"""What is read of the record's rows of samples."""

T = TypeVar("T")
Runs = tuple[tuple[int, T], ...]
"""A value that mostly stays: from which sample on it is which, ascending; before the first it is not known."""


@dataclass(frozen=True, slots=True)
class WarmSamples:
    """Samples of one symbol, the oldest first, and what feynman remembered after the newest of them. Lists have one
    entry a sample, None where it is not known."""

    source: str
    price: list[float]
    sampled: list[int]
    """The timestamps, in microseconds since 1970; `event_time` too."""
    feed: str | None = None
    native: str | None = None
    event_time: list[int | None] = field(default_factory=list)
    """Empty where no sample has one; `volume` and `trades` too."""
    volume: list[float | None] = field(default_factory=list)
    trades: list[float | None] = field(default_factory=list)
    session: Runs[str] = ()
    notes: Runs[str] = ()
    """What the feed says, words with blanks between; "" for none."""
    tick: Runs[float] = ()
    interval: Runs[float] = ()
    lost: tuple[int, ...] = ()
    """The places of samples before which others are lost."""
    step: float | None = None
    """The rest is of the state after the newest sample; None where that is not known."""
    grid: float | None = None
    votes: int | None = None
    regime: str | None = None
    regime_since: int | None = None

    def __len__(self) -> int:
        return len(self.price)

    def to_bytes(self) -> bytes:
        """The value of the key, without what is empty."""
        told = {each.name: getattr(self, each.name) for each in fields(self)}
        known = {name: value for name, value in told.items() if value not in (None, [], ())}
        return orjson.dumps({"version": VERSION, **known})

    @classmethod
    def recorded(cls, rows: Mapping[str, Sequence[Any]]) -> "WarmSamples | None":
        """The samples of these rows of a record, which are of one symbol, source, feed and native symbol, by version:
        what the columns of COLUMNS hold. Those before one that is not later than the one before it are left out, and
        None is returned where no row is a sample."""
        samples = [place for place, again in enumerate(rows["reissued"]) if not again]
        if not samples:
            return None
        times, marks = ([rows[name][place] for place in samples] for name in ("event_time", "session"))
        begins = [i for i in range(1, len(marks)) if marks[i] != marks[i - 1]]
        samples = samples[in_order_from([rows["sampled"][place] for place in samples], times, begins) :]

        def at(name: str) -> list[Any]:
            return [rows[name][place] for place in samples]

        words = zip(at("last"), at("said"), at("notes"), strict=True)
        told: dict[str, Any] = {name: rows[name][-1] for name in ("source", "feed", "native", *_REMEMBERED)}
        moving = {name: at(name) for name in _MOVING}
        told |= {name: values if set(values) != {None} else [] for name, values in moving.items()}
        told |= {name: joined(at(name)) for name in _STANDING}
        told["notes"] = joined([" ".join((said if own else noted) or ()) for own, said, noted in words])
        told["lost"] = tuple(i for i, lost in enumerate(at("lost")) if lost)
        return cls(**told)

    @classmethod
    def from_bytes(cls, payload: bytes, now: float) -> "WarmSamples":
        """Parse and check the value of a key. `now`: Redis's clock, in seconds since 1970. Raises InvalidMessage."""
        if len(payload) > MOST_BYTES:
            raise InvalidMessage("size", f"more than {MOST_BYTES} bytes")
        value = load_object(payload)
        if value.get("version") != VERSION:
            raise InvalidMessage("version", f"its version is {value.get('version')!s:.20}, and not {VERSION}")
        price = _column(value, "price", _NUMBERS)
        number = len(price)
        if not (number and min(price) > 0):
            raise InvalidMessage("price", "no prices, or some that are not above 0")
        samples = cls(
            parse_source(optional_text(value, "source")),
            price,
            _column(value, "sampled", frozenset((int,)), number),
            _feed(value),
            _native(value),
            _column(value, "event_time", _TIMES_OR_NONE, number, empty=True),
            _column(value, "volume", _NUMBERS_OR_NONE, number, empty=True),
            _column(value, "trades", _NUMBERS_OR_NONE, number, empty=True),
            session=_runs(value, "session", number, lambda mark: isinstance(mark, str) and len(mark) <= LONGEST_MARK),
            notes=_runs(value, "notes", number, lambda words: isinstance(words, str)),
            tick=_runs(value, "tick", number, _above_zero),
            interval=_runs(value, "interval", number, _above_zero),
            lost=_places(value.get("lost", ()), "lost", number),
            step=_optional(value, "step"),
            grid=_optional(value, "grid"),
            votes=optional_count(value, "votes"),
            regime=_regime(value),
            regime_since=optional_count(value, "regime_since"),
        )
        samples._check_order(now)
        return samples

    def _check_order(self, now: float) -> None:
        """Check that each sample follows the one before it, and that none lies ahead of Redis's clock."""
        latest = round(now * 1e6)
        ahead = max(*self.sampled, 0) - latest
        if ahead > 0:
            raise InvalidMessage("timestamp", f"a sample lies {ahead / 1e6:.3f} s ahead of Redis's clock")
        if place := in_order_from(self.sampled, self.event_time, {place for place, _mark in self.session[1:]}):
            raise InvalidMessage("order", f"the sample {place} is not later than the one before it")


def in_order_from(sampled: Sequence[int], event_time: Sequence[int | None], begins: Collection[int]) -> int:
    """From which sample on each is later than the one before it: by event time where both state that, and else by
    their timestamps; 0 for all. `begins`: those with which another session begins, whose event time may be any."""
    times = event_time or [None] * len(sampled)
    place = len(sampled) - 1
    while place > 0:
        stated, before = times[place], times[place - 1]
        if stated is not None and before is not None:
            follows = stated > before or place in begins
        else:
            follows = sampled[place] > sampled[place - 1]
        if not follows:
            return place
        place -= 1
    return 0


def _column(value: Fields, name: str, kinds: frozenset[Any], number: int | None = None, empty: bool = False) -> Any:
    """A list of so many numbers of these types, finite and not below 0."""
    column = value.get(name, [] if empty else None)
    if empty and column == []:
        return []
    if not (isinstance(column, list) and frozenset(map(type, column)) <= kinds):
        raise InvalidMessage(name, f"{name} is no list of numbers")
    if number not in (None, len(column)):
        raise InvalidMessage(name, f"{name} has {len(column)} entries, and there are {number} prices")
    known = [each for each in column if each is not None] if type(None) in kinds else column
    if known and not (all(map(isfinite, known)) and min(known) >= 0 and max(known) <= _most(kinds)):
        raise InvalidMessage(name, f"{name} has a number below 0 or beyond what there is")
    return column


def _most(kinds: frozenset[Any]) -> float:
    return float("inf") if float in kinds else _LATEST


def _runs(value: Fields, name: str, number: int, is_one: Callable[[Any], bool]) -> Runs[Any]:
    """The pairs of a place and a value, by ascending places."""
    runs = value.get(name, [])
    if not (isinstance(runs, list) and all(isinstance(run, list) and len(run) == 2 for run in runs)):
        raise InvalidMessage(name, f"{name} is no list of pairs")
    places = _places([place for place, _value in runs], name, number)
    if not all(is_one(each) for _place, each in runs):
        raise InvalidMessage(name, f"{name} has a value that it cannot have")
    return tuple(zip(places, (each for _place, each in runs), strict=True))


def _places(places: Any, name: str, number: int) -> tuple[int, ...]:
    """Ascending places of samples."""
    if not (isinstance(places, (list, tuple)) and all(type(place) is int for place in places)):
        raise InvalidMessage(name, f"{name} has a place that is no whole number")
    if not (all(0 <= place < number for place in places) and sorted(set(places)) == list(places)):
        raise InvalidMessage(name, f"{name} has places that do not ascend from 0 to {number - 1}")
    return tuple(places)


def _above_zero(number: Any) -> bool:
    return type(number) in _NUMBERS and isfinite(number) and number > 0


def _optional(value: Fields, name: str) -> float | None:
    number = optional_number(value, name)
    if number is not None and not number > 0:
        raise InvalidMessage(name, f"{name} is not above 0")
    return number


def _feed(value: Fields) -> str | None:
    feed = optional_text(value, "feed")
    if feed is not None and not keys.is_symbol(feed):
        raise InvalidMessage("feed", "not the id of a feed")
    return feed


def _native(value: Fields) -> str | None:
    native = optional_text(value, "native")
    if native is not None and parse_native(native) is None:
        raise InvalidMessage("native", "no symbol as a venue spells it")
    return native


def _regime(value: Fields) -> str | None:
    regime = optional_text(value, "regime")
    if regime is not None and regime not in REGIMES:
        raise InvalidMessage("regime", "no regime")
    return regime


def joined(values: Sequence[T | None]) -> Runs[Any]:
    """The runs of these values, of which None is: not known; the first that is known begins them, and a later None
    goes on with the value before it."""
    runs: list[tuple[int, Any]] = []
    for place, value in enumerate(values):
        if value is not None and (not runs or runs[-1][1] != value):
            runs.append((place, value))
    return tuple(runs)
