"""The rows of a version of a state in the table `samples`, and the state of such rows.

The recorder writes what an update or a stored state says as it stands: nothing is computed but `at`. A version has
one row for each sample that it took, in order, and its own, with its state, comes last.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from types import NoneType
from typing import Any, NamedTuple

from cottage import fields
from cottage.clock import iso_millis
from cottage.errors import InvalidMessage
from cottage.fields import Fields
from cottage.record.schema import SAMPLES, Kind
from cottage.state import PhysicsState, TakenSample
from cottage.version import Version

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST = 2**63 - 1
_TYPES: dict[Kind, type] = {"text": str, "time": str, "words": list, "whole": int, "number": float}
_REFUSED = {
    "text": ("type", "not text"),
    "time": ("timestamp", "not an RFC 3339 time"),
    "words": (None, "not a list of words"),
    "whole": ("number", "not a whole number from 0"),
    "number": ("number", "not a number"),
}
"""By kind, the reason, which is the field's name where there is none, and what is said of the field."""

_TIMES = {"event_time": "event_time", "feed_time": "feed_time", "received": "received", "timestamp": "sampled"}
"""The times that a sample has, with the columns that they are in."""
_STATE_BEGINS = [column.name for column in SAMPLES].index("mass")
_OF_SAMPLE = ("price", "volume", "trades", "bid", "ask", "tick", "interval", "session", "native")
_OF_TAKEN = ("price", "volume", "trades", "bid", "ask", "session")
_KINDS: dict[str, Kind] = {column.name: column.kind for column in SAMPLES} | {"timestamp": "time", "written": "whole"}
"""Of what is said: times are texts, but for `written`."""
_OF_STATE = tuple(column.name for column in SAMPLES[_STATE_BEGINS:])


def _named(names: Iterable[str], kind: Kind) -> tuple[str, ...]:
    return tuple(name for name in names if _KINDS[name] == kind)


_NUMBERS, _TEXTS = _named(_OF_SAMPLE, "number"), _named(_OF_SAMPLE, "text")
_STATE_NUMBERS, _STATE_WHOLE = _named(_OF_STATE, "number"), _named(_OF_STATE, "whole")
_HEAD = (
    *("symbol", "source", "run", "feed", "epoch", "seq", "prev_epoch", "prev_seq", "written", "recorded", "healed"),
    *("number", "last", "reissued", "at"),
)
_SAID_OF_SAMPLE = (*_TIMES, "lost", "notes", "said", *_NUMBERS, *_TEXTS)
_SAID_OF_STATE = (*_STATE_NUMBERS, *_STATE_WHOLE, "regime", "regime_since", "void")
_SAID_OF_VERSION = ("source", "feed", "epoch", "seq", "written")
COLUMNS = (*_HEAD, *_TIMES.values(), *_SAID_OF_SAMPLE[len(_TIMES) :], *_SAID_OF_STATE)
"""The columns of `samples`, in the order of a Row."""
_NO_STATE: tuple[Any, ...] = (None,) * len(_SAID_OF_STATE)
_VERSION = len(_SAID_OF_VERSION)
_SAMPLE = len(_SAID_OF_SAMPLE)
_EVENT_TIME, _FEED_TIME, _SAMPLED = (_SAID_OF_SAMPLE.index(name) for name in ("event_time", "feed_time", "timestamp"))
_PRICE = _SAID_OF_SAMPLE.index("price")

Row = tuple[Any, ...]
"""One row of `samples`, in the order of COLUMNS."""
Reissued = Callable[[int | None, float | None], bool]
"""Whether a sample of this time, as its feed names it, and of this price was recorded before."""


def said_by_update(message: dict[str, Any]) -> dict[str, Any]:
    """What a PHYSICS_UPDATE says of its state, as `rows_of` takes it. Raises InvalidMessage."""
    said = fields.mapping(message, "data")
    for name in ("timestamp", "feed_time", "epoch", "seq", "prev", "written"):
        said[name] = message.get(name)
    return said


def said_by_stored(stored: dict[str, Any]) -> dict[str, Any]:
    """What a stored state says, as `rows_of` takes it."""
    stored["alpha"] = stored.get("alpha_coefficient")
    return stored


def none_reissued(_time: int | None, _price: float | None) -> bool:
    """A Reissued where none was recorded before."""
    return False


def rows_of(
    symbol: str,
    said: Fields,
    *,
    run: int,
    recorded: int,
    healed: bool = False,
    reissued: Reissued = none_reissued,
    inputs_only: bool = False,
) -> list[Row]:
    """The rows of a version. `said`: of `said_by_update` or `said_by_stored`. `run`, `recorded`: microseconds since
    1970. `inputs_only`: without what can be computed from the samples. Raises InvalidMessage for what cannot be a
    state's."""
    own = (_INPUTS if inputs_only else _ALL).read(said)
    source, feed, epoch, seq, written = own[:_VERSION]
    if epoch is None or seq is None:
        raise InvalidMessage("version", "epoch and seq are missing")
    which = (symbol, source, run, feed, epoch, seq, *_prev(said), written, recorded, healed)
    otherwise = recorded if written is None else written
    rows: list[Row] = []
    if "taken" in said:
        for sample in fields.objects(said, "taken"):
            values = _TAKEN.read(sample)
            rows.append((*which, len(rows), False, *_known(values, otherwise, reissued), *values, *_NO_STATE))
    values = own[_VERSION:]
    state = _NO_STATE if inputs_only else ()
    rows.append((*which, len(rows), True, *_known(values, otherwise, reissued), *values, *state))
    return rows


def columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """The same rows as columns by name."""
    return {name: list(values) for name, values in zip(COLUMNS, zip(*rows, strict=True), strict=True)}


def version_of(row: Mapping[str, Any]) -> Version:
    """The version that a row is of."""
    return Version(row["epoch"], row["seq"])


def state_of(rows: Sequence[Mapping[str, Any]]) -> PhysicsState:
    """The state of a version, as it was stored. `rows`: all rows of the version by column, in any order. Raises
    ValueError where these are not all, or have no state."""
    *taken, own = sorted(rows, key=lambda row: row["number"])
    if not own["last"] or own["number"] != len(taken) or own["regime"] is None:
        raise ValueError("not all rows of a version, or rows without its state")
    known: dict[str, Any] = {
        name: own[name] for name in (*_OF_SAMPLE, *_STATE_NUMBERS, *_STATE_WHOLE, "regime", "source", "feed", "lost")
    }
    known["alpha_coefficient"] = known.pop("alpha")
    known |= {name: _time_text(own[column]) for name, column in _TIMES.items()}
    known |= {name: tuple(own[name] or ()) for name in ("notes", "void", "said")}
    return PhysicsState(
        **known,
        regime_since=_time_text(own["regime_since"]),
        taken=tuple(map(_taken, taken)),
        prev=None if own["prev_epoch"] is None else Version(own["prev_epoch"], own["prev_seq"]),
        written=own["written"],
        version=Version(own["epoch"], own["seq"]),
    )


def _taken(row: Mapping[str, Any]) -> TakenSample:
    return TakenSample(
        **{name: row[name] for name in _OF_TAKEN},
        timestamp=_time_text(row["sampled"]) or "",
        event_time=_time_text(row["event_time"]),
        received=_time_text(row["received"]),
        notes=tuple(row["notes"] or ()),
        lost=row["lost"],
    )


def _known(sample: Sequence[Any], otherwise: int, reissued: Reissued) -> tuple[bool, int]:
    """Whether a sample is issued again, and the market's time. `sample`: values of _SAID_OF_SAMPLE. `otherwise`: the
    time of one without any."""
    event_time, feed_time = sample[_EVENT_TIME], sample[_FEED_TIME]
    named = sample[_SAMPLED] if feed_time is None else feed_time
    at = event_time if event_time is not None else named if named is not None else otherwise
    return reissued(named, sample[_PRICE]), at


def _prev(said: Fields) -> Sequence[int | None]:
    value = said.get("prev")
    if value is None:
        return None, None
    if type(value) is not list or len(value) != 2 or None in value:
        raise InvalidMessage("version", "prev is no pair of epoch and seq")
    for each in value:
        if type(each) is not int or not 0 <= each <= _LARGEST:
            raise InvalidMessage("number", "prev is no pair of whole numbers from 0")
    return value


class _Shape(NamedTuple):
    """Where in a list of values is what has to be looked at further, since its type alone does not say all."""

    whole: tuple[int, ...]
    times: tuple[int, ...]
    words: tuple[int, ...]
    flags: tuple[int, ...]
    integers: tuple[int, ...]
    """Numbers that are written without a point."""


class _FieldReader:
    """Reads the same fields of many objects, as the functions of cottage.fields do, but for a tenth of what these
    cost: the types of all values are looked at together, and those that were seen before are known to be right."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self._kinds = [_KINDS[name] for name in names]
        self._shape = lru_cache(256)(self._checked)  # of a feed and what it knows there are few

    def read(self, said: Fields) -> list[Any]:
        """The values in the order of the names; what is not there is None. Raises InvalidMessage."""
        values: list[Any] = list(map(said.get, self._names))
        whole, times, words, flags, integers = self._shape(tuple(map(type, values)))
        for place in whole:
            if not 0 <= values[place] <= _LARGEST:
                raise InvalidMessage("number", f"{self._names[place]} is not a whole number from 0")
        for place in times:
            values[place] = microseconds(values[place])
        for place in words:
            if any(type(word) is not str for word in values[place]):
                raise InvalidMessage(self._names[place], "not a list of words")
            values[place] = values[place] or None
        for place in flags:
            values[place] = values[place] is True
        for place in integers:
            values[place] = float(values[place])
        return values

    def _checked(self, types: tuple[type, ...]) -> _Shape:
        """Raises InvalidMessage for a type that is not of its field's kind."""
        places: dict[str, list[int]] = {kind: [] for kind in ("whole", "time", "words", "flag", "integer")}
        for place, (name, kind, found) in enumerate(zip(self._names, self._kinds, types, strict=True)):
            if kind == "flag":
                places[kind].append(place)
            elif found is NoneType:
                continue
            elif kind == "number" and found is int:
                places["integer"].append(place)
            elif found is not _TYPES[kind]:
                reason, about = _REFUSED[kind]
                raise InvalidMessage(reason or name, f"{name} is {about}")
            elif kind in places:
                places[kind].append(place)
        return _Shape(*map(tuple, places.values()))


_ALL = _FieldReader(*_SAID_OF_VERSION, *_SAID_OF_SAMPLE, *_SAID_OF_STATE)
_INPUTS = _FieldReader(*_SAID_OF_VERSION, *_SAID_OF_SAMPLE)
_TAKEN = _FieldReader(*_SAID_OF_SAMPLE)


def microseconds(text: str) -> int:
    """Microseconds since 1970 of an RFC 3339 time. Raises InvalidMessage."""
    try:
        since = datetime.fromisoformat(text) - _EPOCH
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidMessage("timestamp", "not an RFC 3339 time with its zone") from error
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _time_text(time: int | None) -> str | None:
    return None if time is None else iso_millis(time / 1e6)
