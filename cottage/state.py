"""The physics state of one symbol, and the PHYSICS_UPDATE that announces it.

An update depends on the state alone, so an update made from a stored state has the same bytes as the published one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from cottage import fields
from cottage.clock import from_iso
from cottage.version import Version

WAIT = "WAIT"
CRITICAL = "Critical"
LEVY_STABLE = "Lévy Stable"
GAUSSIAN = "Gaussian"
REGIMES = frozenset({WAIT, CRITICAL, LEVY_STABLE, GAUSSIAN})
WAIT_ALPHA = 2.5
ALPHA_LEAST, ALPHA_MOST = 0.5, 10.0
"""The bounds of the tail index. An interval that reaches the upper one has no upper end."""
WAIT_RETURNS = 64
"""Non-zero returns that a window needs before its tail index means anything."""

PILLARS = ("mass", "momentum", "friction", "entropy", "nash_dist")
_TIMES = ("timestamp", "feed_time")
_MEASURED = ("volume", "trades", "bid", "ask")
_STANDING = ("regime_since", "step", "holes", "snapped", "grid", "votes", "tick", "interval", "session")
_EXTRAS = (
    *("alpha_low", "alpha_high", "price", *_MEASURED, "samples", "nonzero", "source"),
    *(*_STANDING, "event_time", "received"),
)
_REMARKS = ("lag_ms", "notes", "void", "native", "said", "lost", "taken", "feed")
STORED = (*PILLARS, "regime", "alpha_coefficient", *_EXTRAS, *_TIMES, *_REMARKS)
"""The fields of a stored state, but for its version and its stamp."""
_ANNOUNCED = (*PILLARS, *_EXTRAS, *_REMARKS)
_STAMP = ("prev", "written")
MOST_TAKEN = 63
"""So many samples a version has at most beside its own."""


@dataclass(frozen=True, slots=True)
class TakenSample:
    """A sample that feynman took for a version before the version's own. Its feed handed it over in
    `market:fill:{SYMBOL}`, since it may be faster than feynman. What is not known is None."""

    price: float
    """In the market's currency."""
    timestamp: str
    """The sample's time as its feed wrote it, ISO 8601 text in UTC."""
    volume: float | None = None
    """As in the state; the next three too."""
    trades: float | None = None
    bid: float | None = None
    ask: float | None = None
    event_time: str | None = None
    """The market's own time, where its feed states it; None where it is `timestamp`."""
    received: str | None = None
    session: str | None = None
    notes: tuple[str, ...] = ()
    """The words that the feed said of it."""
    lost: bool = False
    """Whether the one before it was handed over, by its number, and is lost."""

    def as_dict(self) -> dict[str, Any]:
        """It as a JSON object, without what is not known."""
        return _known(self, _TAKEN)

    @classmethod
    def from_object(cls, value: fields.Fields) -> "TakenSample":
        """Check one of a state or an update. Raises InvalidMessage; unknown fields are ignored."""
        from_iso(value.get("timestamp"))
        return cls(
            fields.number(value, "price"),
            value["timestamp"],
            volume=fields.optional_number(value, "volume"),
            trades=fields.optional_number(value, "trades"),
            bid=fields.optional_number(value, "bid"),
            ask=fields.optional_number(value, "ask"),
            event_time=fields.optional_time(value, "event_time"),
            received=fields.optional_time(value, "received"),
            session=fields.optional_text(value, "session"),
            notes=fields.words(value, "notes"),
            lost=fields.flag(value, "lost"),
        )


_TAKEN = tuple(TakenSample.__slots__)


@dataclass(frozen=True, slots=True)
class PhysicsState:
    """One symbol's market as seven numbers and words, and what makes them trustworthy: all by one sliding window of
    samples, and without a unit.

    What follows `alpha_coefficient` is None in a state that somebody else than FeynmanService wrote.
    """

    mass: float
    """0 to 1: how much turnover stands behind where the price is."""
    momentum: float
    """The newest return in standard deviations, times mass."""
    friction: float
    """0 to 1: trades per volume against what is usual, which is ½."""
    entropy: float
    """0 to 1: Shannon entropy of the returns, 1 where all sizes are equally frequent."""
    nash_dist: float
    """0 to 1: how far the price is from where most volume changed hands, as a share of the window's range."""
    regime: str
    """`WAIT` until there are 64 returns that are not zero and 10 moves of two ticks or more, then `Gaussian` (the
    variance is finite), `Lévy Stable` (in doubt) or `Critical` (it is not), each kept until the evidence is against
    it."""
    alpha_coefficient: float
    """0.5 to 10: the tail index of the returns; the smaller, the more extreme moves."""
    alpha_low: float | None = None
    """From here to `alpha_high`, at most 10, reaches the 90 % interval of the exponent of a Pareto law fitted to the
    largest 5 % of the returns, taken for independent; 10 stands for no upper end."""
    alpha_high: float | None = None
    price: float | None = None
    """The price of the newest sample, in the market's currency."""
    samples: int | None = None
    """Number of samples in the window."""
    nonzero: int | None = None
    """Number of returns in it that are not zero."""
    source: str | None = None
    """The feed of the samples: `simulate`, `replay`, `live` or a feed's own name; `fallback` for a fallback."""
    volume: float | None = None
    """The counter of what was traded, as the newest sample has it; None where that is not known."""
    trades: float | None = None
    """The counter of trades; likewise."""
    bid: float | None = None
    """The quote beside the newest sample's price, where its feed states one that can be true; `ask` likewise."""
    ask: float | None = None
    received: str | None = None
    """When the feed's program received the newest sample, where it says so."""
    tick: float | None = None
    """The grid of prices that the feed states."""
    interval: float | None = None
    """How many seconds a bar of the feed lasts, where its samples are bars."""
    session: str | None = None
    """The mark of the market's session that the feed states."""
    grid: float | None = None
    """The tick on which the tail index is computed, by the prices' vote or the feed's word; None without one."""
    votes: int | None = None
    """How many samples in a row have voted for another grid; None for none."""
    regime_since: str | None = None
    """Since when the regime is this one: the event time of a sample."""
    event_time: str | None = None
    """The market's own time of the newest sample, where its feed states it; None where it is that of the feed."""
    step: float | None = None
    """How long a step is, in seconds: a return spans three at most."""
    holes: int | None = None
    """Number of samples in the window that have no return, since more than three steps, or lost samples, lie before
    them."""
    snapped: int | None = None
    """Number of prices in the window that do not lie on the grid of the others, and are rounded to it for the tail
    index; None where all do."""
    timestamp: str | None = None
    """The time of the newest sample, ISO 8601 text in UTC; not later than Redis's clock when feynman first saw it."""
    feed_time: str | None = None
    """The sample's time as its feed wrote it, where that differs from `timestamp`; else None."""
    lag_ms: int | None = None
    """By how many milliseconds samples of this feed are usually late, where it is a second or more; else None."""
    notes: tuple[str, ...] = ()
    """What the numbers stand on, in words of cottage/notes.py or the feed's own, such as `jump` or `no_volume`."""
    void: tuple[str, ...] = ()
    """The pillars that mean nothing in this state, and are 0."""
    native: str | None = None
    """The symbol as its venue spells it, where that differs; else None."""
    said: tuple[str, ...] = ()
    """The feed's words about the newest sample, and `two_writers` where it had a rival: of these `notes` makes
    what is true of the window."""
    lost: bool = False
    """Whether the sample before the newest one was handed over, by its number, and is lost."""
    taken: tuple[TakenSample, ...] = ()
    """The samples since the version before that came before the newest one, in order, MOST_TAKEN at most."""
    feed: str | None = None
    """The id of the feed that brought the sample."""
    version: Version | None = None
    prev: Version | None = None
    """The version of the state that this one replaced in Redis; None where there was none, or without `written`."""
    written: int | None = None
    """When Redis wrote this version, in microseconds since 1970; None where its writer does not say so."""

    def at(self, version: Version) -> "PhysicsState":
        """The same state as that version, which is not written yet."""
        return replace(self, version=version, prev=None, written=None)

    def as_dict(self) -> dict[str, Any]:
        """The JSON object of `physics:state:{SYMBOL}`, without the fields that are not known."""
        known = _known(self, STORED)
        if self.version is not None:
            known["epoch"], known["seq"] = self.version
        return known | self._stamp()

    def to_bytes(self) -> bytes:
        """`as_dict` as JSON."""
        return orjson.dumps(self.as_dict())

    def update(self, symbol: str, database: int = 0) -> bytes:
        """The PHYSICS_UPDATE that announces this state: the same bytes whoever builds it. `database`: the number of
        the one in which the state is stored."""
        message: dict[str, Any] = {"event": "PHYSICS_UPDATE", "symbol": symbol} | _known(self, _TIMES)
        message["data"] = {"alpha": self.alpha_coefficient, "regime": self.regime} | _known(self, _ANNOUNCED)
        if self.version is not None:
            message["epoch"], message["seq"] = self.version
        return orjson.dumps(fields.with_database(message, database) | self._stamp())

    def _stamp(self) -> dict[str, Any]:
        """What Redis adds at the very end of state and update as it writes them (services/feynman/stamp.lua)."""
        if self.written is None:
            return {}
        return {"prev": None if self.prev is None else list(self.prev), "written": self.written}

    @property
    def market_time(self) -> str | None:
        """The time by which its feed names the sample: with symbol and source it is the sample's identity."""
        return self.feed_time or self.timestamp

    def age(self, now: float) -> float | None:
        """Seconds from the newest sample to `now` (seconds since 1970), not below 0; None if it has no time."""
        return None if self.timestamp is None else max(0.0, now - from_iso(self.timestamp))

    @classmethod
    def from_bytes(cls, payload: bytes | str) -> "PhysicsState":
        """Parse and check a stored state. Raises InvalidMessage; unknown fields are ignored."""
        stored = fields.load_object(payload)
        timestamp, feed_time = (fields.optional_time(stored, name) for name in _TIMES)
        return cls(
            **{name: fields.number(stored, name) for name in PILLARS},
            regime=fields.one_of(stored, "regime", REGIMES),
            alpha_coefficient=fields.number(stored, "alpha_coefficient"),
            alpha_low=fields.optional_number(stored, "alpha_low"),
            alpha_high=fields.optional_number(stored, "alpha_high"),
            price=fields.optional_number(stored, "price"),
            samples=fields.optional_count(stored, "samples"),
            nonzero=fields.optional_count(stored, "nonzero"),
            source=fields.optional_text(stored, "source"),
            regime_since=fields.optional_time(stored, "regime_since"),
            volume=fields.optional_number(stored, "volume"),
            trades=fields.optional_number(stored, "trades"),
            bid=fields.optional_number(stored, "bid"),
            ask=fields.optional_number(stored, "ask"),
            tick=fields.optional_number(stored, "tick"),
            interval=fields.optional_number(stored, "interval"),
            grid=fields.optional_number(stored, "grid"),
            votes=fields.optional_count(stored, "votes"),
            session=fields.optional_text(stored, "session"),
            event_time=fields.optional_time(stored, "event_time"),
            received=fields.optional_time(stored, "received"),
            step=fields.optional_number(stored, "step"),
            holes=fields.optional_count(stored, "holes"),
            snapped=fields.optional_count(stored, "snapped"),
            lag_ms=fields.optional_count(stored, "lag_ms"),
            notes=fields.words(stored, "notes"),
            void=fields.words(stored, "void"),
            native=fields.optional_text(stored, "native"),
            said=fields.words(stored, "said"),
            lost=fields.flag(stored, "lost"),
            taken=taken_samples(stored),
            feed=fields.optional_text(stored, "feed"),
            timestamp=timestamp,
            feed_time=feed_time,
            version=fields.version(stored),
            prev=fields.previous(stored),
            written=fields.optional_count(stored, "written"),
        )


def taken_samples(state: fields.Fields) -> tuple[TakenSample, ...]:
    """Those in `taken` of a state, or of an update's `data`. Raises InvalidMessage."""
    return tuple(TakenSample.from_object(value) for value in fields.objects(state, "taken"))


def _known(item: PhysicsState | TakenSample, names: Iterable[str]) -> dict[str, Any]:
    """These fields, those that are known."""
    known = {
        name: value
        for name in names
        if (value := getattr(item, name)) is not None and value is not False and value != ()
    }
    if taken := known.get("taken"):
        known["taken"] = [sample.as_dict() for sample in taken]
    return known


def announces(update: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    """Whether a PHYSICS_UPDATE says what a stored state of the same version says; both as JSON objects. The bridge
    asks this of all symbols in turn, so nothing is parsed further than it must be."""
    data = update["data"]
    if data.get("alpha") != stored.get("alpha_coefficient") or data.get("regime") != stored.get("regime"):
        return False
    for name in (*_TIMES, *_STAMP):
        if update.get(name) != stored.get(name):
            return False
    for name in _ANNOUNCED:  # noqa: SIM110  # all() takes twice as long
        if data.get(name) != stored.get(name):
            return False
    return True


FAIL_SAFE = PhysicsState(0.0, 0.0, 0.0, 0.0, 0.0, WAIT, WAIT_ALPHA, source="fallback")
"""What a reader without a usable state gives, and says so by its source."""
