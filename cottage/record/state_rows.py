"""The rows of a version of a state in the table `samples`, and the state of such rows.

The recorder writes what an update or a stored state says as it stands: nothing is computed but `at`. A version has
one row for each sample that it took, in order, and its own, with its state, comes last.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from cottage import fields
from cottage.clock import iso_millis
from cottage.errors import InvalidMessage
from cottage.fields import Fields
from cottage.record.schema import SAMPLES, Kind
from cottage.state import PhysicsState, TakenSample
from cottage.version import Version

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LARGEST = 2**63 - 1

_TIMES = {"event_time": "event_time", "feed_time": "feed_time", "received": "received", "timestamp": "sampled"}
"""The times that a sample has, with the columns that they are in."""
_STATE_BEGINS = [column.name for column in SAMPLES].index("mass")
_OF_SAMPLE = ("price", "volume", "trades", "bid", "ask", "tick", "interval", "session", "native")
_OF_TAKEN = ("price", "volume", "trades", "bid", "ask", "session")
_KINDS: dict[str, Kind] = {column.name: column.kind for column in SAMPLES}
_OF_STATE = tuple(column.name for column in SAMPLES[_STATE_BEGINS:])


def _named(names: Iterable[str], kind: Kind) -> tuple[str, ...]:
    return tuple(name for name in names if _KINDS[name] == kind)


_NUMBERS, _TEXTS = _named(_OF_SAMPLE, "number"), _named(_OF_SAMPLE, "text")
_STATE_NUMBERS, _STATE_WHOLE = _named(_OF_STATE, "number"), _named(_OF_STATE, "whole")
_HEAD = (
    *("symbol", "source", "run", "feed", "epoch", "seq", "prev_epoch", "prev_seq", "written", "recorded", "healed"),
    *("number", "last", "reissued", "at", *_TIMES.values(), "lost", "notes", "said"),
)
COLUMNS = (*_HEAD, *_NUMBERS, *_TEXTS, *_STATE_NUMBERS, *_STATE_WHOLE, "regime", "regime_since", "void")
"""The columns of `samples`, in the order of a Row."""
_VERSION = ("epoch", "seq")
_NO_STATE: tuple[Any, ...] = (None,) * (len(COLUMNS) - COLUMNS.index(_STATE_NUMBERS[0]))

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


def rows_of(
    symbol: str,
    said: Fields,
    *,
    run: int,
    recorded: int,
    healed: bool = False,
    reissued: Reissued = lambda _time, _price: False,
    inputs_only: bool = False,
) -> list[Row]:
    """The rows of a version. `said`: of `said_by_update` or `said_by_stored`. `run`, `recorded`: microseconds since
    1970. `inputs_only`: without what can be computed from the samples. Raises InvalidMessage for what cannot be a
    state's."""
    epoch, seq, written = _wholes(said, ("epoch", "seq", "written"))
    if epoch is None or seq is None:
        raise InvalidMessage("version", "epoch and seq are missing")
    prev_epoch, prev_seq = _prev(said)
    source, feed = _texts(said, ("source", "feed"))
    which = (symbol, source, run, feed, epoch, seq, prev_epoch, prev_seq, written, recorded, healed)
    otherwise = recorded if written is None else written
    rows: list[Row] = []
    if "taken" in said:
        for sample in fields.objects(said, "taken"):
            rows.append((*which, len(rows), False, *_sample(sample, otherwise, reissued), *_NO_STATE))
    state = _NO_STATE if inputs_only else _state(said)
    rows.append((*which, len(rows), True, *_sample(said, otherwise, reissued), *state))
    return rows


def columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """The same rows as columns by name."""
    return {name: list(values) for name, values in zip(COLUMNS, zip(*rows, strict=True), strict=True)}


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


def _sample(said: Fields, otherwise: int, reissued: Reissued) -> tuple[Any, ...]:
    """The columns of one sample from `reissued` to the last of `_TEXTS`. `otherwise`: the time of one without any."""
    times = [None if (text := said.get(name)) is None else microseconds(text) for name in _TIMES]
    event_time, feed_time, _received, sampled = times
    named = sampled if feed_time is None else feed_time
    at = event_time if event_time is not None else named if named is not None else otherwise
    numbers, lost = _numbers(said, _NUMBERS), said.get("lost") is True
    words = _words(said, "notes"), _words(said, "said")
    return (reissued(named, numbers[0]), at, *times, lost, *words, *numbers, *_texts(said, _TEXTS))


def _state(said: Fields) -> tuple[Any, ...]:
    since = said.get("regime_since")
    since = None if since is None else microseconds(since)
    regime = _texts(said, ("regime",))
    return (*_numbers(said, _STATE_NUMBERS), *_wholes(said, _STATE_WHOLE), *regime, since, _words(said, "void"))


def _prev(said: Fields) -> Sequence[int | None]:
    value = said.get("prev")
    if value is None:
        return None, None
    if type(value) is not list or len(value) != 2 or None in value:
        raise InvalidMessage("version", "prev is no pair of epoch and seq")
    return _wholes(dict(zip(_VERSION, value, strict=True)), _VERSION)


# As the functions of cottage.fields, but for a tenth of what they cost: fifty fields for each row.
def _numbers(said: Fields, names: Iterable[str]) -> list[float | None]:
    get = said.get
    return [
        value if (value := get(name)) is None or type(value) is float else _whole_as_number(value, name)
        for name in names
    ]


def _whole_as_number(value: object, name: str) -> float:
    if type(value) is not int:
        raise InvalidMessage("number", f"{name} is not a number")
    return float(value)


def _wholes(said: Fields, names: Iterable[str]) -> list[int | None]:
    get, values = said.get, []
    for name in names:
        value = get(name)
        if not (value is None or (type(value) is int and 0 <= value <= _LARGEST)):
            raise InvalidMessage("number", f"{name} is not a whole number from 0")
        values.append(value)
    return values


def _texts(said: Fields, names: Iterable[str]) -> list[str | None]:
    get, values = said.get, []
    for name in names:
        value = get(name)
        if not (value is None or type(value) is str):
            raise InvalidMessage("type", f"{name} is not text")
        values.append(value)
    return values


def _words(said: Fields, name: str) -> list[str] | None:
    value = said.get(name)
    if value is None:
        return None
    if type(value) is not list or not all(type(word) is str for word in value):
        raise InvalidMessage(name, "not a list of words")
    return value or None


@lru_cache(2**15)  # regimes last, and feeds write many symbols at one time
def microseconds(text: str) -> int:
    """Microseconds since 1970 of an RFC 3339 time. Raises InvalidMessage."""
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidMessage("timestamp", "not an RFC 3339 time with its zone") from error


def _time_text(time: int | None) -> str | None:
    return None if time is None else iso_millis(time / 1e6)
